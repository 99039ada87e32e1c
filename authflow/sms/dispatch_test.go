package sms

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var message = Message{
	To:    "+919876543210",
	Text:  "123456 is your code for Entry to the mall, Phoenix Mall.\n\n@mall.example #123456",
	Code:  "123456",
	TxnID: "3fa85f64-5717-4562-b3fc-2c963f66afa6",
	ID:    "3fa85f64-5717-4562-b3fc-2c963f66afa6-1",
	Lang:  "en",
}

// fake is a Sender that does what its next step says; the last step repeats.
type fake struct {
	name  string
	steps []step
	calls atomic.Int32
}

type step func(context.Context, Message) error

func (f *fake) Name() string { return f.name }

func (f *fake) Send(ctx context.Context, m Message) error {
	n := int(f.calls.Add(1))
	return f.steps[min(n, len(f.steps))-1](ctx, m)
}

var errRefused = errors.New("status 503")

func accept(context.Context, Message) error { return nil }
func refuse(context.Context, Message) error { return errRefused }
func never(context.Context, Message) error  { return fmt.Errorf("status 402: %w", ErrPermanent) }
func panics(_ context.Context, m Message) error {
	panic("cannot send " + m.Text)
}

// hangs waits for the end of ctx.
func hangs(ctx context.Context, _ Message) error {
	<-ctx.Done()
	return ctx.Err()
}

// after does s later, if ctx lasts.
func after(d time.Duration, s step) step {
	return func(ctx context.Context, m Message) error {
		select {
		case <-time.After(d):
			return s(ctx, m)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestSend(t *testing.T) {
	for _, test := range []struct {
		name     string
		first    []step
		second   []step        // nil: there is one sender
		want     error         // of Send
		within   time.Duration // that Send takes, at most
		calls    [2]int32
		outcomes string // in the end
		failed   bool   // whether failed was called in the end
	}{
		{name: "accepted", first: []step{accept}, calls: [2]int32{1}, outcomes: "a:sent"},
		{name: "accepted at the second try", first: []step{refuse, accept}, within: time.Second, calls: [2]int32{2}, outcomes: "a:sent"},
		{name: "accepted at the third try", first: []step{refuse, refuse, accept}, within: time.Second, calls: [2]int32{3}, outcomes: "a:sent"},
		{name: "refused", first: []step{refuse}, want: ErrNotSent, within: time.Second, calls: [2]int32{3}, outcomes: "a:failed"},
		{name: "refused for good", first: []step{never}, want: ErrNotSent, calls: [2]int32{1}, outcomes: "a:failed"},
		{name: "refused, then for good", first: []step{refuse, never}, want: ErrNotSent, within: time.Second, calls: [2]int32{2}, outcomes: "a:failed"},
		{name: "the next sender", first: []step{refuse}, second: []step{accept}, within: time.Second, calls: [2]int32{3, 1}, outcomes: "a:failed b:sent"},
		{name: "the next sender at once", first: []step{never}, second: []step{accept}, calls: [2]int32{1, 1}, outcomes: "a:failed b:sent"},
		{name: "not the next sender", first: []step{accept}, second: []step{accept}, calls: [2]int32{1, 0}, outcomes: "a:sent"},
		{name: "both refuse", first: []step{refuse}, second: []step{refuse}, want: ErrNotSent, within: 2 * time.Second, calls: [2]int32{3, 3}, outcomes: "a:failed b:failed"},
		{name: "panic", first: []step{panics, accept}, within: time.Second, calls: [2]int32{2}, outcomes: "a:sent"},
		{name: "only panics", first: []step{panics}, want: ErrNotSent, within: time.Second, calls: [2]int32{3}, outcomes: "a:failed"},
		{name: "slow, accepted in time", first: []step{after(1999*time.Millisecond, accept)}, within: 2 * time.Second, calls: [2]int32{1}, outcomes: "a:sent"},
		{name: "slow, accepted later", first: []step{after(5*time.Second, accept)}, within: 2 * time.Second, calls: [2]int32{1}, outcomes: "a:sent"},
		{name: "slow, refused in time", first: []step{after(1999*time.Millisecond, never)}, want: ErrNotSent, within: 2 * time.Second, calls: [2]int32{1}, outcomes: "a:failed"},
		{name: "slow, refused later", first: []step{after(5*time.Second, never)}, within: 2 * time.Second, calls: [2]int32{1}, outcomes: "a:failed", failed: true},
		{name: "hangs", first: []step{hangs}, within: 2 * time.Second, calls: [2]int32{3}, outcomes: "a:timeout", failed: true},
		{name: "hangs once", first: []step{hangs, accept}, within: 2 * time.Second, calls: [2]int32{2}, outcomes: "a:sent"},
		{name: "hangs, the next sender", first: []step{hangs}, second: []step{accept}, within: 2 * time.Second, calls: [2]int32{3, 1}, outcomes: "a:timeout b:sent"},
		{name: "both hang", first: []step{hangs}, second: []step{hangs}, within: 2 * time.Second, calls: [2]int32{3, 3}, outcomes: "a:timeout b:timeout", failed: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := &fake{name: "a", steps: test.first}, &fake{name: "b", steps: test.second}
				h := newHarness(t, a)
				if test.second != nil {
					h = newHarness(t, a, b)
				}
				start := time.Now()
				err := h.Send(t.Context(), message, h.failed)
				if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
					t.Errorf("Send returned %v, want %v", err, test.want)
				}
				if took := time.Since(start); took > test.within {
					t.Errorf("Send took %v, want at most %v", took, test.within)
				}
				if err := h.Close(t.Context()); err != nil {
					t.Errorf("Close: %v", err)
				}
				if took := time.Since(start); took > DefaultBudget {
					t.Errorf("it was over after %v, want at most %v", took, DefaultBudget)
				}
				if got := [2]int32{a.calls.Load(), b.calls.Load()}; got != test.calls {
					t.Errorf("the senders were asked %v times, want %v", got, test.calls)
				}
				h.check(t, test.outcomes, test.failed)
			})
		})
	}
}

