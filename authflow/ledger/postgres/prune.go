package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/retain"
)

// ErrNotWhole says that nothing is removed from a ledger whose chain is broken: it
// would remove what shows it.
var ErrNotWhole = errors.New("ledger postgres: not as it was written, so nothing is removed from it: see `caddy kycvs ledger verify`")

// pruneMost is how many lines one transaction removes, which others wait for
// before they can append: about a second.
const pruneMost = 200_000

// Prune removes the entries from before that time from the front of the ledger, but
// for those that still count (package retain), and returns what it did, nil if there
// was nothing to do. What Least says is for the caller to heed.
func (l *Ledger) Prune(ctx context.Context, before time.Time) (*chain.Pruned, error) {
	var all *chain.Pruned
	for {
		done, err := l.prune(ctx, before, time.Now(), pruneMost)
		if err != nil || done == nil {
			return all, err
		}
		if all != nil {
			done.Removed += all.Removed
			done.Carried += all.Carried
		}
		all = done
	}
}

// Prune is Ledger.Prune for a ledger that is not open.
func Prune(ctx context.Context, c Config, before time.Time) (*chain.Pruned, error) {
	l, err := open(c)
	if err != nil {
		return nil, err
	}
	defer l.pool.Close()
	if err := l.checkVersion(ctx); err != nil {
		if code, _ := sqlState(err); code == undefinedTable {
			err = ErrNone
		}
		return nil, err
	}
	l.made.Store(true)
	return l.Prune(ctx, before)
}

// sqlSince has the lines behind one, of the lines that there are.
const sqlSince = `SELECT seq, line FROM kycvs_ledger WHERE seq > $1 ORDER BY seq`

func (l *Ledger) prune(ctx context.Context, before, now time.Time, most uint64) (*chain.Pruned, error) {
	plan := retain.NewPlan(before, now)
	plan.Most = most
	var check chain.Checker
	var first int64
	enough := errors.New("nothing goes")
	read := func(row pgx.Rows) error {
		return scanLine(row, func(seq int64, raw []byte) error {
			line, err := check.Next(raw)
			if err != nil || check.Found() > 0 || seq != int64(line.Seq) {
				return ErrNotWhole
			}
			goes, err := plan.Add(line)
			if err != nil {
				return &LineError{seq, err}
			}
			if first == 0 {
				if first = seq; !goes {
					return enough
				}
			}
			return nil
		})
	}
	// First what is there, while others append: all but the newest.
	if err := l.each(ctx, read, sqlAll); errors.Is(err, enough) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	cut := plan.Cut()
	if cut.Seq == 0 {
		return nil, nil
	}
	plan.Stay()
	var done *chain.Pruned
	err := l.transact(ctx, func(ctx context.Context, c *pgxpool.Conn, head chain.Head) error {
		var still int64 // the first line there is
		if err := c.QueryRow(ctx, `SELECT coalesce(min(seq), 0) FROM kycvs_ledger`).Scan(&still); err != nil {
			return serverError(err)
		}
		if still != first { // another instance was faster
			_, err := c.Exec(ctx, "ROLLBACK")
			return serverError(err)
		}
		if err := since(ctx, c, check.Head(), read); err != nil {
			return err
		}
		if report := check.End(head); !report.Whole() {
			return ErrNotWhole
		}
		bodies, pruned, err := plan.Bodies()
		if err != nil {
			return err
		}
		b := newBatch(nil)
		for _, body := range bodies {
			b.add(body, body.Phone())
		}
		sql := &pgx.Batch{}
		b.queue(sql, head)
		sql.Queue(`DELETE FROM kycvs_ledger WHERE seq <= $1`, int64(cut.Seq))
		if err := finish(ctx, c, sql); err != nil {
			return err
		}
		done = &pruned
		return nil
	})
	return done, err
}

func since(ctx context.Context, c *pgxpool.Conn, head chain.Head, read func(pgx.Rows) error) error {
	rows, err := c.Query(ctx, sqlSince, int64(head.Seq))
	if err != nil {
		return serverError(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := read(rows); err != nil {
			return err
		}
	}
	return serverError(rows.Err())
}
