package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// attached is the assertion that the upstream got with the last request.
func (in *instance) attached(t testing.TB) string {
	t.Helper()
	seen := in.up.take()
	if len(seen) != 1 {
		t.Fatalf("%d requests at the upstream, want 1", len(seen))
	}
	vs := seen[0].values("Kycvs-Assertion")
	if len(vs) != 1 {
		t.Fatalf("%d assertions, want 1:\n%s", len(vs), seen[0].head)
	}
	return vs[0]
}

// Section 3's claims, with each algorithm.
func TestAssertion(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			signing := "signing " + alg
			if alg == "ES256" {
				signing = "" // the default
			}
			in := start(t, setup{kycvs: signing, sites: `
https://work.example {
	kycvs 2 {
		partner ward
		purpose "Access to the ward, ✓ checked"
		assertion_ttl 10s
	}
	reverse_proxy %UP%
}`})
			b := in.browse(t, "https://work.example")
			before := time.Now().Unix()
			signed := b.signIn(asha)
			keys := b.keys()
			for _, k := range keys.Keys {
				if k.Algorithm != alg {
					t.Errorf("a key for %q, want %q", k.Algorithm, alg)
				}
			}
			b.fetch("/x")
			token := in.attached(t)
			if len(token) > 1024 {
				t.Errorf("%d bytes, more than 1 KiB", len(token))
			}
			c := check(t, keys, token, "ward")
			after := time.Now().Unix()
			if c.Iss != b.base && c.Iss != "https://work.example" {
				t.Errorf("iss %q, want the site's own origin", c.Iss)
			}
			if c.Exp-c.Iat > 10 || c.Exp-c.Iat < 5 || c.Nbf > c.Iat {
				t.Errorf("iat %d nbf %d exp %d, want at most 10 s", c.Iat, c.Nbf, c.Exp)
			}
			if c.AuthTime < before || c.AuthTime > after || c.Purpose != "Access to the ward, ✓ checked" || *c.Status != 2 || c.Authority != "" {
				t.Errorf("claims %+v", c)
			}
			if s := check(t, keys, signed.str("assertion"), "ward"); s.Sub != c.Sub || s.TxnID != c.TxnID || s.Consent != c.Consent {
				t.Errorf("verify's answer %+v and the gate's %+v differ", s, c)
			}
			header := jwsHeader(t, token)
			if header["alg"] != alg || header["typ"] != "kycvs+jwt" || len(header) != 3 {
				t.Errorf("protected header %v", header)
			}
			raw, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
			for _, secret := range []string{asha.mobile, "43210", "Asha", "Rao", "1980", "COVISHIELD", "10000000000001"} {
				if bytes.Contains(raw, []byte(secret)) {
					t.Errorf("the assertion says %q: %s", secret, raw)
				}
			}
			// At least half its life is left, however long one goes on asking.
			jtis := map[string]bool{}
			for until := time.Now().Add(7 * time.Second); time.Now().Before(until); time.Sleep(250 * time.Millisecond) {
				now := time.Now()
				b.fetch("/x")
				c := check(t, keys, in.attached(t), "ward")
				jtis[c.Jti] = true
				if left := time.Unix(c.Exp, 0).Sub(now); left < time.Duration(c.Exp-c.Iat)*time.Second/2 {
					t.Errorf("%v left of %d s", left, c.Exp-c.Iat)
				}
			}
			if len(jtis) < 2 {
				t.Errorf("%d assertions in 7 s, want another one after half the life", len(jtis))
			}
			// A stranger's key does not verify it.
			other := &jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey(nil), keys.Keys...)}
			if i := strings.LastIndex(token, ".") + 10; i > 0 {
				bad := token[:i] + wrongBase64(token[i]) + token[i+1:]
				if _, err := verifyAssertion(other, bad, "ward"); err == nil {
					t.Error("a changed signature verifies")
				}
			}
		})
	}
}

