package statetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

func testReady(t *testing.T, s state.Store) {
	want(t, "Ready", s.Ready(t.Context()), nil)
}

func testCreateLoad(t *testing.T, s state.Store) {
	h := sample()
	h.Tries, h.Proved = 2, true
	id := create(t, s, h)
	wantSame(t, load(t, s, id), h)
}

func testCreateZero(t *testing.T, s state.Store) {
	id := create(t, s, state.Handshake{})
	h := load(t, s, id)
	wantSame(t, h, state.Handshake{})
	if !h.CodeExpires.IsZero() || !h.NextSend.IsZero() {
		t.Errorf("zero times came back as %v, %v", h.CodeExpires, h.NextSend)
	}
}

func testCreateTwice(t *testing.T, s state.Store) {
	first, second := sample(), sample()
	id := create(t, s, first)
	want(t, "second Create", s.Create(t.Context(), id, second, lasting), state.ErrExists)
	wantSame(t, load(t, s, id), first)
}

func testCreateParallel(t *testing.T, s state.Store) {
	id := key()
	created := parallel(50, func() error { return s.Create(context.Background(), id, sample(), lasting) })
	wantOutcomes(t, created, 1, state.ErrExists)
}

func testCreateTTL(t *testing.T, s state.Store) {
	for _, ttl := range []time.Duration{0, -1, -time.Hour} {
		id := key()
		if err := s.Create(t.Context(), id, sample(), ttl); err == nil {
			t.Errorf("Create for %v: no error", ttl)
		}
		_, err := s.Load(t.Context(), id)
		want(t, "Load", err, state.ErrNotFound)
	}
}

func testSealedCopy(t *testing.T, s state.Store) {
	h := sample()
	sealed := string(h.Sealed)
	id := create(t, s, h)
	h.Sealed[0]++
	got := load(t, s, id)
	if string(got.Sealed) != sealed {
		t.Error("a change after Create changed what is kept")
	}
	got.Sealed[0]++
	if got = load(t, s, id); string(got.Sealed) != sealed {
		t.Error("a change of what Load returned changed what is kept")
	}
}

func testExpiry(t *testing.T, s state.Store) {
	id, first := key(), sample()
	want(t, "Create", s.Create(t.Context(), id, first, life), nil)
	expire()
	_, err := s.Load(t.Context(), id)
	want(t, "Load", err, state.ErrNotFound)
	_, err = s.Count(t.Context(), id, first.Scope)
	want(t, "Count", err, state.ErrNotFound)
	second := sample()
	want(t, "Create again", s.Create(t.Context(), id, second, lasting), nil)
	wantSame(t, load(t, s, id), second)
}

func testDelete(t *testing.T, s state.Store) {
	id := create(t, s, sample())
	want(t, "Delete", s.Delete(t.Context(), id), nil)
	_, err := s.Load(t.Context(), id)
	want(t, "Load", err, state.ErrNotFound)
	want(t, "Create again", s.Create(t.Context(), id, sample(), lasting), nil)
}

func testMissing(t *testing.T, s state.Store) {
	ctx, id, now := t.Context(), key(), time.Now()
	_, err := s.Load(ctx, id)
	want(t, "Load", err, state.ErrNotFound)
	_, err = s.Count(ctx, id, key())
	want(t, "Count", err, state.ErrNotFound)
	want(t, "Uncount", s.Uncount(ctx, id), nil)
	want(t, "Resend", s.Resend(ctx, id, 1, [32]byte{}, now, now, lasting), state.ErrNotFound)
	right, err := s.Spend(ctx, id, [32]byte{})
	want(t, "Spend", err, state.ErrNotFound)
	if right {
		t.Error("Spend returned true")
	}
	want(t, "SpendProved", s.SpendProved(ctx, id), state.ErrNotFound)
	want(t, "Reopen", s.Reopen(ctx, id, false, lasting), state.ErrNotFound)
	want(t, "Delete", s.Delete(ctx, id), nil)
	_, err = s.Load(ctx, id)
	want(t, "Load after all that", err, state.ErrNotFound)
}

func testCount(t *testing.T, s state.Store) {
	h := sample()
	id := create(t, s, h)
	for i := range 3 {
		got, err := s.Count(t.Context(), id, h.Scope)
		want(t, "Count", err, nil)
		h.Tries = i + 1
		wantSame(t, got, h)
	}
	wantSame(t, load(t, s, id), h)
	spend(t, s, id, h.Code)
	_, err := s.Count(t.Context(), id, h.Scope)
	want(t, "Count of a spent one", err, state.ErrNotFound)
}

func testCountScope(t *testing.T, s state.Store) {
	h := sample()
	id := create(t, s, h)
	_, err := s.Count(t.Context(), id, key())
	want(t, "Count of another scope", err, state.ErrNotFound)
	wantSame(t, load(t, s, id), h)
}

