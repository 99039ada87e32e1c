// Package jsonobject reads the JSON objects that programs send us, more strictly
// than encoding/json: which would take the last of two members of one name, so that
// whoever checks and whoever acts could see different ones (RFC 8259, section 4).
package jsonobject

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// What Read finds wrong with a body.
var (
	ErrNone    = errors.New("not one JSON object in UTF-8")
	ErrDoubled = errors.New("a member stands twice")
)

// Read calls f with each member of the object, in their order, until f returns an
// error, and returns that. It returns ErrNone if body is anything but one object,
// and ErrDoubled if two members have one name.
func Read(body []byte, f func(name string, value json.RawMessage) error) error {
	if !utf8.Valid(body) {
		return ErrNone
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return ErrNone
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return ErrNone
		}
		if seen[name] {
			return ErrDoubled
		}
		seen[name] = true
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return ErrNone
		}
		if err := f(name, value); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return ErrNone
	}
	if _, err := d.Token(); err != io.EOF {
		return ErrNone
	}
	return nil
}

// String returns a member's value; false if it is no string.
func String(value json.RawMessage) (s string, ok bool) {
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	err := json.Unmarshal(value, &s)
	return s, err == nil
}
