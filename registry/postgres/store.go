package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

// store is the opened key of the store that a database holds.
type store struct {
	keys *sealed.Keys
}

const selectStore = "SELECT version, wrapped, people FROM kycvs_store WHERE one"

// storeRow is the one row of kycvs_store.
type storeRow struct {
	version int
	wrapped []byte // NULL until an import is done
	people  int64
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// readStore reads the row. ErrNoStore if there is none, or not even a table.
func readStore(ctx context.Context, q querier, sql string) (row storeRow, err error) {
	err = q.QueryRow(ctx, sql).Scan(&row.version, &row.wrapped, &row.people)
	if code, _ := sqlState(err); code == undefinedTable || errors.Is(err, pgx.ErrNoRows) {
		return storeRow{}, ErrNoStore
	}
	if err != nil {
		return storeRow{}, &serverError{err: err}
	}
	if row.version > schemaVersion {
		return storeRow{}, ErrNewer
	}
	return row, nil
}

// openStore returns the store of a row, known itself if it is still that one:
// a secret that was changed since leaves the store what it was.
func openStore(row storeRow, known *store, secrets [][]byte) (*store, error) {
	if len(row.wrapped) == 0 {
		return nil, ErrNoStore
	}
	if known != nil && len(row.wrapped) == sealed.WrappedSize {
		if id := known.keys.StoreID(); string(row.wrapped[1:1+len(id)]) == string(id[:]) {
			return known, nil
		}
	}
	keys, err := sealed.Open(row.wrapped, secrets...)
	if err != nil {
		return nil, fmt.Errorf("registry postgres: %w", err)
	}
	return &store{keys}, nil
}

func checkSecrets(secrets [][]byte) error {
	if len(secrets) == 0 {
		return fmt.Errorf("registry postgres: %w", sealed.ErrNoSecret)
	}
	for _, s := range secrets {
		if len(s) == 0 {
			return fmt.Errorf("registry postgres: %w", sealed.ErrNoSecret)
		}
	}
	return nil
}
