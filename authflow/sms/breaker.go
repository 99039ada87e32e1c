package sms

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Defaults of DispatcherConfig for a sender that fails.
const (
	DefaultFailures = 5
	DefaultPause    = 10 * time.Second
)

// A sender is also left out when, with at least enoughRequests in the last
// rollingWindow, half of them or more failed: one that answers now and then never
// fails many times in a row.
const (
	rollingWindow  = 60 * time.Second
	rollingBucket  = 10 * time.Second
	enoughRequests = 20
)

// guarded is a Sender with its breaker. It counts requests, not messages, so
// that a sender that hangs is known for it within two messages.
type guarded struct {
	Sender
	position int // in the configuration, from 1: several senders have one name
	breaker  *gobreaker.CircuitBreaker[struct{}]
}

func newGuarded(s Sender, position int, cfg DispatcherConfig) *guarded {
	g := &guarded{Sender: s, position: position}
	g.breaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:  1, // one trial when the pause is over
		Interval:     rollingWindow,
		BucketPeriod: rollingBucket,
		Timeout:      cfg.Pause,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			answered := c.TotalSuccesses + c.TotalFailures
			return c.ConsecutiveFailures >= uint32(cfg.Failures) ||
				answered >= enoughRequests && 2*c.TotalFailures >= answered
		},
		// What is about the one message, or was given up by ourselves, counts
		// neither for nor against the sender.
		IsExcluded: func(err error) bool {
			return errors.Is(err, ErrMessage) || errors.Is(err, context.Canceled)
		},
		// Once for each time it stops and each time it works again: a trial that
		// fails says nothing new.
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch {
			case from == gobreaker.StateClosed && to == gobreaker.StateOpen:
				cfg.Logger.LogAttrs(context.Background(), slog.LevelWarn,
					"a sender of text messages fails and is left out until a trial succeeds",
					slog.String("sender", s.Name()), slog.Int("position", position), slog.Duration("trial_every", cfg.Pause))
			case to == gobreaker.StateClosed:
				cfg.Logger.LogAttrs(context.Background(), slog.LevelInfo, "a sender of text messages works again",
					slog.String("sender", s.Name()), slog.Int("position", position))
			}
		},
	})
	return g
}

// run asks the sender by ask, unless it is left out: then it returns errSkipped.
func (g *guarded) run(ask func() error) error {
	_, err := g.breaker.Execute(func() (struct{}, error) { return struct{}{}, ask() })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return errSkipped
	}
	return err
}

// leftOut returns whether the sender would not be asked now.
func (g *guarded) leftOut() bool { return g.breaker.State() == gobreaker.StateOpen }
