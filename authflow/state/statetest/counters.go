package statetest

import (
	"context"
	"errors"
	"slices"
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
		err := take(s, b)
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
	want(t, "Take", take(s), nil)
}

func testTakeBadWindow(t *testing.T, s state.Store) {
	good, bad := budget("good", 1), budget("bad", 1)
	for _, window := range []time.Duration{0, -1, -time.Minute} {
		bad.Window = window
		var limit *state.LimitError
		if err := take(s, good, bad); err == nil || errors.As(err, &limit) {
			t.Errorf("Take with a window of %v: got %v, want another error", window, err)
		}
	}
	wantLeft(t, s, good, 1)
}

func testTakeAllOrNone(t *testing.T, s state.Store) {
	a, b, c := budget("a", 5), budget("b", 2), budget("c", 5)
	want(t, "Take", take(s, a, b, c), nil)
	want(t, "Take", take(s, a, b, c), nil)
	wantLimit(t, take(s, a, b, c), "b", lasting)
	wantLimit(t, take(s, c, a, b), "b", lasting)
	wantLeft(t, s, a, 3)
	wantLeft(t, s, b, 0)
	wantLeft(t, s, c, 3)
}

func testTakeSameKeyTwice(t *testing.T, s state.Store) {
	a := budget("a", 3)
	want(t, "Take", take(s, a, a), nil)
	wantLimit(t, take(s, a, a), "a", lasting)
	wantLeft(t, s, a, 1)
}

func testTakeLongestWait(t *testing.T, s state.Store) {
	short, long := budget("short", 1), budget("long", 1)
	short.Window = lasting / 2
	want(t, "Take", take(s, short, long), nil)
	wantLimit(t, take(s, short, long), "long", lasting)
	wantLimit(t, take(s, long, short), "long", lasting)
}

func testTakeParallel(t *testing.T, s state.Store) {
	b := budget("b", 7)
	errs := parallel(200, func() error { return limited(take(s, b)) })
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
			return limited(take(s, own[i], common))
		}
		return limited(take(s, common, own[i]))
	})
	wantOutcomes(t, errs, limit, errLimited)
	charged := 0
	for _, b := range own {
		if err := limited(take(s, b)); err == errLimited {
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
		return take(s, b[i%3], b[(i+1+i/3%2)%3], b[(i+2-i/3%2)%3])
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
	want(t, "Take", take(s, b), nil)
	want(t, "Take", take(s, b), nil)
	err := take(s, b)
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
	want(t, "Take", take(s, b), nil)
	expire()
	want(t, "Take", take(s, b), nil)
	inTime(t, start, b.Window)
	expire()
	b.Window = lasting
	wantLeft(t, s, b, 2)
}

// back returns n single charges of key.
func back(key state.Key, n int) []state.Return {
	return slices.Repeat([]state.Return{{Key: key}}, n)
}

func testGiveBack(t *testing.T, s state.Store) {
	ctx := t.Context()
	b := budget("b", 3)
	want(t, "GiveBack to none", s.GiveBack(ctx, back(b.Key, 2)...), nil)
	wantLeft(t, s, b, 3)
	want(t, "GiveBack", s.GiveBack(ctx, back(b.Key, 1)...), nil)
	wantLeft(t, s, b, 1)
	want(t, "GiveBack of nothing", s.GiveBack(ctx), nil)
	wantLeft(t, s, b, 0)
	want(t, "GiveBack of more than there was", s.GiveBack(ctx, back(b.Key, 100)...), nil)
	wantLeft(t, s, b, 3)

	other := budget("other", 3)
	wantLeft(t, s, other, 3)
	want(t, "GiveBack to several", s.GiveBack(ctx, state.Return{Key: b.Key}, state.Return{Key: other.Key, All: true}), nil)
	wantLeft(t, s, b, 1)
	wantLeft(t, s, other, 3)

	wantOutcomes(t, parallel(50, func() error { return s.GiveBack(context.Background(), back(b.Key, 1)...) }), 50, nil)
	wantLeft(t, s, b, 3)

	// A charge given back does not make the window longer.
	w := budget("w", 2)
	w.Window = life
	start := time.Now()
	want(t, "Take", take(s, w, w), nil)
	want(t, "GiveBack", s.GiveBack(ctx, back(w.Key, 1)...), nil)
	inTime(t, start, life)
	expire()
	w.Window = lasting
	wantLeft(t, s, w, 2)
}

func testGiveBackAll(t *testing.T, s state.Store) {
	b := budget("b", 3)
	all := state.Return{Key: b.Key, All: true}
	want(t, "GiveBack of all to none", s.GiveBack(t.Context(), all), nil)
	wantLeft(t, s, b, 3)
	want(t, "GiveBack of all", s.GiveBack(t.Context(), all), nil)
	wantLeft(t, s, b, 3)
}

// testTakeShare has a budget of at most half, from the fourth charge on.
func testTakeShare(t *testing.T, s state.Store) {
	b := state.Budget{Name: "share", Key: key(), Of: key(), Share: 50, Limit: 4, Window: lasting}
	for range 4 {
		want(t, "Take", take(s, b), nil)
	}
	wantLimit(t, take(s, b), "share", lasting) // 4 of 4
	want(t, "GiveBack", s.GiveBack(t.Context(), back(b.Key, 2)...), nil)
	wantLimit(t, take(s, b), "share", lasting) // 2 of 4
	want(t, "GiveBack", s.GiveBack(t.Context(), back(b.Key, 1)...), nil)
	want(t, "Take", take(s, b), nil) // 1 of 4
	want(t, "Take", take(s, b), nil) // 2 of 5
	wantLimit(t, take(s, b), "share", lasting)
	// One that was never sent is given back to both.
	want(t, "GiveBack", s.GiveBack(t.Context(), state.Return{Key: b.Key}, state.Return{Key: b.Of}), nil)
	want(t, "Take", take(s, b), nil)
}

// testTakeShareAllOrNone refuses one budget and looks at whether the share's
// counters were charged.
func testTakeShareAllOrNone(t *testing.T, s state.Store) {
	b := state.Budget{Name: "share", Key: key(), Of: key(), Share: 50, Limit: 4, Window: lasting}
	for range 10 {
		wantLimit(t, take(s, b, budget("none", 0)), "none", lasting)
	}
	plain := b
	plain.Share, plain.Limit = 0, 2
	wantLeft(t, s, plain, 2)
	plain.Key = b.Of
	wantLeft(t, s, plain, 2)
}

func testTakeRecordOnly(t *testing.T, s state.Store) {
	b := budget("b", 2)
	b.RecordOnly = true
	share := state.Budget{Name: "share", Key: key(), Of: key(), Share: 50, Limit: 3, Window: lasting, RecordOnly: true}
	for i := range 6 {
		exceeded, err := s.Take(t.Context(), b, share)
		want(t, "Take", err, nil)
		var over []string
		if i >= 2 {
			over = append(over, "b")
		}
		if i >= 3 {
			over = append(over, "share")
		}
		if !slices.Equal(exceeded, over) {
			t.Errorf("charge %d: exceeded %q, want %q", i+1, exceeded, over)
		}
	}
	b.RecordOnly, b.Limit = false, 7
	wantLeft(t, s, b, 1)
}

// take is Take by itself.
func take(s state.Store, budgets ...state.Budget) error {
	_, err := s.Take(context.Background(), budgets...)
	return err
}
