package remote_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/assertion"
	test "github.com/kycvs/caddy-kycvs/authflow/authflowtest"
	"github.com/kycvs/caddy-kycvs/authflow/remote"
)

func TestOpenRefuses(t *testing.T) {
	f := newFake(t)
	good := remote.Config{URL: origin, Partner: partner, Key: key, Withdrawals: f.World.Withdrawals, Ledger: f.World.Ledger, Transport: f}
	for _, c := range []struct {
		name   string
		change func(*remote.Config)
		ok     bool
	}{
		{"as it should be", func(*remote.Config) {}, true},
		{"with a slash", func(c *remote.Config) { c.URL = "https://kyc.example/" }, true},
		{"this machine", func(c *remote.Config) { c.URL = "http://127.0.0.1:8080" }, true},
		{"no URL", func(c *remote.Config) { c.URL = "" }, false},
		{"plain http", func(c *remote.Config) { c.URL = "http://kyc.example" }, false},
		{"another scheme", func(c *remote.Config) { c.URL = "ftp://localhost" }, false},
		{"a path", func(c *remote.Config) { c.URL = "https://kyc.example/api" }, false},
		{"a query", func(c *remote.Config) { c.URL = "https://kyc.example/?a=b" }, false},
		{"a user", func(c *remote.Config) { c.URL = "https://u:p@kyc.example" }, false},
		{"no host", func(c *remote.Config) { c.URL = "https:///x" }, false},
		{"no partner", func(c *remote.Config) { c.Partner = "" }, false},
		{"no key", func(c *remote.Config) { c.Key = "" }, false},
		{"a key with a line break", func(c *remote.Config) { c.Key = "kp_\r\nX: y" }, false},
		{"no ledger", func(c *remote.Config) { c.Ledger = nil }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			client, err := remote.Open(cfg)
			if (err == nil) != c.ok {
				t.Fatal(err)
			}
			if err == nil {
				if text := fmt.Sprintf("%v %+v %#v %s", client, client, client, client); strings.Contains(text, cfg.Key) {
					t.Error("a Client prints its key")
				}
				_ = client.Close()
			} else if strings.Contains(err.Error(), "u:p") || cfg.Key != "" && strings.Contains(err.Error(), cfg.Key) {
				t.Errorf("the error shows what is secret: %v", err)
			}
		})
	}
}

func body(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	}
}

