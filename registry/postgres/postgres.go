// Package postgres is the registry in a PostgreSQL database, or in whatever speaks
// its protocol and language: one server, a primary with standbys, a cluster. The
// rows are sealed (package sealed): the database, its backups and whoever runs it
// learn how many numbers there are, and no more.
//
// # Tables
//
//	kycvs_store   one row: the store's key, wrapped by the operator's secret; the version
//	              of the tables; how many people there are
//	kycvs_boxes   idx bytea PRIMARY KEY, box bytea: one row a mobile number
//
// They stand in the first schema of the connection's search_path. Every query names
// the index it wants; there are no sequences, foreign keys, triggers or queries
// across rows, so that the table may be spread over servers by its key. The import
// makes the tables (schema.go); reading needs SELECT on both, and nothing else.
//
// # Several servers
//
// A DSN may name several servers. Lookups go to the first that is well, in the DSN's
// order, or with target_session_attrs=prefer-standby to standbys before the primary.
// A server that fails is left alone until it is found well again, which is asked
// every second, and the lookup that met the failure is tried once more on the next.
// So reads go on from a standby when the primary dies, with what the standby had
// received by then. Other values of target_session_attrs mean what libpq says:
// with `primary` no standby is ever asked. Imports and erasures go to the server that
// can be written to, whatever the DSN prefers.
package postgres

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
)

// Config says which database it is and what may be spent on it.
type Config struct {
	// DSN is the connection string, a URL or keywords and values, as libpq and pgx
	// have it: several hosts, target_session_attrs, sslmode, search_path,
	// connect_timeout (in seconds, for one server; 1 if it is not there) and the
	// pool_ parameters of pgxpool. It is never logged nor part of an error.
	DSN string
	// Secrets are the operator's secrets, the newest first. One of them opens the store.
	Secrets [][]byte
	// MaxConns is how many connections there are at most to one server; 0 means the
	// DSN's pool_max_conns, and without it DefaultMaxConns.
	MaxConns int
	// Timeout is how long a lookup takes at most, a second try on another server
	// included; 0 means DefaultTimeout.
	Timeout time.Duration
	// Logger is told of servers that fail and recover. nil means slog.Default().
	Logger *slog.Logger
}

// What Config means where it does not say.
const (
	DefaultMaxConns = 16
	DefaultTimeout  = 2 * time.Second
)

func (c Config) withDefaults() Config {
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Registry is a registry.Registry over a database. Close it.
type Registry struct {
	config  Config
	hosts   hosts
	store   atomic.Pointer[store] // nil until a server has answered once
	closed  atomic.Bool
	cancel  context.CancelFunc
	watched sync.WaitGroup
}

var _ registry.Registry = (*Registry)(nil)

// Open connects for reading. It returns an error for a DSN that makes no sense,
// and where a server answers and refuses the user or the database, or its store was
// made with another secret or by a later version. That no server answers, or nothing was imported yet, is no error
// but a warning: Lookup and Ready say so until it changes, so that an instance can
// start before its database does.
func Open(ctx context.Context, c Config) (*Registry, error) {
	c = c.withDefaults()
	s, err := parseDSN(c.DSN, c.MaxConns)
	if err != nil {
		return nil, err
	}
	if err := checkSecrets(c.Secrets); err != nil {
		return nil, err
	}
	r := &Registry{config: c, hosts: hosts{preferStandby: s.preferStandby, failed: make(chan struct{}, 1)}}
	for _, one := range s.read {
		h, err := newHost(one)
		if err != nil {
			r.hosts.close()
			return nil, err
		}
		r.hosts.all = append(r.hosts.all, h)
		if inTheClear(one) {
			c.Logger.Warn("registry postgres: connections to this server may do without TLS: set sslmode=verify-full in the DSN", "server", h.address)
		}
	}
	r.greet(ctx)
	if err := r.Ready(ctx); err != nil {
		if errors.Is(err, errDSN) || !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrNoStore) {
			r.hosts.close()
			return nil, err
		}
		c.Logger.Warn("registry postgres: not answering yet", "reason", err.Error())
	}
	watching, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.watched.Go(func() {
		r.hosts.watch(watching, func(h *host) {
			c.Logger.Info("registry postgres: a server answers again", "server", h.address)
		})
	})
	return r, nil
}

// greet asks every server once, all at a time, so that the first lookup knows
// which of them are well, and standbys.
func (r *Registry) greet(ctx context.Context) {
	if len(r.hosts.all) == 1 {
		return
	}
	var asked sync.WaitGroup
	for _, h := range r.hosts.all {
		asked.Go(func() {
			if err := h.ask(ctx); err != nil {
				r.failed(h, err)
			}
		})
	}
	asked.Wait()
}

// failed notes that a server cannot be used now.
func (r *Registry) failed(h *host, err error) {
	if r.hosts.fail(h, err) && !r.closed.Load() {
		r.config.Logger.Warn("registry postgres: a server does not answer", "server", h.address, "reason", cause(err))
	}
}

// Close ends every connection, after the lookups under way. Later ones fail.
func (r *Registry) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	r.cancel()
	r.watched.Wait()
	r.hosts.close()
	return nil
}
