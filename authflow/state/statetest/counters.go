package statetest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

func budget(name string, limit int) state.Budget {
	return state.Budget{Name: name, Key: key(), Limit: limit, Window: lasting}
}

// wantLeft fails the test unless b can be charged n times more. It uses b up.
func wantLeft(t *testing.T, s state.Store, b state.Budget, n int) {
	t.Helper()
	left := 0
	for left <= n {
		err := s.Take(t.Context(), b)
		if err != nil {
			wantLimit(t, err, b.Name, b.Window)
			break
		}
		left++
	}
	if left > n {
		t.Errorf("more than %d charges were left of %s", n, b.Name)
	} else if left != n {
		t.Errorf("%d charges were left of %s, want %d", left, b.Name, n)
	}
}

func testTake(t *testing.T, s state.Store) {
	for _, limit := range []int{1, 3, 300} {
		wantLeft(t, s, budget("plain", limit), limit)
	}
	for _, limit := range []int{0, -1} {
		wantLeft(t, s, budget("none", limit), 0)
	}
	// The limit is the caller's, not the counter's: a configuration may change.
	b := budget("changed", 3)
	wantLeft(t, s, b, 3)
	b.Limit = 5
	wantLeft(t, s, b, 2)
	b.Limit = 1
	wantLeft(t, s, b, 0)
}

func testTakeNothing(t *testing.T, s state.Store) {
	want(t, "Take", s.Take(t.Context()), nil)
}

func testTakeBadWindow(t *testing.T, s state.Store) {
	good, bad := budget("good", 1), budget("bad", 1)
	for _, window := range []time.Duration{0, -1, -time.Minute} {
		bad.Window = window
		var limit *state.LimitError
		if err := s.Take(t.Context(), good, bad); err == nil || errors.As(err, &limit) {
			t.Errorf("Take with a window of %v: got %v, want another error", window, err)
		}
	}
	wantLeft(t, s, good, 1)
}

func testTakeAllOrNone(t *testing.T, s state.Store) {
	a, b, c := budget("a", 5), budget("b", 2), budget("c", 5)
	want(t, "Take", s.Take(t.Context(), a, b, c), nil)
	want(t, "Take", s.Take(t.Context(), a, b, c), nil)
	wantLimit(t, s.Take(t.Context(), a, b, c), "b", lasting)
	wantLimit(t, s.Take(t.Context(), c, a, b), "b", lasting)
	wantLeft(t, s, a, 3)
	wantLeft(t, s, b, 0)
	wantLeft(t, s, c, 3)
}

func testTakeSameKeyTwice(t *testing.T, s state.Store) {
	a := budget("a", 3)
	want(t, "Take", s.Take(t.Context(), a, a), nil)
	wantLimit(t, s.Take(t.Context(), a, a), "a", lasting)
	wantLeft(t, s, a, 1)
}

func testTakeLongestWait(t *testing.T, s state.Store) {
	short, long := budget("short", 1), budget("long", 1)
	short.Window = lasting / 2
	want(t, "Take", s.Take(t.Context(), short, long), nil)
	wantLimit(t, s.Take(t.Context(), short, long), "long", lasting)
	wantLimit(t, s.Take(t.Context(), long, short), "long", lasting)
}

func testTakeParallel(t *testing.T, s state.Store) {
	b := budget("b", 7)
	errs := parallel(200, func() error { return limited(s.Take(context.Background(), b)) })
	wantOutcomes(t, errs, 7, errLimited)
}

// testTakeAllOrNoneParallel charges one common budget together with several
// of each caller's own: what the own ones were charged is what the common one
// let through.
func testTakeAllOrNoneParallel(t *testing.T, s state.Store) {
	const callers, limit = 100, 40
	common := budget("common", limit)
	own := make([]state.Budget, callers)
	for i := range own {
		own[i] = budget("own", 1)
	}
	var next atomic.Int32
	errs := parallel(callers, func() error {
		i := next.Add(1) - 1
		if i%2 == 0 {
			return limited(s.Take(context.Background(), own[i], common))
		}
		return limited(s.Take(context.Background(), common, own[i]))
	})
	wantOutcomes(t, errs, limit, errLimited)
	charged := 0
	for _, b := range own {
		if err := limited(s.Take(t.Context(), b)); err == errLimited {
			charged++
		}
	}
	if charged != limit {
		t.Errorf("%d own budgets were charged, want %d: a refused Take charged something, or a granted one did not", charged, limit)
	}
	wantLeft(t, s, common, 0)
}

