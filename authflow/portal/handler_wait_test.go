package portal_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

var isolates = strings.NewReplacer("\u2068", "", "\u2069", "")

// saying is a page's text, with one space between words.
func saying(rec *httptest.ResponseRecorder) string {
	text := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(isolates.Replace(rec.Body.String()), " ")
	return strings.Join(strings.Fields(text), " ")
}

// Waiting times grow, and are said in plain words on each page that asks for the
// code: 30 seconds, a minute, two, four.
func TestResendSaysHowLongToWait(t *testing.T) {
	d := newDesk(t)
	rec := d.form("/.kycvs/otp", asha())
	txn := url.Values{"txnId": {hiddenTxn.FindStringSubmatch(rec.Body.String())[1]}}
	for _, step := range []struct {
		wait    time.Duration
		en, hi  string
		seconds string
	}{
		{30 * time.Second, "30 seconds", "30 सेकंड", "30"},
		{time.Minute, "1 minute", "1 मिनट", "60"},
		{2 * time.Minute, "2 minutes", "2 मिनट", "120"},
		{4 * time.Minute, "4 minutes", "4 मिनट", "240"},
	} {
		if want := "You can ask for another code in " + step.en + "."; rec.Code != http.StatusOK || !strings.Contains(saying(rec), want) {
			t.Fatalf("status %d, want %q in\n%s", rec.Code, want, saying(rec))
		}
		early := d.form("/.kycvs/otp", txn)
		if early.Code != http.StatusTooManyRequests || early.Header().Get("Retry-After") != step.seconds || !strings.Contains(saying(early), "Please wait "+step.en+".") {
			t.Errorf("too early: status %d, Retry-After %q\n%s", early.Code, early.Header().Get("Retry-After"), saying(early))
		}
		if early := d.form("/.kycvs/otp", txn, "Accept-Language", "hi"); !strings.Contains(saying(early), "कृपया "+step.hi+" रुकें।") {
			t.Errorf("too early, in Hindi:\n%s", saying(early))
		}
		early = d.json("/.kycvs/otp", map[string]string{"txnId": txn.Get("txnId")})
		var problem struct{ Detail string }
		if err := json.Unmarshal(early.Body.Bytes(), &problem); err != nil || early.Header().Get("Retry-After") != step.seconds || !strings.HasSuffix(problem.Detail, " Please wait "+step.en+". Then try again.") {
			t.Errorf("too early, by JSON: %v %s", early.Header(), early.Body)
		}
		d.Pass(step.wait)
		rec = d.form("/.kycvs/otp", txn)
	}
}

// Whoever reaches a limit is told in their language how long it lasts, and is
// not told beside it that another code can be had.
func TestLimitsSayHowLongToWait(t *testing.T) {
	d := newDesk(t)
	form := asha()
	txn := url.Values{"txnId": {d.pressSend(t, form)}}
	ask := func(header ...string) *httptest.ResponseRecorder {
		return d.json("/.kycvs/otp", map[string]string{"mobile_number": form.Get("mobile_number"), "full_name": form.Get("full_name"), "consent": "Y"}, header...)
	}
	for range 4 {
		if rec := ask(); rec.Code != http.StatusOK {
			t.Fatalf("status %d, %s", rec.Code, rec.Body)
		}
	}
	for lang, want := range map[string]string{"en": "Please wait 24 hours. Then try again.", "hi": "कृपया 24 घंटे रुकें। फिर कोशिश करें।"} {
		rec := ask("Accept-Language", lang)
		var problem struct{ Detail string }
		if err := json.Unmarshal(rec.Body.Bytes(), &problem); err != nil || rec.Code != http.StatusTooManyRequests || !strings.HasSuffix(problem.Detail, " "+want) {
			t.Errorf("%s: status %d, %s", lang, rec.Code, rec.Body)
		}
		other := asha()
		other.Set("full_name", "Somebody Else")
		page := d.form("/.kycvs/otp", other, "Accept-Language", lang)
		if page.Code != http.StatusTooManyRequests || page.Header().Get("Retry-After") == "" || !strings.Contains(saying(page), want) {
			t.Errorf("%s: status %d %v\n%s", lang, page.Code, page.Header(), saying(page))
		}
	}
	d.Pass(time.Minute) // the handshake would send another
	page := d.form("/.kycvs/otp", txn)
	if page.Code != http.StatusTooManyRequests || strings.Contains(saying(page), "You can ask for another code now.") ||
		!strings.Contains(saying(page), "You can ask for another code in 24 hours.") {
		t.Errorf("a resend beyond the limit: status %d\n%s", page.Code, saying(page))
	}
}
