// Package httpsender sends text messages through a provider's HTTP interface,
// whatever that looks like: address, header fields and body are templates with
// placeholders such as {sms.to} and {sms.message} (contract, section 6).
//
// An answer of 2xx means sent, where the operator says so only if its body
// matches a pattern. Any other is an error and is tried again by the dispatch,
// but for a 4xx that is not about time (408, 425, 429): that wraps
// sms.ErrPermanent, and the next sender is asked at once. One that is not about
// the key or the account either wraps sms.ErrMessage too. Redirects are not
// followed, so that a message goes where the operator said and nowhere else.
package httpsender

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/kycvs/caddy-kycvs/authflow/sms"
)

// Name is what Sender.Name returns.
const Name = "http"

// Defaults of Config.
const (
	DefaultMethod      = http.MethodPost
	DefaultContentType = "application/json"
	DefaultBody        = `{"to":"{sms.to}","message":"{sms.message}","code":"{sms.code}","txnId":"{sms.txnId}"}`
	DefaultTimeout     = 10 * time.Second
)

// maxIdle is how many connections to the provider are kept open: as many as ask
// at once in a busy hour, or each message would begin with a handshake of TLS.
const maxIdle = 100

// idempotencyKey is the field by which a provider can tell that a retry is no
// second message (draft-ietf-httpapi-idempotency-key-header).
const idempotencyKey = "Idempotency-Key"

// Config configures a Sender. Placeholders may stand in the path and the query
// of URL, in values of Header and in Body. What one yields is escaped for its
// place: percent-encoded in URL, without control characters in Header, and in
// Body as ContentType asks for. It is never itself taken for a placeholder.
type Config struct {
	// URL is where to, http or https.
	URL string
	// Method is the request method. "" means DefaultMethod.
	Method string
	// Header is added to each request.
	Header http.Header
	// Body is the body. "" means DefaultBody, or none where Method is GET. With
	// DefaultBody goes the header field Idempotency-Key: {sms.id}, unless Header has
	// one.
	Body string
	// ContentType is the body's, and decides how what placeholders yield is
	// escaped in it: JSON (as the content of a string, the template brings the
	// quotes), application/x-www-form-urlencoded, XML, or text/plain. "" means
	// the Content-Type in Header, else DefaultContentType.
	ContentType string
	// User and Password, if there is one, are sent as RFC 7617 says (Basic). They
	// have no placeholders.
	User, Password string
	// Expect is a regular expression (RE2) that the first 64 KiB of a 2xx answer's
	// body must match for the message to be sent: some providers answer 200 to
	// everything. "" means that any will do.
	Expect string
	// DLT is what the messages are registered under in India.
	DLT DLT
	// Unicode and Plain are the provider's words for a text in Unicode and for one
	// in the alphabet of GSM; {sms.unicode} stands for the one that fits the
	// message. Both or none are given.
	Unicode, Plain string
	// Timeout is for one request, from connecting to the end of the answer.
	// 0 means DefaultTimeout.
	Timeout time.Duration
	// Client makes the requests, except that it follows no redirect. nil means
	// one of the Sender's own.
	Client *http.Client
}

// Sender is an sms.Sender over HTTP.
type Sender struct {
	method  string
	url     template
	host    string // "" means the URL's
	header  map[string][]template
	body    *template      // nil for none
	expect  *regexp.Regexp // nil for none
	timeout time.Duration
	client  *http.Client

	// While it is made: the placeholders there are, and those that stand somewhere.
	known placeholders
	used  map[string]bool
	// userinfo says that the URL has a user, whom net/http sends if there is no
	// header Authorization.
	userinfo bool
}

var _ sms.Sender = (*Sender)(nil)

