package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// dialTimeout is how long one server may take to accept a connection, TLS and
// password included, where the DSN has no connect_timeout.
const dialTimeout = time.Second

var errUnreadable = errors.New("ledger postgres: the DSN cannot be read: write postgres://USER:PASSWORD@HOST:5432,HOST2:5432/DATABASE?sslmode=verify-full, " +
	"with / ? # and @ of the password as %2F %3F %23 and %40")

// CheckDSN returns an error for a DSN that makes no sense. It connects to nobody.
func CheckDSN(dsn string) error {
	_, err := parseDSN(dsn, 0)
	return err
}

// parseDSN reads a connection string, a URL or keywords and values, as libpq
// describes them (https://www.postgresql.org/docs/current/libpq-connect.html). No
// error holds any part of it: which part is the password cannot be told in a
// string that does not parse.
func parseDSN(dsn string, maxConns int) (*pgxpool.Config, error) {
	if strings.TrimSpace(dsn) == "" { // pgx would take the environment's
		return nil, errUnreadable
	}
	c, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		var file *fs.PathError // a certificate, a password file
		if errors.As(err, &file) {
			return nil, fmt.Errorf("ledger postgres: a file that the DSN names cannot be read: %w", file)
		}
		return nil, errUnreadable
	}
	cc := c.ConnConfig
	if strings.Contains(cc.Database, "@") {
		return nil, errors.New("ledger postgres: the DSN's database holds an @: write / ? # and @ of the password as %2F %3F %23 and %40")
	}
	if maxConns > 0 {
		c.MaxConns = int32(maxConns)
	} else if !strings.Contains(dsn, "pool_max_conns") {
		c.MaxConns = DefaultMaxConns
	}
	c.MaxConns = max(c.MaxConns, 2)
	if cc.ConnectTimeout <= 0 {
		cc.ConnectTimeout = dialTimeout
	}
	c.PingTimeout = cc.ConnectTimeout
	if cc.RuntimeParams["application_name"] == "" {
		cc.RuntimeParams["application_name"] = "kycvs"
	}
	// A standby's ledger is behind, and takes nothing.
	cc.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	return c, nil
}

// inTheClear reports whether a connection may go over a network without TLS, as
// libpq's default sslmode=prefer has it. Whoever sits in between could then answer
// in the server's place.
func inTheClear(c *pgxpool.Config) bool {
	ways := append([]*pgconn.FallbackConfig{{Host: c.ConnConfig.Host, TLSConfig: c.ConnConfig.TLSConfig}}, c.ConnConfig.Fallbacks...)
	return slices.ContainsFunc(ways, func(w *pgconn.FallbackConfig) bool {
		ip := net.ParseIP(w.Host)
		here := strings.HasPrefix(w.Host, "/") || w.Host == "localhost" || ip != nil && ip.IsLoopback()
		return w.TLSConfig == nil && !here
	})
}
