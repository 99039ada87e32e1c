package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/kycvs/caddy-kycvs/registry/loading"
	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

// Writer changes a store. It is the loading.Engine of this package.
type Writer struct {
	config Config
}

var _ loading.Engine = (*Writer)(nil)

// NewWriter returns a writer. It does nothing yet: the directory and the key are
// made with the first change.
func NewWriter(c Config) *Writer { return &Writer{c.withDefaults()} }

// ErrBusy says that somebody else is changing the store.
var ErrBusy = errors.New("another import or erasure is changing this registry: wait until it is done")

// Begin starts a change: ErrBusy if one is under way, sealed.ErrWrongSecret if the
// store was made with another secret.
func (w *Writer) Begin(_ context.Context, dry bool) (loading.Batch, error) {
	b, err := w.begin(dry)
	if err != nil {
		return nil, fmt.Errorf("registry file %s: %w", w.config.Dir, err)
	}
	return b, nil
}

func (w *Writer) begin(dry bool) (_ *batch, err error) {
	dir, err := filepath.Abs(w.config.Dir) // the lock goes by its name
	if err != nil {
		return nil, err
	}
	b := &batch{dir: dir, secrets: w.config.Secrets, tables: newTables(lastLevel)}
	defer func() {
		if err != nil {
			b.Abort()
		}
	}()
	if len(b.secrets) == 0 {
		return nil, sealed.ErrNoSecret
	}
	if !dry {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		b.lock, err = vfs.Default.Lock(filepath.Join(dir, lockName))
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			return nil, err // it cannot be made
		}
		if err != nil {
			return nil, ErrBusy
		}
	}
	b.old, err = readCurrent(dir)
	switch {
	case errors.Is(err, ErrNoStore):
		// Keys without a generation are those of an import that was stopped.
		b.keys, b.wrapped, err = sealed.New(b.secrets[0])
	case err == nil:
		b.keys, err = openKeys(dir, b.old, b.secrets)
	}
	if err != nil {
		return nil, err
	}
	if b.old.Generation > 0 {
		b.tables = newTables(lastLevel - 1)
		cache := pebble.NewCache(8 << 20)
		defer cache.Unref()
		if b.base, err = openGeneration(dir, b.old, b.keys, cache); err != nil {
			return nil, err
		}
	}
	if dry {
		return b, nil
	}
	if err := tidy(dir, b.old.Generation); err != nil {
		return nil, err
	}
	if b.keys.Outdated() {
		wrapped, err := b.keys.Rewrap(b.secrets[0])
		if err != nil {
			return nil, err
		}
		if err := replace(filepath.Join(dir, keysName), wrapped); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// batch makes the next generation.
type batch struct {
	dir     string
	secrets [][]byte
	lock    io.Closer // nil: dry
	keys    *sealed.Keys
	wrapped []byte // keys that are to be written yet
	old     current
	base    *generation // nil: there is no old generation
	tables  *tables
	started bool // the next generation's directory is there
	done    bool
}

func (b *batch) Keys() *sealed.Keys { return b.keys }

// Fetch reads the tables from one index to the next.
func (b *batch) Fetch(ctx context.Context, indexes []sealed.Index, boxes [][]byte) error {
	if b.base == nil {
		clear(boxes)
		return nil
	}
	it, err := b.base.db.NewIterWithContext(ctx, nil)
	if err != nil {
		return err
	}
	for i := range indexes {
		key := indexes[i][:]
		if !it.SeekGE(key) || string(it.Key()) != string(key) {
			boxes[i] = nil
			continue
		}
		box, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(err, it.Close())
		}
		boxes[i] = append(boxes[i][:0], box...)
	}
	return it.Close()
}

func (b *batch) next() string { return generationDir(b.dir, b.old.Generation+1) }

// Put writes tables.
func (b *batch) Put(ctx context.Context, part loading.Part) error {
	return b.tables.put(ctx, part, b.start)
}

// start makes the next generation's directory when the first row comes, with all
// that the old one has.
func (b *batch) start() (incoming string, err error) {
	next := b.next()
	incoming = filepath.Join(next, "incoming")
	if err := os.MkdirAll(incoming, 0o700); err != nil {
		return "", err
	}
	b.started = true
	if b.base == nil {
		return incoming, nil
	}
	old := generationDir(b.dir, b.old.Generation)
	entries, err := os.ReadDir(old)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		from, to := filepath.Join(old, e.Name()), filepath.Join(next, e.Name())
		switch {
		case e.IsDir() || e.Name() == "LOCK":
		case filepath.Ext(e.Name()) == ".sst": // never written again
			err = vfs.LinkOrCopy(vfs.Default, from, to)
		default:
			err = vfs.Copy(vfs.Default, from, to)
		}
		if err != nil {
			return "", err
		}
	}
	return incoming, nil
}

// Commit takes the tables into the next generation and makes it count.
func (b *batch) Commit(ctx context.Context, change loading.Change) error {
	if err := b.commit(ctx, change); err != nil {
		return fmt.Errorf("registry file %s: %w", b.dir, err)
	}
	return nil
}

func (b *batch) commit(ctx context.Context, change loading.Change) error {
	paths, erased, err := b.tables.finish()
	if err != nil || len(paths) == 0 {
		return err
	}
	if err := b.ingest(ctx, paths, erased); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(b.next(), "incoming")); err != nil {
		return err
	}
	if err := errors.Join(ctx.Err(), syncDir(b.next()), syncDir(b.dir)); err != nil {
		return err
	}
	if b.wrapped != nil {
		if err := replace(filepath.Join(b.dir, keysName), b.wrapped); err != nil {
			return err
		}
	}
	now := current{Generation: b.old.Generation + 1, Store: b.keys.StoreID(),
		Numbers: b.old.Numbers + change.Numbers, People: b.old.People + change.People, Doses: b.old.Doses + change.Doses}
	if err := writeCurrent(b.dir, now); err != nil {
		return err // whether it counts or not: both are whole
	}
	b.done = true
	return tidy(b.dir, now.Generation)
}

// mostLevels is how many tables a lookup may have to ask, before all are made one.
const mostLevels = 4

func (b *batch) ingest(ctx context.Context, paths []string, erased []sealed.Index) (err error) {
	o := options()
	o.Logger = fatal{}
	db, err := pebble.Open(b.next(), o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Ingest(ctx, paths); err != nil {
		return err
	}
	// What was erased is in the tables below until they are written anew.
	for _, index := range erased {
		if err := db.Compact(ctx, index[:], append(index[:], 0), false); err != nil {
			return err
		}
	}
	if db.Metrics().ReadAmp() > mostLevels {
		first, last := sealed.Index{}, sealed.Index{}
		for i := range last {
			last[i] = 0xff
		}
		return db.Compact(ctx, first[:], last[:], true)
	}
	return nil
}

// Abort removes what was made, if it was not committed, and lets others.
func (b *batch) Abort() error {
	b.tables.abandon()
	if b.base != nil {
		b.base.release()
		b.base = nil
	}
	var err error
	if b.started && !b.done {
		if now, reading := readCurrent(b.dir); errors.Is(reading, ErrNoStore) || reading == nil && now == b.old {
			err = os.RemoveAll(b.next())
		}
	}
	b.started = false
	if b.lock != nil {
		err = errors.Join(err, b.lock.Close())
		b.lock = nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}
