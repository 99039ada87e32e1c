package embedded

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

// generation is an open generation. It is closed when nobody holds it any more.
type generation struct {
	current
	db   *pebble.DB
	keys *sealed.Keys
	held atomic.Int64
}

func openGeneration(dir string, c current, keys *sealed.Keys, cache *pebble.Cache) (*generation, error) {
	o := options()
	o.ReadOnly = true
	o.FS = shared{vfs.Default}
	o.Cache = cache
	o.MaxOpenFiles = 1 << 14 // all there are
	db, err := pebble.Open(generationDir(dir, c.Generation), o)
	if err != nil {
		return nil, err
	}
	g := &generation{current: c, db: db, keys: keys}
	g.held.Store(1)
	if err := g.openTables(); err != nil {
		g.release()
		return nil, err
	}
	return g, nil
}

// openTables opens every table now: when the next generation counts this one is
// removed, and what is open can still be read.
func (g *generation) openTables() error {
	levels, err := g.db.SSTables()
	if err != nil {
		return err
	}
	it, err := g.db.NewIter(nil)
	if err != nil {
		return err
	}
	for _, level := range levels {
		for _, table := range level {
			it.SeekGE(table.Smallest.UserKey)
		}
	}
	return it.Close()
}

func (g *generation) acquire() bool {
	for {
		n := g.held.Load()
		if n == 0 {
			return false
		}
		if g.held.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (g *generation) release() {
	if g.held.Add(-1) == 0 {
		g.db.Close() // nothing was written: there is nothing to lose
	}
}

func (g *generation) lookup(mobile registry.Mobile) ([]registry.Record, error) {
	index := g.keys.Index(mobile)
	box, done, err := g.db.Get(index[:])
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer done.Close()
	return g.keys.Unseal(mobile, box)
}

const (
	format    = pebble.FormatTableFormatV6
	lastLevel = 6 // of Pebble's
)

// options are those of every generation. They are written into the store's files
// and may differ from one version of this program to the next.
func options() *pebble.Options {
	o := &pebble.Options{
		FormatMajorVersion: format,
		DisableWAL:         true, // there are no writes but of whole tables
		Logger:             quiet{},
	}
	for i := range o.Levels {
		l := &o.Levels[i]
		l.BlockSize = 4 << 10
		l.IndexBlockSize = 256 << 10
		// What is encrypted does not get smaller.
		l.Compression = func() *sstable.CompressionProfile { return block.NoCompression }
		// The last level has nearly all there is, and nearly all who are asked for are
		// in it: there a filter is one more thing to read. In the levels above it saves
		// looking into their tables.
		if i < lastLevel {
			l.FilterPolicy = bloom.FilterPolicy(10)
		} else {
			l.FilterPolicy = pebble.NoFilterPolicy
		}
	}
	return o
}

// shared is a file system that lets any number read a store at once: one that
// counts is written by nobody.
type shared struct{ vfs.FS }

func (shared) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (s shared) Unwrap() vfs.FS { return s.FS }

// quiet keeps Pebble from the log: what matters comes back as an error. What is fatal
// to it while it reads is a table that is not there, which is an error too.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

// fatal is quiet for who writes: Pebble relies on not going on.
type fatal struct{ quiet }

func (fatal) Fatalf(format string, args ...any) {
	panic("registry file: the store cannot be written, the one before is as it was: " + fmt.Sprintf(format, args...))
}
