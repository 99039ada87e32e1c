package httpsender

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/kycvs/caddy-kycvs/authflow/sms"
)

var message = sms.Message{
	To:    "+919876543210",
	Text:  "123456 is your code for \"Entry\" & more.\n\n@mall.example #123456",
	Code:  "123456",
	TxnID: "3fa85f64-5717-4562-b3fc-2c963f66afa6",
}

// seen is a request as a provider got it.
type seen struct {
	method, uri, host, body string
	client                  string // address
	header                  http.Header
}

// provider is an HTTP server that answers with the statuses given, the last
// one again and again, and keeps what it was sent.
type provider struct {
	*httptest.Server
	mu   sync.Mutex
	seen []seen
}

func newProvider(t *testing.T, statuses ...int) *provider {
	p := &provider{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		p.seen = append(p.seen, seen{r.Method, r.RequestURI, r.Host, string(body), r.RemoteAddr, r.Header})
		status := statuses[min(len(p.seen), len(statuses))-1]
		p.mu.Unlock()
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		io.WriteString(w, "to: "+message.To) // providers repeat what they got
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) requests() []seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

func mustNew(t testing.TB, cfg Config) *Sender {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestDefaults(t *testing.T) {
	p := newProvider(t, 200)
	s := mustNew(t, Config{URL: p.URL + "/send"})
	if s.Name() != "http" {
		t.Errorf("Name is %q", s.Name())
	}
	if err := s.Send(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	got := p.requests()[0]
	if got.method != "POST" || got.uri != "/send" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %+v", got)
	}
	const want = `{"to":"+919876543210","message":"123456 is your code for \"Entry\" \u0026 more.\n\n@mall.example #123456",` +
		`"code":"123456","txnId":"3fa85f64-5717-4562-b3fc-2c963f66afa6"}`
	if got.body != want {
		t.Errorf("body is\n%s\nwant\n%s", got.body, want)
	}
}

func TestRequest(t *testing.T) {
	p := newProvider(t, 204)
	host := strings.TrimPrefix(p.URL, "http://")
	nasty := message
	nasty.Text = "a b+c&d=e/f?g#h%20\r\nX-Injected: 1\x00 \"q\" \\ <t> {sms.code} प्र {"
	for _, test := range []struct {
		name    string
		cfg     Config // URL behind the provider's
		message sms.Message
		want    seen // header: those that are compared
	}{
		{
			name:    "form",
			cfg:     Config{URL: "/", Body: "to={sms.to}&text={sms.message}", ContentType: "application/x-www-form-urlencoded"},
			message: nasty,
			want: seen{method: "POST", uri: "/", body: "to=%2B919876543210&text=" + url.QueryEscape(nasty.Text),
				header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}},
		},
		{
			name: "form by header",
			cfg: Config{URL: "/", Body: "c={sms.code}&m={sms.message}",
				Header: http.Header{"content-type": {"application/x-www-form-urlencoded; charset=utf-8"}}},
			message: message,
			want: seen{method: "POST", uri: "/", body: "c=123456&m=" + url.QueryEscape(message.Text),
				header: http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}},
		},
		{
			name:    "query and path",
			cfg:     Config{URL: "/v1/{sms.to}/a%20b?m={sms.message}&key=k&x={not.ours}", Method: "GET"},
			message: nasty,
			want:    seen{method: "GET", uri: "/v1/+919876543210/a%20b?m=" + url.QueryEscape(nasty.Text) + "&key=k&x={not.ours}"},
		},
		{
			name:    "path with everything",
			cfg:     Config{URL: "/m/{sms.message}", Method: "PUT", Body: "x", ContentType: "text/plain"},
			message: nasty,
			want:    seen{method: "PUT", uri: "/m/" + url.PathEscape(nasty.Text), body: "x"},
		},
		{
			name: "header",
			cfg: Config{URL: "/", Header: http.Header{"X-To": {"tel:{sms.to}"}, "X-Message": {"{sms.message}"},
				"Idempotency-Key": {"{sms.txnId}"}, "Authorization": {"Bearer k"}, "X-Two": {"1", "2"}, "Host": {"api.example"}}},
			message: nasty,
			want: seen{method: "POST", uri: "/", host: "api.example",
				body: mustNew(t, Config{URL: "http://x/"}).body.fill(nasty),
				header: http.Header{"X-To": {"tel:+919876543210"}, "X-Injected": nil,
					"X-Message":       {`a b+c&d=e/f?g#h%20 X-Injected: 1 "q" \ <t> {sms.code} प्र {`},
					"Idempotency-Key": {message.TxnID}, "Authorization": {"Bearer k"}, "X-Two": {"1", "2"}}},
		},
		{
			name:    "own JSON",
			cfg:     Config{URL: "/", Body: `{"a":{"b":["{sms.to}","{sms.code} is {x}"]}}`, ContentType: "application/vnd.x+json"},
			message: message,
			want: seen{method: "POST", uri: "/", body: `{"a":{"b":["+919876543210","123456 is {x}"]}}`,
				header: http.Header{"Content-Type": {"application/vnd.x+json"}}},
		},
		{
			name:    "XML",
			cfg:     Config{URL: "/", Body: `<sms to="{sms.to}">{sms.message}</sms>`, ContentType: "text/xml"},
			message: message,
			want: seen{method: "POST", uri: "/",
				body: `<sms to="+919876543210">123456 is your code for &#34;Entry&#34; &amp; more.&#xA;&#xA;@mall.example #123456</sms>`},
		},
		{
			name:    "plain text",
			cfg:     Config{URL: "/", Body: `{sms.to}:{sms.message}`, ContentType: "text/plain; charset=utf-8"},
			message: nasty,
			want:    seen{method: "POST", uri: "/", body: nasty.To + ":" + nasty.Text},
		},
		{
			name:    "user and password",
			cfg:     Config{URL: "/", Method: "GET"},
			message: message,
			want:    seen{method: "GET", uri: "/", header: http.Header{"Authorization": {"Basic dTpw"}}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.URL = p.URL + test.cfg.URL
			if test.name == "user and password" {
				test.cfg.URL = strings.Replace(test.cfg.URL, "://", "://u:p@", 1)
			}
			before := len(p.requests())
			if err := mustNew(t, test.cfg).Send(t.Context(), test.message); err != nil {
				t.Fatal(err)
			}
			got := p.requests()[before]
			if test.want.host == "" {
				test.want.host = host
			}
			for name, want := range test.want.header {
				if !slices.Equal(got.header[name], want) {
					t.Errorf("%s is %q, want %q", name, got.header[name], want)
				}
			}
			got.client, got.header, test.want.header = "", nil, nil
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got\n%q\nwant\n%q", got, test.want)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	for _, test := range []struct {
		status          int
		sent, permanent bool
	}{
		{200, true, false}, {201, true, false}, {202, true, false}, {204, true, false}, {299, true, false},
		{301, false, false}, {302, false, false}, {307, false, false}, {308, false, false}, {304, false, false},
		{400, false, true}, {401, false, true}, {402, false, true}, {404, false, true}, {422, false, true}, {499, false, true},
		{408, false, false}, {425, false, false}, {429, false, false},
		{500, false, false}, {502, false, false}, {503, false, false}, {599, false, false},
	} {
		t.Run(fmt.Sprint(test.status), func(t *testing.T) {
			p := newProvider(t, test.status)
			err := mustNew(t, Config{URL: p.URL}).Send(t.Context(), message)
			if (err == nil) != test.sent || errors.Is(err, sms.ErrPermanent) != test.permanent {
				t.Errorf("got %v, want sent %v, permanent %v", err, test.sent, test.permanent)
			}
			if err != nil {
				if want := fmt.Sprintf("status %d", test.status); !strings.HasPrefix(err.Error(), want) {
					t.Errorf("error %q does not begin with %q", err, want)
				}
				wantPrivate(t, err.Error())
			}
			if n := len(p.requests()); n != 1 {
				t.Errorf("%d requests, want 1: nothing is followed or repeated here", n)
			}
		})
	}
}

func wantPrivate(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{"9876543210", message.Code, "Entry", message.TxnID, "s3cret"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in %s", secret, text)
		}
	}
}

// TestErrors has every way in which net/http fails, with the message and a key
// in the URL, which its errors repeat.
func TestErrors(t *testing.T) {
	const path = "/send?key=s3cret&to={sms.to}&m={sms.message}&c={sms.code}"
	closed := httptest.NewServer(nil)
	closed.Close()
	// raw answers with text, whatever is asked.
	raw := func(text string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.SetDeadline(time.Now().Add(10 * time.Second))
				buf := make([]byte, 4096)
				c.Read(buf)
				io.WriteString(c, text)
				c.Close()
			}
		}()
		return "http://" + l.Addr().String()
	}
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release }))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(release) })
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := newProvider(t, 200)

	for _, test := range []struct {
		name, base, says string
		is               error
	}{
		{"nobody listens", closed.URL, "connection refused", nil},
		{"no such host", "http://no-such-host.invalid", "no-such-host.invalid", nil},
		{"no answer in time", slow.URL, "no answer in time", context.DeadlineExceeded},
		{"closed without an answer", raw(""), "without an answer", nil},
		{"not HTTP", raw("to 919876543210 code 123456\r\n\r\n"), "could not be read", nil},
		{"a header that is none", raw("HTTP/1.1 200 OK\r\n9876543210\r\n\r\n"), "could not be read", nil},
		{"an endless header", raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("9876543210", maxAnswerHeader/5) + "\r\n\r\n"), "could not be read", nil},
		{"a certificate that is not known", secure.URL, "certificate", nil},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), "http://", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := mustNew(t, Config{URL: test.base + path, Timeout: 300 * time.Millisecond})
			if test.is == nil {
				s.timeout = 10 * time.Second
			}
			err := s.Send(t.Context(), message)
			if err == nil {
				t.Fatal("no error")
			}
			t.Log(err)
			wantPrivate(t, err.Error())
			for e := err; e != nil; e = errors.Unwrap(e) {
				wantPrivate(t, fmt.Sprintf("%v %+v", e, e))
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q does not say %q", err, test.says)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %v is not %v", err, test.is)
			}
			if errors.Is(err, sms.ErrPermanent) {
				t.Errorf("%v is called permanent", err)
			}
		})
	}
	t.Run("given up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := mustNew(t, Config{URL: slow.URL + path}).Send(ctx, message); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

// TestSlowBody is an answer whose body does not end: it is sent all the same,
// and soon.
func TestSlowBody(t *testing.T) {
	release := make(chan struct{})
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		<-release
	}))
	defer p.Close()
	defer close(release)
	s := mustNew(t, Config{URL: p.URL, Timeout: time.Minute})
	start := time.Now()
	if err := s.Send(t.Context(), message); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestConnectionReused(t *testing.T) {
	p := newProvider(t, 200)
	s := mustNew(t, Config{URL: p.URL})
	clients := map[string]bool{}
	for range 5 {
		if err := s.Send(t.Context(), message); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range p.requests() {
		clients[r.client] = true
	}
	if len(clients) != 1 {
		t.Errorf("%d connections for 5 messages, want 1", len(clients))
	}
}

// TestClient sends with a client of the caller's, which is left as it is.
func TestClient(t *testing.T) {
	p := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer p.Close()
	c := p.Client()
	c.Transport.(*http.Transport).TLSClientConfig.MinVersion = tls.VersionTLS12
	err := mustNew(t, Config{URL: p.URL, Client: c}).Send(t.Context(), message)
	if err == nil || err.Error() != "status 302" {
		t.Errorf("got %v, want status 302", err)
	}
	if c.CheckRedirect != nil {
		t.Error("the caller's client was changed")
	}
}

func TestNewRefuses(t *testing.T) {
	const u = "https://sms.example/send"
	for _, test := range []struct {
		name string
		cfg  Config
		says string
	}{
		{"no URL", Config{}, "no URL"},
		{"no scheme", Config{URL: "sms.example/send"}, "https://"},
		{"another scheme", Config{URL: "ftp://sms.example/"}, "https://"},
		{"no host", Config{URL: "https:///send"}, "host"},
		{"not a URL", Config{URL: "https://sms.example:port/s3cret"}, "cannot be read"},
		{"placeholder in the host", Config{URL: "https://{sms.to}.example/"}, "placeholder in its host"},
		{"placeholder as the user", Config{URL: "https://{sms.to}@sms.example/"}, "placeholder in its host"},
		{"fragment", Config{URL: u + "#s3cret"}, "%23"},
		{"unknown in the path", Config{URL: u + "/{sms.number}"}, "{sms.number} is not known: write {sms.code}, {sms.id}, {sms.lang}, {sms.message}, {sms.to}, {sms.to_digits}, {sms.to_national} or {sms.txnId}"},
		{"unknown in the query", Config{URL: u + "?to={sms.To}"}, "in the URL: {sms.To} is not known"},
		{"unknown in a header", Config{URL: u, Header: http.Header{"X-A": {"{sms.txnid}"}}}, "in header X-A: {sms.txnid} is not known"},
		{"unknown in the body", Config{URL: u, Body: `{"x":"{sms.}"}`}, "in the body: {sms.} is not known"},
		{"open placeholder", Config{URL: u, Body: `{"x":"{sms.to"`}, "no } at its end"},
		{"body that is no JSON", Config{URL: u, Body: "to={sms.to}"}, "application/x-www-form-urlencoded"},
		{"placeholder without quotes", Config{URL: u, Body: `{"code":{sms.code}}`}, "quotes"},
		{"body that is no XML", Config{URL: u, Body: `<a b={sms.to}></a>`, ContentType: "application/xml"}, "XML"},
		{"body that is half an XML", Config{URL: u, Body: `<a>{sms.to}`, ContentType: "application/xml"}, "XML"},
		{"no body for a form", Config{URL: u, ContentType: "application/x-www-form-urlencoded"}, "write one"},
		{"unknown content type", Config{URL: u, Body: "x", ContentType: "multipart/form-data"}, "multipart/form-data"},
		{"no content type", Config{URL: u, Body: "x", ContentType: "json"}, "json"},
		{"content type with a placeholder", Config{URL: u, Body: "x", ContentType: `text/plain; x="{sms.code}"`}, "not a content type"},
		{"two content types", Config{URL: u, ContentType: "text/plain", Header: http.Header{"Content-Type": {"application/json"}}}, "once"},
		{"method", Config{URL: u, Method: "PO ST"}, "method"},
		{"header name", Config{URL: u, Header: http.Header{"X A": {"b"}}}, "X A"},
		{"header value", Config{URL: u, Header: http.Header{"X-A": {"s3cret\r\nX-B: c"}}}, "control character"},
		{"placeholder in Host", Config{URL: u, Header: http.Header{"Host": {"{sms.to}.example"}}}, "Host"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := New(test.cfg)
			if err == nil || s != nil {
				t.Fatalf("got %v, %v, want an error", s, err)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q does not say %q", err, test.says)
			}
			wantPrivate(t, err.Error())
		})
	}
}

