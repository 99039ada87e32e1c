package embedded

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/kycvs/caddy-kycvs/registry/loading"
	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

// tables writes the rows of all parts, which come in any order, into tables in
// the order of their indexes. A part that is too early waits; so that not all of them
// are in memory, whoever brings one waits with it once some are.
type tables struct {
	mu      sync.Mutex
	turn    sync.Cond // next moved on, or failed is set
	next    int       // the part to be written
	last    int       // 1 more than the last one's number, 0 while it is not known
	early   map[int]loading.Part
	writing bool // somebody writes, without the lock
	failed  error

	level  int // how tables are written: those of the last level have no filter
	dir    string
	paths  []string
	erased []sealed.Index
	table  *sstable.Writer
}

const (
	tableSize = 64 << 20 // bytes
	mostEarly = 4        // parts that wait
)

var errAbandoned = errors.New("abandoned")

func newTables(level int) *tables {
	t := &tables{level: level, early: make(map[int]loading.Part)}
	t.turn.L = &t.mu
	return t
}

// put takes a part over. start is called before the first row is written, and
// says where.
func (t *tables) put(ctx context.Context, part loading.Part, start func() (string, error)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer context.AfterFunc(ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.fail(context.Cause(ctx))
	})()
	for t.failed == nil && len(t.early) >= mostEarly && part.Number != t.next {
		t.turn.Wait()
	}
	if part.Last {
		t.last = part.Number + 1
	}
	t.early[part.Number] = part
	if t.writing {
		return t.failed
	}
	t.writing = true
	for t.failed == nil {
		now, there := t.early[t.next]
		if !there {
			break
		}
		t.mu.Unlock()
		err := t.write(now.Rows, start)
		t.mu.Lock()
		delete(t.early, t.next)
		t.next++
		if err != nil {
			t.fail(err)
		}
		t.turn.Broadcast()
	}
	t.writing = false
	t.turn.Broadcast()
	return t.failed
}

func (t *tables) fail(err error) {
	if t.failed == nil {
		t.failed = err
	}
	t.turn.Broadcast()
}

// write writes rows. One goroutine at a time.
func (t *tables) write(rows []loading.Row, start func() (string, error)) (err error) {
	for i := range rows {
		r := &rows[i]
		if t.dir == "" {
			if t.dir, err = start(); err != nil {
				return err
			}
		}
		if t.table == nil {
			if err := t.begin(); err != nil {
				return err
			}
		}
		if r.Erase {
			t.erased = append(t.erased, r.Index)
		}
		if r.Box == nil {
			err = t.table.Delete(r.Index[:])
		} else {
			err = t.table.Set(r.Index[:], r.Box)
		}
		if err != nil {
			return err
		}
		if i%1024 == 0 && t.table.Raw().EstimatedSize() >= tableSize {
			if err := t.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tables) begin() error {
	path := filepath.Join(t.dir, fmt.Sprintf("%06d.sst", len(t.paths)+1))
	f, err := vfs.Default.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	t.paths = append(t.paths, path)
	o := options()
	o.EnsureDefaults()
	t.table = sstable.NewWriter(objstorageprovider.NewFileWritable(f), o.MakeWriterOptions(t.level, format.MaxTableFormat()))
	return nil
}

func (t *tables) end() error {
	w := t.table
	t.table = nil
	return w.Close()
}

// finish ends the last table and returns all of them.
func (t *tables) finish() (paths []string, erased []sealed.Index, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.failed != nil:
		return nil, nil, t.failed
	case t.last == 0 && len(t.early)+t.next > 0 || t.next != t.last:
		return nil, nil, errors.New("not all parts were put")
	}
	if t.table != nil {
		err = t.end()
	}
	return t.paths, t.erased, err
}

// abandon closes the table that is being written.
func (t *tables) abandon() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fail(errAbandoned)
	for t.writing {
		t.turn.Wait()
	}
	if t.table != nil {
		t.end()
	}
}