// New returns a Sender, or what is wrong with cfg and what to write instead.
func New(cfg Config) (*Sender, error) {
	s := &Sender{method: cfg.Method, timeout: cfg.Timeout, client: newClient(cfg.Client), used: map[string]bool{}}
	if s.method == "" {
		s.method = DefaultMethod
	}
	if !httpguts.ValidHeaderFieldName(s.method) { // both are tokens, RFC 9110
		return nil, fmt.Errorf("sms http: %q is not a method: write POST, PUT or GET", s.method)
	}
	if s.timeout <= 0 {
		s.timeout = DefaultTimeout
	}
	var err error
	if s.expect, err = compileExpect(cfg.Expect); err != nil {
		return nil, err
	}
	if s.known, err = known(cfg); err != nil {
		return nil, err
	}
	if err := s.setURL(cfg.URL); err != nil {
		return nil, err
	}
	header := make(http.Header, len(cfg.Header))
	for name, values := range cfg.Header { // written in any case
		name = http.CanonicalHeaderKey(name)
		header[name] = append(header[name], values...)
	}
	contentType := cfg.ContentType
	if own := header.Get("Content-Type"); own != "" {
		if contentType != "" && contentType != own {
			return nil, fmt.Errorf("sms http: content type is both %q and, in a header, %q: write it once", contentType, own)
		}
		contentType = own
	}
	if err := s.setHeader(header); err != nil {
		return nil, err
	}
	if err := s.setUser(cfg); err != nil {
		return nil, err
	}
	if err := s.setBody(cfg.Body, contentType); err != nil {
		return nil, err
	}
	if err := cfg.DLT.unused(s.used); err != nil {
		return nil, err
	}
	if cfg.Unicode != "" && !s.used["unicode"] {
		return nil, errors.New("sms http: unicode is given, and {sms.unicode} stands nowhere: write it where the provider wants to know")
	}
	s.known, s.used = nil, nil
	return s, nil
}

// known returns the placeholders there are with cfg.
func known(cfg Config) (placeholders, error) {
	if err := cfg.DLT.check(); err != nil {
		return nil, err
	}
	all := maps.Clone(common)
	if cfg.DLT.given() {
		maps.Copy(all, cfg.DLT.placeholders())
	}
	if (cfg.Unicode == "") != (cfg.Plain == "") {
		return nil, errors.New("sms http: unicode needs two words: write the provider's for Unicode and for plain text, e.g. `unicode 1 0`")
	}
	if cfg.Unicode != "" {
		all["unicode"] = func(m sms.Message) string {
			if needsUnicode(m.Text) {
				return cfg.Unicode
			}
			return cfg.Plain
		}
	}
	return all, nil
}

// parse is placeholders.parse, noting what is used.
func (s *Sender) parse(text string, escape func(string) string) (template, error) {
	t, err := s.known.parse(text, escape)
	t.note(s.used)
	return t, err
}

// setUser makes the header field of Basic authentication.
func (s *Sender) setUser(cfg Config) error {
	user, password := cfg.User, cfg.Password
	switch {
	case user == "" && password == "":
		return nil
	case user == "" || password == "":
		return errors.New("sms http: basic_auth needs a user and a password: write e.g. `basic_auth {env.SMS_USER} {env.SMS_PASSWORD}`")
	case strings.Contains(user, ":"): // RFC 7617, section 2
		return errors.New("sms http: basic_auth has a colon in the user, which ends there: write a user without one, or the header Authorization")
	case strings.Contains(user+password, opening):
		return errors.New("sms http: basic_auth has a placeholder of the message: write the user and password of the account")
	case len(s.header["Authorization"]) > 0:
		return errors.New("sms http: there are basic_auth and the header Authorization: write one of them")
	case s.userinfo:
		return errors.New("sms http: there are basic_auth and a user in the URL: write one of them")
	}
	value := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	s.header["Authorization"] = []template{template{}.then(value)}
	return nil
}

