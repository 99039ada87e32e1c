package portal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/kycvs/caddy-kycvs/authflow"
)

// maxBody is the most a form of ours may be; what a person types fits many
// times.
const maxBody = 8 << 10

// readFields reads the fields of a posted form or of its JSON twin. Every field
// is a string and stands at most once; those we do not know are ignored.
func readFields(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return nil, &authflow.Error{Code: authflow.TooLarge}
		}
		return nil, &authflow.Error{Code: authflow.BadRequest}
	}
	if len(body) == 0 {
		return map[string]string{}, nil // of whatever kind: withdrawing needs no field
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, &authflow.Error{Code: authflow.BadRequest}
	}
	var fields map[string]string
	switch {
	case kind == "application/x-www-form-urlencoded":
		fields, err = formFields(string(body))
	case isJSON(kind):
		fields, err = jsonFields(body)
	default:
		err = errors.New("neither a form nor JSON")
	}
	if err != nil {
		return nil, &authflow.Error{Code: authflow.BadRequest}
	}
	return fields, nil
}

func formFields(body string) (map[string]string, error) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, err
	}
	fields := make(map[string]string, len(values))
	for name, v := range values {
		if len(v) != 1 || !utf8.ValidString(v[0]) {
			return nil, errors.New("a field stands twice or is not UTF-8")
		}
		fields[name] = v[0]
	}
	return fields, nil
}

// jsonFields reads one object. encoding/json would take the last of two
// members of one name; whoever checks and whoever acts could then see
// different ones (RFC 8259, section 4), so doubled members are refused.
func jsonFields(body []byte) (map[string]string, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	fields := map[string]string{}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := t.(string)
		if !ok || seen[name] {
			return nil, errors.New("a member stands twice")
		}
		seen[name] = true
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, err
		}
		if !known[name] {
			continue
		}
		var value string
		if err := json.Unmarshal(raw, &value); err != nil || raw[0] != '"' {
			return nil, errors.New("a member is not a string")
		}
		fields[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something stands behind the object")
	}
	return fields, nil
}

// known are the fields that we read; JSON null for one of them is refused like
// any other value that is no string.
var known = map[string]bool{
	"mobile_number": true, "full_name": true, "consent": true, "return": true, "for": true,
	"txnId": true, "otp": true, "birth_year": true, "lang": true, "locked": true,
}