func testCountProved(t *testing.T, s state.Store) {
	h := sample()
	h.Proved = true
	id := create(t, s, h)
	got, err := s.Count(t.Context(), id, h.Scope)
	want(t, "Count", err, nil)
	wantSame(t, got, h)
	wantSame(t, load(t, s, id), h)
}

// testCountParallel is the thousand guesses at once: each is told another
// number, so three of them are among the first three.
func testCountParallel(t *testing.T, s state.Store) {
	const guesses = 1000
	first := sample()
	id := create(t, s, first)
	var seen [guesses + 1]atomic.Int32
	wantOutcomes(t, parallel(guesses, func() error {
		h, err := s.Count(context.Background(), id, first.Scope)
		if err == nil && h.Tries >= 1 && h.Tries <= guesses {
			seen[h.Tries].Add(1)
		}
		return err
	}), guesses, nil)
	for i := range guesses {
		if n := seen[i+1].Load(); n != 1 {
			t.Fatalf("%d callers were told that theirs was try %d", n, i+1)
		}
	}
	if got := load(t, s, id).Tries; got != guesses {
		t.Errorf("Tries is %d, want %d", got, guesses)
	}
}

func testUncount(t *testing.T, s state.Store) {
	h := sample()
	h.Tries = 2
	id := create(t, s, h)
	for _, tries := range []int{1, 0, 0} {
		want(t, "Uncount", s.Uncount(t.Context(), id), nil)
		if got := load(t, s, id).Tries; got != tries {
			t.Errorf("Tries is %d, want %d", got, tries)
		}
	}
}

func testResend(t *testing.T, s state.Store) {
	ctx := t.Context()
	h := sample()
	h.Tries = 2
	id := create(t, s, h)

	next := sample()
	want(t, "Resend", s.Resend(ctx, id, 1, next.Code, next.CodeExpires.Add(time.Minute), next.NextSend.Add(time.Minute), lasting), nil)
	h.Sends, h.Code = 2, next.Code
	h.CodeExpires, h.NextSend = next.CodeExpires.Add(time.Minute), next.NextSend.Add(time.Minute)
	wantSame(t, load(t, s, id), h)

	for _, sends := range []int{0, 1, 3} {
		want(t, "Resend by a stale number", s.Resend(ctx, id, sends, [32]byte{}, time.Now(), time.Now(), lasting), state.ErrConflict)
	}
	wantSame(t, load(t, s, id), h)

	spend(t, s, id, h.Code)
	want(t, "Resend of a spent one", s.Resend(ctx, id, 2, [32]byte{}, time.Now(), time.Now(), lasting), state.ErrNotFound)
}

func testResendParallel(t *testing.T, s state.Store) {
	h := sample()
	id := create(t, s, h)
	wantOutcomes(t, parallel(50, func() error {
		return s.Resend(context.Background(), id, 1, sample().Code, h.CodeExpires, h.NextSend, lasting)
	}), 1, state.ErrConflict)
	if got := load(t, s, id).Sends; got != 2 {
		t.Errorf("Sends is %d, want 2", got)
	}
}

func testResendExtends(t *testing.T, s state.Store) {
	h, id, start := sample(), key(), time.Now()
	want(t, "Create", s.Create(t.Context(), id, h, life), nil)
	err := s.Resend(t.Context(), id, 1, h.Code, h.CodeExpires, h.NextSend, lasting)
	inTime(t, start, life)
	want(t, "Resend", err, nil)
	if err := s.Resend(t.Context(), id, 2, h.Code, h.CodeExpires, h.NextSend, 0); err == nil {
		t.Error("Resend for no time: no error")
	}
	expire()
	h.Sends = 2
	wantSame(t, load(t, s, id), h)
}

// spend fails the test unless code is right.
func spend(t *testing.T, s state.Store, id state.Key, code [32]byte) {
	t.Helper()
	right, err := s.Spend(t.Context(), id, code)
	want(t, "Spend", err, nil)
	if !right {
		t.Fatal("the right code was refused")
	}
}

func testSpend(t *testing.T, s state.Store) {
	h := sample()
	id := create(t, s, h)
	for i := range h.Code {
		wrong := h.Code
		wrong[i] ^= 1
		right, err := s.Spend(t.Context(), id, wrong)
		want(t, "Spend with a wrong code", err, nil)
		if right {
			t.Fatalf("a code that differs in byte %d was accepted", i)
		}
	}
	wantSame(t, load(t, s, id), h)

	spend(t, s, id, h.Code)
	h.Spent = true
	wantSame(t, load(t, s, id), h)
	right, err := s.Spend(t.Context(), id, h.Code)
	want(t, "Spend again", err, state.ErrNotFound)
	if right {
		t.Error("Spend again returned true")
	}
	want(t, "SpendProved of a spent one", s.SpendProved(t.Context(), id), state.ErrNotFound)
}