// testTakeOrderParallel names the same budgets in every order at once: nobody
// waits for somebody who waits for them.
func testTakeOrderParallel(t *testing.T, s state.Store) {
	const n = 300
	b := []state.Budget{budget("0", n), budget("1", n), budget("2", n)}
	var next atomic.Int32
	errs := parallel(n, func() error {
		i := int(next.Add(1))
		return s.Take(context.Background(), b[i%3], b[(i+1+i/3%2)%3], b[(i+2-i/3%2)%3])
	})
	wantOutcomes(t, errs, n, nil)
	for _, b := range b {
		wantLeft(t, s, b, 0)
	}
}

var errLimited = errors.New("limited")

// limited makes a LimitError errLimited.
func limited(err error) error {
	var limit *state.LimitError
	if errors.As(err, &limit) {
		return errLimited
	}
	return err
}

func testWindowRestart(t *testing.T, s state.Store) {
	b := budget("b", 2)
	b.Window = life
	start := time.Now()
	want(t, "Take", s.Take(t.Context(), b), nil)
	want(t, "Take", s.Take(t.Context(), b), nil)
	err := s.Take(t.Context(), b)
	inTime(t, start, life)
	wantLimit(t, err, "b", life)
	expire()
	b.Window = lasting
	wantLeft(t, s, b, 2)
}

// testWindowFromFirstCharge charges again late in the window, which must not
// make it longer.
func testWindowFromFirstCharge(t *testing.T, s state.Store) {
	b := budget("b", 2)
	b.Window = 2 * life
	start := time.Now()
	want(t, "Take", s.Take(t.Context(), b), nil)
	expire()
	want(t, "Take", s.Take(t.Context(), b), nil)
	inTime(t, start, b.Window)
	expire()
	b.Window = lasting
	wantLeft(t, s, b, 2)
}

func testGiveBack(t *testing.T, s state.Store) {
	ctx := t.Context()
	b := budget("b", 3)
	want(t, "GiveBack to none", s.GiveBack(ctx, b.Key, 2), nil)
	wantLeft(t, s, b, 3)
	want(t, "GiveBack", s.GiveBack(ctx, b.Key, 1), nil)
	wantLeft(t, s, b, 1)
	want(t, "GiveBack of 0", s.GiveBack(ctx, b.Key, 0), nil)
	want(t, "GiveBack of -1", s.GiveBack(ctx, b.Key, -1), nil)
	wantLeft(t, s, b, 0)
	want(t, "GiveBack of more than there was", s.GiveBack(ctx, b.Key, 1000), nil)
	wantLeft(t, s, b, 3)

	wantOutcomes(t, parallel(50, func() error { return s.GiveBack(context.Background(), b.Key, 1) }), 50, nil)
	wantLeft(t, s, b, 3)

	// A charge given back does not make the window longer.
	w := budget("w", 2)
	w.Window = life
	start := time.Now()
	want(t, "Take", s.Take(ctx, w, w), nil)
	want(t, "GiveBack", s.GiveBack(ctx, w.Key, 1), nil)
	inTime(t, start, life)
	expire()
	w.Window = lasting
	wantLeft(t, s, w, 2)
}

func testClear(t *testing.T, s state.Store) {
	b := budget("b", 3)
	want(t, "Clear of none", s.Clear(t.Context(), b.Key), nil)
	wantLeft(t, s, b, 3)
	want(t, "Clear", s.Clear(t.Context(), b.Key), nil)
	wantLeft(t, s, b, 3)
}
