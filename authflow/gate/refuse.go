package gate

import (
	"net/http"
	"net/url"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
)

// methodsAllowed is everything but CONNECT and TRACE; applications may know
// others.
const methodsAllowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

// refuse answers a request that does not go on. The gate does so itself rather
// than returning an error, so that nothing a site does with errors can let the
// request through after all.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, v *Visit, d Decision) {
	v.Decision = d
	v.Attached = false
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept, Cookie, Sec-Fetch-Mode")
	pages := g.Site.Services.Pages
	nav := portal.IsNavigation(r)
	lang := portal.Negotiate(r.Header.Get("Accept-Language"), "")
	answer := func(p portal.Problem, kind portal.RefusalKind) {
		if nav {
			portal.SetRetryAfter(h, p.RetryAfter)
			// whether the page can be shown or not, the request has been refused
			_ = pages.Write(w, p.Status, lang, portal.RefusalView{
				Kind: kind, Required: g.Level, Status: int(v.Pass.Status), Start: p.Start, RetryAfter: p.RetryAfter,
			})
			return
		}
		p.Detail = portal.Message(lang, string(kind))
		portal.WriteProblem(w, r, p)
	}
	switch d {
	case NoPass:
		if nav && r.Method == http.MethodGet {
			h.Set("Location", g.startFor(v))
			w.WriteHeader(http.StatusSeeOther)
			return
		}
		h.Set("WWW-Authenticate", "KYCVS")
		answer(portal.Problem{Status: http.StatusUnauthorized, Required: &g.Level, Start: g.start(v)}, portal.RefusalSignIn)
	case TooLow:
		answer(portal.Problem{Status: http.StatusForbidden, Code: authflow.StatusTooLow, Required: &g.Level, Start: g.start(v)}, portal.RefusalTooLow)
	case BadPath:
		answer(portal.Problem{Status: http.StatusBadRequest, Code: authflow.BadRequest}, portal.RefusalAmbiguousPath)
	case BadMethod:
		h.Set("Allow", methodsAllowed)
		answer(portal.Problem{Status: http.StatusMethodNotAllowed, Code: authflow.BadRequest}, portal.RefusalMethod)
	default:
		answer(portal.Problem{Status: http.StatusServiceUnavailable, Code: authflow.Unavailable, RetryAfter: authflow.UnavailableRetry}, portal.RefusalUnavailable)
	}
}

// start is the address of the consent page for this gate's partner.
func (g *Gate) start(v *Visit) string {
	if len(v.audiences) > 1 {
		return portal.Prefix + "?for=" + url.QueryEscape(v.audiences[g.Partner].ID)
	}
	return portal.Prefix
}

// startFor is start with where the person was going.
func (g *Gate) startFor(v *Visit) string {
	to := rawPath(v.Original)
	if v.Original.RawQuery != "" || v.Original.ForceQuery {
		to += "?" + v.Original.RawQuery
	}
	address := portal.Prefix + "?return=" + url.QueryEscape(to)
	if len(v.audiences) > 1 {
		address += "&for=" + url.QueryEscape(v.audiences[g.Partner].ID)
	}
	return address
}
