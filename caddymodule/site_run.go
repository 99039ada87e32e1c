package caddymodule

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/gate"
)

// siteRun gathers the gates of one site while they are provisioned.
type siteRun struct {
	addresses []string
	site      *gate.Site
	gates     []*Gate
	partners  map[string]int // by the gates' partner, "" for the host
}

func (s *siteRun) name() string { return strings.Join(s.addresses, ", ") }

func (s *siteRun) hasTop() bool {
	for _, g := range s.gates {
		if g.site.top {
			return true
		}
	}
	return false
}

// join adds a provisioned gate to its site and makes the gate that decides.
func (a *App) join(ctx caddy.Context, g *Gate) *gate.Gate {
	a.run.mu.Lock()
	defer a.run.mu.Unlock()
	key := strings.Join(g.Site, " ")
	if key == "" {
		// Nobody says which site it is, so take the server for it.
		key = fmt.Sprintf("server %p", ctx.Value(caddyhttp.ServerCtxKey))
	}
	s := a.run.sites[key]
	if s == nil {
		s = &siteRun{addresses: g.Site, site: &gate.Site{}, partners: map[string]int{}}
		if g.site.bounded {
			s.site.Hosts = g.site.hosts
		}
		if a.run.sites == nil {
			a.run.sites = map[string]*siteRun{}
		}
		a.run.sites[key] = s
		a.run.order = append(a.run.order, s)
	}
	s.gates = append(s.gates, g)
	if len(g.matchers) > 0 || g.Nested {
		s.site.PathsDiffer = true
	}
	conf := g.conf
	slot, known := s.partners[conf.Partner]
	if !known {
		slot = len(s.site.Partners)
		s.partners[conf.Partner] = slot
		s.site.Partners = append(s.site.Partners, gate.PartnerAt{For: g.shownPartner, TTL: time.Duration(conf.AssertionTTL)})
	}
	at := &s.site.Partners[slot]
	at.Session = max(at.Session, time.Duration(conf.Session))
	out := &gate.Gate{
		Site:         s.site,
		Partner:      slot,
		Level:        conf.Level,
		Optional:     conf.Optional,
		MaxAge:       time.Duration(conf.MaxAge),
		Session:      time.Duration(conf.Session),
		TTL:          time.Duration(conf.AssertionTTL),
		PlainStatus:  conf.PlainStatus,
		LenientPaths: conf.LenientPaths,
		Rank:         g.rank(len(ctx.Modules())),
	}
	if len(g.matchers) > 0 {
		out.Covers = g.matchers.AnyMatchWithError
	}
	return out
}

func (g *Gate) shownPartner(host string) (authflow.Partner, bool) {
	p, ok := g.partnerFor(host)
	return p.flow(g.run.app.known.purposeOf(p)), ok
}

// rank says how specific a gate is: first how deep in its site it stands, then
// how long the longest path of its matcher is (as Caddy sorts directives), then
// whether it has a matcher at all, then whether it holds anybody back.
func (g *Gate) rank(depth int) int {
	longest := 0
	for _, set := range g.paths {
		for _, p := range set {
			longest = max(longest, len(p))
		}
	}
	r := min(depth, 1000)<<20 + min(longest, 1<<16-1)<<2
	if len(g.matchers) > 0 {
		r |= 2
	}
	if !g.conf.Optional {
		r |= 1
	}
	return r
}

// matcherPaths reads the paths of the matcher sets before they are loaded.
func matcherPaths(sets caddyhttp.RawMatcherSets) [][]string {
	var all [][]string
	for _, set := range sets {
		var paths []string
		if err := json.Unmarshal(set["path"], &paths); err == nil {
			all = append(all, paths)
		}
	}
	return all
}

// siteFor finds the site that a request is for, by its host and the port it
// came in at, for matchers, which are not told where they stand. nil if no gate
// stands there.
func (a *App) siteFor(host string, port int) *gate.Site {
	var named, open *gate.Site
	for _, s := range a.run.order {
		for _, h := range s.site.Hosts {
			if h == host && (named == nil || s.at(port)) {
				named = s.site
			}
		}
		if len(s.site.Hosts) == 0 && (open == nil || s.at(port)) {
			open = s.site
		}
	}
	if named != nil {
		return named
	}
	return open
}

// at tells whether one of the site's addresses names the port.
func (s *siteRun) at(port int) bool {
	suffix := fmt.Sprintf(":%d", port)
	for _, a := range s.addresses {
		if strings.HasSuffix(a, suffix) {
			return true
		}
	}
	return false
}
