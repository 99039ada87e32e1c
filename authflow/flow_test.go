package authflow_test

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	test "github.com/kycvs/caddy-kycvs/authflow/authflowtest"
	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
	"github.com/kycvs/caddy-kycvs/registry"
)

var (
	browser = authflow.ID128{1}
	by      = authflow.Asker{Browser: browser, IP: netip.MustParseAddr("192.0.2.1"), Lang: "en"}
)

func person(mobile, name string) authflow.Person {
	return authflow.Person{Mobile: mobile, Name: name, Consent: "Y"}
}

// codeOf is the code of an error, "" for none.
func codeOf(err error) authflow.Code {
	if e := (*authflow.Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return authflow.Code(err.Error())
	}
	return ""
}

func ask(t *testing.T, w *test.World, a *authflow.Audience, p authflow.Person) authflow.Asked {
	t.Helper()
	asked, err := w.Ask(t.Context(), a, by, p, "/back")
	if err != nil {
		t.Fatalf("Ask: %v", err)
	}
	return asked
}

// other is a code that is not the right one.
func other(code string) string {
	if code[0] == '9' {
		return "0" + code[1:]
	}
	return string(code[0]+1) + code[1:]
}

func TestHandshake(t *testing.T) {
	w := test.New(t)
	a := w.Audience("mall.example", "mall", "Entry")
	for _, c := range []struct {
		name, mobile, typed string
		want                registry.Status
	}{
		{"fully", test.Asha, "asha  RAO", registry.Fully},
		{"fully, otherwise typed", "9876543210", "Smt. Asha Rao", registry.Fully},
		{"partly", "098765 43211", "Ravi Kumar", registry.Partly},
		{"not", "९८७६५४३२१२", "Meena Iyer", registry.NotVaccinated},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := w.Registry.Asked()
			asked := ask(t, w, a, person(c.mobile, c.typed))
			if w.Registry.Asked() != before {
				t.Error("asking for a code asked the registry")
			}
			if asked.Return != "/back" || asked.AttemptsLeft != 3 || asked.ExpiresIn != 3*time.Minute || asked.ResendAfter != 30*time.Second {
				t.Errorf("asked = %+v", asked)
			}
			m := w.Phone.Last()
			if !strings.HasSuffix(m.Text, "\n@mall.example #"+m.Code) || len(m.Code) != 6 {
				t.Error("the message does not end with the origin-bound line")
			}
			g, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: m.Code})
			if err != nil {
				t.Fatal(err)
			}
			if g.Pass.Status != uint8(c.want) || g.Return != "/back" || g.Pass.AuthTime != w.Now().Unix() {
				t.Errorf("granted = %+v", g)
			}
			if p, err := a.Sealer.Open(g.Token); err != nil || p != g.Pass {
				t.Error("the token is not the pass")
			}
			entries := w.Ledger.Entries(t)
			if e := entries[len(entries)-1]; e.Event != ledger.Given || e.Consent != authflow.FormatID(g.Pass.Consent) || e.Partner != "mall" || e.Purpose != "Entry" {
				t.Errorf("the ledger has %+v", e)
			}
			if _, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: m.Code}); codeOf(err) != authflow.TxnUnknown {
				t.Errorf("the code is good twice: %v", err)
			}
		})
	}
}

func TestSubject(t *testing.T) {
	w := test.New(t)
	subject := func(a *authflow.Audience, mobile, name string) authflow.ID128 {
		t.Helper()
		asked := ask(t, w, a, person(mobile, name))
		g, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: w.Phone.Last().Code})
		if err != nil {
			t.Fatal(err)
		}
		return g.Pass.Subject
	}
	mall, ward := w.Audience("mall.example", "mall", "Entry"), w.Audience("ward.example", "ward", "Ward")
	first := subject(mall, test.Asha, "Asha Rao")
	if subject(mall, "98765-43210", "ASHA RAO") != first {
		t.Error("another spelling is another subject")
	}
	if subject(ward, test.Asha, "Asha Rao") == first {
		t.Error("two partners know one person by one subject")
	}
	if subject(mall, test.Ravi, "Ravi Kumar") == first {
		t.Error("two people are one subject")
	}
	c := w.Config
	c.Secret = authflow.NewSecret([]byte("another secret, just as long as it"))
	w.Flow = authflow.New(c)
	if subject(mall, test.Asha, "Asha Rao") != first {
		t.Error("with another secret, a person is another subject")
	}
}

