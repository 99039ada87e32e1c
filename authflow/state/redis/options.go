package redis

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
)

const (
	urlExample = "redis://HOST:6379"
	urlAdvice  = "write " + urlExample + ", or rediss:// for TLS, with / ? # and @ of a password as %2F %3F %23 and %40"
)

// bufferSize is enough for a handshake, and less than go-redis' 32 KiB for each
// direction of each connection.
const bufferSize = 4 << 10

// Check reads cfg as Open does, but for the files, and opens nothing.
func Check(cfg Config) error {
	_, err := options(cfg)
	return err
}

// options reads the URLs. No error of it holds any part of one.
func options(cfg Config) (*redis.UniversalOptions, error) {
	if len(cfg.URLs) == 0 {
		return nil, errors.New("state redis: there is no URL: write e.g. `state redis " + urlExample + "`")
	}
	if cfg.Cluster && cfg.Sentinel != "" {
		return nil, errors.New("state redis: sentinel and cluster contradict each other: write one of them")
	}
	if cfg.SentinelPassword != "" && cfg.Sentinel == "" {
		return nil, errors.New("state redis: sentinel_password without sentinel: write the primary's name with sentinel, or leave the password out")
	}
	if err := CheckPrefix(cfg.Prefix); err != nil {
		return nil, err
	}
	if t := cfg.TLS; t != nil && (t.CertFile == "") != (t.KeyFile == "") {
		return nil, errors.New("state redis: a certificate needs its key: write `cert FILE KEY`")
	}
	opts := &redis.UniversalOptions{
		MasterName:    cfg.Sentinel,
		IsClusterMode: cfg.Sentinel == "" && (cfg.Cluster || len(cfg.URLs) > 1),

		// Nothing is sent twice. Where an answer was lost nobody knows whether the
		// step was taken, and of some a second time says the contrary of the first: a
		// Spend finds the handshake spent, a Create finds it there, a Take charges
		// again. A cluster's redirections do not count as retries; see once.
		MaxRetries:    -1,
		DialerRetries: 1,
		MaxRedirects:  3,

		DialTimeout:           cfg.Timeout,
		ReadTimeout:           cfg.Timeout,
		WriteTimeout:          cfg.Timeout,
		PoolTimeout:           cfg.Timeout,
		ContextTimeoutEnabled: true,
		PoolSize:              cfg.MaxConns,
		PipelinePoolSize:      -1,
		ReadBufferSize:        bufferSize,
		WriteBufferSize:       bufferSize,

		// The older protocol has all that is used here, works with every version, and
		// spares a connection the questions that a new one has.
		Protocol:        2,
		DisableIdentity: true,
	}
	var one credentials
	for i, text := range cfg.URLs {
		if err := readURL(text, opts, &one); err != nil {
			if len(cfg.URLs) > 1 {
				return nil, fmt.Errorf("state redis: URL %d %w", i+1, err)
			}
			return nil, fmt.Errorf("state redis: the URL %w", err)
		}
	}
	if cfg.Sentinel != "" {
		opts.SentinelUsername, opts.SentinelPassword = one.username, one.password
		opts.SentinelPassword = cmp.Or(cfg.SentinelPassword, opts.SentinelPassword)
		opts.Username, opts.Password = cfg.Username, cfg.Password
	} else {
		opts.Username, opts.Password = cmp.Or(cfg.Username, one.username), cmp.Or(cfg.Password, one.password)
	}
	if opts.IsClusterMode && opts.DB != 0 {
		return nil, errors.New("state redis: a cluster has one database: write the URLs without a path")
	}
	if one.tls || cfg.TLS != nil {
		opts.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return opts, nil
}

// credentials are what the URLs say in common.
type credentials struct {
	username, password string
	database           int
	named, tls, any    bool
}

func readURL(text string, opts *redis.UniversalOptions, all *credentials) error {
	unreadable := errors.New("cannot be read: " + urlAdvice)
	u, err := url.Parse(text)
	if err != nil {
		return unreadable // url.Parse's error quotes it
	}
	switch u.Scheme {
	case "redis", "rediss":
		if u.Hostname() == "" {
			return errors.New("names no host: " + urlAdvice)
		}
		if u.RawQuery != "" || u.Fragment != "" {
			return errors.New("has something behind ? or #: write options into the block, and " + urlAdvice[len("write "):])
		}
	case "unix":
		if opts.MasterName != "" || opts.IsClusterMode {
			return errors.New("is a socket, which is one server alone: leave sentinel, cluster and further URLs out, or " + urlAdvice)
		}
		if q := u.Query(); len(q) > 1 || len(q) == 1 && !q.Has("db") {
			return errors.New("has more behind ? than db: write unix:///run/redis/redis.sock?db=0")
		}
	default:
		return errors.New("begins with another word than redis, rediss or unix: " + urlAdvice)
	}
	parsed, err := redis.ParseURL(text)
	if err != nil {
		return unreadable
	}
	if u.User != nil {
		// ParseURL reads redis://:@HOST as no credentials, which is right.
		if all.named && (all.username != parsed.Username || all.password != parsed.Password) {
			return errors.New("has another user or password than the one before: all servers must have the same; write it once, with username and password")
		}
		all.named, all.username, all.password = true, parsed.Username, parsed.Password
	}
	if all.any && (all.tls != (parsed.TLSConfig != nil) || all.database != parsed.DB) {
		return errors.New("has another scheme or database than the one before: write the same in all")
	}
	all.any, all.tls, all.database = true, parsed.TLSConfig != nil, parsed.DB
	opts.Addrs = append(opts.Addrs, parsed.Addr)
	opts.DB = parsed.DB
	return nil
}

// maxPrefix keeps the keys, of which there are millions, short.
const maxPrefix = 32

// CheckPrefix returns an error unless s can begin keys; "" stands for the
// default. Braces would change which part of a key says where it belongs.
func CheckPrefix(s string) error {
	if len(s) > maxPrefix || strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:", r))
	}) {
		return fmt.Errorf("state redis: prefix %.40q cannot begin a key: write up to %d letters, digits and . : _ -", s, maxPrefix)
	}
	return nil
}

// load reads the files into c.
func (t *TLS) load(c *tls.Config) error {
	if t == nil {
		return nil
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return fileError("ca", t.CAFile, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("state redis: ca %s holds no certificate: write the name of a PEM file", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		var path *fs.PathError
		switch {
		case errors.As(err, &path):
			return fileError("cert", path.Path, err)
		case err != nil:
			return fmt.Errorf("state redis: cert %s and key %s do not go together: %w: write a certificate and its key, both PEM files", t.CertFile, t.KeyFile, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return nil
}

func fileError(option, name string, err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	return fmt.Errorf("state redis: %s %s cannot be read: %w: write the name of a PEM file that Caddy's user may read", option, name, err)
}

// Check returns an error unless the files can be read and are what they should be.
func (t *TLS) Check() error { return t.load(new(tls.Config)) }
