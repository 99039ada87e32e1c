package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"github.com/go-jose/go-jose/v4"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/gate"
	"github.com/kycvs/caddy-kycvs/authflow/keyring"
	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
	"github.com/kycvs/caddy-kycvs/authflow/remote"
	"github.com/kycvs/caddy-kycvs/authflow/sms"
	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
	"github.com/kycvs/caddy-kycvs/registry"
)

// appRun is what an App has beyond its configuration.
type appRun struct {
	ctx     caddy.Context
	storage certmagic.Storage
	logger  *slog.Logger

	mu    sync.Mutex
	sites map[string]*siteRun
	order []*siteRun

	authorities []*Authority

	// ready is closed once services is set. Apps start in no fixed order, so
	// requests can come before.
	ready    chan struct{}
	services atomic.Pointer[gate.Services]

	parts    parts
	releases []func()
}

// parts are what answers, or not, for readiness.
type parts struct {
	registry    registry.Registry // nil where authorities are asked
	authorities map[string]*remote.Client
	state       state.Store
	ledger      ledger.Ledger
	keys        *keyring.Ring
}

// Provision reads the configuration. It creates and opens nothing.
func (a *App) Provision(ctx caddy.Context) error {
	a.run.ctx = ctx
	a.run.storage = ctx.Storage()
	a.run.logger = newLogger()
	a.run.ready = make(chan struct{})
	if err := a.configure(ctx); err != nil {
		return err
	}
	return metrics().register(ctx.GetMetricsRegistry())
}

// startTimeout bounds what is done before the first request: reading files,
// taking locks in Caddy's storage.
const startTimeout = 2 * time.Minute