func TestWhatIsWrongWithWhatWasTyped(t *testing.T) {
	w := test.New(t)
	a := w.Audience("mall.example", "mall", "Entry")
	for _, c := range []struct {
		name string
		p    authflow.Person
		want authflow.Code
	}{
		{"no consent", authflow.Person{Mobile: test.Asha, Name: "Asha Rao"}, authflow.ConsentRequired},
		{"something else for consent", authflow.Person{Mobile: test.Asha, Name: "Asha Rao", Consent: "yes"}, authflow.ConsentRequired},
		{"no number", person("", "Asha Rao"), authflow.MobileInvalid},
		{"no number at all", person("call me", "Asha Rao"), authflow.MobileInvalid},
		{"another country", person("+1 202 555 0100", "Asha Rao"), authflow.MobileInvalid},
		{"too long", person(strings.Repeat("9", 1000), "Asha Rao"), authflow.MobileInvalid},
		{"no name", person(test.Asha, " "), authflow.NameInvalid},
		{"a long name", person(test.Asha, strings.Repeat("x", 10000)), authflow.NameInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := w.Ask(t.Context(), a, by, c.p, ""); codeOf(err) != c.want {
				t.Errorf("Ask: %v", err)
			}
		})
	}
	if w.Phone.Sent() != 0 {
		t.Error("a message was sent")
	}
}

func TestACodeIsGoodWhereItWasAskedFor(t *testing.T) {
	w := test.New(t)
	mall := w.Audience("mall.example", "mall", "Entry")
	asked := ask(t, w, mall, person(test.Asha, "Asha Rao"))
	code := w.Phone.Last().Code
	reworded := w.Audience("mall.example", "mall", "Something else")
	for name, c := range map[string]struct {
		a       *authflow.Audience
		browser authflow.ID128
	}{
		"another browser": {mall, authflow.ID128{2}},
		"no browser":      {mall, authflow.ID128{}},
		"another site":    {w.Audience("other.example", "mall", "Entry"), browser},
		"another partner": {w.Audience("mall.example", "ward", "Entry"), browser},
		"another purpose": {reworded, browser},
	} {
		if _, err := w.Confirm(t.Context(), c.a, c.browser, asked.TxnID, authflow.Proof{Code: code}); codeOf(err) != authflow.TxnUnknown {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.Confirm(t.Context(), mall, browser, asked.TxnID, authflow.Proof{Code: code}); err != nil {
		t.Errorf("trying elsewhere spent something: %v", err)
	}
}

func TestCodesInOtherSpellings(t *testing.T) {
	w := test.New(t)
	a := w.Audience("mall.example", "mall", "Entry")
	devanagari := func(s string) string {
		return strings.Map(func(r rune) rune { return r - '0' + '०' }, s)
	}
	for name, spell := range map[string]func(string) string{
		"spaced":     func(s string) string { return " " + s[:3] + " " + s[3:] + "\u00a0" },
		"hyphenated": func(s string) string { return s[:3] + "-" + s[3:] },
		"devanagari": devanagari,
		"fullwidth":  func(s string) string { return strings.Map(func(r rune) rune { return r - '0' + '０' }, s) },
		"invisible":  func(s string) string { return "\u200e" + s + "\u200b" },
	} {
		asked := ask(t, w, a, person(test.Asha, "Asha Rao"))
		if _, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: spell(w.Phone.Last().Code)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	asked := ask(t, w, a, person(test.Asha, "Asha Rao"))
	for _, no := range []string{"", "12345", "1234567", "12345a", "一二三四五六", strings.Repeat("1", 100)} {
		if _, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: no}); codeOf(err) != authflow.OTPMissing {
			t.Errorf("%q: %v", no, err)
		}
	}
	if _, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: w.Phone.Last().Code}); err != nil {
		t.Errorf("what is no code was counted: %v", err)
	}
}

