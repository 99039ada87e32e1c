package portal_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	test "github.com/kycvs/caddy-kycvs/authflow/authflowtest"
	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// desk is a site's pages and one browser in front of them.
type desk struct {
	*test.World
	handler   *portal.Handler
	audiences []*authflow.Audience
	self      *authflow.Audience
	cookie    string // what the browser holds
}

func newDesk(t *testing.T, partners ...string) *desk {
	t.Helper()
	return newDeskOf(t, test.New(t), partners...)
}

func newDeskOf(t testing.TB, w *test.World, partners ...string) *desk {
	t.Helper()
	pages, err := portal.NewPages()
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{World: w}
	d.handler = &portal.Handler{
		Flow: w.Flow, Minter: &authflow.Minter{Keys: w.Keys, Observer: w.Counts}, Withdrawals: &w.Withdrawals.Set, Whole: w.Whole(),
		Pages: pages, Keys: http.NotFoundHandler(), Logger: slog.New(slog.DiscardHandler), Now: w.Now,
	}
	if len(partners) == 0 {
		partners = []string{"mall"}
	}
	for _, p := range partners {
		d.audiences = append(d.audiences, w.Audience("mall.example", p, "Entry by "+p))
	}
	d.self = w.Audience("mall.example", authflow.SelfID, "a person's own record")
	return d
}

func (d *desk) do(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	d.handler.ServeHTTP(rec, r, &portal.Visit{
		Audiences: d.audiences, Self: d.self, IP: netip.MustParseAddr("192.0.2.1"), Cookie: d.cookie, Path: r.URL.Path, Query: r.URL.RawQuery,
	})
	for _, c := range rec.Result().Cookies() {
		if c.Name == pass.CookieNamePlain {
			d.cookie = c.Value
		}
	}
	return rec
}

func (d *desk) get(target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "http://mall.example"+target, nil)
	setAll(r, header)
	return d.do(r)
}

func (d *desk) form(target string, fields url.Values, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "http://mall.example"+target, strings.NewReader(fields.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "text/html")
	setAll(r, header)
	return d.do(r)
}