// Start opens what the configuration names, or takes over what an earlier
// configuration has open already.
func (a *App) Start() (err error) {
	if err := a.checkMatchers(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			a.release()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	services, err := a.open(ctx)
	if err != nil {
		return err
	}
	for _, s := range a.run.order {
		s.site.Services = services
	}
	for _, au := range a.run.authorities {
		if err := au.open(services); err != nil {
			return err
		}
	}
	a.run.services.Store(services)
	close(a.run.ready)
	running.Store(a)
	a.sayWhatMatters()
	return nil
}

// lastRequests is how long after a configuration load what only the old
// configuration used stays open. Apps stop in no fixed order: requests that the
// old server has still in hand must find their registry.
const lastRequests = 10 * time.Second

// Stop gives back what Start took, a little later unless the process ends. What a
// newer configuration uses too stays open.
func (a *App) Stop() error {
	running.CompareAndSwap(a, nil)
	if caddy.Exiting() {
		a.release()
	} else {
		time.AfterFunc(lastRequests, a.release)
	}
	return nil
}

func (a *App) release() {
	for i := len(a.run.releases) - 1; i >= 0; i-- {
		a.run.releases[i]()
	}
	a.run.releases = nil
}

// running is the app of the configuration that is in force, for the admin
// address.
var running atomic.Pointer[App]

func (a *App) open(ctx context.Context) (*gate.Services, error) {
	conf := a.conf
	schedule, err := scheduleOf(conf.Vaccines)
	if err != nil {
		return nil, err
	}
	opts := OpenOptions{Logger: a.run.logger, Countries: conf.Limits.readCountries(), Schedule: schedule, DataDir: caddy.AppDataDir()}

	secrets, err := a.secrets(ctx)
	if err != nil {
		return nil, err
	}
	secret := authflow.NewSecret(secrets[0], secrets[1:]...)
	subjects, err := a.subjectKey(ctx, secret)
	if err != nil {
		return nil, err
	}
	p := &a.run.parts
	if p.registry, err = a.openRegistry(opts, secrets); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	stateKey := fmt.Sprint("state ", guestName(a.state), a.state.PoolKey())
	if p.state, err = pooled(a, stateKey, func() (state.Store, error) { return a.state.Open(opts) }); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if m, ok := a.state.(adjuster); ok {
		m.Adjust(p.state)
	}
	ledgerKey := fmt.Sprint("ledger ", guestName(a.ledger), a.ledger.PoolKey())
	if p.ledger, err = pooled(a, ledgerKey, func() (ledger.Ledger, error) { return a.ledger.Open(opts) }); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	withdrawn, err := a.openWithdrawals(ctx, stateKey+" "+ledgerKey)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	authorities, err := a.openAuthorities(withdrawn, stateKey+" "+ledgerKey)
	if err != nil {
		return nil, err
	}
	if p.keys, err = a.openKeys(ctx); err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	sigSize := 64
	if conf.Signing.Algorithm == string(jose.RS256) {
		sigSize = 256
	}
	remembered, err := pooled(a, fmt.Sprint("remembered ", conf.RememberedPasses, " ", sigSize), func() (*gate.Remembered, error) {
		return gate.NewRemembered(conf.RememberedPasses, sigSize), nil
	})
	if err != nil {
		return nil, err
	}
	streams, err := a.openStreams(&withdrawn.Set)
	if err != nil {
		return nil, err
	}
	messenger, trial, err := a.openSenders(opts)
	if err != nil {
		return nil, fmt.Errorf("sms: %w", err)
	}
	pages, err := portal.NewPages()
	if err != nil {
		return nil, err
	}

	flow := authflow.New(authflow.Config{
		Authorities: authorities,
		Registry:    p.registry,
		NameMatch:   registry.NameMatch{Partial: conf.NameMatch.Partial},
		Schedule:    schedule,
		State:       p.state,
		Ledger:      p.ledger,
		Withdrawals: withdrawn,
		Messenger:   messenger,
		Text: func(lang string, a *authflow.Audience, code string) (text, in string) {
			if !slices.Contains(conf.SMSLanguages, lang) {
				lang = conf.SMSLanguages[0]
			}
			return portal.SMS(lang, a, code), lang
		},
		NoticeVersion: portal.NoticeVersion,
		Secret:        secret,
		SubjectKey:    subjects,
		OTP: authflow.OTP{
			Length:      conf.OTP.Length,
			Lifetime:    time.Duration(conf.OTP.Lifetime),
			Attempts:    conf.OTP.Attempts,
			ResendAfter: time.Duration(conf.OTP.ResendAfter),
		},
		Limits:   conf.Limits.flow(),
		Observer: metrics(),
		Logger:   a.run.logger,
		Now:      time.Now,
	})
	whole := pass.NewWhole(secret.Keys("cookie"))
	minter := &authflow.Minter{Keys: p.keys, Observer: metrics()}
	return &gate.Services{
		Used:        func(a *authflow.Audience, p *pass.Pass) { flow.Used(a, p, authflow.HowGate) },
		Minter:      minter,
		Withdrawals: &withdrawn.Set,
		Streams:     streams,
		Remembered:  remembered,
		Pages:       pages,
		Portal: &portal.Handler{
			Flow:        flow,
			Minter:      minter,
			Withdrawals: &withdrawn.Set,
			Whole:       whole,
			Pages:       pages,
			Keys:        keyring.KeySetHandler(p.keys),
			Trial:       trial,
			Notice:      portal.Notice(conf.Notice),
			Logger:      a.run.logger,
			Now:         time.Now,
		},
		Secret:   secret,
		Whole:    whole,
		Observer: metrics(),
		Issuer:   conf.Issuer,
		Now:      time.Now,
	}, nil
}

// openRegistry returns the registry, nil where authorities are asked.
func (a *App) openRegistry(opts OpenOptions, secrets [][]byte) (registry.Registry, error) {
	if a.registry == nil {
		return nil, nil
	}
	opts.Secrets = secrets
	return pooled(a, a.registryKey(secrets), func() (registry.Registry, error) { return a.registry.Open(opts) })
}

// registryKey names the registry in the pool: what it is and all that it is told.
func (a *App) registryKey(secrets [][]byte) string {
	return fmt.Sprint("registry ", guestName(a.registry), a.registry.PoolKey(), a.conf.Limits.readCountries(), vaccinesName(a.conf.Vaccines), secretsName(secrets))
}

// longestTTL is the longest any gate's assertion is good for.
func (a *App) longestTTL() time.Duration {
	longest := time.Duration(defaultAssertionTTL)
	for _, s := range a.run.order {
		for _, g := range s.gates {
			longest = max(longest, time.Duration(g.conf.AssertionTTL))
		}
	}
	return longest
}

// openWithdrawals returns what is known of withdrawals: by the ledger, and by the
// instances that share the state, if it is one that can be shared.
func (a *App) openWithdrawals(ctx context.Context, key string) (*withdrawals.Exchange, error) {
	p := &a.run.parts
	grace := time.Duration(a.conf.StateGrace)
	x, err := pooled(a, "withdrawals of "+key, func() (*withdrawals.Exchange, error) {
		board, _ := p.state.(withdrawals.Board)
		return withdrawals.Open(withdrawals.Config{Board: board, Grace: grace, Logger: a.run.logger}, func(s *withdrawals.Set) error {
			return s.Learn(ctx, p.ledger, time.Now())
		})
	})
	if err != nil {
		return nil, err
	}
	x.SetGrace(grace)
	return x, nil
}

// openStreams returns the requests under way that rest on a pass, those that began
// under an earlier configuration among them.
func (a *App) openStreams(w *withdrawals.Set) (*gate.Streams, error) {
	grace := time.Duration(a.conf.StreamGrace)
	s, err := pooled(a, "streams", func() (*gate.Streams, error) { return gate.NewStreams(grace, w), nil })
	if err != nil {
		return nil, err
	}
	s.Use(grace, w)
	return s, nil
}

func (a *App) openKeys(ctx context.Context) (*keyring.Ring, error) {
	conf := keyring.Config{
		Storage:     a.run.storage,
		Algorithm:   jose.SignatureAlgorithm(a.conf.Signing.Algorithm),
		RotateEvery: time.Duration(a.conf.Signing.RotateEvery),
		Retain:      a.longestTTL() + time.Minute,
		Logger:      a.run.logger,
	}
	fresh := false
	ring, err := pooled(a, "keys in "+storageName(a.run.storage), func() (*keyring.Ring, error) {
		fresh = true
		r := keyring.Open(conf)
		return r, r.Start(ctx)
	})
	if err != nil || fresh {
		return ring, err
	}
	return ring, ring.Reconfigure(conf.Algorithm, conf.RotateEvery, conf.Retain)
}

func (a *App) openSenders(opts OpenOptions) (*sms.Dispatcher, bool, error) {
	if len(a.senders) == 0 { // an authority sends the codes
		return nil, false, nil
	}
	trial := false
	var senders []sms.Sender
	for _, m := range a.senders {
		s, err := m.Sender(opts)
		if err != nil {
			return nil, false, err
		}
		senders = append(senders, s)
		trial = trial || m.Trial()
		if c, ok := s.(interface{ Close() error }); ok {
			a.run.releases = append(a.run.releases, func() { _ = c.Close() })
		}
	}
	d, err := sms.NewDispatcher(sms.DispatcherConfig{Senders: senders, Observe: metrics().SMS, Logger: a.run.logger})
	if err != nil {
		return nil, false, err
	}
	a.run.releases = append(a.run.releases, func() {
		if !caddy.Exiting() {
			return // what is under way ends by itself
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := d.Close(ctx); err != nil {
			a.run.logger.Warn("text messages were still under way when the server stopped; their codes may not arrive")
		}
	})
	return d, trial, nil
}

// sayWhatMatters tells the operator at start-up what they should know.
func (a *App) sayWhatMatters() {
	log := a.run.logger
	for _, m := range a.senders {
		if m.Trial() {
			log.Warn("sms log is for trying things out: codes and numbers go to this log, not to phones; write `sms http URL` before anybody relies on it")
		}
	}
	switch p := a.run.parts.registry.(type) { // a database is not asked: it may not be there yet
	case interface{ People() int }:
		log.Info("the registry is open", "people", p.People())
	case interface{ People() int64 }:
		log.Info("the registry is open", "people", p.People())
	}
	if logs := unfilteredLogs(a.run.ctx); len(logs) > 0 {
		log.Warn("a log takes lines of Caddy's own that show request headers, the assertion among them: write the `format filter` lines of docs/privacy.md into it", "logs", logs)
	}
	for _, s := range a.run.order {
		if !s.hasTop() {
			log.Warn("a gate stands inside a block such as handle or route, and none stands at the top of its site: requests that do not reach it are not cleaned and do not find the pages under /.kycvs/; write `kycvs optional` at the top of the site", "site", s.name())
		}
	}
}

var errNotReady = errors.New("kycvs is not ready")

// wait returns the services, waiting briefly for the first Start.
func (a *App) wait(ctx context.Context) (*gate.Services, error) {
	if s := a.run.services.Load(); s != nil {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	select {
	case <-a.run.ready:
		return a.run.services.Load(), nil
	case <-ctx.Done():
		return nil, errNotReady
	}
}

var (
	_ caddy.App         = (*App)(nil)
	_ caddy.Provisioner = (*App)(nil)
)