func TestWrongCodes(t *testing.T) {
	w := test.New(t)
	a := w.Audience("mall.example", "mall", "Entry")
	asked := ask(t, w, a, person(test.Asha, "Asha Rao"))
	right := w.Phone.Last().Code
	wrong := authflow.Proof{Code: other(right)}
	for left := 2; left >= 0; left-- {
		_, err := w.Confirm(t.Context(), a, browser, asked.TxnID, wrong)
		if e := (*authflow.Error)(nil); !errors.As(err, &e) || e.Code != authflow.OTPInvalid || e.AttemptsLeft != left {
			t.Fatalf("with %d left: %v", left, err)
		}
	}
	if _, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: right}); codeOf(err) != authflow.OTPAttempts {
		t.Errorf("the right code after three wrong ones: %v", err)
	}
	if _, err := w.Resend(t.Context(), a, by, asked.TxnID); codeOf(err) != authflow.OTPAttempts {
		t.Errorf("a resend gives new guesses: %v", err)
	}
}

func TestAThousandWrongCodesAtOnceAreThree(t *testing.T) {
	w := test.New(t)
	a := w.Audience("mall.example", "mall", "Entry")
	asked := ask(t, w, a, person(test.Asha, "Asha Rao"))
	right := w.Phone.Last().Code
	var counted, dead, else_ atomic.Int32
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			_, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: other(right)})
			switch codeOf(err) {
			case authflow.OTPInvalid:
				counted.Add(1)
			case authflow.OTPAttempts:
				dead.Add(1)
			default:
				else_.Add(1)
			}
		})
	}
	wg.Wait()
	if counted.Load() != 3 || dead.Load() != 997 {
		t.Errorf("%d counted, %d dead, %d something else", counted.Load(), dead.Load(), else_.Load())
	}
	if _, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: right}); codeOf(err) != authflow.OTPAttempts {
		t.Errorf("the right code afterwards: %v", err)
	}
}

func TestTheRightCodeAtOnceIsOneSuccess(t *testing.T) {
	w := test.New(t, func(c *authflow.Config) { c.OTP.Attempts = 50 })
	a := w.Audience("mall.example", "mall", "Entry")
	asked := ask(t, w, a, person(test.Asha, "Asha Rao"))
	code := w.Phone.Last().Code
	var granted atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: code}); err == nil {
				granted.Add(1)
			} else if codeOf(err) != authflow.TxnUnknown {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if granted.Load() != 1 {
		t.Errorf("%d successes", granted.Load())
	}
	if n := len(w.Ledger.Entries(t)); n != 1 {
		t.Errorf("%d consents", n)
	}
}

func TestExpiry(t *testing.T) {
	w := test.New(t)
	a := w.Audience("mall.example", "mall", "Entry")
	asked := ask(t, w, a, person(test.Asha, "Asha Rao"))
	code := w.Phone.Last().Code
	w.Pass(3 * time.Minute)
	for range 5 { // none of them is a guess
		if _, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: code}); codeOf(err) != authflow.OTPExpired {
			t.Fatalf("after its time: %v", err)
		}
	}
	again, err := w.Resend(t.Context(), a, by, asked.TxnID)
	if err != nil || again.AttemptsLeft != 3 || again.TxnID != asked.TxnID {
		t.Fatalf("Resend = %+v, %v", again, err)
	}
	if _, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: w.Phone.Last().Code}); err != nil {
		t.Errorf("the new code: %v", err)
	}
}