func wrongBase64(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func jwsHeader(t testing.TB, token string) map[string]any {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// The longest names and purposes still fit into 1 KiB, or are refused when the
// configuration loads.
func TestAssertionSize(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("पहुँच ", 20)
	in := prepare(t, setup{kycvs: "signing RS256", sites: `
https://work.example {
	kycvs 2 {
		partner ` + strings.Repeat("p", 60) + `
		purpose "` + long + `"
	}
	reverse_proxy %UP%
}`})
	out, err := in.command("validate", "--config", in.caddyfile, "--adapter", "caddyfile").CombinedOutput()
	if err != nil {
		if !strings.Contains(string(out), "purpose") {
			t.Errorf("refused without saying what to shorten: %s", out)
		}
		t.Log("refused when the configuration loads")
		return
	}
	in = start(t, in.setup)
	b := in.browse(t, "https://work.example")
	b.signIn(asha)
	b.fetch("/x")
	check(t, b.keys(), in.attached(t), strings.Repeat("p", 60))
}

// `sub`: the same at each visit, unlinkable between partners.
func TestSubject(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: plenty, sites: gateSites + `
https://two.example {
	kycvs /a/* 0 {
		partner first
		purpose "The first purpose"
	}
	kycvs /b/* 0 {
		partner second
		purpose "The second purpose"
	}
	reverse_proxy %UP%
}`})
	sub := func(site, aud string, p person) string {
		b := in.browse(t, site)
		over := []string{}
		if aud == "first" || aud == "second" {
			over = []string{"for", aud}
		}
		return check(t, b.keys(), b.signIn(p, over...).str("assertion"), aud).Sub
	}
	seen := map[string]string{}
	for _, c := range []struct{ site, aud string }{{"https://work.example", "work.example"}, {"https://fresh.example", "fresh.example"}, {"https://two.example", "first"}, {"https://two.example", "second"}} {
		for _, p := range []person{asha, vikram, meera, gita, ravi} {
			one, two := sub(c.site, c.aud, p), sub(c.site, c.aud, p)
			if one != two {
				t.Errorf("%s at %s is two subjects", p.name, c.aud)
			}
			who := p.name + " at " + c.aud
			if other, ok := seen[one]; ok {
				t.Errorf("%s and %s are one subject", who, other)
			}
			seen[one] = who
		}
	}
	in.stop()
	in.run()
	if s := sub("https://work.example", "work.example", asha); seen[s] != "Asha Rao at work.example" {
		t.Error("a restart changes the subject")
	}
}

// plain_status, the placeholders and the matcher.
func TestStatusForTheSite(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: `
https://plain.example {
	kycvs 0 {
		plain_status
	}
	header >X-Status {http.kycvs.status}
	header >X-Decision {http.kycvs.decision}
	header >X-Subject {http.kycvs.subject}
	reverse_proxy %UP%
}
https://lanes.example {
	kycvs optional
	@v2 kycvs 2
	@v1 kycvs 1
	@v0 kycvs 0
	header >X-Status "[{http.kycvs.status}]"
	header >X-Decision "[{http.kycvs.decision}]"
	header >X-Subject "[{http.kycvs.subject}]"
	header @v0 +X-Lane zero
	header @v1 +X-Lane one
	header @v2 +X-Lane two
	respond "hello"
}
https://open.example {
	kycvs /ward/* 2
	@v kycvs 2 open.example
	header >X-Status "[{http.kycvs.status}]"
	header @v X-Lane two
	respond "hello {http.kycvs.status}."
}`})
	for _, p := range []person{asha, vikram, meera} {
		want := string(rune('0' + p.status))
		b := in.browse(t, "https://plain.example")
		b.signIn(p)
		in.up.take()
		a := b.fetch("/x", "Kycvs-Status", "2", "kycvs_status", "2")
		seen := in.up.take()
		if len(seen) != 1 || strings.Join(seen[0].values("Kycvs-Status"), ",") != want || len(ours(seen[0].fields)) != 2 {
			t.Errorf("%s: the upstream saw %v", p.name, ours(seen[0].fields))
			continue
		}
		c := check(t, b.keys(), seen[0].value("Kycvs-Assertion"), "plain.example")
		if got := a.Header.Get("X-Status"); got != want {
			t.Errorf("{http.kycvs.status} is %q, want %q", got, want)
		}
		if got := a.Header.Get("X-Subject"); got != c.Sub {
			t.Errorf("{http.kycvs.subject} is %q, want %q", got, c.Sub)
		}
		if a.Header.Get("X-Decision") == "" {
			t.Error("{http.kycvs.decision} is empty")
		}

		l := in.browse(t, "https://lanes.example")
		without := l.fetch("/x", "Kycvs-Status", "2")
		if got := without.Header.Get("X-Status") + without.Header.Get("X-Subject"); got != "[][]" || len(without.Header.Values("X-Lane")) > 0 {
			t.Errorf("without a pass: %v", without)
		}
		l.signIn(p)
		with := l.fetch("/x")
		lanes := strings.Join(with.Header.Values("X-Lane"), " ")
		if wantLanes := []string{"zero", "zero one", "zero one two"}[p.status]; lanes != wantLanes || with.Header.Get("X-Status") != "["+want+"]" {
			t.Errorf("%s: lanes %q status %q, want %q and [%s]", p.name, lanes, with.Header.Get("X-Status"), wantLanes, want)
		}
		if !strings.Contains(with.Header.Get("Cache-Control"), "private") {
			t.Logf("an answer of the site's own says Cache-Control %q", with.Header.Get("Cache-Control"))
		}
	}
	o := in.browse(t, "https://open.example")
	o.signIn(asha)
	if a := o.fetch("/open"); a.Header.Get("X-Lane") != "two" || a.StatusCode != 200 || a.Header.Get("X-Status") != "[]" || string(a.body) != "hello ." {
		t.Errorf("the matcher on an open path: %v", a)
	}
	if a := in.browse(t, "https://open.example").fetch("/open"); a.Header.Get("X-Lane") != "" || a.StatusCode != 200 {
		t.Errorf("the matcher without a pass: %v", a)
	}
}

