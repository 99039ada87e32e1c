package embed

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
)

// started is a redirect under way: what start was asked, sealed, so that nobody
// can change it between the portal's pages and finish.
type started struct {
	Partner string   `json:"p"`
	State   string   `json:"s"`
	Return  [12]byte `json:"r"` // of the return address's hash: addresses are long, and all are registered
	Browser [12]byte `json:"b"` // of the hash of the browser's mark
	At      int64    `json:"a"` // seconds since the epoch
}

const (
	// startLife is how long a person may take over the pages.
	startLife = time.Hour
	// maxState is the longest state: sealed, it must fit into what the portal
	// carries along (authflow.MaxReturn).
	maxState = 256
)

// The mark that binds a redirect to the browser it was begun in, so that nobody
// can have somebody else finish it (RFC 9700, section 4.7). The authority is
// the first party on these pages, so browsers keep it.
const (
	markName      = "__Host-kycvs-start"
	markNamePlain = "kycvs-start"
)

// isState tells whether a state is one that we carry: visible ASCII and spaces
// (RFC 6749, appendix A.5).
func isState(s string) bool {
	return s != "" && len(s) <= maxState && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// start begins a redirect: all that could be wrong with it is looked at before
// anything is shown or sent.
func (q *request) start() {
	params, err := q.query()
	q.negotiate(params["lang"])
	if err != nil {
		q.refuse("the address cannot be read, or a parameter stands twice")
		return
	}
	a := q.audience(params["partner"])
	if a == nil {
		q.refuse("partner is none of this authority's")
		return
	}
	ret, ok := q.returnTo(a.ID, params["return"])
	if !ok {
		q.refuse("return is not registered for the partner, byte for byte")
		return
	}
	if !isState(params["state"]) {
		q.refuse("state is missing, too long, or not of visible ASCII")
		return
	}
	if a.Ended(q.Flow.Now()) {
		q.unavailable()
		return
	}
	sealed, err := q.starts.seal(started{
		Partner: a.ID, State: params["state"], Return: short(ret), Browser: short(q.browser()), At: q.Flow.Now().Unix(),
	})
	if err != nil {
		q.unavailable()
		return
	}
	to := url.Values{"for": {a.ID}, "return": {finishPath + "?s=" + sealed}}
	if lang := params["lang"]; lang != "" {
		to.Set("lang", q.lang)
	}
	q.seeOther(portal.Prefix + "?" + to.Encode())
}

// finish makes a code out of the pass that the person has now, and leads back to
// the partner with it.
func (q *request) finish() {
	s, a, ret, ok := q.underWay()
	if !ok {
		return
	}
	jar := pass.ParseJar(q.Whole, q.visit.Cookie)
	p, token, err := jar.Find(a.Sealer)
	// A pass from before this redirect was given for something else: the person
	// is asked each time.
	if err != nil || p.AuthTime < s.At || p.Expired(q.Flow.Now()) || q.Withdrawals.Ended(p.Consent, p.Number) {
		q.refuse("the check is not done, or its consent was taken back")
		return
	}
	code, err := q.issue(q.r.Context(), a, token)
	if err != nil {
		q.report(asError(err))
		q.unavailable()
		return
	}
	q.leave(ret, "code", code, "state", s.State)
}

// cancel leads back to the partner without an answer, as OAuth 2.0 does (RFC
// 6749, section 4.1.2.1).
func (q *request) cancel() {
	if s, _, ret, ok := q.underWay(); ok {
		q.leave(ret, "error", "access_denied", "state", s.State)
	}
}

// underWay opens the redirect that a request goes on with; if it cannot, it has
// answered.
func (q *request) underWay() (s started, a *authflow.Audience, ret string, ok bool) {
	params, err := q.query()
	q.negotiate(params["lang"])
	if err == nil {
		err = q.starts.open(params["s"], &s)
	}
	age := q.Flow.Now().Unix() - s.At
	// another instance's clock may be ahead
	if err != nil || age < -60 || age >= int64(startLife/time.Second) {
		q.refuse("the redirect is over, or was not begun here")
		return s, nil, "", false
	}
	if b := short(q.mark()); q.mark() == "" || subtle.ConstantTimeCompare(b[:], s.Browser[:]) != 1 {
		q.refuse("the redirect was begun in another browser")
		return s, nil, "", false
	}
	a = q.audience(s.Partner)
	for _, r := range q.Partners[s.Partner].Returns { // it may have been taken out since
		if short(r) == s.Return {
			ret = r
		}
	}
	if a == nil || ret == "" {
		q.refuse("return is no longer registered for the partner")
		return s, nil, "", false
	}
	q.end = finishPath + "?s=" + params["s"]
	return s, a, ret, true
}

// leave leads to a registered address with parameters added.
func (q *request) leave(ret string, kv ...string) {
	add := url.Values{}
	for i := 0; i+1 < len(kv); i += 2 {
		add.Set(kv[i], kv[i+1])
	}
	sep := "?"
	switch {
	case strings.HasSuffix(ret, "?"), strings.HasSuffix(ret, "&"):
		sep = ""
	case strings.Contains(ret, "?"):
		sep = "&"
	}
	q.seeOther(ret + sep + add.Encode())
}

func (q *request) seeOther(to string) {
	h := q.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Location", to)
	q.WriteHeader(http.StatusSeeOther)
}

// refuse shows a page and leads nowhere, but for the person's own no to a
// redirect that is under way. What is wrong is for whoever builds the
// partner's site, and stands in the log at DEBUG.
func (q *request) refuse(why string) {
	q.Logger.DebugContext(q.r.Context(), "a redirect was refused", "reason", why)
	q.page(http.StatusBadRequest, portal.ErrorView{Code: string(authflow.BadRequest), Return: q.end})
}

func (q *request) unavailable() {
	portal.SetRetryAfter(q.Header(), authflow.UnavailableRetry)
	q.page(http.StatusServiceUnavailable, portal.ErrorView{Code: string(authflow.Unavailable), RetryAfter: authflow.UnavailableRetry, Return: q.end})
}

// browser returns the browser's mark, which it is given if it has none.
func (q *request) browser() string {
	if m := q.mark(); m != "" {
		return m
	}
	raw := make([]byte, 16)
	rand.Read(raw)
	m := base64.RawURLEncoding.EncodeToString(raw)
	secure := q.r.TLS != nil
	name := markName
	if !secure {
		name = markNamePlain
	}
	http.SetCookie(q, &http.Cookie{
		Name: name, Value: m, Path: "/", MaxAge: int(startLife / time.Second),
		Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return m
}

// mark is the browser's mark, "" if it has none that we could have given.
func (q *request) mark() string {
	name := markName
	if q.r.TLS == nil {
		name = markNamePlain
	}
	m := pass.Value(q.r.Header, name)
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(m); err != nil || len(raw) != 16 {
		return ""
	}
	return m
}

func short(s string) (out [12]byte) {
	sum := sha256.Sum256([]byte(s))
	copy(out[:], sum[:])
	return out
}