func TestResend(t *testing.T) {
	w := test.New(t)
	a := w.Audience("mall.example", "mall", "Entry")
	asked := ask(t, w, a, person(test.Asha, "Asha Rao"))
	first := w.Phone.Last().Code
	tooSoon := func(want time.Duration) {
		t.Helper()
		_, err := w.Resend(t.Context(), a, by, asked.TxnID)
		if e := (*authflow.Error)(nil); !errors.As(err, &e) || e.Code != authflow.TooManyRequests || e.RetryAfter != want {
			t.Errorf("too soon: %v", err)
		}
	}
	tooSoon(30 * time.Second)
	w.Pass(30 * time.Second)
	if _, err := w.Resend(t.Context(), a, by, asked.TxnID); err != nil {
		t.Fatal(err)
	}
	tooSoon(60 * time.Second)
	w.Pass(60 * time.Second)
	again, err := w.Resend(t.Context(), a, by, asked.TxnID)
	if err != nil || again.ResendAfter != 120*time.Second {
		t.Fatalf("%+v, %v", again, err)
	}
	if _, err := w.Resend(t.Context(), a, authflow.Asker{Browser: authflow.ID128{9}}, asked.TxnID); codeOf(err) != authflow.TxnUnknown {
		t.Errorf("another browser: %v", err)
	}
	last := w.Phone.Last().Code
	if first != last {
		if _, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: first}); codeOf(err) != authflow.OTPInvalid {
			t.Errorf("the first code: %v", err)
		}
	}
	if _, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: last}); err != nil {
		t.Errorf("the last code: %v", err)
	}
}

func TestLimits(t *testing.T) {
	tooMany := func(t *testing.T, err error) {
		t.Helper()
		if e := (*authflow.Error)(nil); !errors.As(err, &e) || e.Code != authflow.TooManyRequests || e.RetryAfter <= 0 {
			t.Errorf("got %v", err)
		}
	}
	t.Run("codes for a number, however it is typed", func(t *testing.T) {
		w := test.New(t)
		a := w.Audience("mall.example", "mall", "Entry")
		for _, spelling := range []string{test.Asha, "9876543210", "09876543210", "९८७६५४३२१०", "+91 98765-43210"} {
			ask(t, w, a, person(spelling, "Asha Rao"))
		}
		_, err := w.Ask(t.Context(), w.Audience("other.example", "other", "x"), by, person("98765 43210", "Asha Rao"), "")
		tooMany(t, err)
		if w.Phone.Sent() != 5 {
			t.Errorf("%d messages", w.Phone.Sent())
		}
		ask(t, w, a, person(test.Ravi, "Ravi Kumar"))
	})
	t.Run("a code that is entered is given back", func(t *testing.T) {
		w := test.New(t)
		a := w.Audience("mall.example", "mall", "Entry")
		for range 12 {
			asked := ask(t, w, a, person(test.Asha, "Asha Rao"))
			if _, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: w.Phone.Last().Code}); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("a code that was not sent is given back", func(t *testing.T) {
		w := test.New(t)
		a := w.Audience("mall.example", "mall", "Entry")
		w.Phone.Fail(true)
		for range 10 {
			if _, err := w.Ask(t.Context(), a, by, person(test.Asha, "Asha Rao"), ""); codeOf(err) != authflow.Unavailable {
				t.Fatal(err)
			}
		}
		w.Phone.Fail(false)
		for range 5 {
			ask(t, w, a, person(test.Asha, "Asha Rao"))
		}
		w.Phone.FailLater()
		for range 5 {
			ask(t, w, a, person(test.Asha, "Asha Rao"))
		}
	})
	t.Run("wrong codes over handshakes", func(t *testing.T) {
		w := test.New(t, func(c *authflow.Config) { c.Limits.CodesPerMobile.Count = 100 })
		a := w.Audience("mall.example", "mall", "Entry")
		for range 5 {
			asked := ask(t, w, a, person(test.Asha, "Asha Rao"))
			for range 3 {
				if _, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: other(w.Phone.Last().Code)}); codeOf(err) != authflow.OTPInvalid {
					t.Fatal(err)
				}
			}
		}
		asked := ask(t, w, a, person(test.Asha, "Asha Rao"))
		_, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: w.Phone.Last().Code})
		tooMany(t, err)
	})
	t.Run("a right code clears the wrong ones", func(t *testing.T) {
		w := test.New(t, func(c *authflow.Config) { c.Limits.CodesPerMobile.Count = 100 })
		a := w.Audience("mall.example", "mall", "Entry")
		for range 12 {
			asked := ask(t, w, a, person(test.Asha, "Asha Rao"))
			for range 2 {
				_, _ = w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: other(w.Phone.Last().Code)})
			}
			if _, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: w.Phone.Last().Code}); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("addresses, IPv6 by /64", func(t *testing.T) {
		w := test.New(t, func(c *authflow.Config) { c.Limits.CodesPerIP.Count = 2 })
		a := w.Audience("mall.example", "mall", "Entry")
		from := func(ip, mobile string) error {
			_, err := w.Ask(t.Context(), a, authflow.Asker{Browser: browser, IP: netip.MustParseAddr(ip)}, person(mobile, "Asha Rao"), "")
			return err
		}
		for _, ip := range []string{"2001:db8::1", "2001:db8::2:3"} {
			if err := from(ip, test.Asha); err != nil {
				t.Fatal(err)
			}
		}
		tooMany(t, from("2001:db8::ffff%eth0", test.Ravi))
		if err := from("2001:db8:0:1::1", test.Ravi); err != nil {
			t.Errorf("another /64: %v", err)
		}
		if err := from("192.0.2.7", test.Ravi); err != nil {
			t.Error(err)
		}
		if err := from("::ffff:192.0.2.7", test.Ravi); err != nil {
			t.Error(err)
		}
		tooMany(t, from("192.0.2.7", test.Meena))
	})
	t.Run("in all", func(t *testing.T) {
		w := test.New(t, func(c *authflow.Config) { c.Limits.CodesTotal.Count = 3 })
		a := w.Audience("mall.example", "mall", "Entry")
		for range 3 {
			ask(t, w, a, person(test.Asha, "Asha Rao"))
		}
		_, err := w.Ask(t.Context(), a, by, person(test.Ravi, "Ravi Kumar"), "")
		tooMany(t, err)
	})
}

