package sms

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Outcomes of a sender's part in one message, as Observe gets them.
const (
	Sent    = "sent"    // accepted
	Failed  = "failed"  // refused, or tried as often as it is tried
	Timeout = "timeout" // no answer in time, at the last try
	Skipped = "skipped" // not asked, as it has failed of late
)

// Defaults of DispatcherConfig.
const (
	DefaultWait   = 2 * time.Second // contract, section 6
	DefaultBudget = 30 * time.Second
)

// How a sender is tried again. All waits together are below a second, so that
// with a provider that refuses quickly even the next one is asked while the
// person still waits.
const (
	maxTries     = 3
	firstBackoff = 150 * time.Millisecond
	growth       = 2
)

// DispatcherConfig configures a Dispatcher.
type DispatcherConfig struct {
	// Senders are tried in this order. There must be one.
	Senders []Sender
	// Wait is how long whoever asked waits for an outcome. 0 means DefaultWait.
	Wait time.Duration
	// Budget is how long a message is tried for, over all senders: each gets an
	// equal share of what is left, so that one that hangs leaves time for the
	// next. 0 means DefaultBudget.
	Budget time.Duration
	// Failures is how many requests in a row must fail for a sender to be left
	// out. Refusals that are about the message (ErrMessage) do not count. 0 means
	// DefaultFailures.
	Failures int
	// Pause is how long it is left out. Then one request tries whether it works
	// again; the next sender has the others meanwhile. 0 means DefaultPause.
	Pause time.Duration
	// Observe, if set, is called once for each sender whose turn it was with a
	// message, with its name and Sent, Failed, Timeout or Skipped. It must be quick
	// and safe for concurrent use.
	Observe func(sender, outcome string)
	// Logger gets failures, with nothing of the message. nil means slog.Default().
	Logger *slog.Logger
}

// Dispatcher sends messages in the background. It is safe for concurrent use.
type Dispatcher struct {
	cfg     DispatcherConfig
	senders []*guarded

	mu      sync.Mutex // held while a message is added to pending
	closed  bool
	pending sync.WaitGroup
	abort   context.Context // ends what is under way
	cancel  context.CancelFunc
}

// NewDispatcher returns a Dispatcher, which Close must end.
func NewDispatcher(cfg DispatcherConfig) (*Dispatcher, error) {
	if len(cfg.Senders) == 0 {
		return nil, errors.New("sms: no sender: configure at least one")
	}
	if cfg.Wait <= 0 {
		cfg.Wait = DefaultWait
	}
	if cfg.Budget <= 0 {
		cfg.Budget = DefaultBudget
	}
	if cfg.Failures <= 0 {
		cfg.Failures = DefaultFailures
	}
	if cfg.Pause <= 0 {
		cfg.Pause = DefaultPause
	}
	if cfg.Observe == nil {
		cfg.Observe = func(string, string) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	abort, cancel := context.WithCancel(context.Background())
	d := &Dispatcher{cfg: cfg, abort: abort, cancel: cancel}
	for i, s := range cfg.Senders {
		d.senders = append(d.senders, newGuarded(s, i+1, cfg))
	}
	return d, nil
}

// Send sends m through the first sender that accepts it, and waits for that,
// up to the configured Wait or until ctx ends. It returns nil if the message was
// accepted or is still under way, ErrNotSent if it is known not to be sent.
//
// A message under way is not stopped by the end of ctx. If it fails after all,
// failed, unless nil, is called, once, so that what was charged for it can be
// given back. failed is never called when Send returns an error.
func (d *Dispatcher) Send(ctx context.Context, m Message, failed func()) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrNotSent, context.Cause(ctx))
	}
	if !d.begin() {
		return fmt.Errorf("%w: shutting down", ErrNotSent)
	}
	var w waiter
	w.done = make(chan struct{})
	go func() {
		defer d.pending.Done()
		sent := d.deliver(context.WithoutCancel(ctx), m)
		if w.finish(sent) && !sent && failed != nil {
			failed()
		}
	}()

	limit := time.NewTimer(d.cfg.Wait)
	defer limit.Stop()
	select {
	case <-w.done:
	case <-limit.C:
	case <-ctx.Done():
	}
	if w.leave() {
		return nil
	}
	return ErrNotSent
}