// TestDispatch sends through real servers, as in life.
func TestDispatch(t *testing.T) {
	busy, broken, good := newProvider(t, 503, 503, 200), newProvider(t, 500), newProvider(t, 200)
	denied := newProvider(t, 401)
	for _, test := range []struct {
		name      string
		providers []*provider
		want      error
		requests  []int
		outcomes  string
	}{
		{"retry", []*provider{busy, good}, nil, []int{3, 0}, "sent"},
		{"next", []*provider{broken, good}, nil, []int{3, 1}, "failed sent"},
		{"next at once", []*provider{denied, good}, nil, []int{1, 1}, "failed sent"},
		{"none", []*provider{denied, broken}, sms.ErrNotSent, []int{1, 3}, "failed failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var senders []sms.Sender
			var before []int
			for _, p := range test.providers {
				senders = append(senders, mustNew(t, Config{URL: p.URL}))
				before = append(before, len(p.requests()))
			}
			var outcomes []string
			d, err := sms.NewDispatcher(sms.DispatcherConfig{
				Senders: senders,
				// Long, so that a slow machine does not make a failure a late one.
				Wait:    20 * time.Second,
				Observe: func(_, outcome string) { outcomes = append(outcomes, outcome) },
				Logger:  slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Send(t.Context(), message, func() { t.Error("failed was called") }); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if err := d.Close(t.Context()); err != nil {
				t.Error(err)
			}
			for i, p := range test.providers {
				if got := len(p.requests()) - before[i]; got != test.requests[i] {
					t.Errorf("sender %d was asked %d times, want %d", i, got, test.requests[i])
				}
			}
			if got := strings.Join(outcomes, " "); got != test.outcomes {
				t.Errorf("outcomes are %q, want %q", got, test.outcomes)
			}
		})
	}
}

// TestDispatchSlow has a provider that takes longer than whoever asked waits.
func TestDispatchSlow(t *testing.T) {
	for _, test := range []struct {
		status int
		failed bool
	}{{200, false}, {400, true}} {
		t.Run(fmt.Sprint(test.status), func(t *testing.T) {
			release := make(chan struct{})
			p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-release
				w.WriteHeader(test.status)
			}))
			defer p.Close()
			d, err := sms.NewDispatcher(sms.DispatcherConfig{
				Senders: []sms.Sender{mustNew(t, Config{URL: p.URL})},
				Wait:    20 * time.Millisecond,
				Logger:  slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			var failed atomic.Int32
			if err := d.Send(t.Context(), message, func() { failed.Add(1) }); err != nil {
				t.Errorf("Send: %v", err)
			}
			close(release)
			if err := d.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if got := failed.Load() == 1; got != test.failed {
				t.Errorf("failed was called %d times", failed.Load())
			}
		})
	}
}

