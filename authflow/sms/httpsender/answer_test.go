package httpsender

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/sms"
)

// TestExpect has providers that answer as they like.
func TestExpect(t *testing.T) {
	const expect = `(?i)^\s*success\b|"type"\s*:\s*"success"`
	for _, test := range []struct {
		name    string
		status  int
		body    string
		sent    bool
		message bool // the refusal is about the message
	}{
		{"says so", 200, "success | 919876543210 | 42-43", true, false},
		{"says so otherwise", 202, `{"message":"42","type": "success"}`, true, false},
		{"says no", 200, "error | 105 | The phone number 919876543210 is not valid", false, true},
		{"says nothing", 200, "", false, true},
		{"has no body", 204, "", false, true},
		{"says so too late", 200, strings.Repeat(" ", maxAnswer) + "success", false, true},
		{"says so just in time", 200, strings.Repeat(" ", maxAnswer-len("success")) + "success | 1", true, false},
		{"is a redirect", 302, "success", false, false},
		{"is busy", 503, "success", false, false},
		{"does not know the key", 401, "success", false, false},
		{"knows no such number", 400, "success", false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			}))
			defer p.Close()
			err := mustNew(t, Config{URL: p.URL, Expect: expect}).Send(t.Context(), message)
			if (err == nil) != test.sent || errors.Is(err, sms.ErrMessage) != test.message {
				t.Errorf("got %v, want sent %v, about the message %v", err, test.sent, test.message)
			}
			if errors.Is(err, sms.ErrMessage) && !errors.Is(err, sms.ErrPermanent) {
				t.Errorf("%v is not permanent", err)
			}
			if err != nil {
				wantPrivate(t, err.Error())
			}
		})
	}
}

// TestExpectSlow has answers whose body does not end: what it says before that
// counts, and otherwise nobody knows.
func TestExpectSlow(t *testing.T) {
	for _, test := range []struct {
		body string
		want error
	}{{"success | 1", nil}, {"", context.DeadlineExceeded}} {
		t.Run(test.body, func(t *testing.T) {
			release := make(chan struct{})
			p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, test.body)
				w.(http.Flusher).Flush()
				<-release
			}))
			defer p.Close()
			defer close(release)
			err := mustNew(t, Config{URL: p.URL, Expect: "^success", Timeout: 300 * time.Millisecond}).Send(t.Context(), message)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// TestStatusKinds holds which refusals are held against the sender.
func TestStatusKinds(t *testing.T) {
	for status := 100; status < 600; status++ {
		err := statusError(status)
		permanent, message := errors.Is(err, sms.ErrPermanent), errors.Is(err, sms.ErrMessage)
		switch {
		case status/100 == 2:
			if err != nil {
				t.Errorf("%d: %v", status, err)
			}
		case status == 401, status == 402, status == 403, status == 404:
			if !permanent || message {
				t.Errorf("%d: %v, want a failure of the sender for good", status, err)
			}
		case status == 400, status == 422:
			if !permanent || !message {
				t.Errorf("%d: %v, want a refusal of the message", status, err)
			}
		case status == 408, status == 425, status == 429, status/100 != 4:
			if err == nil || permanent || message {
				t.Errorf("%d: %v, want a failure that is tried again", status, err)
			}
		case message && !permanent:
			t.Errorf("%d: %v, is about the message and not permanent", status, err)
		}
	}
}

// FuzzExpect matches any answer: no error has something of it.
func FuzzExpect(f *testing.F) {
	f.Add(200, "^success", "success | 919876543210 | 1")
	f.Add(200, `"ok":true`, `{"ok":false,"to":"+919876543210"}`)
	f.Add(503, ".", "\xff\x00")
	f.Fuzz(func(t *testing.T, status int, pattern, body string) {
		re, err := compileExpect(pattern)
		if err != nil || re == nil {
			return
		}
		s := &Sender{expect: re}
		err = s.judge(&http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}, func() {})
		sent := status >= 200 && status <= 299 && regexp.MustCompile(pattern).MatchString(body[:min(len(body), maxAnswer)])
		if (err == nil) != sent {
			t.Fatalf("got %v, want sent %v", err, sent)
		}
		if err != nil && len(body) > 20 && strings.Contains(err.Error(), body) {
			t.Fatalf("%v repeats the answer", err)
		}
	})
}
