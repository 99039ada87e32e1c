package remote_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/remote"
)

func id(n byte) authflow.ID128 { return authflow.ID128{n, 0xff} }

func TestFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		for n := range byte(7) { // more than a page
			f.withdraw(authflow.FormatID(id(n)))
			time.Sleep(time.Millisecond)
		}
		p := newPlace(t, f)
		synctest.Wait()
		for n := range byte(7) {
			if !p.World.Withdrawals.Has(id(n)) {
				t.Errorf("%d is not known at the start", n)
			}
		}
		time.Sleep(time.Second)
		f.withdraw(authflow.FormatID(id(9)))
		f.withdraw("not an id of ours")
		time.Sleep(remote.DefaultFollowEvery)
		synctest.Wait()
		if !p.World.Withdrawals.Has(id(9)) {
			t.Error("a new one is not known after 20 s")
		}
		before := f.count(withdrawnPath)
		time.Sleep(time.Hour)
		if n := f.count(withdrawnPath) - before; n > 200 {
			t.Errorf("asked %d times in an hour", n)
		}
		f.mu.Lock()
		last, err := time.Parse(time.RFC3339, f.since[len(f.since)-1])
		f.mu.Unlock()
		if err != nil || time.Since(last) > 2*time.Hour {
			t.Errorf("since has drifted to %v (%v)", last, err)
		}
		if len(p.Ledger.Entries(t)) != 0 {
			t.Error("something was written to the ledger")
		}
	})
}

// TestFollowsFromLongAgo holds that the first look goes back as far as a pass can
// last, and that what is older is no longer remembered.
func TestFollowsFromLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.withdraw(authflow.FormatID(id(1)))
		time.Sleep(11 * time.Hour)
		f.withdraw(authflow.FormatID(id(2)))
		time.Sleep(90 * time.Minute)
		p := newPlace(t, f)
		synctest.Wait()
		if p.World.Withdrawals.Has(id(1)) || !p.World.Withdrawals.Has(id(2)) {
			t.Error("it begins at another time than the longest session ago")
		}
	})
}

// TestFollowsThroughAnOutage holds that what was withdrawn while the authority was
// away is known once it is back, that passes count meanwhile, and that the log says
// each once.
func TestFollowsThroughAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		p := newPlace(t, f)
		synctest.Wait()
		f.set(true, false)
		time.Sleep(10 * time.Minute)
		f.withdraw(authflow.FormatID(id(1)))
		time.Sleep(20 * time.Minute)
		if p.World.Withdrawals.Has(id(1)) || !p.World.Withdrawals.Current(time.Now()) {
			t.Error("known, or passes no longer count")
		}
		f.set(false, false)
		time.Sleep(remote.DefaultFollowEvery)
		synctest.Wait()
		if !p.World.Withdrawals.Has(id(1)) {
			t.Error("not known after the outage")
		}
		log := p.logged()
		if strings.Count(log, "not known here until it answers") != 1 || strings.Count(log, "are known here again") != 1 {
			t.Errorf("the log: %s", log)
		}
	})
}

func TestFollowsNoNonsense(t *testing.T) {
	good := authflow.FormatID(id(1))
	for _, c := range []struct {
		name, text string
		learned    bool
	}{
		{"as it should be", `{"withdrawn":[{"consent":"` + good + `","at":"2000-01-01T00:00:00Z"}],"next":"x"}`, true},
		{"members nobody knows", `{"withdrawn":[{"consent":"` + good + `","at":"2000-01-01T00:00:00+00:00","why":1}],"next":"x","more":{}}`, true},
		{"no next", `{"withdrawn":[{"consent":"` + good + `","at":"2000-01-01T00:00:00Z"}]}`, true},
		{"beside one of another kind", `{"withdrawn":[{"consent":"c","at":"2000-01-01T00:00:00Z"},{"consent":"` + good + `","at":"2000-01-01T00:00:00Z"}],"next":"x"}`, true},
		{"nothing", ``, false},
		{"no list", `{"next":"x"}`, false},
		{"a list of words", `{"withdrawn":["` + good + `"],"next":"x"}`, false},
		{"no time", `{"withdrawn":[{"consent":"` + good + `"}],"next":"x"}`, false},
		{"a time that is none", `{"withdrawn":[{"consent":"` + good + `","at":"today"}],"next":"x"}`, false},
		{"doubled", `{"withdrawn":[],"withdrawn":[{"consent":"` + good + `","at":"2000-01-01T00:00:00Z"}]}`, false},
		{"a mark too long", `{"withdrawn":[],"next":"` + strings.Repeat("x", 300) + `"}`, false},
		{"huge", `{"withdrawn":[],"x":"` + strings.Repeat("x", 5<<20) + `"}`, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			f.breakAt(withdrawnPath, body(200, c.text))
			p := newPlace(t, f)
			synctest.Wait()
			if got := p.World.Withdrawals.Has(id(1)); got != c.learned {
				t.Errorf("%s: learned is %v", c.name, got)
			}
			if failed := strings.Contains(p.logged(), "not known here until it answers"); failed == c.learned {
				t.Errorf("%s: failed is %v", c.name, failed)
			}
		})
	}
}

