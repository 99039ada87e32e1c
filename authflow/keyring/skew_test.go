package keyring

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// partners are verifiers that fetch from each of several instances.
type partners struct {
	t     testing.TB
	rings []*Ring
	warm  []verifier
}

func partnersOf(t testing.TB, rings ...*Ring) *partners {
	return &partners{t, rings, make([]verifier, len(rings))}
}

// accept checks that what every instance signs now is known to a warm and to a
// cold verifier of every instance.
func (p *partners) accept(when time.Time) {
	p.t.Helper()
	for i, signs := range p.rings {
		id := kid(p.t, signs)
		for j, from := range p.rings {
			if !p.warm[j].knows(p.t, from, id) {
				p.t.Fatalf("after %v: what instance %d signs is unknown to a warm verifier of instance %d", time.Since(when), i, j)
			}
			if cold := (&verifier{}); !cold.knows(p.t, from, id) {
				p.t.Fatalf("after %v: what instance %d signs is unknown to a cold verifier of instance %d", time.Since(when), i, j)
			}
		}
	}
}

// A new algorithm may be asked for at the instance whose clock is behind: the
// one that is ahead must not take its key for older than it is.
func TestClocksApart(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration
		skew  time.Duration // of the instance that makes the key
	}{
		{"one second, behind", time.Second, -MaxSkew},
		{"one second, ahead", time.Second, MaxSkew},
		{"a minute, behind", time.Minute, -MaxSkew},
		{"a minute, ahead", time.Minute, MaxSkew},
		{"ten minutes, behind", 10 * time.Minute, -MaxSkew},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newMemory()
				store.slow = 50 * time.Millisecond
				cfg := Config{Storage: store, Algorithm: jose.EdDSA, RotateEvery: c.every, Retain: time.Minute}
				skewed := cfg
				skewed.Now = func() time.Time { return time.Now().Add(c.skew) }
				a, b := start(t, cfg), start(t, skewed)
				time.Sleep(c.every / 3)
				p, began := partnersOf(t, a, b), time.Now()
				if err := b.Reconfigure(jose.ES256, c.every, time.Minute); err != nil {
					t.Fatal(err)
				}
				run := min(3*c.every+MaxSkew+10*time.Second, 70*time.Minute)
				for ; time.Since(began) < run; time.Sleep(max(run/300, 50*time.Millisecond)) {
					synctest.Wait()
					p.accept(began)
				}
				for _, r := range []*Ring{a, b} {
					if s, _ := r.Signer(); s.Algorithm() != jose.ES256 {
						t.Errorf("signs with %s", s.Algorithm())
					}
				}
			})
		})
	}
}

// Instances that come and go, with clocks apart, sign with nothing that the
// others do not publish, nor with what they have removed.
func TestRestartInTheMiddle(t *testing.T) {
	for _, skew := range []time.Duration{0, MaxSkew, -MaxSkew} {
		for _, every := range []time.Duration{time.Second, 30 * time.Second} {
			t.Run(skew.String()+" "+every.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := newMemory()
					store.slow = 20 * time.Millisecond
					cfg := Config{Storage: store, Algorithm: jose.EdDSA, RotateEvery: every, Retain: 10*time.Second + MaxSkew}
					a := start(t, cfg)
					skewed := cfg
					skewed.Now = func() time.Time { return time.Now().Add(skew) }
					type signed struct {
						kid   string
						until time.Time
					}
					var valid []signed
					for began := time.Now(); time.Since(began) < time.Minute; {
						b := Open(skewed)
						if err := b.Start(t.Context()); err != nil {
							t.Fatal(err)
						}
						t.Cleanup(b.Close)
						p := partnersOf(t, a, b)
						for up := time.Now(); time.Since(up) < 40*time.Second; time.Sleep(733 * time.Millisecond) {
							synctest.Wait()
							p.accept(began)
							kids, _ := public(t, a)
							valid = append(valid, signed{kid(t, b), time.Now().Add(10*time.Second + MaxSkew)})
							for len(valid) > 0 && valid[0].until.Before(time.Now()) {
								valid = valid[1:]
							}
							for _, v := range valid {
								if !slices.Contains(kids, v.kid) {
									t.Fatalf("after %v: removed what signed something that is valid", time.Since(began))
								}
							}
						}
						b.Close()
						time.Sleep(25 * time.Second)
					}
				})
			})
		}
	}
}

