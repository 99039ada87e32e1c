package caddymodule

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/authflow/state/redis"
)

func init() {
	caddy.RegisterModule((*RedisState)(nil))
}

// RedisState keeps handshakes and counters in Redis, for several instances that
// share them and tell each other of withdrawals there. It must not evict:
// `maxmemory-policy noeviction`.
type RedisState struct {
	// URLs say where Redis is: `redis://HOST:6379`, `rediss://` for TLS, or
	// `unix:///PATH`. One is a server, several are servers of a cluster, or, with
	// `sentinel`, the sentinels. At least one is required; there is no default. A
	// password belongs in a placeholder such as `{env.KYCVS_REDIS}`, which never shows
	// in a dump of the configuration.
	URLs []string `json:"urls,omitempty"`

	// Sentinel is the name that the sentinels have for the primary server. It says that
	// the URLs are the sentinels'. The default is none.
	Sentinel string `json:"sentinel,omitempty"`

	// Cluster says that a single URL is a cluster's. The default is that several are and
	// one is not.
	Cluster bool `json:"cluster,omitempty"`

	// Username is the servers' user. The default is the one in the URLs, which with
	// `sentinel` is the sentinels', and without one Redis' default user.
	Username string `json:"username,omitempty"`

	// Password is the servers'. The default is the one in the URLs, which with `sentinel`
	// is the sentinels', or none.
	Password string `json:"password,omitempty"`

	// SentinelPassword is the sentinels'. The default is the one in the URLs, or none.
	SentinelPassword string `json:"sentinel_password,omitempty"`

	// TLS asks for TLS and says what is trusted. The default is TLS with the system's
	// authorities where the URLs begin with `rediss://`, and none elsewhere.
	TLS *RedisTLS `json:"tls,omitempty"`

	// Prefix begins all keys, so that installations can share a Redis. The default is
	// `kycvs`.
	Prefix string `json:"prefix,omitempty"`

	// Timeout is how long one step takes at most, connecting included. The default is
	// 500ms.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// MaxConns is how many connections there are at most to one server. The default is
	// 10 for each processor, and at least 16.
	MaxConns int `json:"max_conns,omitempty"`

	config redis.Config // placeholders resolved
}

// RedisTLS says with whose certificates RedisState talks to Redis. The server's
// certificate is always checked, and must name the host that is connected to.
type RedisTLS struct {
	// CA is a PEM file of the authorities that are trusted. The default is the system's.
	CA string `json:"ca,omitempty"`

	// Cert is a PEM file with the certificate to show. The default is none.
	Cert string `json:"cert,omitempty"`

	// Key is a PEM file with the key of Cert, and goes with it.
	Key string `json:"key,omitempty"`
}

// A step is a moment's work, for which a person waits.
var redisTimeoutBounds = durationBounds{50 * time.Millisecond, 10 * time.Second}

const redisExample = "state redis {env.KYCVS_REDIS}"

// CaddyModule returns the Caddy module information.
func (*RedisState) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "kycvs.state.redis", New: func() caddy.Module { return new(RedisState) }}
}

// UnmarshalCaddyfile reads
//
//	state redis URL [URL…] {
//		sentinel NAME
//		cluster
//		username NAME
//		password PASSWORD
//		sentinel_password PASSWORD
//		tls {
//			ca FILE
//			cert FILE KEY
//		}
//		prefix WORD
//		timeout DURATION
//		max_conns N
//	}
func (s *RedisState) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the guest's name
	urls, err := arguments(d, "state redis", redisExample, someArg)
	if err != nil {
		return err
	}
	s.URLs = urls
	line := d.Token()
	for _, url := range urls {
		if err := checkUnlessPlaceholder(url, checkRedisURL); err != nil {
			return located(d, err)
		}
	}
	if _, err := readBlock(d, "state redis", []option{
		text("sentinel", "sentinel mymaster", &s.Sentinel, nil),
		toggle("cluster", &s.Cluster),
		text("username", "username kycvs", &s.Username, nil),
		secretText("password", "password {env.REDIS_PASSWORD}", &s.Password),
		secretText("sentinel_password", "sentinel_password {env.SENTINEL_PASSWORD}", &s.SentinelPassword),
		redisTLSOption(&s.TLS),
		text("prefix", "prefix kycvs", &s.Prefix, redis.CheckPrefix),
		duration("timeout", "timeout 500ms", "state redis timeout", redisTimeoutBounds, &s.Timeout),
		integer("max_conns", "max_conns 16", "state redis max_conns", maxConnsBounds, &s.MaxConns),
	}); err != nil {
		return err
	}
	if slices.ContainsFunc(append(urls, s.Prefix), hasPlaceholder) {
		return nil
	}
	return at(line, redis.Check(s.unresolved()))
}

