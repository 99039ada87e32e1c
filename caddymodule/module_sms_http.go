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

	"github.com/kycvs/caddy-kycvs/authflow/portal"
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
// `{sms.to_digits}`, `{sms.to_national}`, `{sms.message}`, `{sms.code}`, `{sms.txnId}`,
// `{sms.id}`, `{sms.lang}`, `{sms.unicode}` and those of `dlt`, which stand for what the
// message has and are escaped for their place, beside Caddy's placeholders.
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
	// `txnId`, which goes with the header field Idempotency-Key.
	Body string `json:"body,omitempty"`

	// BasicAuth is the account at the provider. The default is none.
	BasicAuth *BasicAuth `json:"basic_auth,omitempty"`

	// Expect is a regular expression (RE2) that the first 64 KiB of an answer from 200 to
	// 299 must match for the message to be sent. The default is none: any answer will do.
	Expect string `json:"expect,omitempty"`

	// DLT is what the messages are registered under with the operators in India. The default
	// is none.
	DLT *DLT `json:"dlt,omitempty"`

	// Unicode is what `{sms.unicode}` stands for: the provider's words for a text in Unicode
	// and for one in the alphabet of GSM, in this order. The default is none.
	Unicode []string `json:"unicode,omitempty"`

	conf httpsender.Config // the same with Caddy's placeholders resolved
}

// BasicAuth is the user and the password that go with each request (RFC 7617).
type BasicAuth struct {
	// User is the account's name. It is required.
	User string `json:"user,omitempty"`

	// Password is the account's password, best a placeholder. It is required.
	Password string `json:"password,omitempty"`
}

// DLT is what a message is registered under in India: every commercial message there must
// match a template on the operators' distributed ledger.
type DLT struct {
	// Entity is the principal entity's id, which `{sms.dlt_entity}` stands for. It is required.
	Entity string `json:"entity,omitempty"`

	// Header is the sender's registered name, which `{sms.dlt_header}` stands for. It is
	// required.
	Header string `json:"header,omitempty"`

	// Template is the id of the template that `{sms.dlt_template}` stands for, for messages in
	// a language that `templates` does not have. It is required.
	Template string `json:"template,omitempty"`

	// Templates are the ids of templates by the message's language, e.g. `hi`. The default is
	// none.
	Templates map[string]string `json:"templates,omitempty"`
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
//		basic_auth USER PASSWORD
//		expect REGEXP
//		unicode WORD_FOR_UNICODE WORD_FOR_PLAIN
//		dlt {
//			entity ID
//			header HEADER
//			template [LANGUAGE] ID
//		}
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
		{name: "basic_auth", example: "basic_auth {env.SMS_USER} {env.SMS_PASSWORD}", args: twoArgs, read: func(_ *caddyfile.Dispenser, args []string) error {
			s.BasicAuth = &BasicAuth{User: args[0], Password: args[1]}
			return nil
		}},
		text("expect", "expect ^success", &s.Expect, nil),
		{name: "unicode", example: "unicode 1 0", args: twoArgs, read: func(_ *caddyfile.Dispenser, args []string) error {
			s.Unicode = args
			return nil
		}},
		{name: "dlt", segment: s.unmarshalDLT},
	})
	if err != nil {
		return err
	}
	return at(tok, s.check(s.config(s.standIn)))
}

// unmarshalDLT reads the block `dlt`.
func (s *HTTPSender) unmarshalDLT(d *caddyfile.Dispenser) error {
	const example = "dlt { entity 1101456780000012345 }"
	if _, err := arguments(d, "dlt", example, noArg); err != nil {
		return err
	}
	s.DLT = &DLT{}
	return needBlock(d, "dlt", example, []option{
		text("entity", "entity 1101456780000012345", &s.DLT.Entity, nil),
		text("header", "header PHXMAL", &s.DLT.Header, nil),
		{name: "template", example: "template hi 1107160000000000002", many: true, args: argCount{1, 2}, read: func(_ *caddyfile.Dispenser, args []string) error {
			return s.DLT.addTemplate(args)
		}},
	})
}

// addTemplate takes the values of one line, [LANGUAGE] ID.
func (d *DLT) addTemplate(args []string) error {
	if len(args) == 1 {
		if d.Template != "" {
			return errors.New("template stands twice without a language: write it once, and the others as `template hi 1107160000000000002`")
		}
		d.Template = args[0]
		return nil
	}
	lang := strings.ToLower(args[0])
	if _, again := d.Templates[lang]; again {
		return fmt.Errorf("template stands twice for the language %q: write it once", lang)
	}
	if d.Templates == nil {
		d.Templates = map[string]string{}
	}
	d.Templates[lang] = args[1]
	return nil
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
	return s.check(s.conf)
}

// check returns what is wrong with the configuration; c is it, resolved.
func (s *HTTPSender) check(c httpsender.Config) error {
	switch {
	case s.BasicAuth != nil && (c.User == "" || c.Password == ""):
		return errors.New("sms http: basic_auth lacks its user or its password: write both")
	case s.Unicode != nil && (len(s.Unicode) != 2 || c.Unicode == "" || c.Plain == ""):
		return errors.New("sms http: unicode lacks a word or has one too much: write two, the provider's for Unicode and for plain text, e.g. `unicode 1 0`")
	case s.DLT != nil && c.DLT.Entity == "":
		return errors.New("sms http: dlt has no entity: write e.g. `entity 1101456780000012345`, as it was registered")
	}
	for lang := range c.DLT.Templates {
		if lang != "" && !slices.Contains(portal.Languages(), lang) {
			return fmt.Errorf("sms http: dlt has a template for %q, and no message is in that language: write one of %s",
				lang, strings.Join(portal.Languages(), ", "))
		}
	}
	// To make a sender connects to nobody.
	_, err := httpsender.New(c)
	return err
}

// config makes the sender's configuration; resolve is given an option's name
// and one of Caddy's placeholders in it.
func (s *HTTPSender) config(resolve func(option, placeholder string) string) httpsender.Config {
	c := httpsender.Config{
		URL:    resolveTemplate("url", s.URL, resolve),
		Method: resolveTemplate("method", s.Method, resolve),
	}
	for name, values := range s.Header {
		for _, v := range values {
			if c.Header == nil {
				c.Header = http.Header{}
			}
			c.Header.Add(name, resolveTemplate("header "+name, v, resolve))
		}
	}
	c.Body = resolveTemplate("body", s.Body, func(option, placeholder string) string {
		if strings.TrimSpace(s.Body) == placeholder {
			return resolve(option, placeholder) // that is the body, and no value in it
		}
		return httpsender.EscapeFor(c.Header.Get("Content-Type"), resolve(option, placeholder))
	})
	if b := s.BasicAuth; b != nil {
		c.User, c.Password = resolveTemplate("basic_auth", b.User, resolve), resolveTemplate("basic_auth", b.Password, resolve)
	}
	c.Expect = resolveTemplate("expect", s.Expect, resolve)
	if len(s.Unicode) == 2 {
		c.Unicode, c.Plain = resolveTemplate("unicode", s.Unicode[0], resolve), resolveTemplate("unicode", s.Unicode[1], resolve)
	}
	if d := s.DLT; d != nil {
		c.DLT = httpsender.DLT{
			Entity:    resolveTemplate("dlt entity", d.Entity, resolve),
			Header:    resolveTemplate("dlt header", d.Header, resolve),
			Templates: map[string]string{"": resolveTemplate("dlt template", d.Template, resolve)},
		}
		for lang, id := range d.Templates {
			c.DLT.Templates[lang] = resolveTemplate("dlt template "+lang, id, resolve)
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
