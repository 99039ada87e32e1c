// Package authflowtest sets up a whole handshake for tests: real state, a real
// ledger, real keys, a clock that stands still until it is moved, a few people,
// and a phone that keeps its messages.
package authflowtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/assertion"
	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/file"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/sms"
	"github.com/kycvs/caddy-kycvs/authflow/state/memory"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
	"github.com/kycvs/caddy-kycvs/registry"

	"crypto"
)

// The people of the registry, and what there is to know of them.
const (
	Asha  = "+919876543210" // Asha Rao, fully vaccinated
	Ravi  = "+919876543211" // Ravi Kumar, partly
	Meena = "+919876543212" // Meena Iyer, not vaccinated
	Twins = "+919876543213" // two Arun Das, born 1950 (partly) and 1980 (fully)
	Alike = "+919876543214" // two Lata Sen, years not known
	Away  = "+919876543299" // nobody
)

// World is one service with everything it needs.
type World struct {
	*authflow.Flow
	Registry    *Registry
	Phone       *Phone
	Keys        *Keys
	Ledger      *Ledger
	Withdrawals *withdrawals.Exchange
	Counts      *Counts

	mu  sync.Mutex
	now time.Time
}

// Start is when the clock of a World begins: a whole second.
var Start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// New sets up a World; change may alter the configuration first.
func New(t testing.TB, change ...func(*authflow.Config)) *World {
	t.Helper()
	real, err := file.Open(file.Config{Path: filepath.Join(t.TempDir(), "ledger.jsonl"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	store := memory.Open(memory.Config{})
	alone, err := withdrawals.Open(withdrawals.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = real.Close(); _ = store.Close() })
	w := &World{
		Registry:    &Registry{},
		Phone:       &Phone{},
		Keys:        NewKeys(t),
		Ledger:      &Ledger{Ledger: real},
		Withdrawals: alone,
		Counts:      &Counts{outcomes: map[string]int{}},
		now:         Start,
	}
	day := func(s string) time.Time { d, _ := time.Parse(time.DateOnly, s); return d }
	two := []registry.Dose{{Vaccine: "COVISHIELD", Number: 1, Total: 2, Date: day("2021-05-01")}, {Vaccine: "COVISHIELD", Number: 2, Total: 2, Date: day("2021-08-01")}}
	w.Registry.Set(
		registry.Record{ID: "1", Mobile: Asha, Name: "Asha Rao", BirthYear: 1980, Doses: two},
		registry.Record{Mobile: Ravi, Name: "Ravi Kumar", BirthYear: 1990, Doses: two[:1]},
		registry.Record{Mobile: Meena, Name: "Meena Iyer"},
		registry.Record{Mobile: Twins, Name: "Arun Das", BirthYear: 1950, Doses: two[:1]},
		registry.Record{Mobile: Twins, Name: "Arun Das", BirthYear: 1980, Doses: two},
		registry.Record{ID: "7", Mobile: Alike, Name: "Lata Sen"},
		registry.Record{ID: "8", Mobile: Alike, Name: "Lata Sen"},
	)
	c := authflow.Config{
		Registry: w.Registry, State: store, Ledger: w.Ledger, Withdrawals: w.Withdrawals, Messenger: w.Phone,
		Text: func(lang string, a *authflow.Audience, code string) (text, in string) {
			return code + " for " + a.Name + "\n\n@" + a.Host + " #" + code, lang
		},
		NoticeVersion: func(string) string { return "test" },
		Secret:        authflow.NewSecret([]byte("a secret of the test, long enough")),
		OTP:           authflow.OTP{Length: 6, Lifetime: 3 * time.Minute, Attempts: 3, ResendAfter: 30 * time.Second},
		Limits: authflow.Limits{
			CodesPerMobile: authflow.Limit{Count: 5, Window: 24 * time.Hour},
			WrongPerMobile: authflow.Limit{Count: 15, Window: 24 * time.Hour},
			CodesPerIP:     authflow.Limit{Count: 60, Window: time.Hour},
			CodesTotal:     authflow.Limit{Count: 1000, Window: time.Minute},
			Countries:      []int{91},
		},
		Observer: w.Counts,
		Logger:   slog.New(slog.DiscardHandler),
		Now:      w.Now,
	}
	c.SubjectKey = c.Secret.SubjectKey()
	for _, f := range change {
		f(&c)
	}
	w.Flow = authflow.New(c)
	return w
}

// Now is the World's clock.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Pass moves the clock on. The stores have clocks of their own.
func (w *World) Pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// Whole is what the World's cookies are marked with.
func (w *World) Whole() *pass.Whole { return pass.NewWhole(w.Secret.Keys("cookie")) }

// Audience is a partner at a site of the World.
func (w *World) Audience(host, partner, purpose string) *authflow.Audience {
	a := &authflow.Audience{
		Partner: authflow.Partner{ID: partner, Name: partner, Purpose: purpose},
		Host:    host, Issuer: "https://" + host, Session: 12 * time.Hour, TTL: time.Minute,
	}
	a.Seal(w.Secret.Keys("pass"), host)
	return a
}

// Registry is a registry.Registry of a few people that can be told to fail.
type Registry struct {
	mu      sync.Mutex
	records []registry.Record
	fails   bool
	asked   int
}

// Set replaces the people.
func (r *Registry) Set(records ...registry.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = records
}

// Fail makes the registry stop answering, or answer again.
func (r *Registry) Fail(fails bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fails = fails
}

// Asked is how often it was asked.
func (r *Registry) Asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// Lookup implements registry.Registry.
func (r *Registry) Lookup(_ context.Context, m registry.Mobile) (found []registry.Record, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if r.fails {
		return nil, errors.New("the registry does not answer")
	}
	for _, rec := range r.records {
		if rec.Mobile == m {
			found = append(found, rec)
		}
	}
	return found, nil
}

// Ready implements registry.Registry.
func (r *Registry) Ready(context.Context) error { return nil }

// Phone is a Messenger that keeps what it is sent.
type Phone struct {
	mu    sync.Mutex
	sent  []sms.Message
	fails bool
	later []func()
}

// Send implements authflow.Messenger.
func (p *Phone) Send(_ context.Context, m sms.Message, failed func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fails {
		return errors.New("no sender answers")
	}
	p.sent = append(p.sent, m)
	p.later = append(p.later, failed)
	return nil
}

// Fail makes sending fail, or work again.
func (p *Phone) Fail(fails bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fails = fails
}

// FailLater reports that all messages so far did not arrive after all.
func (p *Phone) FailLater() {
	p.mu.Lock()
	later := p.later
	p.later = nil
	p.mu.Unlock()
	for _, f := range later {
		f()
	}
}

// Sent is how many messages were sent.
func (p *Phone) Sent() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

// Last is the last message.
func (p *Phone) Last() sms.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sent) == 0 {
		return sms.Message{}
	}
	return p.sent[len(p.sent)-1]
}

