package caddymodule

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(readiness{})
}

// readiness is `GET /kycvs/ready` on Caddy's admin address.
type readiness struct{}

// CaddyModule returns the Caddy module information.
func (readiness) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.kycvs", New: func() caddy.Module { return new(readiness) }}
}

// Routes returns the admin routes.
func (readiness) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/kycvs/ready", Handler: caddy.AdminHandlerFunc(serveReady)}}
}

// readyTimeout bounds one answer; what has not answered by then does not.
const readyTimeout = 2 * time.Second

// serveReady answers 200 or 503 and names what is not answering. Why is in the
// log, because the admin address is no place for a provider's error texts.
func serveReady(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return nil
	}
	answer := struct {
		Ready        bool     `json:"ready"`
		NotAnswering []string `json:"not_answering"`
	}{NotAnswering: []string{}}
	a := running.Load()
	if a == nil {
		answer.NotAnswering = append(answer.NotAnswering, "kycvs")
	} else {
		answer.NotAnswering = a.notAnswering(r.Context())
	}
	answer.Ready = len(answer.NotAnswering) == 0
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !answer.Ready {
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	return json.NewEncoder(w).Encode(answer)
}

// notAnswering asks every part at once.
func (a *App) notAnswering(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	p := &a.run.parts
	checks := []struct {
		name  string
		check func(context.Context) error
	}{
		{"state", p.state.Ready},
		{"ledger", p.ledger.Ready},
		{"keys", func(context.Context) error { _, err := p.keys.Signer(); return err }},
		{"authority", p.authoritiesReady},
	}
	if p.registry != nil {
		checks[len(checks)-1].name, checks[len(checks)-1].check = "registry", p.registry.Ready
	}
	results := make([]chan error, len(checks))
	for i, c := range checks {
		results[i] = make(chan error, 1)
		go func() { results[i] <- c.check(ctx) }()
	}
	names := []string{}
	for i, c := range checks {
		select {
		case err := <-results[i]:
			if err != nil {
				names = append(names, c.name)
				a.run.logger.Warn("not answering", "part", c.name, "error", err)
			}
		case <-ctx.Done():
			names = append(names, c.name)
		}
	}
	return names
}

var _ caddy.AdminRouter = (*readiness)(nil)
