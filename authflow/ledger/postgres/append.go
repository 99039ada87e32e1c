package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
)

// commit writes b, once, or returns an error: then it may or may not be there.
func (l *Ledger) commit(b *batch) error {
	ctx, cancel := context.WithTimeout(context.Background(), l.timeout)
	defer cancel()
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = 10 * time.Millisecond
	pause.MaxInterval = time.Second
	var last error
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		if last = l.makeTables(ctx); last == nil {
			last = l.transact(ctx, b.write)
		}
		if last != nil && !lost(last) {
			return struct{}{}, backoff.Permanent(last)
		}
		return struct{}{}, last
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(0))
	if err != nil && last != nil {
		return last // says more than that time is up
	}
	return err
}

// SQL of a transaction that appends. The first lot is sent at once, and so is the
// second.
const (
	sqlDurable = `SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') IN ('off', 'local')`
	sqlHead    = `SELECT seq, hash FROM kycvs_ledger_head WHERE one FOR UPDATE`
	sqlThere   = `SELECT EXISTS (SELECT FROM kycvs_ledger WHERE seq = $1 AND batch = $2)`
	sqlInsert  = `INSERT INTO kycvs_ledger (seq, batch, phone, line)
		SELECT $1::bigint + n, $2::bytea, phone, line FROM unnest($3::text[], $4::bytea[]) WITH ORDINALITY AS u (phone, line, n)`
	sqlMove = `UPDATE kycvs_ledger_head SET seq = $1, hash = $2 WHERE one`
)

// transact begins a transaction, locks the head row and calls f, which has to
// commit. What it leaves open is rolled back.
func (l *Ledger) transact(ctx context.Context, f func(context.Context, *pgxpool.Conn, chain.Head) error) error {
	c, err := l.pool.Acquire(ctx)
	if err != nil {
		return serverError(err)
	}
	defer c.Release() // closes it if the transaction is not at an end
	first := &pgx.Batch{}
	first.Queue("BEGIN")
	first.Queue(sqlDurable)
	var seq int64
	var hash string
	first.Queue(sqlHead).QueryRow(func(row pgx.Row) error { return row.Scan(&seq, &hash) })
	if err := c.SendBatch(ctx, first).Close(); err != nil {
		return serverError(err)
	}
	return f(ctx, c, chain.Head{Seq: uint64(seq), Hash: hash})
}

// write appends the batch behind head and commits.
func (b *batch) write(ctx context.Context, c *pgxpool.Conn, head chain.Head) error {
	if b.last > 0 { // it was sent before, and what became of it was not heard
		var there bool
		if err := c.QueryRow(ctx, sqlThere, int64(b.last), b.id).Scan(&there); err != nil {
			return serverError(err)
		}
		if there {
			_, err := c.Exec(ctx, "COMMIT")
			return serverError(err)
		}
	}
	second := &pgx.Batch{}
	b.last = b.queue(second, head)
	return finish(ctx, c, second)
}

// queue adds what appends the batch behind head, and returns the seq of its last
// line.
func (b *batch) queue(sql *pgx.Batch, head chain.Head) uint64 {
	from := head.Seq
	lines := make([][]byte, len(b.bodies))
	for i, body := range b.bodies {
		lines[i], head = chain.Append(make([]byte, 0, len(body)+160), head, body)
	}
	sql.Queue(sqlInsert, int64(from), b.id, b.phones, lines)
	sql.Queue(sqlMove, int64(head.Seq), head.Hash)
	return head.Seq
}

// finish sends what a transaction does, and its COMMIT.
func finish(ctx context.Context, c *pgxpool.Conn, sql *pgx.Batch) error {
	committed := false
	sql.Queue("COMMIT").Exec(func(tag pgconn.CommandTag) error {
		committed = tag.String() == "COMMIT" // not "ROLLBACK"
		return nil
	})
	if err := c.SendBatch(ctx, sql).Close(); err != nil {
		return serverError(err)
	}
	if !committed {
		return errors.New("ledger postgres: the server rolled back what it was to commit")
	}
	return nil
}

// ready locks the head row and gives it back.
func (l *Ledger) ready(ctx context.Context) error {
	return l.transact(ctx, func(ctx context.Context, c *pgxpool.Conn, _ chain.Head) error {
		var readOnly string
		sql := &pgx.Batch{}
		sql.Queue(`SHOW transaction_read_only`).QueryRow(func(row pgx.Row) error { return row.Scan(&readOnly) })
		sql.Queue("ROLLBACK")
		if err := c.SendBatch(ctx, sql).Close(); err != nil {
			return serverError(err)
		}
		if readOnly == "on" {
			return fmt.Errorf("ledger postgres: the server takes no writes: %s", adviceOn["25006"])
		}
		return nil
	})
}
