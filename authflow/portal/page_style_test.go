package portal

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func style(t testing.TB) string {
	t.Helper()
	source, err := templateFiles.ReadFile("templates/page.css")
	if err != nil {
		t.Fatal(err)
	}
	return compactCSS(string(source))
}

// The browser hashes what it finds between the tags, so that is what the
// policy must name, on every page.
func TestPolicyNamesTheStyle(t *testing.T) {
	p := newPages(t)
	for _, s := range samples() {
		w := write(t, p, s.status, "en", s.view)
		_, rest, _ := strings.Cut(w.Body.String(), "<style>")
		content, _, _ := strings.Cut(rest, "</style>")
		sum := sha256.Sum256([]byte(content))
		want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
		if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, want) || strings.Contains(csp, "form-action 'self'") == (strings.HasPrefix(s.name, "code")) {
			t.Errorf("%s: policy %q, want %s", s.name, csp, want)
		}
	}
}

func TestStyleFetchesNothing(t *testing.T) {
	for _, bad := range []string{"url(", "@import", "@font-face", "expression", "</", "\n"} {
		if strings.Contains(style(t), bad) {
			t.Errorf("the style has %q", bad)
		}
	}
}

var (
	colourName    = regexp.MustCompile(`--([a-z-]+):(#[0-9a-f]+)[;}]`)
	colourLiteral = regexp.MustCompile(`#[0-9a-fA-F]{3,8}\b|\b(?:rgb|hsl|oklch)a?\(`)
)

// palettes are the named colours, light and dark.
func palettes(t *testing.T) map[string]map[string]string {
	t.Helper()
	light, rest, ok := strings.Cut(style(t), "@media (prefers-color-scheme:dark){")
	if !ok {
		t.Fatal("the style has no dark colours")
	}
	dark, rest, ok := strings.Cut(rest, "}}")
	if !ok {
		t.Fatal("the dark colours do not end")
	}
	if found := colourLiteral.FindAllString(rest, -1); found != nil {
		t.Errorf("colours without a name, whose contrast nothing computes: %q", found)
	}
	read := func(css string) map[string]string {
		colours := map[string]string{}
		// A separator may end one declaration and not start the next.
		for _, m := range colourName.FindAllStringSubmatch(css+";", -1) {
			colours[m[1]] = m[2]
		}
		return colours
	}
	return map[string]map[string]string{"light": read(light), "dark": read(dark)}
}

// WCAG 2.2: 4.5 to 1 for text (1.4.3), 3 to 1 for edges of fields and focus
// (1.4.11). Ours is for a screen in the sun: 7 to 1 for text (1.4.6).
func TestContrast(t *testing.T) {
	for name, colours := range palettes(t) {
		for _, tt := range []struct {
			front, back string
			least       float64
		}{
			{"text", "bg", 7}, {"text", "box", 7},
			{"soft", "bg", 7}, {"soft", "box", 7},
			{"link", "bg", 7}, {"link", "box", 7},
			{"bad", "bg", 7}, {"bad", "bad-box", 7},
			{"trial", "trial-box", 7},
			{"on-button", "button", 7},
			{"button", "bg", 3},
			{"line", "bg", 4.5},
		} {
			got := contrast(luminance(t, colours[tt.front]), luminance(t, colours[tt.back]))
			if got < tt.least {
				t.Errorf("%s: %s on %s is %.2f to 1, want at least %v", name, tt.front, tt.back, got, tt.least)
			}
		}
		if len(colours) != 12 {
			t.Errorf("%s has %d colours, the table knows 12: %v", name, len(colours), colours)
		}
	}
}

// luminance is the relative luminance of a colour (WCAG 2.2, glossary).
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	h := strings.TrimPrefix(hex, "#")
	if len(h) == 3 {
		h = fmt.Sprintf("%c%c%c%c%c%c", h[0], h[0], h[1], h[1], h[2], h[2])
	}
	n, err := strconv.ParseUint(h, 16, 32)
	if err != nil || len(h) != 6 {
		t.Fatalf("%q is no colour", hex)
	}
	channel := func(shift int) float64 {
		c := float64(n>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(16) + 0.7152*channel(8) + 0.0722*channel(0)
}

func contrast(a, b float64) float64 { return (max(a, b) + 0.05) / (min(a, b) + 0.05) }

// 3rem is 54 px at our base of 18 px, and never below the 48 px that a thumb
// needs, whatever size the person's browser starts from.
func TestTapTargetsAndFocus(t *testing.T) {
	css := style(t)
	for _, want := range []string{
		`html{font-size:112.5%`,
		`input[type=text],input[type=tel]{display:block;width:100%;min-height:3rem`,
		`summary,.tap{display:inline-block;min-height:3rem`,
		`:focus{outline:3px solid var(--text)`,
	} {
		if !strings.Contains(css, want) {
			t.Errorf("the style lacks %q", want)
		}
	}
	if !regexp.MustCompile(`button,\.button\{[^}]*min-height:3rem`).MatchString(css) {
		t.Error("buttons are not 3rem high")
	}
	if regexp.MustCompile(`outline:(0|none)`).MatchString(css) {
		t.Error("the style takes a focus mark away")
	}
}