// Forget makes the phone forget its messages.
func (p *Phone) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.sent)
	clear(p.later)
	p.sent, p.later = p.sent[:0], p.later[:0]
}

// Ledger is a ledger that can be told to fail.
type Ledger struct {
	ledger.Ledger
	mu    sync.Mutex
	fails bool
	skips bool
}

// Fail makes appending fail, or work again.
func (l *Ledger) Fail(fails bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fails = fails
}

// Skip makes appending do nothing, for measuring what is around it.
func (l *Ledger) Skip(skips bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.skips = skips
}

// Append implements ledger.Ledger.
func (l *Ledger) Append(ctx context.Context, e ledger.Entry) error {
	l.mu.Lock()
	fails, skips := l.fails, l.skips
	l.mu.Unlock()
	if skips {
		return nil
	}
	if fails {
		return errors.New("the ledger does not answer")
	}
	return l.Ledger.Append(ctx, e)
}

// Entries returns what the ledger has.
func (l *Ledger) Entries(t testing.TB) (all []ledger.Entry) {
	t.Helper()
	if err := l.Replay(t.Context(), func(e ledger.Entry) error { all = append(all, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// Keys is one signing key that can be told to be away.
type Keys struct {
	Public jose.JSONWebKey

	mu     sync.Mutex
	signer *assertion.Signer
	away   bool
}

// NewKeys makes a key for ES256.
func NewKeys(t testing.TB) *Keys {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := jose.JSONWebKey{Key: private, Algorithm: string(jose.ES256), Use: "sig"}
	thumb, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	key.KeyID = base64.RawURLEncoding.EncodeToString(thumb)
	signer, err := assertion.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return &Keys{Public: key.Public(), signer: signer}
}

// Fail makes the key be away, or back.
func (k *Keys) Fail(away bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.away = away
}

// Signer implements authflow.Keys.
func (k *Keys) Signer() (*assertion.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away {
		return nil, errors.New("no key")
	}
	return k.signer, nil
}

// Counts is an authflow.Observer.
type Counts struct {
	mu       sync.Mutex
	outcomes map[string]int
}

// Handshake implements authflow.Observer.
func (c *Counts) Handshake(outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcomes[outcome]++
}

// Of is how often an outcome was reported.
func (c *Counts) Of(outcome string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outcomes[outcome]
}

// Lookup implements authflow.Observer.
func (*Counts) Lookup(time.Duration) {}

// Signed implements authflow.Observer.
// Limit implements authflow.Observer: the outcome is the limit's name, with
// "recorded" behind it if it held nobody back.
func (c *Counts) Limit(name string, refused bool) {
	if !refused {
		name += " recorded"
	}
	c.Handshake(name)
}

func (c *Counts) Signed() { c.Handshake("signed") }
