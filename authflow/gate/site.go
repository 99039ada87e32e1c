package gate

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// Observer is told what happens, for metrics.
type Observer interface {
	// Gate is told of each request and what became of it.
	Gate(d Decision)
	// Cut is told of each request that was cut because its pass had ended.
	Cut(e Ending)
}

// Services is what every site shares.
type Services struct {
	Minter      *authflow.Minter
	Withdrawals *withdrawals.Set
	Streams     *Streams
	Remembered  *Remembered
	Pages       *portal.Pages
	Portal      *portal.Handler
	// Used is told when an assertion was made from a pass, for the ledger.
	Used     func(a *authflow.Audience, p *pass.Pass)
	Secret   authflow.Secret
	Whole    *pass.Whole
	Observer Observer
	// Issuer is the origin that issues assertions; "" for each site's own.
	Issuer string
	Now    func() time.Time
}

// PartnerAt is a partner that gates of a site name.
type PartnerAt struct {
	// For returns the partner at one of the site's hosts; the host is "" where the
	// site's address names none.
	For     func(host string) (authflow.Partner, bool)
	Session time.Duration // the longest of its gates
	TTL     time.Duration // the first gate's
}

// Site is what the gates of one site share: its hosts, its partners, its
// pages. Sites share everything else and trust each other in nothing.
type Site struct {
	Services *Services
	// Hosts are the hosts the site answers to, lower case, without port. Where
	// there are none, the site's address does not bound the host: every partner
	// then has an id and Services an issuer.
	Hosts []string
	// Partners in the order of their first gates.
	Partners []PartnerAt
	// PathsDiffer says that not every path is treated alike.
	PathsDiffer bool

	keys    [][]byte
	origins atomic.Pointer[map[origin]*place]
	mu      sync.Mutex
}

// origin is one way to reach a site.
type origin struct {
	host   string
	secure bool
	port   int
}

// place is a site at one origin.
type place struct {
	partners []*authflow.Audience // in the site's order
	self     *authflow.Audience   // a person to themselves; see authflow.SelfID
}

// audiences returns the site's partners as they are at the origin the request
// came to, in the site's order; false if the request's host is none of the
// site's.
func (s *Site) audiences(r *http.Request) ([]*authflow.Audience, bool) {
	p, known := s.at(r)
	if !known {
		return nil, false
	}
	return p.partners, true
}

// at returns the site as it is at the origin the request came to.
func (s *Site) at(r *http.Request) (*place, bool) {
	o := origin{secure: r.TLS != nil}
	if len(s.Hosts) > 0 {
		host := hostOf(r.Host)
		known := false
		for _, h := range s.Hosts {
			if h == host {
				o.host, known = h, true // ours, not the request's
				break
			}
		}
		if !known {
			return nil, false
		}
	}
	if s.Services.Issuer == "" {
		o.port = localPort(r)
	}
	if m := s.origins.Load(); m != nil {
		if a, ok := (*m)[o]; ok {
			return a, true
		}
	}
	a := s.add(o)
	return a, a != nil
}

// add makes the audiences of an origin, nil where there can be none. There are as
// many origins as a site has hosts and listeners, so the map stays small.
func (s *Site) add(o origin) *place {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := map[origin]*place{}
	if m := s.origins.Load(); m != nil {
		for k, v := range *m {
			known[k] = v
		}
	}
	if a, ok := known[o]; ok {
		return a
	}
	if s.keys == nil {
		s.keys = s.Services.Secret.Keys("pass")
	}
	issuer := s.Services.Issuer
	if issuer == "" {
		issuer = o.String()
	}
	host, bound := o.host, o.host
	if host == "" {
		host, bound = hostOfOrigin(issuer), issuer
	}
	list := make([]*authflow.Audience, len(s.Partners))
	for i, p := range s.Partners {
		partner, ok := p.For(o.host)
		if !ok {
			return nil
		}
		list[i] = &authflow.Audience{Partner: partner, Host: host, Issuer: issuer, Session: p.Session, TTL: p.TTL}
		list[i].Seal(s.keys, bound)
	}
	self := &authflow.Audience{
		Partner: authflow.Partner{ID: authflow.SelfID, Name: host, Purpose: "a person's own record"},
		Host:    host, Issuer: issuer, Session: authflow.SelfSession,
	}
	self.Seal(s.keys, bound)
	known[o] = &place{list, self}
	s.origins.Store(&known)
	return known[o]
}

func (o origin) String() string {
	scheme, usual := "http", 80
	if o.secure {
		scheme, usual = "https", 443
	}
	host := o.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if o.port == usual || o.port == 0 {
		return scheme + "://" + host
	}
	return scheme + "://" + host + ":" + strconv.Itoa(o.port)
}

// HostOf is the request's host without its port, in lower case, as host matchers
// compare it. The client chose it.
func HostOf(r *http.Request) string { return hostOf(r.Host) }

// PortOf is the port the request came in at; 0 where it is not known.
func PortOf(r *http.Request) int { return localPort(r) }

// hostOf is a Host field without its port, in lower case, as host matchers
// compare it.
func hostOf(hostport string) string {
	host := hostport
	if i := strings.LastIndexByte(hostport, ':'); i >= 0 && !strings.HasSuffix(hostport, "]") {
		if h, _, err := net.SplitHostPort(hostport); err == nil {
			host = h
		}
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

func hostOfOrigin(origin string) string {
	_, rest, _ := strings.Cut(origin, "://")
	return hostOf(rest)
}

// localPort is the port the request came in at: the listener's, because the
// one in a Host field is the client's to choose.
func localPort(r *http.Request) int {
	switch a := r.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.TCPAddr:
		return a.Port
	case *net.UDPAddr:
		return a.Port
	}
	return 0
}
