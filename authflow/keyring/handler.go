package keyring

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// MediaType is that of a JSON Web Key Set (RFC 7517, section 8.5.2).
const MediaType = "application/jwk-set+json"

// KeySetHandler serves a ring's public set to GET and HEAD from any origin,
// cacheable and with an ETag. Until the ring has started it answers 503.
func KeySetHandler(ring *Ring) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		// A page may read errors too: a verifier in a browser then knows that
		// trying again helps.
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			problem(w, http.StatusMethodNotAllowed, "", "The keys can be read with GET or HEAD.")
			return
		}
		body, etag, maxAge, err := ring.PublicSet()
		if err != nil {
			h.Set("Retry-After", "1")
			problem(w, http.StatusServiceUnavailable, "unavailable", "The keys are not there yet. Try again in a moment.")
			return
		}
		h.Set("Content-Type", MediaType)
		h.Set("ETag", etag)
		h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(maxAge/time.Second)))
		// It answers If-None-Match by the ETag set above (RFC 9110, section 13.1.2).
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
}

// problem writes an error as RFC 9457 has it, with the contract's code.
func problem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// An error here is a client that has gone.
	_ = json.NewEncoder(w).Encode(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Code   string `json:"code,omitempty"`
		Detail string `json:"detail"`
	}{http.StatusText(status), status, code, detail})
}
