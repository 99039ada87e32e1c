package caddymodule

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/go-jose/go-jose/v4"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

// echoGate is the key set of a gate, and the means to sign as that gate.
type echoGate struct {
	*httptest.Server
	signer  *assertion.Signer
	fetches atomic.Int32
}

func newEchoGate(t *testing.T) *echoGate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := jose.JSONWebKey{Key: private, Algorithm: "ES256", Use: "sig"}
	signer, err := assertion.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	public := key.Public()
	public.KeyID = signer.KeyID()
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
	if err != nil {
		t.Fatal(err)
	}
	g := &echoGate{signer: signer}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.fetches.Add(1)
		if r.URL.Path != "/.kycvs/jwks.json" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(set)
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *echoGate) assertion(t *testing.T, change func(*assertion.Claims)) string {
	t.Helper()
	now := time.Now().Unix()
	c := assertion.Claims{
		Issuer: g.URL, Audience: "127.0.0.1", Subject: strings.Repeat("s", 22), ID: strings.Repeat("j", 22),
		IssuedAt: now, NotBefore: now, Expires: now + 60, AuthTime: now, VaccinationStatus: 2, Methods: []string{"otp", "sms"},
		TxnID: "00000000-0000-4000-8000-000000000000", Consent: strings.Repeat("c", 22), Purpose: "<b>Entry</b>",
	}
	if change != nil {
		change(&c)
	}
	compact, err := g.signer.Compact(c)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func echo(t *testing.T, e *Echo, accept string, assertions ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/page?a=<script>", nil)
	r.Header.Set("Accept", accept)
	r.Header.Set("X-Evil", `"><script>alert(1)</script>`)
	for _, a := range assertions {
		r.Header.Add(assertion.HeaderName, a)
	}
	w := httptest.NewRecorder()
	if err := e.ServeHTTP(w, r, nil); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestEcho(t *testing.T) {
	g := newEchoGate(t)
	e := &Echo{Keys: g.URL + "/.kycvs/jwks.json"}
	if err := e.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	good := g.assertion(t, nil)
	for _, c := range []struct {
		name       string
		assertions []string
		verified   bool
		reason     string // part of it; "none" where there is no assertion
	}{
		{"good", []string{good}, true, ""},
		{"none", nil, false, "none"},
		{"twice", []string{good, good}, false, "2 times"},
		{"another audience", []string{g.assertion(t, func(c *assertion.Claims) { c.Audience = "mall" })}, false, "audience"},
		{"another issuer", []string{g.assertion(t, func(c *assertion.Claims) { c.Issuer = "https://evil.example" })}, false, "issuer"},
		{"another signer", []string{newEchoGate(t).assertion(t, func(c *assertion.Claims) { c.Issuer = g.URL })}, false, "kid"},
		{"expired", []string{g.assertion(t, func(c *assertion.Claims) { c.IssuedAt -= 120; c.NotBefore -= 120; c.Expires -= 120 })}, false, "expired"},
		{"signature changed", []string{good[:len(good)-6] + "AAAAAA"}, false, "signature"},
		{"garbled", []string{"<b>x"}, false, "malformed"},
		{"empty", []string{""}, false, "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := echo(t, e, "application/json", c.assertions...)
			if ct := w.Header().Get("Content-Type"); ct != "application/json" {
				t.Errorf("Content-Type %q", ct)
			}
			var got echoed
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if c.reason == "none" {
				if got.Assertion != nil {
					t.Errorf("got %+v", got.Assertion)
				}
				return
			}
			if got.Assertion == nil || got.Assertion.Verified != c.verified || !strings.Contains(got.Assertion.Reason, c.reason) {
				t.Fatalf("got %+v", got.Assertion)
			}
			if c.verified && !strings.Contains(string(got.Assertion.Claims), `"vaccination_status":2`) {
				t.Errorf("claims %s", got.Assertion.Claims)
			}

			page := echo(t, e, "text/html", c.assertions...).Body.String()
			want := `id="refused"`
			if c.verified {
				want = `id="verified"`
			}
			if !strings.Contains(page, want) {
				t.Errorf("the page lacks %s:\n%s", want, page)
			}
			for _, raw := range []string{"<script", "<b>"} {
				if strings.Contains(page, raw) {
					t.Errorf("the page has %s unescaped:\n%s", raw, page)
				}
			}
		})
	}
}

func TestEchoFetchesKeysOnce(t *testing.T) {
	g := newEchoGate(t)
	e := &Echo{Keys: g.URL + "/.kycvs/jwks.json"}
	if err := e.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	stranger := newEchoGate(t)
	for range 5 {
		echo(t, e, "", g.assertion(t, nil))
		echo(t, e, "", stranger.assertion(t, nil))
	}
	if n := g.fetches.Load(); n > 3 {
		t.Errorf("fetched the keys %d times", n)
	}
}

func TestEchoWithoutKeys(t *testing.T) {
	g := newEchoGate(t)
	for _, path := range []string{"/nowhere", "/"} {
		e := &Echo{Keys: g.URL + path}
		if err := e.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		if body := echo(t, e, "", g.assertion(t, nil)).Body.String(); !strings.Contains(body, "not available") {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestEchoProvision(t *testing.T) {
	for _, e := range []*Echo{{}, {Keys: "example.com"}, {Keys: "{env.KYCVS_UNSET}"}, {Keys: "ftp://a.example"}} {
		if err := e.Provision(caddy.Context{}); err == nil {
			t.Errorf("%+v was taken", e)
		}
	}
}
