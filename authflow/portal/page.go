// Package portal is what a person sees: the pages of the handshake, the pass,
// the notice and the refusals, in the person's language (contract, section 4),
// and the handlers that serve them.
//
// The pages are made for somebody with a cheap phone, a slow network, a small
// screen in the sun, poor eyesight or a screen reader. Each is one answer of
// less than 14 KiB without script, image or anything else to fetch: its style
// is inside and its Content-Security-Policy allows that style alone. The words
// are in lang, one file per language; nothing else changes for another one.
package portal

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

//go:embed templates/*.html templates/page.css
var templateFiles embed.FS

// pageNames are the templates that a View can name.
var pageNames = []string{"consent", "code", "pass", "empty", "withdrawn", "notice", "error", "self", "record"}

// Pages renders Views. It is safe for concurrent use.
type Pages struct {
	templates map[string]*template.Template
	catalogue *catalogue
	csp       string
	buffers   sync.Pool
}

// NewPages parses the templates and texts that are built in. An error means
// that one of them is broken, never that something outside is.
func NewPages() (*Pages, error) {
	texts, err := texts()
	if err != nil {
		return nil, err
	}
	source, err := templateFiles.ReadFile("templates/page.css")
	if err != nil {
		return nil, fmt.Errorf("portal: reading the style: %w", err)
	}
	style := compactCSS(string(source))
	layout, err := template.New("layout.html").Funcs(template.FuncMap{
		// The style is ours, and its hash is in the policy: it must reach the
		// page byte for byte.
		"css": func() template.CSS { return template.CSS(style) },
	}).ParseFS(templateFiles, "templates/layout.html")
	if err != nil {
		return nil, fmt.Errorf("portal: parsing the layout: %w", err)
	}
	p := &Pages{
		templates: make(map[string]*template.Template, len(pageNames)),
		catalogue: texts,
		csp:       contentSecurityPolicy(style),
		buffers:   sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
	for _, name := range pageNames {
		clone, err := layout.Clone()
		if err == nil {
			clone, err = clone.ParseFS(templateFiles, "templates/"+name+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("portal: parsing the page %s: %w", name, err)
		}
		p.templates[name] = clone
	}
	return p, nil
}

// policy is the Content-Security-Policy for a page. Browsers apply form-action
// to the redirects after a post too (w3c/webappsec-csp#8): the page for the
// code leads back to the site, and where the site then sends the person to
// another origin, to log in, say, they would be stuck on it after the right
// code. So that page goes without.
func (p *Pages) policy(v View) string {
	if code, leadsBack := v.(CodeView); leadsBack && !code.Own {
		return strings.Replace(p.csp, formsHere, "", 1)
	}
	return p.csp
}

const formsHere = " form-action 'self';"

// Write answers with v, in lang (as Negotiate returned it; English if it is
// not known), and with status as the HTTP status. It sets every field of the
// header that does not depend on the case: Retry-After, WWW-Authenticate,
// Allow and cookies are the caller's.
//
// The page is rendered before the first byte is sent. If that fails the
// client gets a plain 500 and the caller the error, which says which template
// failed and nothing of what it was to show.
func (p *Pages) Write(w http.ResponseWriter, status int, lang string, v View) error {
	buf := p.buffers.Get().(*bytes.Buffer)
	buf.Reset()
	defer p.release(buf)

	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// Not no-referrer: with it a browser posts a form with "Origin: null", and
	// such a post is refused as one from elsewhere.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", p.policy(v))
	addVary(h, "Accept-Language")

	lang, err := p.render(buf, lang, v)
	if err != nil {
		http.Error(w, Text(lang, "error.internal"), http.StatusInternalServerError)
		return err
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", lang)
	// What a person typed may be no UTF-8; the page is.
	page := buf.Bytes()
	if !utf8.Valid(page) {
		page = bytes.ToValidUTF8(page, []byte("\ufffd"))
	}
	h.Set("Content-Length", strconv.Itoa(len(page)))
	w.WriteHeader(status)
	// Whoever hung up meanwhile is no error of ours.
	_, _ = w.Write(page)
	return nil
}

// render writes the whole page into buf and returns the language it is in.
func (p *Pages) render(buf *bytes.Buffer, lang string, v View) (string, error) {
	words := p.catalogue.language(lang)
	if v == nil {
		return words.tag, errors.New("portal: no view to render")
	}
	s := newSheet(p.catalogue, words, v)
	t := p.templates[s.Name]
	if t == nil {
		return words.tag, fmt.Errorf("portal: no template for %T", v)
	}
	if err := t.Execute(buf, s); err != nil {
		return words.tag, fmt.Errorf("portal: rendering the page %s: %w", s.Name, err)
	}
	return words.tag, nil
}

// release gives the buffer back, unless a page of unusual size blew it up.
func (p *Pages) release(buf *bytes.Buffer) {
	if buf.Cap() <= 64<<10 {
		p.buffers.Put(buf)
	}
}

// addVary adds name to the Vary field unless it is there.
func addVary(h http.Header, name string) {
	for _, line := range h.Values("Vary") {
		for field := range strings.SplitSeq(line, ",") {
			if field = strings.TrimSpace(field); field == "*" || strings.EqualFold(field, name) {
				return
			}
		}
	}
	h.Add("Vary", name)
}

var (
	cssComment = regexp.MustCompile(`(?s)/\*.*?\*/`)
	cssNewline = regexp.MustCompile(`\s*\n\s*`)
)

// compactCSS drops comments and line ends. The style is written so that no
// line end is needed.
func compactCSS(source string) string {
	return cssNewline.ReplaceAllString(cssComment.ReplaceAllString(source, ""), "")
}

// contentSecurityPolicy allows exactly this style and forms to this site (CSP
// level 3; the hash is of the content of the style element).
func contentSecurityPolicy(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"';" + formsHere + " frame-ancestors 'none'; base-uri 'none'"
}
