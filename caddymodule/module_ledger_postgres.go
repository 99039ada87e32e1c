package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/postgres"
)

func init() {
	caddy.RegisterModule((*PostgresLedger)(nil))
}

// PostgresLedger is a ledger in a PostgreSQL database, one for all instances that
// use it. Its tables are made when the configuration starts, if they are missing.
type PostgresLedger struct {
	// DSN is the connection string, a URL or keywords and values, as libpq has it;
	// several hosts and pgx's `pool_` parameters may be in it. A password belongs in a
	// placeholder such as `{env.KYCVS_DSN}`, which never shows in a dump of the
	// configuration. It is required; there is no default.
	DSN string `json:"dsn,omitempty"`

	// Keep is how long entries are kept, at least 365d: what is older, and no longer
	// counts, is removed once a day. The default is for ever.
	Keep caddy.Duration `json:"keep,omitempty"`

	dsn string // placeholders resolved
}

const postgresLedgerExample = "ledger postgres {env.KYCVS_DSN}"

// CaddyModule returns the Caddy module information.
func (*PostgresLedger) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "kycvs.ledger.postgres", New: func() caddy.Module { return new(PostgresLedger) }}
}

// UnmarshalCaddyfile reads
//
//	ledger postgres DSN {
//		keep DURATION
//	}
func (l *PostgresLedger) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the guest's name
	// Not shown: one of them may be password=….
	if d.CountRemainingArgs() > 1 {
		return errf(d, "ledger postgres has more than one value: write a URL, or put keywords and values into double quotes, e.g. `ledger postgres \"host=db1 dbname=kycvs\"`")
	}
	args, err := arguments(d, "ledger postgres", postgresLedgerExample, oneArg)
	if err != nil {
		return err
	}
	l.DSN = args[0]
	if err := checkUnlessPlaceholder(l.DSN, postgres.CheckDSN); err != nil && !errors.Is(err, fs.ErrNotExist) { // a certificate may be elsewhere
		return located(d, err)
	}
	return readLedgerBlock(d, "ledger postgres", &l.Keep)
}

// Provision reads the connection string. It connects to nobody.
func (l *PostgresLedger) Provision(caddy.Context) error {
	if l.DSN == "" {
		return fmt.Errorf("dsn is missing: write the database's connection string, e.g. `%s`", postgresLedgerExample)
	}
	if err := checkLedgerKeep(l.Keep); err != nil {
		return err
	}
	r := resolver{repl: caddy.NewReplacer()}
	l.dsn = r.one("dsn", l.DSN)
	if err := r.err(); err != nil {
		return err
	}
	return postgres.CheckDSN(l.dsn)
}

// PoolKey implements LedgerModule.
func (l *PostgresLedger) PoolKey() string { return fmt.Sprint(l.dsn, " ", l.Keep) }

// Open implements LedgerModule.
func (l *PostgresLedger) Open(o OpenOptions) (ledger.Ledger, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	opened, err := postgres.Open(ctx, postgres.Config{DSN: l.dsn, Keep: time.Duration(l.Keep), Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// config is for the commands, which say what goes wrong themselves.
func (l *PostgresLedger) config() postgres.Config {
	return postgres.Config{DSN: l.dsn, Logger: slog.New(slog.DiscardHandler)}
}

// Verify implements KeptLedger.
func (l *PostgresLedger) Verify(ctx context.Context, want chain.Head) (chain.Report, error) {
	return postgres.Verify(ctx, l.config(), want)
}

// Export implements KeptLedger.
func (l *PostgresLedger) Export(ctx context.Context, f func(chain.Line) error) error {
	return postgres.Export(ctx, l.config(), f)
}

// Prune implements KeptLedger.
func (l *PostgresLedger) Prune(ctx context.Context, before time.Time) (*chain.Pruned, error) {
	return postgres.Prune(ctx, l.config(), before)
}

// Kept implements KeptLedger.
func (l *PostgresLedger) Kept() time.Duration { return time.Duration(l.Keep) }

// Interface guards.
var (
	_ caddy.Provisioner     = (*PostgresLedger)(nil)
	_ caddyfile.Unmarshaler = (*PostgresLedger)(nil)
	_ LedgerModule          = (*PostgresLedger)(nil)
	_ KeptLedger            = (*PostgresLedger)(nil)
)
