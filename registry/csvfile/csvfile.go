// Package csvfile is the registry of an operator's own list: a CSV file of doses,
// read whole into memory, and again whenever it changes. The registry is what its
// file says now: who is no longer in it is no longer known, and a status that it
// lowers is lowered.
package csvfile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"sync"
	"sync/atomic"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
)

// Config says which file it is and how to read it.
type Config struct {
	// Path is the file. It may be a symbolic link, and be replaced by renaming
	// another over it, which is the better way to change it.
	Path string
	// Countries are the country calling codes allowed, the first that of numbers
	// written without one. None means India, 91.
	Countries []int
	// Schedule knows the vaccines; its zero value is the built-in table.
	Schedule registry.Schedule
	// Logger is told of rows set aside and of files refused, and that a new one
	// counts. nil means slog.Default().
	Logger *slog.Logger
	// Now is the clock that says which dates lie in the future; nil is time.Now.
	Now func() time.Time
	// PollEvery is how often the file is looked at, 500ms if 0. A change counts
	// once two looks saw the same file, so that one being written is not read
	// half: within a second.
	PollEvery time.Duration
}

// Registry is a registry.Registry over a CSV file. Close it.
type Registry struct {
	config  Config
	content atomic.Pointer[content] // nil once closed
	mu      sync.Mutex              // held while the file is read
	seen    look                    // the file that was read or refused last; under mu
	sum     uint64                  // a hash of what was read last; under mu
	closing context.Context
	cancel  context.CancelFunc
	stopped sync.WaitGroup
}

// content is what a file says. It is never changed, only replaced.
type content struct {
	records map[registry.Mobile][]registry.Record
	people  int
}

var _ registry.Registry = (*Registry)(nil)

var errClosed = errors.New("registry csv: closed")

// Open reads the file and goes on watching it until Close. It returns an error
// where a changed file would be refused (Reload), except that a file may have no
// rows yet.
func Open(c Config) (*Registry, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.PollEvery <= 0 {
		c.PollEvery = 500 * time.Millisecond
	}
	r := &Registry{config: c}
	r.closing, r.cancel = context.WithCancel(context.Background())
	if err := r.Reload(r.closing); err != nil {
		r.cancel()
		return nil, err
	}
	r.stopped.Go(r.watch)
	return r, nil
}

// Lookup returns the records under a number. It allocates nothing.
func (r *Registry) Lookup(ctx context.Context, mobile registry.Mobile) ([]registry.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := r.content.Load()
	if c == nil {
		return nil, errClosed
	}
	return c.records[mobile], nil
}

// Ready returns nil until the registry is closed: what was read counts until
// something better is there.
func (r *Registry) Ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.content.Load() == nil {
		return errClosed
	}
	return nil
}

// People returns how many people the registry knows.
func (r *Registry) People() int {
	if c := r.content.Load(); c != nil {
		return c.people
	}
	return 0
}

// Close stops watching the file. Lookups then fail.
func (r *Registry) Close() error {
	r.cancel()
	r.stopped.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.content.Store(nil)
	return nil
}

// Reload reads the file now. It is refused, and the old content stays, if it
// cannot be read, has no proper header, has no row that makes sense while there
// were people before, or if more than a tenth of its rows make no sense. Fewer
// are set aside with a warning for each of the first ten, and a count.
func (r *Registry) Reload(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.reload(ctx)
	return err
}

// reload is Reload with the lock held. It also says whether the file said
// anything else than before.
func (r *Registry) reload(ctx context.Context) (changed bool, err error) {
	if r.closing.Err() != nil {
		return false, errClosed
	}
	read, err := r.read(ctx)
	if err != nil {
		return false, fmt.Errorf("registry csv %s: %w", r.config.Path, err)
	}
	changed = read.sum != r.sum
	r.sum = read.sum
	if changed {
		r.warn(read)
	}
	r.content.Store(read.content)
	return changed, nil
}

// warn logs the rows that were set aside.
func (r *Registry) warn(read reading) {
	for _, e := range read.shown {
		r.config.Logger.Warn("registry csv: row set aside", "file", r.config.Path, "line", e.Line, "column", e.Column, "reason", e.Reason)
	}
	if more := read.bad - len(read.shown); more > 0 {
		r.config.Logger.Warn("registry csv: more rows set aside", "file", r.config.Path, "set_aside", read.bad, "not_shown", more)
	}
	if read.good == 0 {
		r.config.Logger.Warn("registry csv: the file has no rows yet, nobody has a status", "file", r.config.Path)
	}
}
