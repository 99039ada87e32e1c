package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"golang.org/x/net/http/httpguts"

	"github.com/kycvs/caddy-kycvs/authflow/sms"
	"github.com/kycvs/caddy-kycvs/authflow/sms/httpsender"
)

func init() {
	caddy.RegisterModule((*HTTPSender)(nil))
}

// HTTPSender hands each message to a provider in an HTTP request. An answer from
// 200 to 299 means that the message is sent; redirects are not followed.
//
// The URL's path and query, the header fields and the body may hold `{sms.to}`,
// `{sms.message}`, `{sms.code}` and `{sms.txnId}`, which stand for what the message
// has and are escaped for their place, beside Caddy's placeholders.
type HTTPSender struct {
	// URL is where the request goes. It is required; there is no default.
	URL string `json:"url,omitempty"`

	// Method is `POST`, `PUT` or `GET`. The default is `POST`.
	Method string `json:"method,omitempty"`

	// Header lists further header fields. Content-Type says how the body is escaped; it
	// can be JSON, a form, XML or plain text. The default is none but Content-Type:
	// application/json.
	Header http.Header `json:"header,omitempty"`

	// Body is the request's body. The default is an object with `to`, `message`, `code` and
	// `txnId`.
	Body string `json:"body,omitempty"`

	conf httpsender.Config // the same with Caddy's placeholders resolved
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
	tok := d.Token()
	args, err := arguments(d, "sms http", "sms http https://sms.example/send", oneArg)
	if err != nil {
		return err
	}
	s.URL = args[0]
	_, err = readBlock(d, "sms http", []option{
		text("method", "method POST", &s.Method, checkMethod),
		{name: "header", example: `header Authorization "Bearer {env.SMS_KEY}"`, many: true, args: twoArgs, read: func(_ *caddyfile.Dispenser, args []string) error {
			name := http.CanonicalHeaderKey(args[0])
			if !httpguts.ValidHeaderFieldName(name) {
				return fmt.Errorf("%q is not the name of a header field: write e.g. `header Authorization \"Bearer {env.SMS_KEY}\"`", name)
			}
			if _, again := s.Header[name]; again {
				return fmt.Errorf("header %s stands twice: write it once", name)
			}
			if s.Header == nil {
				s.Header = http.Header{}
			}
			s.Header.Set(name, args[1])
			return nil
		}},
		text("body", "body `{\"to\":\"{sms.to}\",\"text\":\"{sms.message}\"}`", &s.Body, nil),
	})
	if err != nil {
		return err
	}
	return at(tok, checkSender(s.config(s.standIn)))
}

// Provision resolves Caddy's placeholders. It connects to nobody.
func (s *HTTPSender) Provision(caddy.Context) error {
	if s.URL == "" {
		return errors.New("url is missing: write where messages are sent to")
	}
	r := resolver{repl: caddy.NewReplacer()}
	s.conf = s.config(r.one)
	if err := r.err(); err != nil {
		return err
	}
	if s.conf.Method != "" {
		if err := checkMethod(s.conf.Method); err != nil {
			return err
		}
	}
	return checkSender(s.conf)
}

// config makes the sender's configuration; resolve is given an option's name
// and one of Caddy's placeholders in it.
func (s *HTTPSender) config(resolve func(option, placeholder string) string) httpsender.Config {
	c := httpsender.Config{
		URL:    resolveTemplate("url", s.URL, resolve),
		Method: resolveTemplate("method", s.Method, resolve),
		Body:   resolveTemplate("body", s.Body, resolve),
	}
	for name, values := range s.Header {
		for _, v := range values {
			if c.Header == nil {
				c.Header = http.Header{}
			}
			c.Header.Add(name, resolveTemplate("header "+name, v, resolve))
		}
	}
	return c
}

// Sender implements SenderModule.
func (s *HTTPSender) Sender(OpenOptions) (sms.Sender, error) {
	sender, err := httpsender.New(s.conf)
	if err != nil {
		return nil, err
	}
	return sender, nil
}

// Trial implements SenderModule.
func (*HTTPSender) Trial() bool { return false }

// checkSender returns what is wrong with a configuration: to make a sender of it
// connects to nobody.
func checkSender(c httpsender.Config) error {
	_, err := httpsender.New(c)
	return err
}

var senderMethods = []string{http.MethodPost, http.MethodPut, http.MethodGet}

func checkMethod(s string) error {
	if !slices.Contains(senderMethods, s) {
		return fmt.Errorf("sms http method %q is not taken: write one of %s", s, strings.Join(senderMethods, ", "))
	}
	return nil
}

// A body is often JSON, so not every brace begins a placeholder: only a word with
// a dot and no quote or space in it does.
var templatePlaceholder = regexp.MustCompile(`\{([a-z_]+\.[^{}"\s]+)\}`)

// resolveTemplate resolves Caddy's placeholders and leaves those of the message.
func resolveTemplate(option, template string, resolve func(option, placeholder string) string) string {
	return templatePlaceholder.ReplaceAllStringFunc(template, func(placeholder string) string {
		if strings.HasPrefix(placeholder, "{sms.") {
			return placeholder
		}
		return resolve(option, placeholder)
	})
}

// standIn is what a Caddyfile is checked with where a placeholder of Caddy's
// stands, which is not resolved before the configuration loads.
func (s *HTTPSender) standIn(option, placeholder string) string {
	if option == "url" && strings.HasPrefix(s.URL, placeholder) {
		return "https://placeholder.example"
	}
	return "1"
}

// Interface guards.
var (
	_ caddy.Provisioner     = (*HTTPSender)(nil)
	_ caddyfile.Unmarshaler = (*HTTPSender)(nil)
	_ SenderModule          = (*HTTPSender)(nil)
)