// harness is a Dispatcher with what it told others.
type harness struct {
	*Dispatcher
	mu       sync.Mutex
	outcomes []string
	log      bytes.Buffer
	failures atomic.Int32
}

func newHarness(t *testing.T, senders ...Sender) *harness {
	h := &harness{}
	d, err := NewDispatcher(DispatcherConfig{
		Senders: senders,
		Observe: func(sender, outcome string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.outcomes = append(h.outcomes, sender+":"+outcome)
		},
		Logger: slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelDebug - 4})),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Dispatcher = d
	return h
}

func (h *harness) failed() { h.failures.Add(1) }

// check is called after Close.
func (h *harness) check(t *testing.T, outcomes string, failed bool) {
	t.Helper()
	if got := strings.Join(h.outcomes, " "); got != outcomes {
		t.Errorf("outcomes are %q, want %q", got, outcomes)
	}
	for _, o := range h.outcomes {
		_, o, _ := strings.Cut(o, ":")
		if !slices.Contains([]string{Sent, Failed, Timeout, Skipped}, o) {
			t.Errorf("outcome %q is not of the closed set", o)
		}
	}
	want := int32(0)
	if failed {
		want = 1
	}
	if got := h.failures.Load(); got != want {
		t.Errorf("failed was called %d times, want %d", got, want)
	}
	wantPrivate(t, h.log.String())
}

// wantPrivate fails the test if text has something of message.
func wantPrivate(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{"9876543210", message.Code, "Phoenix", "mall.example", message.TxnID, url.QueryEscape(message.Text)} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in %s", secret, text)
		}
	}
}

// TestSendCallerGone ends the caller's context while the message is under way:
// it goes on.
func TestSendCallerGone(t *testing.T) {
	for _, test := range []struct {
		name   string
		step   step
		failed bool
	}{
		{"accepted", after(8*time.Second, accept), false},
		{"refused", after(8*time.Second, never), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, &fake{name: "a", steps: []step{test.step}})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				if err := h.Send(ctx, message, h.failed); err != nil {
					t.Errorf("Send: %v", err)
				}
				if took := time.Since(start); took != time.Second {
					t.Errorf("Send took %v, want 1s", took)
				}
				if err := h.Close(t.Context()); err != nil {
					t.Error(err)
				}
				h.check(t, "a:"+map[bool]string{false: "sent", true: "failed"}[test.failed], test.failed)
			})
		})
	}
}

