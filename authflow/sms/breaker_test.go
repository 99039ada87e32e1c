package sms

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// noNumber is a refusal that is about the message.
func noNumber(context.Context, Message) error {
	return fmt.Errorf("status 400: %w %w", ErrPermanent, ErrMessage)
}

// times repeats a step.
func times(n int, s step) []step { return slices.Repeat([]step{s}, n) }

// sendAll sends n messages one after the other and returns how many were sent.
func sendAll(t *testing.T, h *harness, n int) (sent int) {
	t.Helper()
	for range n {
		switch err := h.Send(t.Context(), message, h.failed); {
		case err == nil:
			sent++
		case !errors.Is(err, ErrNotSent):
			t.Errorf("Send: %v", err)
		}
	}
	return sent
}

func (h *harness) count(outcome string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.outcomes {
		if o == outcome {
			n++
		}
	}
	return n
}

// TestBreakerOpens holds what counts against a sender and what does not.
func TestBreakerOpens(t *testing.T) {
	const messages = 10
	for _, test := range []struct {
		name  string
		first []step
		calls int32 // of the first sender, for so many messages
	}{
		{"tried again, then left out", []step{refuse}, DefaultFailures},
		{"refused for good, as the key is wrong", []step{never}, DefaultFailures},
		{"panics", []step{panics}, DefaultFailures},
		{"hangs", []step{hangs}, DefaultFailures},
		{"refuses the messages", []step{noNumber}, messages},
		{"works", []step{accept}, messages},
		{"fails, then works", slices.Concat(times(DefaultFailures-1, never), []step{accept}), messages},
		{"fails between messages it refuses", slices.Concat([]step{noNumber}, times(DefaultFailures, never), []step{accept}), 1 + DefaultFailures},
		{"messages it refuses do not make good", slices.Concat(times(3, never), times(2, noNumber), times(2, never), []step{accept}), 7},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := &fake{name: "a", steps: test.first}, &fake{name: "b", steps: []step{accept}}
				h := newHarness(t, a, b)
				for range messages {
					if err := h.Send(t.Context(), message, h.failed); err != nil {
						t.Errorf("Send: %v", err)
					}
				}
				if err := h.Close(t.Context()); err != nil {
					t.Error(err)
				}
				// Messages whose first sender hangs are under way at the same time, each
				// with its request.
				if got := a.calls.Load(); test.name == "hangs" && (got < test.calls || got > test.calls+messages/2) {
					t.Errorf("the first sender was asked %d times, want about %d", got, test.calls)
				} else if test.name != "hangs" && got != test.calls {
					t.Errorf("the first sender was asked %d times, want %d", got, test.calls)
				}
				for _, o := range h.outcomes {
					if o == "b:failed" || o == "b:timeout" || o == "b:skipped" {
						t.Errorf("outcome %s of a sender that works", o)
					}
				}
				wantPrivate(t, h.log.String())
			})
		})
	}
}

// TestBreakerShare has a sender that fails every second time, never many times
// in a row.
func TestBreakerShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steps []step
		for range 50 {
			steps = append(steps, accept, never)
		}
		a, b := &fake{name: "a", steps: steps}, &fake{name: "b", steps: []step{accept}}
		h := newHarness(t, a, b)
		if got := sendAll(t, h, 50); got != 50 {
			t.Errorf("%d of 50 messages were sent", got)
		}
		if got := a.calls.Load(); got != enoughRequests {
			t.Errorf("the first sender was asked %d times, want %d", got, enoughRequests)
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestBreakerCloses walks through an outage: left out, a trial that fails, a
// trial that succeeds.
func TestBreakerCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &fake{name: "a", steps: slices.Concat(times(DefaultFailures, never), []step{never, accept})}
		b := &fake{name: "b", steps: []step{accept}}
		h := newHarness(t, a, b)
		check := func(when string, sent int, calls int32, skipped int) {
			t.Helper()
			if sent != 4 {
				t.Errorf("%s: %d of 4 messages were sent", when, sent)
			}
			if got := a.calls.Load(); got != calls {
				t.Errorf("%s: the first sender was asked %d times, want %d", when, got, calls)
			}
			if got := h.count("a:skipped"); got != skipped {
				t.Errorf("%s: it was skipped %d times, want %d", when, got, skipped)
			}
		}
		sendAll(t, h, DefaultFailures)
		start := time.Now()
		check("left out", sendAll(t, h, 4), DefaultFailures, 4)
		if took := time.Since(start); took != 0 {
			t.Errorf("the next sender was asked after %v, want at once", took)
		}
		time.Sleep(DefaultPause + 1)
		check("a trial fails", sendAll(t, h, 4), DefaultFailures+1, 7)
		time.Sleep(DefaultPause + 1)
		check("a trial succeeds", sendAll(t, h, 4), DefaultFailures+5, 7)
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		log := h.log.String()
		for _, line := range []string{"is left out until a trial succeeds", "works again"} {
			if n := strings.Count(log, line); n != 1 {
				t.Errorf("the log says %d times that it %s", n, line)
			}
		}
		wantPrivate(t, log)
	})
}

