package keyring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

// Errors of a Ring.
var (
	ErrNotReady = errors.New("keyring: no key yet, the ring has not started")
	ErrClosed   = errors.New("keyring: the ring is closed")
)

// Ring has the keys of one storage at hand. It is safe for concurrent use.
type Ring struct {
	cfg Config

	// now is all that requests touch; nil until Start has succeeded.
	now atomic.Pointer[moment]

	starting chan struct{} // has one element while a Start is under way

	mu      sync.Mutex
	want    want
	raw     []byte // what doc was read from
	doc     *document
	set     published            // of doc
	reads   int                  // counts what was installed, so that a slow reader does not undo a write
	seen    sightings            // of the keys of doc
	revoked map[string]time.Time // the keys that any document ever read said are revoked, and when
	undone  bool                 // raw has keys that are revoked: doc is without them
	fresh   time.Time            // when the storage said last what doc says
	timer   *time.Timer
	started bool
	closed  bool

	changed chan struct{}    // has one element when doc or want changed
	spare   *jose.JSONWebKey // the writer's own
	life    context.Context
	end     context.CancelFunc
	loops   sync.WaitGroup
}

// moment is what holds until the next key signs or the document changes.
type moment struct {
	signer *assertion.Signer
	set    published
}

// published is the public set, ready to be sent.
type published struct {
	body   []byte
	etag   string
	maxAge time.Duration
}

// Open returns a ring that has done nothing yet: no I/O, no key, and whatever
// is wrong with the configuration is said by Start.
func Open(cfg Config) *Ring {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Ring{
		cfg:      cfg,
		want:     want{cfg.plan(), true},
		changed:  make(chan struct{}, 1),
		starting: make(chan struct{}, 1),
		seen:     sightings{},
		revoked:  map[string]time.Time{},
	}
	r.life, r.end = context.WithCancel(context.Background())
	return r
}

// Start reads the keys, or makes the first one, and then keeps them up to date
// until Close; ctx is for Start alone. Starting a ring that runs does nothing.
// After an error nothing runs, and Start may be tried again.
//
// Keys that are there already are enough to start with: if only a change that
// is due cannot be written, that is logged and tried again later.
func (r *Ring) Start(ctx context.Context) error {
	select {
	case r.starting <- struct{}{}:
		defer func() { <-r.starting }()
	case <-ctx.Done():
		return fmt.Errorf("keyring: waiting for another start: %w", ctx.Err())
	}
	if r.isStarted() {
		return nil
	}
	if err := r.cfg.Validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.life, cancel)() // Close ends a Start under way

	err := r.read(ctx)
	if err == nil || errors.Is(err, errMissing) {
		if wait, ok := r.untilWork(); ok && wait <= 0 {
			err = r.write(ctx)
		}
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if r.doc == nil || len(r.doc.Keys) == 0 {
		return err
	}
	if err != nil {
		r.cfg.Logger.Error("signing keys could not be brought up to date, will try again", "error", err)
	}
	r.started = true
	r.publish()
	r.loops.Go(r.readLoop)
	r.loops.Go(r.writeLoop)
	return nil
}

func (r *Ring) isStarted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.started && !r.closed
}

// Reconfigure changes the plan of a ring, started or not, without losing a key:
// a new algorithm gets a new key, which signs once it has been public for long
// enough; until then the old one does. It returns at once; what there is to
// write is written in the background, and tried again until it is. The
// arguments are those of Config.
func (r *Ring) Reconfigure(algorithm jose.SignatureAlgorithm, rotateEvery, retain time.Duration) error {
	if err := validatePlan(algorithm, rotateEvery, retain); err != nil {
		return err
	}
	cfg := r.cfg
	cfg.Algorithm, cfg.RotateEvery, cfg.Retain = algorithm, rotateEvery, retain
	plan := cfg.plan()

	r.mu.Lock()
	defer r.mu.Unlock()
	if plan != r.want.plan {
		r.want = want{plan, true}
		r.notify()
	}
	return nil
}

// Close ends what Start began and waits for it. The last key goes on signing
// for requests that are still under way.
func (r *Ring) Close() {
	r.mu.Lock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
	r.end()
	r.loops.Wait()
}

// Signer returns the key that signs now, ErrNotReady until Start has succeeded.
// It costs one atomic load.
func (r *Ring) Signer() (*assertion.Signer, error) {
	m := r.now.Load()
	if m == nil {
		return nil, ErrNotReady
	}
	return m.signer, nil
}

// PublicSet returns the JSON Web Key Set for verifiers (RFC 7517, section 5),
// its strong entity tag with the quotes, and how long it may be kept. The set
// is the same on every instance that has read the same keys. The body must not
// be changed. ErrNotReady until Start has succeeded.
func (r *Ring) PublicSet() (body []byte, etag string, maxAge time.Duration, err error) {
	m := r.now.Load()
	if m == nil {
		return nil, "", 0, ErrNotReady
	}
	return m.set.body, m.set.etag, m.set.maxAge, nil
}

// notify wakes the writer; r.mu is held.
func (r *Ring) notify() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// publish shows requests what the document says about this time, and comes
// back when it says something else; r.mu is held. A document without a key says
// nothing: what it said before stands until the writer has made one, but not
// with a key that is revoked.
func (r *Ring) publish() {
	if r.doc == nil || !r.started || r.closed {
		return
	}
	if len(r.doc.Keys) == 0 {
		if m := r.now.Load(); m != nil && !r.revoked[m.signer.KeyID()].IsZero() {
			r.now.Store(nil)
		}
		return
	}
	now := r.cfg.Now()
	m := &moment{r.doc.Keys[r.doc.current(now, r.seen)].signer, r.set}
	if now.Sub(r.fresh) > time.Duration(r.doc.Plan.Publish)/4 {
		m.set.maxAge = 0 // others may have made keys since, so nobody should keep this set
	}
	r.now.Store(m)
	if r.timer != nil {
		r.timer.Stop()
	}
	if next := r.doc.nextSwitch(now, r.seen); !next.IsZero() {
		r.timer = time.AfterFunc(max(next.Sub(now), time.Millisecond), func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.publish()
		})
	}
}