// waiter is where whoever asked and the delivery meet: the outcome is told to
// the one if it is known before it leaves, and else dealt with by the other.
type waiter struct {
	mu       sync.Mutex
	left     bool
	finished bool
	sent     bool
	done     chan struct{} // closed when finished
}

// finish notes the outcome and returns whether nobody waits for it any more.
func (w *waiter) finish(sent bool) (alone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finished, w.sent = true, sent
	close(w.done)
	return w.left
}

// leave returns whether the message is sent or under way.
func (w *waiter) leave() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = true
	return !w.finished || w.sent
}

// begin counts a message that is under way, unless the Dispatcher is closed.
func (d *Dispatcher) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.pending.Add(1)
	return true
}

// Close refuses further messages and waits for those under way. When ctx ends
// first it gives those up, which calls their failed functions, and returns the
// reason.
func (d *Dispatcher) Close(ctx context.Context) error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	defer d.cancel()
	idle := make(chan struct{})
	go func() {
		d.pending.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		d.cancel()
		<-idle
		return fmt.Errorf("sms: text messages were still being sent and are given up: %w", context.Cause(ctx))
	}
}

// deliver tries one sender after the other and returns whether one accepted m.
func (d *Dispatcher) deliver(ctx context.Context, m Message) (sent bool) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Budget)
	defer cancel()
	defer context.AfterFunc(d.abort, cancel)()
	until, _ := ctx.Deadline()

	for i, s := range d.senders {
		if ctx.Err() != nil {
			break
		}
		share := time.Until(until) / time.Duration(len(d.senders)-i)
		err := d.retry(ctx, s, m, share)
		outcome := outcomeOf(err)
		d.cfg.Observe(s.Name(), outcome)
		switch outcome {
		case Sent:
			return true
		case Skipped: // that it is left out was logged when it began
			continue
		}
		d.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a sender did not accept a text message",
			slog.String("sender", s.Name()), slog.Int("position", s.position),
			slog.String("outcome", outcome), slog.String("error", withhold(err, m)))
	}
	d.cfg.Logger.LogAttrs(ctx, slog.LevelError, "a text message was not sent: no sender accepted it")
	return false
}

// retry asks s until it accepts m, refuses it for good, was asked often or long
// enough, or is left out.
func (d *Dispatcher) retry(ctx context.Context, s *guarded, m Message, share time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, share)
	defer cancel()
	var last error
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.Multiplier = firstBackoff, growth
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := s.run(func() error { return d.try(ctx, s, m, share/maxTries) })
		if errors.Is(err, errSkipped) {
			if last == nil { // else why it is left out says more
				last = err
			}
			return struct{}{}, backoff.Permanent(last)
		}
		last = err
		if errors.Is(last, ErrPermanent) || s.leftOut() {
			return struct{}{}, backoff.Permanent(last)
		}
		return struct{}{}, last
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(maxTries), backoff.WithMaxElapsedTime(0))
	if err == nil {
		return nil
	}
	return last // rather than that the time is over, why it was not enough
}

// try asks s once, for at most limit, even where s takes no notice of that: it
// is then left to itself.
func (d *Dispatcher) try(ctx context.Context, s Sender, m Message, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	result := make(chan error, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil {
				// Not the value, which may be made of the message. A stack shows
				// strings as addresses.
				d.cfg.Logger.LogAttrs(ctx, slog.LevelError, "a sender of text messages panicked",
					slog.String("sender", s.Name()), slog.String("type", fmt.Sprintf("%T", v)), slog.String("stack", string(debug.Stack())))
				result <- fmt.Errorf("panic (%T)", v)
			}
		}()
		result <- s.Send(ctx, m)
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		select {
		case err := <-result: // at the same moment
			return err
		default:
			return ctx.Err()
		}
	}
}

func outcomeOf(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil:
		return Sent
	case errors.Is(err, errSkipped):
		return Skipped
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return Timeout
	default:
		return Failed
	}
}
