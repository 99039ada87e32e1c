package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state/redis/redistest"
)

// Several instances are as good as one: a handshake begins at one and ends at
// another, and what is counted is counted once.
func TestInstances(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		instances int
		redis     func(t testing.TB) []string
	}{
		{"two over one server", 2, func(t testing.TB) []string { return []string{redistest.Start(t).URL()} }},
		{"three over one server", 3, func(t testing.TB) []string { return []string{redistest.Start(t).URL()} }},
		{"two over a cluster", 2, func(t testing.TB) []string { return redistest.StartCluster(t, 3).URLs() }},
		{"three over a cluster", 3, func(t testing.TB) []string { return redistest.StartCluster(t, 3).URLs() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			urls := c.redis(t)
			asOne(t, startFleet(t, c.instances, "state redis "+strings.Join(urls, " ")+` {
	timeout 5s
}
otp {
	resend_after 5s
}
limits {
	codes_per_mobile 4 24h
	wrong_per_mobile 6 24h
	codes_per_ip 100000 1h
	codes_total `+strconv.Itoa(codesTotal)+` 1h
}`, nil))
		})
	}
}

// codesTotal is more than asOne needs before it looks at it.
const codesTotal = 120

func asOne(t *testing.T, f *fleet) {
	last := f.last()
	keys := f.visitor(t).at(0).keys()
	resender := f.visitor(t)
	resent, old := resender.at(0).ask(somebody(0))
	askedAt := time.Now()

	t.Run("asked at one, confirmed at another", func(t *testing.T) {
		v := f.visitor(t)
		if m := v.signIn(asha, 0, last); m.num(t, "vaccination_status") != 2 {
			t.Errorf("got %v", m)
		} else {
			check(t, keys, m.str("assertion"), "work.example")
		}
		subjects := map[string]bool{}
		for i := range f.all {
			f.up.take()
			if !v.getsIn(i) {
				t.Errorf("the pass does not count at instance %d", i)
				continue
			}
			token := f.all[i].attached(t)
			for j := range f.all { // each publishes the key that any of them signs with
				subjects[check(t, f.visitor(t).at(j).keys(), token, "work.example").Sub] = true
			}
			if a := v.at(i).fetch("/.kycvs/pass"); a.StatusCode != 200 {
				t.Errorf("its own page at instance %d: %v", i, a)
			}
		}
		if len(subjects) != 1 {
			t.Errorf("the person has %d names", len(subjects))
		}
	})
	t.Run("forms", func(t *testing.T) {
		v := f.visitor(t)
		page := v.at(0).navigate(v.at(last).navigate("/ward/room?bed=4").Header.Get("Location"))
		form := page.formWith(t, "mobile_number")
		typed := []string{"mobile_number", vikram.mobile, "full_name", vikram.name, "consent", "Y"}
		a := v.at(1).submit(form, typed...)
		if a.StatusCode != 200 {
			t.Fatalf("asking: %v", a)
		}
		m := f.sms.next(t, vikram.mobile)
		sent := f.sms.count()
		a = v.at(last).submit(form, typed...) // the page is loaded again, and gets elsewhere
		if a.StatusCode != 200 || f.sms.count() != sent {
			t.Errorf("a refresh at another instance: %d messages more, %v", f.sms.count()-sent, a)
		}
		code := a.formWith(t, "otp")
		bad := v.at(0).submit(code, "otp", wrong(m.Code))
		if bad.StatusCode != 401 {
			t.Errorf("a wrong code: %v", bad)
		}
		back := v.at(last).submit(bad.formWith(t, "otp"), "otp", m.Code)
		if back.StatusCode != http.StatusSeeOther || back.Header.Get("Location") != "/ward/room?bed=4" {
			t.Fatalf("the right code: %v", back)
		}
		if twice := v.at(0).submit(code, "otp", m.Code); twice.StatusCode != http.StatusSeeOther {
			t.Errorf("loading that answer again, at another instance: %v", twice)
		}
		v.at(0).fetch("/ward/x").refuses(t, 403, "status_too_low") // Vikram is partly vaccinated
	})
	t.Run("a code is bound to its browser", func(t *testing.T) {
		v, stranger := f.visitor(t), f.visitor(t)
		txn, code := v.at(0).ask(somebody(1))
		stranger.at(last).verify(txn, code).refuses(t, 401, "txn_unknown")
		if a := v.at(last).verify(txn, code); a.StatusCode != 200 {
			t.Errorf("its own: %v", a)
		}
	})
	t.Run("a thousand guesses are three", func(t *testing.T) { thousandGuesses(t, f, somebody(2)) })
	t.Run("codes per mobile", func(t *testing.T) {
		sent := f.sms.count()
		outcomes := f.volley(20, func(i int) (*answer, error) {
			return f.visitor(t).at(i).try("POST", "/.kycvs/otp", "application/json", js(somebody(3).typed()), "Accept", "application/json")
		})
		if outcomes["200"] != 4 || outcomes["429 too_many_requests"] != 16 || f.sms.count() != sent+4 {
			t.Errorf("of 20 at once, with 4 allowed: %v, %d messages", outcomes, f.sms.count()-sent)
		}
		for i := range f.all {
			a := f.visitor(t).at(i).wants(somebody(3))
			a.refuses(t, 429, "too_many_requests")
			if wait, _ := strconv.Atoi(a.Header.Get("Retry-After")); wait < 86000 || wait > 86400 {
				t.Errorf("Retry-After %q at instance %d, want a day", a.Header.Get("Retry-After"), i)
			}
		}
	})
	t.Run("the right code fifty times is one success", func(t *testing.T) {
		for round := range 3 {
			v := f.visitor(t)
			txn, code := v.at(round).ask(somebody(4))
			// Each with the cookies of before, so that none is an answer to another.
			twins := make([]*visitor, 50)
			for i := range twins {
				twins[i] = v.twin()
			}
			outcomes := f.volley(50, func(i int) (*answer, error) {
				return twins[i].at(i).try("POST", "/.kycvs/verify", "application/json", js(fields{"txnId": txn, "otp": code}), "Accept", "application/json")
			})
			if outcomes["200"] != 1 {
				t.Errorf("%d successes, want 1: %v", outcomes["200"], outcomes)
			}
			for outcome := range outcomes {
				if !slices.Contains([]string{"200", "401 txn_unknown", "401 otp_attempts"}, outcome) {
					t.Errorf("an outcome is %q", outcome)
				}
			}
			if n := f.given(t, txn); n != 1 {
				t.Errorf("the ledgers have %d consents of it, want 1", n)
			}
		}
	})
	t.Run("withdrawn at one, refused at all", func(t *testing.T) {
		for i := range f.all {
			v := f.visitor(t)
			v.signIn(somebody(5+i), 0, last)
			old := v.twin()
			for j := range f.all { // each has an assertion at hand
				if !old.getsIn(j) {
					t.Fatalf("the pass does not count at instance %d", j)
				}
			}
			if a := v.at(i).json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
				t.Fatalf("withdrawing at instance %d: %v", i, a)
			}
			if old.getsIn(i) {
				t.Errorf("instance %d lets a pass in that was withdrawn there", i)
			}
			took := within(t, time.Second, "all refuse what was withdrawn at one", func() bool {
				for j := range f.all {
					if old.getsIn(j) {
						return false
					}
				}
				return true
			})
			t.Logf("withdrawn at %d, refused at all after %v", i, took.Round(time.Millisecond))
			old.at(last).fetch("/.kycvs/pass").refuses(t, 401, "")
		}
	})
	t.Run("another code from another instance", func(t *testing.T) {
		time.Sleep(time.Until(askedAt.Add(5 * time.Second)))
		outcomes := f.volley(10, func(i int) (*answer, error) { // ten presses of the button
			return resender.twin().at(i).try("POST", "/.kycvs/otp", "application/json", js(fields{"txnId": resent}), "Accept", "application/json")
		})
		if outcomes["200"] != 1 || outcomes["429 too_many_requests"] != 9 {
			t.Errorf("ten presses at once: %v, want one message", outcomes)
		}
		code := f.sms.next(t, number(0)).Code
		if code != old {
			resender.at(1).verify(resent, old).refuses(t, 401, "otp_invalid")
		}
		if a := resender.at(last).verify(resent, code); a.StatusCode != 200 {
			t.Errorf("the new code: %v", a)
		}
	})
	t.Run("a reload, a restart and a crash", func(t *testing.T) { underWay(t, f) })
	t.Run("codes in total", func(t *testing.T) {
		outcomes := f.volley(codesTotal+50, func(i int) (*answer, error) {
			return f.visitor(t).at(i).try("POST", "/.kycvs/otp", "application/json", js(somebody(1000+i*10).typed()), "Accept", "application/json")
		})
		if f.sms.count() != codesTotal || outcomes["200"]+outcomes["429 too_many_requests"] != codesTotal+50 {
			t.Errorf("%d messages were sent, of %d allowed: %v", f.sms.count(), codesTotal, outcomes)
		}
	})
}