// TestBreakerTrial holds that one message tries, while others do not wait for
// the outcome.
func TestBreakerTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &fake{name: "a", steps: slices.Concat(times(DefaultFailures, never), []step{hangs})}
		b := &fake{name: "b", steps: []step{accept}}
		h := newHarness(t, a, b)
		sendAll(t, h, DefaultFailures)
		time.Sleep(DefaultPause + 1)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { sendAll(t, h, 1) })
		}
		wg.Wait()
		if got := a.calls.Load(); got != DefaultFailures+1 {
			t.Errorf("it was asked %d times, want one trial after %d", got, DefaultFailures)
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := h.count("b:sent"); got != DefaultFailures+50 {
			t.Errorf("the next sender sent %d messages, want all %d", got, DefaultFailures+50)
		}
		h.check(t, strings.Join(h.outcomes, " "), false)
	})
}

// TestAllLeftOut holds that a person is told at once when no sender works.
func TestAllLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &fake{name: "a", steps: []step{never}}, &fake{name: "b", steps: []step{never}}
		h := newHarness(t, a, b)
		if got := sendAll(t, h, DefaultFailures); got != 0 {
			t.Errorf("%d messages were sent", got)
		}
		start := time.Now()
		if err := h.Send(t.Context(), message, h.failed); !errors.Is(err, ErrNotSent) {
			t.Errorf("got %v, want ErrNotSent", err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v, want nothing", took)
		}
		if got := h.outcomes[len(h.outcomes)-2:]; !slices.Equal(got, []string{"a:skipped", "b:skipped"}) {
			t.Errorf("outcomes are %q", got)
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if h.failures.Load() != 0 {
			t.Error("failed was called beside an error")
		}
	})
}

// TestThirdHasItsChance has two senders that hang before one that works.
func TestThirdHasItsChance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &fake{name: "a", steps: []step{hangs}}, &fake{name: "b", steps: []step{hangs}}
		c := &fake{name: "c", steps: []step{after(9*time.Second/maxTries, accept)}}
		h := newHarness(t, a, b, c)
		start := time.Now()
		if err := h.Send(t.Context(), message, h.failed); err != nil {
			t.Errorf("Send: %v", err)
		}
		if took := time.Since(start); took != DefaultWait {
			t.Errorf("whoever asked waited %v, want %v", took, DefaultWait)
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > DefaultBudget {
			t.Errorf("it was over after %v, want at most %v", took, DefaultBudget)
		}
		h.check(t, "a:timeout b:timeout c:sent", false)
	})
}

// TestOneSenderOnly holds that no second sender has a message that the first
// accepted, and that every refusal of the first was known, when nothing hangs.
func TestOneSenderOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		accepted := map[string]int{}
		sender := func(name string, every int) *fake {
			n := 0
			return &fake{name: name, steps: []step{func(_ context.Context, m Message) error {
				mu.Lock()
				defer mu.Unlock()
				if n++; n%every != 0 {
					return errRefused
				}
				accepted[m.ID]++
				return nil
			}}}
		}
		h := newHarness(t, sender("a", 3), sender("b", 2), sender("c", 1))
		var wg sync.WaitGroup
		for i := range 200 {
			m := message
			m.ID = fmt.Sprint("m-", i)
			wg.Go(func() {
				if err := h.Send(t.Context(), m, h.failed); err != nil {
					t.Errorf("Send: %v", err)
				}
			})
		}
		wg.Wait()
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if len(accepted) != 200 {
			t.Errorf("%d messages were accepted, want 200", len(accepted))
		}
		for id, n := range accepted {
			if n != 1 {
				t.Errorf("%s was accepted %d times", id, n)
			}
		}
	})
}

// TestRetrySameID holds that each try of a message has the same id, with every
// sender.
func TestRetrySameID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var ids []string
		noted := func(s step) step {
			return func(ctx context.Context, m Message) error {
				mu.Lock()
				ids = append(ids, m.ID)
				mu.Unlock()
				return s(ctx, m)
			}
		}
		h := newHarness(t, &fake{name: "a", steps: []step{noted(refuse)}}, &fake{name: "b", steps: []step{noted(refuse), noted(accept)}})
		if err := h.Send(t.Context(), message, h.failed); err != nil {
			t.Error(err)
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if want := slices.Repeat([]string{message.ID}, 5); !slices.Equal(ids, want) {
			t.Errorf("ids are %q", ids)
		}
	})
}
