package portal

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// Prefix is where the pages live on every site with a gate.
const Prefix = "/.kycvs/"

// Handler serves the pages a person sees and their JSON twins (contract,
// section 4). It reads what was asked, lets the handshake do the work, and
// shows how it ended.
type Handler struct {
	Flow        *authflow.Flow
	Minter      *authflow.Minter
	Withdrawals *withdrawals.Set
	Whole       *pass.Whole
	Pages       *Pages
	// Keys serves the public keys.
	Keys http.Handler
	// Trial says that codes go to the log, not to phones.
	Trial bool
	// Notice is whom the full notice names.
	Notice Notice
	Logger *slog.Logger
	Now    func() time.Time

	crossOrigin http.CrossOriginProtection
	records     records
}

// Notice names who answers for the data.
type Notice struct {
	Controller, Contact, Grievance string
}

// Visit is what a gate knows of a request to one of our pages.
type Visit struct {
	// Audiences are the site's partners at the origin that was asked, at least
	// one.
	Audiences []*authflow.Audience
	// Self is for whoever wants to see what is recorded of their own number.
	Self *authflow.Audience
	IP   netip.Addr
	// Cookie is the value of the pass cookie.
	Cookie string
	// Path and Query are those first asked for.
	Path, Query string
}

// request is one request at work.
type request struct {
	*Handler
	http.ResponseWriter
	r      *http.Request
	visit  *Visit
	jar    pass.Jar
	lang   string
	json   bool
	fields map[string]string
	self   bool // the request is about a person's own record
}

// address is one of the addresses below Prefix.
type address struct {
	get   bool // GET and HEAD, not POST
	self  bool // about a person's own record
	serve func(*request)
}

var addresses = map[string]address{
	"":         {get: true, serve: (*request).consent},
	"pass":     {get: true, serve: (*request).pass},
	"receipt":  {get: true, serve: (*request).receipt},
	"notice":   {get: true, serve: (*request).notice},
	"otp":      {serve: (*request).otp},
	"verify":   {serve: (*request).verify},
	"withdraw": {serve: (*request).withdraw},

	consentsPage:             {get: true, self: true, serve: (*request).consents},
	consentsPage + "/otp":    {self: true, serve: (*request).selfOTP},
	consentsPage + "/verify": {self: true, serve: (*request).selfVerify},
	consentsPage + "/end":    {self: true, serve: (*request).selfEnd},
	consentsPage + "/lock":   {self: true, serve: (*request).selfLock},
	consentsPage + "/leave":  {self: true, serve: (*request).selfLeave},
}

// ServeHTTP answers a request below Prefix. It always answers.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, v *Visit) {
	q := &request{Handler: h, ResponseWriter: w, r: r, visit: v, json: wantsJSON(r)}
	q.jar = pass.ParseJar(h.Whole, v.Cookie)
	q.lang = Negotiate(r.Header.Get("Accept-Language"), q.query().Get("lang"))
	w.Header().Set("Cache-Control", "no-store")
	page, ok := strings.CutPrefix(v.Path, Prefix)
	if !ok {
		w.Header().Set("Location", Prefix)
		w.WriteHeader(http.StatusPermanentRedirect)
		return
	}
	if page == "jwks.json" {
		h.Keys.ServeHTTP(w, r)
		return
	}
	at, known := addresses[page]
	if !known || at.self && v.Self == nil {
		q.refuse(http.StatusNotFound, RefusalNotFound)
		return
	}
	q.self = at.self
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	if get != at.get || !get && r.Method != http.MethodPost {
		allow := http.MethodPost
		if at.get {
			allow = "GET, HEAD"
		}
		w.Header().Set("Allow", allow)
		q.refuse(http.StatusMethodNotAllowed, RefusalMethod)
		return
	}
	if !get {
		if err := h.crossOrigin.Check(r); err != nil {
			q.fail(&authflow.Error{Code: authflow.CrossOrigin})
			return
		}
		var err error
		if q.fields, err = readFields(w, r); err != nil {
			q.fail(err)
			return
		}
		if lang := q.fields["lang"]; lang != "" {
			q.lang = Negotiate(r.Header.Get("Accept-Language"), lang)
		}
	}
	if at.self {
		if there := q.Flow.RecordsAt(v.Self); there != "" {
			q.elsewhere(there)
			return
		}
	}
	at.serve(q)
}

// audience finds the site's partner of that id, the first where none is named;
// nil if it is another site's.
func (q *request) audience(id string) *authflow.Audience {
	if id == "" {
		return q.visit.Audiences[0]
	}
	for _, a := range q.visit.Audiences {
		if a.ID == id {
			return a
		}
	}
	return nil
}

// forField is what a page's hidden field for says: nothing where the site has
// one partner only.
func (q *request) forField(a *authflow.Audience) string {
	if len(q.visit.Audiences) == 1 {
		return ""
	}
	return a.ID
}

