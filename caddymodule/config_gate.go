package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule((*Gate)(nil))
	caddy.RegisterModule((*Matcher)(nil))
}

// Gate lets a request through to the handlers behind it if the person has
// proved the vaccination status asked for, and hands them a signed assertion of it.
// It is the directive `kycvs` of the Caddyfile.
type Gate struct {
	// Level is the status asked for: 2 is fully vaccinated, 1 at least partly, 0
	// anybody with an answer. The default is 0.
	Level int `json:"level,omitempty"`

	// Optional makes the gate hold nobody back: it attaches the assertion where there
	// is a pass. The default is false.
	Optional bool `json:"optional,omitempty"`

	// MatcherSetsRaw says which requests the gate covers. The default is all of them.
	// The matcher belongs here and not on the route: every request that reaches the
	// gate is cleaned of forged headers and finds the pages under /.kycvs/, whether it
	// is covered or not.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`

	// Partner is the id of the partner who relies on the answer: one of the app's, or
	// any other that Purpose is given for. The default is the host of the site, as
	// matched, in lower case and without a port.
	Partner string `json:"partner,omitempty"`

	// Purpose is what the answer is used for, as people are shown it. The default is
	// the purpose of the app's partner, or `Entry to` and the host.
	Purpose string `json:"purpose,omitempty"`

	// MaxAge is how fresh the handshake must be, at most as long as Session. The
	// default is 0: as long as the pass lasts.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// Session is how long a pass lasts. The default is 12h.
	Session caddy.Duration `json:"session,omitempty"`

	// AssertionTTL is how long one assertion is good for, from 1s to 1h and at most as
	// long as Session. The default is 60s.
	AssertionTTL caddy.Duration `json:"assertion_ttl,omitempty"`

	// PlainStatus also sends the bare status in the field Kycvs-Status, for an
	// application that nothing but this gate can reach. The default is false.
	PlainStatus bool `json:"plain_status,omitempty"`

	// LenientPaths lets paths through that can be read in two ways, such as one with an
	// encoded slash. The default is false: where gates treat paths differently, such a
	// path is refused.
	LenientPaths bool `json:"lenient_paths,omitempty"`

	// Site lists the addresses of the site the gate is at, as a Caddyfile has them, such
	// as `http://localhost:8080`. Gates with the same list share the pages under
	// /.kycvs/. Its hosts are the only ones that may stand in for a missing Partner and a
	// missing Issuer, so both must be given where an address names no host. The
	// Caddyfile fills this in; the default is empty: no host is known.
	Site []string `json:"site,omitempty"`

	// Nested says that the gate stands in a block within its site, such as `handle`, so
	// that some requests to the site may not reach it. The Caddyfile fills this in; the
	// default is false.
	Nested bool `json:"nested,omitempty"`

	conf *Gate // the same with placeholders resolved and defaults filled in; see configure
	site site
	// partners are those the gate may answer for: one, or one for each host of the site.
	partners []Partner
	matchers caddyhttp.MatcherSets
	paths    [][]string // of the matcher sets

	run gateRun
}

// CaddyModule returns the Caddy module information.
func (*Gate) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.kycvs", New: func() caddy.Module { return new(Gate) }}
}

// partnerFor returns the partner that a gate answers for on a request that the
// site matched by host, lower case and without a port. The host matters only
// where the gate names no partner; false then says that the host is none of the
// site's, and nothing may be answered.
func (g *Gate) partnerFor(host string) (Partner, bool) {
	if g.conf.Partner != "" {
		return g.partners[0], true
	}
	for _, p := range g.partners {
		if p.ID == host {
			return p, true
		}
	}
	return Partner{}, false
}

// Matcher matches requests of a person whose pass shows at least a level. It
// never asks anybody for anything.
type Matcher struct {
	// Level is the least status that matches: 0, 1 or 2. The default is 0: any answer.
	Level int `json:"level,omitempty"`

	// Partner is the id of the partner whose pass is looked at. The default is that of
	// the gate the request passed, or else the host of the site.
	Partner string `json:"partner,omitempty"`

	conf *Matcher // the same with placeholders resolved; see configure

	run matcherRun
}

// CaddyModule returns the Caddy module information.
func (*Matcher) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.kycvs", New: func() caddy.Module { return new(Matcher) }}
}
