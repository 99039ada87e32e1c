package embed

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"

	"github.com/kycvs/caddy-kycvs/authflow"
)

// maxBody is the most that a call of the frame may be; what a person types fits
// many times.
const maxBody = 8 << 10

// readFields reads the JSON object of a call.
func readFields(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, &authflow.Error{Code: authflow.BadRequest}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, &authflow.Error{Code: authflow.TooLarge}
	}
	if err != nil {
		return nil, &authflow.Error{Code: authflow.BadRequest}
	}
	fields, err := parseFields(body)
	if err != nil {
		return nil, &authflow.Error{Code: authflow.BadRequest}
	}
	return fields, nil
}

// parseFields reads one JSON object of strings. Doubled members are refused:
// whoever checks and whoever acts could see different ones (RFC 8259, section
// 4).
func parseFields(body []byte) (map[string]string, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	fields := map[string]string{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		value, err := d.Token()
		if err != nil {
			return nil, err
		}
		n, _ := name.(string)
		v, isText := value.(string)
		if _, twice := fields[n]; twice || !isText {
			return nil, errors.New("a member stands twice or is not a string")
		}
		fields[n] = v
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something stands behind the object")
	}
	return fields, nil
}
