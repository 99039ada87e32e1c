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

	place     *place
	audiences []*authflow.Audience // place's partners
	cookie    string
	entered   bool
	handedOn  bool
	writer    writer
	stream    stream
	rank      int
}

// Admit decides about a request. It returns true and the writer and the request
// to hand on if the request may go on, and false if it has been answered.
// Whatever goes wrong, a panic included, it does not go on.
//
// The request that is handed on ends with the pass it rests on: see Streams. When
// it has been handled behind a gate, call Cut; when it has been behind the first
// one, call Finish.
func (g *Gate) Admit(w http.ResponseWriter, r *http.Request, v *Visit) (nextW http.ResponseWriter, nextR *http.Request, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			g.refuse(w, r, v, Unavailable)
			nextW, nextR, ok = w, r, false
		}
	}()
	if !v.entered {
		v.entered = true
		v.rank = -1
		v.cookie = pass.Value(r.Header, pass.Name(r.TLS != nil))
		cleanRequest(r)
		v.writer.ResponseWriter = w
	}
	var h hold
	epoch := g.Site.Services.Withdrawals.Epoch()
	switch d := g.decide(w, r, v, &h); d {
	case Page:
		v.Decision = d
		return w, r, false
	case Uncovered: // what an earlier gate decided stands
	case Passed, Anonymous:
		v.writer.private = true
		if !v.Attached {
			v.Decision = d
		} else {
			v.Decision = Passed
		}
		if d == Passed {
			sv := g.Site.Services
			r = v.stream.enter(sv.Streams, r, &v.writer, h, sv.Withdrawals, epoch)
		}
	default:
		g.refuse(w, r, v, d)
		return w, r, false
	}
	if !v.handedOn {
		v.handedOn = true
		return &v.writer, r, true
	}
	return w, r, true // a gate before this one has wrapped it
}

// Cut tells whether the pass that the request rests on has ended while it was
// being handled, and if so sees to its end. Where no answer has begun, the
// request is refused now. One that has is broken off, with a panic
// (http.ErrAbortHandler), because it must not look complete.
func (g *Gate) Cut(r *http.Request, v *Visit) bool {
	e := &v.stream
	switch {
	case !e.over.Load():
		return false
	case v.writer.switched: // both sides are closed
		return true
	case v.writer.sent.Load():
		if v.Decision != Passed {
			return true // refused, by a gate behind this one or by Cut
		}
		panic(http.ErrAbortHandler)
	}
	w := v.writer.ResponseWriter
	clear(w.Header()) // a handler may have begun to fill it
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // the request may not have been read to its end
	}
	d := NoPass
	if e.ending == NotCurrent || e.ended.Optional { // who comes back without a pass may get in
		d = Unavailable
	}
	v.writer.sent.Store(true)
	e.ended.refuse(w, r, v, d)
	return true
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
		v.stream.leave()
		g.Site.Services.Observer.Gate(v.Decision)
		if v.handedOn {
			v.writer.finish()
		}
	}
}

// decide returns what is to become of a request and, if it has passed, in h what
// it rests on.
func (g *Gate) decide(w http.ResponseWriter, r *http.Request, v *Visit, h *hold) Decision {
	s := g.Site
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect && !isWebSocketConnect(r) {
		return BadMethod
	}
	if v.place == nil {
		var known bool
		if v.place, known = s.at(r); !known {
			return Unavailable
		}
		v.audiences = v.place.partners
	}
	if isPage(v.Original.Path) {
		v.Decision = Page
		s.Services.Portal.ServeHTTP(w, r, &portal.Visit{Audiences: v.audiences, Self: v.place.self, IP: v.IP, Cookie: v.cookie, Path: v.Original.Path, Query: v.Original.RawQuery})
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
	return g.look(r, v, h)
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
func (g *Gate) look(r *http.Request, v *Visit, h *hold) Decision {
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
	*h = hold{gate: g, consent: p.Consent, number: p.Number, ends: c.ends(&p)}
	if !a.Until.IsZero() {
		h.ends = min(h.ends, a.Until.Unix())
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
