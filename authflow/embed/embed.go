// Package embed puts the handshake into other people's sites: as a frame that a
// partner's page holds (embed.js and the page in the frame), and as a redirect
// that leads to the authority's pages and back (contract, section 5).
//
// Neither needs a cookie of a third party. What binds a code to a frame is a
// sealed value in the frame's own memory; what binds a redirect to a browser is
// a cookie of the authority, which is the first party there. Nobody gets an
// answer but origins and return addresses that are registered for the partner.
package embed

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// Registered is where a partner may have the answer brought to.
type Registered struct {
	// Origins may hold the frame, and get its messages; see CheckOrigin.
	Origins []string
	// Returns are the addresses a redirect may lead back to; see CheckReturn.
	Returns []string
}

// Config is what a Handler works with. Every field is needed, Trial apart.
type Config struct {
	Flow        *authflow.Flow
	Minter      *authflow.Minter
	Withdrawals *withdrawals.Set
	// Whole reads the authority's own pass cookie, once a redirect comes back.
	Whole *pass.Whole
	Pages *portal.Pages
	// Partners by their ids.
	Partners map[string]Registered
	// Trial says that codes go to the log, not to phones.
	Trial  bool
	Logger *slog.Logger
}

// Handler serves embed.js, the page in the frame with its calls, and the
// redirect. It is safe for concurrent use.
type Handler struct {
	Config
	frames, starts sealer
	crossOrigin    http.CrossOriginProtection
}

// New returns a Handler, or an error that says which registered address cannot
// be one.
func New(c Config) (*Handler, error) {
	for id, r := range c.Partners {
		for _, o := range r.Origins {
			if err := CheckOrigin(o); err != nil {
				return nil, fmt.Errorf("partner %s: %w", id, err)
			}
		}
		for _, ret := range r.Returns {
			if err := CheckReturn(ret); err != nil {
				return nil, fmt.Errorf("partner %s: %w", id, err)
			}
		}
	}
	return &Handler{
		Config: c,
		frames: newSealer(c.Flow.Secret.Keys("frame")),
		starts: newSealer(c.Flow.Secret.Keys("start")),
	}, nil
}

// Serves tells whether a path is one of a Handler's.
func Serves(path string) bool {
	return path == scriptPath || path == startPath || path == "/embed" ||
		strings.HasPrefix(path, framePath) || strings.HasPrefix(path, startPath+"/")
}

const (
	scriptPath = "/embed.js"
	framePath  = "/embed/"
	startPath  = "/start"
	finishPath = portal.FinishPath
	cancelPath = portal.CancelPath
)

// request is one request at work.
type request struct {
	*Handler
	http.ResponseWriter
	r     *http.Request
	visit *portal.Visit
	lang  string
	end   string // of the redirect that the request goes on with
}

// ServeHTTP answers a request for a path that Serves names. v is what the gate
// in front of the authority's pages knows of it; its Audiences are the
// partners. ServeHTTP always answers.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, v *portal.Visit) {
	q := &request{Handler: h, ResponseWriter: w, r: r, visit: v}
	serve, allow := q.route(v.Path)
	if serve == nil {
		q.plain(http.StatusNotFound, "There is no such page. See docs/embed.md for those that there are.")
		return
	}
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	if get != (allow != http.MethodPost) || !get && r.Method != http.MethodPost {
		w.Header().Set("Allow", allow)
		q.plain(http.StatusMethodNotAllowed, "This address takes "+allow+".")
		return
	}
	serve()
}

func (q *request) route(path string) (serve func(), allow string) {
	const get = "GET, HEAD"
	if a := assets[path]; a != nil {
		return func() { a.serve(q, q.r) }, get
	}
	switch path {
	case framePath:
		return q.frame, get
	case framePath + "otp":
		return q.call(q.otp), http.MethodPost
	case framePath + "verify":
		return q.call(q.verify), http.MethodPost
	case framePath + "withdraw":
		return q.call(q.withdraw), http.MethodPost
	case startPath:
		return q.start, get
	case finishPath:
		return q.finish, get
	case cancelPath:
		return q.cancel, get
	}
	return nil, ""
}

// audience finds a partner that is registered for this way of asking; nil if
// there is none of that id.
func (q *request) audience(id string) *authflow.Audience {
	i := slices.IndexFunc(q.visit.Audiences, func(a *authflow.Audience) bool { return a.ID == id })
	if i < 0 || id == "" {
		return nil
	}
	return q.visit.Audiences[i]
}

// query reads the address's parameters, each of which may stand once: of two,
// whoever checks and whoever acts could see different ones.
func (q *request) query() (map[string]string, error) {
	values, err := url.ParseQuery(q.visit.Query)
	if err != nil {
		return nil, err
	}
	once := make(map[string]string, len(values))
	for name, v := range values {
		if len(v) != 1 {
			return nil, errors.New("a parameter stands twice")
		}
		once[name] = v[0]
	}
	return once, nil
}

// negotiate chooses the language.
func (q *request) negotiate(chosen string) {
	q.lang = portal.Negotiate(q.r.Header.Get("Accept-Language"), chosen)
}

// plain answers with a sentence for whoever builds a site. It can be framed by
// nobody.
func (q *request) plain(status int, text string) {
	h := q.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	q.WriteHeader(status)
	if q.r.Method != http.MethodHead {
		_, _ = q.Write([]byte(text + "\n"))
	}
}

// page answers with one of the portal's pages.
func (q *request) page(status int, v portal.View) {
	if err := q.Pages.Write(q, status, q.lang, v); err != nil {
		q.Logger.ErrorContext(q.r.Context(), "a page could not be shown", "error", err)
	}
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
