// Package postgres is the ledger in a PostgreSQL database, which several instances
// append to at once: one chain (package chain) over all of them.
//
// # Tables
//
//	kycvs_ledger       seq bigint PRIMARY KEY, batch bytea, phone text, line bytea: the
//	                   lines of the chain; phone is the line's own, for its index
//	kycvs_ledger_head  one row: the version of the tables, and seq and hash of the last line
//
// They stand in the first schema of the connection's search_path and are made when
// they are missing. A role that may not make tables needs SELECT and INSERT on the
// first, SELECT and UPDATE on the second, and, to remove old entries, DELETE on the
// first: one that has no DELETE and no UPDATE there cannot change what was written.
//
// # What an Append costs
//
// The callers of one instance that come while a batch is under way share the next:
// one transaction, two round trips. It locks the head row first, so that instances
// take turns, and is committed with synchronous_commit at least on. What is durable
// is what PostgreSQL calls so: with a standby that takes over, what
// synchronous_standby_names promises.
//
// # A connection that is lost
//
// A batch whose transaction may or may not have been committed is looked for, by a
// random number of its own under its seq, with the head row locked, before it is
// written again: it is there once.
package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/retain"
)

const (
	// queueLen is how many Appends may wait for the writer before further ones
	// wait to be queued.
	queueLen = 1024
	// maxBatch is how many entries are written at once, at most.
	maxBatch = 1000
)

// What Config means where it does not say.
const (
	DefaultMaxConns = 4
	DefaultTimeout  = 5 * time.Second
)

// Config says which database it is.
type Config struct {
	// DSN is the connection string, a URL or keywords and values, as libpq and pgx
	// have it. Of several hosts the one that takes writes is used. It is never logged
	// nor part of an error.
	DSN string
	// Keep is how long entries are kept, at least retain.Least; 0 means for ever.
	// What is older is removed once a day.
	Keep time.Duration
	// MaxConns is how many connections there are at most; 0 means the DSN's
	// pool_max_conns, and without it DefaultMaxConns. There are never fewer than two:
	// one appends, the others read.
	MaxConns int
	// Timeout is how long a batch takes at most, what is tried again included; 0
	// means DefaultTimeout.
	Timeout time.Duration
	// Logger gets what goes wrong. nil means slog.Default().
	Logger *slog.Logger
}

// ErrClosed is what a Ledger returns after Close.
var ErrClosed = errors.New("ledger postgres: closed")

// Ledger is a ledger.Ledger in a database.
type Ledger struct {
	pool    *pgxpool.Pool
	timeout time.Duration
	log     *slog.Logger
	queue   chan *request
	ended   chan struct{} // closed when the writer has ended

	stop   context.CancelFunc // ends the pruning
	pruned sync.WaitGroup

	mu     sync.RWMutex // held for reading while a request is put into queue
	closed bool

	made   atomic.Bool // the tables are there
	broken atomic.Pointer[error]
}

var _ ledger.Ledger = (*Ledger)(nil)

// request is one entry that waits to be written.
type request struct {
	ctx   context.Context
	body  chain.Body
	phone string
	done  chan error // buffered, so that the writer never waits for a caller
}

// Open connects, and makes the tables if they are missing. It returns an error for a
// DSN that makes no sense and for what a server says. That no server answers is a
// warning: all calls fail until one does.
func Open(ctx context.Context, c Config) (*Ledger, error) {
	l, err := open(c)
	if err != nil {
		return nil, err
	}
	if err := l.makeTables(ctx); err != nil {
		if _, said := sqlState(err); said || errors.Is(err, ErrNewer) {
			l.pool.Close()
			return nil, err
		}
		l.log.Warn("ledger postgres: not answering yet", "reason", err.Error())
	}
	go l.write()
	if c.Keep > 0 {
		var ctx context.Context
		ctx, l.stop = context.WithCancel(context.Background())
		l.pruned.Go(func() { retain.Daily(ctx, c.Keep, l.log, l.Prune) })
	}
	return l, nil
}

