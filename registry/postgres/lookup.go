package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

// selectBox is prepared once on each connection.
const selectBox = "SELECT box FROM kycvs_boxes WHERE idx = $1"

// Lookup returns the records under a number, from the first server that answers,
// within Config.Timeout.
//
// That there are none counts only if the server still holds the store whose key
// made the index: somebody may have dropped the tables and imported anew.
func (r *Registry) Lookup(ctx context.Context, mobile registry.Mobile) (records []registry.Record, err error) {
	err = r.each(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		records, err = r.lookup(ctx, c, mobile)
		return err
	})
	if err != nil {
		return nil, err
	}
	return records, nil
}

func (r *Registry) lookup(ctx context.Context, c *pgxpool.Conn, mobile registry.Mobile) ([]registry.Record, error) {
	s := r.store.Load()
	for range 3 { // no store is replaced twice within a lookup
		if s == nil {
			var err error
			if s, err = r.refresh(ctx, c, nil); err != nil {
				return nil, err
			}
		}
		index, found := s.keys.Index(mobile), unsealing{keys: s.keys, mobile: mobile}
		err := c.QueryRow(ctx, selectBox, index[:]).Scan(&found)
		if err == nil {
			return found.records, found.err
		}
		if code, _ := sqlState(err); !errors.Is(err, pgx.ErrNoRows) && code != undefinedTable {
			return nil, &serverError{err: err}
		}
		now, err := r.refresh(ctx, c, s)
		if err != nil {
			return nil, err
		}
		if now == s {
			return nil, nil
		}
		s = now
	}
	return nil, errors.New("registry postgres: the tables are being replaced again and again")
}

// unsealing is what a box is scanned into: it is opened where the connection has
// it, without a copy.
type unsealing struct {
	keys    *sealed.Keys
	mobile  registry.Mobile
	records []registry.Record
	err     error
}

func (u *unsealing) ScanBytes(box []byte) error {
	if u.records, u.err = u.keys.Unseal(u.mobile, box); u.err != nil {
		u.err = fmt.Errorf("registry postgres: %w", u.err)
	}
	return nil
}

// refresh reads which store the server holds, and opens it if it is another than known.
func (r *Registry) refresh(ctx context.Context, c *pgxpool.Conn, known *store) (*store, error) {
	row, err := readStore(ctx, c, selectStore)
	if err != nil {
		return nil, err
	}
	s, err := openStore(row, known, r.config.Secrets)
	if err == nil && s != known {
		r.store.Store(s)
	}
	return s, err
}

// Ready returns nil if a lookup would be answered now: a server answers, holds a
// store, and one of the secrets opens it.
func (r *Registry) Ready(ctx context.Context) error {
	return r.each(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		_, err := r.refresh(ctx, c, r.store.Load())
		return err
	})
}

// People returns how many people the registry knows.
func (r *Registry) People(ctx context.Context) (n int64, err error) {
	err = r.each(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		row, err := readStore(ctx, c, selectStore)
		n = row.people
		return err
	})
	return n, err
}

// each calls ask with a connection to one server, and to the next if that one did
// not answer, until one does or the time is over. No server gets all the time as
// long as there is another.
func (r *Registry) each(ctx context.Context, ask func(context.Context, *pgxpool.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.closed.Load() {
		return ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	var room [4]*host
	order := r.hosts.inOrder(room[:0])
	var failures []string
	var unanswered error = ErrUnavailable
	for i, h := range order {
		others := len(order) - i - 1
		if len(r.hosts.all) == 1 {
			others = 0 // what a broken connection costs is no time
		}
		err := r.one(ctx, h, others, ask)
		switch {
		case err == nil:
			return nil
		case errors.Is(ctx.Err(), context.Canceled):
			return context.Canceled
		case !elsewhere(err):
			return err
		}
		failures = append(failures, h.address+": "+cause(err))
		if misconfigured(err) {
			unanswered = errDSN
		}
		if ctx.Err() != nil { // also where the one server there is was slow: no second try makes it faster
			break
		}
	}
	if r.closed.Load() {
		return ErrClosed
	}
	return fmt.Errorf("%w: %s", unanswered, strings.Join(slices.Compact(failures), "; "))
}

// errDSN is an ErrUnavailable that is there to stay until the DSN is another.
var errDSN = fmt.Errorf("%w", ErrUnavailable)

// one asks one server, for its share of the time if there are others to ask.
func (r *Registry) one(ctx context.Context, h *host, others int, ask func(context.Context, *pgxpool.Conn) error) error {
	begin := time.Now()
	if deadline, ok := ctx.Deadline(); ok && others > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, begin.Add(deadline.Sub(begin)/time.Duration(1+others)))
		defer cancel()
	}
	c, err := h.pool.Acquire(ctx)
	if err != nil {
		err = &serverError{err: err}
	} else {
		err = ask(ctx, c)
		c.Release()
	}
	var e *serverError
	if !errors.As(err, &e) {
		return err
	}
	e.address = h.address
	// A caller who left says nothing about the server, and one who was in a hurry little.
	if broken(err) && (ctx.Err() == nil || !errors.Is(ctx.Err(), context.Canceled) && time.Since(begin) >= patience) {
		r.failed(h, err)
	}
	return err
}

// patience is how long a server may take for an answer that takes it 50 µs before
// its silence is held against it.
const patience = 250 * time.Millisecond
