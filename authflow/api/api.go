// Package api is the authority's API: what a partner's programs call to have a
// person asked for consent and code, and to get the answer (contract, section
// 5). The calls, their fields and their error codes are those of CoWIN's KYC-VS
// as its published clients make them, so that such a client works when its base
// address and its key change; what they do not know comes beside.
//
// The room reads requests and writes answers. What a handshake is, authflow
// knows; whose key opens what, and everything a call rests on, is in the state
// and the ledger that all instances share, so any call can come to any instance.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// Observer is told what became of each call, for metrics. Both words are of
// closed sets: see Calls and Outcomes.
type Observer interface {
	API(call, outcome string)
}

// Handler serves the API of one authority; safe for concurrent use. Every field
// is needed but for Redeem.
type Handler struct {
	Flow        *authflow.Flow
	Minter      *authflow.Minter
	Withdrawals *withdrawals.Set
	Observer    Observer
	Logger      *slog.Logger
	Now         func() time.Time
	// Language returns the language, of those that there are texts in, for what a
	// caller names by a language tag (BCP 47).
	Language func(tag string) string
	// Redeem turns a code that the redirect gave out into the token of a finished
	// handshake, or the sealed pass of the partner; a TxnUnknown error if it is not
	// good, or not this partner's. nil: there is no such call.
	Redeem func(ctx context.Context, a *authflow.Audience, code string) (token string, err error)
}

// The addresses.
const (
	Prefix      = "/api/v3/"
	PagePath    = "/api/"
	OpenAPIPath = "/openapi.json"

	pathGenerate  = Prefix + "vaccination/generateOTP"
	pathConfirm   = Prefix + "vaccination/confirmOTP"
	pathStatus    = Prefix + "vaccination/status"
	pathOrder     = Prefix + "vaccination/order"
	pathRedeem    = Prefix + "vaccination/redeem"
	pathWithdraw  = Prefix + "consent/withdraw"
	pathWithdrawn = Prefix + "consent/withdrawn"
)

// Calls are the words for the calls.
var Calls = []string{"generateOTP", "confirmOTP", "status", "order", "redeem", "withdraw", "withdrawn"}

// Serves tells whether a path is one of the API's.
func Serves(path string) bool {
	return strings.HasPrefix(path, Prefix) || path == PagePath || path == strings.TrimSuffix(PagePath, "/") || path == OpenAPIPath
}

// operation is what one address does.
type operation struct {
	name   string // of Calls
	method string
	serve  func(*request) error
	keyed  bool // it wants x-api-key; the others heed one that comes, but for status
}

var operations = map[string]operation{
	pathGenerate:  {"generateOTP", http.MethodPost, (*request).generate, true},
	pathConfirm:   {"confirmOTP", http.MethodPost, (*request).confirm, false},
	pathStatus:    {"status", http.MethodGet, (*request).status, false},
	pathOrder:     {"order", http.MethodGet, (*request).order, true},
	pathRedeem:    {"redeem", http.MethodPost, (*request).redeem, true},
	pathWithdraw:  {"withdraw", http.MethodPost, (*request).withdraw, true},
	pathWithdrawn: {"withdrawn", http.MethodGet, (*request).withdrawn, true},
}

// request is one request at work.
type request struct {
	*Handler
	http.ResponseWriter
	r         *http.Request
	call      string
	audiences []*authflow.Audience
	partner   *authflow.Audience // whose key it is; nil where there is none
}

// ServeHTTP answers a request whose path Serves names. audiences are the
// authority's partners at the origin that was asked. It always answers.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, audiences []*authflow.Audience) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	switch r.URL.Path {
	case OpenAPIPath:
		serveDocument(w, r)
		return
	case PagePath:
		servePage(w, r)
		return
	case strings.TrimSuffix(PagePath, "/"):
		header.Set("Location", PagePath)
		w.WriteHeader(http.StatusPermanentRedirect)
		return
	}
	header.Set("Cache-Control", "no-store")
	op, known := operations[r.URL.Path]
	q := &request{Handler: h, ResponseWriter: w, r: r, call: op.name, audiences: audiences}
	if !known || op.name == "redeem" && h.Redeem == nil {
		q.writeJSON(http.StatusNotFound, problem{Code: "not_found", Error: "There is no such call: " + OpenAPIPath + " lists those that there are.", ErrorCode: errorOther + "404"})
		return
	}
	if r.Method != op.method && (op.method != http.MethodGet || r.Method != http.MethodHead) {
		header.Set("Allow", op.method)
		q.writeJSON(http.StatusMethodNotAllowed, problem{Code: "method_not_allowed", Error: "This call is made with " + op.method + ".", ErrorCode: errorOther + "405"})
		return
	}
	if (op.keyed || op.name == "confirmOTP" && len(r.Header["X-Api-Key"]) > 0) && !q.authorised() {
		h.Observer.API(op.name, outcomeForbidden)
		q.writeJSON(http.StatusForbidden, forbidden)
		return
	}
	if err := op.serve(q); err != nil {
		q.fail(err)
		return
	}
	h.Observer.API(op.name, outcomeDone)
}

// forbidden is the answer to a key that is missing, unknown or expired: all
// alike, as CoWIN's gateway had it.
var forbidden = struct {
	Message string `json:"message"`
}{"Forbidden"}

// maxKey bounds what is hashed.
const maxKey = 256

// authorised finds the partner whose key the request has.
func (q *request) authorised() bool {
	keys := q.r.Header["X-Api-Key"]
	if len(keys) != 1 || len(keys[0]) > maxKey {
		return false
	}
	q.partner = authflow.WhoseKey(q.audiences, keys[0])
	return q.partner != nil && !q.partner.Ended(q.Now())
}