// open returns a Ledger that nothing is appended to yet. It connects to nobody.
func open(c Config) (*Ledger, error) {
	if err := retain.CheckKeep(c.Keep); err != nil {
		return nil, err
	}
	conf, err := parseDSN(c.DSN, c.MaxConns)
	if err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if inTheClear(conf) {
		c.Logger.Warn("ledger postgres: connections may do without TLS: set sslmode=verify-full in the DSN")
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), conf) // connects when first asked
	if err != nil {
		return nil, serverError(err)
	}
	return &Ledger{
		pool:    pool,
		timeout: c.Timeout,
		log:     c.Logger,
		queue:   make(chan *request, queueLen),
		ended:   make(chan struct{}),
		stop:    func() {},
	}, nil
}

// Append implements ledger.Ledger. An error because ctx ended leaves open
// whether the entry is in the record.
func (l *Ledger) Append(ctx context.Context, e ledger.Entry) error {
	body, err := chain.BodyOf(e)
	if err != nil {
		return err
	}
	r := &request{ctx: ctx, body: body, phone: e.Phone, done: make(chan error, 1)}
	if err := l.enqueue(r); err != nil {
		return err
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("ledger postgres: waiting for the server: %w", context.Cause(ctx))
	}
}

func (l *Ledger) enqueue(r *request) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return ErrClosed
	}
	if r.ctx.Err() != nil {
		return fmt.Errorf("ledger postgres: nothing written: %w", context.Cause(r.ctx))
	}
	select {
	case l.queue <- r:
		return nil
	case <-r.ctx.Done():
		return fmt.Errorf("ledger postgres: nothing written, waiting for the server: %w", context.Cause(r.ctx))
	}
}

// write is the one goroutine that appends. It ends when the queue is closed and
// empty.
func (l *Ledger) write() {
	defer close(l.ended)
	var all []*request
	for first := range l.queue {
		if all = l.gather(all[:0], first); len(all) == 0 {
			continue
		}
		b := newBatch(all)
		err := l.commit(b)
		if err != nil {
			if l.broken.Swap(&err) == nil {
				l.log.Error("the ledger cannot be written: no consent can be given or taken back", "error", err)
			}
		} else if l.broken.Swap(nil) != nil {
			l.log.Info("the ledger can be written again")
		}
		for i, r := range all {
			r.done <- err
			all[i] = nil
		}
	}
}

// gather returns first, and what else waits. One that nobody waits for any more is
// not written.
func (l *Ledger) gather(all []*request, first *request) []*request {
	for r, ok := first, true; ok; {
		if err := r.ctx.Err(); err != nil {
			r.done <- fmt.Errorf("ledger postgres: nothing written: %w", err)
		} else {
			all = append(all, r)
		}
		if len(all) == maxBatch {
			break
		}
		select {
		case r, ok = <-l.queue:
		default:
			ok = false
		}
	}
	return all
}

// batch is what one transaction writes.
type batch struct {
	id     []byte // random: knows it again
	bodies []chain.Body
	phones []*string

	last uint64 // the seq under which it may be there already, 0 if it was not sent
}

func newBatch(all []*request) *batch {
	b := &batch{id: make([]byte, 16)}
	rand.Read(b.id)
	for _, r := range all {
		b.add(r.body, r.phone)
	}
	return b
}

func (b *batch) add(body chain.Body, phone string) {
	b.bodies = append(b.bodies, body)
	if phone == "" {
		b.phones = append(b.phones, nil)
		return
	}
	b.phones = append(b.phones, &phone)
}

// Ready implements ledger.Ledger: it locks the head row and gives it back.
func (l *Ledger) Ready(ctx context.Context) error {
	if l.isClosed() {
		return ErrClosed
	}
	if err := l.makeTables(ctx); err != nil {
		return err
	}
	return l.ready(ctx)
}

func (l *Ledger) isClosed() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.closed
}

// Close writes what waits to be written and ends every connection. Calls that come
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
	if first {
		l.pool.Close() // after the readers that are under way
	}
	return nil
}
