package portal_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/assertion"
	test "github.com/kycvs/caddy-kycvs/authflow/authflowtest"
	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
	"github.com/kycvs/caddy-kycvs/authflow/receipt"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"

	"github.com/go-jose/go-jose/v4"
)

const consentsPage = "/.kycvs/consents"

// finish runs a whole handshake for somebody at a partner.
func (d *desk) finish(t testing.TB, mobile, name, partner string) *httptest.ResponseRecorder {
	t.Helper()
	rec := d.json("/.kycvs/otp", map[string]string{"mobile_number": mobile, "full_name": name, "consent": "Y", "for": partner})
	var asked struct{ TxnID string }
	if err := json.Unmarshal(rec.Body.Bytes(), &asked); err != nil || rec.Code != 200 {
		t.Fatalf("asking: %d %s", rec.Code, rec.Body)
	}
	return d.json("/.kycvs/verify", map[string]string{"txnId": asked.TxnID, "otp": d.Phone.Last().Code})
}

// prove proves a number for one's own record, as a program.
func (d *desk) prove(t testing.TB, mobile string) {
	t.Helper()
	rec := d.json(consentsPage+"/otp", map[string]string{"mobile_number": mobile})
	var asked struct{ TxnID string }
	if err := json.Unmarshal(rec.Body.Bytes(), &asked); err != nil || rec.Code != 200 {
		t.Fatalf("asking: %d %s", rec.Code, rec.Body)
	}
	if rec := d.json(consentsPage+"/verify", map[string]string{"txnId": asked.TxnID, "otp": d.Phone.Last().Code}); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"expires_at":"2026-11-`) {
		t.Fatalf("the code: %d %s", rec.Code, rec.Body)
	}
}

// own is the JSON of one's own record.
type own struct {
	Locked   bool
	Consents []struct {
		Consent, Partner, Purpose, Given, Until, State string
		Answers                                        []struct{ At, How string }
	}
	Refusals []struct{ At, Partner, Purpose, Reason string }
}

func (d *desk) own(t testing.TB) (o own) {
	t.Helper()
	rec := d.get(consentsPage, "Accept", "application/json")
	if err := json.Unmarshal(rec.Body.Bytes(), &o); err != nil || rec.Code != 200 {
		t.Fatalf("the record: %d %s", rec.Code, rec.Body)
	}
	if strings.Contains(rec.Body.String(), "null") || rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("the record: %v %s", rec.Header(), rec.Body)
	}
	return o
}

