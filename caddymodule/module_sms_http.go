package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"golang.org/x/net/http/httpguts"

	"github.com/kycvs/caddy-kycvs/authflow/sms"
)

func init() {
	caddy.RegisterModule((*HTTPSender)(nil))
}

// HTTPSender hands messages to a provider by a request of HTTP for each. Any
// answer from 200 to 299 means that the message is sent.
//
// The body and the header fields may hold `{sms.to}`, `{sms.message}`,
// `{sms.code}` and `{sms.txnId}`, which stand for the message's own, beside
// Caddy's placeholders.
type HTTPSender struct {
	// URL is where the request goes. It is required; there is no default.
	URL string `json:"url,omitempty"`

	// Method is the request's method. The default is `POST`.
	Method string `json:"method,omitempty"`

	// Header lists further header fields. The default is none but Content-Type.
	Header map[string]string `json:"header,omitempty"`

	// Body is the request's body. The default is a JSON object with `to`, `message`, `code`
	// and `txnId`.
	Body string `json:"body,omitempty"`

	conf *HTTPSender // the same with Caddy's placeholders resolved
}

// CaddyModule returns the Caddy module information.
func (*HTTPSender) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "kycvs.sms.http", New: func() caddy.Module { return new(HTTPSender) }}
}

// UnmarshalCaddyfile reads
//
//	sms http URL {
//		method METHOD
//		header FIELD VALUE
//		body TEXT
//	}
func (s *HTTPSender) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the guest's name
	args, err := arguments(d, "sms http", "sms http https://sms.example/send", oneArg)
	if err != nil {
		return err
	}
	s.URL = args[0]
	if err := checkUnlessPlaceholder(s.URL, checkSenderURL); err != nil {
		return located(d, err)
	}
	_, err = readBlock(d, "sms http", []option{
		text("method", "method POST", &s.Method, checkMethod),
		{name: "header", example: `header Authorization "Bearer {env.SMS_KEY}"`, many: true, args: twoArgs, read: func(_ *caddyfile.Dispenser, args []string) error {
			name := http.CanonicalHeaderKey(args[0])
			if _, again := s.Header[name]; again {
				return fmt.Errorf("header %s stands twice: write it once", name)
			}
			if s.Header == nil {
				s.Header = map[string]string{}
			}
			s.Header[name] = args[1]
			return errors.Join(checkField(name, args[1]), checkTemplate("header "+name, args[1]))
		}},
		text("body", "body `{\"to\":\"{sms.to}\",\"text\":\"{sms.message}\"}`", &s.Body, nil),
	})
	if err != nil {
		return err
	}
	return located(d, checkTemplate("body", s.Body))
}

// Provision resolves Caddy's placeholders. It connects to nobody.
func (s *HTTPSender) Provision(caddy.Context) error {
	r := resolver{repl: caddy.NewReplacer()}
	conf := &HTTPSender{URL: r.one("url", s.URL), Method: r.one("method", s.Method), Body: r.template("body", s.Body)}
	for name, value := range s.Header {
		if conf.Header == nil {
			conf.Header = map[string]string{}
		}
		conf.Header[http.CanonicalHeaderKey(name)] = r.template("header "+name, value)
	}
	if err := r.err(); err != nil {
		return err
	}
	s.conf = conf
	return conf.validate()
}

func (s *HTTPSender) validate() error {
	if s.URL == "" {
		return errors.New("url is missing: write where messages are posted to")
	}
	if err := checkSenderURL(s.URL); err != nil {
		return err
	}
	if s.Method != "" {
		if err := checkMethod(s.Method); err != nil {
			return err
		}
	}
	for name, value := range s.Header {
		if err := checkField(name, value); err != nil {
			return err
		}
	}
	return nil
}

// Sender implements SenderModule.
func (s *HTTPSender) Sender(o OpenOptions) (sms.Sender, error) { return newHTTPSender(s.conf, o) }

// Trial implements SenderModule.
func (*HTTPSender) Trial() bool { return false }

// checkSenderURL does not repeat the address, which may hold a key.
func checkSenderURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Fragment != "" {
		return errors.New("sms http has an address that is not absolute: write e.g. `sms http https://sms.example/send`")
	}
	return nil
}

var senderMethods = []string{http.MethodPost, http.MethodPut, http.MethodGet}

func checkMethod(s string) error {
	if !slices.Contains(senderMethods, s) {
		return fmt.Errorf("sms http method %q is not taken: write one of %s", s, strings.Join(senderMethods, ", "))
	}
	return nil
}

// checkField does not repeat the value, which may be a key.
func checkField(name, value string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("header %q is not the name of a header field: write e.g. `header Authorization \"Bearer {env.SMS_KEY}\"`", name)
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return fmt.Errorf("header %s has a value that a header field cannot have: write it on one line", name)
	}
	return nil
}

var (
	messagePlaceholders = []string{"sms.to", "sms.message", "sms.code", "sms.txnId"}
	// A body is often JSON, so not every brace begins a placeholder: only a word with a
	// dot and no quote or space in it does.
	templatePlaceholder = regexp.MustCompile(`\{([a-z_]+\.[^{}"\s]+)\}`)
)

// checkTemplate returns an error for a placeholder of a message that there is
// not.
func checkTemplate(option, template string) error {
	for _, found := range templatePlaceholder.FindAllStringSubmatch(template, -1) {
		if strings.HasPrefix(found[1], "sms.") && !slices.Contains(messagePlaceholders, found[1]) {
			return fmt.Errorf("sms http %s has the unknown placeholder %s: write one of {%s}", option, found[0], strings.Join(messagePlaceholders, "}, {"))
		}
	}
	return nil
}

// template resolves Caddy's placeholders and leaves those of the message.
func (r *resolver) template(option, template string) string {
	if err := checkTemplate(option, template); err != nil {
		r.errs = append(r.errs, err)
	}
	return templatePlaceholder.ReplaceAllStringFunc(template, func(placeholder string) string {
		if strings.HasPrefix(placeholder, "{sms.") {
			return placeholder
		}
		return r.one(option, placeholder)
	})
}

// Interface guards.
var (
	_ caddy.Provisioner     = (*HTTPSender)(nil)
	_ caddyfile.Unmarshaler = (*HTTPSender)(nil)
	_ SenderModule          = (*HTTPSender)(nil)
)
