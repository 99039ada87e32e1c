package caddymodule

import (
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/api"
	"github.com/kycvs/caddy-kycvs/authflow/embed"
	"github.com/kycvs/caddy-kycvs/authflow/gate"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
)

// authorityRun is what an Authority has beyond its configuration.
type authorityRun struct {
	app   *App
	site  *gate.Site
	api   *api.Handler
	embed *embed.Handler
}

// Provision reads the configuration.
func (au *Authority) Provision(ctx caddy.Context) error {
	app, err := appOf(ctx)
	if err != nil {
		return err
	}
	s, err := au.validate(app.conf)
	if err != nil {
		return err
	}
	au.run.app = app
	au.run.site = new(gate.Site)
	if s.bounded {
		au.run.site.Hosts = s.hosts
	}
	for _, p := range app.conf.Partners {
		shown := p.flow(p.Purpose)
		au.run.site.Partners = append(au.run.site.Partners, gate.PartnerAt{
			For:     func(string) (authflow.Partner, bool) { return shown, true },
			Session: tokenSession,
			TTL:     time.Duration(defaultAssertionTTL),
		})
	}
	app.run.mu.Lock()
	defer app.run.mu.Unlock()
	app.run.authorities = append(app.run.authorities, au)
	return nil
}

// open makes what serves. It is called by Start, before the first request.
func (au *Authority) open(services *gate.Services) error {
	au.run.site.Services = services
	p := services.Portal
	au.run.api = &api.Handler{
		Flow:        p.Flow,
		Minter:      p.Minter,
		Withdrawals: p.Withdrawals,
		Observer:    metrics(),
		Logger:      p.Logger,
		Now:         p.Now,
		Language:    func(tag string) string { return portal.Negotiate("", tag) },
	}
	var err error
	if au.run.embed, err = newEmbed(au.run.app.conf, services); err != nil {
		return err
	}
	au.run.api.Redeem = au.run.embed.Redeem
	return nil
}

// ServeHTTP answers what is the authority's, and hands on what is not.
func (au *Authority) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	path := r.URL.Path
	if !api.Serves(path) && !embed.Serves(path) && !gate.IsPage(path) {
		return cleaner{}.ServeHTTP(w, r, next)
	}
	if _, err := au.run.app.wait(r.Context()); err != nil {
		return notReady(w)
	}
	visit := newVisit(r)
	visit.Original = r.URL // an operator may have put the authority below a path of its own
	v, known := au.run.site.PageVisit(r, visit)
	if !known {
		return caddyhttp.Error(http.StatusMisdirectedRequest, nil)
	}
	if gate.IsPage(path) {
		au.run.site.Services.Portal.ServeHTTP(w, r, v)
		return nil
	}
	if embed.Serves(path) {
		au.run.embed.ServeHTTP(w, r, v)
		return nil
	}
	au.run.api.ServeHTTP(w, r, v.Audiences)
	return nil
}

var (
	_ caddy.Provisioner           = (*Authority)(nil)
	_ caddyhttp.MiddlewareHandler = (*Authority)(nil)
)
