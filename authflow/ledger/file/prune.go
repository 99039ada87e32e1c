package file

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/retain"
)

// Errors of Prune.
var (
	// ErrPruning says that somebody else removes old entries at the moment.
	ErrPruning = errors.New("ledger: another process is removing old entries: wait until it is done")
	// ErrNotWhole says that nothing is removed from a ledger whose chain is broken:
	// it would remove what shows it.
	ErrNotWhole = errors.New("ledger: not as it was written, so nothing is removed from it: see `caddy kycvs ledger verify`")
)

// suffix is behind the name of the file that is being made.
const suffix = ".pruning"

// Prune removes the entries from before that time from the front of the ledger at
// path, but for those that still count (package retain), and returns what it did,
// nil if there was nothing to do. Instances may append meanwhile, and go on with
// what is left. What Least says is for the caller to heed.
func Prune(ctx context.Context, path string, before time.Time) (*chain.Pruned, error) {
	return prune(ctx, path, before, time.Now())
}

func prune(ctx context.Context, path string, before, now time.Time) (_ *chain.Pruned, err error) {
	if path, err = filepath.EvalSymlinks(path); err != nil { // the file is replaced, not the link to it
		return nil, fmt.Errorf("ledger: opening: %w", err)
	}
	if old, err := firstIsOlder(path, before); err != nil || !old {
		return nil, err
	}
	d, err := openDisk(path, 0)
	if err != nil {
		return nil, fmt.Errorf("ledger: opening: %w", err)
	}
	defer d.Close()
	size, err := committed(d.rw)
	if err != nil {
		return nil, err
	}
	p := &pruning{path: path, plan: retain.NewPlan(before, now)}
	// First what is there, while others append: all but the newest.
	if err := p.read(ctx, d.rw, 0, size, io.Discard); err != nil {
		return nil, err
	}
	if p.plan.Cut().Seq == 0 {
		return nil, nil
	}
	p.plan.Stay()
	next, err := openNext(path + suffix)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path + suffix)
		}
		next.Close()
	}()
	w := bufio.NewWriterSize(next, maxBatch)
	if _, err := io.Copy(w, contextReader{ctx, io.NewSectionReader(d.rw, p.cut, size-p.cut)}); err != nil {
		return nil, fmt.Errorf("ledger: writing what stays: %w", err)
	}
	if err := errors.Join(w.Flush(), next.Sync()); err != nil { // so that little is left to be synced under the lock
		return nil, fmt.Errorf("ledger: writing what stays: %w", err)
	}
	return p.finish(ctx, d, next, size)
}

// pruning is a Prune under way.
type pruning struct {
	path  string
	check chain.Checker
	plan  *retain.Plan
	cut   int64 // where what stays begins
}

// read takes the lines that are in r between two offsets, and writes them to w.
func (p *pruning) read(ctx context.Context, r io.ReaderAt, from, to int64, w io.Writer) error {
	at := from
	return scan(ctx, p.path, io.NewSectionReader(r, from, to-from), func(n int, raw []byte, whole bool) error {
		l, err := p.check.Next(raw)
		if err != nil || p.check.Found() > 0 {
			return ErrNotWhole
		}
		goes, err := p.plan.Add(l)
		if err != nil {
			return &LineError{p.path, n, err}
		}
		if at += int64(len(raw)) + 1; goes {
			p.cut = at
		}
		_, err = w.Write(raw)
		if err == nil {
			_, err = w.Write([]byte{'\n'})
		}
		return err
	})
}

// finish adds what came since the first size bytes were read, and puts next in the
// place of the ledger.
func (p *pruning) finish(ctx context.Context, d *osDisk, next *os.File, size int64) (*chain.Pruned, error) {
	// By now it is short.
	if err := d.Lock(); err != nil {
		return nil, err
	}
	defer d.Unlock()
	if d.InPlace() != nil {
		return nil, ErrPruning // somebody else was faster
	}
	end, err := d.Size()
	if err == nil {
		end, err = lastLineEnd(d, end)
	}
	if err != nil {
		return nil, err
	}
	if end < size {
		return nil, errors.New("ledger: the end was repaired while old entries were removed: try again")
	}
	w := bufio.NewWriterSize(next, maxBatch)
	if err := p.read(ctx, d, size, end, w); err != nil {
		return nil, err
	}
	bodies, done, err := p.plan.Bodies()
	if err != nil {
		return nil, err
	}
	head := p.check.Head()
	if report := p.check.End(chain.NoHead); !report.Whole() {
		return nil, ErrNotWhole
	}
	var line []byte
	for _, b := range bodies {
		line, head = chain.Append(line[:0], head, b)
		if _, err := w.Write(append(line, '\n')); err != nil {
			return nil, fmt.Errorf("ledger: writing what stays: %w", err)
		}
	}
	if err := errors.Join(w.Flush(), likeness(d.w, next), next.Sync()); err != nil {
		return nil, fmt.Errorf("ledger: writing what stays: %w", err)
	}
	if err := os.Rename(p.path+suffix, p.path); err != nil {
		return nil, fmt.Errorf("ledger: putting what stays in the place of the ledger: %w", err)
	}
	if err := syncFolder(filepath.Dir(p.path)); err != nil {
		slog.Default().Warn("the folder of the ledger could not be synced: a power cut may bring back what was removed", "error", err)
	}
	return &done, nil
}

