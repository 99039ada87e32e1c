// Package httpsender sends text messages through a provider's HTTP interface,
// whatever that looks like: address, header fields and body are templates with
// the placeholders {sms.to}, {sms.message}, {sms.code} and {sms.txnId}
// (contract, section 6).
//
// An answer of 2xx means sent. Any other is an error and is tried again by the
// dispatch, but for a 4xx that is not about time (408, 425, 429): that wraps
// sms.ErrPermanent, and the next sender is asked at once. Redirects are not
// followed, so that a message goes where the operator said and nowhere else.
package httpsender

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
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

const (
	// maxDrain and maxDrainTime are how much of an answer's body is read, and for
	// how long, so that the connection can be used again. What it says is of no
	// interest.
	maxDrain     = 64 << 10
	maxDrainTime = 250 * time.Millisecond
	// maxAnswerHeader bounds the header of an answer.
	maxAnswerHeader = 64 << 10
)

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
	// Body is the body. "" means DefaultBody, or none where Method is GET.
	Body string
	// ContentType is the body's, and decides how what placeholders yield is
	// escaped in it: JSON (as the content of a string, the template brings the
	// quotes), application/x-www-form-urlencoded, XML, or text/plain. "" means
	// the Content-Type in Header, else DefaultContentType.
	ContentType string
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
	body    *template // nil for none
	timeout time.Duration
	client  *http.Client
}

var _ sms.Sender = (*Sender)(nil)

// New returns a Sender, or what is wrong with cfg and what to write instead.
func New(cfg Config) (*Sender, error) {
	s := &Sender{method: cfg.Method, timeout: cfg.Timeout, client: newClient(cfg.Client)}
	if s.method == "" {
		s.method = DefaultMethod
	}
	if !httpguts.ValidHeaderFieldName(s.method) { // both are tokens, RFC 9110
		return nil, fmt.Errorf("sms http: %q is not a method: write POST, PUT or GET", s.method)
	}
	if s.timeout <= 0 {
		s.timeout = DefaultTimeout
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
	if err := s.setBody(cfg.Body, contentType); err != nil {
		return nil, err
	}
	return s, nil
}

func newClient(c *http.Client) *http.Client {
	own := &http.Client{}
	if c != nil {
		*own = *c
	} else {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxResponseHeaderBytes = maxAnswerHeader
		t.MaxIdleConnsPerHost = 16
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
	path, query, found := strings.Cut(raw, "?")
	s.url, err = parse(path, url.PathEscape)
	if err == nil && found {
		var q template
		q, err = parse(query, url.QueryEscape)
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
			t, err := parse(v, escapeHeader)
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
	}
	if body == "" {
		return fmt.Errorf("sms http: there is no usual body of type %s: write one", contentType)
	}
	t, err := parse(body, f.escape)
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
	// The outcome is known: an answer that then dawdles must not make it late,
	// or the message would be sent again.
	defer time.AfterFunc(maxDrainTime, cancel).Stop()
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
	return statusError(resp.StatusCode)
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
	return req, nil
}

// statusError returns nil for 2xx.
func statusError(status int) error {
	switch {
	case status >= 200 && status <= 299:
		return nil
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
	case status >= 400 && status <= 499:
		return fmt.Errorf("status %d: %w", status, sms.ErrPermanent)
	}
	return fmt.Errorf("status %d", status)
}
