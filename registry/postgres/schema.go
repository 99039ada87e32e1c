package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// migrations make the tables what this version needs, from nothing or from what
// an earlier version made: number i leads to version i+1. Change none that was
// released, add at the end. What a running instance of the version before reads
// must stay readable to it.
//
// CREATE … IF NOT EXISTS, so that an administrator may make the tables first,
// partitioned, distributed or in a tablespace of their own.
var migrations = [...]string{`
CREATE TABLE IF NOT EXISTS kycvs_store (
	one     boolean PRIMARY KEY CHECK (one),
	version integer NOT NULL,
	wrapped bytea,
	numbers bigint NOT NULL DEFAULT 0,
	people  bigint NOT NULL DEFAULT 0,
	doses   bigint NOT NULL DEFAULT 0,
	changed timestamptz
);
CREATE TABLE IF NOT EXISTS kycvs_boxes (
	idx bytea PRIMARY KEY,
	box bytea NOT NULL
);
INSERT INTO kycvs_store (one, version) VALUES (true, 1) ON CONFLICT (one) DO NOTHING;
`}

const schemaVersion = len(migrations)

const (
	selectVersion = "SELECT version FROM kycvs_store WHERE one"
	updateVersion = "UPDATE kycvs_store SET version = $1 WHERE one"
)

// migrate brings the tables up to date, each step of it whole or not at all.
func migrate(ctx context.Context, c *pgx.Conn) error {
	for range 3 { // somebody else may be at it
		from, err := tablesVersion(ctx, c)
		switch {
		case err != nil:
			return err
		case from > schemaVersion:
			return ErrNewer
		case from == schemaVersion:
			return nil
		}
		err = pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			if from > 0 {
				var now int
				if err := tx.QueryRow(ctx, selectVersion+" FOR UPDATE").Scan(&now); err != nil || now != from {
					return err
				}
			}
			for _, m := range migrations[from:] {
				if _, err := tx.Exec(ctx, m, pgx.QueryExecModeSimpleProtocol); err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, updateVersion, schemaVersion)
			return err
		})
		if code, _ := sqlState(err); code == uniqueViolation || code == duplicateTable {
			continue
		}
		if err != nil {
			return &serverError{err: err}
		}
	}
	_, err := tablesVersion(ctx, c)
	return err
}

// tablesVersion returns the version of the tables, 0 where there are none.
func tablesVersion(ctx context.Context, c *pgx.Conn) (version int, err error) {
	err = c.QueryRow(ctx, selectVersion).Scan(&version)
	if code, _ := sqlState(err); code == undefinedTable || errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, &serverError{err: err}
	}
	return version, nil
}
