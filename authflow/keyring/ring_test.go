package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func TestFirstKey(t *testing.T) {
	for _, algorithm := range []jose.SignatureAlgorithm{"", jose.ES256, jose.EdDSA, jose.RS256} {
		t.Run(string(algorithm), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newMemory()
				r := Open(Config{Storage: store, Algorithm: algorithm})
				defer r.Close()
				if _, err := r.Signer(); !errors.Is(err, ErrNotReady) {
					t.Errorf("Signer before Start: %v", err)
				}
				if _, _, _, err := r.PublicSet(); !errors.Is(err, ErrNotReady) {
					t.Errorf("PublicSet before Start: %v", err)
				}
				if len(store.values) != 0 || store.locks != 0 {
					t.Error("Open touched the storage")
				}
				for range 2 { // the second does nothing
					if err := r.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				s, err := r.Signer()
				if err != nil {
					t.Fatal(err)
				}
				want := algorithm
				if want == "" {
					want = jose.ES256
				}
				if s.Algorithm() != want {
					t.Errorf("made %s", s.Algorithm())
				}
				kids, maxAge := public(t, r)
				if !slices.Equal(kids, []string{s.KeyID()}) || maxAge != 15*time.Minute {
					t.Errorf("public: %v for %v", kids, maxAge)
				}
				if store.stores != 1 || store.locks != 1 || len(store.locked) != 0 {
					t.Errorf("%d stores, %d locks, %d still locked", store.stores, store.locks, len(store.locked))
				}
			})
		})
	}
}

func TestStoredForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		start(t, Config{Storage: store, RotateEvery: 30 * 24 * time.Hour, Retain: 2 * time.Minute})
		text := store.text()
		for _, want := range []string{
			`"version": 1`, `"algorithm": "ES256"`, `"rotate_every": "720h0m0s"`, `"publish": "1h0m0s"`, `"retain": "2m0s"`,
			`"created": "2000-01-01T00:00:00Z"`, `"signs_from": "2000-01-01T00:00:00Z"`, `"d": "`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s is missing", want)
			}
		}
	})
}

func TestSecondInstanceAndRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		a := start(t, Config{Storage: store})
		// Nothing is to be written, so not even the lock is needed: an instance
		// that died with it keeps nobody from starting.
		store.locked[lockName] = true
		b := start(t, Config{Storage: store})
		if kid(t, a) != kid(t, b) {
			t.Error("two instances, two keys")
		}
		bodyA, tagA, _, _ := a.PublicSet()
		bodyB, tagB, _, _ := b.PublicSet()
		if string(bodyA) != string(bodyB) || tagA != tagB {
			t.Error("two instances, two sets")
		}
		if store.stores != 1 {
			t.Errorf("%d stores", store.stores)
		}
	})
}

func TestManyStartAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		store.slow = 20 * time.Millisecond
		rings := make([]*Ring, 8)
		var wg sync.WaitGroup
		for i := range rings {
			rings[i] = Open(Config{Storage: store})
			defer rings[i].Close()
			for range 2 {
				wg.Go(func() {
					if err := rings[i].Start(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		for _, r := range rings {
			if kid(t, r) != kid(t, rings[0]) {
				t.Error("two keys")
			}
		}
		if store.stores != 1 {
			t.Errorf("%d stores", store.stores)
		}
	})
}

// verifier is a partner's program that keeps the set as long as it is told to,
// and does not even ask again when it meets a kid that it does not know.
type verifier struct {
	kids  []string
	until time.Time
}

func (v *verifier) knows(t testing.TB, from *Ring, id string) bool {
	if !time.Now().Before(v.until) {
		var maxAge time.Duration
		v.kids, maxAge = public(t, from)
		v.until = time.Now().Add(maxAge)
	}
	return slices.Contains(v.kids, id)
}

// Through rotations, nothing that any instance signs is unknown to a verifier,
// whichever instance it got the set from and however long it kept it, from the
// moment of signing to the last one at which it is valid.
func TestRotation(t *testing.T) {
	for _, c := range []struct {
		name      string
		every     time.Duration
		publish   time.Duration
		ttl       time.Duration
		slow      time.Duration // of the storage
		knock     time.Duration // of its lock
		skew      time.Duration // of the second instance's clock
		step, run time.Duration
	}{
		{name: "one second", every: time.Second, ttl: time.Second, step: 10 * time.Millisecond, run: 20 * time.Second},
		{name: "one second, slow storage", every: time.Second, ttl: time.Second, slow: 20 * time.Millisecond, knock: time.Second, step: 10 * time.Millisecond, run: 20 * time.Second},
		{name: "one second, a clock behind", every: time.Second, ttl: time.Second, skew: -100 * time.Millisecond, knock: time.Second, step: 10 * time.Millisecond, run: 20 * time.Second},
		{name: "one second, a clock ahead", every: time.Second, ttl: time.Second, skew: 100 * time.Millisecond, step: 10 * time.Millisecond, run: 20 * time.Second},
		{name: "one second, half a minute behind", every: time.Second, ttl: 2 * time.Second, slow: 20 * time.Millisecond, skew: -30 * time.Second, step: 150 * time.Millisecond, run: 70 * time.Second},
		{name: "one second, half a minute ahead", every: time.Second, ttl: 2 * time.Second, slow: 20 * time.Millisecond, skew: 30 * time.Second, step: 150 * time.Millisecond, run: 70 * time.Second},
		{name: "a minute, half a minute ahead", every: time.Minute, ttl: time.Minute, slow: time.Second, skew: 30 * time.Second, step: time.Second, run: 20 * time.Minute},
		{name: "a minute", every: time.Minute, ttl: time.Minute, slow: time.Second, knock: time.Second, skew: 5 * time.Second, step: time.Second, run: 20 * time.Minute},
		{name: "an hour, long assertions", every: time.Hour, ttl: 3 * time.Hour, slow: time.Second, skew: -30 * time.Second, step: time.Minute, run: 10 * time.Hour},
		{name: "a day", every: 24 * time.Hour, ttl: time.Minute, slow: time.Second, skew: 30 * time.Second, step: 29 * time.Minute, run: 30 * time.Hour},
		{name: "little notice", every: time.Hour, publish: 4 * time.Second, ttl: time.Minute, slow: 100 * time.Millisecond, step: 2 * time.Second, run: 130 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newMemory()
				store.slow, store.knock = c.slow, max(c.knock, time.Millisecond)
				cfg := Config{Storage: store, Algorithm: jose.EdDSA, RotateEvery: c.every, Publish: c.publish, Retain: c.ttl}
				skewed := cfg
				skewed.Now = func() time.Time { return time.Now().Add(c.skew) }
				rings := []*Ring{start(t, cfg), start(t, skewed)}

				warm := make([]verifier, 8)
				seen := map[string]bool{}
				var valid []struct { // signed and not yet expired
					kid   string
					until time.Time
				}
				began, requests := time.Now(), 0
				for time.Since(began) < c.run {
					for _, r := range rings {
						id := kid(t, r)
						seen[id] = true
						valid = append(valid, struct {
							kid   string
							until time.Time
						}{id, time.Now().Add(c.ttl)})
					}
					for len(valid) > 0 && valid[0].until.Before(time.Now()) {
						valid = valid[1:]
					}
					// The oldest that is valid and the newest; between them nothing else.
					for _, a := range []string{valid[0].kid, valid[len(valid)-1].kid, valid[len(valid)-2].kid} {
						for i := range warm {
							requests++
							if !warm[i].knows(t, rings[i%2], a) {
								t.Fatalf("after %v: a warm verifier does not know a key", time.Since(began))
							}
						}
						for i, r := range rings {
							requests++
							if cold := (&verifier{}); !cold.knows(t, r, a) {
								t.Fatalf("after %v: a cold verifier does not know a key by instance %d", time.Since(began), i)
							}
						}
					}
					time.Sleep(c.step)
					synctest.Wait()
				}
				if want := int(c.run/c.every) - 2; len(seen) < want {
					t.Errorf("%d keys signed, want %d", len(seen), want)
				}
				if n := len(store.keys(t)); n > int((c.ttl+2*MaxSkew)/c.every)+10 {
					t.Errorf("%d keys are kept", n)
				}
				t.Logf("%d requests, %d keys", requests, len(seen))
			})
		})
	}
}

func TestInstancesSwitchTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		cfg := Config{Storage: store, Algorithm: jose.EdDSA, RotateEvery: 10 * time.Hour}
		a, b := start(t, cfg), start(t, cfg)
		first := kid(t, a)

		time.Sleep(9*time.Hour + time.Minute + time.Second) // made after 9 h, read a minute later
		kids, _ := public(t, b)
		if len(kids) != 2 || kid(t, a) != first || kid(t, b) != first {
			t.Fatalf("an hour before: %v", kids)
		}
		time.Sleep(59*time.Minute - time.Second - time.Nanosecond)
		if synctest.Wait(); kid(t, a) != first || kid(t, b) != first {
			t.Error("switched too early")
		}
		time.Sleep(time.Nanosecond)
		if synctest.Wait(); kid(t, a) != kids[1] || kid(t, b) != kids[1] {
			t.Error("did not switch")
		}
		time.Sleep(90*time.Minute + 2*MaxSkew + 2*MaxPoll) // retained for 1 h, half of publish and the skew; then a poll
		if kids, _ = public(t, b); len(kids) != 1 || kids[0] != kid(t, a) {
			t.Errorf("the old one is still there: %v", kids)
		}
	})
}

func TestNeverRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		r := start(t, Config{Storage: store, Algorithm: jose.EdDSA})
		first := kid(t, r)
		time.Sleep(24 * time.Hour)
		if kid(t, r) != first || store.stores != 1 {
			t.Errorf("%d stores", store.stores)
		}
	})
}

// A set kept under the plan that was counts as long as it said it would.
func TestReconfigure(t *testing.T) {
	for _, c := range []struct {
		name      string
		algorithm jose.SignatureAlgorithm
		every     time.Duration
		retain    time.Duration
		after     time.Duration // how long it ran before
	}{
		{"algorithm", jose.ES256, 10 * time.Hour, time.Hour, time.Minute},
		{"algorithm, never rotates", jose.ES256, 0, time.Hour, time.Minute},
		{"much faster", jose.EdDSA, 5 * time.Minute, time.Hour, time.Minute},
		{"all at once", jose.ES256, time.Minute, time.Second, time.Minute},
		{"longer", jose.EdDSA, 1000 * time.Hour, 10 * time.Hour, time.Minute},
		{"shorter, just before a switch", jose.EdDSA, 10 * time.Hour, time.Second, 10*time.Hour - time.Minute},
		{"all at once, just before a switch", jose.ES256, time.Minute, time.Second, 10*time.Hour - time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newMemory()
				cfg := Config{Storage: store, Algorithm: jose.EdDSA, RotateEvery: 10 * time.Hour, Retain: time.Hour}
				a, b := start(t, cfg), start(t, cfg)
				time.Sleep(c.after)
				first := kid(t, a)
				var warm verifier
				warm.knows(t, a, first)
				const ttl = time.Hour // of what was signed until now
				for _, r := range []*Ring{a, b} {
					if err := r.Reconfigure(c.algorithm, c.every, c.retain); err != nil {
						t.Fatal(err)
					}
				}
				for began := time.Now(); time.Since(began) < 150*time.Minute; time.Sleep(3 * time.Second) {
					synctest.Wait()
					for _, r := range []*Ring{a, b} {
						id := kid(t, r)
						if !warm.knows(t, b, id) {
							t.Fatalf("after %v: a warm verifier does not know the key", time.Since(began))
						}
						for _, from := range []*Ring{a, b} {
							if cold := (&verifier{}); !cold.knows(t, from, id) || time.Since(began) < ttl && !cold.knows(t, from, first) {
								t.Fatalf("after %v: a cold verifier does not know a key", time.Since(began))
							}
						}
					}
				}
				s, _ := a.Signer()
				if s.Algorithm() != c.algorithm {
					t.Errorf("signs with %s", s.Algorithm())
				}
				if c.every != 10*time.Hour && time.Duration(store.plan(t).RotateEvery) != c.every {
					t.Errorf("rotates every %v", time.Duration(store.plan(t).RotateEvery))
				}
			})
		})
	}
}