// secretText is text whose value no message shows.
func secretText(name, example string, into *string) option {
	return option{name: name, segment: func(d *caddyfile.Dispenser) error {
		args := d.RemainingArgs()
		if len(args) != 1 || args[0] == "" {
			return errf(d, "%s has not one value: write e.g. `%s`, and into double quotes what has spaces", name, example)
		}
		*into = args[0]
		if d.NextBlock(d.Nesting()) {
			return errf(d, "%s takes no block: write `%s`", name, example)
		}
		return nil
	}}
}

func redisTLSOption(into **RedisTLS) option {
	return option{name: "tls", example: "tls", args: noArg, read: func(d *caddyfile.Dispenser, _ []string) error {
		t := new(RedisTLS)
		*into = t
		_, err := readBlock(d, "state redis tls", []option{
			text("ca", "ca /etc/ssl/redis-ca.pem", &t.CA, nil),
			{name: "cert", example: "cert client.pem client.key", args: twoArgs, read: func(_ *caddyfile.Dispenser, args []string) error {
				t.Cert, t.Key = args[0], args[1]
				return nil
			}},
		})
		return err
	}}
}

// checkRedisURL reads a URL alone. Its error holds no part of it.
func checkRedisURL(url string) error { return redis.Check(redis.Config{URLs: []string{url}}) }

// unresolved is the configuration before placeholders are resolved.
func (s *RedisState) unresolved() redis.Config {
	c := redis.Config{
		URLs:             s.URLs,
		Sentinel:         s.Sentinel,
		Cluster:          s.Cluster,
		Username:         s.Username,
		Password:         s.Password,
		SentinelPassword: s.SentinelPassword,
		Prefix:           s.Prefix,
		Timeout:          time.Duration(s.Timeout),
		MaxConns:         s.MaxConns,
	}
	if s.TLS != nil {
		c.TLS = &redis.TLS{CAFile: s.TLS.CA, CertFile: s.TLS.Cert, KeyFile: s.TLS.Key}
	}
	return c
}

// Provision reads the configuration. It connects to nobody.
func (s *RedisState) Provision(caddy.Context) error {
	if len(s.URLs) == 0 {
		return fmt.Errorf("urls is missing: write where Redis is, e.g. `%s`", redisExample)
	}
	if s.MaxConns != 0 {
		if err := maxConnsBounds.check("max_conns", s.MaxConns); err != nil {
			return err
		}
	}
	if s.Timeout != 0 {
		if err := redisTimeoutBounds.check("timeout", s.Timeout); err != nil {
			return err
		}
	}
	r := resolver{repl: caddy.NewReplacer()}
	c := s.unresolved()
	c.URLs = r.all("urls", c.URLs)
	c.Sentinel = r.one("sentinel", c.Sentinel)
	c.Username = r.one("username", c.Username)
	c.Password = r.one("password", c.Password)
	c.SentinelPassword = r.one("sentinel_password", c.SentinelPassword)
	c.Prefix = r.one("prefix", c.Prefix)
	if err := r.err(); err != nil {
		return err
	}
	if err := redis.Check(c); err != nil {
		return err
	}
	if c.TLS != nil {
		if err := resolveTLS(c.TLS); err != nil {
			return err
		}
	}
	s.config = c
	return nil
}

// resolveTLS makes the files' names absolute and reads the files.
func resolveTLS(t *redis.TLS) error {
	for _, file := range []struct {
		option string
		path   *string
	}{{"tls ca", &t.CAFile}, {"tls cert", &t.CertFile}, {"tls cert's key", &t.KeyFile}} {
		if *file.path == "" {
			continue
		}
		path, err := absolute(file.option, *file.path)
		if err != nil {
			return err
		}
		*file.path = path
	}
	return t.Check()
}

// PoolKey implements StateModule: all there is to say, as a hash, for passwords
// are part of it.
func (s *RedisState) PoolKey() string {
	all, err := json.Marshal(struct {
		URLs                                                   []string
		Sentinel, Username, Password, SentinelPassword, Prefix string
		Cluster                                                bool
		TLS                                                    *redis.TLS
		Timeout                                                time.Duration
		MaxConns                                               int
	}{s.config.URLs, s.config.Sentinel, s.config.Username, s.config.Password, s.config.SentinelPassword, s.config.Prefix,
		s.config.Cluster, s.config.TLS, s.config.Timeout, s.config.MaxConns})
	if err != nil {
		panic(err) // strings and numbers
	}
	sum := sha256.Sum256(all)
	return hex.EncodeToString(sum[:])
}

// Open implements StateModule. Redis need not answer yet.
func (s *RedisState) Open(o OpenOptions) (state.Store, error) {
	if len(s.config.URLs) == 0 {
		return nil, errors.New("state redis: it is not provisioned")
	}
	c := s.config
	c.Logger = o.Logger
	opened, err := redis.Open(c)
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// Interface guards.
var (
	_ caddy.Provisioner     = (*RedisState)(nil)
	_ caddyfile.Unmarshaler = (*RedisState)(nil)
	_ StateModule           = (*RedisState)(nil)
)
