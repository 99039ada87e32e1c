// Package embedded is the registry of one machine with as many people as a nation
// has: a directory of sealed records (registry/sealed), kept by Pebble.
//
//	DIRECTORY/keys     the store's key, wrapped by the operator's secret
//	DIRECTORY/CURRENT  which generation counts, and how many are in it
//	DIRECTORY/gen-N    a generation: a Pebble store that is never written again
//	DIRECTORY/LOCK     held by whoever makes the next generation
//
// A generation that counts is only read, by any number of processes at once. A
// change (Writer) makes the next one beside it, of hard links to the tables that
// stay and of new ones, and then replaces CURRENT: whatever stops it leaves the old
// generation or the new. What a change that was stopped left lying about is
// removed by the next one.
//
// A Registry looks at CURRENT every now and then, and goes over to a new
// generation without a lookup that fails or waits.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

// Config says where a store is and how to read it.
type Config struct {
	// Dir is the store's directory.
	Dir string
	// Secrets are the operator's, the newest first. The store's key is wrapped by the
	// first one when it is next changed.
	Secrets [][]byte
	// Cache is how many bytes of tables are kept in memory beside what the operating
	// system keeps; 0 means 1 GiB. No more is taken than there are tables.
	Cache int64
	// PollEvery is how often the registry looks for a new generation, 500ms if 0.
	PollEvery time.Duration
	// Logger is told that a new generation counts, and what keeps one from counting.
	// nil means slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Cache <= 0 {
		c.Cache = 1 << 30
	}
	if c.PollEvery <= 0 {
		c.PollEvery = 500 * time.Millisecond
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// ErrNoStore says that a directory holds no store.
var ErrNoStore = errors.New("there is no registry yet: import a file of doses into it first (caddy kycvs import)")

var errClosed = errors.New("registry file: closed")

// Registry is a registry.Registry over a store. Close it.
type Registry struct {
	config  Config
	cache   *pebble.Cache
	current atomic.Pointer[generation] // nil once closed
	mu      sync.Mutex                 // held while going over to another generation
	refused string                     // the CURRENT that was warned of; under mu
	cancel  context.CancelFunc
	stopped sync.WaitGroup
}

var _ registry.Registry = (*Registry)(nil)

// Open opens the store that is there: ErrNoStore if there is none,
// sealed.ErrWrongSecret if none of the secrets is the one it was made with.
func Open(c Config) (*Registry, error) {
	c = c.withDefaults()
	r := &Registry{config: c, cache: pebble.NewCache(c.Cache)}
	if err := r.Reload(context.Background()); err != nil {
		r.cache.Unref()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.stopped.Go(func() { r.watch(ctx) })
	return r, nil
}

// Lookup returns the records under a number.
func (r *Registry) Lookup(ctx context.Context, mobile registry.Mobile) ([]registry.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	g := r.acquire()
	if g == nil {
		return nil, errClosed
	}
	defer g.release()
	records, err := g.lookup(mobile)
	if err != nil {
		return nil, fmt.Errorf("registry file %s: %w", r.config.Dir, err)
	}
	return records, nil
}

// Ready returns nil if the tables can be read. It reads a box that is hardly there.
func (r *Registry) Ready(ctx context.Context) error {
	_, err := r.Lookup(ctx, "")
	return err
}

// People returns how many people the registry knows.
func (r *Registry) People() int64 {
	g := r.acquire()
	if g == nil {
		return 0
	}
	defer g.release()
	return g.People
}

// Close ends all. Lookups then fail, those under way end first.
func (r *Registry) Close() error {
	r.cancel()
	r.stopped.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.current.Swap(nil)
	if g == nil {
		return nil
	}
	g.release()
	r.cache.Unref()
	return nil
}

// Reload goes over to the generation that counts now. If it cannot be opened, the
// old one goes on to answer.
func (r *Registry) Reload(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		now, err := readCurrent(r.config.Dir)
		if err != nil {
			return err
		}
		old := r.current.Load()
		if old != nil && old.current == now {
			return nil
		}
		keys, err := openKeys(r.config.Dir, now, r.config.Secrets)
		var g *generation
		if err == nil {
			g, err = openGeneration(r.config.Dir, now, keys, r.cache)
		}
		if err == nil {
			r.current.Store(g)
			if old != nil {
				old.release()
				r.config.Logger.Info("registry file: new content", "directory", r.config.Dir, "people", g.People)
			}
			return nil
		}
		// It may have been followed by another, and removed, meanwhile.
		if later, again := readCurrent(r.config.Dir); again != nil || later == now || ctx.Err() != nil {
			return fmt.Errorf("registry file %s: %w", r.config.Dir, err)
		}
	}
}

func (r *Registry) watch(ctx context.Context) {
	tick := time.NewTicker(r.config.PollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := r.Reload(ctx)
		r.mu.Lock()
		said := ""
		if err != nil {
			said = err.Error()
		}
		if said != "" && said != r.refused {
			r.config.Logger.Error("registry file: the new content does not count, the old one goes on", "directory", r.config.Dir, "error", err)
		}
		r.refused = said
		r.mu.Unlock()
	}
}

// acquire returns the generation that counts, to be released; nil once closed.
func (r *Registry) acquire() *generation {
	for {
		g := r.current.Load()
		if g == nil || g.acquire() {
			return g
		}
	}
}

// keys that were opened with an older secret still open the store; whoever writes
// wraps them anew.
func openKeys(dir string, c current, secrets [][]byte) (*sealed.Keys, error) {
	keys, err := readKeys(dir, secrets)
	if err == nil && keys.StoreID() != c.Store {
		err = errors.New("the files keys and CURRENT are of two stores: restore the directory as a whole from a backup, or import anew")
	}
	return keys, err
}
