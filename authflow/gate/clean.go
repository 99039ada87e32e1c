package gate

import (
	"io"
	"net/http"
	"strings"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
)

// HeaderStatus is the bare number, for an upstream that nothing else can reach.
const HeaderStatus = "Kycvs-Status"

// reserved is what our field names begin with once folded.
const reserved = "kycvs"

// isReserved tells whether a field name is, or could be read by some
// application as, one of ours: whether it begins with "kycvs" once every
// character but letters and digits is dropped and case is forgotten. CGI,
// WSGI, PHP and others fold "-", "_" and "." into one; which of them stands
// behind us we do not know.
func isReserved(name string) bool {
	n := 0
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		default:
			continue
		}
		if c != reserved[n] {
			return false
		}
		if n++; n == len(reserved) {
			return true
		}
	}
	return false
}

// cleanRequest takes out of a request whatever a client could have put there
// to forge, double, alias or remove our fields, and the pass. It is done once
// for each request, before anything is decided.
func cleanRequest(r *http.Request) {
	for name := range r.Header {
		if isReserved(name) {
			delete(r.Header, name)
		}
	}
	pass.Strip(r.Header)
	cleanUpgrade(r.Header)
	cleanConnection(r.Header)
	if r.Trailer != nil || r.ContentLength < 0 {
		cleanTrailer(r.Trailer)
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &trailerCleaner{ReadCloser: r.Body, r: r}
		}
	}
}

func cleanTrailer(t http.Header) {
	for name := range t {
		if isReserved(strings.TrimPrefix(name, http.TrailerPrefix)) {
			delete(t, name)
		}
	}
}

// trailerCleaner cleans the fields behind a body as soon as they are read,
// which is before a proxy hands them on: a client need not announce them.
type trailerCleaner struct {
	io.ReadCloser
	r *http.Request
}

func (c *trailerCleaner) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if err != nil {
		cleanTrailer(c.r.Trailer)
	}
	return n, err
}

// cleanConnection takes our names out of the Connection field: a proxy removes
// every field that it lists (RFC 9110, section 7.6.1).
func cleanConnection(h http.Header) {
	lines := h["Connection"]
	for i, line := range lines {
		lines[i] = dropTokens(line, isReserved)
	}
}

// cleanUpgrade lets nothing but a web socket change the protocol. Behind any
// other change (h2c, say) a client could speak past the gate, because a proxy
// only carries bytes from then on. A server may ignore Upgrade (RFC 9110,
// section 7.8), so the request goes on without it.
func cleanUpgrade(h http.Header) {
	up, ok := h["Upgrade"]
	if !ok || len(up) == 1 && strings.EqualFold(strings.TrimSpace(up[0]), "websocket") {
		return
	}
	delete(h, "Upgrade")
	delete(h, "Http2-Settings")
	lines := h["Connection"]
	for i, line := range lines {
		lines[i] = dropTokens(line, func(t string) bool {
			return strings.EqualFold(t, "upgrade") || strings.EqualFold(t, "http2-settings")
		})
	}
}

// dropTokens removes the members of a comma-separated list that drop wants
// removed; a list without any is returned as it is.
func dropTokens(list string, drop func(string) bool) string {
	found := false
	for t := range strings.SplitSeq(list, ",") {
		if drop(strings.Trim(t, " \t\"")) {
			found = true
			break
		}
	}
	if !found {
		return list
	}
	var kept []string
	for t := range strings.SplitSeq(list, ",") {
		if t = strings.Trim(t, " \t"); !drop(strings.Trim(t, "\"")) {
			kept = append(kept, t)
		}
	}
	return strings.Join(kept, ", ")
}

// cleanResponse keeps an upstream from answering with our fields or setting
// the pass.
func cleanResponse(h http.Header) {
	for name := range h {
		if isReserved(strings.TrimPrefix(name, http.TrailerPrefix)) {
			delete(h, name)
		}
	}
	for i, line := range h["Trailer"] {
		h["Trailer"][i] = dropTokens(line, isReserved)
	}
	cookies := h["Set-Cookie"]
	for i := range cookies {
		if !pass.SetsPass(cookies[i]) {
			continue
		}
		kept := make([]string, 0, len(cookies)-1)
		for _, c := range cookies {
			if !pass.SetsPass(c) {
				kept = append(kept, c)
			}
		}
		if len(kept) == 0 {
			delete(h, "Set-Cookie")
		} else {
			h["Set-Cookie"] = kept
		}
		return
	}
}

func attach(h http.Header, value string) { h[assertion.HeaderName] = []string{value} }