// TestGarbledAnswers holds that what is not as the contract says is as if the
// authority had not answered: 503, and nothing that was sent is in the error.
func TestGarbledAnswers(t *testing.T) {
	const txn = `"txnId":"0b4d1c5e-8a63-4f6e-9c55-000000000001"`
	long := strings.Repeat("x", 20<<10)
	for _, c := range []struct {
		name string
		path string
		h    http.HandlerFunc
		sent bool // the code may have been sent
	}{
		{"nothing", generatePath, body(200, ""), true},
		{"HTML", generatePath, body(200, "<html>"), true},
		{"a list", generatePath, body(200, "[]"), true},
		{"null", generatePath, body(200, "null"), true},
		{"no txnId", generatePath, body(200, `{}`), true},
		{"an empty txnId", generatePath, body(200, `{"txnId":""}`), true},
		{"a txnId that is a number", generatePath, body(200, `{"txnId":7}`), true},
		{"a txnId with a line break", generatePath, body(200, `{"txnId":"a\nb"}`), true},
		{"a txnId twice", generatePath, body(200, `{`+txn+`,`+txn+`}`), true},
		{"a txnId twice, escaped", generatePath, body(200, `{`+txn+`,"\u0074xnId":"b"}`), true},
		{"cut short", generatePath, body(200, `{`+txn), true},
		{"two objects", generatePath, body(200, `{`+txn+`}{}`), true},
		{"bad UTF-8", generatePath, body(200, "{"+txn+",\"a\":\"\xff\"}"), true},
		{"negative time", generatePath, body(200, `{`+txn+`,"expires_in":-1}`), true},
		{"a time with a fraction", generatePath, body(200, `{`+txn+`,"expires_in":1.5}`), true},
		{"huge attempts", generatePath, body(200, `{`+txn+`,"attempts_left":1000000}`), true},
		{"a huge body", generatePath, body(200, `{`+txn+`,"x":"`+long+`"}`), true},
		{"a redirect", generatePath, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example"+generatePath, http.StatusTemporaryRedirect)
		}, false},
		{"500", generatePath, body(500, `{"code":"otp_invalid"}`), true},
		{"502", generatePath, body(502, ``), true},
		{"503", generatePath, body(503, ``), false},
		{"404", generatePath, body(404, `not here`), true},
		{"a code that does not belong there", generatePath, body(400, `{"code":"status_too_low"}`), true},
		{"an unknown code", generatePath, body(400, `{"code":"surprise"}`), true},
		{"a code that is a number", generatePath, body(400, `{"code":1}`), true},
		{"the key is refused", generatePath, body(403, `{"message":"Forbidden"}`), false},
		{"no token", confirmPath, body(200, `{}`), true},
		{"a token for another header", confirmPath, body(200, `{"token":"a\r\nX: y"}`), true},
		{"an endless token", confirmPath, body(200, `{"token":"`+long[:5000]+`"}`), true},
		{"attempts that are no number", confirmPath, body(400, `{"code":"otp_invalid","attempts_left":"2"}`), true},
		{"no number", statusPath, body(200, `{"assertion":"a.b.c"}`), true},
		{"a number that is none", statusPath, body(200, `{"vaccination_status":3,"assertion":"a.b.c"}`), true},
		{"a number in quotes", statusPath, body(200, `{"vaccination_status":"2","assertion":"a.b.c"}`), true},
		{"no assertion", statusPath, body(200, `{"vaccination_status":2}`), true},
		{"an assertion that is none", statusPath, body(200, `{"vaccination_status":2,"assertion":"a.b.c"}`), false},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			p := newPlace(t, f)
			f.breakAt(c.path, c.h)
			asked, err := p.client.Ask(t.Context(), authflow.AuthorityRequest{Mobile: test.Asha, Name: "Asha Rao"})
			token := ""
			if c.path != generatePath {
				if err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				token, err = p.client.Confirm(t.Context(), asked.Txn, authflow.Proof{Code: f.Phone.Last().Code})
			}
			if c.path == statusPath {
				if err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				_, err = p.client.Answer(t.Context(), asked.Txn, token)
			}
			if err == nil {
				t.Fatalf("%s: was taken", c.name)
			}
			if e := (*authflow.Error)(nil); errors.As(err, &e) && e.Code != authflow.Unavailable {
				t.Errorf("%s: %v", c.name, err)
			}
			if errors.Is(err, authflow.ErrUnsure) != c.sent {
				t.Errorf("%s: unsure is %v: %v", c.name, !c.sent, err)
			}
			for _, secret := range []string{key, "9876543210", "Asha", "evil"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%s: the error has %q: %v", c.name, secret, err)
				}
			}
			if want := map[bool]int{true: 1}[c.sent]; c.path != statusPath && want == 1 && f.count(c.path) != 1 {
				t.Errorf("%s: called %d times", c.name, f.count(c.path))
			}
			if c.name == "the key is refused" && !strings.Contains(err.Error(), "check `key`") {
				t.Errorf("the operator is not told: %v", err)
			}
		})
	}
}

