package authflow_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	test "github.com/kycvs/caddy-kycvs/authflow/authflowtest"
	"github.com/kycvs/caddy-kycvs/registry"
)

// from is somebody at an address, in a browser of their own.
func from(ip string, browser byte) authflow.Asker {
	return authflow.Asker{Browser: authflow.ID128{browser}, IP: netip.MustParseAddr(ip), Lang: "en"}
}

// mobiles are numbers that nobody has: of one block of ten thousand, or of many.
func mobiles(n int, oneBlock bool) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("+919876%02d0000", i)
		if oneBlock {
			out[i] = fmt.Sprintf("+919876540%03d", i)
		}
	}
	return out
}

func TestShareOfCodesNeverEntered(t *testing.T) {
	share := authflow.Share{Percent: 80, Least: 10, Window: time.Hour}
	for _, c := range []struct {
		name     string
		change   func(*authflow.Limits)
		oneBlock bool
		enter    bool // each code is entered
		want     int  // codes sent, of 20 asked for
		counted  string
	}{
		{"no such rule", func(*authflow.Limits) {}, true, false, 20, ""},
		{"address", func(l *authflow.Limits) { l.UnenteredPerIP = share }, false, false, 10, "unentered_per_ip"},
		{"address, entered", func(l *authflow.Limits) { l.UnenteredPerIP = share }, false, true, 20, ""},
		{"block", func(l *authflow.Limits) { l.UnenteredPerPrefix = share }, true, false, 10, "unentered_per_prefix"},
		{"block, entered", func(l *authflow.Limits) { l.UnenteredPerPrefix = share }, true, true, 20, ""},
		{"many blocks", func(l *authflow.Limits) { l.UnenteredPerPrefix = share }, false, false, 20, ""},
		{"record only", func(l *authflow.Limits) { s := share; s.RecordOnly = true; l.UnenteredPerIP = s }, false, false, 20, "unentered_per_ip recorded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := test.New(t, func(conf *authflow.Config) { c.change(&conf.Limits) })
			a := w.Audience("mall.example", "mall", "Entry")
			sent := 0
			for i, mobile := range mobiles(20, c.oneBlock) {
				ip := "192.0.2.1"
				if c.oneBlock { // spread over addresses
					ip = netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}).String()
				}
				asker := from(ip, byte(i))
				asked, err := w.Ask(t.Context(), a, asker, person(mobile, "Asha Rao"), "")
				if err != nil {
					if codeOf(err) != authflow.TooManyRequests {
						t.Fatal(err)
					}
					continue
				}
				sent++
				if c.enter {
					_, _ = w.Confirm(t.Context(), a, asker.Browser, asked.TxnID, authflow.Proof{Code: w.Phone.Last().Code})
				}
			}
			if sent != c.want {
				t.Errorf("%d codes were sent, want %d", sent, c.want)
			}
			if c.counted != "" && w.Counts.Of(c.counted) != 10 {
				t.Errorf("%s was counted %d times, want 10", c.counted, w.Counts.Of(c.counted))
			}
		})
	}
}

// A message that was not sent after all counts for nothing.
func TestNotSentIsNotUnentered(t *testing.T) {
	w := test.New(t, func(c *authflow.Config) {
		c.Limits.UnenteredPerIP = authflow.Share{Percent: 50, Least: 4, Window: time.Hour}
		c.Limits.UnenteredPerPrefix = c.Limits.UnenteredPerIP
	})
	a := w.Audience("mall.example", "mall", "Entry")
	w.Phone.Fail(true)
	for _, mobile := range mobiles(10, true) {
		if _, err := w.Ask(t.Context(), a, by, person(mobile, "Asha Rao"), ""); codeOf(err) != authflow.Unavailable {
			t.Fatal(err)
		}
	}
	w.Phone.Fail(false)
	for i, mobile := range mobiles(5, true) {
		if _, err := w.Ask(t.Context(), a, by, person(mobile, "Asha Rao"), ""); (err == nil) != (i < 4) {
			t.Errorf("code %d: %v", i+1, err)
		}
	}
}

func TestRecordOnly(t *testing.T) {
	w := test.New(t, func(c *authflow.Config) {
		l := &c.Limits
		l.CodesPerMobile = authflow.Limit{Count: 1, Window: time.Hour, RecordOnly: true}
		l.CodesPerIP = authflow.Limit{Count: 2, Window: time.Hour, RecordOnly: true}
		l.CodesTotal = authflow.Limit{Count: 3, Window: time.Hour, RecordOnly: true}
	})
	a := w.Audience("mall.example", "mall", "Entry")
	for range 5 {
		ask(t, w, a, person(test.Asha, "Asha Rao"))
	}
	for name, want := range map[string]int{"codes_per_mobile": 4, "codes_per_ip": 3, "codes_total": 2} {
		if got := w.Counts.Of(name + " recorded"); got != want {
			t.Errorf("%s: recorded %d times, want %d", name, got, want)
		}
		if w.Counts.Of(name) != 0 {
			t.Errorf("%s: refused", name)
		}
	}
}

