package remote_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	test "github.com/kycvs/caddy-kycvs/authflow/authflowtest"
	"github.com/kycvs/caddy-kycvs/authflow/ledger"
)

func (p *place) ask(t *testing.T, who authflow.Person) authflow.Asked {
	t.Helper()
	asked, err := p.Ask(t.Context(), p.at, by, who, "/back")
	if err != nil {
		t.Fatalf("Ask: %v", err)
	}
	return asked
}

func (p *place) confirm(t *testing.T, asked authflow.Asked, proof authflow.Proof) (authflow.Granted, error) {
	t.Helper()
	return p.Confirm(t.Context(), p.at, by.Browser, asked.TxnID, proof)
}

func TestWholeHandshake(t *testing.T) {
	f := newFake(t)
	p := newPlace(t, f)
	for _, c := range []struct {
		name, mobile, typed string
		want                uint8
	}{
		{"fully", test.Asha, "Asha Rao", 2},
		{"partly", "098765 43211", "Ravi Kumar", 1},
		{"not", "९८७६५४३२१२", "Meena Iyer", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := p.ask(t, authflow.Person{Mobile: c.mobile, Name: c.typed, Consent: "Y"})
			if asked.AttemptsLeft != 3 || asked.ExpiresIn != 3*time.Minute || asked.ResendAfter <= 28*time.Second || !strings.Contains(asked.MaskedMobile, "•") && !strings.Contains(asked.MaskedMobile, "*") && !strings.Contains(asked.MaskedMobile, "X") {
				t.Errorf("asked = %+v", asked)
			}
			g, err := p.confirm(t, asked, authflow.Proof{Code: f.Phone.Last().Code})
			if err != nil {
				t.Fatal(err)
			}
			if g.Pass.Status != c.want || g.Return != "/back" || g.Pass.TxnID != asked.TxnID {
				t.Errorf("granted %+v", g)
			}
			there := f.Ledger.Entries(t)
			given := there[len(there)-1]
			here := p.Ledger.Entries(t)
			e := here[len(here)-1]
			if e.Event != ledger.Given || e.Consent != given.Consent || e.Consent != authflow.FormatID(g.Pass.Consent) || e.Partner != partner || e.Purpose != "Entry" {
				t.Errorf("here %+v\nthere %+v", e, given)
			}
			m, err := (&authflow.Minter{Keys: p.Keys, Observer: p.Counts}).Mint(p.at, &g.Pass, time.Minute, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			claims := m.Template.Claims(&m.Variable)
			if claims.Authority != origin || claims.Issuer != "https://mall.example" || claims.Audience != partner {
				t.Errorf("claims %+v", claims)
			}
			if _, err := p.confirm(t, asked, authflow.Proof{Code: f.Phone.Last().Code}); codeOf(err) != authflow.TxnUnknown {
				t.Errorf("the code is good twice: %v", err)
			}
		})
	}
	if p.Registry.Asked() != 0 || p.Phone.Sent() != 0 {
		t.Error("the gate asked a registry, or sent a code")
	}
	for _, secret := range []string{key, "9876543210", "Asha", f.Phone.Last().Code} {
		if strings.Contains(p.logged(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// TestSubjectIsTheAuthoritys holds that sub, consent and auth_time are those that
// the authority signed.
func TestSubjectIsTheAuthoritys(t *testing.T) {
	f := newFake(t)
	p := newPlace(t, f)
	g, err := p.confirm(t, p.ask(t, asha()), authflow.Proof{Code: f.Phone.Last().Code})
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.confirm(t, p.ask(t, asha()), authflow.Proof{Code: f.Phone.Last().Code})
	if err != nil {
		t.Fatal(err)
	}
	if g.Pass.Subject != again.Pass.Subject || g.Pass.Consent == again.Pass.Consent {
		t.Error("a person is another subject at each visit, or a consent the same")
	}
	own, err := f.Flow.Ask(t.Context(), f.at, by, asha(), "")
	if err != nil {
		t.Fatal(err)
	}
	direct, err := f.Flow.Confirm(t.Context(), f.at, by.Browser, own.TxnID, authflow.Proof{Code: f.Phone.Last().Code})
	if err != nil || direct.Pass.Subject != g.Pass.Subject {
		t.Errorf("the subject is not the authority's (%v)", err)
	}
}

func TestRefusals(t *testing.T) {
	wrong := func(code string) string {
		if code[0] == '9' {
			return "0" + code[1:]
		}
		return string(code[0]+1) + code[1:]
	}
	for _, c := range []struct {
		name   string
		who    authflow.Person
		wrong  int
		proof  string // in place of the right code
		want   authflow.Code
		need   string
		reason string // in our ledger
	}{
		{name: "wrong", who: asha(), wrong: 1, want: authflow.OTPInvalid},
		{name: "wrong three times", who: asha(), wrong: 4, want: authflow.OTPAttempts},
		{name: "no code", who: asha(), proof: "12", want: authflow.OTPMissing},
		{name: "nobody", who: authflow.Person{Mobile: test.Away, Name: "No Body", Consent: "Y"}, want: authflow.NoRecord, reason: "no_record"},
		{name: "two people", who: authflow.Person{Mobile: test.Alike, Name: "Lata Sen", Consent: "Y"}, want: authflow.Ambiguous, reason: "ambiguous"},
		{name: "two with years", who: authflow.Person{Mobile: test.Twins, Name: "Arun Das", Consent: "Y"}, want: authflow.Ambiguous, need: authflow.NeedBirthYear},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			p := newPlace(t, f)
			asked := p.ask(t, c.who)
			code := f.Phone.Last().Code
			proof := authflow.Proof{Code: code}
			if c.proof != "" {
				proof.Code = c.proof
			}
			var err error
			for i := range c.wrong {
				_, err = p.confirm(t, asked, authflow.Proof{Code: wrong(code)})
				e := (*authflow.Error)(nil)
				if errors.As(err, &e) && e.Code == authflow.OTPInvalid && e.AttemptsLeft != 2-i {
					t.Errorf("wrong code %d: %d attempts left", i+1, e.AttemptsLeft)
				}
			}
			if c.wrong == 0 {
				_, err = p.confirm(t, asked, proof)
			}
			e := (*authflow.Error)(nil)
			if !errors.As(err, &e) || e.Code != c.want || e.Need != c.need {
				t.Fatalf("got %v", err)
			}
			entries := p.Ledger.Entries(t)
			if c.reason == "" && len(entries) != 0 || c.reason != "" && (len(entries) != 1 || entries[0].Reason != c.reason) {
				t.Errorf("the ledger has %+v", entries)
			}
		})
	}
}

func TestBirthYear(t *testing.T) {
	f := newFake(t)
	p := newPlace(t, f)
	asked := p.ask(t, authflow.Person{Mobile: test.Twins, Name: "Arun Das", Consent: "Y"})
	if _, err := p.confirm(t, asked, authflow.Proof{Code: f.Phone.Last().Code}); codeOf(err) != authflow.Ambiguous {
		t.Fatal(err)
	}
	if look, err := p.Look(t.Context(), p.at, by, asked.TxnID); err != nil || !look.Proved {
		t.Fatalf("look = %+v, %v", look, err)
	}
	if _, err := p.confirm(t, asked, authflow.Proof{BirthYear: "19"}); codeOf(err) != authflow.BadRequest {
		t.Fatal(err)
	}
	f.set(true, false)
	if _, err := p.confirm(t, asked, authflow.Proof{BirthYear: "1980"}); codeOf(err) != authflow.Unavailable {
		t.Fatal(err)
	}
	f.set(false, false)
	g, err := p.confirm(t, asked, authflow.Proof{BirthYear: "१९८०"})
	if err != nil || g.Pass.Status != 2 {
		t.Fatalf("%+v, %v", g, err)
	}
	if _, err := p.confirm(t, asked, authflow.Proof{BirthYear: "1950"}); codeOf(err) != authflow.TxnUnknown {
		t.Errorf("a second year: %v", err)
	}
}

func TestResend(t *testing.T) {
	f := newFake(t)
	p := newPlace(t, f)
	// the authority lets another code go at once
	for path, body := range map[string]string{generatePath: `{"txnId":"0b4d1c5e-8a63-4f6e-9c55-000000000001","expires_in":180,"resend_after":0,"attempts_left":2}`} {
		f.breakAt(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
	}
	asked := p.ask(t, asha())
	again, err := p.Resend(t.Context(), p.at, by, asked.TxnID)
	if err != nil || again.TxnID != asked.TxnID || again.AttemptsLeft != 2 {
		t.Fatalf("%+v, %v", again, err)
	}
	f.breakAt(generatePath, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"txnId":"0b4d1c5e-8a63-4f6e-9c55-000000000002"}`))
	})
	if _, err := p.Resend(t.Context(), p.at, by, asked.TxnID); codeOf(err) != authflow.Unavailable {
		t.Errorf("another handshake's: %v", err)
	}
	f.breakAt(generatePath, nil)
	asked = p.ask(t, asha())
	if _, err := p.Resend(t.Context(), p.at, by, asked.TxnID); codeOf(err) != authflow.TooManyRequests {
		t.Errorf("too early: %v", err)
	}
	if _, err := p.Resend(t.Context(), p.at, authflow.Asker{Browser: authflow.ID128{2}}, asked.TxnID); codeOf(err) != authflow.TxnUnknown {
		t.Errorf("another browser: %v", err)
	}
}

// TestEnteredAgain holds that the same code can be entered once more where the
// authority has answered and something failed behind it.
func TestEnteredAgain(t *testing.T) {
	for _, c := range []struct {
		name        string
		fail, mends func(*fake, *place)
	}{
		{"the ledger is away", func(_ *fake, p *place) { p.Ledger.Fail(true) }, func(_ *fake, p *place) { p.Ledger.Fail(false) }},
		{"the status call fails", func(f *fake, _ *place) {
			f.breakAt(statusPath, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) })
		}, func(f *fake, _ *place) { f.breakAt(statusPath, nil) }},
		{"the keys are away", func(f *fake, _ *place) {
			f.breakAt("/.kycvs/jwks.json", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
		}, func(f *fake, _ *place) { f.breakAt("/.kycvs/jwks.json", nil) }},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			p := newPlace(t, f)
			asked := p.ask(t, asha())
			code := f.Phone.Last().Code
			c.fail(f, p)
			for range 2 {
				if _, err := p.confirm(t, asked, authflow.Proof{Code: code}); codeOf(err) != authflow.Unavailable {
					t.Fatalf("%s: %v", c.name, err)
				}
			}
			if n := f.count(confirmPath); n != 1 {
				t.Errorf("confirmOTP was called %d times", n)
			}
			if _, err := p.confirm(t, asked, authflow.Proof{Code: "000000"}); codeOf(err) != authflow.OTPInvalid && code != "000000" {
				t.Errorf("any code will do: %v", err)
			}
			c.mends(f, p)
			time.Sleep(10 * time.Second) // the breaker, and the least time between two looks at the keys
			g, err := p.confirm(t, asked, authflow.Proof{Code: code})
			if err != nil || g.Pass.Status != 2 {
				t.Fatalf("%s: %+v, %v", c.name, g, err)
			}
		})
	}
}

// TestAtOnce holds that a right code entered many times at once opens once.
func TestAtOnce(t *testing.T) {
	f := newFake(t)
	p := newPlace(t, f)
	asked := p.ask(t, asha())
	code := f.Phone.Last().Code
	var granted, other atomic.Int32
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			switch _, err := p.Confirm(t.Context(), p.at, by.Browser, asked.TxnID, authflow.Proof{Code: code}); codeOf(err) {
			case "":
				granted.Add(1)
			case authflow.TxnUnknown:
			default:
				other.Add(1)
			}
		})
	}
	wg.Wait()
	if granted.Load() != 1 || other.Load() != 0 {
		t.Errorf("%d were granted, %d ended otherwise", granted.Load(), other.Load())
	}
	wrong := "111111"
	if code == wrong {
		wrong = "222222"
	}
	asked = p.ask(t, asha())
	before := f.count(confirmPath)
	for range 50 {
		wg.Go(func() {
			_, _ = p.Confirm(t.Context(), p.at, by.Browser, asked.TxnID, authflow.Proof{Code: wrong})
		})
	}
	wg.Wait()
	if n := f.count(confirmPath) - before; n > 3 {
		t.Errorf("%d guesses reached the authority", n)
	}
}

// TestLimitsHere holds that the gate's own limits count: they are given back where
// no code was sent.
func TestLimitsHere(t *testing.T) {
	f := newFake(t)
	p := newPlace(t, f)
	f.set(true, false)
	for range 8 {
		if _, err := p.Ask(t.Context(), p.at, by, asha(), ""); codeOf(err) != authflow.Unavailable {
			t.Fatal(err)
		}
	}
	p = newPlace(t, f) // whose breaker is closed
	f.set(false, false)
	for range 5 {
		p.ask(t, asha())
	}
	if _, err := p.Ask(t.Context(), p.at, by, asha(), ""); codeOf(err) != authflow.TooManyRequests {
		t.Errorf("the sixth: %v", err)
	}
	if n := f.count(generatePath); n != 5 {
		t.Errorf("the authority was asked %d times", n)
	}
	f = newFake(t)
	p = newPlace(t, f)
	f.set(false, true)
	for range 4 { // the code may have been sent, so it counts
		if _, err := p.Ask(t.Context(), p.at, by, asha(), ""); codeOf(err) != authflow.Unavailable {
			t.Fatal(err)
		}
	}
	f.set(false, false)
	p.ask(t, asha())
	if _, err := p.Ask(t.Context(), p.at, by, asha(), ""); codeOf(err) != authflow.TooManyRequests {
		t.Errorf("after answers that were lost: %v", err)
	}
}

func TestNotForOthers(t *testing.T) {
	f := newFake(t)
	p := newPlace(t, f)
	ward := p.Audience("ward.example", "ward", "Ward")
	if _, err := p.Ask(t.Context(), ward, by, asha(), ""); codeOf(err) != authflow.Unavailable {
		t.Errorf("another partner: %v", err)
	}
	if _, err := p.AskSelf(t.Context(), p.Audience("mall.example", authflow.SelfID, "own"), by, test.Asha); codeOf(err) != authflow.AtAuthority || !errors.Is(err, authflow.ErrAtAuthority) {
		t.Errorf("a person's own record: %v", err)
	}
	if got := p.RecordsAt(p.at); got != origin+"/.kycvs/consents" {
		t.Errorf("records are at %q", got)
	}
	if got := f.RecordsAt(f.at); got != "" {
		t.Errorf("the authority's records are at %q", got)
	}
	// a pass that rests on another's answer does not open
	local := authflow.Audience{Partner: p.at.Partner, Host: p.at.Host, Issuer: p.at.Issuer, Session: p.at.Session, TTL: p.at.TTL}
	local.Authority = ""
	local.Seal(p.Secret.Keys("pass"), "mall.example")
	g, err := p.confirm(t, p.ask(t, asha()), authflow.Proof{Code: f.Phone.Last().Code})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := local.Sealer.Open(g.Token); err == nil {
		t.Error("the pass opens where the answer would be our own")
	}
}
