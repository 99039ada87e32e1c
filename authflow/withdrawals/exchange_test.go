package withdrawals

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// board is a Board in memory that can be told to fail, to be slow and to forget.
type board struct {
	mu         sync.Mutex
	generation int
	list       []Withdrawal
	fails      bool
	slow       time.Duration
	swallow    bool // posts are accepted and lost
	page       int
}

var errAway = errors.New("away")

func (b *board) wait(ctx context.Context) error {
	b.mu.Lock()
	slow, fails := b.slow, b.fails
	b.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return ctx.Err()
	}
	if fails {
		return errAway
	}
	return nil
}

func (b *board) Post(ctx context.Context, list []Withdrawal) error {
	if err := b.wait(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range list {
		known := b.swallow
		for _, k := range b.list {
			known = known || k.Consent == w.Consent
		}
		if !known {
			b.list = append(b.list, w)
		}
	}
	return nil
}

func (b *board) Read(ctx context.Context, since Mark) ([]Withdrawal, Mark, bool, error) {
	if err := b.wait(ctx); err != nil {
		return nil, "", false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var generation, n int
	_, err := fmt.Sscanf(string(since), "%d %d", &generation, &n)
	lost := err != nil || generation != b.generation || n > len(b.list)
	if lost {
		n = 0
	}
	end := len(b.list)
	if b.page > 0 {
		end = min(end, n+b.page)
	}
	return append([]Withdrawal(nil), b.list[n:end]...), Mark(fmt.Sprintf("%d %d", b.generation, end)), lost, nil
}

func (b *board) set(f func(*board)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b)
}

func exchange(t *testing.T, b Board, known ...Withdrawal) *Exchange {
	t.Helper()
	x, err := Open(Config{Board: b, Grace: time.Minute, Logger: slog.New(slog.DiscardHandler)}, func(s *Set) error {
		for _, w := range known {
			s.Add(w)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	return x
}

func withdrawal(n byte) Withdrawal {
	return Withdrawal{Consent: [16]byte{n}, Until: time.Now().Add(time.Hour).Truncate(time.Second).UTC()}
}

func TestOneInstanceAlone(t *testing.T) {
	x := exchange(t, nil)
	if err := x.Withdraw(t.Context(), withdrawal(1)); err != nil {
		t.Fatal(err)
	}
	if !x.Has([16]byte{1}) || !x.Current(time.Now().Add(1000*time.Hour)) {
		t.Error("not withdrawn, or not current")
	}
}

func TestOthersKnowWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{slow: 50 * time.Millisecond}
		one, two := exchange(t, b), exchange(t, b)
		time.Sleep(130 * time.Millisecond)
		began := time.Now()
		if err := one.Withdraw(t.Context(), withdrawal(1)); err != nil {
			t.Fatal(err)
		}
		epoch := two.Epoch()
		for !two.Has([16]byte{1}) {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if two.Epoch() == epoch {
			t.Error("the epoch did not change")
		}
		epoch = two.Epoch()
		time.Sleep(10 * time.Second)
		if two.Epoch() != epoch {
			t.Error("the epoch changes although nothing does")
		}
	})
}

func TestWhatIsKnownIsReadInPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{page: 2}
		for n := range byte(9) {
			b.list = append(b.list, withdrawal(n))
		}
		x := exchange(t, b)
		time.Sleep(time.Millisecond)
		for n := range byte(9) {
			if !x.Has([16]byte{n}) {
				t.Errorf("withdrawal %d is not known", n)
			}
		}
	})
}

func TestBoardAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{}
		one, two := exchange(t, b), exchange(t, b)
		time.Sleep(time.Second)
		b.set(func(b *board) { b.fails = true })
		began := time.Now()
		if err := one.Withdraw(t.Context(), withdrawal(1)); !errors.Is(err, ErrNotShared) || !errors.Is(err, errAway) {
			t.Fatalf("got %v", err)
		}
		if !one.Has([16]byte{1}) {
			t.Error("it does not count here")
		}
		for _, x := range []*Exchange{one, two} {
			if !x.Current(began.Add(50 * time.Second)) {
				t.Error("not current within the grace")
			}
			if x.Current(began.Add(time.Minute)) {
				t.Error("current after the grace")
			}
		}
		time.Sleep(2 * time.Minute)
		if two.Current(time.Now()) {
			t.Error("current although nothing was heard for two minutes")
		}
		two.SetGrace(time.Hour)
		if !two.Current(time.Now()) {
			t.Error("a longer grace has no effect")
		}
		b.set(func(b *board) { b.fails = false })
		time.Sleep(time.Second)
		if !two.Has([16]byte{1}) {
			t.Error("the withdrawal was not told once the board was back")
		}
		if !one.Current(time.Now()) {
			t.Error("not current again")
		}
	})
}

func TestBoardHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{}
		x := exchange(t, b)
		time.Sleep(time.Second)
		b.set(func(b *board) { b.slow = time.Hour })
		began := time.Now()
		if err := x.Withdraw(t.Context(), withdrawal(1)); !errors.Is(err, ErrNotShared) {
			t.Fatalf("got %v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("whoever withdraws waits %v", took)
		}
	})
}

func TestBoardComesBackEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{}
		old := Withdrawal{Consent: [16]byte{9}, Until: time.Now().Add(-time.Hour)}
		one := exchange(t, b, withdrawal(1), old)
		exchange(t, b, withdrawal(2))
		time.Sleep(time.Second)
		b.set(func(b *board) { b.generation++; b.list = nil })
		time.Sleep(time.Second)
		three := exchange(t, b)
		time.Sleep(time.Second)
		for n := byte(1); n <= 2; n++ {
			if !three.Has([16]byte{n}) {
				t.Errorf("withdrawal %d was not told again", n)
			}
		}
		if three.Has([16]byte{9}) {
			t.Error("one that has ended was told again")
		}
		_ = one
	})
}

// A post that was accepted and then lost, as in a failover, is posted again.
func TestPostIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{swallow: true}
		one, two := exchange(t, b), exchange(t, b)
		time.Sleep(time.Second)
		if err := one.Withdraw(t.Context(), withdrawal(1)); err != nil {
			t.Fatal(err)
		}
		b.set(func(b *board) { b.swallow = false })
		time.Sleep(time.Second)
		if !two.Has([16]byte{1}) {
			t.Error("what was lost was not posted again")
		}
		one.mu.Lock()
		defer one.mu.Unlock()
		if len(one.pending) != 0 {
			t.Errorf("%d are pending", len(one.pending))
		}
	})
}

func TestOpenWithoutALedger(t *testing.T) {
	if _, err := Open(Config{}, func(*Set) error { return errAway }); !errors.Is(err, errAway) {
		t.Errorf("got %v", err)
	}
}
