// Package file is the ledger engine that needs nothing but a disk: one file of
// JSON lines, chained (package chain), to which entries are appended and in which
// nothing is ever changed.
//
// An Append returns once its line is on disk. Callers that come while one
// write is being synced share the next: a batch is one write and one fsync.
// Several processes may append to one file; each takes the file's lock
// (flock) for the length of a batch, and reads the last line under it where
// somebody else has written since: that is what its first one holds on to.
//
// # What a crash leaves
//
// A line without its newline was being written when the process or the machine
// stopped. Nobody was told that it is durable, so Open cuts it off and says so
// in the log. A line that cannot be read anywhere else is damage, which nobody
// may skip: Replay stops there and says which line it is. A chain that is broken
// between lines that can be read is said in the log, and does not stop it.
//
// # What a failed write leaves
//
// After a failed write, and more so after a failed fsync, it is not known what
// is on disk: Linux, for one, forgets that the pages were not written, so that
// the next fsync succeeds without them ("fsyncgate", 2018). So a batch that
// failed is cut off again before anything else is written, and every Append
// fails until that cut itself has been synced.
//
// # Retention
//
// Prune writes what stays into a second file, PATH.pruning, and puts that in the
// place of the first by rename, so that a crash leaves the one or the other. Only
// the end of that is under the lock. Processes that have the first open find the
// second, see that it goes on from where they were, and go on with it.
package file

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/retain"
)

// ErrClosed is what a Ledger returns after Close.
var ErrClosed = errors.New("ledger: closed")

const (
	// queueLen is how many Appends may wait for the writer before further ones
	// wait to be queued.
	queueLen = 1024
	// maxBatch is how many bytes are written at once, at most, but for the last
	// line of a batch.
	maxBatch = 1 << 20
)

// Config says where the ledger is.
type Config struct {
	// Path is the file. It and its folder are made if they are missing,
	// readable for nobody but the process's own user.
	Path string
	// Keep is how long entries are kept, at least retain.Least; 0 means for ever.
	// What is older is removed once a day.
	Keep time.Duration
	// Logger gets what was found and repaired. nil means slog.Default().
	Logger *slog.Logger
}

// Ledger is a ledger.Ledger in a file.
type Ledger struct {
	path  string
	log   *slog.Logger
	queue chan *request
	ended chan struct{} // closed when the writer has ended

	stop   context.CancelFunc // ends the pruning
	pruned sync.WaitGroup

	mu     sync.RWMutex // held for reading while a request is put into queue
	closed bool

	tail   *tail                 // the writer's alone
	broken atomic.Pointer[error] // why the last batch failed, nil if it did not
}

var _ ledger.Ledger = (*Ledger)(nil)

// request is one entry that waits to be written, or, without one, the question
// whether one could be.
type request struct {
	ctx  context.Context
	body chain.Body
	done chan error // buffered, so that the writer never waits for a caller
}

// Open opens the ledger at cfg.Path, or starts one. It returns an error if the
// file is something else than a ledger, which is then left as it is.
func Open(cfg Config) (*Ledger, error) {
	if cfg.Path == "" {
		return nil, errors.New("ledger: no path given: say in which file the record of consents is kept")
	}
	if err := retain.CheckKeep(cfg.Keep); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("ledger: finding the folder of %s: %w", cfg.Path, err)
	}
	log := cfg.Logger
	if log == nil {
		log = slog.Default()
	}
	t, err := openTail(path, log)
	if err != nil {
		return nil, err
	}
	l := start(t, path, log)
	if cfg.Keep > 0 {
		l.pruneDaily(cfg.Keep)
	}
	return l, nil
}

// start returns a Ledger that writes to t.
func start(t *tail, path string, log *slog.Logger) *Ledger {
	l := &Ledger{
		path:  path,
		log:   log,
		queue: make(chan *request, queueLen),
		ended: make(chan struct{}),
		stop:  func() {},
		tail:  t,
	}
	go l.write()
	return l
}