// A person's whole visit, by forms.
func TestOwnRecordByForms(t *testing.T) {
	d := newDesk(t, "mall", "ward")
	if rec := d.finish(t, test.Asha, "Asha Rao", "mall"); rec.Code != 200 {
		t.Fatal(rec)
	}
	d.Pass(time.Minute)
	d.finish(t, test.Asha, "Nobody Here", "ward")
	d.finish(t, test.Ravi, "Ravi Kumar", "ward")
	gate := d.cookie

	d.cookie = "" // another phone
	rec := d.get(consentsPage, "Accept", "text/html")
	if rec.Code != 200 || !strings.Contains(rec.Body.String(), `name="mobile_number"`) || strings.Contains(rec.Body.String(), "full_name") {
		t.Fatalf("status %d\n%s", rec.Code, rec.Body)
	}
	if rec := d.form(consentsPage+"/otp", url.Values{"mobile_number": {"12"}}); rec.Code != 400 || !strings.Contains(rec.Body.String(), `value="12"`) {
		t.Errorf("no number: %d", rec.Code)
	}
	sent := d.Phone.Sent()
	ask := func() string {
		rec := d.form(consentsPage+"/otp", url.Values{"mobile_number": {"९८७६५ ४३२१०"}})
		m := hiddenTxn.FindStringSubmatch(rec.Body.String())
		if rec.Code != 200 || m == nil || strings.Contains(rec.Body.String(), `action="/.kycvs/verify"`) {
			t.Fatalf("status %d\n%s", rec.Code, rec.Body)
		}
		return m[1]
	}
	txn := ask()
	if ask() != txn || d.Phone.Sent() != sent+1 {
		t.Error("loading the page again sends another code")
	}
	code := d.Phone.Last().Code
	if rec := d.form(consentsPage+"/otp", url.Values{"txnId": {txn}}); rec.Code != 429 || rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Body.String(), `name="otp"`) {
		t.Errorf("another code too early: %d", rec.Code)
	}
	d.Pass(31 * time.Second)
	if rec := d.form(consentsPage+"/otp", url.Values{"txnId": {txn}}); rec.Code != 200 {
		t.Errorf("another code: %d", rec.Code)
	}
	if rec := d.form(consentsPage+"/verify", url.Values{"txnId": {txn}, "otp": {code}}); rec.Code != 401 || !strings.Contains(rec.Body.String(), `name="otp"`) && d.Phone.Last().Code != code {
		t.Errorf("the code before: %d", rec.Code)
	}
	code = d.Phone.Last().Code
	rec = d.form(consentsPage+"/verify", url.Values{"txnId": {txn}, "otp": {code}, "lang": {"hi"}})
	if rec.Code != 303 || rec.Header().Get("Location") != consentsPage+"?lang=hi" {
		t.Fatalf("the right code: %d %s", rec.Code, rec.Body)
	}
	if rec := d.form(consentsPage+"/verify", url.Values{"txnId": {txn}, "otp": {code}}); rec.Code != 303 {
		t.Errorf("pressing twice: %d", rec.Code)
	}
	page := d.get(consentsPage+"?lang=en", "Accept", "text/html").Body.String()
	for _, want := range []string{"Entry by mall", "Entry by ward", "Counts now", "no record was found", `name="locked" value="yes"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}
	for _, never := range []string{"Asha", "Ravi", "98765", "Nobody Here"} {
		if strings.Contains(page, never) {
			t.Errorf("the page says %q", never)
		}
	}
	consent := d.own(t).Consents[0].Consent
	rec = d.form(consentsPage+"/end", url.Values{"consent": {consent}, "lang": {"hi"}})
	if rec.Code != 303 || rec.Header().Get("Location") != consentsPage+"?done=ended&lang=hi" {
		t.Errorf("ending: %d %v", rec.Code, rec.Header())
	}
	if page := d.get(rec.Header().Get("Location"), "Accept", "text/html").Body.String(); !strings.Contains(page, `role="status"`) || strings.Contains(page, consent) {
		t.Errorf("afterwards:\n%s", page)
	}
	if rec := d.form(consentsPage+"/leave", url.Values{}); rec.Code != 303 || rec.Header().Get("Location") != consentsPage {
		t.Errorf("leaving: %d", rec.Code)
	}
	if rec := d.get(consentsPage, "Accept", "application/json"); rec.Code != 401 {
		t.Errorf("after leaving: %d", rec.Code)
	}
	d.cookie = gate
	for partner, status := range map[string]int{"mall": 401, "ward": 200} { // Asha's ended, Ravi's did not
		if rec := d.get("/.kycvs/pass?for="+partner, "Accept", "application/json"); rec.Code != status {
			t.Errorf("the pass for %s: %d", partner, rec.Code)
		}
	}
}

func TestOwnRecordByJSON(t *testing.T) {
	d := newDesk(t, "mall", "ward")
	d.finish(t, test.Asha, "Asha Rao", "mall")
	d.Pass(13 * time.Hour)
	d.finish(t, test.Asha, "Asha Rao", "ward")
	d.finish(t, test.Alike, "Lata Sen", "mall")
	mine := d.cookie
	if rec := d.get(consentsPage, "Accept", "application/json"); rec.Code != 401 || rec.Header().Get("WWW-Authenticate") != "KYCVS" ||
		!strings.Contains(rec.Body.String(), `"start":"/.kycvs/consents"`) {
		t.Fatalf("a gate's pass opens the record: %d %s", rec.Code, rec.Body)
	}
	d.prove(t, test.Asha)
	eventually(t, func() bool { o := d.own(t); return len(o.Consents) == 2 && len(o.Consents[1].Answers) == 1 })
	o := d.own(t)
	newest, oldest := o.Consents[0], o.Consents[1]
	if o.Locked || len(o.Refusals) != 0 || newest.Partner != "ward" || newest.State != "running" || newest.Purpose != "Entry by ward" ||
		oldest.State != "ended" || oldest.Partner != "mall" || oldest.Answers[0].How != authflow.HowPage ||
		newest.Given != "2026-11-22T01:00:00Z" || newest.Until != "2026-11-22T13:00:00Z" {
		t.Errorf("got %+v", o)
	}
	// ends it, and again
	for range 2 {
		if rec := d.json(consentsPage+"/end", map[string]string{"consent": newest.Consent}); rec.Code != 204 || rec.Body.Len() > 0 {
			t.Errorf("ending: %d %s", rec.Code, rec.Body)
		}
	}
	if got := d.own(t).Consents[0].State; got != "withdrawn" {
		t.Errorf("it is %s", got)
	}
	// somebody else's are not there
	d.cookie = mine
	d.prove(t, test.Alike)
	if o := d.own(t); len(o.Consents) != 0 || len(o.Refusals) != 1 || o.Refusals[0].Reason != "ambiguous" {
		t.Errorf("got %+v", o)
	}
	if rec := d.json(consentsPage+"/end", map[string]string{"consent": oldest.Consent}); rec.Code != 401 || !strings.Contains(rec.Body.String(), `"txn_unknown"`) {
		t.Errorf("ending somebody else's: %d %s", rec.Code, rec.Body)
	}
	// the time is over
	d.Pass(authflow.SelfSession)
	if rec := d.get(consentsPage, "Accept", "application/json"); rec.Code != 401 {
		t.Errorf("ten minutes later: %d", rec.Code)
	}
	for _, path := range []string{"/end", "/lock"} {
		if rec := d.json(consentsPage+path, map[string]string{"locked": "yes"}); rec.Code != 401 {
			t.Errorf("%s ten minutes later: %d", path, rec.Code)
		}
		if rec := d.form(consentsPage+path, url.Values{"locked": {"yes"}}); rec.Code != 401 || !strings.Contains(rec.Body.String(), `name="mobile_number"`) {
			t.Errorf("%s ten minutes later: %d", path, rec.Code)
		}
	}
	if d.locks(t) != nil {
		t.Error("something was locked")
	}
}

// locks returns the lock entries of the ledger.
func (d *desk) locks(t *testing.T) (locks []ledger.Entry) {
	for _, e := range d.Ledger.Entries(t) {
		if e.Event == ledger.Locked || e.Event == ledger.Unlocked {
			locks = append(locks, e)
		}
	}
	return locks
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("did not happen")
		}
	}
}

func TestLockingANumber(t *testing.T) {
	d := newDesk(t)
	d.finish(t, test.Asha, "Asha Rao", "")
	asked := d.Registry.Asked()
	d.prove(t, test.Asha)
	for _, bad := range []string{"", "Y", "true"} {
		if rec := d.json(consentsPage+"/lock", map[string]string{"locked": bad}); rec.Code != 400 {
			t.Errorf("locked %q: %d", bad, rec.Code)
		}
	}
	for range 2 {
		if rec := d.json(consentsPage+"/lock", map[string]string{"locked": "yes"}); rec.Code != 204 {
			t.Fatalf("locking: %d %s", rec.Code, rec.Body)
		}
	}
	if !d.own(t).Locked || len(d.locks(t)) != 1 {
		t.Error("not locked, or twice")
	}
	if rec := d.get("/.kycvs/pass", "Accept", "application/json"); rec.Code != 401 {
		t.Errorf("the pass: %d", rec.Code)
	}
	if rec := d.get("/.kycvs/receipt", "Accept", "application/json"); rec.Code != 401 {
		t.Errorf("the receipt: %d", rec.Code)
	}
	rec := d.finish(t, test.Asha, "Asha Rao", "")
	if rec.Code != 403 || !strings.Contains(rec.Body.String(), `"code":"locked"`) || !strings.Contains(rec.Body.String(), `"unlock":"/.kycvs/consents"`) {
		t.Errorf("a new handshake: %d %s", rec.Code, rec.Body)
	}
	txn := d.pressSend(t, asha())
	rec = d.form("/.kycvs/verify", url.Values{"txnId": {txn}, "otp": {d.Phone.Last().Code}})
	if rec.Code != 403 || !strings.Contains(rec.Body.String(), "locked") || !strings.Contains(rec.Body.String(), `class="button" href="/.kycvs/consents"`) {
		t.Errorf("a new handshake: %d %s", rec.Code, rec.Body)
	}
	if d.Registry.Asked() != asked {
		t.Error("the registry was asked about a locked number")
	}
	if o := d.own(t); len(o.Refusals) != 2 || o.Refusals[0].Reason != "locked" {
		t.Errorf("got %+v", o)
	}
	if rec := d.finish(t, test.Ravi, "Ravi Kumar", ""); rec.Code != 200 {
		t.Errorf("another number: %d", rec.Code)
	}
	rec = d.form(consentsPage+"/lock", url.Values{"locked": {"no"}})
	if rec.Code != 303 || rec.Header().Get("Location") != consentsPage+"?done=unlocked" {
		t.Fatalf("unlocking: %d %s", rec.Code, rec.Body)
	}
	if rec := d.finish(t, test.Asha, "Asha Rao", ""); rec.Code != 200 {
		t.Errorf("after unlocking: %d", rec.Code)
	}
}

// Locking is never refused; unlocking is, after many times, with the time to wait.
func TestUnlockingOverAndOver(t *testing.T) {
	d := newDesk(t)
	d.prove(t, test.Asha)
	turn := func(locked string) *httptest.ResponseRecorder {
		return d.json(consentsPage+"/lock", map[string]string{"locked": locked})
	}
	for i := range 20 {
		if a, b := turn("yes"), turn("no"); a.Code != 204 || b.Code != 204 {
			t.Fatalf("turn %d: %d, %d", i, a.Code, b.Code)
		}
	}
	if rec := turn("yes"); rec.Code != 204 {
		t.Errorf("locking: %d", rec.Code)
	}
	if rec := turn("no"); rec.Code != 429 || rec.Header().Get("Retry-After") == "" {
		t.Errorf("unlocking once more: %d", rec.Code)
	}
	if !d.own(t).Locked || len(d.locks(t)) != 41 {
		t.Error("it is not as it was said to be")
	}
}

// Nobody gets at the record with what is good for something else.
func TestOwnCodesAreApart(t *testing.T) {
	d := newDesk(t, "mall", "ward")
	ask := func(path string, fields map[string]string) string {
		t.Helper()
		var asked struct{ TxnID string }
		rec := d.json(path, fields)
		if err := json.Unmarshal(rec.Body.Bytes(), &asked); err != nil || rec.Code != 200 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		return asked.TxnID
	}
	gate := ask("/.kycvs/otp", map[string]string{"mobile_number": test.Asha, "full_name": "Asha Rao", "consent": "Y", "for": "mall"})
	gateCode := d.Phone.Last().Code
	self := ask(consentsPage+"/otp", map[string]string{"mobile_number": test.Asha})
	selfCode := d.Phone.Last().Code
	for name, rec := range map[string]*httptest.ResponseRecorder{
		"a gate's code":             d.json(consentsPage+"/verify", map[string]string{"txnId": gate, "otp": gateCode}),
		"the own code at a gate":    d.json("/.kycvs/verify", map[string]string{"txnId": self, "otp": selfCode}),
		"at a gate that is named":   d.json("/.kycvs/verify", map[string]string{"txnId": self, "otp": selfCode, "for": "mall"}),
		"at one's own as a partner": d.json("/.kycvs/verify", map[string]string{"txnId": self, "otp": selfCode, "for": ".self"}),
		"resending at a gate":       d.json("/.kycvs/otp", map[string]string{"txnId": self}),
		"no handshake":              d.json(consentsPage+"/verify", map[string]string{"otp": selfCode}),
	} {
		if rec.Code != 401 || !strings.Contains(rec.Body.String(), `"txn_unknown"`) {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
	for _, path := range []string{"/.kycvs/?for=.self", "/.kycvs/pass?for=.self", "/.kycvs/receipt?for=.self"} {
		if rec := d.get(path); rec.Code != 404 {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
	mine := d.cookie
	d.cookie = "" // another browser
	if rec := d.json(consentsPage+"/verify", map[string]string{"txnId": self, "otp": selfCode}); rec.Code != 401 {
		t.Errorf("another browser: %d", rec.Code)
	}
	d.cookie = mine
	if rec := d.json(consentsPage+"/verify", map[string]string{"txnId": self, "otp": selfCode}); rec.Code != 200 {
		t.Fatalf("the own code: %d %s", rec.Code, rec.Body)
	}
	if d.Registry.Asked() != 0 || len(d.Ledger.Entries(t)) != 0 {
		t.Error("the registry was asked, or something was recorded")
	}
	for _, partner := range []string{"mall", "ward"} {
		if rec := d.get("/.kycvs/pass?for="+partner, "Accept", "application/json"); rec.Code != 401 {
			t.Errorf("a proven number is a pass for %s: %d", partner, rec.Code)
		}
	}
}

func TestOwnRecordErrors(t *testing.T) {
	d := newDesk(t)
	d.prove(t, test.Asha)
	sent := d.Phone.Sent()
	for _, c := range []struct {
		name   string
		rec    *httptest.ResponseRecorder
		status int
		code   authflow.Code
	}{
		{"no number", d.json(consentsPage+"/otp", map[string]string{}), 400, authflow.MobileInvalid},
		{"another country's", d.json(consentsPage+"/otp", map[string]string{"mobile_number": "+4915112345678"}), 400, authflow.MobileInvalid},
		{"no code", d.json(consentsPage+"/verify", map[string]string{"txnId": "ac1cc3d2-83c9-4a62-a806-431eebd58baa"}), 401, authflow.TxnUnknown},
		{"resending nothing", d.json(consentsPage+"/otp", map[string]string{"txnId": "x"}), 401, authflow.TxnUnknown},
		{"an unknown consent", d.json(consentsPage+"/end", map[string]string{"consent": "ICEiIyQlJicoKSorLC0uLw"}), 401, authflow.TxnUnknown},
		{"no consent", d.json(consentsPage+"/end", nil), 401, authflow.TxnUnknown},
		{"asking from elsewhere", d.json(consentsPage+"/otp", map[string]string{"mobile_number": test.Asha}, "Sec-Fetch-Site", "cross-site"), 403, authflow.CrossOrigin},
		{"locking from elsewhere", d.json(consentsPage+"/lock", map[string]string{"locked": "yes"}, "Origin", "https://evil.example"), 403, authflow.CrossOrigin},
		{"ending from elsewhere", d.json(consentsPage+"/end", nil, "Sec-Fetch-Site", "same-site"), 403, authflow.CrossOrigin},
		{"leaving from elsewhere", d.json(consentsPage+"/leave", nil, "Sec-Fetch-Site", "cross-site"), 403, authflow.CrossOrigin},
		{"too large", d.json(consentsPage+"/otp", map[string]string{"mobile_number": strings.Repeat("9", 10_000)}), 413, authflow.TooLarge},
		{"a page that is not there", d.get(consentsPage+"/", "Accept", "application/json"), 404, authflow.BadRequest},
		{"the wrong method", d.get(consentsPage+"/lock", "Accept", "application/json"), 405, authflow.BadRequest},
		{"posting to the page", d.json(consentsPage, nil), 405, authflow.BadRequest},
		{"posting for a receipt", d.json("/.kycvs/receipt", nil), 405, authflow.BadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p struct{ Code authflow.Code }
			if err := json.Unmarshal(c.rec.Body.Bytes(), &p); err != nil || c.rec.Code != c.status || p.Code != c.code {
				t.Errorf("status %d, %s", c.rec.Code, c.rec.Body)
			}
			if c.rec.Header().Get("Content-Type") != "application/problem+json" || c.rec.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("the header is %v", c.rec.Header())
			}
		})
	}
	if d.Phone.Sent() != sent || len(d.locks(t)) != 0 {
		t.Error("something was spent")
	}
	d.self = nil // a site without that page
	if rec := d.get(consentsPage); rec.Code != 404 {
		t.Errorf("without an audience: %d", rec.Code)
	}
}

// What the ledger does not take is not said to be done, and what others cannot be
// told is said to be so.
func TestOwnRecordThatCannotBeWritten(t *testing.T) {
	d := newDesk(t)
	board := &board{}
	x, err := withdrawals.Open(withdrawals.Config{Board: board, Grace: time.Hour, Logger: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	d.Flow.Withdrawals, d.handler.Withdrawals = x, &x.Set
	d.finish(t, test.Asha, "Asha Rao", "")
	d.prove(t, test.Asha)
	consent := d.own(t).Consents[0].Consent
	d.Ledger.Fail(true)
	for path, fields := range map[string]map[string]string{"/end": {"consent": consent}, "/lock": {"locked": "yes"}} {
		if rec := d.json(consentsPage+path, fields); rec.Code != 503 || rec.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	d.Ledger.Fail(false)
	if o := d.own(t); o.Locked || o.Consents[0].State != "running" {
		t.Errorf("got %+v", o)
	}
	board.away.Store(true)
	for path, fields := range map[string]map[string]string{"/end": {"consent": consent}, "/lock": {"locked": "yes"}} {
		for range 2 {
			if rec := d.json(consentsPage+path, fields); rec.Code != 503 || rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Body.String(), "done here") {
				t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
			}
		}
	}
	if rec := d.form(consentsPage+"/lock", url.Values{"locked": {"yes"}}); rec.Code != 503 || !strings.Contains(rec.Body.String(), "Not everywhere yet") || !strings.Contains(rec.Body.String(), `href="/.kycvs/consents"`) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if o := d.own(t); !o.Locked || o.Consents[0].State != "withdrawn" || len(d.locks(t)) != 1 {
		t.Errorf("got %+v", o)
	}
	board.away.Store(false)
	if rec := d.json(consentsPage+"/lock", map[string]string{"locked": "yes"}); rec.Code != 204 {
		t.Errorf("status %d, %s", rec.Code, rec.Body)
	}
}

// What an address claims to have been done is said only where it is so.
func TestOwnRecordSaysNoUntruth(t *testing.T) {
	d := newDesk(t)
	d.finish(t, test.Asha, "Asha Rao", "")
	d.prove(t, test.Asha)
	for _, done := range []string{"locked", "ended", "nonsense"} {
		if page := d.get(consentsPage+"?done="+done, "Accept", "text/html").Body.String(); strings.Contains(page, `role="status"`) {
			t.Errorf("%s:\n%s", done, page)
		}
	}
}

// A long record comes in pages.
func TestOwnRecordInPages(t *testing.T) {
	d := newDesk(t)
	for range 45 {
		if rec := d.finish(t, test.Asha, "Asha Rao", ""); rec.Code != 200 {
			t.Fatal(rec.Code)
		}
		d.Pass(time.Minute)
	}
	d.prove(t, test.Asha)
	if n := len(d.own(t).Consents); n != 45 {
		t.Fatalf("%d consents", n)
	}
	seen := 0
	for page, want := range map[string]int{"1": 20, "2": 20, "3": 5, "4": 5, "-1": 20, "x": 20, "99999999999999999999": 20} {
		rec := d.get(consentsPage+"?page="+page, "Accept", "text/html")
		n := strings.Count(rec.Body.String(), "<section")
		if n != want || rec.Code != 200 {
			t.Errorf("page %s has %d consents, want %d", page, n, want)
		}
		if _, err := strconv.Atoi(page); err == nil && (page == "1" || page == "2" || page == "3") {
			seen += n
		}
		if rec.Body.Len() > 40<<10 {
			t.Errorf("page %s has %d bytes", page, rec.Body.Len())
		}
	}
	if seen != 45 {
		t.Errorf("%d of 45 are on the pages", seen)
	}
}

// elsewhere is an authority that only has a page.
type elsewhere struct{ authflow.Authority }

func (elsewhere) Page() string { return "https://kyc.example/.kycvs/consents" }

// At a gate whose codes an authority sends, that has the record.
func TestOwnRecordIsAtTheAuthority(t *testing.T) {
	d := newDesk(t)
	d.Flow.Authorities = map[string]authflow.Authority{"mall": elsewhere{}}
	const there = "https://kyc.example/.kycvs/consents"
	if rec := d.get(consentsPage, "Accept", "text/html"); rec.Code != 303 || rec.Header().Get("Location") != there {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
	for _, rec := range []*httptest.ResponseRecorder{
		d.get(consentsPage, "Accept", "application/json"), d.json(consentsPage+"/otp", map[string]string{"mobile_number": test.Asha}),
	} {
		if rec.Code != 404 || !strings.Contains(rec.Body.String(), `"start":"`+there+`","code"`) && !strings.Contains(rec.Body.String(), `"code":"at_authority","start":"`+there) {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	}
	if d.Phone.Sent() != 0 {
		t.Error("a code was sent")
	}
}

