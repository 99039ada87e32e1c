// Package remote asks an authority elsewhere (contract, section 5) on behalf of a
// gate that has no registry of its own: as one partner of it, with that partner's
// key.
//
// Nothing an authority says is taken on trust. The status is the one in its
// assertion, and only once the signature was checked against its key set, and
// issuer, audience, lifetime and handshake are the right ones.
//
// A Client also follows the withdrawals made at the authority, and reports those
// made here until the authority has them.
package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/assertion"
	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// DefaultFollowEvery is how often the authority is asked for withdrawals: they
// are to be known within a minute, one lost answer included.
const DefaultFollowEvery = 20 * time.Second

// Config says which authority is asked, and as whom.
type Config struct {
	// URL is the authority's origin, e.g. "https://kyc.example". It is https; http
	// only to this machine (localhost, 127.0.0.1, ::1), because the key, numbers and
	// codes go there.
	URL string
	// Partner is the id under which the authority knows us; Key is that partner's.
	Partner, Key string
	// Issuer is iss in the authority's assertions; "" for its URL.
	Issuer string
	// FollowEvery is how often it is asked for withdrawals; zero means
	// DefaultFollowEvery.
	FollowEvery time.Duration
	// Longest is how long a pass lasts at most: what was withdrawn longer ago
	// concerns none.
	Longest time.Duration
	// Withdrawals gets what was withdrawn at the authority.
	Withdrawals *withdrawals.Exchange
	// Ledger is ours, from which it is learned at the start what was withdrawn here
	// and may not have been reported.
	Ledger ledger.Ledger
	// Transport makes the requests; nil means one of the Client's own.
	Transport http.RoundTripper
	// Logger gets what changes; nil means slog.Default().
	Logger *slog.Logger
}

// Client is an authflow.Authority; safe for concurrent use.
type Client struct {
	cfg      Config
	origin   string
	http     *http.Client
	breaker  *gobreaker.CircuitBreaker[reply]
	verifier *assertion.Verifier
	log      *slog.Logger

	stop context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	pending map[authflow.ID128]struct{} // withdrawn here and not yet reported
	wake    chan struct{}
}

// Open returns a Client, or an error that says what of the configuration is
// missing or wrong. It does not wait for the authority. Close must end it.
func Open(cfg Config) (*Client, error) {
	origin, err := Origin(cfg.URL)
	if err != nil {
		return nil, err
	}
	switch {
	case cfg.Partner == "":
		return nil, errors.New("remote: no partner: write the id under which the authority knows you")
	case cfg.Key == "":
		return nil, errors.New("remote: no key: write the partner's key, as the authority gave it")
	case strings.ContainsFunc(cfg.Key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("remote: the key has characters that no key has: write it as the authority gave it")
	case cfg.Withdrawals == nil || cfg.Ledger == nil:
		return nil, errors.New("remote: Withdrawals and Ledger are needed")
	}
	if cfg.Issuer == "" {
		cfg.Issuer = origin
	}
	if cfg.FollowEvery <= 0 {
		cfg.FollowEvery = DefaultFollowEvery
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Transport == nil {
		cfg.Transport = newTransport()
	}
	keys, err := assertion.NewKeySet(assertion.KeySetConfig{URL: origin + "/.kycvs/jwks.json", Transport: cfg.Transport})
	if err != nil {
		return nil, err
	}
	verifier, err := assertion.NewVerifier(assertion.VerifierConfig{Keys: keys.Key, Issuer: cfg.Issuer, Audience: cfg.Partner})
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg:      cfg,
		origin:   origin,
		http:     &http.Client{Transport: cfg.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		verifier: verifier,
		log:      cfg.Logger.With("authority", origin, "partner", cfg.Partner),
		pending:  map[authflow.ID128]struct{}{},
		wake:     make(chan struct{}, 1),
	}
	c.breaker = newBreaker(c.log)
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	c.done.Go(func() { c.follow(ctx) })
	c.done.Go(func() { c.report(ctx) })
	return c, nil
}

// Close ends following and reporting. What is not reported yet is learned from
// the ledger at the next start.
func (c *Client) Close() error {
	c.stop()
	c.done.Wait()
	c.http.CloseIdleConnections()
	return nil
}

// Issuer implements authflow.Authority.
func (c *Client) Issuer() string { return c.cfg.Issuer }

// Page implements authflow.Authority.
func (c *Client) Page() string { return c.origin + "/.kycvs/consents" }

// String keeps the key out of whatever prints a Client.
func (c *Client) String() string { return "remote.Client(" + c.origin + " " + c.cfg.Partner + ")" }

// GoString is String, for %#v.
func (c *Client) GoString() string { return c.String() }

// newTransport returns a transport for one host that many people wait for.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes = 16 << 10
	t.MaxIdleConnsPerHost = 64
	t.DialContext = (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 2 * time.Second
	return t
}

// Origin reads an authority's URL. Its error does not repeat it.
func Origin(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return "", errors.New("the authority has no URL: write its origin, e.g. https://kyc.example")
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return "", errors.New("the authority's URL is not a whole one: write its origin, e.g. https://kyc.example")
	case u.User != nil:
		return "", errors.New("the authority's URL has a user in it: write its origin alone; what it knows you by is `key`")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(text, "?#"):
		return "", errors.New("the authority's URL is more than its origin: write e.g. https://kyc.example; the paths below it are always the same")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return "", fmt.Errorf("the authority's URL begins with %s://: write https://, because numbers, codes and the key go there; http is for this machine alone (localhost)", u.Scheme)
	}
	host := strings.ToLower(u.Host)
	usual := ":443"
	if u.Scheme == "http" {
		usual = ":80"
	}
	return u.Scheme + "://" + strings.TrimSuffix(strings.TrimSuffix(host, usual), ":"), nil
}

// isLoopback says that a host is this machine, by its name alone (RFC 6761,
// section 6.3).
func isLoopback(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

var _ authflow.Authority = (*Client)(nil)