func TestCountriesAndTypesOfNumbers(t *testing.T) {
	const british, american = "+447911123456", "+12025550123"
	mobileOnly := func(l *authflow.Limits) { l.NumberTypes = []registry.NumberType{registry.TypeMobile} }
	for _, c := range []struct {
		name, mobile string
		change       func(*authflow.Limits)
		want         authflow.Code
		counted      string
	}{
		{"at home", test.Asha, func(*authflow.Limits) {}, "", ""},
		{"abroad", british, func(*authflow.Limits) {}, authflow.MobileInvalid, "countries"},
		{"abroad, allowed", british, func(l *authflow.Limits) { l.Countries = []int{91, 44} }, "", ""},
		{"abroad, recorded", british, func(l *authflow.Limits) { l.CountriesRecordOnly = true }, "", "countries recorded"},
		{"at home, recorded", test.Asha, func(l *authflow.Limits) { l.CountriesRecordOnly = true }, "", ""},
		{"mobile", test.Asha, mobileOnly, "", ""},
		{"no telling", american, func(l *authflow.Limits) { l.Countries = []int{1} }, "", ""},
		{"no telling, refused", american, func(l *authflow.Limits) { l.Countries = []int{1}; mobileOnly(l) }, authflow.MobileInvalid, "number_types"},
		{"no telling, recorded", american, func(l *authflow.Limits) { l.Countries = []int{1}; mobileOnly(l); l.NumberTypesRecordOnly = true }, "", "number_types recorded"},
		{"no number", "12", func(l *authflow.Limits) { l.CountriesRecordOnly = true }, authflow.MobileInvalid, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := test.New(t, func(conf *authflow.Config) { c.change(&conf.Limits) })
			a := w.Audience("mall.example", "mall", "Entry")
			_, problems := w.Fingerprint(a, by, person(c.mobile, "Asha Rao"))
			if len(problems) > 0 != (c.want != "") {
				t.Errorf("before asking: %v", problems)
			}
			if len(problems) == 0 {
				if _, err := w.Ask(t.Context(), a, by, person(c.mobile, "Asha Rao"), ""); codeOf(err) != c.want {
					t.Errorf("got %v, want %v", err, c.want)
				}
			}
			for _, name := range []string{"countries", "countries recorded", "number_types", "number_types recorded"} {
				want := 0
				if name == c.counted {
					want = 1
				}
				if got := w.Counts.Of(name); got != want {
					t.Errorf("%s was counted %d times, want %d", name, got, want)
				}
			}
		})
	}
}

// Somebody else uses up what there is for a number. Its owner gets in from a
// browser that has proven it before, and from no other; so does nobody else.
func TestOwnerUnderAttack(t *testing.T) {
	w := test.New(t)
	a := w.Audience("mall.example", "mall", "Entry")
	owner, stranger := from("192.0.2.1", 1), from("192.0.2.2", 2)

	prove := func(who *authflow.Asker, mobile, name string) {
		t.Helper()
		asked, err := w.Ask(t.Context(), a, *who, person(mobile, name), "")
		if err != nil {
			t.Fatal(err)
		}
		g, err := w.Confirm(t.Context(), a, who.Browser, asked.TxnID, authflow.Proof{Code: w.Phone.Last().Code})
		if err != nil {
			t.Fatal(err)
		}
		who.Phones = append(who.Phones, g.Phone)
	}
	prove(&owner, test.Asha, "Asha Rao")
	prove(&stranger, test.Ravi, "Ravi Kumar")

	// wrong codes, then codes that are not entered
	for {
		asked, err := w.Ask(t.Context(), a, stranger, person(test.Asha, "x"), "")
		if err != nil {
			break
		}
		for range 3 {
			_, err = w.Confirm(t.Context(), a, stranger.Browser, asked.TxnID, authflow.Proof{Code: other(w.Phone.Last().Code)})
			if codeOf(err) != authflow.OTPInvalid {
				t.Fatal(err)
			}
		}
	}
	for name, who := range map[string]authflow.Asker{
		"the stranger":                           stranger,
		"the owner, elsewhere":                   from("192.0.2.1", 3),
		"a stranger with the owner's mark":       {Browser: stranger.Browser, IP: stranger.IP, Phones: owner.Phones},
		"the stranger, with a mark of their own": {Browser: stranger.Browser, IP: stranger.IP, Phones: stranger.Phones},
	} {
		if _, err := w.Ask(t.Context(), a, who, person(test.Asha, "Asha Rao"), ""); codeOf(err) != authflow.TooManyRequests {
			t.Errorf("%s: got %v", name, err)
		}
	}
	prove(&owner, "098765 43210", "Asha Rao")

	// that is no way to unlimited messages
	sent := 0
	for range 20 {
		if _, err := w.Ask(t.Context(), a, owner, person(test.Asha, "Asha Rao"), ""); err == nil {
			sent++
		}
	}
	if sent != 1 {
		t.Errorf("the owner's browser can order %d messages without entering one, want 1", sent)
	}
}

// To be known is no new budget: what a browser ordered before it had proven the
// number counts.
func TestKnownBrowserKeepsItsCount(t *testing.T) {
	w := test.New(t)
	a := w.Audience("mall.example", "mall", "Entry")
	who := from("192.0.2.1", 1)
	var asked authflow.Asked
	for i := range 5 {
		var err error
		if asked, err = w.Ask(t.Context(), a, who, person(test.Asha, "Asha Rao"), ""); err != nil {
			t.Fatal(i, err)
		}
	}
	g, err := w.Confirm(t.Context(), a, who.Browser, asked.TxnID, authflow.Proof{Code: w.Phone.Last().Code})
	if err != nil {
		t.Fatal(err)
	}
	who.Phones = append(who.Phones, g.Phone)
	for i := range 2 {
		if _, err := w.Ask(t.Context(), a, who, person(test.Asha, "Asha Rao"), ""); (err == nil) != (i == 0) {
			t.Errorf("code %d after the right one: %v", i+1, err)
		}
	}
}
