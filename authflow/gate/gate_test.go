package gate_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/assertion"
	test "github.com/kycvs/caddy-kycvs/authflow/authflowtest"
	"github.com/kycvs/caddy-kycvs/authflow/gate"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// world is a site with a gate, and what stands behind it.
type world struct {
	*test.World
	services *gate.Services
	site     *gate.Site
	seen     [gate.Decisions]int
	cut      [gate.Endings]atomic.Int64
}

func (w *world) Gate(d gate.Decision) { w.seen[d]++ }
func (w *world) Cut(e gate.Ending)    { w.cut[e].Add(1) }

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{World: test.New(t)}
	pages, err := portal.NewPages()
	if err != nil {
		t.Fatal(err)
	}
	minter := &authflow.Minter{Keys: w.Keys, Observer: w.Counts}
	w.services = &gate.Services{
		Minter: minter, Withdrawals: &w.Withdrawals.Set, Remembered: gate.NewRemembered(1000, 64),
		Pages: pages, Secret: w.Secret, Whole: w.Whole(), Observer: w, Now: w.Now,
		Portal: &portal.Handler{
			Flow: w.Flow, Minter: minter, Withdrawals: &w.Withdrawals.Set, Whole: w.Whole(), Pages: pages,
			Keys: http.NotFoundHandler(), Logger: slog.New(slog.DiscardHandler), Now: w.Now,
		},
	}
	w.services.Streams = gate.NewStreams(10*time.Second, w.services.Withdrawals)
	t.Cleanup(w.services.Streams.Close)
	w.site = &gate.Site{Services: w.services, Hosts: []string{"mall.example"}}
	w.addPartner("", "")
	return w
}

func (w *world) addPartner(id, purpose string) int {
	w.site.Partners = append(w.site.Partners, gate.PartnerAt{
		Session: 12 * time.Hour, TTL: time.Minute,
		For: func(host string) (authflow.Partner, bool) {
			if id == "" {
				return authflow.Partner{ID: host, Name: host, Purpose: "Entry to " + host}, true
			}
			return authflow.Partner{ID: id, Name: id, Purpose: purpose}, true
		},
	})
	return len(w.site.Partners) - 1
}

// gate is a gate of the site with the usual settings.
func (w *world) gate(level int) *gate.Gate {
	return &gate.Gate{Site: w.site, Level: level, Session: 12 * time.Hour, TTL: time.Minute}
}

// pass makes the token of a pass for a partner of the site.
func (w *world) pass(status uint8, partner, purpose string) string {
	p := pass.Pass{Subject: [16]byte{1}, Consent: [16]byte{status, 2}, TxnID: [16]byte{3}, Status: status,
		AuthTime: w.Now().Unix(), Expires: w.Now().Add(12 * time.Hour).Unix()}
	return pass.NewSealer(w.Secret.Keys("pass"), pass.Scope{Site: "mall.example", Partner: partner, Purpose: purpose}).Seal(p)
}

// cookie is the value of a cookie with these passes.
func (w *world) cookie(tokens ...string) string {
	j := pass.Jar{Tokens: tokens}
	return j.Cookie(w.Whole(), false, time.Hour).Value
}

func (w *world) entry(status uint8) string {
	return w.cookie(w.pass(status, "mall.example", "Entry to mall.example"))
}

// result is what the client and the application saw.
type result struct {
	*httptest.ResponseRecorder
	upstream *http.Request // nil if it was not reached
	decision gate.Decision
}

func (w *world) do(t testing.TB, r *http.Request, gates ...*gate.Gate) result {
	t.Helper()
	rec := httptest.NewRecorder()
	original := *r.URL
	v := &gate.Visit{Original: &original, IP: netip.MustParseAddr("192.0.2.1")}
	return w.through(rec, r, v, gates...)
}

func (w *world) through(rec *httptest.ResponseRecorder, r *http.Request, v *gate.Visit, gates ...*gate.Gate) result {
	out := result{ResponseRecorder: rec}
	var rw http.ResponseWriter = rec
	ok := true
	for _, g := range gates {
		if rw, r, ok = g.Admit(rw, r, v); !ok {
			break
		}
	}
	if ok {
		out.upstream = r
		_, _ = rw.Write([]byte("the application"))
	}
	gates[0].Finish(v)
	out.decision = v.Decision
	return out
}

