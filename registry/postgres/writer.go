package postgres

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kycvs/caddy-kycvs/registry/loading"
	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

// Writer changes a registry: it imports and erases. It connects in Begin, and is
// disconnected once the Batch is committed or aborted.
type Writer struct {
	secrets [][]byte
	servers []*pgxpool.Config
	wait    time.Duration // for whoever else changes the store
}

var _ loading.Engine = (*Writer)(nil)

// NewWriter returns an error for a DSN that makes no sense and where there is no
// secret. Config.MaxConns and Config.Timeout are a Registry's alone.
func NewWriter(c Config) (*Writer, error) {
	s, err := parseDSN(c.DSN, 0)
	if err != nil {
		return nil, err
	}
	if err := checkSecrets(c.Secrets); err != nil {
		return nil, err
	}
	for _, one := range s.write { // one connection writes, the others fetch
		one.MaxConns = int32(1 + max(2, runtime.GOMAXPROCS(0)))
		one.MinConns, one.MinIdleConns = 0, 0
	}
	return &Writer{secrets: c.Secrets, servers: s.write, wait: 10 * time.Second}, nil
}

// settings are what a long transaction needs, whatever the role's own are; a
// server that does not know one is left alone. Where the import's machine goes
// away without a word, the server notices within a minute and rolls back.
var settings = []string{
	"SET statement_timeout = 0",
	"SET idle_in_transaction_session_timeout = 0",
	"SET transaction_timeout = 0", // since PostgreSQL 17
	"SET tcp_keepalives_idle = 30",
	"SET tcp_keepalives_interval = 10",
	"SET tcp_keepalives_count = 3",
}

const lockStore = "SELECT version, wrapped, people FROM kycvs_store WHERE one FOR UPDATE"

// Begin connects to the server that takes writes, makes or migrates the tables,
// and begins the one transaction that the whole change is: lookups see the state
// before it until Commit, and the state after it from then on. Another import or
// erasure is waited for ten seconds; then it is ErrBusy.
//
// An import that dies leaves a transaction that the server rolls back, and rows
// that nobody sees and autovacuum removes.
func (w *Writer) Begin(ctx context.Context, dry bool) (loading.Batch, error) {
	b := &batch{secrets: w.secrets}
	if err := w.connect(ctx, b); err != nil {
		return nil, err
	}
	begin := func() error { return b.begin(ctx, w.wait) }
	if dry {
		begin = func() error { return b.look(ctx) }
	}
	if err := begin(); err != nil {
		b.Abort()
		return nil, b.shown(err)
	}
	return b, nil
}

// connect finds the server that can be written to.
func (w *Writer) connect(ctx context.Context, b *batch) error {
	var failures []string
	for _, c := range w.servers {
		pool, err := pgxpool.NewWithConfig(ctx, c)
		if err != nil {
			return &serverError{address(c), err}
		}
		if b.conn, err = pool.Acquire(ctx); err == nil {
			b.pool, b.address = pool, address(c)
			return nil
		}
		pool.Close()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failures = append(failures, address(c)+": "+cause(err))
	}
	return fmt.Errorf("registry postgres: no server takes the import: %s", strings.Join(failures, "; "))
}

// look is what a dry run begins with: no lock, no transaction, no table.
func (b *batch) look(ctx context.Context) error {
	row, err := readStore(ctx, b.conn, selectStore)
	if err == ErrNoStore {
		return b.make()
	}
	if err != nil {
		return err
	}
	return b.open(row)
}

func (b *batch) begin(ctx context.Context, wait time.Duration) (err error) {
	for _, s := range append(settings[:len(settings):len(settings)], fmt.Sprintf("SET lock_timeout = %d", wait.Milliseconds())) {
		if _, err := b.conn.Exec(ctx, s); err != nil {
			if _, said := sqlState(err); !said {
				return &serverError{err: err}
			}
		}
	}
	if err := migrate(ctx, b.conn.Conn()); err != nil {
		return err
	}
	if b.tx, err = b.conn.BeginTx(ctx, pgx.TxOptions{}); err != nil {
		return &serverError{err: err}
	}
	row, err := readStore(ctx, b.tx, lockStore)
	if code, _ := sqlState(err); code == lockNotAvailable {
		return ErrBusy
	}
	if err != nil {
		return err
	}
	return b.open(row)
}

// open opens the store's key, or makes it for a store that is not there yet.
func (b *batch) open(row storeRow) error {
	if len(row.wrapped) == 0 {
		return b.make()
	}
	s, err := openStore(row, nil, b.secrets)
	if err != nil {
		return err
	}
	b.keys = s.keys
	if b.keys.Outdated() {
		b.rewrapped, err = b.keys.Rewrap(b.secrets[0])
	}
	return err
}

func (b *batch) make() (err error) {
	b.fresh = true
	b.keys, b.rewrapped, err = sealed.New(b.secrets[0])
	return err
}