func TestErrorCodes(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		text   string
		retry  string
		want   authflow.Error
	}{
		{"wrong", 400, `{"errorCode":"USRAUT0014","error":"x","code":"otp_invalid","attempts_left":2}`, "", authflow.Error{Code: authflow.OTPInvalid, AttemptsLeft: 2}},
		{"wrong, without a count", 400, `{"code":"otp_invalid"}`, "", authflow.Error{Code: authflow.OTPInvalid, AttemptsLeft: -1}},
		{"CoWIN's own", 400, `{"errorCode":"USRAUT0014","error":"Invalid OTP"}`, "", authflow.Error{Code: authflow.OTPInvalid, AttemptsLeft: -1}},
		{"CoWIN's nobody", 400, `{"errorCode":"USRAUT0024","error":"x"}`, "", authflow.Error{Code: authflow.NoRecord, AttemptsLeft: -1}},
		{"expired", 400, `{"code":"otp_expired"}`, "", authflow.Error{Code: authflow.OTPExpired, AttemptsLeft: -1}},
		{"out of tries", 400, `{"code":"otp_attempts"}`, "", authflow.Error{Code: authflow.OTPAttempts, AttemptsLeft: -1}},
		{"unknown", 401, `{"code":"txn_unknown"}`, "", authflow.Error{Code: authflow.TxnUnknown, AttemptsLeft: -1}},
		{"unknown, bare", 401, ``, "", authflow.Error{Code: authflow.TxnUnknown, AttemptsLeft: -1}},
		{"nobody", 400, `{"code":"no_record"}`, "", authflow.Error{Code: authflow.NoRecord, AttemptsLeft: -1}},
		{"several", 400, `{"code":"ambiguous"}`, "", authflow.Error{Code: authflow.Ambiguous, AttemptsLeft: -1}},
		{"several with years", 400, `{"code":"ambiguous","need":"birth_year"}`, "", authflow.Error{Code: authflow.Ambiguous, Need: authflow.NeedBirthYear, AttemptsLeft: -1}},
		{"several, needing the unheard-of", 400, `{"code":"ambiguous","need":"blood"}`, "", authflow.Error{Code: authflow.Ambiguous, AttemptsLeft: -1}},
		{"locked", 400, `{"code":"locked"}`, "", authflow.Error{Code: authflow.Locked, AttemptsLeft: -1}},
		{"too many", 429, `{"code":"too_many_requests"}`, "17", authflow.Error{Code: authflow.TooManyRequests, RetryAfter: 17 * time.Second, AttemptsLeft: -1}},
		{"too many, bare", 429, `slow down`, "", authflow.Error{Code: authflow.TooManyRequests, RetryAfter: authflow.UnavailableRetry, AttemptsLeft: -1}},
		{"too many, for ever", 429, ``, "2000000000", authflow.Error{Code: authflow.TooManyRequests, RetryAfter: 24 * time.Hour, AttemptsLeft: -1}},
		{"too many, garbled", 429, ``, "-5", authflow.Error{Code: authflow.TooManyRequests, RetryAfter: authflow.UnavailableRetry, AttemptsLeft: -1}},
		{"unavailable, 503", 503, `{"code":"unavailable","retry_after":9}`, "9", authflow.Error{Code: authflow.Unavailable, RetryAfter: 9 * time.Second, AttemptsLeft: -1}},
		{"unavailable", 400, `{"code":"unavailable"}`, "9", authflow.Error{Code: authflow.Unavailable, RetryAfter: 9 * time.Second, AttemptsLeft: -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			p := newPlace(t, f)
			f.breakAt(confirmPath, func(w http.ResponseWriter, r *http.Request) {
				if c.retry != "" {
					w.Header().Set("Retry-After", c.retry)
				}
				body(c.status, c.text)(w, r)
			})
			_, err := p.client.Confirm(t.Context(), "txn", authflow.Proof{Code: "123456"})
			e := (*authflow.Error)(nil)
			if !errors.As(err, &e) {
				t.Fatal(err)
			}
			got := *e
			got.Cause = nil
			if got != c.want {
				t.Errorf("got %+v", got)
			}
			if f.count(confirmPath) != 1 {
				t.Errorf("called %d times", f.count(confirmPath))
			}
		})
	}
}