func TestReconfigureRefuses(t *testing.T) {
	r := Open(Config{Storage: newMemory()})
	defer r.Close()
	for name, f := range map[string]func() error{
		"none":        func() error { return r.Reconfigure("none", 0, 0) },
		"HS256":       func() error { return r.Reconfigure(jose.HS256, 0, 0) },
		"too fast":    func() error { return r.Reconfigure(jose.ES256, time.Second-1, 0) },
		"negative":    func() error { return r.Reconfigure(jose.ES256, -time.Hour, 0) },
		"retain":      func() error { return r.Reconfigure(jose.ES256, 0, -1) },
		"no storage":  func() error { return Open(Config{}).Start(t.Context()) },
		"publish":     func() error { return Open(Config{Storage: newMemory(), Publish: -1}).Start(t.Context()) },
		"start, none": func() error { return Open(Config{Storage: newMemory(), Algorithm: "none"}).Start(t.Context()) },
	} {
		if err := f(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Instances whose configurations differ do not make keys against each other.
func TestConfigurationsThatDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		a := start(t, Config{Storage: store, Algorithm: jose.EdDSA, Retain: 2 * time.Hour})
		b := start(t, Config{Storage: store, Algorithm: jose.ES256, Retain: time.Minute})
		time.Sleep(48 * time.Hour)
		if kid(t, a) != kid(t, b) {
			t.Error("they differ")
		}
		if s, _ := a.Signer(); s.Algorithm() != jose.ES256 {
			t.Errorf("signs with %s, not what was started last", s.Algorithm())
		}
		if d := time.Duration(store.plan(t).Retain); d != 2*time.Hour {
			t.Errorf("retains for %v, too short for one of them", d)
		}
		if store.stores > 6 {
			t.Errorf("%d stores", store.stores)
		}
	})
}

func TestStorageDownAtStart(t *testing.T) {
	down := errors.New("no route to host")
	for name, c := range map[string]struct {
		break_ func(*memory)
		mend   func(*memory)
	}{
		"load":  {func(m *memory) { m.loading = down }, func(m *memory) { m.loading = nil }},
		"store": {func(m *memory) { m.storing = down }, func(m *memory) { m.storing = nil }},
		"lock":  {func(m *memory) { m.locking = down }, func(m *memory) { m.locking = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newMemory()
				c.break_(store)
				r := Open(Config{Storage: store})
				defer r.Close()
				if err := r.Start(t.Context()); !errors.Is(err, down) {
					t.Errorf("got %v", err)
				}
				if _, err := r.Signer(); !errors.Is(err, ErrNotReady) {
					t.Errorf("signs with a key that is not kept: %v", err)
				}
				if len(store.locked) != 0 {
					t.Error("still locked")
				}
				c.mend(store)
				if err := r.Start(t.Context()); err != nil {
					t.Errorf("the second time: %v", err)
				}
				kid(t, r)
			})
		})
	}
}

func TestStorageDownWhileRunning(t *testing.T) {
	down := errors.New("no route to host")
	for name, change := range map[string]func(*memory, error){
		"load":  func(m *memory, err error) { m.loading = err },
		"store": func(m *memory, err error) { m.storing = err },
		"lock":  func(m *memory, err error) { m.locking = err },
		"hangs": func(m *memory, err error) {
			m.slow = 0
			if err != nil {
				m.slow = 1000 * time.Hour
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, log := newMemory(), &journal{}
				r := start(t, Config{Storage: store, Algorithm: jose.EdDSA, RotateEvery: 10 * time.Hour, Logger: log.logger()})
				first := kid(t, r)
				time.Sleep(time.Hour)
				store.set(func() { change(store, down) })
				time.Sleep(19 * time.Hour)
				if kid(t, r) != first {
					t.Error("a key signs that is not kept")
				}
				errorsLogged := strings.Count(log.String(), "level=ERROR")
				if errorsLogged == 0 || errorsLogged > 19*60*2 {
					t.Errorf("%d errors logged", errorsLogged)
				}
				store.set(func() { change(store, nil) })
				time.Sleep(2 * time.Hour)
				if kid(t, r) == first {
					t.Error("did not rotate when the storage was back")
				}
				if !strings.Contains(log.String(), "answers again") {
					t.Error("does not say that it is over")
				}
				if kids, _ := public(t, r); !slices.Contains(kids, first) {
					t.Error("the old key went with the new one's coming")
				}
			})
		})
	}
}

