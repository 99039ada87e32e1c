package remote

import (
	"net/http"
	"testing"

	"github.com/kycvs/caddy-kycvs/authflow"
)

// FuzzAnswers reads whatever an authority could answer: no reader panics, and what
// one takes is within bounds.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `{"txnId":"a","expires_in":180,"resend_after":30,"attempts_left":3}`, `{"txnId":"a","txnId":"b"}`,
		`{"token":"mall.abc"}`, `{"vaccination_status":2,"assertion":"a.b.c"}`, `{"code":"otp_invalid","attempts_left":2}`,
		`{"errorCode":"USRAUT0014","error":"x"}`, `{"message":"Forbidden"}`, `{"code":"ambiguous","need":"birth_year"}`,
		`{"withdrawn":[{"consent":"AQIDBAUGBwgJCgsMDQ4PEA","at":"2026-11-21T00:00:00Z"}],"next":"2026-11-21T00:00:00Z"}`,
		"{\"a\":\"\xff\"}", `{"a":1}{"b":2}`, `{"a":[[[[[[`, `{"expires_in":1e3,"txnId":"a"}`,
	} {
		f.Add([]byte(seed), uint16(400))
	}
	f.Fuzz(func(t *testing.T, body []byte, status uint16) {
		if a, err := readAsked(body); err == nil && (a.Txn == "" || a.ExpiresIn < 0 || a.AttemptsLeft < 0 || a.AttemptsLeft > 100) {
			t.Errorf("asked %+v", a)
		}
		if token, err := readToken(body); err == nil && token == "" {
			t.Error("an empty token")
		}
		if n, compact, err := readStatus(body); err == nil && (n < 0 || n > 2 || compact == "") {
			t.Errorf("status %d %q", n, compact)
		}
		if p, err := readPage(body); err == nil && len(p.next) > maxMark {
			t.Error("an endless mark")
		}
		err := refusal("x", reply{int(status), http.Header{}, body}, authflow.OTPInvalid, authflow.Ambiguous)
		if err == nil {
			t.Error("a refusal that is none")
		}
	})
}