func request(method, target string, cookie string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	if cookie != "" {
		r.Header.Set("Cookie", "kycvs="+cookie)
	}
	return r
}

func navigation(method, target string, cookie string) *http.Request {
	r := request(method, target, cookie)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	return r
}

const site = "http://mall.example"

func TestDecisions(t *testing.T) {
	w := newWorld(t)
	w.addPartner("ward", "Ward")
	fully, partly, none := w.entry(2), w.entry(1), w.entry(0)
	fresh := w.gate(2)
	fresh.MaxAge = 15 * time.Minute
	short := w.gate(2)
	short.Session = 10 * time.Minute
	optional := w.gate(0)
	optional.Optional = true
	for _, c := range []struct {
		name   string
		gate   *gate.Gate
		cookie string
		after  time.Duration
		want   gate.Decision
	}{
		{"no pass", w.gate(2), "", 0, gate.NoPass},
		{"2 at 2", w.gate(2), fully, 0, gate.Passed},
		{"1 at 2", w.gate(2), partly, 0, gate.TooLow},
		{"0 at 1", w.gate(1), none, 0, gate.TooLow},
		{"0 at 0", w.gate(0), none, 0, gate.Passed},
		{"no pass at 0", w.gate(0), "", 0, gate.NoPass},
		{"no pass where it is optional", optional, "", 0, gate.Anonymous},
		{"0 where it is optional", optional, none, 0, gate.Passed},
		{"second of two", w.gate(2), w.cookie(w.pass(0, "ward", "Ward"), w.pass(2, "mall.example", "Entry to mall.example")), 0, gate.Passed},
		{"garbled", w.gate(2), fully[:50] + "x" + fully[51:], 0, gate.NoPass},
		{"cut short", w.gate(2), fully[:len(fully)-1], 0, gate.NoPass},
		{"8 KiB", w.gate(2), strings.Repeat(fully+".", 65) + fully, 0, gate.NoPass},
		{"another partner's", w.gate(2), w.cookie(w.pass(2, "ward", "Ward")), 0, gate.NoPass},
		{"garbled before the pass", w.gate(2), "c" + fully[1:], 0, gate.NoPass},
		{"a bare token", w.gate(2), w.pass(2, "mall.example", "Entry to mall.example"), 0, gate.NoPass},
		{"for another purpose", w.gate(2), w.cookie(w.pass(2, "mall.example", "Dancing")), 0, gate.NoPass},
		{"just before its end", w.gate(2), fully, 12*time.Hour - time.Second, gate.Passed},
		{"at its end", w.gate(2), fully, 12 * time.Hour, gate.NoPass},
		{"fresh enough", fresh, fully, 15*time.Minute - time.Second, gate.Passed},
		{"not fresh enough", fresh, fully, 15 * time.Minute, gate.NoPass},
		{"past this gate's session", short, fully, 10 * time.Minute, gate.NoPass},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.Pass(c.after)
			defer w.Pass(-c.after)
			for range 2 { // unremembered and remembered
				got := w.do(t, request("GET", site+"/", c.cookie), c.gate)
				if got.decision != c.want {
					t.Fatalf("decided %v, want %v", got.decision, c.want)
				}
				through := c.want == gate.Passed || c.want == gate.Anonymous
				if (got.upstream != nil) != through {
					t.Fatal("let through, or not, against the decision")
				}
				if through {
					attached := len(got.upstream.Header["Kycvs-Assertion"])
					if want := map[gate.Decision]int{gate.Passed: 1, gate.Anonymous: 0}[c.want]; attached != want {
						t.Errorf("%d assertions", attached)
					}
					if got.upstream.Header.Get("Cookie") != "" {
						t.Error("the pass reached the application")
					}
				}
			}
		})
	}
}

func TestAPartnerWhoseTimeIsOver(t *testing.T) {
	w := newWorld(t)
	w.site.Partners[0].For = func(string) (authflow.Partner, bool) {
		return authflow.Partner{ID: "mall.example", Name: "Mall", Purpose: "Entry to mall.example", Until: w.Now().Add(time.Hour)}, true
	}
	token := w.entry(2)
	if got := w.do(t, request("GET", site+"/", token), w.gate(2)); got.decision != gate.Passed {
		t.Fatal(got.decision)
	}
	w.Pass(time.Hour)
	if got := w.do(t, request("GET", site+"/", token), w.gate(2)); got.decision != gate.Unavailable || got.upstream != nil {
		t.Errorf("decided %v", got.decision)
	}
}

