package withdrawals

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
)

func TestLockAndUnlock(t *testing.T) {
	x := exchange(t, nil)
	n := Number{1, 2, 3}
	for i, locked := range []bool{true, true, false, false, true, false} {
		before := x.Epoch()
		id, news := x.Change(n, locked)
		if news {
			if err := x.Lock(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if x.Locked(n) != locked || x.Locked(Number{1, 2, 4}) {
			t.Fatalf("step %d: locked is %v", i, x.Locked(n))
		}
		if news != (x.Epoch() != before) {
			t.Errorf("step %d: the epoch", i)
		}
	}
	if x.Has([16]byte{1, 2, 3}) {
		t.Error("a number is taken for a consent")
	}
}

func TestLocksInAnyOrder(t *testing.T) {
	n := Number{9}
	var a, b Set
	for _, change := range []uint16{1, 2, 3} {
		a.Add(lock(n, change))
	}
	for _, change := range []uint16{3, 1, 2, 1} {
		b.Add(lock(n, change))
	}
	if !a.Locked(n) || !b.Locked(n) {
		t.Error("the last of three changes is not the one that counts")
	}
}

func TestOthersKnowOfLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{}
		one, two := exchange(t, b), exchange(t, b)
		n := Number{7}
		id, _ := one.Change(n, true)
		if err := one.Lock(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if !two.Locked(n) {
			t.Fatal("not known elsewhere")
		}
		id, news := two.Change(n, false)
		if !news {
			t.Fatal("no news")
		}
		if err := two.Lock(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if one.Locked(n) {
			t.Fatal("unlocking is not known elsewhere")
		}
		b.set(func(b *board) { b.generation++; b.list = nil })
		time.Sleep(time.Second)
		if three := exchange(t, b); true {
			time.Sleep(time.Second)
			id, _ := three.Change(n, true)
			if err := three.Lock(t.Context(), id); err != nil && !errors.Is(err, ErrNotShared) {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		if !one.Locked(n) || !two.Locked(n) {
			t.Error("a lock after the board came back empty counts for less than an earlier unlocking")
		}
	})
}

func TestLearnLocks(t *testing.T) {
	first, second, third := lock(Number{1}, 1), lock(Number{1}, 2), lock(Number{2}, 1)
	entry := func(event ledger.Event, w Withdrawal) ledger.Entry {
		return ledger.Entry{Event: event, Consent: encode(w.Consent), At: time.Now()}
	}
	var s Set
	err := s.Learn(t.Context(), lines{entries: []ledger.Entry{
		entry(ledger.Locked, first), entry(ledger.Unlocked, second), entry(ledger.Locked, third),
	}}, time.Now())
	if err != nil || s.Locked(Number{1}) || !s.Locked(Number{2}) {
		t.Errorf("%v, %v, %v", err, s.Locked(Number{1}), s.Locked(Number{2}))
	}
}