func (d *desk) json(target string, fields map[string]string, header ...string) *httptest.ResponseRecorder {
	var body []byte
	if fields != nil {
		body, _ = json.Marshal(fields)
	}
	r := httptest.NewRequest("POST", "http://mall.example"+target, strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	setAll(r, header)
	return d.do(r)
}

func setAll(r *http.Request, header []string) {
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
}

var hiddenTxn = regexp.MustCompile(`name="txnId" value="([0-9a-f-]{36})"`)

func asha() url.Values {
	return url.Values{"mobile_number": {"98765 43210"}, "full_name": {"Asha Rao"}, "consent": {"Y"}, "return": {"/shop?a=b"}}
}

// pressSend asks for a code by the form and returns the handshake's id.
func (d *desk) pressSend(t *testing.T, fields url.Values) string {
	t.Helper()
	rec := d.form("/.kycvs/otp", fields)
	found := hiddenTxn.FindStringSubmatch(rec.Body.String())
	if rec.Code != 200 || found == nil {
		t.Fatalf("asking: status %d\n%s", rec.Code, rec.Body)
	}
	return found[1]
}

func TestByForms(t *testing.T) {
	d := newDesk(t)
	if rec := d.get("/.kycvs/?return=/shop%3Fa%3Db"); rec.Code != 200 || !strings.Contains(rec.Body.String(), `value="/shop?a=b"`) || strings.Contains(rec.Body.String(), "checked") {
		t.Fatalf("the consent page: status %d\n%s", rec.Code, rec.Body)
	}
	txn := d.pressSend(t, asha())
	rec := d.form("/.kycvs/verify", url.Values{"txnId": {txn}, "otp": {d.Phone.Last().Code}})
	if rec.Code != 303 || rec.Header().Get("Location") != "/shop?a=b" {
		t.Fatalf("verifying: status %d, to %q\n%s", rec.Code, rec.Header().Get("Location"), rec.Body)
	}
	if rec := d.form("/.kycvs/verify", url.Values{"txnId": {txn}, "otp": {"000000"}, "return": {"/shop"}}); rec.Code != 303 || rec.Header().Get("Location") != "/shop" {
		t.Errorf("pressing twice: status %d", rec.Code)
	}
	if rec := d.get("/.kycvs/pass", "Accept", "text/html"); rec.Code != 200 || !strings.Contains(rec.Body.String(), "fully vaccinated") {
		t.Errorf("the pass page: status %d\n%s", rec.Code, rec.Body)
	}
	if rec := d.form("/.kycvs/withdraw", url.Values{}); rec.Code != 200 {
		t.Errorf("withdrawing: status %d", rec.Code)
	}
	if rec := d.get("/.kycvs/pass", "Accept", "text/html"); rec.Code != 401 {
		t.Errorf("afterwards: status %d", rec.Code)
	}
}

func TestByJSON(t *testing.T) {
	d := newDesk(t)
	rec := d.json("/.kycvs/otp", map[string]string{"mobile_number": "9876543211", "full_name": "Ravi Kumar", "consent": "Y", "unknown": "x"})
	var asked struct {
		TxnID        string `json:"txnId"`
		MaskedMobile string `json:"masked_mobile"`
		ExpiresIn    int    `json:"expires_in"`
		ResendAfter  int    `json:"resend_after"`
		AttemptsLeft int    `json:"attempts_left"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &asked); err != nil || rec.Code != 200 || asked.ExpiresIn != 180 || asked.ResendAfter != 30 || asked.AttemptsLeft != 3 || strings.Contains(asked.MaskedMobile, "98765") {
		t.Fatalf("otp: status %d, %s", rec.Code, rec.Body)
	}
	rec = d.json("/.kycvs/verify", map[string]string{"txnId": asked.TxnID, "otp": d.Phone.Last().Code})
	var answer struct {
		Status    *int   `json:"vaccination_status"`
		Assertion string `json:"assertion"`
		ExpiresAt string `json:"expires_at"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil || rec.Code != 200 || answer.Status == nil || *answer.Status != 1 || strings.Count(answer.Assertion, ".") != 2 {
		t.Fatalf("verify: status %d, %s", rec.Code, rec.Body)
	}
	if at, err := time.Parse(time.RFC3339, answer.ExpiresAt); err != nil || !at.Equal(d.Now().Add(12*time.Hour)) {
		t.Errorf("expires_at is %q", answer.ExpiresAt)
	}
	if rec := d.get("/.kycvs/pass", "Accept", "application/json"); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"vaccination_status":1`) {
		t.Errorf("pass: status %d, %s", rec.Code, rec.Body)
	}
	if rec := d.json("/.kycvs/withdraw", nil); rec.Code != 204 || rec.Body.Len() != 0 {
		t.Errorf("withdraw: status %d, %s", rec.Code, rec.Body)
	}
	if rec := d.get("/.kycvs/pass", "Accept", "application/json"); rec.Code != 401 {
		t.Errorf("pass afterwards: status %d", rec.Code)
	}
	if rec := d.json("/.kycvs/withdraw", nil); rec.Code != 401 {
		t.Errorf("withdraw again: status %d", rec.Code)
	}
}

func TestARefreshSendsNoSecondMessage(t *testing.T) {
	d := newDesk(t)
	txn := d.pressSend(t, asha())
	for range 3 {
		if again := d.pressSend(t, asha()); again != txn {
			t.Error("another handshake began")
		}
	}
	if d.Phone.Sent() != 1 {
		t.Errorf("%d messages", d.Phone.Sent())
	}
	other := asha()
	other.Set("full_name", "Ravi Kumar")
	if d.pressSend(t, other) == txn || d.Phone.Sent() != 2 {
		t.Error("asking for somebody else is no refresh")
	}
}

func TestErrorsAndTheirStatus(t *testing.T) {
	d := newDesk(t)
	full := func(change map[string]string) map[string]string {
		m := map[string]string{"mobile_number": "9876543210", "full_name": "Asha Rao", "consent": "Y"}
		for k, v := range change {
			m[k] = v
		}
		return m
	}
	for _, c := range []struct {
		name   string
		rec    *httptest.ResponseRecorder
		status int
		code   authflow.Code
	}{
		{"no consent", d.json("/.kycvs/otp", full(map[string]string{"consent": ""})), 400, authflow.ConsentRequired},
		{"a bad number", d.json("/.kycvs/otp", full(map[string]string{"mobile_number": "12"})), 400, authflow.MobileInvalid},
		{"no name", d.json("/.kycvs/otp", full(map[string]string{"full_name": ""})), 400, authflow.NameInvalid},
		{"another site's partner", d.json("/.kycvs/otp", full(map[string]string{"for": "elsewhere"})), 400, authflow.BadRequest},
		{"no handshake", d.json("/.kycvs/verify", map[string]string{"otp": "123456"}), 401, authflow.TxnUnknown},
		{"an unknown handshake", d.json("/.kycvs/verify", map[string]string{"otp": "123456", "txnId": "ac1cc3d2-83c9-4a62-a806-431eebd58baa"}), 401, authflow.TxnUnknown},
		{"from elsewhere, new browser", d.json("/.kycvs/otp", full(nil), "Sec-Fetch-Site", "cross-site"), 403, authflow.CrossOrigin},
		{"from a sister site", d.json("/.kycvs/otp", full(nil), "Sec-Fetch-Site", "same-site"), 403, authflow.CrossOrigin},
		{"from elsewhere, old browser", d.json("/.kycvs/otp", full(nil), "Origin", "https://evil.example"), 403, authflow.CrossOrigin},
		{"from nowhere", d.json("/.kycvs/otp", full(nil), "Origin", "null"), 403, authflow.CrossOrigin},
		{"withdrawing from elsewhere", d.json("/.kycvs/withdraw", nil, "Sec-Fetch-Site", "cross-site"), 403, authflow.CrossOrigin},
		{"too large", d.json("/.kycvs/otp", full(map[string]string{"full_name": strings.Repeat("x", 10_000)})), 413, authflow.TooLarge},
		{"another kind of body", d.json("/.kycvs/otp", full(nil), "Content-Type", "text/plain"), 400, authflow.BadRequest},
		{"JSON said to be a form", d.json("/.kycvs/otp", full(nil), "Content-Type", "application/x-www-form-urlencoded"), 400, authflow.ConsentRequired},
		{"no kind of body", d.json("/.kycvs/otp", full(nil), "Content-Type", ""), 400, authflow.BadRequest},
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
	if d.Phone.Sent() != 0 {
		t.Errorf("%d messages", d.Phone.Sent())
	}
}

func TestBodiesThatMakeNoSense(t *testing.T) {
	d := newDesk(t)
	for name, c := range map[string]struct{ kind, body string }{
		"doubled field":     {"application/x-www-form-urlencoded", "mobile_number=9876543210&full_name=Asha+Rao&consent=Y&consent=N"},
		"bad escape":        {"application/x-www-form-urlencoded", "mobile_number=%zz"},
		"not UTF-8":         {"application/x-www-form-urlencoded", "full_name=%ff"},
		"doubled member":    {"application/json", `{"consent":"N","consent":"Y","mobile_number":"9876543210","full_name":"Asha Rao"}`},
		"a number":          {"application/json", `{"mobile_number":9876543210}`},
		"null":              {"application/json", `{"mobile_number":null}`},
		"an array":          {"application/json", `["mobile_number"]`},
		"cut short":         {"application/json", `{"mobile_number":"98`},
		"something behind":  {"application/json", `{} {}`},
		"JSON not in UTF-8": {"application/json", "{\"full_name\":\"\xff\"}"},
	} {
		r := httptest.NewRequest("POST", "http://mall.example/.kycvs/otp", strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.kind)
		r.Header.Set("Accept", "application/json")
		if rec := d.do(r); rec.Code != 400 || !strings.Contains(rec.Body.String(), `"bad_request"`) {
			t.Errorf("%s: status %d, %s", name, rec.Code, rec.Body)
		}
	}
	if d.Phone.Sent() != 0 {
		t.Error("a message was sent")
	}
}

func TestTheFormComesBackWithWhatIsWrong(t *testing.T) {
	d := newDesk(t)
	rec := d.form("/.kycvs/otp", url.Values{"mobile_number": {"<12>"}, "full_name": {"Asha Rao"}, "return": {"/x"}})
	body := rec.Body.String()
	if rec.Code != 400 || !strings.Contains(body, "&lt;12&gt;") || !strings.Contains(body, "Asha Rao") || !strings.Contains(body, `value="/x"`) || strings.Contains(body, "checked") {
		t.Errorf("status %d\n%s", rec.Code, body)
	}
}

func TestBirthYearIsAskedForWhereItHelps(t *testing.T) {
	d := newDesk(t)
	twins := url.Values{"mobile_number": {test.Twins}, "full_name": {"Arun Das"}, "consent": {"Y"}, "return": {"/in"}}
	txn := d.pressSend(t, twins)
	rec := d.form("/.kycvs/verify", url.Values{"txnId": {txn}, "otp": {d.Phone.Last().Code}})
	if rec.Code != 403 || !strings.Contains(rec.Body.String(), `name="birth_year"`) || strings.Contains(rec.Body.String(), `name="otp"`) {
		t.Fatalf("status %d\n%s", rec.Code, rec.Body)
	}
	rec = d.form("/.kycvs/verify", url.Values{"txnId": {txn}, "birth_year": {"19"}})
	if rec.Code != 400 || !strings.Contains(rec.Body.String(), `name="birth_year"`) {
		t.Fatalf("half a year: status %d\n%s", rec.Code, rec.Body)
	}
	rec = d.form("/.kycvs/verify", url.Values{"txnId": {txn}, "birth_year": {"1980"}})
	if rec.Code != 303 || rec.Header().Get("Location") != "/in" {
		t.Errorf("status %d\n%s", rec.Code, rec.Body)
	}
}

func TestSeveralPartners(t *testing.T) {
	d := newDesk(t, "mall", "ward")
	if rec := d.get("/.kycvs/?for=ward"); rec.Code != 200 || !strings.Contains(rec.Body.String(), "Entry by ward") {
		t.Errorf("status %d\n%s", rec.Code, rec.Body)
	}
	if rec := d.get("/.kycvs/"); !strings.Contains(rec.Body.String(), "Entry by mall") {
		t.Error("without for it is not the first partner")
	}
	if rec := d.get("/.kycvs/?for=elsewhere"); rec.Code != 404 {
		t.Errorf("another site's partner: status %d", rec.Code)
	}
	for _, partner := range []string{"mall", "ward"} {
		fields := asha()
		fields.Set("for", partner)
		txn := d.pressSend(t, fields)
		if rec := d.form("/.kycvs/verify", url.Values{"txnId": {txn}, "otp": {d.Phone.Last().Code}}); rec.Code != 303 {
			t.Fatalf("%s: status %d", partner, rec.Code)
		}
	}
	if rec := d.form("/.kycvs/withdraw", url.Values{"for": {"mall"}}); rec.Code != 200 {
		t.Errorf("status %d", rec.Code)
	}
	for partner, status := range map[string]int{"mall": 401, "ward": 200} {
		if rec := d.get("/.kycvs/pass?for="+partner, "Accept", "application/json"); rec.Code != status {
			t.Errorf("%s: status %d", partner, rec.Code)
		}
	}
}

func TestWithdrawingThatCannotBeRecorded(t *testing.T) {
	d := newDesk(t)
	txn := d.pressSend(t, asha())
	d.form("/.kycvs/verify", url.Values{"txnId": {txn}, "otp": {d.Phone.Last().Code}})
	d.Ledger.Fail(true)
	if rec := d.json("/.kycvs/withdraw", nil); rec.Code != 503 || rec.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, %s", rec.Code, rec.Body)
	}
	if rec := d.get("/.kycvs/pass", "Accept", "application/json"); rec.Code != 200 {
		t.Error("the pass is gone, the consent is not")
	}
}

// A withdrawal that other instances cannot be told of is said to be so, counts
// here, and can be pressed again.
func TestWithdrawingThatCannotBeShared(t *testing.T) {
	d := newDesk(t)
	board := &board{}
	x, err := withdrawals.Open(withdrawals.Config{Board: board, Grace: time.Hour, Logger: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	d.Flow.Withdrawals, d.handler.Withdrawals = x, &x.Set
	txn := d.pressSend(t, asha())
	d.form("/.kycvs/verify", url.Values{"txnId": {txn}, "otp": {d.Phone.Last().Code}})
	board.away.Store(true)
	for range 2 {
		rec := d.json("/.kycvs/withdraw", nil)
		if rec.Code != 503 || rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Body.String(), "taken back here") {
			t.Errorf("status %d, %s", rec.Code, rec.Body)
		}
	}
	if rec := d.form("/.kycvs/withdraw", nil); rec.Code != 503 || !strings.Contains(rec.Body.String(), "Not everywhere yet") || !strings.Contains(rec.Body.String(), `href="/.kycvs/pass"`) {
		t.Errorf("status %d, %s", rec.Code, rec.Body)
	}
	if rec := d.get("/.kycvs/pass", "Accept", "application/json"); rec.Code != 401 {
		t.Error("the pass still counts here")
	}
	board.away.Store(false)
	if rec := d.json("/.kycvs/withdraw", nil); rec.Code != 204 {
		t.Errorf("status %d, %s", rec.Code, rec.Body)
	}
	withdrawn := 0
	for _, e := range d.Ledger.Entries(t) {
		if e.Event == ledger.Withdrawn {
			withdrawn++
		}
	}
	if withdrawn != 1 {
		t.Errorf("%d withdrawals are in the ledger", withdrawn)
	}
}

// board is a withdrawals.Board that nobody else looks at.
type board struct{ away atomic.Bool }

func (b *board) Post(context.Context, []withdrawals.Withdrawal) error {
	if b.away.Load() {
		return errors.New("away")
	}
	return nil
}

func (b *board) Read(ctx context.Context, _ withdrawals.Mark) ([]withdrawals.Withdrawal, withdrawals.Mark, bool, error) {
	return nil, "1", false, b.Post(ctx, nil)
}

// The browser is known for the numbers it has proven until it takes consent
// back, and a later pass does not forget an earlier number.
func TestBrowserIsKnownForItsNumbers(t *testing.T) {
	d := newDesk(t)
	finish := func() {
		t.Helper()
		txn := d.pressSend(t, asha())
		if rec := d.form("/.kycvs/verify", url.Values{"txnId": {txn}, "otp": {d.Phone.Last().Code}}); rec.Code != 303 {
			t.Fatalf("status %d", rec.Code)
		}
	}
	attack := func() (sent int) {
		mine := d.cookie
		defer func() { d.cookie = mine }()
		for range 10 {
			d.cookie = ""
			if rec := d.form("/.kycvs/otp", asha()); rec.Code == 200 {
				sent++
			}
		}
		return sent
	}
	finish()
	if n := attack(); n != 5 {
		t.Fatalf("%d codes were sent", n)
	}
	finish()
	d.Pass(80 * 24 * time.Hour) // the pass is long over
	finish()
	if rec := d.form("/.kycvs/withdraw", nil); rec.Code != 200 {
		t.Fatalf("status %d", rec.Code)
	}
	if rec := d.form("/.kycvs/otp", asha()); rec.Code != 429 {
		t.Errorf("after taking consent back: status %d", rec.Code)
	}
}

func TestSafeReturn(t *testing.T) {
	for in, want := range map[string]string{
		"": "/", "/": "/", "/a?b=c#d": "/a?b=c#d", "/caf%C3%A9": "/caf%C3%A9", "/a//b": "/a//b", "/कख": "/कख",
		"//evil.example": "/", "/\\evil.example": "/", "\\\\evil.example": "/", "https://evil.example": "/", "https:evil.example": "/",
		"/\t/evil.example": "/", "/\n/evil.example": "/", " /a": "/", "/a b": "/", "javascript:alert(1)": "/", "evil.example": "/", "?a": "/", "#": "/",
		"///evil.example": "/", "/%": "/", "/" + strings.Repeat("a", 2000): "/",
	} {
		if got := portal.SafeReturn(in); got != want {
			t.Errorf("SafeReturn(%q) = %q, want %q", in, got, want)
		}
	}
}

// Whatever SafeReturn lets through leads to the same site, also when it is read
// as browsers read addresses.
func FuzzSafeReturn(f *testing.F) {
	for _, s := range []string{"/a", "//evil", "/\\evil", "/\t/evil", "https:evil", "/..//evil", "/@evil"} {
		f.Add(s)
	}
	base, _ := url.Parse("https://mall.example/.kycvs/verify")
	f.Fuzz(func(t *testing.T, s string) {
		got := portal.SafeReturn(s)
		browser := strings.Map(func(r rune) rune {
			switch r {
			case '\t', '\n', '\r':
				return -1
			case '\\':
				return '/'
			}
			return r
		}, strings.TrimFunc(got, func(r rune) bool { return r <= ' ' }))
		u, err := base.Parse(browser)
		if err != nil || u.Host != base.Host || u.Scheme != "https" || !strings.HasPrefix(got, "/") {
			t.Fatalf("SafeReturn(%q) = %q leads to %v", s, got, u)
		}
	})
}

func FuzzBody(f *testing.F) {
	f.Add("application/json", `{"mobile_number":"9876543210","full_name":"Asha Rao","consent":"Y"}`)
	f.Add("application/x-www-form-urlencoded", "mobile_number=9876543210&full_name=Asha+Rao&consent=Y")
	f.Add("application/json; charset=utf-8", `{"otp":"1","otp":"2"}`)
	f.Fuzz(func(t *testing.T, kind, body string) {
		r := httptest.NewRequest("POST", "/.kycvs/otp", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		fields, err := portal.ReadFields(httptest.NewRecorder(), r)
		if err != nil && fields != nil {
			t.Fatal("an error with fields")
		}
		for k, v := range fields {
			if !strings.Contains(body, k) && !strings.ContainsAny(body, `%\+`) {
				t.Fatalf("%q=%q comes from nowhere", k, v)
			}
		}
		_, _ = io.Copy(io.Discard, r.Body)
	})
}