func (l *Ledger) pruneDaily(keep time.Duration) {
	var ctx context.Context
	ctx, l.stop = context.WithCancel(context.Background())
	l.pruned.Go(func() {
		retain.Daily(ctx, keep, l.log, func(ctx context.Context, before time.Time) (*chain.Pruned, error) {
			done, err := Prune(ctx, l.path, before)
			if errors.Is(err, ErrPruning) {
				return nil, nil // another instance does it
			}
			return done, err
		})
	})
}

// Append implements ledger.Ledger. An error because ctx ended leaves open
// whether the entry is in the record.
func (l *Ledger) Append(ctx context.Context, e ledger.Entry) error {
	body, err := chain.BodyOf(e)
	if err != nil {
		return err
	}
	return l.ask(ctx, body)
}

// ask hands body to the writer and returns what became of it.
func (l *Ledger) ask(ctx context.Context, body chain.Body) error {
	r := &request{ctx: ctx, body: body, done: make(chan error, 1)}
	if err := l.enqueue(r); err != nil {
		return err
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("ledger: waiting for the disk: %w", context.Cause(ctx))
	}
}

func (l *Ledger) enqueue(r *request) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return ErrClosed
	}
	if err := r.ctx.Err(); err != nil {
		return fmt.Errorf("ledger: nothing written: %w", context.Cause(r.ctx))
	}
	select {
	case l.queue <- r:
		return nil
	case <-r.ctx.Done():
		return fmt.Errorf("ledger: nothing written, waiting for the disk: %w", context.Cause(r.ctx))
	}
}

// write is the one goroutine that writes. It ends when the queue is closed and
// empty.
func (l *Ledger) write() {
	defer close(l.ended)
	var batch []*request
	var bodies []chain.Body
	for first := range l.queue {
		batch, bodies = l.gather(batch[:0], bodies[:0], first)
		if len(batch) == 0 {
			continue
		}
		err := l.tail.append(bodies)
		clear(bodies)
		if err != nil {
			if l.broken.Swap(&err) == nil {
				l.log.Error("the ledger cannot be written: no consent can be given or taken back", "error", err)
			}
		} else if l.broken.Swap(nil) != nil {
			l.log.Info("the ledger can be written again", "path", l.path)
		}
		for i, r := range batch {
			r.done <- err
			batch[i] = nil
		}
	}
}

// gather returns first, and what else waits, and what that is to write. One that
// nobody waits for any more is not written.
func (l *Ledger) gather(batch []*request, bodies []chain.Body, first *request) ([]*request, []chain.Body) {
	size := 0
	for r, ok := first, true; ok; {
		if err := r.ctx.Err(); err != nil {
			r.done <- fmt.Errorf("ledger: nothing written: %w", err)
		} else {
			batch = append(batch, r)
			if r.body != nil {
				bodies = append(bodies, r.body)
			}
			size += len(r.body)
		}
		if size >= maxBatch {
			break
		}
		select {
		case r, ok = <-l.queue:
		default:
			ok = false
		}
	}
	return batch, bodies
}

// Ready implements ledger.Ledger. After a failure it asks the disk again, so
// the answer turns as soon as the disk does.
func (l *Ledger) Ready(ctx context.Context) error {
	l.mu.RLock()
	closed := l.closed
	l.mu.RUnlock()
	switch {
	case closed:
		return ErrClosed
	case l.broken.Load() == nil:
		if l.tail.inPlace() == nil {
			return nil
		}
		return l.ask(ctx, nil) // pruned, or moved away
	}
	if err := probe(filepath.Dir(l.path)); err != nil {
		return err
	}
	return l.ask(ctx, nil)
}

// probe returns nil if the folder's disk takes a few bytes.
func probe(folder string) error {
	f, err := os.CreateTemp(folder, ".ledger-probe-*")
	if err != nil {
		return fmt.Errorf("ledger: trying to write: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, 4096))
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("ledger: trying to write: %w", err)
	}
	return nil
}

// Close writes what waits to be written and closes the file. Appends that come
// later return ErrClosed.
func (l *Ledger) Close() error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	if first {
		close(l.queue)
		l.stop()
	}
	l.mu.Unlock()
	<-l.ended
	l.pruned.Wait()
	if !first {
		return nil
	}
	return l.tail.close()
}
