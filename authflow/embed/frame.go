package embed

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
)

// maxNonce bounds the host page's nonce.
const maxNonce = 128

// isNonce tells whether a nonce is one that we echo: visible ASCII.
func isNonce(s string) bool {
	return s != "" && len(s) <= maxNonce && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// frame shows the page in the frame. Whoever asks for it for an origin that is
// not registered gets no page, and what they get can be framed by nobody.
func (q *request) frame() {
	params, err := q.query()
	if err != nil {
		q.plain(http.StatusBadRequest, "The address cannot be read, or a parameter stands twice.")
		return
	}
	q.negotiate(params["lang"])
	a := q.audience(params["partner"])
	var origin string
	registered := false
	if a != nil {
		origin, registered = q.origin(a.ID, params["origin"])
	}
	if !registered {
		q.plain(http.StatusForbidden, "This origin is not registered for this partner. Whoever runs this authority adds it to the partner's block: origin https://mall.example")
		return
	}
	if !isNonce(params["nonce"]) {
		q.plain(http.StatusBadRequest, "nonce is missing or not well-formed: write 1 to 128 visible ASCII characters, made up for this check alone.")
		return
	}
	sealed, err := q.newSession(a.ID, origin)
	if err != nil {
		q.Logger.ErrorContext(q.r.Context(), "a frame could not be made", "error", err)
		q.plain(http.StatusInternalServerError, "Something went wrong on our side.")
		return
	}
	var body bytes.Buffer
	s := &sheet{
		Lang: q.lang, a: a, Session: sealed, Origin: origin, Nonce: params["nonce"], Trial: q.Trial,
		countries: q.Flow.Limits.Countries, digits: q.Flow.OTP.Length,
	}
	if err := page.Execute(&body, s); err != nil {
		q.Logger.ErrorContext(q.r.Context(), "the page in a frame could not be made", "error", err)
		q.plain(http.StatusInternalServerError, "Something went wrong on our side.")
		return
	}
	h := q.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", q.lang)
	h.Add("Vary", "Accept-Language")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	// No X-Frame-Options: it cannot name several origins, and frame-ancestors,
	// which can, is what browsers go by (CSP level 3, section 6.4.2).
	h.Set("Content-Security-Policy", framePolicy(q.Partners[a.ID].Origins))
	h.Set("Permissions-Policy", "otp-credentials=(self), camera=(), geolocation=(), microphone=(), payment=()")
	// A page that lets in only what agrees to it may hold the frame too.
	h.Set("Cross-Origin-Embedder-Policy", "require-corp")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	if q.r.Method != http.MethodHead {
		_, _ = q.Write(body.Bytes())
	}
}

// framePolicy lets a partner's origins hold the page, and the page use what is
// ours alone. The script may not make markup out of text (Trusted Types).
func framePolicy(origins []string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; " +
		"require-trusted-types-for 'script'; trusted-types 'none'; frame-ancestors " + strings.Join(origins, " ")
}

var page = template.Must(template.New("frame.html").ParseFS(files, "assets/frame.html"))

// sheet is what the template sees.
type sheet struct {
	Lang, Session, Origin, Nonce string
	Trial                        bool

	a         *authflow.Audience
	countries []int
	digits    int
}

// T is a text with its placeholders filled from pairs of name and value. A text
// that is missing is an error: half a sentence is no notice.
func (s *sheet) T(key string, args ...any) (string, error) {
	t := text(s.Lang, key, args...)
	if t == key {
		return "", fmt.Errorf("embed: %s has no text %q", s.Lang, key)
	}
	return t, nil
}

func (s *sheet) Dir() string     { return portal.Text(s.Lang, "lang.dir") }
func (s *sheet) Partner() string { return s.a.Name }
func (s *sheet) Purpose() string { return s.a.Purpose }
func (s *sheet) Site() string    { return s.a.Host }
func (s *sheet) Digits() int     { return s.digits }

// LooseLength is the longest code that can be typed or pasted.
func (s *sheet) LooseLength() int { return max(16, 4*s.digits) }

func (s *sheet) Script() string { return versioned("frame.js") }
func (s *sheet) Style() string  { return versioned("frame.css") }

func versioned(name string) string {
	path := framePath + name
	return path + "?v=" + assets[path].version
}

// Lasts says how long the answer counts, rounded down: it must not promise more
// than there is.
func (s *sheet) Lasts() string {
	d := s.a.Session
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		switch n := int64(d / unit.length); {
		case n == 1 && d == unit.length:
			return portal.Text(s.Lang, "time."+unit.name)
		case n > 1:
			return portal.Text(s.Lang, "time."+unit.name+"s", "n", n)
		}
	}
	return portal.Text(s.Lang, "time.seconds", "n", int64(d/time.Second))
}

// Country is the code of the country that a number without one is taken for.
func (s *sheet) Country() string { return "+" + strconv.Itoa(s.countries[0]) }

// Notice and Page are addresses of the authority's own pages, which open apart
// from the frame.
func (s *sheet) Notice() string { return s.own("notice") }
func (s *sheet) Page() string   { return s.own("") }

func (s *sheet) own(name string) string {
	return portal.Prefix + name + "?" + url.Values{"for": {s.a.ID}, "lang": {s.Lang}}.Encode()
}

// languageChoice is another language to read the page in.
type languageChoice struct{ Tag, Name, Dir, Link string }

// Languages are the others that the page can be read in.
func (s *sheet) Languages() (others []languageChoice) {
	for _, tag := range portal.Languages() {
		if tag == s.Lang {
			continue
		}
		link := framePath + "?" + url.Values{"partner": {s.a.ID}, "origin": {s.Origin}, "nonce": {s.Nonce}, "lang": {tag}}.Encode()
		others = append(others, languageChoice{tag, portal.Text(tag, "lang.name"), portal.Text(tag, "lang.dir"), link})
	}
	return others
}

// fill fills the {name}s of our own texts.
func fill(t string, args []any) string {
	pairs := make([]string, 0, len(args))
	for i := 0; i+1 < len(args); i += 2 {
		pairs = append(pairs, fmt.Sprintf("{%v}", args[i]), fmt.Sprint(args[i+1]))
	}
	return strings.NewReplacer(pairs...).Replace(t)
}