func newClient(c *http.Client) *http.Client {
	own := &http.Client{}
	if c != nil {
		*own = *c
	} else {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxResponseHeaderBytes = maxAnswerHeader
		t.MaxIdleConnsPerHost = maxIdle
		own.Transport = t
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return own
}

func (s *Sender) setURL(raw string) error {
	_, rest, _ := strings.Cut(raw, "://")
	authority := rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority = rest[:i]
	}
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return errors.New("sms http: no URL: write the address of the provider's interface")
	case strings.Contains(authority, opening):
		// Where messages go to is the operator's choice, whatever is in them.
		return errors.New("sms http: the URL has a placeholder in its host: placeholders may stand in path and query")
	case err != nil: // whose text has the URL, which may have a key in it
		return errors.New("sms http: the URL cannot be read: write it as https://host/path?query")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return errors.New("sms http: the URL must begin with https:// (or http://) and a host")
	case strings.Contains(raw, "#"):
		return errors.New("sms http: the URL has a fragment (#…), which is never sent: remove it, or write # as %23")
	}
	s.userinfo = u.User != nil
	path, query, found := strings.Cut(raw, "?")
	s.url, err = s.parse(path, url.PathEscape)
	if err == nil && found {
		var q template
		q, err = s.parse(query, url.QueryEscape)
		s.url = s.url.then("?").join(q)
	}
	if err != nil {
		return fmt.Errorf("sms http: in the URL: %w", err)
	}
	return nil
}

func (s *Sender) setHeader(h http.Header) error {
	s.header = make(map[string][]template, len(h)+1)
	for name, values := range h {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("sms http: %q is not the name of a header field", name)
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return fmt.Errorf("sms http: header %s has a control character in its value: remove it", name)
			}
			t, err := s.parse(v, escapeHeader)
			if err != nil {
				return fmt.Errorf("sms http: in header %s: %w", name, err)
			}
			if name == "Host" {
				if t.dynamic() {
					return errors.New("sms http: header Host has a placeholder: write the host")
				}
				s.host = t.fill(sms.Message{})
				continue
			}
			s.header[name] = append(s.header[name], t)
		}
	}
	return nil
}

func (s *Sender) setBody(body, contentType string) error {
	if body == "" && (s.method == http.MethodGet || s.method == http.MethodHead) {
		return nil
	}
	if contentType == "" {
		contentType = DefaultContentType
	}
	f, err := formatOf(contentType)
	if err != nil {
		return err
	}
	if body == "" {
		body = f.standard
		if body != "" && len(s.header[idempotencyKey]) == 0 {
			key, err := s.parse("{sms.id}", escapeHeader)
			if err != nil {
				return err
			}
			s.header[idempotencyKey] = []template{key}
		}
	}
	if body == "" {
		return fmt.Errorf("sms http: there is no usual body of type %s: write one", contentType)
	}
	t, err := s.parse(body, f.escape)
	if err != nil {
		return fmt.Errorf("sms http: in the body: %w", err)
	}
	if f.check != nil {
		if err := f.check(t.fill(awkward)); err != nil {
			return err
		}
	}
	s.header["Content-Type"] = []template{template{}.then(contentType)}
	s.body = &t
	return nil
}

// Name implements sms.Sender.
func (*Sender) Name() string { return Name }

// Close closes connections that are kept for further messages.
func (s *Sender) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// Send implements sms.Sender.
func (s *Sender) Send(ctx context.Context, m sms.Message) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := s.request(ctx, m)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return cause(err)
	}
	defer resp.Body.Close()
	return s.judge(resp, cancel)
}

func (s *Sender) request(ctx context.Context, m sms.Message) (*http.Request, error) {
	var body io.Reader
	if s.body != nil {
		body = strings.NewReader(s.body.fill(m))
	}
	req, err := http.NewRequestWithContext(ctx, s.method, s.url.fill(m), body)
	if err != nil {
		// Its text has the URL.
		return nil, fmt.Errorf("the URL cannot be used once its placeholders are filled in: %w", sms.ErrPermanent)
	}
	req.Host = s.host
	for name, values := range s.header {
		for _, v := range values {
			req.Header[name] = append(req.Header[name], v.fill(m))
		}
	}
	if m.ID == "" && req.Header.Get(idempotencyKey) == "" {
		// An empty key would be one key for all messages.
		req.Header.Del(idempotencyKey)
	}
	return req, nil
}