// No record, several records and no answer are three things, and none is 0.
func TestNoAnswerIsNot0(t *testing.T) {
	w := test.New(t)
	a := w.Audience("mall.example", "mall", "Entry")
	confirm := func(asked authflow.Asked, p authflow.Proof) (authflow.Granted, error) {
		return w.Confirm(t.Context(), a, browser, asked.TxnID, p)
	}
	t.Run("nobody with that number", func(t *testing.T) {
		asked := ask(t, w, a, person(test.Away, "Asha Rao"))
		if _, err := confirm(asked, authflow.Proof{Code: w.Phone.Last().Code}); codeOf(err) != authflow.NoRecord {
			t.Error(err)
		}
	})
	t.Run("another name", func(t *testing.T) {
		asked := ask(t, w, a, person(test.Asha, "Usha Rao"))
		if _, err := confirm(asked, authflow.Proof{Code: w.Phone.Last().Code}); codeOf(err) != authflow.NoRecord {
			t.Error(err)
		}
	})
	t.Run("two alike", func(t *testing.T) {
		asked := ask(t, w, a, person(test.Alike, "Lata Sen"))
		_, err := confirm(asked, authflow.Proof{Code: w.Phone.Last().Code})
		if e := (*authflow.Error)(nil); !errors.As(err, &e) || e.Code != authflow.Ambiguous || e.Need != "" {
			t.Error(err)
		}
	})
	t.Run("two told apart by the year of birth", func(t *testing.T) {
		asked := ask(t, w, a, person(test.Twins, "Arun Das"))
		code := w.Phone.Last().Code
		_, err := confirm(asked, authflow.Proof{Code: code})
		if e := (*authflow.Error)(nil); !errors.As(err, &e) || e.Code != authflow.Ambiguous || e.Need != authflow.NeedBirthYear {
			t.Fatal(err)
		}
		if _, err := confirm(asked, authflow.Proof{Code: code}); codeOf(err) != authflow.BadRequest {
			t.Errorf("the code again: %v", err)
		}
		if _, err := w.Resend(t.Context(), a, by, asked.TxnID); codeOf(err) != authflow.TxnUnknown {
			t.Errorf("another code: %v", err)
		}
		g, err := confirm(asked, authflow.Proof{BirthYear: "१९८०"})
		if err != nil || g.Pass.Status != 2 {
			t.Errorf("born 1980: %+v, %v", g, err)
		}
		if _, err := confirm(asked, authflow.Proof{BirthYear: "1950"}); codeOf(err) != authflow.TxnUnknown {
			t.Errorf("a second year: %v", err)
		}
	})
	t.Run("a wrong year, once", func(t *testing.T) {
		asked := ask(t, w, a, person(test.Twins, "Arun Das"))
		_, _ = confirm(asked, authflow.Proof{Code: w.Phone.Last().Code})
		if _, err := confirm(asked, authflow.Proof{BirthYear: "1960"}); codeOf(err) != authflow.NoRecord {
			t.Error(err)
		}
		if _, err := confirm(asked, authflow.Proof{BirthYear: "1950"}); codeOf(err) != authflow.TxnUnknown {
			t.Error(err)
		}
	})
	t.Run("the registry does not answer", func(t *testing.T) {
		asked := ask(t, w, a, person(test.Ravi, "Ravi Kumar"))
		code := w.Phone.Last().Code
		w.Registry.Fail(true)
		for range 5 { // none of them counts
			_, err := confirm(asked, authflow.Proof{Code: code})
			if e := (*authflow.Error)(nil); !errors.As(err, &e) || e.Code != authflow.Unavailable || e.RetryAfter <= 0 {
				t.Fatal(err)
			}
		}
		w.Registry.Fail(false)
		if g, err := confirm(asked, authflow.Proof{Code: code}); err != nil || g.Pass.Status != 1 {
			t.Errorf("once it answers: %+v, %v", g, err)
		}
	})
	t.Run("the ledger does not answer", func(t *testing.T) {
		asked := ask(t, w, a, person(test.Ravi, "Ravi Kumar"))
		code := w.Phone.Last().Code
		w.Ledger.Fail(true)
		if _, err := confirm(asked, authflow.Proof{Code: code}); codeOf(err) != authflow.Unavailable {
			t.Error(err)
		}
		w.Ledger.Fail(false)
		if _, err := confirm(asked, authflow.Proof{Code: code}); err != nil {
			t.Errorf("once it answers: %v", err)
		}
	})
}

