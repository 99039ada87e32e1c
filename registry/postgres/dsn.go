package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// servers is what a DSN says: how to reach each of its servers for reading, and
// the one of them that takes writes.
type servers struct {
	read          []*pgxpool.Config // one a server, in the DSN's order
	write         []*pgxpool.Config // the same, good for nothing but servers that can be written to
	preferStandby bool
}

// dialTimeout is how long one server may take to accept a connection, TLS and
// password included, where the DSN has no connect_timeout.
const dialTimeout = time.Second

// parseDSN reads a connection string, a URL or keywords and values, as libpq
// describes them (https://www.postgresql.org/docs/current/libpq-connect.html). No
// error holds any part of it: which part is the password cannot be told in a
// string that does not parse.
func parseDSN(dsn string, maxConns int) (*servers, error) {
	if strings.TrimSpace(dsn) == "" { // pgx would take the environment's
		return nil, errUnreadable
	}
	c, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, unreadable(err)
	}
	cc := c.ConnConfig
	if strings.Contains(cc.Database, "@") {
		return nil, errors.New("registry postgres: the DSN's database holds an @: write / ? # and @ of the password as %2F %3F %23 and %40")
	}
	if maxConns > 0 {
		c.MaxConns = int32(maxConns)
	} else if !strings.Contains(dsn, "pool_max_conns") {
		c.MaxConns = DefaultMaxConns
	}
	if cc.ConnectTimeout <= 0 {
		cc.ConnectTimeout = dialTimeout
	}
	if cc.RuntimeParams["application_name"] == "" {
		cc.RuntimeParams["application_name"] = "kycvs"
	}
	c.PingTimeout = cc.ConnectTimeout

	s := &servers{}
	if isPreferStandby(cc.ValidateConnect) {
		s.preferStandby = true
		cc.ValidateConnect = nil
	}
	// pgx's own fallback would dial a dead first server anew for each connection;
	// a pool for each server leaves it alone until it answers again. A server
	// stands twice where sslmode allows more than one way to reach it.
	ways := append([]*pgconn.FallbackConfig{{Host: cc.Host, Port: cc.Port, TLSConfig: cc.TLSConfig}}, cc.Fallbacks...)
	for i, w := range ways {
		if i > 0 && w.Host == ways[i-1].Host && w.Port == ways[i-1].Port {
			last := s.read[len(s.read)-1].ConnConfig
			last.Fallbacks = append(last.Fallbacks, w)
			continue
		}
		one := c.Copy()
		one.ConnConfig.Host, one.ConnConfig.Port, one.ConnConfig.TLSConfig = w.Host, w.Port, w.TLSConfig
		one.ConnConfig.Fallbacks = nil
		s.read = append(s.read, one)
	}
	for _, one := range s.read {
		one = one.Copy()
		one.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
		s.write = append(s.write, one)
	}
	return s, nil
}

// isPreferStandby reports whether f is what pgx makes of
// target_session_attrs=prefer-standby, wherever it was set: in the DSN, the
// environment or a service file.
func isPreferStandby(f pgconn.ValidateConnectFunc) bool {
	return f != nil &&
		reflect.ValueOf(f).Pointer() == reflect.ValueOf(pgconn.ValidateConnectTargetSessionAttrsPreferStandby).Pointer()
}

func unreadable(err error) error {
	var file *fs.PathError // a certificate, a password file
	if errors.As(err, &file) {
		return fmt.Errorf("registry postgres: a file that the DSN names cannot be read: %w", file)
	}
	return errUnreadable
}

var errUnreadable = errors.New("registry postgres: the DSN cannot be read: write postgres://USER:PASSWORD@HOST:5432,HOST2:5432/DATABASE?sslmode=verify-full, " +
	"with / ? # and @ of the password as %2F %3F %23 and %40")

// inTheClear reports whether a connection to the server may go over a network
// without TLS, as libpq's default sslmode=prefer has it. Whoever sits in between
// could then answer in the server's place.
func inTheClear(c *pgxpool.Config) bool {
	host := c.ConnConfig.Host
	if ip := net.ParseIP(host); strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback() {
		return false
	}
	return c.ConnConfig.TLSConfig == nil ||
		slices.ContainsFunc(c.ConnConfig.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.TLSConfig == nil })
}

// address names a server in logs and errors.
func address(c *pgxpool.Config) string {
	host, port := c.ConnConfig.Host, c.ConnConfig.Port
	if strings.HasPrefix(host, "/") { // a Unix socket's directory
		return host + ":" + strconv.Itoa(int(port))
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
