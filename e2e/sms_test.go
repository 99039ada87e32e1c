package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Section 6: the message, its last line, and a provider that fails.
func TestMessage(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: `
https://work.example {
	kycvs /ward/* 2 {
		partner ward
		purpose "Access to the ward"
	}
	reverse_proxy %UP%
}`})
	b := in.browse(t, "https://work.example")
	// the host is the site that matched, never what a client sent
	c := in.dialTLS(t, "work.example", "http/1.1")
	defer c.Close()
	body := js(asha.typed())
	got := exchange1(c, fmt.Sprintf("POST /.kycvs/otp HTTP/1.1\r\nHost: WORK.Example:1\r\nContent-Type: application/json\r\nAccept: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body), "POST")
	if got.status != 200 {
		t.Fatalf("got %v", got)
	}
	if m := in.sms.next(t, asha.mobile); !strings.HasSuffix(m.Message, "\n@work.example #"+m.Code) || strings.Contains(m.Message, ":1") {
		t.Errorf("message %q", m.Message)
	}
	a := b.json("/.kycvs/otp", vikram.typed(), "X-Forwarded-Host", "evil.example", "Forwarded", "host=evil.example")
	m := in.sms.next(t, vikram.mobile)
	if a.StatusCode != 200 || !strings.HasSuffix(m.Message, "\n@work.example #"+m.Code) {
		t.Errorf("message %q, want it to end with the origin-bound line", m.Message)
	}
	if !strings.Contains(m.Message, "Access to the ward") || !strings.Contains(m.Message, "ward") || !strings.Contains(m.Message, m.Code) {
		t.Errorf("message %q, want partner, purpose and code", m.Message)
	}
	if strings.Contains(m.Message, vikram.name) || strings.Contains(m.Message, vikram.mobile) {
		t.Errorf("message %q says who it is for", m.Message)
	}
}

// "anything else is tried again, then the next sender. Whoever asked waits at
// most two seconds: a known failure is an error, otherwise the message is on
// its way."
func TestProviderFails(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: "limits {\n codes_per_mobile 2 24h\n}", sites: gateSites})
	b := in.browse(t, "https://work.example")
	var calls atomic.Int32
	in.sms.answers(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		http.Error(w, "no", http.StatusBadRequest)
	})
	for range 4 { // a message that was not sent costs nothing
		begun := time.Now()
		b.wants(asha).refuses(t, 503, "unavailable")
		if d := time.Since(begun); d > 3*time.Second {
			t.Errorf("whoever asked waited %v", d)
		}
	}
	calls.Store(0)
	in.sms.answers(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		io.Copy(io.Discard, r.Body)
	})
	if a := b.wants(asha); a.StatusCode != 200 {
		t.Errorf("a provider that fails once: %v", a)
	}
	if calls.Load() < 2 {
		t.Errorf("%d calls of the provider, want another try", calls.Load())
	}
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	in.sms.answers(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	begun := time.Now()
	a := b.wants(asha)
	if d := time.Since(begun); d > 3*time.Second || a.StatusCode != 200 {
		t.Errorf("a provider that hangs: %v after %v, want 200 within two seconds", a, d)
	}
}

func TestNextSender(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sender: "sms http http://127.0.0.1:1/down\nsms http %SMS%", sites: gateSites})
	begun := time.Now()
	in.browse(t, "https://work.example").signIn(asha)
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("the second sender took %v", d)
	}
}

// The operator's own body, header and method, with placeholders.
func TestOwnRequest(t *testing.T) {
	t.Parallel()
	got := make(chan string, 4)
	p := newPhones(t)
	p.answers(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- r.Method + " " + r.Header.Get("Authorization") + " " + r.Header.Get("Content-Type") + " " + string(b)
	})
	in := start(t, setup{
		sms: p,
		env: []string{"SMS_KEY=k-123"},
		sender: `sms http %SMS% {
			method PUT
			header Authorization "Key {env.SMS_KEY}"
			header Content-Type application/json
			body "{\"phone\":\"{sms.to}\",\"text\":\"{sms.message}\",\"otp\":\"{sms.code}\",\"ref\":\"{sms.txnId}\"}"
		}`,
		sites: gateSites,
	})
	b := in.browse(t, "https://work.example")
	a := b.wants(asha)
	if a.StatusCode != 200 {
		t.Fatalf("got %v", a)
	}
	select {
	case s := <-got:
		for _, want := range []string{"PUT Key k-123 application/json", `"phone":"+919876543210"`, `"ref":"` + a.object(t).str("txnId") + `"`} {
			if !strings.Contains(s, want) {
				t.Errorf("the provider got %q, want %q in it", s, want)
			}
		}
		if strings.Contains(s, "{sms.") {
			t.Errorf("a placeholder was left: %q", s)
		}
	case <-time.After(patience):
		t.Error("the provider got nothing")
	}
	if code, config := in.adminGet("/config/"); code != 200 || strings.Contains(config, "k-123") {
		t.Error("the configuration dump shows the resolved secret")
	}
}
