// Package file is the ledger engine that needs nothing but a disk: one file of
// JSON lines, to which entries are appended and in which nothing is ever
// changed.
//
// An Append returns once its line is on disk. Callers that come while one
// write is being synced share the next: a batch is one write and one fsync.
// Several processes may append to one file; each takes the file's lock
// (flock) for the length of a batch.
//
// # What a crash leaves
//
// A line without its newline was being written when the process or the machine
// stopped. Nobody was told that it is durable, so Open cuts it off and says so
// in the log. A line that cannot be read anywhere else is damage, which nobody
// may skip: Replay stops there and says which line it is.
//
// # What a failed write leaves
//
// After a failed write, and more so after a failed fsync, it is not known what
// is on disk: Linux, for one, forgets that the pages were not written, so that
// the next fsync succeeds without them ("fsyncgate", 2018). So a batch that
// failed is cut off again before anything else is written, and every Append
// fails until that cut itself has been synced.
package file

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
)

// Errors of Append.
var (
	ErrClosed  = errors.New("ledger: closed")
	ErrTooLong = fmt.Errorf("ledger: entry is longer than %d bytes", MaxLine)
)

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
	// Logger gets what was found and repaired. nil means slog.Default().
	Logger *slog.Logger
}

// Ledger is a ledger.Ledger in a file.
type Ledger struct {
	path  string
	log   *slog.Logger
	queue chan *request
	ended chan struct{} // closed when the writer has ended

	mu     sync.RWMutex // held for reading while a request is put into queue
	closed bool

	tail   *tail                 // the writer's alone
	broken atomic.Pointer[error] // why the last batch failed, nil if it did not
}

var _ ledger.Ledger = (*Ledger)(nil)

// request is one line that waits to be written, or, without a line, the
// question whether one could be.
type request struct {
	ctx  context.Context
	line []byte
	done chan error // buffered, so that the writer never waits for a caller
}

// Open opens the ledger at cfg.Path, or starts one. It returns an error if the
// file is something else than a ledger, which is then left as it is.
func Open(cfg Config) (*Ledger, error) {
	if cfg.Path == "" {
		return nil, errors.New("ledger: no path given: say in which file the record of consents is kept")
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
	return start(t, path, log), nil
}

// start returns a Ledger that writes to t.
func start(t *tail, path string, log *slog.Logger) *Ledger {
	l := &Ledger{
		path:  path,
		log:   log,
		queue: make(chan *request, queueLen),
		ended: make(chan struct{}),
		tail:  t,
	}
	go l.write()
	return l
}

// Append implements ledger.Ledger. An error because ctx ended leaves open
// whether the entry is in the record.
func (l *Ledger) Append(ctx context.Context, e ledger.Entry) error {
	line, err := encode(e)
	if err != nil {
		return err
	}
	return l.ask(ctx, line)
}

// ask hands line to the writer and returns what became of it.
func (l *Ledger) ask(ctx context.Context, line []byte) error {
	r := &request{ctx: ctx, line: line, done: make(chan error, 1)}
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
	var buf bytes.Buffer
	var batch []*request
	for first := range l.queue {
		buf.Reset()
		batch = l.gather(batch[:0], &buf, first)
		if len(batch) == 0 {
			continue
		}
		err := l.tail.append(buf.Bytes())
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

// gather puts first, and what else waits, into buf and returns the requests.
// One that nobody waits for any more is not written.
func (l *Ledger) gather(batch []*request, buf *bytes.Buffer, first *request) []*request {
	for r, ok := first, true; ok; {
		if err := r.ctx.Err(); err != nil {
			r.done <- fmt.Errorf("ledger: nothing written: %w", err)
		} else {
			batch = append(batch, r)
			buf.Write(r.line)
		}
		if buf.Len() >= maxBatch {
			break
		}
		select {
		case r, ok = <-l.queue:
		default:
			ok = false
		}
	}
	return batch
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
		return l.tail.inPlace()
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
	}
	l.mu.Unlock()
	<-l.ended
	if !first {
		return nil
	}
	return l.tail.close()
}

// line is how an Entry is written. The version comes first in every line, of
// this or a later version: see looksLikeLine.
type line struct {
	V int `json:"v"`
	ledger.Entry
}

// version is the V of the lines written here. Members may be added to it
// without a new one, as readers ignore what they do not know.
const version = 1

func encode(e ledger.Entry) ([]byte, error) {
	if e.Event == "" || e.Consent == "" || e.At.IsZero() {
		return nil, errors.New("ledger: an entry needs event, consent and time")
	}
	e.At, e.Until = e.At.UTC(), e.Until.UTC()
	b, err := json.Marshal(line{V: version, Entry: e})
	if err != nil {
		return nil, fmt.Errorf("ledger: encoding an entry: %w", err)
	}
	if len(b)+1 > MaxLine {
		return nil, ErrTooLong
	}
	return append(b, '\n'), nil
}