// FuzzEscape fills any values into each kind of place and reads them back as a
// provider would.
func FuzzEscape(f *testing.F) {
	f.Add("+919876543210", "\"quoted\" \\ </a>&\r\n\u2028\x00 {sms.code} प्र", "012345", "t-1")
	f.Add("{sms.message}", "{sms.to}", "}", "{sms.")
	f.Add("\xff\xfe", "a=b&c", "#", "%41+ ")
	jsonSender := mustNew(f, Config{URL: "http://x/"})
	own := mustNew(f, Config{URL: "http://x/", Body: `["{sms.to}",{"{sms.message}":"{sms.code}{sms.txnId}"}]`})
	form := mustNew(f, Config{URL: "http://x/p/{sms.message}/end?a={sms.to}&b={sms.message}",
		Body: "to={sms.to}&message={sms.message}&code={sms.code}&txnId={sms.txnId}&id={sms.id}&lang={sms.lang}&digits={sms.to_digits}&national={sms.to_national}", ContentType: "application/x-www-form-urlencoded",
		Header: http.Header{"X-Message": {"{sms.to}{sms.message}"}}})
	xmlSender := mustNew(f, Config{URL: "http://x/", Body: `<m to="{sms.to}"><t>{sms.message}</t></m>`, ContentType: "text/xml"})
	f.Fuzz(func(t *testing.T, to, text, code, txnID string) {
		m := sms.Message{To: to, Text: text, Code: code, TxnID: txnID, ID: code + txnID, Lang: text}
		valid := func(s string) string { return string([]rune(s)) } // each bad byte is one U+FFFD

		var j struct{ To, Message, Code, TxnID string }
		if err := json.Unmarshal([]byte(jsonSender.body.fill(m)), &j); err != nil {
			t.Fatalf("JSON: %v", err)
		}
		if j.To != valid(to) || j.Message != valid(text) || j.Code != valid(code) || j.TxnID != valid(txnID) {
			t.Fatalf("JSON: %+v from %+v", j, m)
		}
		var list []any
		if err := json.Unmarshal([]byte(own.body.fill(m)), &list); err != nil {
			t.Fatalf("own JSON: %v", err)
		}
		// Two values side by side are one string, so that the halves of a
		// character could meet; escaping keeps them apart.
		if want := valid(code) + valid(txnID); len(list) != 2 || list[0] != valid(to) || list[1].(map[string]any)[valid(text)] != want {
			t.Fatalf("own JSON: %+v from %+v", list, m)
		}

		q, err := url.ParseQuery(form.body.fill(m))
		if err != nil || len(q) != 8 || q.Get("id") != m.ID || q.Get("lang") != m.Lang || q.Get("digits") != strings.TrimPrefix(to, "+") || q.Get("to") != to || q.Get("message") != text || q.Get("code") != code || q.Get("txnId") != txnID {
			t.Fatalf("form: %v, %v from %+v", q, err, m)
		}
		req, err := form.request(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if req.URL.Host != "x" || req.URL.Path != "/p/"+text+"/end" || strings.Count(req.URL.EscapedPath(), "/") != 3 {
			t.Fatalf("URL: %q from %+v", req.URL, m)
		}
		if q := req.URL.Query(); len(q) != 2 || q.Get("a") != to || q.Get("b") != text {
			t.Fatalf("query: %v from %+v", q, m)
		}
		if v := req.Header.Get("X-Message"); !httpguts.ValidHeaderFieldValue(v) {
			t.Fatalf("header: %q from %+v", v, m)
		}

		var x struct {
			To string `xml:"to,attr"`
			T  string `xml:"t"`
		}
		if err := xml.Unmarshal([]byte(xmlSender.body.fill(m)), &x); err != nil {
			t.Fatalf("XML: %v", err)
		}
	})
}

// FuzzParse reads any template. What it yields for a message made of nothing
// but marks is the text with its placeholders replaced, once.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "{", "{sms.to}", "{sms.", "{{sms.code}}", "{sms.to{sms.to}}", "a{sms.message}b{sms.txnId}"} {
		f.Add(s)
	}
	replacer := strings.NewReplacer("{sms.to}", "{sms.code}", "{sms.message}", "}", "{sms.code}", "{sms.", "{sms.txnId}", "{sms.to}")
	f.Fuzz(func(t *testing.T, text string) {
		tmpl, err := common.parse(text, asIs)
		if err != nil {
			if !strings.Contains(text, opening) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		got := tmpl.fill(sms.Message{To: "{sms.code}", Text: "}", Code: "{sms.", TxnID: "{sms.to}"})
		if want := replacer.Replace(text); got != want {
			t.Fatalf("%q yields %q, want %q", text, got, want)
		}
	})
}
