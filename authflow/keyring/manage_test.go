package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func revoke(t testing.TB, s Storage, kids ...string) Revocation {
	t.Helper()
	done, err := Revoke(t.Context(), s, time.Now, kids...)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestRevoke(t *testing.T) {
	for _, c := range []struct {
		name      string
		algorithm jose.SignatureAlgorithm
		every     time.Duration
		after     time.Duration
		all       bool
		waited    bool // the next key was public
		skew      time.Duration
	}{
		{name: "the only key", algorithm: jose.ES256},
		{name: "the only key, RS256", algorithm: jose.RS256},
		{name: "all, one key", algorithm: jose.ES256, all: true},
		{name: "the one that signs, another retired", algorithm: jose.EdDSA, every: time.Hour, after: time.Hour + time.Minute},
		{name: "the one that signs, another waits", algorithm: jose.EdDSA, every: time.Hour, after: time.Hour - time.Minute, waited: true},
		{name: "all, another retired", algorithm: jose.EdDSA, every: time.Hour, after: time.Hour + time.Minute, all: true},
		{name: "every second", algorithm: jose.EdDSA, every: time.Second, after: 20250 * time.Millisecond, waited: true},
		{name: "all, every second", algorithm: jose.EdDSA, every: time.Second, after: 20250 * time.Millisecond, all: true},
		{name: "a clock behind", algorithm: jose.EdDSA, every: time.Hour, after: time.Hour + time.Minute, skew: -MaxSkew},
		{name: "all, a clock behind", algorithm: jose.EdDSA, every: time.Second, after: 20250 * time.Millisecond, all: true, skew: -MaxSkew},
		{name: "a clock ahead", algorithm: jose.EdDSA, every: time.Hour, after: time.Hour - time.Minute, waited: true, skew: MaxSkew},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newMemory()
				cfg := Config{Storage: store, Algorithm: c.algorithm, RotateEvery: c.every, Retain: 10 * time.Minute}
				skewed := cfg
				skewed.Now = func() time.Time { return time.Now().Add(c.skew) }
				a, b := start(t, cfg), start(t, skewed)
				time.Sleep(c.after)
				synctest.Wait()

				before, _ := public(t, a)
				bad := []string{kid(t, a)}
				asked := bad
				if c.all {
					bad, asked = before, nil
				}
				done := revoke(t, store, asked...)
				if !slices.Equal(done.Revoked, bad) || done.Waited != c.waited || done.Signing.Algorithm != c.algorithm {
					t.Errorf("got %+v", done)
				}
				time.Sleep(MaxPoll + time.Millisecond)
				synctest.Wait()
				for i, r := range []*Ring{a, b} {
					kids, _ := public(t, r)
					if c.every != time.Second && kid(t, r) != done.Signing.KeyID {
						t.Errorf("instance %d does not sign with the key that took over", i)
					}
					for _, id := range bad {
						if slices.Contains(kids, id) {
							t.Errorf("instance %d publishes a revoked key", i)
						}
					}
				}
				// From here on it is a rotation like any other, and nothing comes back.
				p, began := partnersOf(t, a, b), time.Now()
				run := max(2*c.every, 40*time.Second)
				for ; time.Since(began) < run; time.Sleep(run / 80) {
					synctest.Wait()
					p.accept(began)
					for _, r := range p.rings {
						if kids, _ := public(t, r); slices.ContainsFunc(kids, func(id string) bool { return slices.Contains(bad, id) }) {
							t.Fatal("a revoked key is back")
						}
					}
				}
				again := revoke(t, store, bad...)
				if len(again.Revoked) != 0 {
					t.Errorf("revoked twice: %+v", again)
				}
				fresh := start(t, cfg)
				if slices.Contains(bad, kid(t, fresh)) {
					t.Error("a fresh instance brought it back")
				}
			})
		})
	}
}

// A key that waits or is retired can be revoked too; the one that signs goes on.
func TestRevokeAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		cfg := Config{Storage: store, Algorithm: jose.EdDSA, RotateEvery: 10 * time.Hour, Retain: 9 * time.Hour}
		r := start(t, cfg)
		time.Sleep(10*time.Hour - time.Minute)
		kids, _ := public(t, r)
		revoke(t, store, kids[1])
		time.Sleep(MaxPoll)
		synctest.Wait()
		if after, _ := public(t, r); kid(t, r) != kids[0] || len(after) != 2 || after[1] == kids[1] {
			t.Errorf("public: %v", after)
		}
		time.Sleep(2 * time.Hour)
		signs := kid(t, r)
		if signs == kids[0] {
			t.Fatal("did not rotate")
		}
		revoke(t, store, kids[0])
		time.Sleep(MaxPoll)
		synctest.Wait()
		if after, _ := public(t, r); kid(t, r) != signs || !slices.Equal(after, []string{signs}) {
			t.Errorf("public: %v", after)
		}
	})
}