// A Store that reports an error may have written; the key counts once it is
// read, and then for everybody.
func TestStoreThatFailsAndWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		store.storing, store.lose = errors.New("connection lost"), true
		a := Open(Config{Storage: store})
		defer a.Close()
		if err := a.Start(t.Context()); err == nil {
			t.Error("no error")
		}
		b := start(t, Config{Storage: store})
		if err := a.Start(t.Context()); err != nil {
			t.Error(err)
		}
		if kid(t, a) != kid(t, b) {
			t.Error("two keys")
		}
	})
}

// An instance that is killed between any two calls of the storage leaves
// something that another can go on with.
func TestKilledBetween(t *testing.T) {
	for calls := range 8 {
		t.Run(fmt.Sprint(calls), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newMemory()
				store.knock = time.Second
				dying := Open(Config{Storage: &mortal{store, calls}})
				go func() { _ = dying.Start(t.Context()) }()
				time.Sleep(10 * time.Second)
				dying.end()
				synctest.Wait()

				// What a lock's lease does when nobody renews it.
				store.set(func() { clear(store.locked) })
				survivor := start(t, Config{Storage: store})
				if kids, _ := public(t, survivor); len(kids) != 1 || kids[0] != kid(t, survivor) {
					t.Errorf("public: %v", kids)
				}
				dying.Close()
				time.Sleep(time.Minute) // its Unlock gives up
			})
		})
	}
}

// mortal is a storage of which only so many calls are answered.
type mortal struct {
	*memory
	calls int
}

func (m *mortal) die(ctx context.Context) error {
	if m.calls--; m.calls < 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (m *mortal) Lock(ctx context.Context, name string) error {
	if err := m.die(ctx); err != nil {
		return err
	}
	return m.memory.Lock(ctx, name)
}

func (m *mortal) Unlock(ctx context.Context, name string) error {
	if err := m.die(ctx); err != nil {
		return err
	}
	return m.memory.Unlock(ctx, name)
}

func (m *mortal) Load(ctx context.Context, key string) ([]byte, error) {
	if err := m.die(ctx); err != nil {
		return nil, err
	}
	return m.memory.Load(ctx, key)
}

func (m *mortal) Store(ctx context.Context, key string, value []byte) error {
	if err := m.die(ctx); err != nil {
		return err
	}
	return m.memory.Store(ctx, key, value)
}

func TestDeletedWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := newMemory(), &journal{}
		cfg := Config{Storage: store, Algorithm: jose.EdDSA, RotateEvery: 10 * time.Hour, Logger: log.logger()}
		a := start(t, cfg)
		first := kid(t, a)
		store.set(func() { clear(store.values) })
		time.Sleep(20 * time.Hour)
		if kid(t, a) != first || store.text() != "" {
			t.Error("made up for what somebody deleted")
		}
		if !strings.Contains(log.String(), "restore it, or restart") {
			t.Error("does not say what to do")
		}
		b := start(t, cfg) // the restart
		time.Sleep(2 * time.Minute)
		if kid(t, a) != kid(t, b) || kid(t, a) == first {
			t.Error("the others did not follow")
		}
	})
}

// A document without keys asks for a new one, at once: what revoking them all
// leaves behind.
func TestNoKeyLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		cfg := Config{Storage: store, Algorithm: jose.EdDSA}
		a, b := start(t, cfg), start(t, cfg)
		first := kid(t, a)
		var d document
		if err := json.Unmarshal([]byte(store.text()), &d); err != nil {
			t.Fatal(err)
		}
		d.Keys = nil
		raw, _ := json.Marshal(d)
		store.set(func() { store.values[storageKey] = raw })
		time.Sleep(2 * time.Minute)
		kids, _ := public(t, b)
		if kid(t, a) == first || kid(t, a) != kid(t, b) || len(kids) != 1 {
			t.Errorf("public: %v", kids)
		}
	})
}

func TestTooManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := newMemory(), &journal{}
		// One second for each key, and all of them needed for an hour.
		cfg := Config{Storage: store, Algorithm: jose.EdDSA, RotateEvery: time.Second, Retain: time.Hour, Logger: log.logger()}
		d := document{Version: version, Plan: cfg.plan()}
		for i := range maxKeys {
			key, err := makeKey(jose.EdDSA)
			if err != nil {
				t.Fatal(err)
			}
			from := time.Now().Add(time.Duration(i-maxKeys) * time.Second)
			d.Keys = append(d.Keys, entry{Created: from, SignsFrom: from, Key: key})
		}
		raw, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		store.values[storageKey] = raw

		r := start(t, cfg)
		time.Sleep(time.Minute)
		newest := d.Keys[maxKeys-1].Key.KeyID
		if kids, _ := public(t, r); kid(t, r) != newest || len(kids) != maxKeys {
			t.Errorf("%d keys", len(kids))
		}
		if !strings.Contains(log.String(), "raise rotate_every") {
			t.Error("does not say what to do")
		}
		if err := r.Reconfigure(jose.EdDSA, time.Hour, time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		if kids, _ := public(t, r); kid(t, r) == newest || len(kids) > 3 {
			t.Errorf("%d keys are public", len(kids))
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails where a goroutine is left over
		store := newMemory()
		r := Open(Config{Storage: store})
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		last := kid(t, r)
		r.Close()
		r.Close()
		if kid(t, r) != last {
			t.Error("a request under way lost its key")
		}
		if err := r.Start(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Start after Close: %v", err)
		}

		never := Open(Config{Storage: newMemory()})
		never.Close()
		if err := never.Start(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Start after Close: %v", err)
		}

		// Close ends a Start that hangs.
		store.slow = time.Hour
		hangs := Open(Config{Storage: store})
		done := make(chan error)
		go func() { done <- hangs.Start(context.Background()) }()
		time.Sleep(time.Second)
		hangs.Close()
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Errorf("Start: %v", err)
		}
	})
}

// No private part of a key is in a log, an error or the public set.
func TestPrivatePartsStayPrivate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := newMemory(), &journal{}
		r := start(t, Config{Storage: store, Algorithm: jose.RS256, RotateEvery: 10 * time.Hour, Retain: 24 * time.Hour, Logger: log.logger()})
		time.Sleep(11 * time.Hour)
		if err := r.Reconfigure(jose.ES256, 10*time.Hour, 24*time.Hour); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		_ = r.Reconfigure(jose.EdDSA, 10*time.Hour, 24*time.Hour)
		time.Sleep(30 * time.Minute)
		body, etag, _, _ := r.PublicSet()
		shown := string(body) + etag

		var secrets []string
		var doc struct {
			Keys []struct{ Key map[string]string }
		}
		if err := json.Unmarshal([]byte(store.text()), &doc); err != nil {
			t.Fatal(err)
		}
		for _, e := range doc.Keys {
			for _, name := range []string{"d", "p", "q", "dp", "dq", "qi"} {
				if v := e.Key[name]; v != "" {
					secrets = append(secrets, v)
				}
			}
		}
		if len(doc.Keys) < 3 || len(secrets) < 8 {
			t.Fatalf("%d keys with %d secrets", len(doc.Keys), len(secrets))
		}
		// Damage each value in turn and let it be read.
		text := store.text()
		for _, secret := range secrets {
			for _, damaged := range []string{secret[1:], "!" + secret, secret + `","x":"`, "", secret + secret} {
				store.set(func() { store.values[storageKey] = []byte(strings.ReplaceAll(text, secret, damaged)) })
				fresh := Open(Config{Storage: store, Logger: log.logger()})
				if err := fresh.Start(t.Context()); err != nil {
					shown += err.Error()
				}
				fresh.Close()
				time.Sleep(61 * time.Second) // the other one reads it too
			}
		}
		shown += log.String()
		for _, secret := range secrets {
			for part := range slices.Chunk([]byte(secret), 12) {
				if len(part) == 12 && strings.Contains(shown, string(part)) {
					t.Fatal("part of a private key is shown")
				}
			}
		}
		if !strings.Contains(shown, "cannot be read") {
			t.Error("nothing was refused")
		}
	})
}

func BenchmarkSigner(b *testing.B) {
	r := start(b, Config{Storage: newMemory()})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Signer(); err != nil {
				b.Error(err)
			}
		}
	})
}
