package embed_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The headers of every kind of answer, byte for byte: which page can be framed
// by whom, and what may be kept, must not change unseen.
func TestHeaders(t *testing.T) {
	au := newAuthority(t)
	var b strings.Builder
	show := func(name, method, target string) {
		resp := au.do(method, target, "")
		fmt.Fprintf(&b, "# %s\n%d\n", name, resp.StatusCode)
		for _, field := range slices.Sorted(maps.Keys(resp.Header)) {
			for _, value := range resp.Header[field] {
				switch field {
				case "Content-Length", "Etag":
					value = "…"
				case "Set-Cookie":
					name, rest, _ := strings.Cut(value, "=")
					_, attributes, _ := strings.Cut(rest, ";")
					value = name + "=…;" + attributes
				case "Content-Security-Policy": // the style of the portal's pages is the portal's matter
					value = regexp.MustCompile(`'sha256-[^']*'`).ReplaceAllString(value, "'sha256-…'")
				case "Location":
					value, _, _ = strings.Cut(value, "%3Fs%3D")
				}
				fmt.Fprintf(&b, "%s: %s\n", field, value)
			}
		}
		b.WriteString("\n")
	}
	show("the script", "GET", "/embed.js")
	show("the frame", "GET", frameAt("mall", mallOrigin, "n"))
	show("the frame, for a foreign origin", "GET", frameAt("mall", "https://evil.example", "n"))
	show("the frame's script", "GET", "/embed/frame.js")
	show("the frame's style", "GET", "/embed/frame.css")
	show("a call without a session", "POST", "/embed/otp")
	show("start", "GET", startAt("mall", "st", mallReturn))
	show("start, for a foreign address", "GET", startAt("mall", "st", "https://evil.example/"))
	show("finish, made up", "GET", "/start/finish?s=x")
	const path = "testdata/headers.golden"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the headers are\n%s\nwant\n%s\n(go test -update writes them anew)", b.String(), want)
	}
}
