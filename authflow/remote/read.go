package remote

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// object is a JSON object as the authority sent it. Members that nobody asks for
// are ignored.
type object map[string]json.RawMessage

// readObject reads one JSON object and nothing behind it. A member that stands
// twice is refused: of two readers each could take another (RFC 8259, section 4).
func readObject(data []byte) (object, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is no JSON object")
	}
	m := object{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errors.New("it is no JSON object")
		}
		if _, twice := m[name]; twice {
			return nil, errors.New("a member stands twice in it")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errors.New("it is no JSON object")
		}
		m[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("it is cut short")
	}
	if d.More() {
		return nil, errors.New("there is something behind it")
	}
	return m, nil
}

// text returns a member that is a string of so many bytes, "" where there is
// none and least is 0.
func (m object) text(name string, least, most int) (string, error) {
	raw, ok := m[name]
	if !ok || string(raw) == "null" {
		if least > 0 {
			return "", fmt.Errorf("it has no %s", name)
		}
		return "", nil
	}
	var s string
	if json.Unmarshal(raw, &s) != nil || len(s) < least || len(s) > most {
		return "", fmt.Errorf("its %s is no text of %d to %d bytes", name, least, most)
	}
	return s, nil
}

// word is text of visible ASCII, as ids and tokens are.
func (m object) word(name string, most int) (string, error) {
	s, err := m.text(name, 1, most)
	if err != nil {
		return "", err
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return "", fmt.Errorf("its %s has characters that do not belong there", name)
		}
	}
	return s, nil
}

// number returns a member that is a whole number within bounds, or what it is
// where there is none.
func (m object) number(name string, least, most, without int) (int, error) {
	raw, ok := m[name]
	if !ok {
		return without, nil
	}
	n, err := strconv.Atoi(string(raw))
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("its %s is no whole number from %d to %d", name, least, most)
	}
	return n, nil
}
