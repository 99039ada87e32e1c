package portal

import (
	"encoding/json"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
)

// Problem is an error for a program: problem details (RFC 9457) with the
// contract's members.
type Problem struct {
	Type   string        `json:"type"`
	Title  string        `json:"title"`
	Status int           `json:"status"`
	Detail string        `json:"detail,omitempty"`
	Code   authflow.Code `json:"code,omitempty"`

	Required     *int   `json:"required,omitempty"`
	Start        string `json:"start,omitempty"`
	AttemptsLeft *int   `json:"attempts_left,omitempty"`
	Need         string `json:"need,omitempty"`
	Unlock       string `json:"unlock,omitempty"` // of Locked: the page to unlock the number

	RetryAfter time.Duration `json:"-"`
}

// WriteProblem answers with p and the Retry-After field that goes with it.
func WriteProblem(w http.ResponseWriter, r *http.Request, p Problem) {
	p.Type = "about:blank"
	p.Title = http.StatusText(p.Status)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	SetRetryAfter(h, p.RetryAfter)
	body, err := json.Marshal(p)
	if err != nil {
		w.WriteHeader(p.Status)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// SetRetryAfter says how long to wait in whole seconds (RFC 9110, section
// 10.2.3), rounded up: whoever waits that long is not too early.
func SetRetryAfter(h http.Header, d time.Duration) {
	if d > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(d.Seconds()))))
	}
}

// IsNavigation tells whether a request is a browser going somewhere, rather
// than a program or a part of a page asking for something. Browsers say so
// (Sec-Fetch-Mode, W3C Fetch Metadata); where they do not, preferring HTML is
// the sign.
func IsNavigation(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	if r.Header.Get("Upgrade") != "" {
		return false
	}
	html, json := accepts(r.Header)
	return html > 0 && html >= json
}

// wantsJSON tells whether an answer from one of our addresses is to be JSON.
func wantsJSON(r *http.Request) bool {
	html, json := accepts(r.Header)
	if html > 0 || json > 0 {
		return json > html
	}
	return isJSON(r.Header.Get("Content-Type"))
}

func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json"))
}

// maxAccept bounds how much of an Accept field is looked at.
const maxAccept = 1024

// accepts returns how much the client wants HTML and JSON, by name: a wildcard
// is no wish.
func accepts(h http.Header) (html, json float64) {
	line := strings.Join(h["Accept"], ",")
	for member := range strings.SplitSeq(line[:min(len(line), maxAccept)], ",") {
		t, params, err := mime.ParseMediaType(member)
		if err != nil {
			continue
		}
		q := 1.0
		if s, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(s, 64); err != nil || q < 0 || q > 1 {
				continue
			}
		}
		switch t {
		case "text/html", "application/xhtml+xml":
			html = max(html, q)
		case "application/json", "application/problem+json":
			json = max(json, q)
		}
	}
	return html, json
}
