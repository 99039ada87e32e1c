package gate

import (
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTwoReadings(t *testing.T) {
	for raw, want := range map[string]bool{
		"/": false, "/a/b": false, "/a//b": false, "/a.b/..c/...": false, "/caf%C3%A9/%E0%A4%95": false,
		"/100%25": false, "/a%20b": false, "/a+b:c@d!$&'()*,=~": false, "/50%25x": false, "/.well-known/x": false,
		"": true, "*": true, "a/b": true,
		"/a%2fb": true, "/a%2Fb": true, "/a%5cb": true, `/a\b`: true,
		"/a/../b": true, "/a/..": true, "/./a": true, "/%2e%2e/a": true, "/a/.%2E": true, "/a/.": true,
		"/a;b": true, "/a%3bb": true, "/..;/a": true,
		"/a%252fb": true, "/a%252e": true, "/%25%32%66": true, "/a%2541": true,
		"/a%00": true, "/a%0d%0ab": true, "/a%7f": true, "/a\tb": true,
		"/a%ff": true, "/%c0%af": true, "/\xff": true,
		"/a%": true, "/a%2": true, "/a%zz": true,
	} {
		if got := twoReadings(raw); got != want {
			t.Errorf("twoReadings(%q) = %v", raw, got)
		}
	}
}

// Whatever has one reading is the same path to everybody: decoding once or
// twice, cleaning, dropping parameters, turning backslashes change nothing but
// doubled slashes.
func FuzzTwoReadings(f *testing.F) {
	for _, s := range []string{"/", "/a%2fb", "/a/../b", "/%25%32%66", "/caf%C3%A9", "/a;b/c", "/%c0%af"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if twoReadings(raw) {
			return
		}
		once, err := url.PathUnescape(raw)
		if err != nil || !utf8.ValidString(once) || strings.ContainsAny(once, "\\;\x00\r\n") {
			t.Fatalf("%q has one reading", raw)
		}
		if twice, err := url.PathUnescape(once); err == nil && twice != once {
			t.Fatalf("%q decodes twice, to %q and %q", raw, once, twice)
		}
		tail := ""
		if strings.HasSuffix(once, "/") && path.Clean(once) != "/" {
			tail = "/"
		}
		squeezed := once
		for strings.Contains(squeezed, "//") {
			squeezed = strings.ReplaceAll(squeezed, "//", "/")
		}
		if path.Clean(once)+tail != squeezed {
			t.Fatalf("%q cleans to %q", raw, path.Clean(once))
		}
		if strings.Count(raw, "/") != strings.Count(once, "/") {
			t.Fatalf("%q hides a slash", raw)
		}
	})
}