func (q *request) query() url.Values {
	v, err := url.ParseQuery(q.visit.Query)
	if err != nil {
		return url.Values{}
	}
	return v
}

func (q *request) asker() authflow.Asker {
	return authflow.Asker{Browser: q.jar.Browser, IP: q.visit.IP, Lang: q.lang, Phones: q.jar.Proven(q.Now())}
}

// keepBrowser is how long a browser is told to keep the cookie for the mark
// alone: as long as a handshake can take.
const keepBrowser = time.Hour

func (q *request) setCookie(keep time.Duration) {
	if len(q.jar.Proven(q.Now())) > 0 {
		keep = max(keep, pass.KeepPhone)
	}
	http.SetCookie(q, q.jar.Cookie(q.Whole, q.r.TLS != nil, max(keep, keepBrowser)))
}

// keep is how long the passes in the jar last.
func (q *request) keep() time.Duration {
	var longest time.Duration
	for _, a := range q.visit.Audiences {
		if p, _, err := q.jar.Find(a.Sealer); err == nil {
			longest = max(longest, time.Unix(p.Expires, 0).Sub(q.Now()))
		}
	}
	return longest
}

// holds returns the pass this browser holds for an audience, if it counts.
func (q *request) holds(a *authflow.Audience) (pass.Pass, bool) {
	p, _, err := q.jar.Find(a.Sealer)
	if err != nil || p.Expired(q.Now()) || q.Withdrawals.Ended(p.Consent, p.Number) {
		return pass.Pass{}, false
	}
	return p, true
}

// fail answers with an error of the handshake's, as a page or as a problem.
func (q *request) fail(err error) {
	e := asError(err)
	q.report(e)
	if q.json {
		q.problem(e)
		return
	}
	SetRetryAfter(q.Header(), e.RetryAfter)
	back := q.startAgain()
	switch {
	case q.self, e.Code == authflow.Locked:
		back = Prefix + consentsPage
	case e.Partly:
		back = Prefix + "pass"
	}
	ret := ""
	if !q.self {
		ret = SafeReturn(q.fields["return"])
	}
	q.page(e.Code.HTTPStatus(), ErrorView{Code: q.wordOf(e), RetryAfter: e.RetryAfter, Back: back, Return: ret})
}

// startAgain is the consent page that the person was on: for the same partner,
// on the way to the same place.
func (q *request) startAgain() string {
	values := url.Values{}
	if id := q.fields["for"]; id != "" && q.audience(id) != nil {
		values.Set("for", id)
	}
	if ret := SafeReturn(q.fields["return"]); ret != "" && ret != "/" {
		values.Set("return", ret)
	}
	if len(values) == 0 {
		return Prefix
	}
	return Prefix + "?" + values.Encode()
}

// wordOf names the text that says what went wrong.
func (q *request) wordOf(e *authflow.Error) string {
	switch {
	case e.Partly && q.self:
		return "self_partly"
	case e.Partly:
		return "withdrawn_partly"
	}
	return string(e.Code)
}

func (q *request) problem(e *authflow.Error) {
	p := Problem{Status: e.Code.HTTPStatus(), Code: e.Code, Detail: Message(q.lang, q.wordOf(e)), Need: e.Need, RetryAfter: e.RetryAfter}
	if wait := waitText(q.lang, e.RetryAfter); wait != "" {
		p.Detail += " " + wait
	}
	if e.Code == authflow.OTPInvalid {
		p.AttemptsLeft = &e.AttemptsLeft
	}
	if e.Code == authflow.Locked {
		p.Unlock = Prefix + consentsPage
	}
	WriteProblem(q, q.r, p)
}

// report logs what the operator should know: what does not answer. Mistakes of
// people are counted, not logged.
func (q *request) report(e *authflow.Error) {
	if e.Code == authflow.Unavailable && e.Cause != nil {
		q.Logger.ErrorContext(q.r.Context(), "a handshake could not go on", "error", e.Cause)
	}
}

func asError(err error) *authflow.Error {
	if e := (*authflow.Error)(nil); errors.As(err, &e) {
		return e
	}
	return &authflow.Error{Code: authflow.Unavailable, RetryAfter: authflow.UnavailableRetry, Cause: err}
}

// refuse answers a request for something that is not there.
func (q *request) refuse(status int, kind RefusalKind) {
	if q.json {
		WriteProblem(q, q.r, Problem{Status: status, Code: authflow.BadRequest, Detail: Message(q.lang, string(kind))})
		return
	}
	q.page(status, RefusalView{Kind: kind, Start: Prefix})
}

func (q *request) page(status int, v View) {
	if err := q.Pages.Write(q, status, q.lang, v); err != nil {
		q.Logger.ErrorContext(q.r.Context(), "a page could not be shown", "error", err)
	}
}

func (q *request) writeJSON(status int, v any) {
	writeJSON(q, q.r, status, v)
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
