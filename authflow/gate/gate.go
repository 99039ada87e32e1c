// Package gate lets a request through, or not. It cleans every request that
// reaches it, looks at the pass the browser brought, and attaches a fresh
// assertion for the application behind.
//
// Nearly every request takes the short way: one cookie read, one hash, one
// look-up in memory, one field set.
package gate

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/assertion"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
)

// Decision is what became of a request, a word for metrics and placeholders.
type Decision uint8

// The decisions.
const (
	Uncovered   Decision = iota // the gate does not cover it: handed on without an assertion
	Passed                      // handed on with an assertion
	Anonymous                   // handed on without one: the gate is optional and there is no pass
	NoPass                      // refused: no pass that counts
	TooLow                      // refused: the status is below the level
	BadPath                     // refused: the path can be read two ways
	BadMethod                   // refused: CONNECT or TRACE
	Unavailable                 // refused: something needed does not answer
	Page                        // answered with one of our pages
	Decisions   = iota
)

var decisionWords = [Decisions]string{
	"uncovered", "passed", "anonymous", "no_pass", "too_low", "bad_path", "bad_method", "unavailable", "page",
}

func (d Decision) String() string { return decisionWords[d] }

// Gate is one gate of a site.
type Gate struct {
	Site *Site
	// Partner is the index, in Site.Partners, of the partner this gate is for.
	Partner int
	// Level is the least status that is let through.
	Level int
	// Optional gates hold nobody back.
	Optional bool
	// Covers tells whether the gate is about a request; nil: about every one.
	Covers func(*http.Request) (bool, error)
	// MaxAge is how fresh the handshake must be, Session how long a pass lasts
	// here, TTL how long one assertion is good for.
	MaxAge, Session, TTL time.Duration
	// PlainStatus also sends the bare number.
	PlainStatus bool
	// LenientPaths lets paths through that can be read two ways.
	LenientPaths bool
	// Rank orders gates that cover one request: the assertion is the one of the
	// highest rank, and among equals of the last.
	Rank int
}

// Visit is one request on its way through the gates of a site. The caller makes
// one for each request and hands it to each gate.
type Visit struct {
	// Original is the address first asked for, before any rewriting.
	Original *url.URL
	IP       netip.Addr

	// Decision is what became of the request so far; Pass what it rests on, where
	// Attached.
	Decision Decision
	Attached bool
	Pass     pass.Pass

	audiences []*authflow.Audience
	cookie    string
	entered   bool
	handedOn  bool
	writer    writer
	rank      int
}

// Admit decides about a request. It returns true and the writer to hand on if
// the request may go on, and false if it has been answered. Whatever goes
// wrong, a panic included, it does not go on.
//
// When the request has been handled behind the last gate, call v.Finish.
func (g *Gate) Admit(w http.ResponseWriter, r *http.Request, v *Visit) (next http.ResponseWriter, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			g.refuse(w, r, v, Unavailable)
			next, ok = w, false
		}
	}()
	if !v.entered {
		v.entered = true
		v.rank = -1
		v.cookie = pass.Value(r.Header, pass.Name(r.TLS != nil))
		cleanRequest(r)
		v.writer.ResponseWriter = w
	}
	switch d := g.decide(w, r, v); d {
	case Page:
		v.Decision = d
		return w, false
	case Uncovered: // what an earlier gate decided stands
	case Passed, Anonymous:
		v.writer.private = true
		if !v.Attached {
			v.Decision = d
		} else {
			v.Decision = Passed
		}
	default:
		g.refuse(w, r, v, d)
		return w, false
	}
	if !v.handedOn {
		v.handedOn = true
		return &v.writer, true
	}
	return w, true // a gate before this one has wrapped it
}

// Clean cleans a request that reaches an application on another way than
// through a gate, and its answer. Call finish when it has been handled.
func Clean(w http.ResponseWriter, r *http.Request) (out http.ResponseWriter, finish func()) {
	cleanRequest(r)
	cw := &writer{ResponseWriter: w}
	return cw, cw.finish
}

// Finish counts the request and cleans what an upstream put behind its answer.
// It must be called, on the first gate a request came to, once the handlers
// behind it are done or the request was refused.
func (g *Gate) Finish(v *Visit) {
	if v.entered {
		g.Site.Services.Observer.Gate(v.Decision)
		if v.handedOn {
			v.writer.finish()
		}
	}
}

func (g *Gate) decide(w http.ResponseWriter, r *http.Request, v *Visit) Decision {
	s := g.Site
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect && !isWebSocketConnect(r) {
		return BadMethod
	}
	if v.audiences == nil {
		var known bool
		if v.audiences, known = s.audiences(r); !known {
			return Unavailable
		}
	}
	if isPage(v.Original.Path) {
		v.Decision = Page
		s.Services.Portal.ServeHTTP(w, r, &portal.Visit{Audiences: v.audiences, IP: v.IP, Cookie: v.cookie, Path: v.Original.Path, Query: v.Original.RawQuery})
		return Page
	}
	rewritten := r.URL.Path != v.Original.Path || r.URL.RawPath != v.Original.RawPath || r.URL.RawQuery != v.Original.RawQuery
	if s.PathsDiffer && !g.LenientPaths {
		if twoReadings(rawPath(v.Original)) || rewritten && twoReadings(rawPath(r.URL)) {
			return BadPath
		}
	}
	if g.Covers != nil {
		covered, err := g.Covers(r)
		if err == nil && !covered && rewritten {
			first := *r
			first.URL = v.Original
			first.RequestURI = v.Original.RequestURI()
			covered, err = g.Covers(&first)
		}
		if err != nil {
			return Unavailable
		}
		if !covered {
			return Uncovered
		}
	}
	return g.look(r, v)
}

// isPage tells whether an address is one of our pages'. Everything below the
// prefix is, so that nothing below it reaches the application.
func isPage(path string) bool {
	return strings.HasPrefix(path, portal.Prefix) || path == strings.TrimSuffix(portal.Prefix, "/")
}

// isWebSocketConnect tells whether a CONNECT request opens a web socket over
// HTTP/2 (RFC 8441) or HTTP/3 (RFC 9220).
func isWebSocketConnect(r *http.Request) bool {
	switch r.ProtoMajor {
	case 2:
		v := r.Header[":protocol"]
		return len(v) == 1 && v[0] == "websocket"
	case 3:
		return r.Proto == "websocket"
	}
	return false
}

// look finds the pass for this gate's partner, and attaches an assertion.
func (g *Gate) look(r *http.Request, v *Visit) Decision {
	a := v.audiences[g.Partner]
	if a.Ended(g.Site.Services.Now()) {
		return Unavailable
	}
	c := Check{MaxAge: g.MaxAge, Session: g.Session, TTL: g.TTL}
	var m authflow.Minted
	p, found, err := g.Site.Services.open(a, v.cookie, c, &m)
	if err != nil {
		return Unavailable
	}
	if !found {
		if g.Optional {
			return Anonymous
		}
		return NoPass
	}
	if int(p.Status) < g.Level && !g.Optional {
		v.Pass = p
		return TooLow
	}
	if g.Rank < v.rank {
		return Passed // a more specific gate has attached its own
	}
	compact := m.Compact()
	if len(compact) > assertion.MaxSize {
		return Unavailable
	}
	v.rank = g.Rank
	v.Attached, v.Pass = true, p
	attach(r.Header, compact)
	if g.PlainStatus {
		r.Header[HeaderStatus] = []string{string('0' + rune(p.Status))}
	} else {
		delete(r.Header, HeaderStatus)
	}
	return Passed
}
