package keyring

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func TestKeySetHandler(t *testing.T) {
	r := start(t, Config{Storage: newMemory(), Algorithm: jose.ES256})
	_, etag, _, _ := r.PublicSet()
	server := httptest.NewServer(KeySetHandler(r))
	defer server.Close()

	for _, c := range []struct {
		name, method, ifNoneMatch string
		status                    int
		body                      bool
	}{
		{"get", "GET", "", 200, true},
		{"head", "HEAD", "", 200, false},
		{"unchanged", "GET", etag, 304, false},
		{"unchanged, head", "HEAD", etag, 304, false},
		{"unchanged, weak", "GET", "W/" + etag, 304, false},
		{"unchanged, one of several", "GET", `"other", ` + etag, 304, false},
		{"unchanged, any", "GET", "*", 304, false},
		{"changed", "GET", `"other"`, 200, true},
		{"not a tag", "GET", "other", 200, true},
		{"post", "POST", "", 405, true},
		{"put", "PUT", etag, 405, true},
		{"delete", "DELETE", "", 405, true},
		{"options", "OPTIONS", "", 405, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			request, err := http.NewRequest(c.method, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.ifNoneMatch != "" {
				request.Header.Set("If-None-Match", c.ifNoneMatch)
			}
			answer, err := server.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != c.status || c.body != (len(body) > 0) {
				t.Errorf("%d %s", answer.StatusCode, body)
			}
			want := map[string]string{"Access-Control-Allow-Origin": "*"}
			if c.status == 405 {
				want["Allow"] = "GET, HEAD"
				want["Content-Type"] = "application/problem+json"
				want["Cache-Control"] = "no-store"
			} else {
				want["ETag"] = etag
				want["Cache-Control"] = "public, max-age=900"
			}
			if c.status == 200 {
				want["Content-Type"] = "application/jwk-set+json"
			}
			for name, value := range want {
				if got := answer.Header.Get(name); got != value {
					t.Errorf("%s: %q, want %q", name, got, value)
				}
			}
			if c.status == 200 && c.body {
				var set struct{ Keys []map[string]string }
				if err := json.Unmarshal(body, &set); err != nil || len(set.Keys) != 1 {
					t.Fatalf("%s: %v", body, err)
				}
				key := set.Keys[0]
				if len(key) != 7 || key["kid"] != kid(t, r) || key["alg"] != "ES256" || key["use"] != "sig" ||
					key["kty"] != "EC" || key["crv"] != "P-256" || key["x"] == "" || key["y"] == "" {
					t.Errorf("%v", key)
				}
			}
		})
	}
}

func TestKeySetHandlerNotReady(t *testing.T) {
	r := Open(Config{Storage: newMemory()})
	defer r.Close()
	answer := httptest.NewRecorder()
	KeySetHandler(r).ServeHTTP(answer, httptest.NewRequest("GET", "/.kycvs/jwks.json", nil))
	if answer.Code != 503 || answer.Header().Get("Retry-After") == "" ||
		answer.Header().Get("Content-Type") != "application/problem+json" ||
		answer.Header().Get("Cache-Control") != "no-store" ||
		!strings.Contains(answer.Body.String(), `"code":"unavailable"`) {
		t.Errorf("%d %v %s", answer.Code, answer.Header(), answer.Body)
	}
}