func testSpendParallel(t *testing.T, s state.Store) {
	h := sample()
	id := create(t, s, h)
	wantOutcomes(t, parallel(50, func() error {
		right, err := s.Spend(context.Background(), id, h.Code)
		if err == nil && !right {
			return errors.New("the right code was called wrong")
		}
		if err != nil && right {
			return errors.New("true beside an error")
		}
		return err
	}), 1, state.ErrNotFound)
}

func testSpendProved(t *testing.T, s state.Store) {
	h := sample()
	id := create(t, s, h)
	want(t, "SpendProved of one that is not", s.SpendProved(t.Context(), id), state.ErrNotFound)
	wantSame(t, load(t, s, id), h)

	h.Proved = true
	id = create(t, s, h)
	want(t, "SpendProved", s.SpendProved(t.Context(), id), nil)
	h.Spent = true
	wantSame(t, load(t, s, id), h)
	want(t, "SpendProved again", s.SpendProved(t.Context(), id), state.ErrNotFound)
}

func testSpendProvedParallel(t *testing.T, s state.Store) {
	h := sample()
	h.Proved = true
	id := create(t, s, h)
	wantOutcomes(t, parallel(50, func() error { return s.SpendProved(context.Background(), id) }), 1, state.ErrNotFound)
}

func testReopen(t *testing.T, s state.Store) {
	ctx := t.Context()
	before := sample()
	before.Tries = 1
	id := create(t, s, before)
	want(t, "Reopen of one not spent", s.Reopen(ctx, id, false, lasting), state.ErrNotFound)
	wantSame(t, load(t, s, id), before)

	_, err := s.Count(ctx, id, before.Scope)
	want(t, "Count", err, nil)
	spend(t, s, id, before.Code)
	want(t, "Reopen", s.Reopen(ctx, id, false, lasting), nil)
	wantSame(t, load(t, s, id), before)
	spend(t, s, id, before.Code)
	want(t, "Reopen", s.Reopen(ctx, id, false, lasting), nil)
	spend(t, s, id, before.Code)
	want(t, "Reopen", s.Reopen(ctx, id, false, lasting), nil)
	if got := load(t, s, id).Tries; got != 0 {
		t.Errorf("Tries is %d, want 0", got)
	}
}

func testReopenProved(t *testing.T, s state.Store) {
	ctx := t.Context()
	h := sample()
	h.Tries = 1
	id := create(t, s, h)
	spend(t, s, id, h.Code)
	want(t, "Reopen", s.Reopen(ctx, id, true, lasting), nil)
	h.Proved = true
	wantSame(t, load(t, s, id), h)

	// The answer to the birth year fails: it is awaited again, and no try was
	// counted for it.
	want(t, "SpendProved", s.SpendProved(ctx, id), nil)
	want(t, "Reopen", s.Reopen(ctx, id, false, lasting), nil)
	wantSame(t, load(t, s, id), h)
}

func testReopenParallel(t *testing.T, s state.Store) {
	h := sample()
	h.Tries = 3
	id := create(t, s, h)
	spend(t, s, id, h.Code)
	wantOutcomes(t, parallel(50, func() error { return s.Reopen(context.Background(), id, false, lasting) }), 1, state.ErrNotFound)
	if got := load(t, s, id).Tries; got != 2 {
		t.Errorf("Tries is %d, want 2", got)
	}
}

func testReopenExtends(t *testing.T, s state.Store) {
	h, id, start := sample(), key(), time.Now()
	want(t, "Create", s.Create(t.Context(), id, h, life), nil)
	right, errSpend := s.Spend(t.Context(), id, h.Code)
	errZero := s.Reopen(t.Context(), id, false, 0)
	err := s.Reopen(t.Context(), id, false, lasting)
	inTime(t, start, life)
	want(t, "Spend", errSpend, nil)
	want(t, "Reopen", err, nil)
	if !right || errZero == nil {
		t.Errorf("Spend: %v, Reopen for no time: %v; want true and an error", right, errZero)
	}
	expire()
	wantSame(t, load(t, s, id), h)
}

// parallel calls f n times at once and returns what it returned.
func parallel(n int, f func() error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			<-start
			errs[i] = f()
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// wantOutcomes fails the test unless exactly n of errs are nil and the others
// are other.
func wantOutcomes(t *testing.T, errs []error, n int, other error) {
	t.Helper()
	done := 0
	for _, err := range errs {
		switch {
		case err == nil:
			done++
		case !errors.Is(err, other):
			t.Fatalf("got error %v, want %v", err, other)
		}
	}
	if done != n {
		t.Errorf("%d of %d succeeded, want %d", done, len(errs), n)
	}
}
