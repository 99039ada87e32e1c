package assertion

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func TestMiddleware(t *testing.T) {
	key := parseKey(t, rfcEdDSA)
	sign := func(change func(*Claims)) string {
		c := plain()
		if change != nil {
			change(&c)
		}
		compact, err := newSigner(t, key).Compact(c)
		if err != nil {
			t.Fatal(err)
		}
		return compact
	}
	good := sign(nil)
	v := newVerifier(t, publicKeys(t, key))
	down, err := NewVerifier(VerifierConfig{
		Keys: func(context.Context, string) (jose.JSONWebKey, error) {
			return jose.JSONWebKey{}, errors.New("no route to host")
		},
		Issuer: "https://mall.example", Audience: "mall", Now: at(issuedAt),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		v        *Verifier
		required Required
		fields   http.Header
		status   int
		code     string
	}{
		{"two of two", v, Required{Status: 2}, http.Header{HeaderName: {good}}, 200, ""},
		{"any", v, Required{}, http.Header{HeaderName: {sign(func(c *Claims) { c.VaccinationStatus = 0 })}}, 200, ""},
		{"fresh enough", v, Required{MaxAge: 305 * time.Second}, http.Header{HeaderName: {good}}, 200, ""},
		{"none", v, Required{}, nil, 401, "assertion_missing"},
		{"another spelling", v, Required{}, http.Header{"Kycvs_assertion": {good}}, 401, "assertion_missing"},
		{"bearer", v, Required{}, http.Header{"Authorization": {"Bearer " + good}}, 401, "assertion_missing"},
		{"twice", v, Required{}, http.Header{HeaderName: {good, good}}, 401, "assertion_doubled"},
		{"a good one and an empty one", v, Required{}, http.Header{HeaderName: {good, ""}}, 401, "assertion_doubled"},
		{"empty", v, Required{}, http.Header{HeaderName: {""}}, 401, "assertion_invalid"},
		{"two in one", v, Required{}, http.Header{HeaderName: {good + ", " + good}}, 401, "assertion_invalid"},
		{"another's", v, Required{}, http.Header{HeaderName: {sign(func(c *Claims) { c.Audience = "ward" })}}, 401, "assertion_invalid"},
		{"one of two", v, Required{Status: 2}, http.Header{HeaderName: {sign(func(c *Claims) { c.VaccinationStatus = 1 })}}, 403, "status_too_low"},
		{"two of three", v, Required{Status: 3}, http.Header{HeaderName: {good}}, 403, "status_too_low"},
		{"too old", v, Required{MaxAge: 304 * time.Second}, http.Header{HeaderName: {good}}, 401, "assertion_too_old"},
		{"confirmed in the future", v, Required{MaxAge: time.Hour}, http.Header{HeaderName: {sign(func(c *Claims) { c.AuthTime = issuedAt + 16 })}}, 401, "assertion_too_old"},
		{"no keys", down, Required{}, http.Header{HeaderName: {good}}, 503, "unavailable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			through := false
			h := c.v.Middleware(c.required, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				through = true
				if claims, ok := FromContext(r.Context()); !ok || claims.Subject != plain().Subject {
					t.Errorf("the context has %+v, %v", claims, ok)
				}
			}))
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
			for name, values := range c.fields {
				r.Header[name] = values
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.status || through != (c.status == 200) {
				t.Fatalf("status %d, let through %v: %s", w.Code, through, w.Body)
			}
			if c.code == "" {
				return
			}
			var p struct {
				Type, Title, Detail, Code string
				Status, Required          int
			}
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
			if p.Type != "about:blank" || p.Title == "" || p.Detail == "" || p.Code != c.code || p.Status != c.status || p.Required != c.required.Status {
				t.Errorf("%s", w.Body)
			}
			for name, want := range map[string]bool{"WWW-Authenticate": c.status == 401, "Retry-After": c.status == 503, "Cache-Control": true} {
				if got := w.Header().Get(name) != ""; got != want {
					t.Errorf("%s: %v, want %v", name, got, want)
				}
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("Content-Type %s", got)
			}
		})
	}
	if _, ok := FromContext(t.Context()); ok {
		t.Error("claims out of nowhere")
	}
}