// firstIsOlder reports whether the first line is from before that time: otherwise
// there is nothing to do, and nothing more need be read.
func firstIsOlder(path string, before time.Time) (older bool, err error) {
	f, size, err := openForReading(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	enough := errors.New("enough")
	err = scan(context.Background(), path, io.NewSectionReader(f, 0, size), func(n int, raw []byte, whole bool) error {
		if !whole {
			return enough
		}
		l, err := chain.Read(raw)
		if err != nil {
			return &LineError{path, n, err}
		}
		goes, err := retain.NewPlan(before, before).Add(l)
		if err != nil {
			return &LineError{path, n, err}
		}
		older = goes
		return enough
	})
	if errors.Is(err, enough) {
		err = nil
	}
	return older, err
}

// openNext opens the file that what stays is written into, empty, and holds its
// lock, so that nobody else prunes. What a crash left there is overwritten.
func openNext(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("ledger: making room for what stays: %w", err)
	}
	err = tryLock(f)
	if errors.Is(err, errLocked) {
		err = ErrPruning
	}
	if err == nil && (&osDisk{path: path, w: f}).InPlace() != nil {
		err = ErrPruning // it has just become the ledger
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// goesOn returns an error unless the file goes on from head, as it does when
// retention has removed lines from its front.
func goesOn(d disk, head chain.Head) error {
	if err := looksLikeLedger(d); err != nil {
		return fmt.Errorf("ledger: the file that is there now %w", err)
	}
	size, err := d.Size()
	if err == nil {
		size, err = lastLineEnd(d, size)
	}
	if err != nil {
		return err
	}
	at := func(seq uint64) (found chain.Line, err error) {
		// The first offset from which on the next line is not before seq.
		i := sort.Search(int(size), func(i int) bool {
			l, ok := lineFrom(d, int64(i), size)
			return !ok || l.Seq >= seq
		})
		l, ok := lineFrom(d, int64(i), size)
		if !ok || l.Seq != seq {
			return chain.Line{}, errOther
		}
		return l, nil
	}
	if head.Seq == 0 {
		return nil
	}
	if l, err := at(head.Seq); err == nil {
		if l.Hash != head.Hash {
			return errOther
		}
		return nil
	}
	// It was the last line that went.
	if l, err := at(head.Seq + 1); err == nil && l.Prev == head.Hash {
		return nil
	}
	// More went, of what others had written since.
	first, ok := lineFrom(d, 0, size)
	if !ok || first.Seq <= head.Seq || !tells(d, size, chain.Head{Seq: first.Seq - 1, Hash: first.Prev}) {
		return errOther
	}
	return nil
}

// tells reports whether the file says that retention has removed what there was up
// to and with cut.
func tells(r io.ReaderAt, size int64, cut chain.Head) (found bool) {
	err := scan(context.Background(), "", io.NewSectionReader(r, 0, size), func(_ int, raw []byte, _ bool) error {
		l, err := chain.Read(raw)
		if err != nil {
			return err
		}
		p, ok, err := l.Pruned()
		found = found || ok && p.Head() == cut
		return err
	})
	return found && err == nil
}

var errOther = errors.New("ledger: the file that is there now does not go on from where this one was")

// lineFrom returns the first line that begins at from or behind it.
func lineFrom(r io.ReaderAt, from, size int64) (chain.Line, bool) {
	inside := from > 0
	if inside {
		from-- // the newline before it, if it begins there
	}
	buf := make([]byte, min(2*MaxLine+1, size-from))
	if _, err := r.ReadAt(buf, from); err != nil {
		return chain.Line{}, false
	}
	if inside {
		_, rest, ok := bytes.Cut(buf, []byte{'\n'})
		if !ok {
			return chain.Line{}, false
		}
		buf = rest
	}
	raw, _, ok := bytes.Cut(buf, []byte{'\n'})
	if !ok {
		return chain.Line{}, false
	}
	l, err := chain.Read(raw)
	return l, err == nil
}

// contextReader reads until its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(b)
}
