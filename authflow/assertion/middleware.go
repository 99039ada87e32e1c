package assertion

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Required is what a Middleware asks of a person. The zero value asks for an
// answer, whichever.
type Required struct {
	// Status is the least vaccination_status: 0, 1 or 2. Nobody has more.
	Status int
	// MaxAge is how long ago the person may have confirmed the code; zero means
	// as long as the gate lets a pass last.
	MaxAge time.Duration
}

// Middleware returns a handler that lets a request through to next only if it
// has one Kycvs-Assertion field, v takes what is in it, and that is what is
// required. FromContext then has the claims.
//
// It answers others as RFC 9457 has it, with a code: 401 for a field that is
// missing (assertion_missing), stands twice (assertion_doubled), is refused
// (assertion_invalid) or rests on a code confirmed too long ago
// (assertion_too_old); 403 where the status is too low (status_too_low); 503
// with Retry-After where the keys cannot be had (unavailable).
func (v *Verifier) Middleware(required Required, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, p := v.let(r, required)
		if p != nil {
			p.write(w, r, required)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, claims)))
	})
}

type contextKey struct{}

// FromContext returns the claims of the assertion that a Middleware let a request
// through with, false if there was no Middleware.
func FromContext(ctx context.Context) (Claims, bool) {
	c, ok := ctx.Value(contextKey{}).(Claims)
	return c, ok
}

// let returns the claims of a request that may pass, or why it may not.
func (v *Verifier) let(r *http.Request, required Required) (Claims, *refusal) {
	values := r.Header.Values(HeaderName)
	switch {
	case len(values) == 0:
		return Claims{}, &refusal{http.StatusUnauthorized, "assertion_missing", "There is no " + HeaderName + " field. Come in through the gate."}
	case len(values) > 1:
		return Claims{}, &refusal{http.StatusUnauthorized, "assertion_doubled", "The " + HeaderName + " field stands more than once. A gate sends one."}
	}
	c, err := v.VerifyContext(r.Context(), values[0])
	switch {
	case errors.Is(err, ErrKeysUnavailable):
		return Claims{}, &refusal{http.StatusServiceUnavailable, "unavailable", "The issuer's keys cannot be had. Try again in a moment."}
	case err != nil:
		return Claims{}, &refusal{http.StatusUnauthorized, "assertion_invalid", "The " + HeaderName + " field is not valid: " + reason(err) + "."}
	}
	if required.MaxAge > 0 {
		now, confirmed := v.cfg.Now(), time.Unix(c.AuthTime, 0)
		if now.Sub(confirmed) > required.MaxAge+v.cfg.Skew || confirmed.After(now.Add(v.cfg.Skew)) {
			return Claims{}, &refusal{http.StatusUnauthorized, "assertion_too_old", "The code was confirmed too long ago. Prove it anew."}
		}
	}
	if c.VaccinationStatus < required.Status {
		return Claims{}, &refusal{http.StatusForbidden, "status_too_low", "The status is lower than what is required here."}
	}
	return c, nil
}

// retryAfter is in how many seconds to try again where there are no keys.
const retryAfter = 5

// refusal is an answer to a request that may not pass.
type refusal struct {
	status       int
	code, detail string
}

func (p *refusal) write(w http.ResponseWriter, r *http.Request, required Required) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	switch p.status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "KYCVS") // RFC 9110, section 15.5.2: a 401 has one
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	w.WriteHeader(p.status)
	if r.Method == http.MethodHead {
		return
	}
	// An error here is a client that has gone.
	_ = json.NewEncoder(w).Encode(struct {
		Type     string `json:"type"`
		Title    string `json:"title"`
		Status   int    `json:"status"`
		Detail   string `json:"detail"`
		Code     string `json:"code"`
		Required int    `json:"required"`
	}{"about:blank", http.StatusText(p.status), p.status, p.detail, p.code, required.Status})
}