// An instance that was away for long begins with the newest keys, and one that
// finds only old ones publishes a new one before it signs.
func TestAwayForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		cfg := Config{Storage: store, Algorithm: jose.EdDSA, RotateEvery: time.Minute, Retain: time.Minute}
		a := start(t, cfg)
		b := Open(cfg)
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.Close()
		time.Sleep(time.Hour + MaxSkew + 10*time.Second) // a key that is younger may be too new for who starts
		again := start(t, cfg)
		if kid(t, again) != kid(t, a) {
			t.Error("two keys")
		}
		a.Close()
		again.Close()
		time.Sleep(24 * time.Hour)
		stored := store.keys(t)
		last := stored[len(stored)-1].Key.KeyID // it may have waited when they stopped
		late := start(t, cfg)
		if kids, _ := public(t, late); kid(t, late) != last || len(kids) != 2 || kids[0] != last {
			t.Errorf("signs with what was not published: %v", kids)
		}
		p, began := partnersOf(t, late), time.Now()
		for ; time.Since(began) < 5*time.Minute; time.Sleep(time.Second) {
			synctest.Wait()
			p.accept(began)
		}
		if kid(t, late) == last {
			t.Error("did not rotate")
		}
	})
}

// Who cannot read may not know of the newest keys, so nobody keeps their set.
func TestStaleSetIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		r := start(t, Config{Storage: store, Algorithm: jose.EdDSA})
		store.set(func() { store.loading = errors.New("no route to host") })
		time.Sleep(10 * time.Minute)
		if _, maxAge := public(t, r); maxAge != 15*time.Minute {
			t.Errorf("kept for %v too soon", maxAge)
		}
		time.Sleep(6 * time.Minute)
		if _, maxAge := public(t, r); maxAge != 0 {
			t.Errorf("kept for %v after a quarter of an hour without storage", maxAge)
		}
		store.set(func() { store.loading = nil })
		time.Sleep(MaxPoll)
		synctest.Wait()
		if _, maxAge := public(t, r); maxAge != 15*time.Minute {
			t.Errorf("kept for %v when the storage is back", maxAge)
		}
	})
}

// A public half that was damaged is not published by who has the key in memory.
func TestDamagedPublicHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := newMemory(), &journal{}
		r := start(t, Config{Storage: store, Algorithm: jose.EdDSA, Logger: log.logger()})
		before, _, _, _ := r.PublicSet()
		var set jose.JSONWebKeySet
		if err := json.Unmarshal(before, &set); err != nil {
			t.Fatal(err)
		}
		other, err := makeKey(jose.EdDSA)
		if err != nil {
			t.Fatal(err)
		}
		x := func(k jose.JSONWebKey) string {
			raw, _ := k.MarshalJSON()
			var m map[string]string
			_ = json.Unmarshal(raw, &m)
			if b, err := base64.RawURLEncoding.DecodeString(m["x"]); err != nil || len(b) != 32 {
				t.Fatal("no x")
			}
			return m["x"]
		}
		store.set(func() {
			store.values[storageKey] = []byte(strings.Replace(string(store.values[storageKey]), x(set.Keys[0]), x(other.Public()), 1))
		})
		time.Sleep(time.Minute)
		if after, _, _, _ := r.PublicSet(); string(after) != string(before) {
			t.Error("published what is damaged")
		}
		if !strings.Contains(log.String(), "cannot be read") {
			t.Error("not logged")
		}
	})
}
