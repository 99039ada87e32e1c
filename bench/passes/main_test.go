package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
)

const secret = "0123456789abcdef0123456789abcdef"

func cookies(t *testing.T, n string) string {
	t.Helper()
	t.Setenv("KYCVS_SECRET", secret)
	var out bytes.Buffer
	err := makePasses([]string{"-n", n, "-site", "localhost", "-partner", "bench", "-purpose", "Benchmark", "-cookies", "a=b"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestMadePassesOpen(t *testing.T) {
	sealer := pass.NewSealer(authflow.NewSecret([]byte(secret)).Keys("pass"),
		pass.Scope{Site: "localhost", Partner: "bench", Purpose: "Benchmark"})
	whole := pass.NewWhole(authflow.NewSecret([]byte(secret)).Keys("cookie"))
	seen := map[string]bool{}
	length := 0
	for line := range strings.Lines(cookies(t, "20")) {
		line = strings.TrimSuffix(line, "\n")
		jar := pass.ParseJar(whole, pass.Value(http.Header{"Cookie": {line}}, pass.Name(false)))
		p, token, err := jar.Find(sealer)
		if err != nil {
			t.Fatalf("a pass does not open: %v", err)
		}
		if p.Status != 2 {
			t.Errorf("status %d, want 2", p.Status)
		}
		seen[token] = true
		if length != 0 && length != len(line) {
			t.Errorf("a line of %d bytes after one of %d: the load generator counts on one length", len(line), length)
		}
		length = len(line)
	}
	if len(seen) != 20 {
		t.Errorf("%d different passes, want 20", len(seen))
	}
}

func TestMakeWithoutSecret(t *testing.T) {
	t.Setenv("KYCVS_SECRET", "")
	if err := makePasses(nil, new(bytes.Buffer)); err == nil {
		t.Fatal("no error without a secret")
	}
}

func TestShow(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		ok     bool
	}{
		{"let in", http.StatusOK, true},
		{"refused", http.StatusUnauthorized, false},
		{"sent to the consent page", http.StatusSeeOther, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var requests atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				w.Header().Set("Location", "/")
				w.WriteHeader(tc.status)
			}))
			defer server.Close()
			err := showPasses([]string{"-url", server.URL, "-clients", "4"}, strings.NewReader(cookies(t, "50")))
			if (err == nil) != tc.ok {
				t.Errorf("error %v", err)
			}
			if n := requests.Load(); tc.ok && n != 50 {
				t.Errorf("%d requests, want 50", n)
			}
		})
	}
}
