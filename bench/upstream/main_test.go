package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHandler(t *testing.T) {
	h := handler()
	for _, step := range []struct {
		name, method, path, body string
		header                   http.Header
		status                   int
		answer                   string
	}{
		{name: "load", method: "GET", path: "/", status: 200, answer: "ok\n"},
		{name: "what it is sent", method: "GET", path: "/seen", header: http.Header{"Cookie": {"a=b", "c=d"}, "Kycvs-Assertion": {"x.y.z"}}, status: 200, answer: "cookie 6 assertion 5\n"},
		{name: "no message yet", method: "GET", path: "/sms/code", status: 404},
		{name: "no JSON", method: "POST", path: "/sms", body: "code=1", status: 400},
		{name: "no code", method: "POST", path: "/sms", body: `{"message":"hello"}`, status: 400},
		{name: "a message", method: "POST", path: "/sms", body: `{"to":"+919876543210","code":"123456"}`, status: 200},
		{name: "its code", method: "GET", path: "/sms/code", status: 200, answer: "123456"},
	} {
		t.Run(step.name, func(t *testing.T) {
			r := httptest.NewRequest(step.method, step.path, strings.NewReader(step.body))
			if step.header != nil {
				r.Header = step.header
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != step.status {
				t.Errorf("status %d, want %d", w.Code, step.status)
			}
			if step.answer != "" && w.Body.String() != step.answer {
				t.Errorf("answer %q, want %q", w.Body, step.answer)
			}
		})
	}
}
