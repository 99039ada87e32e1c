package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// browser is a client with a cookie jar of its own that follows no redirect.
type browser struct {
	t    testing.TB
	in   *instance
	base string // scheme://host:port
	jar  http.CookieJar
	c    *http.Client
}

// answer is a response, read to its end.
type answer struct {
	*http.Response
	body []byte
}

func (a *answer) String() string {
	return fmt.Sprintf("%d %v %.600s", a.StatusCode, a.Header, a.body)
}

// origin is the address of a site of the instance, "https://mall.example" say,
// with the port.
func (in *instance) origin(site string) string {
	port := in.httpPort
	if strings.HasPrefix(site, "https:") {
		port = in.tlsPort
	}
	return site + ":" + strconv.Itoa(port)
}

// dial connects to the instance whatever the address says.
func (in *instance) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// hasCertificate tells whether a TLS handshake for the host succeeds.
func (in *instance) hasCertificate(host string) bool {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(in.tlsPort)),
		&tls.Config{ServerName: host, InsecureSkipVerify: true})
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// browse opens a new browser at a site, e.g. "https://mall.example".
func (in *instance) browse(t testing.TB, site string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{
		DialContext:         in.dial,
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2:   true,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 64,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &browser{t: t, in: in, base: in.origin(site), jar: jar, c: &http.Client{
		Transport:     tr,
		Jar:           jar,
		Timeout:       2 * patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// at is the same browser (the same cookies) at another site.
func (b *browser) at(site string) *browser {
	c := *b
	c.base = b.in.origin(site)
	return &c
}

// as is the same browser for another test.
func (b *browser) as(t testing.TB) *browser {
	c := *b
	c.t = t
	return &c
}

// try sends a request; path may be a whole address.
func (b *browser) try(method, path, contentType, body string, header ...string) (*answer, error) {
	target := path
	if strings.HasPrefix(path, "/") {
		target = b.base + path
	}
	var rd io.Reader
	if body != "" || contentType != "" {
		rd = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, target, rd)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := b.c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return &answer{resp, got}, err
}

func (b *browser) do(method, path, contentType, body string, header ...string) *answer {
	b.t.Helper()
	a, err := b.try(method, path, contentType, body, header...)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// navigate is what a browser sends for a link.
func (b *browser) navigate(path string, header ...string) *answer {
	b.t.Helper()
	return b.do("GET", path, "", "", append([]string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "none",
		"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, header...)...)
}

// fetch is what a program sends.
func (b *browser) fetch(path string, header ...string) *answer {
	b.t.Helper()
	return b.do("GET", path, "", "", append([]string{"Accept", "application/json"}, header...)...)
}

// json posts a program's JSON.
func (b *browser) json(path string, v any, header ...string) *answer {
	b.t.Helper()
	body, ok := v.(string)
	if !ok {
		raw, err := json.Marshal(v)
		if err != nil {
			b.t.Fatal(err)
		}
		body = string(raw)
	}
	return b.do("POST", path, "application/json", body, append([]string{"Accept", "application/json"}, header...)...)
}

// form posts a form as a browser does from one of the site's own pages.
func (b *browser) form(path string, v url.Values, header ...string) *answer {
	b.t.Helper()
	return b.do("POST", path, "application/x-www-form-urlencoded", v.Encode(), append([]string{"Origin", b.base, "Sec-Fetch-Site", "same-origin",
		"Sec-Fetch-Mode", "navigate", "Accept", "text/html,application/xhtml+xml,*/*;q=0.8"}, header...)...)
}

// cookies is the Cookie field this browser would send to its site.
func (b *browser) cookies() string {
	u, _ := url.Parse(b.base + "/")
	var s []string
	for _, c := range b.jar.Cookies(u) {
		s = append(s, c.Name+"="+c.Value)
	}
	return strings.Join(s, "; ")
}

// pass is the value of the pass cookie, "" if there is none.
func (b *browser) pass() string {
	u, _ := url.Parse(b.base + "/")
	for _, c := range b.jar.Cookies(u) {
		if c.Name == passCookie(b.base) {
			return c.Value
		}
	}
	return ""
}

// passCookie is the pass's name at an address.
func passCookie(base string) string {
	if strings.HasPrefix(base, "https:") {
		return "__Host-kycvs"
	}
	return "kycvs"
}

// fields is a JSON object.
type fields map[string]any

// object reads an answer's JSON object.
func (a *answer) object(t testing.TB) fields {
	t.Helper()
	var m fields
	d := json.NewDecoder(bytes.NewReader(a.body))
	if err := d.Decode(&m); err != nil {
		t.Fatalf("the answer is no JSON object (%v): %v", err, a)
	}
	return m
}

func (f fields) str(name string) string {
	s, _ := f[name].(string)
	return s
}

func (f fields) num(t testing.TB, name string) int {
	t.Helper()
	n, ok := f[name].(float64)
	if !ok {
		t.Fatalf("%q is %v, want a number, in %v", name, f[name], f)
	}
	return int(n)
}

// refuses checks an error of section 4's table.
func (a *answer) refuses(t testing.TB, status int, code string) fields {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("got %v\nwant %d %s", a, status, code)
	}
	if ct := a.Header.Get("Content-Type"); !strings.HasPrefix(ct, "application/problem+json") {
		t.Fatalf("Content-Type %q, want application/problem+json", ct)
	}
	m := a.object(t)
	if code != "" && m.str("code") != code {
		t.Fatalf("code %q, want %q, in %s", m.str("code"), code, a.body)
	}
	if cc := a.Header.Get("Cache-Control"); !strings.Contains(cc, "no-store") {
		t.Errorf("Cache-Control %q, want no-store", cc)
	}
	if retry := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable; retry && a.Header.Get("Retry-After") == "" {
		t.Errorf("%d without Retry-After", status)
	}
	return m
}

// typed is what a person enters, over the defaults of an ordinary request.
func (p person) typed(over ...string) fields {
	f := fields{"mobile_number": p.mobile, "full_name": p.name, "consent": "Y"}
	for i := 0; i+1 < len(over); i += 2 {
		f[over[i]] = over[i+1]
	}
	return f
}

// ask asks for a code and returns the handshake's txnId and the code.
func (b *browser) ask(p person, over ...string) (txn, code string) {
	b.t.Helper()
	a := b.json("/.kycvs/otp", p.typed(over...))
	if a.StatusCode != http.StatusOK {
		b.t.Fatalf("asking for a code: %v", a)
	}
	return a.object(b.t).str("txnId"), b.in.sms.next(b.t, p.mobile).Code
}

// verify enters a code.
func (b *browser) verify(txn, code string, over ...string) *answer {
	b.t.Helper()
	f := fields{"txnId": txn, "otp": code}
	for i := 0; i+1 < len(over); i += 2 {
		f[over[i]] = over[i+1]
	}
	return b.json("/.kycvs/verify", f)
}

// signIn runs the whole handshake as a program and returns verify's answer.
func (b *browser) signIn(p person, over ...string) fields {
	b.t.Helper()
	txn, code := b.ask(p, over...)
	a := b.verify(txn, code)
	if a.StatusCode != http.StatusOK {
		b.t.Fatalf("entering the code: %v", a)
	}
	m := a.object(b.t)
	if got := m.num(b.t, "vaccination_status"); got != p.status {
		b.t.Fatalf("status %d for %s, want %d", got, p.name, p.status)
	}
	return m
}

// htmlForm is a form of a page.
type htmlForm struct {
	action string // resolved
	method string
	values url.Values          // hidden fields and preset values
	inputs map[string]htmlAttr // every named field
}

type htmlAttr map[string]string

// forms reads a page's forms.
func (a *answer) forms(t testing.TB) []htmlForm {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	var fs []htmlForm
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		at := htmlAttr{}
		for _, x := range n.Attr {
			at[x.Key] = x.Val
		}
		switch n.Data {
		case "form":
			action, err := a.Request.URL.Parse(at["action"])
			if err != nil {
				t.Fatal(err)
			}
			fs = append(fs, htmlForm{action.String(), strings.ToUpper(or(at["method"], "get")), url.Values{}, map[string]htmlAttr{}})
		case "input", "select", "textarea", "button":
			if len(fs) == 0 || at["name"] == "" {
				continue
			}
			f := fs[len(fs)-1]
			f.inputs[at["name"]] = at
			if _, has := at["value"]; has && at["type"] != "checkbox" && at["type"] != "radio" {
				f.values.Set(at["name"], at["value"])
			}
		}
	}
	return fs
}

// formWith is the page's form that has the named field.
func (a *answer) formWith(t testing.TB, name string) htmlForm {
	t.Helper()
	for _, f := range a.forms(t) {
		if _, ok := f.inputs[name]; ok && f.method == "POST" {
			return f
		}
	}
	t.Fatalf("no form with %q on the page: %v", name, a)
	return htmlForm{}
}

// submit posts a form with further fields filled in.
func (b *browser) submit(f htmlForm, kv ...string) *answer {
	b.t.Helper()
	v := url.Values{}
	for name, vs := range f.values {
		v[name] = vs
	}
	for i := 0; i+1 < len(kv); i += 2 {
		v.Set(kv[i], kv[i+1])
	}
	return b.form(f.action, v)
}
