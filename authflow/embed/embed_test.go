package embed_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/authflowtest"
	"github.com/kycvs/caddy-kycvs/authflow/embed"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
)

const (
	mallOrigin = "https://mall.example"
	mallReturn = "https://mall.example/checked"
	railReturn = "https://rail.example/back?way=train"
)

// authority is an embed.Handler beside the portal, as a site serves them.
type authority struct {
	*authflowtest.World
	t       testing.TB
	embed   *embed.Handler
	portal  *portal.Handler
	mall    *authflow.Audience
	rail    *authflow.Audience
	cookies map[string]string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	w := authflowtest.New(t)
	pages, err := portal.NewPages()
	if err != nil {
		t.Fatal(err)
	}
	minter := &authflow.Minter{Keys: w.Keys, Observer: w.Counts}
	au := &authority{World: w, t: t, cookies: map[string]string{},
		mall: w.Audience("kyc.example", "mall", "Entry to the mall"),
		rail: w.Audience("kyc.example", "rail", "Travel by train"),
	}
	au.portal = &portal.Handler{
		Flow: w.Flow, Minter: minter, Withdrawals: &w.Withdrawals.Set, Whole: w.Whole(), Pages: pages,
		Logger: slog.New(slog.DiscardHandler), Now: w.Now,
	}
	au.embed, err = embed.New(embed.Config{
		Flow: w.Flow, Minter: minter, Withdrawals: &w.Withdrawals.Set, Whole: w.Whole(), Pages: pages,
		Logger: slog.New(slog.DiscardHandler),
		Partners: map[string]embed.Registered{
			"mall": {Origins: []string{mallOrigin, "https://www.mall.example"}, Returns: []string{mallReturn}},
			"rail": {Origins: []string{"https://rail.example:8443"}, Returns: []string{railReturn}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return au
}

func (au *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := &portal.Visit{
		Audiences: []*authflow.Audience{au.mall, au.rail}, IP: netip.MustParseAddr("192.0.2.1"),
		Cookie: pass.Value(r.Header, pass.CookieNamePlain), Path: r.URL.Path, Query: r.URL.RawQuery,
	}
	if embed.Serves(r.URL.Path) {
		au.embed.ServeHTTP(w, r, v)
		return
	}
	au.portal.ServeHTTP(w, r, v)
}

// do sends a request with the browser's cookies and keeps those it gets.
func (au *authority) do(method, target, body string, header ...string) *http.Response {
	au.t.Helper()
	r := httptest.NewRequestWithContext(au.t.Context(), method, target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	for name, value := range au.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	rec := httptest.NewRecorder()
	au.ServeHTTP(rec, r)
	resp := rec.Result()
	for _, c := range resp.Cookies() {
		au.cookies[c.Name] = c.Value
	}
	return resp
}

// as is the same authority and browser for another test.
func (au *authority) as(t testing.TB) *authority {
	other := *au
	other.t = t
	return &other
}

func (au *authority) get(target string) *http.Response { return au.do("GET", target, "") }

func body(t testing.TB, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func frameAt(partner, origin, nonce string) string {
	return "/embed/?" + url.Values{"partner": {partner}, "origin": {origin}, "nonce": {nonce}}.Encode()
}

var sessionOf = regexp.MustCompile(`data-session="([^"]*)"`)

// session opens a frame and returns what binds it.
func (au *authority) session() string {
	au.t.Helper()
	page := body(au.t, au.get(frameAt("mall", mallOrigin, "n-1")))
	m := sessionOf.FindStringSubmatch(page)
	if m == nil {
		au.t.Fatalf("no session in %s", page)
	}
	return m[1]
}

type object map[string]any

// call is what the frame's script sends.
func (au *authority) call(path string, fields map[string]string, header ...string) (int, object) {
	au.t.Helper()
	raw, _ := json.Marshal(fields)
	resp := au.do("POST", "/embed/"+path, string(raw), append([]string{"Content-Type", "application/json", "Sec-Fetch-Site", "same-origin"}, header...)...)
	if resp.Header.Get("Set-Cookie") != "" {
		au.t.Errorf("%s sets a cookie", path)
	}
	if resp.Header.Get("Cache-Control") != "no-store" {
		au.t.Errorf("%s may be kept: %q", path, resp.Header.Get("Cache-Control"))
	}
	o := object{}
	if text := body(au.t, resp); text != "" {
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			au.t.Fatalf("%s: %s", path, text)
		}
	}
	return resp.StatusCode, o
}

func (au *authority) ask(session string) (txn, code string) {
	au.t.Helper()
	status, o := au.call("otp", map[string]string{"session": session, "mobile_number": "98765 43210", "full_name": "Asha Rao", "consent": "Y"})
	if status != 200 {
		au.t.Fatal(status, o)
	}
	return o["txnId"].(string), au.Phone.Last().Code
}

func TestFrame(t *testing.T) {
	au := newAuthority(t)
	s := au.session()
	txn, code := au.ask(s)
	if got, want := au.Phone.Last().Text, "\n\n@mall.example #"+code+" %kyc.example"; !strings.HasSuffix(got, want) {
		t.Errorf("the message ends with %q, want %q", got, want)
	}
	if status, o := au.call("verify", map[string]string{"session": s, "txnId": txn, "otp": "000000x"}); status != 400 || o["code"] != "otp_missing" {
		t.Error(status, o)
	}
	status, o := au.call("verify", map[string]string{"session": s, "txnId": txn, "otp": code})
	if status != 200 || o["vaccination_status"] != 2.0 || o["txnId"] != txn {
		t.Fatal(status, o)
	}
	if n := strings.Count(o["assertion"].(string), "."); n != 2 {
		t.Errorf("the assertion has %d dots", n)
	}
	if p, err := au.mall.Sealer.Open(o["pass"].(string)); err != nil || authflow.FormatID(p.Consent) != o["consent"] {
		t.Errorf("the pass: %v", err)
	}
	if status, o := au.call("verify", map[string]string{"session": s, "txnId": txn, "otp": code}); status != 401 || o["code"] != "txn_unknown" {
		t.Error("the code counted twice: ", status, o)
	}
	if status, o := au.call("withdraw", map[string]string{"session": s, "pass": o["pass"].(string)}); status != 204 {
		t.Error(status, o)
	}
	if p, _ := au.mall.Sealer.Open(o["pass"].(string)); !au.Withdrawals.Ended(p.Consent, p.Number) {
		t.Error("the consent still counts")
	}
	if len(au.cookies) > 0 {
		t.Errorf("cookies: %v", au.cookies)
	}
}

// Who must not get the page in a frame, and what they get instead.
func TestFrameRefused(t *testing.T) {
	au := newAuthority(t)
	long := strings.Repeat("n", 129)
	for name, c := range map[string]struct {
		target string
		status int
	}{
		"foreign origin":           {frameAt("mall", "https://evil.example", "n"), 403},
		"another partner's origin": {frameAt("mall", "https://rail.example:8443", "n"), 403},
		"another scheme":           {frameAt("mall", "http://mall.example", "n"), 403},
		"another port":             {frameAt("mall", "https://mall.example:8443", "n"), 403},
		"subdomain":                {frameAt("mall", "https://x.mall.example", "n"), 403},
		"longer name":              {frameAt("mall", "https://mall.example.evil.example", "n"), 403},
		"upper case":               {frameAt("mall", "https://MALL.example", "n"), 403},
		"slash behind":             {frameAt("mall", mallOrigin+"/", "n"), 403},
		"dot behind":               {frameAt("mall", mallOrigin+".", "n"), 403},
		"star":                     {frameAt("mall", "*", "n"), 403},
		"null":                     {frameAt("mall", "null", "n"), 403},
		"no origin":                {"/embed/?partner=mall&nonce=n", 403},
		"unregistered partner":     {frameAt("cinema", mallOrigin, "n"), 403},
		"no partner":               {frameAt("", mallOrigin, "n"), 403},
		"missing nonce":            {"/embed/?partner=mall&origin=" + url.QueryEscape(mallOrigin), 400},
		"empty nonce":              {frameAt("mall", mallOrigin, ""), 400},
		"long nonce":               {frameAt("mall", mallOrigin, long), 400},
		"nonce with a space":       {frameAt("mall", mallOrigin, "a b"), 400},
		"nonce beyond ASCII":       {frameAt("mall", mallOrigin, "ñ"), 400},
		"two origins":              {frameAt("mall", mallOrigin, "n") + "&origin=https://evil.example", 400},
		"two partners":             {frameAt("mall", mallOrigin, "n") + "&partner=rail", 400},
		"broken escape":            {frameAt("mall", mallOrigin, "n") + "&x=%zz", 400},
		"no such page":             {"/embed/other", 404},
		"no such page below start": {"/start/other", 404},
	} {
		t.Run(name, func(t *testing.T) {
			resp := au.get(c.target)
			if resp.StatusCode != c.status {
				t.Errorf("status %d, want %d", resp.StatusCode, c.status)
			}
			if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || resp.Header.Get("X-Frame-Options") != "DENY" {
				t.Errorf("it can be framed: %v", resp.Header)
			}
			if strings.Contains(body(t, resp), "data-session") {
				t.Error("it holds a session")
			}
		})
	}
	if au.Phone.Sent() > 0 {
		t.Error("a message was sent")
	}
}

// The calls of the frame: who must not get anything from them, alike, with
// nothing spent.
func TestCallsRefused(t *testing.T) {
	au := newAuthority(t)
	s := au.session()
	other := au.session()
	txn, code := au.ask(s)
	sent := au.Phone.Sent()
	flip := func(s string, i int) string {
		c := byte('A')
		if s[i] == c {
			c = 'B'
		}
		return s[:i] + string(c) + s[i+1:]
	}
	for name, c := range map[string]struct {
		session, contentType, site string
		status                     int
		code                       string
	}{
		"no session":                 {"", "application/json", "same-origin", 401, "txn_unknown"},
		"tampered session, first":    {flip(s, 0), "application/json", "same-origin", 401, "txn_unknown"},
		"tampered session, middle":   {flip(s, len(s)/2), "application/json", "same-origin", 401, "txn_unknown"},
		"session cut short":          {s[:len(s)-4], "application/json", "same-origin", 401, "txn_unknown"},
		"session with more":          {s + "AAAA", "application/json", "same-origin", 401, "txn_unknown"},
		"long session":               {strings.Repeat("A", 4000), "application/json", "same-origin", 401, "txn_unknown"},
		"another frame's session":    {other, "application/json", "same-origin", 401, "txn_unknown"},
		"from another origin":        {s, "application/json", "cross-site", 403, "cross_origin"},
		"from a sibling":             {s, "application/json", "same-site", 403, "cross_origin"},
		"a form, which any may send": {s, "text/plain", "same-origin", 400, "bad_request"},
	} {
		t.Run(name, func(t *testing.T) {
			status, o := au.call("verify", map[string]string{"session": c.session, "txnId": txn, "otp": code}, "Content-Type", c.contentType, "Sec-Fetch-Site", c.site)
			if status != c.status || o["code"] != c.code {
				t.Errorf("verify: %d %v", status, o)
			}
			if c.session == other {
				return // is a good one, for an ask of its own
			}
			status, o = au.call("otp", map[string]string{"session": c.session, "mobile_number": "9876543211", "full_name": "Ravi Kumar", "consent": "Y"}, "Content-Type", c.contentType, "Sec-Fetch-Site", c.site)
			if status != c.status || o["code"] != c.code {
				t.Errorf("otp: %d %v", status, o)
			}
		})
	}
	if au.Phone.Sent() != sent {
		t.Error("a message was sent")
	}
	if status, o := au.call("verify", map[string]string{"session": s, "txnId": txn, "otp": code}); status != 200 {
		t.Error("something was spent: ", status, o)
	}
}

func TestSessionEnds(t *testing.T) {
	au := newAuthority(t)
	s := au.session()
	au.Pass(3599e9)
	au.ask(s)
	au.Pass(1e9)
	if status, o := au.call("otp", map[string]string{"session": s, "mobile_number": "9876543210", "full_name": "Asha Rao", "consent": "Y"}); status != 401 || o["code"] != "txn_unknown" {
		t.Error(status, o)
	}
}

// The errors of the handshake are the gate's, in the person's language.
func TestFrameErrors(t *testing.T) {
	au := newAuthority(t)
	s := au.session()
	for name, c := range map[string]struct {
		fields map[string]string
		status int
		code   string
	}{
		"no consent": {map[string]string{"mobile_number": "9876543210", "full_name": "Asha Rao"}, 400, "consent_required"},
		"no number":  {map[string]string{"consent": "Y", "full_name": "Asha Rao"}, 400, "mobile_invalid"},
		"no name":    {map[string]string{"consent": "Y", "mobile_number": "9876543210"}, 400, "name_invalid"},
		"no txn":     {map[string]string{"txnId": "x"}, 401, "txn_unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			c.fields["session"], c.fields["lang"] = s, "hi"
			status, o := au.call("otp", c.fields)
			if status != c.status || o["code"] != c.code || o["detail"] != portal.Message("hi", c.code) {
				t.Error(status, o)
			}
		})
	}
	txn, code := au.ask(s)
	wrong := "000000"
	if code == wrong {
		wrong = "000001"
	}
	if status, o := au.call("verify", map[string]string{"session": s, "txnId": txn, "otp": wrong}); status != 401 || o["code"] != "otp_invalid" || o["attempts_left"] != 2.0 {
		t.Error(status, o)
	}
	if status, o := au.call("otp", map[string]string{"session": s, "txnId": txn}); status != 429 || !strings.Contains(o["detail"].(string), "30 seconds") {
		t.Error(status, o)
	}
	status, o := au.call("otp", map[string]string{"session": s, "mobile_number": "9876543213", "full_name": "Arun Das", "consent": "Y"})
	if status != 200 {
		t.Fatal(status, o)
	}
	twin := map[string]string{"session": s, "txnId": o["txnId"].(string), "otp": au.Phone.Last().Code}
	if status, o := au.call("verify", twin); status != 403 || o["need"] != "birth_year" {
		t.Error(status, o)
	}
	delete(twin, "otp")
	twin["birth_year"] = "1950"
	if status, o := au.call("verify", twin); status != 200 || o["vaccination_status"] != 1.0 {
		t.Error(status, o)
	}
}

func TestMethods(t *testing.T) {
	au := newAuthority(t)
	for path, method := range map[string]string{"/embed.js": "POST", "/embed/": "POST", "/embed/otp": "GET", "/embed/verify": "PUT", "/start": "POST", "/start/finish": "DELETE"} {
		if resp := au.do(method, path, ""); resp.StatusCode != 405 || resp.Header.Get("Allow") == "" {
			t.Errorf("%s %s: %d %v", method, path, resp.StatusCode, resp.Header)
		}
	}
}

func TestScript(t *testing.T) {
	au := newAuthority(t)
	resp := au.get("/embed.js")
	text := body(t, resp)
	if resp.StatusCode != 200 || len(text) > 5<<10 {
		t.Errorf("status %d, %d bytes", resp.StatusCode, len(text))
	}
	etag := resp.Header.Get("ETag")
	if resp := au.do("GET", "/embed.js", "", "If-None-Match", etag); etag == "" || resp.StatusCode != 304 {
		t.Errorf("ETag %q: %d", etag, resp.StatusCode)
	}
	for _, forbidden := range []string{"cookie =", "localStorage", "innerHTML", `"*"`, "eval("} {
		for _, path := range []string{"/embed.js", "/embed/frame.js"} {
			if strings.Contains(body(t, au.get(path)), forbidden) {
				t.Errorf("%s has %s", path, forbidden)
			}
		}
	}
}

// Every text of the page is there, in every language, and none is English in
// another.
func TestLanguages(t *testing.T) {
	au := newAuthority(t)
	for _, lang := range portal.Languages() {
		resp := au.get(frameAt("mall", mallOrigin, "n") + "&lang=" + lang)
		text := body(t, resp)
		if resp.StatusCode != 200 || !strings.Contains(text, `<html lang="`+lang+`"`) {
			t.Errorf("%s: %d", lang, resp.StatusCode)
		}
		if lang != "en" && strings.Contains(text, "You did not agree") {
			t.Errorf("%s: a text is English", lang)
		}
		if size := len(text); size > 14<<10 {
			t.Errorf("%s: the page has %d bytes", lang, size)
		}
	}
}
