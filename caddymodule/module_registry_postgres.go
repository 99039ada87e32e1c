package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/loading"
	"github.com/kycvs/caddy-kycvs/registry/postgres"
)

func init() {
	caddy.RegisterModule((*PostgresRegistry)(nil))
}

// PostgresRegistry is a registry in a PostgreSQL database, sealed, so that the
// database and whoever copies it learn how many numbers there are and no more.
// `caddy kycvs import` makes its tables and fills them.
type PostgresRegistry struct {
	// DSN is the connection string, a URL or keywords and values, as libpq has it;
	// several hosts, `target_session_attrs` and pgx's `pool_` parameters may be in it.
	// A password belongs in a placeholder such as `{env.KYCVS_DSN}`, which never
	// shows in a dump of the configuration. It is required; there is no default.
	DSN string `json:"dsn,omitempty"`

	// MaxConns is how many connections there are at most to one server. The default is
	// the DSN's `pool_max_conns`, and without it 16.
	MaxConns int `json:"max_conns,omitempty"`

	// Timeout is how long a lookup takes at most, a second try on another server
	// included. The default is 2s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	dsn string // placeholders resolved
}

// The bounds of its options. A person waits for a lookup, so a minute is beyond
// all reason.
var (
	maxConnsBounds        = intBounds{1, 10_000}
	postgresTimeoutBounds = durationBounds{10 * time.Millisecond, time.Minute}
)

const postgresExample = "registry postgres {env.KYCVS_DSN}"

// CaddyModule returns the Caddy module information.
func (*PostgresRegistry) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "kycvs.registry.postgres", New: func() caddy.Module { return new(PostgresRegistry) }}
}

// UnmarshalCaddyfile reads
//
//	registry postgres DSN {
//		max_conns N
//		timeout DURATION
//	}
func (p *PostgresRegistry) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the guest's name
	// Not shown: one of them may be password=….
	if d.CountRemainingArgs() > 1 {
		return errf(d, "registry postgres has more than one value: write a URL, or put keywords and values into double quotes, e.g. `registry postgres \"host=db1 dbname=kycvs\"`")
	}
	args, err := arguments(d, "registry postgres", postgresExample, oneArg)
	if err != nil {
		return err
	}
	p.DSN = args[0]
	if err := checkUnlessPlaceholder(p.DSN, checkDSN); err != nil && !errors.Is(err, fs.ErrNotExist) { // a certificate may be elsewhere
		return located(d, err)
	}
	_, err = readBlock(d, "registry postgres", []option{
		integer("max_conns", "max_conns 16", "registry postgres max_conns", maxConnsBounds, &p.MaxConns),
		duration("timeout", "timeout 2s", "registry postgres timeout", postgresTimeoutBounds, &p.Timeout),
	})
	return err
}

// Provision reads the connection string. It connects to nobody.
func (p *PostgresRegistry) Provision(caddy.Context) error {
	if p.DSN == "" {
		return fmt.Errorf("dsn is missing: write the database's connection string, e.g. `%s`", postgresExample)
	}
	if p.MaxConns != 0 {
		if err := maxConnsBounds.check("max_conns", p.MaxConns); err != nil {
			return err
		}
	}
	if p.Timeout != 0 {
		if err := postgresTimeoutBounds.check("timeout", p.Timeout); err != nil {
			return err
		}
	}
	r := resolver{repl: caddy.NewReplacer()}
	p.dsn = r.one("dsn", p.DSN)
	if err := r.err(); err != nil {
		return err
	}
	return checkDSN(p.dsn)
}

// checkDSN reads a connection string and connects to nobody. Its error holds no
// part of it.
func checkDSN(dsn string) error {
	_, err := postgres.NewWriter(postgres.Config{DSN: dsn, Secrets: [][]byte{{0}}})
	return err
}

// PoolKey implements RegistryModule.
func (p *PostgresRegistry) PoolKey() string {
	return fmt.Sprint(p.dsn, " ", p.MaxConns, " ", p.Timeout)
}

func (p *PostgresRegistry) config(o OpenOptions) postgres.Config {
	return postgres.Config{
		DSN:      p.dsn,
		Secrets:  o.Secrets,
		MaxConns: p.MaxConns,
		Timeout:  time.Duration(p.Timeout),
		Logger:   o.Logger,
	}
}

// Open implements RegistryModule. A database that does not answer yet, or holds no
// registry yet, is a warning.
func (p *PostgresRegistry) Open(o OpenOptions) (registry.Registry, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	r, err := postgres.Open(ctx, p.config(o))
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Engine implements StoreModule.
func (p *PostgresRegistry) Engine(o OpenOptions) (loading.Engine, error) {
	return postgres.NewWriter(p.config(o))
}

// Interface guards.
var (
	_ caddy.Provisioner     = (*PostgresRegistry)(nil)
	_ caddyfile.Unmarshaler = (*PostgresRegistry)(nil)
	_ StoreModule           = (*PostgresRegistry)(nil)
)
