package authflow_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/assertion"
	test "github.com/kycvs/caddy-kycvs/authflow/authflowtest"
	"github.com/kycvs/caddy-kycvs/authflow/gate"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/file"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
	"github.com/kycvs/caddy-kycvs/authflow/state/redis"
	"github.com/kycvs/caddy-kycvs/authflow/state/redis/redistest"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// clockOff is how far the clock of one instance is from the others'.
const clockOff = 30 * time.Second

// The lives of a code in these tests, which wait for their ends: Redis has a
// clock of its own that nobody can move.
const (
	shortLife = 2 * time.Second
	shortWait = time.Second
)

// clockWorld is an instance whose clock is off. Instances over one Redis share
// keys, and have a ledger each.
type clockWorld struct {
	*test.World
	off  time.Duration
	site *gate.Site
}

func (w *clockWorld) now() time.Time { return time.Now().Add(w.off) }

func (w *clockWorld) Gate(gate.Decision) {}
func (w *clockWorld) Cut(gate.Ending)    {}

func newClockWorld(t *testing.T, url string, off time.Duration, keys *test.Keys, lifetime time.Duration) *clockWorld {
	t.Helper()
	w := &clockWorld{off: off}
	quiet := slog.New(slog.DiscardHandler)
	store, err := redis.Open(redis.Config{URLs: []string{url}, Timeout: 5 * time.Second, Logger: quiet, Now: w.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	record, err := file.Open(file.Config{Path: filepath.Join(t.TempDir(), "ledger.jsonl"), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = record.Close() })
	x, err := withdrawals.Open(withdrawals.Config{Board: store, Grace: time.Minute, Logger: quiet}, func(s *withdrawals.Set) error {
		return s.Learn(t.Context(), record, w.now())
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	w.World = test.New(t, func(c *authflow.Config) {
		c.State, c.Withdrawals, c.Ledger, c.Now = store, x, record, w.now
		c.OTP.Lifetime, c.OTP.ResendAfter = lifetime, shortWait
		c.Limits.CodesPerMobile.Count = 1000
		c.Limits.CodesPerIP.Count = 1000
	})
	w.World.Withdrawals = x

	pages, err := portal.NewPages()
	if err != nil {
		t.Fatal(err)
	}
	minter := &authflow.Minter{Keys: keys, Observer: w.Counts}
	sv := &gate.Services{
		Minter: minter, Withdrawals: &x.Set, Remembered: gate.NewRemembered(100, 64), Streams: gate.NewStreams(10*time.Second, &x.Set),
		Pages: pages, Secret: w.Secret, Whole: w.Whole(), Observer: w, Issuer: "https://mall.example", Now: w.now,
		Portal: &portal.Handler{Flow: w.Flow, Minter: minter, Withdrawals: &x.Set, Whole: w.Whole(), Pages: pages, Keys: http.NotFoundHandler(), Logger: quiet, Now: w.now},
	}
	t.Cleanup(sv.Streams.Close)
	w.site = &gate.Site{Services: sv, Hosts: []string{"mall.example"}, Partners: []gate.PartnerAt{{
		Session: 12 * time.Hour, TTL: time.Minute,
		For: func(string) (authflow.Partner, bool) {
			return authflow.Partner{ID: "mall", Name: "mall", Purpose: "Entry"}, true
		},
	}}}
	return w
}

// lets tells whether this instance's gate lets a pass through, and with which
// assertion.
func (w *clockWorld) lets(token string, maxAge time.Duration) (compact string, ok bool) {
	r := httptest.NewRequest("GET", "http://mall.example/", nil)
	jar := pass.Jar{Tokens: []string{token}}
	r.Header.Set("Cookie", "kycvs="+jar.Cookie(w.Whole(), false, time.Hour).Value)
	url := *r.URL
	v := &gate.Visit{Original: &url, IP: netip.MustParseAddr("192.0.2.1")}
	g := &gate.Gate{Site: w.site, Level: 2, Session: 12 * time.Hour, TTL: time.Minute, MaxAge: maxAge}
	_, r, ok = g.Admit(httptest.NewRecorder(), r, v)
	if !ok {
		return "", false
	}
	g.Finish(v)
	return r.Header.Get(assertion.HeaderName), true
}

// TestClockOff holds that instances whose clocks are half a minute apart are as
// good as one: Redis has the one clock that counts for codes and waits, and a
// pass from another's future or past is a pass.
func TestClockOff(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t).URL()
	for _, c := range []struct {
		name     string
		ask, end time.Duration
	}{
		{"asked at the one that is ahead", clockOff, 0},
		{"asked at the one that is behind", -clockOff, 0},
		{"confirmed at the one that is ahead", 0, clockOff},
		{"confirmed at the one that is behind", 0, -clockOff},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			keys := test.NewKeys(t)
			t.Run("codes and waits", func(t *testing.T) {
				t.Parallel()
				clockCodes(t, newClockWorld(t, url, c.ask, keys, shortLife), newClockWorld(t, url, c.end, keys, shortLife))
			})
			t.Run("passes", func(t *testing.T) {
				t.Parallel()
				clockPasses(t, newClockWorld(t, url, c.ask, keys, time.Minute), newClockWorld(t, url, c.end, keys, time.Minute), keys)
			})
		})
	}
}

// clockCodes asks at one instance and waits for a code's end at the other.
func clockCodes(t *testing.T, one, two *clockWorld) {
	a, b := one.Audience("mall.example", "mall", "Entry"), two.Audience("mall.example", "mall", "Entry")
	began := time.Now()
	asked := ask(t, one.World, a, person(test.Asha, "Asha Rao"))
	code := one.Phone.Last().Code
	near := func(what string, got, want time.Duration) {
		t.Helper()
		if d := got - (want - time.Since(began)); d < -500*time.Millisecond || d > 500*time.Millisecond {
			t.Errorf("%s is %v, %v after asking, want about %v", what, got, time.Since(began).Round(time.Millisecond), want-time.Since(began))
		}
	}
	for _, w := range []*clockWorld{one, two} {
		seen, err := w.Look(t.Context(), a, by, asked.TxnID)
		if err != nil {
			t.Fatal(err)
		}
		near("what is left of the code", seen.ExpiresIn, shortLife)
		near("the wait for another", seen.ResendAfter, shortWait)
	}
	_, err := two.Resend(t.Context(), b, by, asked.TxnID)
	var e *authflow.Error
	if !errors.As(err, &e) || e.Code != authflow.TooManyRequests || e.RetryAfter > shortWait {
		t.Errorf("another code, too early: %v", err)
	}
	time.Sleep(time.Until(began.Add(shortWait + 50*time.Millisecond)))
	again := time.Now()
	if _, err := two.Resend(t.Context(), b, by, asked.TxnID); err != nil {
		t.Fatalf("another code, in time: %v", err)
	}
	sent := time.Now()
	if fresh := two.Phone.Last().Code; fresh != code {
		if _, err := one.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: code}); codeOf(err) != authflow.OTPInvalid {
			t.Errorf("the old code: %v", err)
		}
		code = fresh
	}
	// Before its end it is good at either, after it at neither, and one that was
	// found too old has taken no try.
	time.Sleep(time.Until(again.Add(shortLife / 2)))
	for _, w := range []*clockWorld{one, two} {
		if seen, err := w.Look(t.Context(), a, by, asked.TxnID); err != nil || seen.ExpiresIn <= 0 {
			t.Errorf("before its end: %v, %v", seen.ExpiresIn, err)
		}
	}
	time.Sleep(time.Until(sent.Add(shortLife + 50*time.Millisecond)))
	for _, w := range []*clockWorld{one, two, one, two} {
		if _, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: code}); codeOf(err) != authflow.OTPExpired {
			t.Errorf("after its end: %v, want otp_expired", err)
		}
	}
}