// What brings a revoked key back into the storage, a copy of before or a writer
// that had the lock too, is undone by whoever has heard of the revocation.
func TestRevokedDoesNotComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := newMemory(), &journal{}
		cfg := Config{Storage: store, Algorithm: jose.EdDSA, Logger: log.logger()}
		a := start(t, cfg)
		bad, copied := kid(t, a), store.text()
		revoke(t, store)
		time.Sleep(MaxPoll)
		synctest.Wait()
		if kid(t, a) == bad || !strings.Contains(log.String(), "were revoked") {
			t.Error("did not hear of it")
		}
		store.set(func() { store.values[storageKey] = []byte(copied) })
		for range 100 {
			time.Sleep(MaxPoll / 10)
			synctest.Wait()
			if s, err := a.Signer(); err == nil && s.KeyID() == bad {
				t.Fatal("signs with a revoked key")
			}
		}
		if kids, _ := public(t, a); slices.Contains(kids, bad) {
			t.Error("publishes a revoked key")
		}
		if len(store.keys(t)) != 1 || store.keys(t)[0].Key.KeyID == bad {
			t.Error("left it in the storage")
		}
		b := start(t, cfg)
		if kid(t, b) != kid(t, a) {
			t.Error("they differ")
		}
	})
}

// Where no other key can be had there is none rather than a revoked one.
func TestRevokedAndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		a := start(t, Config{Storage: store, Algorithm: jose.EdDSA})
		bad := kid(t, a)
		store.set(func() {
			d, err := parse(store.values[storageKey], nil)
			if err != nil {
				t.Fatal(err)
			}
			d.revoke(time.Now(), map[string]time.Time{bad: time.Now()})
			store.values[storageKey], _ = json.Marshal(d)
			store.locking = errors.New("no route to host")
		})
		time.Sleep(MaxPoll)
		synctest.Wait()
		if s, err := a.Signer(); !errors.Is(err, ErrNotReady) {
			t.Errorf("signs with %v, revoked %s", s, bad)
		}
		if _, _, _, err := a.PublicSet(); !errors.Is(err, ErrNotReady) {
			t.Errorf("publishes: %v", err)
		}
		store.set(func() { store.locking = nil })
		time.Sleep(2 * time.Minute)
		if kid(t, a) == bad {
			t.Error("signs with a revoked key")
		}
	})
}

func TestRevokeFails(t *testing.T) {
	down := errors.New("no route to host")
	for name, c := range map[string]struct {
		change func(*memory)
		kids   []string
		want   error
		says   string
	}{
		"no keys":    {func(m *memory) { clear(m.values) }, nil, ErrNoKeys, ""},
		"corrupt":    {func(m *memory) { m.values[storageKey] = []byte("{") }, nil, ErrCorrupt, "restore it"},
		"load":       {func(m *memory) { m.loading = down }, nil, down, "cannot read"},
		"store":      {func(m *memory) { m.storing = down }, nil, down, "cannot write"},
		"lock":       {func(m *memory) { m.locking = down }, nil, down, "cannot lock"},
		"held lock":  {func(m *memory) { m.locked[lockName] = true }, nil, context.DeadlineExceeded, "cannot lock"},
		"no such":    {func(*memory) {}, []string{"abc"}, nil, `no key with the kid "abc"`},
		"one unlike": {func(*memory) {}, []string{"", "abc"}, nil, "no key with the kid"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newMemory()
				r := start(t, Config{Storage: store, Algorithm: jose.EdDSA})
				r.Close()
				store.set(func() { c.change(store) })
				changed := store.text()
				_, err := Revoke(t.Context(), store, time.Now, c.kids...)
				if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v", err)
				}
				if store.text() != changed {
					t.Error("changed something")
				}
			})
		})
	}
}

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		if _, err := List(t.Context(), store, time.Now()); !errors.Is(err, ErrNoKeys) {
			t.Errorf("got %v", err)
		}
		cfg := Config{Storage: store, Algorithm: jose.EdDSA, RotateEvery: 3 * time.Hour, Retain: 2 * time.Hour}
		r := start(t, cfg)
		began := time.Now()
		time.Sleep(5*time.Hour - time.Minute)
		var stores, locks int
		store.set(func() { stores, locks = store.stores, store.locks })
		all, err := List(t.Context(), store, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		store.set(func() {
			if store.stores != stores || store.locks != locks {
				t.Error("listing wrote or locked")
			}
		})
		kids, _ := public(t, r)
		var states []State
		for i, l := range all {
			states = append(states, l.State)
			if l.KeyID != kids[i] || l.Algorithm != jose.EdDSA {
				t.Errorf("got %+v", l)
			}
		}
		if !slices.Equal(states, []State{Retired, Signing, Waiting}) {
			t.Fatalf("got %v", states)
		}
		if l := all[0]; !l.SignsFrom.Equal(began) || !l.SignsUntil.Equal(began.Add(3*time.Hour)) || !l.Gone.Equal(began.Add(5*time.Hour+30*time.Minute+2*MaxSkew)) {
			t.Errorf("got %+v", l)
		}
		revoke(t, store, kids[0])
		all, err = List(t.Context(), store, time.Now())
		if last := all[len(all)-1]; err != nil || last.State != Revoked || last.KeyID != kids[0] || !last.Gone.Equal(time.Now()) {
			t.Errorf("got %+v, %v", last, err)
		}
	})
}
