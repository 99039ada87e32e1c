package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/jsonobject"
)

// maxBody is the most a request may be; what a person types fits many times.
const maxBody = 8 << 10

// kind is what a member's value may be.
type kind uint8

const (
	text   kind = iota + 1
	number      // a whole number without sign, written as a number or a string
)

// members are those that some call reads.
var members = map[string]kind{
	"mobile_number": text, "full_name": text, "consent": text, "txnId": text, "txn": text, "sa": text,
	"lang": text, "client_ip": text, "session": number,
	"otp": text, "birth_year": number,
	"code": text,
}

// readFields reads the request's JSON object. Unknown members are ignored; one
// that stands twice, and one of a wrong type, is refused.
func readFields(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	if t := r.Header.Get("Content-Type"); t != "" {
		if kind, _, err := mime.ParseMediaType(t); err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
			return nil, bad("The request is not JSON: send an object, with Content-Type: application/json.")
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, &authflow.Error{Code: authflow.TooLarge}
	}
	if err != nil {
		return nil, bad("The request could not be read to its end.")
	}
	return parseFields(body)
}

// parseFields reads one JSON object. Doubled members are refused, those too that
// we do not know.
func parseFields(body []byte) (map[string]string, error) {
	fields := map[string]string{}
	err := jsonobject.Read(body, func(name string, raw json.RawMessage) error {
		k, known := members[name]
		if !known {
			return nil
		}
		value, ok := valueOf(k, raw)
		if !ok {
			return bad(fmt.Sprintf("The member %s is of a wrong type.", name)) // one of members
		}
		fields[name] = value
		return nil
	})
	switch err {
	case nil:
		return fields, nil
	case jsonobject.ErrNone:
		return nil, bad("The request is not one JSON object in UTF-8.")
	case jsonobject.ErrDoubled:
		return nil, bad("A member stands twice.")
	}
	return nil, err
}

func valueOf(k kind, raw json.RawMessage) (string, bool) {
	if raw[0] == '"' {
		return jsonobject.String(raw)
	}
	s := string(raw)
	return s, k == number && len(s) <= 10 && strings.Trim(s, "0123456789") == ""
}

// readQuery reads the parameters of a GET, of which each stands at most once.
func (q *request) readQuery() (map[string]string, error) {
	values, err := url.ParseQuery(q.r.URL.RawQuery)
	if err != nil {
		return nil, bad("The query cannot be read.")
	}
	fields := make(map[string]string, len(values))
	for name, v := range values {
		if len(v) != 1 || !utf8.ValidString(v[0]) {
			return nil, bad("A parameter stands twice or is not UTF-8.")
		}
		fields[name] = v[0]
	}
	return fields, nil
}