// TestReports holds that a withdrawal made here is recorded and counts here, and
// reaches the authority, however long that takes.
func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		p := newPlace(t, f)
		g, err := p.confirm(t, p.ask(t, asha()), authflow.Proof{Code: f.Phone.Last().Code})
		if err != nil {
			t.Fatal(err)
		}
		f.set(true, false)
		if err := p.Withdraw(t.Context(), p.at, g.Pass); err != nil {
			t.Fatal(err)
		}
		entries := p.Ledger.Entries(t)
		if e := entries[len(entries)-1]; e.Event != ledger.Withdrawn || e.Consent != authflow.FormatID(g.Pass.Consent) {
			t.Errorf("the ledger has %+v", e)
		}
		if !p.World.Withdrawals.Has(g.Pass.Consent) {
			t.Error("it does not count here")
		}
		time.Sleep(3 * time.Hour)
		if p.client.Unreported() != 1 {
			t.Error("it is no longer to be reported")
		}
		f.set(false, false)
		time.Sleep(time.Minute)
		synctest.Wait()
		f.mu.Lock()
		got := strings.Join(f.withdrawn, " ")
		f.mu.Unlock()
		if got != authflow.FormatID(g.Pass.Consent) || p.client.Unreported() != 0 {
			t.Errorf("reported %q, %d are left", got, p.client.Unreported())
		}
	})
}

// TestReportsAfterARestart holds that what was withdrawn here and could not be
// reported is learned from the ledger.
func TestReportsAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openLedger(t)
		now := time.Now()
		for _, e := range []ledger.Entry{
			{Event: ledger.Withdrawn, Consent: authflow.FormatID(id(1)), Partner: partner, At: now, Until: now.Add(time.Hour)},
			{Event: ledger.Withdrawn, Consent: authflow.FormatID(id(2)), Partner: partner, At: now.Add(-3 * time.Hour), Until: now.Add(-time.Hour)},
			{Event: ledger.Withdrawn, Consent: authflow.FormatID(id(3)), Partner: "ward", At: now, Until: now.Add(time.Hour)},
			{Event: ledger.Given, Consent: authflow.FormatID(id(4)), Partner: partner, At: now, Until: now.Add(time.Hour)},
		} {
			if err := l.Append(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		f := newFake(t)
		for path, h := range map[string]http.HandlerFunc{withdrawPath: body(500, "")} {
			f.breakAt(path, h)
		}
		client, err := remote.Open(remote.Config{URL: origin, Partner: partner, Key: key, Longest: time.Hour, Withdrawals: alone(t), Ledger: l, Transport: f})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		time.Sleep(time.Minute)
		f.breakAt(withdrawPath, nil)
		time.Sleep(2 * time.Minute)
		f.mu.Lock()
		defer f.mu.Unlock()
		if got := strings.Join(f.withdrawn, " "); got != authflow.FormatID(id(1)) {
			t.Errorf("reported %q", got)
		}
	})
}

// TestReportsToOneThatForgot holds that an authority that does not know a consent
// is not asked for ever, and one that refuses the key is.
func TestReportsToOneThatForgot(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		left   int
	}{{"unknown", 401, 0}, {"forbidden", 403, 1}, {"too many", 429, 1}} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			p := newPlace(t, f)
			f.breakAt(withdrawPath, body(c.status, ""))
			p.client.Withdrawn(id(1))
			time.Sleep(5 * time.Minute)
			if got := p.client.Unreported(); got != c.left {
				t.Errorf("%s: %d are left", c.name, got)
			}
			if n := f.count(withdrawPath); c.left == 0 && n != 1 || n > 20 {
				t.Errorf("%s: told %d times", c.name, n)
			}
		})
	}
}
