// Package redis is the state engine of several instances: handshakes, counters
// and the board of withdrawals in Redis, or what speaks its protocol and runs
// its scripts (5.0 or later, Valkey), on one server, behind sentinels, or in a
// cluster.
//
// Every step is one script, which Redis runs with nothing in between, so it is
// done once or not at all, whichever instance asks. No step is sent twice: where
// the answer to one was lost, its caller is told that Redis did not answer.
//
// What is kept names nobody. Keys are hashes; a handshake is a packed record of
// hashes and a part that is sealed; the board has the consents' random numbers.
package redis

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// Defaults of Config.
const (
	DefaultPrefix  = "kycvs"
	DefaultTimeout = 500 * time.Millisecond
	minMaxConns    = 16 // the default, beside 10 for each processor
)

// Config says where Redis is and how to talk to it.
type Config struct {
	// URLs are redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss:// for TLS, or
	// unix:///PATH[?db=DATABASE]. One is a server, several are a cluster's first
	// servers, or, with Sentinel, the sentinels. What they say of the user, the
	// password and TLS must be the same in all that say it.
	URLs []string
	// Sentinel is the name that the sentinels have for the primary server.
	Sentinel string
	// Cluster says that a single URL is a cluster's.
	Cluster bool
	// Username and Password are for the servers, and take the place of the URLs'.
	// With Sentinel the URLs' are for the sentinels.
	Username, Password string
	// SentinelPassword is for the sentinels, and takes the place of the URLs'.
	SentinelPassword string
	// TLS, if not nil, asks for TLS, as the scheme rediss does.
	TLS *TLS
	// Prefix begins all keys, so that installations can share a Redis. "" means
	// DefaultPrefix.
	Prefix string
	// Timeout is how long a step takes at most, connecting included. 0 means
	// DefaultTimeout.
	Timeout time.Duration
	// MaxConns is how many connections there are at most to one server. 0 means 10
	// for each processor, and at least 16.
	MaxConns int
	// Logger gets what concerns the operator; nil means slog.Default().
	Logger *slog.Logger
	// Now is this instance's clock; nil means time.Now.
	Now func() time.Time
}

// TLS names PEM files. An empty name means the system's authorities, and no
// certificate of our own.
type TLS struct {
	CAFile            string
	CertFile, KeyFile string
}

// Store is a state.Store and a withdrawals.Board in Redis.
type Store struct {
	client  redis.UniversalClient
	timeout time.Duration
	now     func() time.Time
	log     *slog.Logger
	secrets []string // never to be seen in an error
	keys    keys
	clock   serverClock

	refused atomic.Pointer[EvictionError] // why no step is taken
	mayNot  atomic.Bool                   // INFO is not permitted, and that was logged
	look    chan struct{}                 // wakes the watcher

	close  sync.Once
	closed atomic.Bool
	stop   context.CancelFunc
	done   chan struct{} // closed when the watcher has ended
}

var (
	_ state.Store       = (*Store)(nil)
	_ withdrawals.Board = (*Store)(nil)
)

// ErrClosed says that Close was called.
var ErrClosed = errors.New("state redis: closed")

// Open returns a Store, which Close must end. It does not wait for Redis, nor
// fail where Redis does not answer: then the steps do. It fails where cfg cannot
// be read or names a file that cannot. Its error holds no part of a URL.
func Open(cfg Config) (*Store, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = max(minMaxConns, 10*runtime.GOMAXPROCS(0))
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	opts, err := options(cfg)
	if err != nil {
		return nil, err
	}
	if opts.TLSConfig != nil {
		if err := cfg.TLS.load(opts.TLSConfig); err != nil {
			return nil, err
		}
	}
	s := &Store{
		timeout: cfg.Timeout,
		now:     cfg.Now,
		log:     cfg.Logger,
		secrets: []string{opts.Password, opts.SentinelPassword},
		keys:    newKeys(cfg.Prefix),
		clock:   serverClock{opened: time.Now()},
		look:    make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	opts.OnConnect = func(context.Context, *redis.Conn) error {
		s.lookSoon() // a server met for the first time may be set up otherwise
		return nil
	}
	quietOnce.Do(func() { redis.SetLogger(quiet{cfg.Logger}) })
	s.client = connect(opts)
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	go s.watch(ctx)
	return s, nil
}

// connect is redis.NewUniversalClient, but for a cluster's choice of servers by
// the command's kind, which costs a question at the start and is of no use to
// scripts.
func connect(opts *redis.UniversalOptions) redis.UniversalClient {
	if opts.MasterName == "" && opts.IsClusterMode {
		cluster := opts.Cluster()
		cluster.DisableRoutingPolicies = true
		return redis.NewClusterClient(cluster)
	}
	return redis.NewUniversalClient(opts)
}

// Close ends all connections.
func (s *Store) Close() (err error) {
	s.close.Do(func() {
		s.closed.Store(true)
		s.stop()
		<-s.done
		err = s.client.Close()
	})
	<-s.done
	return err
}

// Ready implements state.Store. A server that evicts makes it an EvictionError.
func (s *Store) Ready(ctx context.Context) error {
	if s.closed.Load() {
		return ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.client.Ping(ctx).Err(); err != nil {
		return s.failed(err)
	}
	if err := s.checkEviction(ctx); err != nil {
		return s.failed(err)
	}
	if refused := s.refused.Load(); refused != nil {
		return refused
	}
	return nil
}

var quietOnce sync.Once

// quiet takes the lines that go-redis would write to the standard error beside
// the errors that it returns. Its logger is one for the whole process.
type quiet struct{ log *slog.Logger }

func (q quiet) Printf(ctx context.Context, format string, _ ...any) {
	// Without the values: nobody promises what is in them.
	q.log.DebugContext(ctx, "go-redis", "says", format)
}