func TestSendCallerGoneBefore(t *testing.T) {
	f := &fake{name: "a", steps: []step{accept}}
	h := newHarness(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Send(ctx, message, h.failed); !errors.Is(err, ErrNotSent) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want ErrNotSent and context.Canceled", err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if f.calls.Load() != 0 {
		t.Error("a message was sent for nobody")
	}
	h.check(t, "", false)
}

func TestSendWithoutFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, &fake{name: "a", steps: []step{hangs}})
		if err := h.Send(t.Context(), message, nil); err != nil {
			t.Error(err)
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestSendDeaf has a sender that takes no notice of its context.
func TestSendDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := func(context.Context, Message) error {
			time.Sleep(time.Hour)
			return nil
		}
		h := newHarness(t, &fake{name: "a", steps: []step{deaf}}, &fake{name: "b", steps: []step{accept}})
		start := time.Now()
		if err := h.Send(t.Context(), message, h.failed); err != nil {
			t.Error(err)
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > DefaultBudget {
			t.Errorf("it took %v, want at most %v", took, DefaultBudget)
		}
		h.check(t, "a:timeout b:sent", false)
		time.Sleep(2 * time.Hour) // until the deaf ones have ended
	})
}

// TestFailedOrError sends many messages that fail at about the time at which
// the callers stop to wait: each is told one way, and one way only.
func TestFailedOrError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, &fake{name: "a", steps: []step{after(DefaultWait, never)}})
		const n = 200
		var told atomic.Int32
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				if err := h.Send(t.Context(), message, h.failed); err != nil {
					told.Add(1)
				}
			})
		}
		wg.Wait()
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := told.Load() + h.failures.Load(); got != n {
			t.Errorf("%d by an error and %d by failed, want %d in all", told.Load(), h.failures.Load(), n)
		}
	})
}

func TestCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, &fake{name: "a", steps: []step{hangs}})
		if err := h.Send(t.Context(), message, h.failed); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := h.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: got %v, want DeadlineExceeded", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("Close took %v, want 1s", took)
		}
		h.check(t, "a:failed", true)
		if err := h.Send(t.Context(), message, h.failed); !errors.Is(err, ErrNotSent) {
			t.Errorf("Send after Close: got %v, want ErrNotSent", err)
		}
		if err := h.Close(t.Context()); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

// TestWithhold has a sender that breaks its promise.
func TestWithhold(t *testing.T) {
	for _, text := range []string{
		"already sent: " + message.ID,
		`Post "https://sms.example/?to=%2B919876543210": EOF`,
		"refused: " + message.Text, "code 123456", "9876543210 +919876543210", message.TxnID,
		"message=" + url.QueryEscape(message.Text),
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t, &fake{name: "a", steps: []step{func(context.Context, Message) error {
				return fmt.Errorf("%s: %w", text, ErrPermanent)
			}}})
			err := h.Send(t.Context(), message, h.failed)
			if !errors.Is(err, ErrNotSent) {
				t.Fatalf("got %v, want ErrNotSent", err)
			}
			wantPrivate(t, err.Error())
			if err := h.Close(t.Context()); err != nil {
				t.Error(err)
			}
			h.check(t, "a:failed", false)
			if !strings.Contains(h.log.String(), "withheld") {
				t.Errorf("the log does not say that something is withheld: %s", h.log.String())
			}
		})
	}
	if got := withhold(errRefused, message); got != "status 503" {
		t.Errorf("got %q", got)
	}
	if got := withhold(errRefused, Message{}); got != "status 503" {
		t.Errorf("got %q", got)
	}
}

func TestNewDispatcher(t *testing.T) {
	if _, err := NewDispatcher(DispatcherConfig{}); err == nil {
		t.Error("a Dispatcher without senders: no error")
	}
	d, err := NewDispatcher(DispatcherConfig{Senders: []Sender{&fake{name: "a", steps: []step{accept}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Send(t.Context(), message, nil); err != nil {
		t.Error(err)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
