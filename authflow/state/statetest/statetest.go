// Package statetest holds the tests that every engine of package state must
// pass. An engine's own tests call Run, or RunIn where it can run on the fake
// clock of testing/synctest.
package statetest

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// life is the ttl and window of what a test waits to see expire, and lasting
// of what must not expire while the test runs. Over a real engine a test really
// waits for a life.
const (
	life    = 200 * time.Millisecond
	lasting = time.Minute
)

// expire waits until what had a life is over. An engine may be a little late
// with it, as one that counts in milliseconds is.
func expire() { time.Sleep(life + life/4) }

// inTime ends the test if what began at start, and should have been over at
// once, took so long that things with a life may have expired by themselves: a
// busy machine says nothing about the engine.
func inTime(t *testing.T, start time.Time, life time.Duration) {
	t.Helper()
	if took := time.Since(start); took >= life {
		t.Skipf("this machine is too busy to test expiry: a step took %v", took)
	}
}

// Run tests the engine that open opens. open is called for each test, may
// return a store that others use too, since all keys are random, and ends it
// with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) state.Store) {
	RunIn(t, func(t *testing.T, f func(t *testing.T)) { f(t) }, open)
}

// RunIn is Run with each test called through in, which may be synctest.Test.
func RunIn(t *testing.T, in func(*testing.T, func(*testing.T)), open func(t *testing.T) state.Store) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in(t, func(t *testing.T) { test.f(t, open(t)) })
		})
	}
}

var tests = []struct {
	name string
	f    func(*testing.T, state.Store)
}{
	{"Ready", testReady},
	{"CreateLoad", testCreateLoad},
	{"CreateZero", testCreateZero},
	{"CreateTwice", testCreateTwice},
	{"CreateParallel", testCreateParallel},
	{"CreateTTL", testCreateTTL},
	{"Sealed is a copy", testSealedCopy},
	{"Expiry", testExpiry},
	{"Delete", testDelete},
	{"Missing", testMissing},
	{"Count", testCount},
	{"CountScope", testCountScope},
	{"CountProved", testCountProved},
	{"CountParallel", testCountParallel},
	{"Uncount", testUncount},
	{"Resend", testResend},
	{"ResendParallel", testResendParallel},
	{"ResendExtends", testResendExtends},
	{"Spend", testSpend},
	{"SpendParallel", testSpendParallel},
	{"SpendProved", testSpendProved},
	{"SpendProvedParallel", testSpendProvedParallel},
	{"Reopen", testReopen},
	{"ReopenProved", testReopenProved},
	{"ReopenParallel", testReopenParallel},
	{"ReopenExtends", testReopenExtends},

	{"Take", testTake},
	{"TakeNothing", testTakeNothing},
	{"TakeBadWindow", testTakeBadWindow},
	{"TakeAllOrNone", testTakeAllOrNone},
	{"TakeSameKeyTwice", testTakeSameKeyTwice},
	{"TakeLongestWait", testTakeLongestWait},
	{"TakeParallel", testTakeParallel},
	{"TakeAllOrNoneParallel", testTakeAllOrNoneParallel},
	{"TakeOrderParallel", testTakeOrderParallel},
	{"WindowRestart", testWindowRestart},
	{"WindowFromFirstCharge", testWindowFromFirstCharge},
	{"GiveBack", testGiveBack},
	{"GiveBackAll", testGiveBackAll},
	{"TakeShare", testTakeShare},
	{"TakeShareAllOrNone", testTakeShareAllOrNone},
	{"TakeRecordOnly", testTakeRecordOnly},

	{"List", testList},
	{"ListIsACopy", testListCopy},
	{"ListExpiry", testListExpiry},
	{"ListParallel", testListParallel},
}

// key returns a key that nobody has used.
func key() (k state.Key) {
	rand.Read(k[:])
	return k
}

// sample returns a handshake with every field set.
func sample() state.Handshake {
	now := time.Now().Truncate(time.Millisecond)
	h := state.Handshake{
		Scope:       key(),
		CodeExpires: now.Add(3 * time.Minute),
		Sends:       1,
		NextSend:    now.Add(30 * time.Second),
		Mobile:      key(),
		Client:      key(),
		Sealed:      []byte("sealed \x00\xff bytes"),
	}
	rand.Read(h.Code[:])
	return h
}

// create keeps h in s for lasting and returns its id.
func create(t *testing.T, s state.Store, h state.Handshake) state.Key {
	t.Helper()
	id := key()
	want(t, "Create", s.Create(t.Context(), id, h, lasting), nil)
	return id
}

func load(t *testing.T, s state.Store, id state.Key) state.Handshake {
	t.Helper()
	h, err := s.Load(t.Context(), id)
	want(t, "Load", err, nil)
	return h
}

// want fails the test unless err is target.
func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("%s: got error %v, want %v", what, err, target)
	}
}

// wantLimit fails the test unless err says that the named budget is used up,
// with a wait above 0 and up to window.
func wantLimit(t *testing.T, err error, budget string, window time.Duration) {
	t.Helper()
	var limit *state.LimitError
	if !errors.As(err, &limit) {
		t.Fatalf("got error %v, want a LimitError", err)
	}
	if limit.Budget != budget {
		t.Errorf("limit %q reached, want %q", limit.Budget, budget)
	}
	if limit.RetryAfter <= 0 || limit.RetryAfter > window {
		t.Errorf("RetryAfter is %v, want above 0 and at most %v", limit.RetryAfter, window)
	}
}

// clockTolerance is how far off a time may come back. An engine on a server
// keeps times by the server's clock, so that instances with different clocks
// agree; what it translates there and back is off by as long as the steps took.
const clockTolerance = time.Second

// sameTime tells whether two times are the same within the tolerance. The zero
// time, which stands for none, must come back as it is.
func sameTime(a, b time.Time) bool {
	if a.IsZero() || b.IsZero() {
		return a.IsZero() == b.IsZero()
	}
	return a.Sub(b).Abs() <= clockTolerance
}

// wantSame fails the test unless got and want say the same.
func wantSame(t *testing.T, got, want state.Handshake) {
	t.Helper()
	if !sameTime(got.CodeExpires, want.CodeExpires) || !sameTime(got.NextSend, want.NextSend) {
		t.Errorf("times are %v, %v, want %v, %v", got.CodeExpires, got.NextSend, want.CodeExpires, want.NextSend)
	}
	if string(got.Sealed) != string(want.Sealed) {
		t.Errorf("Sealed is %q, want %q", got.Sealed, want.Sealed)
	}
	if got.Scope != want.Scope || got.Code != want.Code || got.Mobile != want.Mobile || got.Client != want.Client ||
		got.Sends != want.Sends || got.Tries != want.Tries || got.Proved != want.Proved || got.Spent != want.Spent {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
