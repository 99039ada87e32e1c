package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
)

// version is that of the tables.
const version = 1

// ErrNewer says that the tables were made by a later version of this program.
var ErrNewer = errors.New("ledger postgres: the tables were made by a later version of this program: update this one")

// schemaLock is the advisory lock under which instances that start together make
// the tables, one after the other. The number is arbitrary: "kycvsldg".
const schemaLock = 0x6b796376736c6467

var sqlTables = []string{
	`CREATE TABLE IF NOT EXISTS kycvs_ledger (
		seq bigint PRIMARY KEY,
		batch bytea NOT NULL,
		phone text,
		line bytea NOT NULL)`,
	`CREATE INDEX IF NOT EXISTS kycvs_ledger_phone ON kycvs_ledger (phone, seq) WHERE phone IS NOT NULL`,
	`CREATE TABLE IF NOT EXISTS kycvs_ledger_head (
		one boolean PRIMARY KEY DEFAULT true CHECK (one),
		version integer NOT NULL,
		seq bigint NOT NULL,
		hash text NOT NULL)`,
}

// makeTables sees to it that the tables are there and of this version.
func (l *Ledger) makeTables(ctx context.Context) error {
	if l.made.Load() {
		return nil
	}
	err := l.checkVersion(ctx)
	if code, _ := sqlState(err); code == undefinedTable || errors.Is(err, pgx.ErrNoRows) {
		if err := l.create(ctx); err != nil {
			return err
		}
		err = l.checkVersion(ctx)
	}
	if err == nil {
		l.made.Store(true)
	}
	return err
}

func (l *Ledger) checkVersion(ctx context.Context) error {
	var v int
	if err := l.pool.QueryRow(ctx, `SELECT version FROM kycvs_ledger_head WHERE one`).Scan(&v); err != nil {
		return serverError(err)
	}
	if v > version {
		return ErrNewer
	}
	return nil
}

func (l *Ledger) create(ctx context.Context) error {
	return serverError(pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(schemaLock)); err != nil {
			return err
		}
		for _, sql := range sqlTables {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		// Where there are lines, and no head, somebody has removed it.
		_, err := tx.Exec(ctx, `INSERT INTO kycvs_ledger_head (version, seq, hash)
			SELECT $1::integer, 0, $2::text WHERE NOT EXISTS (SELECT FROM kycvs_ledger) ON CONFLICT DO NOTHING`,
			version, chain.Genesis().Hash)
		return err
	}))
}