// clockPasses makes a pass at one instance and shows it to both.
func clockPasses(t *testing.T, one, two *clockWorld, keys *test.Keys) {
	a, b := one.Audience("mall.example", "mall", "Entry"), two.Audience("mall.example", "mall", "Entry")
	asked := ask(t, one.World, a, person(test.Asha, "Asha Rao"))
	g, err := two.Confirm(t.Context(), b, browser, asked.TxnID, authflow.Proof{Code: one.Phone.Last().Code})
	if err != nil {
		t.Fatalf("the code that is asked for at the other: %v", err)
	}
	for i, w := range []*clockWorld{two, one, two} {
		for _, maxAge := range []time.Duration{0, 15 * time.Minute, clockOff + 5*time.Second} {
			compact, ok := w.lets(g.Token, maxAge)
			if !ok {
				t.Errorf("look %d, max_age %v: the pass does not count", i, maxAge)
				continue
			}
			for _, off := range []time.Duration{one.off, two.off} {
				if err := verifyAt(compact, keys, off, maxAge); err != nil {
					t.Errorf("look %d: an assertion of an instance that is off by %v, at one that is off by %v: %v", i, w.off, off, err)
				}
			}
		}
	}
	// Withdrawn at one it is refused at the other, whichever is ahead.
	if err := one.Withdraw(t.Context(), a, g.Pass); err != nil {
		t.Fatal(err)
	}
	if _, ok := one.lets(g.Token, 0); ok {
		t.Error("withdrawn, and let in where it was")
	}
	redistest.Eventually(t, 3*time.Second, func() error {
		if _, ok := two.lets(g.Token, 0); ok {
			return errors.New("withdrawn, and let in at the other")
		}
		return nil
	})
}

// verifyAt checks an assertion as a partner does whose clock is off, and who
// allows for it.
func verifyAt(compact string, keys *test.Keys, off, maxAge time.Duration) error {
	static, err := assertion.StaticKeys(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{keys.Public}})
	if err != nil {
		return err
	}
	v, err := assertion.NewVerifier(assertion.VerifierConfig{
		Keys: static, Issuer: "https://mall.example", Audience: "mall", Skew: assertion.MaxSkew,
		Now: func() time.Time { return time.Now().Add(off) },
	})
	if err != nil {
		return err
	}
	if _, err := v.Verify(compact); err != nil {
		return err
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set(assertion.HeaderName, compact)
	rec := httptest.NewRecorder()
	v.Middleware(assertion.Required{Status: 2, MaxAge: maxAge}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(rec, r)
	if rec.Code != http.StatusOK {
		return fmt.Errorf("with max_age %v: %d %s", maxAge, rec.Code, rec.Body)
	}
	return nil
}
