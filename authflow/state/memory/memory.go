// Package memory is the state engine of a single instance: handshakes and
// counters in this process, gone when it ends.
//
// What it holds is bounded by Config, and nothing is ever evicted to make
// room: whoever fills the store with new entries gets state.ErrFull, and the
// counter that they would like forgotten stays until its window is over.
//
// Handshakes lie in shards, each an own go-cache under an own mutex. go-cache
// knows about expiry; the mutex makes a step of several calls one step, which
// go-cache alone does not. Counters lie in plain maps; see tally. Its janitor is not used: it would run until a
// finalizer happens to stop it, and hold one lock over all entries.
package memory

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// Defaults of Config.
const (
	DefaultMaxHandshakes = 200_000
	DefaultMaxCounters   = 2_000_000
)

// The sweeper wakes every sweepEvery and goes through one of sweepParts of the
// shards, so what has expired is gone after their product.
const (
	sweepEvery = 2 * time.Second
	sweepParts = 8
)

// Config bounds a Store.
type Config struct {
	// MaxHandshakes is how many handshakes may be under way, and, in KiB, how
	// much memory they take together: one whose sealed part is too large for
	// that counts as several, and so does a list. 0 means DefaultMaxHandshakes.
	MaxHandshakes int
	// MaxCounters is how many counters may be kept, about 60 bytes each.
	// 0 means DefaultMaxCounters.
	MaxCounters int
}

func (cfg *Config) fillDefaults() {
	if cfg.MaxHandshakes <= 0 {
		cfg.MaxHandshakes = DefaultMaxHandshakes
	}
	if cfg.MaxCounters <= 0 {
		cfg.MaxCounters = DefaultMaxCounters
	}
}

// Store is a state.Store in memory. Time is the process's own, so tests run it
// under testing/synctest.
type Store struct {
	handshakes *table
	counters   *tally

	close   sync.Once
	closing chan struct{}
	swept   chan struct{} // closed when the sweeper has ended
}

var _ state.Store = (*Store)(nil)

// Open returns an empty Store, which Close must end.
func Open(cfg Config) *Store {
	cfg.fillDefaults()
	s := &Store{
		handshakes: newTable(cfg.MaxHandshakes),
		counters:   newTally(cfg.MaxCounters),
		closing:    make(chan struct{}),
		swept:      make(chan struct{}),
	}
	go s.sweep()
	return s
}

// SetBounds changes the bounds and loses nothing: where more is held than the new
// ones allow, nothing is added until enough of it has ended.
func (s *Store) SetBounds(cfg Config) {
	cfg.fillDefaults()
	s.handshakes.max.Store(int64(cfg.MaxHandshakes))
	s.counters.max.Store(int64(cfg.MaxCounters))
}

// Close stops the sweeper and waits for it. A Store that is closed is not
// Ready, but a caller that still holds it gets answers.
func (s *Store) Close() error {
	s.close.Do(func() { close(s.closing) })
	<-s.swept
	return nil
}

// Ready implements state.Store. A full store is ready: it answers, and to call
// the whole instance unready because of one flood would finish the flood's work.
func (s *Store) Ready(context.Context) error {
	select {
	case <-s.closing:
		return errors.New("state: memory store is closed")
	default:
		return nil
	}
}

func (s *Store) sweep() {
	defer close(s.swept)
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for part := 0; ; part = (part + 1) % sweepParts {
		select {
		case <-s.closing:
			return
		case <-tick.C:
			s.handshakes.sweepPart(part, sweepParts)
			s.counters.sweepPart(part, sweepParts)
		}
	}
}