// The bare number cannot be forged, doubled or removed either.
func TestPlainStatusUnderAttack(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: `
https://plain.example {
	kycvs /ward/* 1 {
		plain_status
	}
	reverse_proxy %UP%
}`})
	b := in.browse(t, "https://plain.example")
	b.signIn(vikram)
	in.up.take()
	for name, fs := range map[string][]field{
		"forged":              {{"Kycvs-Status", "2"}},
		"doubled":             {{"Kycvs-Status", "2"}, {"kycvs_status", "2"}, {"KYCVS.STATUS", "2"}},
		"named in Connection": {{"Connection", "Kycvs-Status, Kycvs-Assertion"}},
		"in a list":           {{"Connection", "close"}, {"Connection", "x,kycvs-status"}},
	} {
		for _, path := range []string{"/ward/x", "/open"} {
			in.send(t, http1, request{host: "plain.example", path: path, cookie: b.cookies(), fields: fs})
			seen := in.up.take()
			want := map[string]string{"/ward/x": "1", "/open": ""}[path]
			if len(seen) != 1 || strings.Join(seen[0].values("Kycvs-Status"), ",") != want || len(ours(seen[0].fields)) != 2*len(want) {
				t.Errorf("%s at %s: the upstream saw %v", name, path, ours(seen[0].fields))
			}
			sawUpstream(t, "Kycvs-Status (plain_status) "+name, http1, path, fmt.Sprint("Kycvs-Status: ", or(want, "none")))
		}
	}
}

// "GET /.kycvs/jwks.json …, application/jwk-set+json, public parts only, …
// cacheable with an ETag, readable from any origin."
func TestKeySet(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: gateSites})
	b := in.browse(t, "https://work.example")
	a := b.do("GET", "/.kycvs/jwks.json", "", "", "Origin", "https://elsewhere.example")
	if a.StatusCode != 200 || !strings.HasPrefix(a.Header.Get("Content-Type"), "application/jwk-set+json") {
		t.Fatalf("got %v", a)
	}
	if a.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("Access-Control-Allow-Origin %q, want *", a.Header.Get("Access-Control-Allow-Origin"))
	}
	if cc := a.Header.Get("Cache-Control"); !strings.Contains(cc, "max-age") || strings.Contains(cc, "no-store") || strings.Contains(cc, "private") {
		t.Errorf("Cache-Control %q, want it cacheable", cc)
	}
	if strings.Contains(string(a.body), `"d"`) {
		t.Error("a private part is in the key set")
	}
	tag := a.Header.Get("ETag")
	if tag == "" {
		t.Fatal("no ETag")
	}
	for _, match := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
		if got := b.do("GET", "/.kycvs/jwks.json", "", "", "If-None-Match", match); got.StatusCode != http.StatusNotModified || len(got.body) > 0 || got.Header.Get("ETag") != tag {
			t.Errorf("If-None-Match %s: %v, want 304 with the ETag", match, got)
		}
	}
	if got := b.do("GET", "/.kycvs/jwks.json", "", "", "If-None-Match", `"x"`); got.StatusCode != 200 {
		t.Errorf("If-None-Match of another: %v", got)
	}
	if got := b.do("HEAD", "/.kycvs/jwks.json", "", ""); got.StatusCode != 200 || got.Header.Get("ETag") != tag || len(got.body) > 0 {
		t.Errorf("HEAD: %v", got)
	}
	if got := b.do("OPTIONS", "/.kycvs/jwks.json", "", "", "Origin", "https://elsewhere.example", "Access-Control-Request-Method", "GET"); got.StatusCode >= 500 {
		t.Errorf("a preflight: %v", got)
	}
	// every site of the instance shows the same keys, and a restart keeps them
	if other := in.browse(t, "https://fresh.example").fetch("/.kycvs/jwks.json"); !bytes.Equal(other.body, a.body) {
		t.Error("another site shows other keys")
	}
	in.stop()
	in.run()
	if again := in.browse(t, "https://work.example").fetch("/.kycvs/jwks.json"); !bytes.Equal(again.body, a.body) || again.Header.Get("ETag") != tag {
		t.Errorf("a restart changes the keys: %s then %s", a.body, again.body)
	}
}
