package assertion

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// What a KeySetConfig can be, and what it is where it says nothing.
const (
	// DefaultInterval is the least time between two fetches. It must be well below
	// the time for which a new key is public before it signs, an hour as a rule
	// and never less than four seconds: then nobody meets a key that may not be
	// fetched yet.
	DefaultInterval = 2 * time.Second
	// MinInterval and MaxInterval bound KeySetConfig.Interval.
	MinInterval, MaxInterval = 50 * time.Millisecond, time.Minute
	// DefaultGrace is how long keys count after they should have been fetched
	// anew: a gate that does not answer for longer makes no assertions either.
	DefaultGrace = time.Hour
	// MaxGrace bounds KeySetConfig.Grace: for so long a key that was revoked could
	// be kept alive by whoever keeps the verifier from asking.
	MaxGrace = 24 * time.Hour

	// maxKeyAge is the longest that a set is kept without asking again, whatever
	// its Cache-Control says, and unsaidKeyAge how long if it says nothing.
	maxKeyAge    = time.Hour
	unsaidKeyAge = 10 * time.Minute
	// fetchTime is the most that one fetch may take, its body included.
	fetchTime = 5 * time.Second
)

// KeySetConfig says where an issuer publishes its keys.
type KeySetConfig struct {
	// URL of the key set, e.g. "https://mall.example/.kycvs/jwks.json". Required.
	// It is https; http only to this machine (localhost, 127.0.0.1, ::1), because
	// whoever can change the answer on its way chooses whom you trust.
	URL string
	// Interval is the least time between the end of one fetch and the next, from
	// MinInterval to MaxInterval; zero means DefaultInterval.
	Interval time.Duration
	// Grace is how long the keys last fetched count after their time while the
	// issuer does not answer, at most MaxGrace; zero means DefaultGrace, and less
	// than zero not at all.
	Grace time.Duration
	// Transport makes the requests; nil means http.DefaultTransport.
	Transport http.RoundTripper
}

// KeySet holds the keys that an issuer publishes at an address, and keeps them
// fresh: its Key method is what VerifierConfig.Keys wants. It fetches when it is
// first asked, again before the time that Cache-Control gives is over (behind
// the back of who asks), and at once when it meets a kid that it does not know,
// but never twice within Interval, so that made-up kids cost the issuer nothing.
// Any number that ask at once wait for one fetch. If the issuer does not answer,
// the old keys count on for Grace.
//
// A KeySet is safe for concurrent use. It starts nothing that has to be stopped.
type KeySet struct {
	fetcher  fetcher
	interval time.Duration
	grace    time.Duration
	held     atomic.Pointer[heldKeys] // nil until the first fetch succeeded

	mu      sync.Mutex
	flight  *flight   // the fetch under way, nil if there is none
	err     error     // how the last one ended
	notTill time.Time // when the next may begin
}

// heldKeys is what one fetch brought. It is never changed.
type heldKeys struct {
	keys  map[string]jose.JSONWebKey
	etag  string
	renew time.Time // fetch anew from here on, without making anybody wait
	stale time.Time // from here on wait for that, unless the issuer does not answer
	until time.Time // from here on they do not count
}

// flight is a fetch under way. err is set once done is closed.
type flight struct {
	done chan struct{}
	err  error
}

// NewKeySet returns a KeySet that has fetched nothing yet, or an error that says
// what of the configuration is missing or out of bounds.
func NewKeySet(cfg KeySetConfig) (*KeySet, error) {
	u, err := keySetURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	s := &KeySet{interval: cfg.Interval, grace: max(cfg.Grace, 0)}
	if cfg.Interval == 0 {
		s.interval = DefaultInterval
	}
	if cfg.Grace == 0 {
		s.grace = DefaultGrace
	}
	switch {
	case s.interval < MinInterval || s.interval > MaxInterval:
		return nil, fmt.Errorf("assertion: a key set's Interval must be from %v to %v, not %v", MinInterval, MaxInterval, cfg.Interval)
	case s.grace > MaxGrace:
		return nil, fmt.Errorf("assertion: a key set's Grace must be at most %v, not %v", MaxGrace, cfg.Grace)
	}
	s.fetcher = newFetcher(u, cfg.Transport)
	return s, nil
}

// Key is a KeyFunc. It waits for a fetch, and for ctx at most, where it has
// nothing to go by: no set, one whose time is over, or none with this kid.
func (s *KeySet) Key(ctx context.Context, kid string) (jose.JSONWebKey, error) {
	now := time.Now()
	if held := s.held.Load(); held != nil && now.Before(held.until) {
		key, known := held.keys[kid]
		if known && now.Before(held.renew) {
			return key, nil
		}
		failed := s.failed()
		switch {
		case known && (failed != nil || now.Before(held.stale)):
			_, _ = s.fetch(now) // for those who come later
			return key, nil
		case failed != nil:
			// Not waiting: a hundred made-up kids a second would otherwise all wait
			// for an issuer that is silent.
			_, _ = s.fetch(now)
			return jose.JSONWebKey{}, failed
		}
	}

	err := s.wait(ctx, now)
	if held := s.held.Load(); held != nil && time.Now().Before(held.until) {
		if key, known := held.keys[kid]; known {
			return key, nil
		}
	}
	if err == nil {
		err = ErrKeyUnknown
	}
	return jose.JSONWebKey{}, err
}

// failed is how the last fetch ended: nil if it brought keys.
func (s *KeySet) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// wait waits for a fetch, its own or one that is under way. Where none may begin
// yet it returns how the last one ended.
func (s *KeySet) wait(ctx context.Context, now time.Time) error {
	f, err := s.fetch(now)
	if f == nil {
		return err
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fetch begins a fetch unless one is under way, and returns it; nil, and how the
// last one ended, if it is too soon for another.
func (s *KeySet) fetch(now time.Time) (*flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		return s.flight, nil
	}
	if now.Before(s.notTill) {
		return nil, s.err
	}
	f := &flight{done: make(chan struct{})}
	s.flight = f
	// On its own time, not on that of who asked first: others wait for it too.
	go s.fly(f)
	return f, nil
}

// fly fetches, and has whoever waits for f go on.
func (s *KeySet) fly(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTime)
	defer cancel()
	began := time.Now()
	old := s.held.Load()
	got, err := s.fetcher.fetch(ctx, old)
	if err == nil {
		age := min(max(got.age, s.interval), maxKeyAge)
		s.held.Store(&heldKeys{
			keys: got.keys, etag: got.etag,
			renew: began.Add(age * 3 / 4),
			stale: began.Add(age),
			until: began.Add(age + s.grace),
		})
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	f.err = err
	s.flight, s.err, s.notTill = nil, err, time.Now().Add(s.interval)
	close(f.done)
}

// errNoAnswer is what every failure to fetch is.
var errNoAnswer = errors.New("the key set could not be fetched")
