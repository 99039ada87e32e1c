package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
)

// ErrNone says that there is no ledger in the database.
var ErrNone = errors.New("ledger postgres: there is no ledger in this database: check the DSN and its search_path; an instance makes one when it starts")

// sqlVerify has what ByPhone goes by beside the line.
const sqlVerify = `SELECT seq, line, coalesce(phone, '') FROM kycvs_ledger ORDER BY seq`

// Verify reads the ledger and reports whether its chain is whole. want is a head
// that was noted before, the zero Head if none was. Instances may append meanwhile:
// it sees what there was when it began. It changes nothing, and needs no more than
// SELECT. An error means that the ledger could not be read.
func Verify(ctx context.Context, c Config, want chain.Head) (chain.Report, error) {
	check := chain.Checker{Want: want}
	var head chain.Head
	err := snapshot(ctx, c, func(tx pgx.Tx) error {
		var seq int64
		if err := tx.QueryRow(ctx, `SELECT seq, hash FROM kycvs_ledger_head WHERE one`).Scan(&seq, &head.Hash); err != nil {
			return err
		}
		head.Seq = uint64(seq)
		rows, err := tx.Query(ctx, sqlVerify)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var seq int64
			var raw, phone pgtype.DriverBytes
			if err := rows.Scan(&seq, &raw, &phone); err != nil {
				return err
			}
			line, err := check.Next(raw)
			if err != nil {
				continue // a problem, which is in the report
			}
			if seq != int64(line.Seq) {
				check.Note("its row has another seq than its line")
			}
			if e, known, err := line.Entry(); err != nil {
				check.Note(err.Error())
			} else if known && e.Phone != string(phone) {
				check.Note("its row has another phone than its line, so that it is not found by it")
			}
		}
		return rows.Err()
	})
	if err != nil {
		return chain.Report{}, err
	}
	return check.End(head), nil
}

// Export calls f with each line of the ledger, oldest first, until f returns an
// error. One that cannot be read is a LineError. f must not keep the line.
func Export(ctx context.Context, c Config, f func(chain.Line) error) error {
	var stopped error
	err := snapshot(ctx, c, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sqlAll)
		if err != nil {
			return err
		}
		defer rows.Close()
		for stopped == nil && rows.Next() {
			stopped = scanLine(rows, func(seq int64, raw []byte) error {
				line, err := chain.Read(raw)
				if err != nil {
					return &LineError{seq, err}
				}
				return f(line)
			})
		}
		if stopped != nil {
			return nil
		}
		return rows.Err()
	})
	return errors.Join(stopped, err)
}

// snapshot calls f in a transaction that sees the ledger as it is now, and changes
// nothing.
func snapshot(ctx context.Context, c Config, f func(pgx.Tx) error) error {
	l, err := open(c)
	if err != nil {
		return err
	}
	defer l.pool.Close()
	err = pgx.BeginTxFunc(ctx, l.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, f)
	if code, _ := sqlState(err); code == undefinedTable {
		return ErrNone
	}
	return serverError(err)
}
