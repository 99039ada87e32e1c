package caddymodule

// Stand-ins so that the configuration compiles and its tests run before the
// handlers are there. To be deleted with the arrival of app.go, gate.go and
// matcher.go.

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

type (
	appRun     struct{}
	gateRun    struct{}
	matcherRun struct{}
)

func (a *App) Provision(ctx caddy.Context) error { return a.configure(ctx) }
func (a *App) Start() error                      { return a.checkMatchers() }
func (a *App) Stop() error                       { return nil }

func (g *Gate) Provision(ctx caddy.Context) error {
	a, err := appOf(ctx)
	if err != nil {
		return err
	}
	return g.configure(a)
}

func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	_, _ = g.partnerFor(r.Host)
	return next.ServeHTTP(w, r)
}

func (m *Matcher) Provision(ctx caddy.Context) error {
	a, err := appOf(ctx)
	if err != nil {
		return err
	}
	return m.configure(a)
}

func (m *Matcher) MatchWithError(*http.Request) (bool, error) { return false, nil }
