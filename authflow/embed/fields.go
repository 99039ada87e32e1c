package embed

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/jsonobject"
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

// parseFields reads one JSON object of strings.
func parseFields(body []byte) (map[string]string, error) {
	fields := map[string]string{}
	err := jsonobject.Read(body, func(name string, value json.RawMessage) error {
		text, ok := jsonobject.String(value)
		if !ok {
			return errors.New("a member is not a string")
		}
		fields[name] = text
		return nil
	})
	return fields, err
}
