package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/kycvs/caddy-kycvs/authflow/gate"
)

// matcherRun is what a Matcher has beyond its configuration.
type matcherRun struct {
	app *App
}

// Provision reads the configuration.
func (m *Matcher) Provision(ctx caddy.Context) error {
	a, err := appOf(ctx)
	if err != nil {
		return err
	}
	m.run.app = a
	return m.configure(a)
}

// Match is for a Caddy that knows matchers without errors.
func (m *Matcher) Match(r *http.Request) bool {
	ok, err := m.MatchWithError(r)
	return ok && err == nil
}

// MatchWithError returns true for a request with a pass, for the matcher's
// partner at this site, whose status is at least the level.
func (m *Matcher) MatchWithError(r *http.Request) (bool, error) {
	if _, err := m.run.app.wait(r.Context()); err != nil {
		return false, nil
	}
	site := m.run.app.siteFor(gate.HostOf(r), gate.PortOf(r))
	if site == nil {
		return false, nil
	}
	v, _ := caddyhttp.GetVar(r.Context(), visitVar).(*gate.Visit)
	p, ok := site.Holds(r, v, m.conf.Partner)
	return ok && int(p.Status) >= m.conf.Level, nil
}

var (
	_ caddy.Provisioner                 = (*Matcher)(nil)
	_ caddyhttp.RequestMatcherWithError = (*Matcher)(nil)
)
