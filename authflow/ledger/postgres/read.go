package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
)

// LineError says that a line of the ledger cannot be read. It names no content.
type LineError struct {
	Seq int64 // of its row
	Err error
}

func (e *LineError) Error() string {
	return fmt.Sprintf("ledger postgres: the row of kycvs_ledger with seq %d: %v; nothing is skipped, as it could be a consent taken back: "+
		"restore it from a backup", e.Seq, e.Err)
}

func (e *LineError) Unwrap() error { return e.Err }

// SQL that reads.
const (
	sqlAll     = `SELECT seq, line FROM kycvs_ledger ORDER BY seq`
	sqlByPhone = `SELECT seq, line FROM kycvs_ledger WHERE phone = $1 ORDER BY seq`
)

// Replay implements ledger.Ledger. It streams what was there when it was called. An
// entry whose event this version does not know is passed over. That the chain is
// broken is logged.
func (l *Ledger) Replay(ctx context.Context, f func(ledger.Entry) error) error {
	var check chain.Checker
	err := l.each(ctx, func(row pgx.Rows) error {
		return scanLine(row, func(seq int64, raw []byte) error {
			line, err := check.Next(raw)
			if err != nil {
				return &LineError{seq, err}
			}
			return deliver(seq, line, f)
		})
	}, sqlAll)
	if report := check.End(chain.NoHead); err == nil && !report.Whole() {
		l.log.Error("the ledger is not as it was written, see `caddy kycvs ledger verify`; what can be read of it counts",
			"problems", report.Found, "first", report.Err())
	}
	return err
}

// ByPhone implements ledger.Ledger. It asks an index.
func (l *Ledger) ByPhone(ctx context.Context, phone string, f func(ledger.Entry) error) error {
	if err := ledger.CheckPhone(phone); err != nil {
		return err
	}
	return l.each(ctx, func(row pgx.Rows) error {
		return scanLine(row, func(seq int64, raw []byte) error {
			line, err := chain.Read(raw)
			if err != nil {
				return &LineError{seq, err}
			}
			return deliver(seq, line, f)
		})
	}, sqlByPhone, phone)
}

func scanLine(row pgx.Rows, f func(seq int64, raw []byte) error) error {
	var seq int64
	var raw pgtype.DriverBytes // the connection's own, until the next row
	if err := row.Scan(&seq, &raw); err != nil {
		return serverError(err)
	}
	return f(seq, raw)
}

func deliver(seq int64, line chain.Line, f func(ledger.Entry) error) error {
	e, known, err := line.Entry()
	if err != nil {
		return &LineError{seq, err}
	}
	if !known {
		return nil
	}
	return f(e)
}

// each calls f with every row of a query. An error of f is returned as it is.
func (l *Ledger) each(ctx context.Context, f func(pgx.Rows) error, sql string, args ...any) error {
	if l.isClosed() {
		return ErrClosed
	}
	if err := l.makeTables(ctx); err != nil {
		return err
	}
	rows, err := l.pool.Query(ctx, sql, args...)
	if err != nil {
		return serverError(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return serverError(rows.Err())
}