// TestAssertionIsChecked holds that the number is taken from what the authority
// signed for us, about this handshake, now.
func TestAssertionIsChecked(t *testing.T) {
	other := test.NewKeys(t)
	claims := func(f *fake, txn string) assertion.Claims {
		now := time.Now().Unix()
		return assertion.Claims{
			Issuer: origin, Audience: partner, Subject: authflow.FormatID(authflow.ID128{1}), IssuedAt: now, NotBefore: now, Expires: now + 60,
			ID: authflow.FormatID(authflow.ID128{2}), VaccinationStatus: 2, AuthTime: now, Methods: []string{"otp", "sms"}, TxnID: txn,
			Consent: authflow.FormatID(authflow.ID128{3}), Purpose: "Entry",
		}
	}
	for _, c := range []struct {
		name   string
		change func(*assertion.Claims)
		keys   *test.Keys
		number int
		want   string // in the error; "" for none
	}{
		{name: "as it should be", number: 2},
		{name: "the number is another", number: 1, want: "another than the one that it signs"},
		{name: "another key", keys: other, number: 2, want: "key"},
		{name: "another issuer", change: func(c *assertion.Claims) { c.Issuer = "https://evil.example" }, number: 2, want: "issuer"},
		{name: "another audience", change: func(c *assertion.Claims) { c.Audience = "ward" }, number: 2, want: "audience"},
		{name: "stale", change: func(c *assertion.Claims) { c.IssuedAt -= 120; c.NotBefore -= 120; c.Expires -= 120 }, number: 2, want: "expired"},
		{name: "not yet", change: func(c *assertion.Claims) { c.IssuedAt += 120; c.NotBefore += 120; c.Expires += 120 }, number: 2, want: "future"},
		{name: "another handshake", change: func(c *assertion.Claims) { c.TxnID = "0b4d1c5e-8a63-4f6e-9c55-000000000009" }, number: 2, want: "another handshake"},
		{name: "an old proof", change: func(c *assertion.Claims) { c.AuthTime -= 3600 }, number: 2, want: "auth_time"},
		{name: "a proof to come", change: func(c *assertion.Claims) { c.AuthTime += 3600 }, number: 2, want: "auth_time"},
		{name: "passed on", change: func(c *assertion.Claims) { c.Authority = "https://third.example" }, number: 2, want: "third party"},
		{name: "a sub of another kind", change: func(c *assertion.Claims) { c.Subject = "asha" }, number: 2, want: "sub"},
		{name: "a consent of another kind", change: func(c *assertion.Claims) { c.Consent = "7" }, number: 2, want: "consent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			p := newPlace(t, f)
			const txn = "0b4d1c5e-8a63-4f6e-9c55-000000000001"
			said := claims(f, txn)
			if c.change != nil {
				c.change(&said)
			}
			keys := f.Keys
			if c.keys != nil {
				keys = c.keys
			}
			signer, err := keys.Signer()
			if err != nil {
				t.Fatal(err)
			}
			compact, err := signer.Compact(said)
			if err != nil {
				t.Fatal(err)
			}
			f.breakAt(statusPath, func(w http.ResponseWriter, _ *http.Request) {
				answer(w, 200, map[string]any{"vaccination_status": c.number, "assertion": compact})
			})
			got, err := p.client.Answer(t.Context(), txn, "token")
			if c.want == "" {
				if err != nil || got.Status != 2 || got.Subject != (authflow.ID128{1}) || got.Consent != (authflow.ID128{3}) || got.Purpose != "Entry" {
					t.Fatalf("%+v, %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// TestRepeated holds which calls are repeated: a code is not sent twice, nor
// entered twice, where it is not certain that the first call did not leave.
func TestRepeated(t *testing.T) {
	for _, c := range []struct {
		name       string
		away, lost bool
		want       [3]int // generateOTP, confirmOTP, status: as they arrive
	}{
		{"answers are lost", false, true, [3]int{1, 1, 3}},
		{"no connection", true, false, [3]int{0, 0, 0}},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			p := newPlace(t, f)
			f.set(c.away, c.lost)
			_, err := p.client.Ask(t.Context(), authflow.AuthorityRequest{Mobile: test.Asha, Name: "Asha Rao"})
			if err == nil || errors.Is(err, authflow.ErrUnsure) != c.lost {
				t.Errorf("%s: Ask: %v", c.name, err)
			}
			time.Sleep(10 * time.Second) // the breaker
			if _, err := p.client.Confirm(t.Context(), "txn", authflow.Proof{Code: "123456"}); err == nil {
				t.Errorf("%s: Confirm", c.name)
			}
			time.Sleep(10 * time.Second)
			if _, err := p.client.Answer(t.Context(), "txn", "token"); err == nil {
				t.Errorf("%s: Answer", c.name)
			}
			if got := [3]int{f.count(generatePath), f.count(confirmPath), f.count(statusPath)}; got != c.want {
				t.Errorf("%s: arrived %v times", c.name, got)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // back within the time that a person waits
		f := newFake(t)
		p := newPlace(t, f)
		f.set(true, false)
		go func() { time.Sleep(80 * time.Millisecond); f.set(false, false) }()
		if _, err := p.client.Ask(t.Context(), authflow.AuthorityRequest{Mobile: test.Asha, Name: "Asha Rao"}); err != nil {
			t.Error(err)
		}
	})
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		p := newPlace(t, f)
		f.breakAt(generatePath, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		began := time.Now()
		_, err := p.client.Ask(t.Context(), authflow.AuthorityRequest{Mobile: test.Asha, Name: "Asha Rao"})
		if took := time.Since(began); err == nil || took > 6*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		if !errors.Is(err, authflow.ErrUnsure) || f.count(generatePath) != 1 {
			t.Errorf("asked %d times: %v", f.count(generatePath), err)
		}
	})
}

// TestBreaker holds that after several failures nobody waits, that a trial follows,
// and that the authority's own refusals break nothing.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		p := newPlace(t, f)
		req := authflow.AuthorityRequest{Mobile: test.Asha, Name: "Asha Rao"}
		f.breakAt(generatePath, body(429, `{"code":"too_many_requests"}`))
		for range 20 {
			if _, err := p.client.Ask(t.Context(), req); codeOf(err) != authflow.TooManyRequests {
				t.Fatal(err)
			}
		}
		f.breakAt(generatePath, body(500, ""))
		for range 5 {
			if _, err := p.client.Ask(t.Context(), req); err == nil {
				t.Fatal("was taken")
			}
		}
		n := f.count(generatePath)
		began := time.Now()
		for range 100 {
			_, err := p.client.Ask(t.Context(), req)
			e := (*authflow.Error)(nil)
			if !errors.As(err, &e) || e.Code != authflow.Unavailable || e.RetryAfter <= 0 {
				t.Fatal(err)
			}
		}
		if f.count(generatePath) != n || time.Since(began) != 0 {
			t.Errorf("asked %d times more, in %v", f.count(generatePath)-n, time.Since(began))
		}
		f.breakAt(generatePath, nil)
		time.Sleep(6 * time.Second)
		for range 3 {
			if _, err := p.client.Ask(t.Context(), req); err != nil {
				t.Fatal(err)
			}
		}
		if log := p.logged(); strings.Count(log, "passes count on") != 1 || strings.Count(log, "the authority answers again") != 1 {
			t.Errorf("the log: %s", log)
		}
	})
}

// TestOverTheWire asks a real server: TLS, one connection kept, and none where
// nobody listens.
func TestOverTheWire(t *testing.T) {
	f := newFake(t)
	server := httptest.NewTLSServer(f)
	p := newPlace(t, f, func(c *remote.Config) { c.URL, c.Transport, c.Issuer = server.URL, server.Client().Transport, origin })
	g, err := p.confirm(t, p.ask(t, asha()), authflow.Proof{Code: f.Phone.Last().Code})
	if err != nil || g.Pass.Status != 2 {
		t.Fatalf("%+v, %v", g, err)
	}
	if err := p.client.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	server.Close()
	_, err = p.client.Ask(t.Context(), authflow.AuthorityRequest{Mobile: test.Asha, Name: "Asha Rao"})
	if err == nil || errors.Is(err, authflow.ErrUnsure) {
		t.Errorf("nobody listens: %v", err)
	}
	if err := p.client.Ready(t.Context()); err == nil {
		t.Error("ready without an authority")
	}
}
