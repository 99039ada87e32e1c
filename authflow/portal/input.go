package portal

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/jsonobject"
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

// jsonFields reads one object, of which every member that we know is a string.
func jsonFields(body []byte) (map[string]string, error) {
	fields := map[string]string{}
	err := jsonobject.Read(body, func(name string, value json.RawMessage) error {
		if !known[name] {
			return nil
		}
		text, ok := jsonobject.String(value)
		if !ok {
			return errors.New("a member is not a string")
		}
		fields[name] = text
		return nil
	})
	return fields, err
}

// known are the fields that we read; JSON null for one of them is refused like
// any other value that is no string.
var known = map[string]bool{
	"mobile_number": true, "full_name": true, "consent": true, "return": true, "for": true,
	"txnId": true, "otp": true, "birth_year": true, "lang": true, "locked": true,
}