func TestDoubledPass(t *testing.T) {
	w := newWorld(t)
	r := request("GET", site+"/", w.entry(2))
	r.Header.Add("Cookie", "kycvs="+w.entry(2))
	if got := w.do(t, r, w.gate(2)); got.decision != gate.NoPass {
		t.Errorf("decided %v", got.decision)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	several := newWorld(t)
	several.addPartner("ward", "Ward")
	ward := several.gate(2)
	ward.Partner = 1
	for _, c := range []struct {
		name     string
		r        *http.Request
		w        *world
		gate     *gate.Gate
		status   int
		location string
		html     bool
	}{
		{"a GET navigation", navigation("GET", site+"/a?b=c&d=%20", ""), w, w.gate(2), 303, "/.kycvs/?return=%2Fa%3Fb%3Dc%26d%3D%2520", false},
		{"with several partners", navigation("GET", site+"/a", ""), several, ward, 303, "/.kycvs/?return=%2Fa&for=ward", false},
		{"a POST navigation", navigation("POST", site+"/a", ""), w, w.gate(2), 401, "", true},
		{"anything else", request("GET", site+"/a", ""), w, w.gate(2), 401, "", false},
		{"below the level, a navigation", navigation("GET", site+"/a", w.entry(1)), w, w.gate(2), 403, "", true},
		{"below the level, anything else", request("GET", site+"/a", w.entry(1)), w, w.gate(2), 403, "", false},
		{"TRACE", request("TRACE", site+"/a", w.entry(2)), w, w.gate(2), 405, "", false},
		{"CONNECT", request("CONNECT", site+"/a", w.entry(2)), w, w.gate(2), 405, "", false},
		{"another host", request("GET", "http://evil.example/", w.entry(2)), w, w.gate(2), 503, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.w.do(t, c.r, c.gate)
			if got.Code != c.status || got.upstream != nil {
				t.Fatalf("status %d", got.Code)
			}
			h := got.Result().Header
			if h.Get("Cache-Control") != "no-store" || h.Get("Set-Cookie") != "" {
				t.Errorf("the header is %v", h)
			}
			if h.Get("Location") != c.location {
				t.Errorf("sent to %q", h.Get("Location"))
			}
			switch {
			case c.location != "":
			case c.html:
				if !strings.HasPrefix(h.Get("Content-Type"), "text/html") {
					t.Errorf("a page was due, not %s", h.Get("Content-Type"))
				}
			default:
				var p struct {
					Status   int
					Required *int
					Start    string
					Code     string
				}
				if err := json.Unmarshal(got.Body.Bytes(), &p); err != nil || h.Get("Content-Type") != "application/problem+json" || p.Status != c.status {
					t.Errorf("%v: %s", err, got.Body)
				}
				if (c.status == 401 || c.status == 403) && (p.Required == nil || *p.Required != 2 || p.Start != "/.kycvs/") {
					t.Errorf("the problem is %s", got.Body)
				}
			}
			if c.status == 401 && h.Get("WWW-Authenticate") != "KYCVS" {
				t.Error("no WWW-Authenticate")
			}
			if c.status == 405 && h.Get("Allow") == "" {
				t.Error("no Allow")
			}
			if c.status == 503 && h.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
}

func TestWithdrawnAtOnce(t *testing.T) {
	w := newWorld(t)
	token := w.entry(2)
	for range 2 {
		if got := w.do(t, request("GET", site+"/", token), w.gate(2)); got.decision != gate.Passed {
			t.Fatal(got.decision)
		}
	}
	w.Withdrawals.Add(withdrawals.Withdrawal{Consent: [16]byte{9}, Until: w.Now().Add(time.Hour)}) // somebody else's
	if got := w.do(t, request("GET", site+"/", token), w.gate(2)); got.decision != gate.Passed {
		t.Error("somebody else's withdrawal ended this pass")
	}
	w.Withdrawals.Add(withdrawals.Withdrawal{Consent: [16]byte{2, 2}, Until: w.Now().Add(time.Hour)})
	for range 2 {
		if got := w.do(t, request("GET", site+"/", token), w.gate(2)); got.decision != gate.NoPass {
			t.Error("a withdrawn pass opens the gate")
		}
	}
}

func TestKeysAway(t *testing.T) {
	w := newWorld(t)
	w.Keys.Fail(true)
	got := w.do(t, navigation("GET", site+"/", w.entry(2)), w.gate(2))
	if got.decision != gate.Unavailable || got.Code != 503 || got.upstream != nil || got.Result().Header.Get("Retry-After") == "" {
		t.Errorf("decided %v, status %d", got.decision, got.Code)
	}
}

func TestAnErrorInTheMatcherIsNoWayThrough(t *testing.T) {
	w := newWorld(t)
	for name, covers := range map[string]func(*http.Request) (bool, error){
		"an error": func(*http.Request) (bool, error) { return false, errors.New("broken") },
		"a panic":  func(*http.Request) (bool, error) { panic("broken") },
	} {
		g := w.gate(2)
		g.Covers = covers
		if got := w.do(t, request("GET", site+"/", w.entry(2)), g); got.Code != 503 || got.upstream != nil {
			t.Errorf("%s: status %d", name, got.Code)
		}
	}
}

func prefix(p string) func(*http.Request) (bool, error) {
	return func(r *http.Request) (bool, error) { return strings.HasPrefix(r.URL.Path, p), nil }
}

func TestEitherAddressCloses(t *testing.T) {
	w := newWorld(t)
	g := w.gate(2)
	g.Covers = prefix("/ward/")
	for _, c := range []struct {
		asked, became string
		want          gate.Decision
	}{
		{"/ward/x", "/ward/x", gate.NoPass},
		{"/ward/x", "/index.html", gate.NoPass},
		{"/alias", "/ward/x", gate.NoPass},
		{"/open", "/index.html", gate.Uncovered},
	} {
		r := request("GET", site+c.became, "")
		rec := httptest.NewRecorder()
		got := w.through(rec, r, &gate.Visit{Original: &url.URL{Path: c.asked}}, g)
		if got.decision != c.want {
			t.Errorf("%+v: decided %v", c, got.decision)
		}
		if c.want == gate.Uncovered && got.Result().Header.Get("Cache-Control") != "" {
			t.Error("an open path's caching was changed")
		}
	}
}

func TestSeveralGates(t *testing.T) {
	w := newWorld(t)
	ward := w.addPartner("ward", "Ward")
	all := w.gate(0)
	all.Optional, all.Rank = true, 1
	special := w.gate(2)
	special.Covers, special.Partner, special.Rank, special.PlainStatus = prefix("/ward/"), ward, 10, true
	entry, both := w.entry(1), w.cookie(w.pass(1, "mall.example", "Entry to mall.example"), w.pass(2, "ward", "Ward"))
	for _, c := range []struct {
		name, path, cookie string
		gates              []*gate.Gate
		want               gate.Decision
		aud, plain         string
	}{
		{"neither", "/", "", []*gate.Gate{all, special}, gate.Anonymous, "", ""},
		{"the open one", "/", entry, []*gate.Gate{all, special}, gate.Passed, "mall.example", ""},
		{"the second is not satisfied", "/ward/", entry, []*gate.Gate{all, special}, gate.NoPass, "", ""},
		{"both are", "/ward/", both, []*gate.Gate{all, special}, gate.Passed, "ward", "2"},
		{"both are, the other way round", "/ward/", both, []*gate.Gate{special, all}, gate.Passed, "ward", "2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request("GET", site+c.path, c.cookie)
			r.Header.Set("Kycvs-Assertion", "forged")
			r.Header.Set("Kycvs-Status", "2")
			got := w.do(t, r, c.gates...)
			if got.decision != c.want {
				t.Fatalf("decided %v", got.decision)
			}
			if got.upstream == nil {
				return
			}
			h := got.upstream.Header
			if h.Get("Kycvs-Status") != c.plain {
				t.Errorf("Kycvs-Status is %q", h["Kycvs-Status"])
			}
			if c.aud == "" {
				if len(h["Kycvs-Assertion"]) != 0 {
					t.Error("there is an assertion")
				}
				return
			}
			if claims := w.verify(t, h["Kycvs-Assertion"], c.aud); claims.Audience != c.aud {
				t.Errorf("the assertion is for %s", claims.Audience)
			}
		})
	}
}

func (w *world) verify(t *testing.T, values []string, aud string) assertion.Claims {
	t.Helper()
	if len(values) != 1 {
		t.Fatalf("%d assertions", len(values))
	}
	keys, err := assertion.StaticKeys(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{w.Keys.Public}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := assertion.NewVerifier(assertion.VerifierConfig{
		Keys:   keys,
		Issuer: site, Audience: aud, Now: w.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := v.Verify(values[0])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAssertionHasHalfItsLifeLeft(t *testing.T) {
	w := newWorld(t)
	token := w.entry(2)
	var last string
	signed := 0
	for range 300 { // five minutes
		got := w.do(t, request("GET", site+"/", token), w.gate(2))
		values := got.upstream.Header["Kycvs-Assertion"]
		c := w.verify(t, values, "mall.example")
		if c.Expires-c.IssuedAt != 60 || time.Unix(c.Expires, 0).Sub(w.Now()) < 30*time.Second || c.IssuedAt > w.Now().Unix() {
			t.Fatalf("at %d: %+v", w.Now().Unix(), c)
		}
		if values[0] != last {
			last = values[0]
			signed++
		}
		w.World.Pass(900 * time.Millisecond)
	}
	if signed > 11 {
		t.Errorf("%d signatures in five minutes", signed)
	}
}

func TestAssertionEndsWithItsPass(t *testing.T) {
	w := newWorld(t)
	token := w.entry(2)
	w.Pass(12*time.Hour - 10*time.Second)
	got := w.do(t, request("GET", site+"/", token), w.gate(2))
	if c := w.verify(t, got.upstream.Header["Kycvs-Assertion"], "mall.example"); c.Expires-w.Now().Unix() != 10 {
		t.Errorf("it outlives the pass: %+v", c)
	}
}

func TestPathsThatDiffer(t *testing.T) {
	w := newWorld(t)
	w.site.PathsDiffer = true
	lenient := w.gate(2)
	lenient.LenientPaths = true
	for _, path := range []string{"/a%2fward", "/x/..%2fward", "/a;b", "/%252e", "/a%00"} {
		if got := w.do(t, request("GET", site+path, w.entry(2)), w.gate(2)); got.Code != 400 || got.upstream != nil {
			t.Errorf("%s: status %d", path, got.Code)
		}
		if got := w.do(t, request("GET", site+path, w.entry(2)), lenient); got.decision != gate.Passed {
			t.Errorf("%s, lenient: decided %v", path, got.decision)
		}
	}
	w.site.PathsDiffer = false
	if got := w.do(t, request("GET", site+"/a%2fb", w.entry(2)), w.gate(2)); got.decision != gate.Passed {
		t.Errorf("where all paths are alike: %v", got.decision)
	}
}

func TestPagesAreServedWhateverTheMatcherSays(t *testing.T) {
	w := newWorld(t)
	g := w.gate(2)
	g.Covers = prefix("/ward/")
	for target, status := range map[string]int{
		"/.kycvs/": 200, "/.kycvs/notice": 200, "/.kycvs/pass": 401, "/.kycvs": 308,
		"/.kycvs/nothing": 404, "/.kycvs/otp": 405, "/.kycvs/../ward/x": 404, "/.kycvs/?for=ward": 404, "/.kycvs/%2e%2e/x": 404,
	} {
		if got := w.do(t, navigation("GET", site+target, ""), g); got.Code != status || got.upstream != nil {
			t.Errorf("%s: status %d", target, got.Code)
		}
	}
}

func TestRememberedIsBounded(t *testing.T) {
	w := newWorld(t)
	w.services.Remembered = gate.NewRemembered(10, 64)
	for range 5000 {
		p := pass.Pass{Consent: [16]byte{1}, Status: 2, AuthTime: w.Now().Unix(), Expires: w.Now().Add(time.Hour).Unix()}
		token := pass.NewSealer(w.Secret.Keys("pass"), pass.Scope{Site: "mall.example", Partner: "mall.example", Purpose: "Entry to mall.example"}).Seal(p)
		if got := w.do(t, request("GET", site+"/", w.cookie(token)), w.gate(2)); got.decision != gate.Passed {
			t.Fatal(got.decision)
		}
	}
}

var lastVisit *gate.Visit

func BenchmarkAdmit(b *testing.B) {
	for name, n := range map[string]int{"one pass": 1, "1e5 passes": 100_000} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			w.services.Remembered = gate.NewRemembered(n, 64)
			w.services.Now = time.Now
			w.Pass(time.Since(test.Start))
			g := w.gate(2)
			g.TTL = time.Hour
			sealer := pass.NewSealer(w.Secret.Keys("pass"), pass.Scope{Site: "mall.example", Partner: "mall.example", Purpose: "Entry to mall.example"})
			requests := make([]*http.Request, n)
			cookies := make([]string, n)
			for i := range requests {
				p := pass.Pass{Consent: [16]byte{byte(i), byte(i >> 8), byte(i >> 16)}, Status: 2, AuthTime: time.Now().Unix(), Expires: time.Now().Add(12 * time.Hour).Unix()}
				cookies[i] = "session=abc; kycvs=" + w.cookie(sealer.Seal(p))
				requests[i] = httptest.NewRequest("GET", site+"/", nil)
				requests[i].Header["Cookie"] = []string{cookies[i]}
				w.do(b, requests[i], g)
			}
			rec := httptest.NewRecorder()
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				r := requests[i%n]
				r.Header["Cookie"] = []string{cookies[i%n]}
				v := &gate.Visit{Original: r.URL}
				lastVisit = v // as Caddy keeps it, with the request
				if _, _, ok := g.Admit(rec, r, v); !ok {
					b.Fatal(v.Decision)
				}
				g.Finish(v)
				clear(rec.Header())
			}
		})
	}
}

// Where nothing is heard of withdrawals elsewhere, a pass does not count: who
// has one is told that this is not about them.
func TestWithdrawalsNotKnown(t *testing.T) {
	w := newWorld(t)
	away := &awayBoard{}
	x, err := withdrawals.Open(withdrawals.Config{Board: away, Grace: time.Minute, Logger: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	w.services.Withdrawals = &x.Set
	w.services.Now = time.Now
	get := func(cookie string, want gate.Decision, g *gate.Gate) {
		t.Helper()
		r := httptest.NewRequest("GET", "http://mall.example/", nil)
		if cookie != "" {
			r.Header.Set("Cookie", "kycvs="+cookie)
		}
		if got := w.do(t, r, g); got.decision != want || (got.upstream == nil) == (want == gate.Passed || want == gate.Anonymous) {
			t.Errorf("got %v, want %v", got.decision, want)
		}
	}
	p := pass.Pass{Subject: [16]byte{1}, Consent: [16]byte{2, 2}, TxnID: [16]byte{3}, Status: 2, AuthTime: time.Now().Unix(), Expires: time.Now().Add(time.Hour).Unix()}
	cookie := w.cookie(pass.NewSealer(w.Secret.Keys("pass"), pass.Scope{Site: "mall.example", Partner: "mall.example", Purpose: "Entry to mall.example"}).Seal(p))
	optional := w.gate(0)
	optional.Optional = true
	get(cookie, gate.Passed, w.gate(2)) // within the grace
	x.SetGrace(-time.Second)            // after it
	get(cookie, gate.Unavailable, w.gate(2))
	get(cookie, gate.Unavailable, optional)
	get("", gate.NoPass, w.gate(2))
	get("", gate.Anonymous, optional)
	r := httptest.NewRequest("GET", "http://mall.example/", nil)
	r.Header.Set("Cookie", "kycvs="+cookie)
	if _, ok := w.site.Holds(r, nil, ""); ok {
		t.Error("the matcher takes the pass")
	}
	x.SetGrace(time.Minute)
	get(cookie, gate.Passed, w.gate(2))
}

// awayBoard is a board that does not answer.
type awayBoard struct{}

var errAway = errors.New("away")

func (*awayBoard) Post(context.Context, []withdrawals.Withdrawal) error { return errAway }

func (*awayBoard) Read(context.Context, withdrawals.Mark) ([]withdrawals.Withdrawal, withdrawals.Mark, bool, error) {
	return nil, "", false, errAway
}