// given is how many consents the ledgers have of a handshake.
func (f *fleet) given(t testing.TB, txn string) (n int) {
	t.Helper()
	for _, in := range f.all {
		book, err := os.ReadFile(filepath.Join(in.home.dir, "consents"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(book) {
			if bytes.Contains(line, []byte(txn)) && bytes.Contains(line, []byte(`"given"`)) {
				n++
			}
		}
	}
	return n
}

// thousandGuesses guesses at all instances at once. Six wrong codes are allowed
// for a number.
func thousandGuesses(t *testing.T, f *fleet, p person) {
	v := f.visitor(t)
	txn, code := v.at(0).ask(p)
	var guesses []string
	for i := 0; len(guesses) < 1000; i++ {
		if guess := fmt.Sprintf("%06d", i); guess != code {
			guesses = append(guesses, guess)
		}
	}
	began := time.Now()
	outcomes := f.volley(len(guesses), func(i int) (*answer, error) {
		return v.at(i).try("POST", "/.kycvs/verify", "application/json", js(fields{"txnId": txn, "otp": guesses[i]}), "Accept", "application/json")
	})
	t.Logf("1000 guesses in %v", time.Since(began).Round(time.Millisecond))
	want := map[string]int{"401 otp_invalid, left 2": 1, "401 otp_invalid, left 1": 1, "401 otp_invalid, left 0": 1, "401 otp_attempts": 997}
	if fmt.Sprint(outcomes) != fmt.Sprint(want) {
		t.Errorf("the guesses ended with\n%v, want\n%v", outcomes, want)
	}
	for i := range f.all {
		v.at(i).verify(txn, code).refuses(t, 401, "otp_attempts")
		v.at(i).json("/.kycvs/otp", fields{"txnId": txn}).refuses(t, 401, "otp_attempts")
	}

	// Of the six for the number there are three left, in whichever handshake.
	other := f.visitor(t)
	txn, code = other.at(1).ask(p)
	for i := range 3 {
		other.at(i).verify(txn, wrong(code)).refuses(t, 401, "otp_invalid")
	}
	third := f.visitor(t)
	txn, code = third.at(f.last()).ask(p)
	for i := range f.all {
		third.at(i).verify(txn, code).refuses(t, 429, "too_many_requests")
	}
}

// underWay holds that a handshake outlives what becomes of the instance it was
// begun at.
func underWay(t *testing.T, f *fleet) {
	in := f.all[0]
	v := f.visitor(t)
	txn, code := v.at(0).ask(somebody(10))
	changed := in.setup
	changed.sites += "\nhttp://more.example {\n kycvs 1\n reverse_proxy %UP%\n}\n"
	in.reload(changed)
	// Caddy's old listener closes what it has not accepted yet: the first new
	// connections may need a second try, see TestReloadUnderLoad.
	for settled := 0; settled < 5; settled++ {
		if _, err := v.at(0).try("GET", "/.kycvs/", "", ""); err != nil {
			settled = -1
		}
		time.Sleep(10 * time.Millisecond)
	}
	if m := v.at(0).verify(txn, wrong(code)).refuses(t, 401, "otp_invalid"); m.num(t, "attempts_left") != 2 {
		t.Errorf("after a reload: %v", m)
	}
	in.stop()
	in.run()
	if m := v.at(0).verify(txn, wrong(code)).refuses(t, 401, "otp_invalid"); m.num(t, "attempts_left") != 1 {
		t.Errorf("after a restart: %v", m)
	}
	in.kill()
	in.run()
	if a := v.at(0).verify(txn, code); a.StatusCode != 200 {
		t.Errorf("after kill -9: %v", a)
	}

	gone := f.visitor(t)
	txn, code = gone.at(0).ask(somebody(11))
	in.kill()
	if a := gone.at(f.last()).verify(txn, code); a.StatusCode != 200 {
		t.Errorf("at another, the first being dead: %v", a)
	}
	in.run()
	for i := range f.all {
		if !v.getsIn(i) || !gone.getsIn(i) {
			t.Errorf("a pass does not count at instance %d", i)
		}
	}
}
