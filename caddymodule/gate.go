package caddymodule

import (
	"net/http"
	"net/netip"
	"net/url"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/gate"
)

// gateRun is what a Gate has beyond its configuration.
type gateRun struct {
	app  *App
	gate *gate.Gate
}

// visitVar is where a request's Visit is kept among Caddy's variables, so that
// the gates of a site and the matchers find it.
const visitVar = "kycvs.visit"

// Provision reads the configuration and joins the gates of its site.
func (g *Gate) Provision(ctx caddy.Context) error {
	app, err := appOf(ctx)
	if err != nil {
		return err
	}
	g.run.app = app
	if g.MatcherSetsRaw != nil {
		g.paths = matcherPaths(g.MatcherSetsRaw)
		sets, err := ctx.LoadModule(g, "MatcherSetsRaw")
		if err != nil {
			return err
		}
		if err := g.matchers.FromInterface(sets); err != nil {
			return err
		}
	}
	if err := g.configure(app); err != nil {
		return err
	}
	g.run.gate = app.join(ctx, g)
	if !g.Nested {
		cleanErrorRoutes(ctx)
	}
	return nil
}

// ServeHTTP hands the request to the gate and, if that lets it through, on.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) (err error) {
	if _, err := g.run.app.wait(r.Context()); err != nil {
		return notReady(w)
	}
	ctx := r.Context()
	v, _ := caddyhttp.GetVar(ctx, visitVar).(*gate.Visit)
	if v == nil {
		v = newVisit(r)
		caddyhttp.SetVar(ctx, visitVar, v)
		if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
			repl.Map(placeholders(v))
		}
		defer g.run.gate.Finish(v)
	}
	w, r, ok := g.run.gate.Admit(w, r, v)
	if ok {
		err = next.ServeHTTP(w, r)
	}
	if g.run.gate.Cut(r, v) {
		return nil // whatever the handlers made of it
	}
	return err
}

func newVisit(r *http.Request) *gate.Visit {
	v := &gate.Visit{Original: r.URL}
	if o, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && o.URL != nil {
		v.Original = o.URL
	} else {
		u := new(url.URL)
		*u = *r.URL
		v.Original = u
	}
	if s, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok {
		v.IP, _ = netip.ParseAddr(s)
	}
	return v
}

// placeholders answers for {http.kycvs.*}: always set, empty where there is
// nothing to say.
func placeholders(v *gate.Visit) caddy.ReplacerFunc {
	return func(key string) (any, bool) {
		switch key {
		case "http.kycvs.decision":
			return v.Decision.String(), true
		case "http.kycvs.status":
			if v.Attached {
				return string('0' + rune(v.Pass.Status)), true
			}
			return "", true
		case "http.kycvs.subject":
			if v.Attached {
				return authflow.FormatID(v.Pass.Subject), true
			}
			return "", true
		}
		return nil, false
	}
}

// notReady answers while the app has not started, or could not.
func notReady(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Retry-After", "5")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte("The server is starting. Please try again in a few seconds.\n"))
	return nil
}

// cleanErrorRoutes puts a cleaning in front of the server's handle_errors
// routes: an error of a handler that stands before the gate (basic_auth, say)
// would lead there with the fields as the client sent them.
func cleanErrorRoutes(ctx caddy.Context) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Errors == nil || len(server.Errors.Routes) == 0 {
		return
	}
	if first := server.Errors.Routes[0].Handlers; len(first) > 0 {
		return // done already
	}
	server.Errors.Routes = append(caddyhttp.RouteList{{Handlers: []caddyhttp.MiddlewareHandler{cleaner{}}}}, server.Errors.Routes...)
}

// cleaner cleans a request and its answer, and decides nothing.
type cleaner struct{}

// ServeHTTP cleans what no gate has seen.
func (cleaner) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if caddyhttp.GetVar(r.Context(), visitVar) != nil {
		return next.ServeHTTP(w, r)
	}
	cw, finish := gate.Clean(w, r)
	defer finish()
	return next.ServeHTTP(cw, r)
}

var (
	_ caddy.Provisioner           = (*Gate)(nil)
	_ caddyhttp.MiddlewareHandler = (*Gate)(nil)
)
