package gate

import (
	"net/http"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
)

// IsPage tells whether a path is one of a site's own pages.
func IsPage(path string) bool { return isPage(path) }

// PageVisit returns what a handler of a site's own pages needs to know of a
// request, at a site that nobody guards: an authority's. It returns false if the
// request's host is none of the site's.
func (s *Site) PageVisit(r *http.Request, v *Visit) (*portal.Visit, bool) {
	p, known := s.at(r)
	if !known {
		return nil, false
	}
	return &portal.Visit{
		Audiences: p.partners, Self: p.self, IP: v.IP,
		Cookie: pass.Value(r.Header, pass.Name(r.TLS != nil)),
		Path:   v.Original.Path, Query: v.Original.RawQuery,
	}, true
}

// Audiences returns the site's partners as they are at the origin the request
// came to; false if the request's host is none of the site's.
func (s *Site) Audiences(r *http.Request) ([]*authflow.Audience, bool) { return s.audiences(r) }