func TestOwnSMS(t *testing.T) {
	d := newDesk(t)
	for _, lang := range portal.Languages() {
		got := portal.SMS(lang, d.self, "123456")
		if strings.Contains(got, "person's own") || !strings.Contains(got, portal.Text(lang, "sms.self")) || !strings.HasSuffix(got, "\n\n@mall.example #123456") {
			t.Errorf("%s: %q", lang, got)
		}
		if n := len([]rune(portal.Text(lang, "sms.self"))); n > 40 {
			t.Errorf("%s: the purpose has %d characters", lang, n)
		}
	}
}

func (d *desk) keys(t *testing.T) assertion.KeyFunc {
	t.Helper()
	keys, err := assertion.StaticKeys(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{d.Keys.Public}})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestReceipt(t *testing.T) {
	d := newDesk(t, "mall", "ward")
	d.handler.Notice = portal.Notice{Controller: "Phoenix Mall Ltd", Contact: "privacy@phoenix.example", Grievance: "https://phoenix.example/g"}
	if rec := d.get("/.kycvs/receipt", "Accept", "application/json"); rec.Code != 401 {
		t.Errorf("without a pass: %d", rec.Code)
	}
	if rec := d.get("/.kycvs/receipt", "Accept", "text/html"); rec.Code != 401 || !strings.Contains(rec.Body.String(), "No pass") {
		t.Errorf("without a pass: %d", rec.Code)
	}
	txn := d.pressSend(t, func() url.Values { f := asha(); f.Set("for", "ward"); f.Set("lang", "hi"); return f }())
	if rec := d.form("/.kycvs/verify", url.Values{"txnId": {txn}, "otp": {d.Phone.Last().Code}}); rec.Code != 303 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	d.Pass(time.Hour)
	rec := d.get("/.kycvs/receipt?for=ward", "Accept", "text/html")
	if rec.Code != 200 || rec.Header().Get("Content-Type") != "application/json" || rec.Header().Get("Cache-Control") != "no-store" ||
		rec.Header().Get("Content-Disposition") != `attachment; filename="consent-receipt.json"` {
		t.Fatalf("%d %v", rec.Code, rec.Header())
	}
	r, kid, err := receipt.VerifyFile(t.Context(), rec.Body.Bytes(), d.keys(t), "https://mall.example")
	if err != nil || kid != d.Keys.Public.KeyID {
		t.Fatalf("%v\n%s", err, rec.Body)
	}
	var given ledger.Entry
	for _, e := range d.Ledger.Entries(t) {
		if e.Event == ledger.Given {
			given = e
		}
	}
	if p := r.Processing[0]; r.RecordID != given.Consent || p.PrivacyNotice != "test" || p.Language != "hi" || p.Purposes[0].Purpose != "Entry by ward" ||
		r.Own.Withdraw != "http://mall.example/.kycvs/pass" || r.Own.Partner != "ward" || r.Parties[0].PartyName != "Phoenix Mall Ltd" ||
		r.Own.Until != given.Until.Format(time.RFC3339) || r.Events[0].EventTime != given.At.Format(time.RFC3339) || r.Own.How != authflow.HowOTP {
		t.Errorf("got %+v", r)
	}
	for _, never := range []string{"98765", "Asha", given.Person, given.Phone, "vaccination"} {
		if strings.Contains(rec.Body.String(), never) {
			t.Errorf("the receipt says %q", never)
		}
	}
	page := d.get("/.kycvs/pass?for=ward&lang=en", "Accept", "text/html").Body.String()
	for _, want := range []string{"Phoenix Mall Ltd", "privacy@phoenix.example", "https://phoenix.example/g", given.Consent, "test (हिन्दी)", `href="/.kycvs/receipt?for=ward&amp;lang=en"`, `action="/.kycvs/withdraw"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page of the pass does not say %q:\n%s", want, page)
		}
	}

	var answer struct{ Receipt, Assertion string }
	_ = json.Unmarshal(d.get("/.kycvs/pass?for=ward", "Accept", "application/json").Body.Bytes(), &answer)
	if r, err := receipt.Verify(t.Context(), answer.Receipt, d.keys(t), "https://mall.example"); err != nil || r.RecordID != given.Consent {
		t.Errorf("beside the assertion: %v", err)
	}
	v, err := assertion.NewVerifier(assertion.VerifierConfig{Keys: d.keys(t), Issuer: "https://mall.example", Audience: "ward", Now: d.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(answer.Assertion); err != nil {
		t.Error(err)
	}
	if _, err := v.Verify(answer.Receipt); err == nil {
		t.Error("a receipt is taken for an assertion")
	}
	if _, err := receipt.Verify(t.Context(), answer.Assertion, d.keys(t), "https://mall.example"); err == nil {
		t.Error("an assertion is taken for a receipt")
	}
	if rec := d.get("/.kycvs/receipt?for=elsewhere"); rec.Code != 404 {
		t.Errorf("another site's partner: %d", rec.Code)
	}
	d.Keys.Fail(true)
	if rec := d.get("/.kycvs/receipt?for=ward"); rec.Code != 503 {
		t.Errorf("without a key: %d", rec.Code)
	}
}

// deaf is a ledger that can be told not to be read.
type deaf struct {
	ledger.Ledger
	broken atomic.Bool
}

func (l *deaf) ByPhone(ctx context.Context, phone string, f func(ledger.Entry) error) error {
	if l.broken.Load() {
		return context.DeadlineExceeded
	}
	return l.Ledger.ByPhone(ctx, phone, f)
}

// Without the ledger a pass is as good as ever, and a receipt says nothing that is
// not known.
func TestReceiptWithoutTheLedger(t *testing.T) {
	d := newDesk(t)
	l := &deaf{Ledger: d.Flow.Ledger}
	d.Flow.Ledger = l
	d.finish(t, test.Asha, "Asha Rao", "")
	d.prove(t, test.Asha)
	l.broken.Store(true)
	if rec := d.get("/.kycvs/pass", "Accept", "application/json"); rec.Code != 200 || strings.Contains(rec.Body.String(), "receipt") {
		t.Errorf("the pass: %d %s", rec.Code, rec.Body)
	}
	if rec := d.get("/.kycvs/pass", "Accept", "text/html"); rec.Code != 200 {
		t.Errorf("its page: %d", rec.Code)
	}
	for _, path := range []string{"/.kycvs/receipt", consentsPage} {
		if rec := d.get(path, "Accept", "application/json"); rec.Code != 503 || rec.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
	l.broken.Store(false)
	if rec := d.get("/.kycvs/receipt", "Accept", "application/json"); rec.Code != 200 {
		t.Errorf("with it again: %d", rec.Code)
	}
	l.broken.Store(true)
	if rec := d.get("/.kycvs/pass", "Accept", "application/json"); rec.Code != 200 || !strings.Contains(rec.Body.String(), "receipt") {
		t.Errorf("what is known is looked up again: %d %s", rec.Code, rec.Body)
	}
}

// slow is a ledger whose reading takes a second.
type slow struct {
	ledger.Ledger
	mu          sync.Mutex
	now, most   int
	phones      map[string]int
	mostOfPhone int
}

func (l *slow) ByPhone(_ context.Context, phone string, _ func(ledger.Entry) error) error {
	l.mu.Lock()
	l.now++
	l.phones[phone]++
	l.most, l.mostOfPhone = max(l.most, l.now), max(l.mostOfPhone, l.phones[phone])
	l.mu.Unlock()
	time.Sleep(time.Second)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now--
	l.phones[phone]--
	return nil
}

// Whoever loads the page over and over reads the ledger once at a time, and has
// nobody else wait for long.
func TestReadersTakeTurns(t *testing.T) {
	d := newDesk(t)
	numbers := []string{test.Asha, test.Ravi, test.Meena, test.Twins, test.Alike, test.Away}
	var cookies []string
	for _, n := range numbers {
		d.prove(t, n)
		cookies = append(cookies, d.cookie)
		d.cookie = ""
	}
	l := &slow{Ledger: d.Flow.Ledger, phones: map[string]int{}}
	d.Flow.Ledger = l
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		codes := map[int][]int{}
		var wg sync.WaitGroup
		for i := range 60 {
			wg.Go(func() {
				one := *d
				one.cookie = cookies[i%len(cookies)]
				rec := one.get(consentsPage, "Accept", "application/json")
				if rec.Code == 429 && rec.Header().Get("Retry-After") == "" {
					t.Error("nobody says how long to wait")
				}
				mu.Lock()
				defer mu.Unlock()
				codes[i%len(cookies)] = append(codes[i%len(cookies)], rec.Code)
			})
		}
		wg.Wait()
		served := 0
		for _, c := range codes {
			for _, code := range c {
				if code == 200 {
					served++
				} else if code != 429 {
					t.Errorf("status %d", code)
				}
			}
		}
		if served < 16 || slices.Max([]int{l.most, 4}) != 4 || l.mostOfPhone != 1 {
			t.Errorf("%d were served, %d at once, %d for one number", served, l.most, l.mostOfPhone)
		}
	})
}
