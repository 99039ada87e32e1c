package httpsender

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"strings"

	"github.com/kycvs/caddy-kycvs/authflow/sms"
)

// awkward is the message that a body is tried with: a body that holds it as
// it should holds any. Unquoted, its number and code are no JSON numbers.
var awkward = sms.Message{
	To:    "+919876543210",
	Text:  "\"quoted\" \\ <b>&amp;</b>\nप्रवेश {sms.code}\n\n@mall.example #012345",
	Code:  "012345",
	TxnID: "3fa85f64-5717-4562-b3fc-2c963f66afa6",
	ID:    "3fa85f64-5717-4562-b3fc-2c963f66afa6-1",
	Lang:  "hi",
}

// format is what there is to know about a type of body.
type format struct {
	escape   func(string) string
	check    func(body string) error // of a body that was filled in; nil: any will do
	standard string                  // the body if the operator wrote none
}

func formatOf(contentType string) (format, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || strings.ContainsAny(contentType, "{}\r\n") {
		return format{}, fmt.Errorf("sms http: %q is not a content type: write e.g. application/json", contentType)
	}
	switch {
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		return format{escape: escapeJSON, check: checkJSON, standard: DefaultBody}, nil
	case media == "application/x-www-form-urlencoded":
		return format{escape: url.QueryEscape}, nil
	case media == "text/xml" || media == "application/xml" || strings.HasSuffix(media, "+xml"):
		return format{escape: escapeXML, check: checkXML}, nil
	case media == "text/plain":
		return format{escape: asIs}, nil
	default:
		return format{}, fmt.Errorf("sms http: how to escape in a body of type %s is not known: "+
			"write application/json, application/x-www-form-urlencoded, application/xml or text/plain", media)
	}
}

// EscapeFor returns value as it stands in a body of the content type; "" means
// DefaultContentType. For a type that New refuses it is value itself.
func EscapeFor(contentType, value string) string {
	if contentType == "" {
		contentType = DefaultContentType
	}
	f, err := formatOf(contentType)
	if err != nil {
		return value
	}
	return f.escape(value)
}

func asIs(s string) string { return s }

// escapeJSON returns s as the inside of a JSON string. Bytes that are not
// UTF-8 become U+FFFD.
func escapeJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // which a string does not give
		return ""
	}
	return string(b[1 : len(b)-1])
}

func checkJSON(body string) error {
	if json.Valid([]byte(body)) {
		return nil
	}
	return errors.New("sms http: the body is not JSON once its placeholders are filled in: write quotes around each placeholder, " +
		"or, for a form, the header Content-Type application/x-www-form-urlencoded")
}

// escapeXML returns s as text of an element or of a quoted attribute.
func escapeXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

func checkXML(body string) error {
	for d := xml.NewDecoder(strings.NewReader(body)); ; {
		_, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return errors.New("sms http: the body is not XML once its placeholders are filled in: " +
				"let placeholders stand in elements or in quoted attributes")
		}
	}
}

// escapeHeader returns s without the characters that end a field or are not
// allowed in one (RFC 9110, section 5.5). A line break becomes a space.
func escapeHeader(s string) string {
	s = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ").Replace(s)
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}