func TestChangingTheSecretLosesNoHandshake(t *testing.T) {
	w := test.New(t)
	a := w.Audience("mall.example", "mall", "Entry")
	asked := ask(t, w, a, person(test.Asha, "Asha Rao"))
	c := w.Config
	c.Secret = authflow.NewSecret([]byte("another secret, just as long as it"), []byte("a secret of the test, long enough"))
	changed := authflow.New(c)
	if _, err := changed.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: w.Phone.Last().Code}); err != nil {
		t.Error(err)
	}
}

func TestWithdraw(t *testing.T) {
	w := test.New(t)
	a := w.Audience("mall.example", "mall", "Entry")
	asked := ask(t, w, a, person(test.Asha, "Asha Rao"))
	g, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: w.Phone.Last().Code})
	if err != nil {
		t.Fatal(err)
	}
	w.Ledger.Fail(true)
	if err := w.Withdraw(t.Context(), a, g.Pass); codeOf(err) != authflow.Unavailable {
		t.Errorf("with no ledger: %v", err)
	}
	if w.Withdrawals.Has(g.Pass.Consent) {
		t.Error("a withdrawal that is not on record counts")
	}
	w.Ledger.Fail(false)
	if err := w.Withdraw(t.Context(), a, g.Pass); err != nil {
		t.Fatal(err)
	}
	if !w.Withdrawals.Has(g.Pass.Consent) {
		t.Error("the withdrawal is not known")
	}
	var learned withdrawals.Set
	if err := learned.Learn(t.Context(), w.Ledger, w.Now()); err != nil || !learned.Has(g.Pass.Consent) {
		t.Errorf("the ledger does not know it: %v", err)
	}
	var later withdrawals.Set
	if err := later.Learn(t.Context(), w.Ledger, w.Now().Add(13*time.Hour)); err != nil || later.Has(g.Pass.Consent) {
		t.Errorf("it is remembered longer than its pass: %v", err)
	}
}
