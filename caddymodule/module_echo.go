package caddymodule

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

func init() {
	caddy.RegisterModule((*Echo)(nil))
	httpcaddyfile.RegisterHandlerDirective("kycvs_echo", parseEcho)
	httpcaddyfile.RegisterDirectiveOrder("kycvs_echo", httpcaddyfile.Before, "respond")
}

// Echo stands in for an application behind a gate, for trying things out: it
// answers with the header fields it was sent, and with the assertion decoded and
// checked as an application should check it. It is the directive `kycvs_echo` of
// the Caddyfile, and answers in HTML, or in JSON to `Accept: application/json`.
type Echo struct {
	// Keys is the address of the gate's key set, such as
	// `http://localhost:8080/.kycvs/jwks.json`. It is required; there is no default.
	Keys string `json:"keys,omitempty"`

	// Issuer is what an assertion's `iss` must be. The default is the origin of Keys.
	Issuer string `json:"issuer,omitempty"`

	// Audience is what an assertion's `aud` must be. The default is the host of Keys.
	Audience string `json:"audience,omitempty"`

	verifier *assertion.Verifier
}

// CaddyModule returns the Caddy module information.
func (*Echo) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.kycvs_echo", New: func() caddy.Module { return new(Echo) }}
}

// parseEcho reads
//
//	kycvs_echo [<matcher>] KEYS {
//		issuer ORIGIN
//		audience PARTNER
//	}
func parseEcho(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // the word kycvs_echo
	args, err := arguments(h.Dispenser, "kycvs_echo", "kycvs_echo http://localhost:8080/.kycvs/jwks.json", oneArg)
	if err != nil {
		return nil, err
	}
	e := &Echo{Keys: args[0]}
	if err := checkUnlessPlaceholder(e.Keys, checkKeysURL); err != nil {
		return nil, located(h.Dispenser, err)
	}
	_, err = readBlock(h.Dispenser, "kycvs_echo", []option{
		text("issuer", "issuer http://localhost:8080", &e.Issuer, func(s string) error { return checkOrigin("issuer", s) }),
		text("audience", "audience localhost", &e.Audience, nil),
	})
	return e, err
}

func checkKeysURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return fmt.Errorf("kycvs_echo %q is not the address of a key set: write e.g. `kycvs_echo http://localhost:8080/.kycvs/jwks.json`", s)
	}
	return nil
}

// Provision makes the verifier. It fetches nothing yet: the gate may be in the
// same configuration.
func (e *Echo) Provision(caddy.Context) error {
	r := resolver{repl: caddy.NewReplacer()}
	keys, issuer, audience := r.one("keys", e.Keys), r.one("issuer", e.Issuer), r.one("audience", e.Audience)
	if err := r.err(); err != nil {
		return err
	}
	if err := checkKeysURL(keys); err != nil {
		return err
	}
	u, err := url.Parse(keys)
	if err != nil {
		return err
	}
	if issuer == "" {
		issuer = originOf(u)
	}
	if audience == "" {
		audience = strings.ToLower(u.Hostname())
	}
	e.verifier, err = assertion.NewVerifier(assertion.VerifierConfig{
		Keys: (&fetchedKeys{url: keys}).find, Issuer: issuer, Audience: audience,
	})
	return err
}

// echoed is what Echo answers.
type echoed struct {
	Request   string           `json:"request"`
	Headers   []echoedHeader   `json:"headers"`
	Assertion *echoedAssertion `json:"assertion,omitempty"`
}

type echoedHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type echoedAssertion struct {
	Verified bool            `json:"verified"`
	Reason   string          `json:"reason,omitempty"` // why it is not
	Header   json.RawMessage `json:"header,omitempty"`
	Claims   json.RawMessage `json:"claims,omitempty"`
}

// ServeHTTP answers; it never hands on.
func (e *Echo) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	answer := echoed{Request: r.Method + " " + r.URL.RequestURI() + " " + r.Proto, Headers: []echoedHeader{{"Host", r.Host}}}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, value := range r.Header[name] {
			answer.Headers = append(answer.Headers, echoedHeader{name, value})
		}
	}
	if values := r.Header.Values(assertion.HeaderName); len(values) > 0 {
		answer.Assertion = e.check(r, values)
	}

	var body bytes.Buffer
	contentType := "text/html; charset=utf-8"
	write := func() error { return echoPage.Execute(&body, answer) }
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		contentType = "application/json"
		write = func() error { return json.NewEncoder(&body).Encode(answer) }
	}
	if err := write(); err != nil {
		return caddyhttp.Error(http.StatusInternalServerError, err)
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, err := w.Write(body.Bytes())
	return err
}

// check decodes and verifies the assertion. What is shown of one that does not
// verify is what it says, not what is so.
func (e *Echo) check(r *http.Request, values []string) *echoedAssertion {
	shown := &echoedAssertion{}
	if len(values) > 1 {
		shown.Reason = fmt.Sprintf("the field stands %d times, and a gate sends it once", len(values))
		return shown
	}
	if parts := strings.Split(values[0], "."); len(parts) == 3 {
		shown.Header, shown.Claims = decodedJSON(parts[0]), decodedJSON(parts[1])
	}
	if _, err := e.verifier.VerifyContext(r.Context(), values[0]); err != nil {
		shown.Reason = err.Error()
		return shown
	}
	shown.Verified = true
	return shown
}

func decodedJSON(segment string) json.RawMessage {
	raw, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil || !json.Valid(raw) {
		return nil
	}
	return raw
}

// indented is for the page: a claims set on many lines.
func indented(raw json.RawMessage) (string, error) {
	var b bytes.Buffer
	err := json.Indent(&b, raw, "", "  ")
	return b.String(), err
}

var echoPage = template.Must(template.New("echo").Funcs(template.FuncMap{"indented": indented}).Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>What the application sees</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
pre, td { overflow-wrap: anywhere; white-space: pre-wrap; font-family: ui-monospace, monospace }
th, td { text-align: left; vertical-align: top; padding-right: 1rem; font-weight: normal }
</style>
<main>
<h1>What the application sees</h1>
<p>This page stands in for the application behind the gate.</p>
<h2>The assertion</h2>
{{with .Assertion}}
{{if .Verified}}<p id="verified"><strong>Verified.</strong> The gate signed this, for this application, and it is still good:</p>
{{else}}<p id="refused"><strong>Not verified:</strong> {{.Reason}}. An application must not believe it.</p>{{end}}
{{with .Header}}<pre id="header">{{indented .}}</pre>{{end}}
{{with .Claims}}<pre id="claims">{{indented .}}</pre>{{end}}
{{else}}<p id="none">There is none: the gate does not cover this address, or it is optional and nobody was checked.</p>{{end}}
<h2>The request</h2>
<pre>{{.Request}}</pre>
<table>{{range .Headers}}
<tr><th scope="row">{{.Name}}</th><td>{{.Value}}</td></tr>{{end}}
</table>
</main>
</html>
`))

// Interface guards.
var (
	_ caddy.Provisioner           = (*Echo)(nil)
	_ caddyhttp.MiddlewareHandler = (*Echo)(nil)
)
