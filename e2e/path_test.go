package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Paths that can be read two ways: one reading is gated, the other is not.
var twoWays = []string{
	"/ward%2fx", "/ward%2Fx", "/open/..%2fward/x", "/open%2f..%2fward%2fx", "/%2fward/x", "/open%5c..%5cward%5cx", "/ward%5cx", "/ward%5Cx",
	"/open/../ward/x", "/../ward/x", "/open/../../ward/x", "/./ward/x", "/ward/./x", "/ward/../open", "/open/%2e%2e/ward/x", "/open/%2E%2e/ward/x", "/open/.%2e/ward/x", "/%2e/ward/x",
	"/open/..", "/ward/..", "/open/.", "/open/..;/ward/x", "/open/;/ward/x", "/ward;x/y", "/ward/x;jsessionid=1", "/;/ward/x", "/open;/../ward", "/ward%3bx",
	"/%2577ard/x", "/%252e%252e/ward/x", "/open/%252e%252e%252fward", "/ward%252fx", "/ward/x%00", "/ward/x%00.html", "/%00/ward/x", "/open%00/../ward",
	"/ward/%ff", "/%c0%af/ward", "/open/%c0%ae%c0%ae/ward/x", "/ward/%e0%80%af", "/%ed%a0%80/x", "/ward/x%80", "/ward%0d%0a/x", "/ward/%09x", "/ward/%7f",
}

// These no reader doubts.
var plainPaths = []string{
	"/open", "/open/", "/open/a.b", "/open/..a", "/open/a..", "/open/...", "/open/a%20b", "/open/100%25", "/open/a+b", "/open/~user/@x:y!$&'()*,=",
	"/open/%E0%A4%B6%E0%A5%8D%E0%A4%B0%E0%A5%80", "/open/%F0%9F%92%89", "/open/caf%C3%A9", "/open/%41", "/open/%7Euser",
}

func TestPathsReadTwoWays(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: `
http://paths.example, https://paths.example {
	kycvs /ward/* 2
	reverse_proxy %UP%
}
https://all.example {
	kycvs 2
	reverse_proxy %UP%
}
https://lenient.example {
	kycvs /ward/* 2 {
		lenient_paths
	}
	reverse_proxy %UP%
}
https://optional.example {
	kycvs optional
	reverse_proxy %UP%
}`})
	holders := map[string]*browser{}
	for _, host := range []string{"paths.example", "all.example", "lenient.example"} {
		holders[host] = in.browse(t, "https://"+host)
		holders[host].signIn(asha)
	}
	keys := holders["paths.example"].keys()
	in.up.take()
	raw := []string{"/open\\..\\ward\\x", "\\ward\\x", "/ward\\x", "/ward/\xff", "/ward/\xe0\x80\xaf"}
	for _, protocol := range protocols {
		for _, path := range append(append([]string(nil), twoWays...), raw...) {
			t.Run(protocol+" "+quoted(path), func(t *testing.T) {
				for _, cookie := range []string{"", holders["paths.example"].cookies()} {
					got := in.send(t, protocol, request{host: "paths.example", path: path, cookie: cookie, fields: []field{{lower(protocol, "Kycvs-Assertion"), marker}}})
					saw := checkClean(t, keys, in.up.take(), "paths.example", shut)
					if got.err == nil && got.status != http.StatusBadRequest {
						t.Errorf("got %v, want 400", got)
					}
					sawUpstream(t, fmt.Sprintf("path that can be read two ways (%d)", len(twoWays)+len(raw)), protocol, "", summary(saw, got))
				}
				// One gate for everything, or none that closes: there is but one reading.
				got := in.send(t, protocol, request{host: "all.example", path: path})
				if checkClean(t, keys, in.up.take(), "all.example", shut); got.err == nil && got.status != 401 && got.status != 400 {
					t.Errorf("where everything is gated, without a pass: %v, want 401", got)
				}
				got = in.send(t, protocol, request{host: "all.example", path: path, cookie: holders["all.example"].cookies()})
				seen := in.up.take()
				checkClean(t, keys, seen, "all.example", bound)
				if got.err == nil && got.status == http.StatusBadRequest && len(seen) == 0 && strings.HasPrefix(path, "/") && asciiOnly(path) {
					t.Errorf("where everything is gated, with a pass: %v, want it passed on", got)
				}
				if len(seen) == 1 && asciiOnly(path) && !strings.Contains(path, `\`) && seen[0].target != path && !strings.HasPrefix(seen[0].target, path+"?") {
					t.Logf("passed on as %q", seen[0].target)
				}
				got = in.send(t, protocol, request{host: "optional.example", path: path})
				seen = in.up.take()
				checkClean(t, keys, seen, "optional.example", bare)
				if got.err == nil && got.status == http.StatusBadRequest && len(seen) == 0 && strings.HasPrefix(path, "/") && asciiOnly(path) {
					t.Errorf("where nothing is gated: %v, want it passed on", got)
				}
			})
		}
		for _, path := range append(plainPaths, "/open/\xe0\xa4\xb6\xe0\xa5\x8d\xe0\xa4\xb0\xe0\xa5\x80") {
			t.Run(protocol+" plain "+quoted(path), func(t *testing.T) {
				got := in.send(t, protocol, request{host: "paths.example", path: path + "?q=..%2f;%00%ff\\"})
				seen := in.up.take()
				checkClean(t, keys, seen, "paths.example", 0)
				if len(seen) != 1 {
					t.Fatalf("did not arrive: %v", got)
				}
				if asciiOnly(path) && seen[0].target != path+"?q=..%2f;%00%ff\\" {
					t.Errorf("arrived as %q", seen[0].target)
				}
				gated := strings.Replace(path, "/open", "/ward/x", 1)
				if got := in.send(t, protocol, request{host: "paths.example", path: gated}); got.err == nil && got.status != 401 {
					t.Errorf("%s: %v, want 401", gated, got)
				}
				checkClean(t, keys, in.up.take(), "paths.example", shut)
				in.send(t, protocol, request{host: "paths.example", path: gated, cookie: holders["paths.example"].cookies()})
				checkClean(t, keys, in.up.take(), "paths.example", 1)
			})
		}
	}
	// lenient_paths: the operator has said that the application reads as Caddy
	// does. What Caddy itself takes for the gated path stays gated.
	for path, want := range map[string]int{
		"/ward%2fx": shut, "/open/../ward/x": shut, "/open/%2e%2e/ward/x": shut, "/ward/x;y": shut, "/ward/%ff": shut, "/WARD/x": shut, "//ward/x": shut,
		"/open/a;b": 0, "/open/a%2fb": 0, "/open/100%2525": 0,
	} {
		t.Run("lenient "+path, func(t *testing.T) {
			got := in.send(t, http1, request{host: "lenient.example", path: path})
			seen := in.up.take()
			checkClean(t, keys, seen, "lenient.example", want)
			if want == 0 && len(seen) != 1 {
				t.Errorf("did not arrive: %v", got)
			}
		})
	}
	// The refusal itself, for a browser and for a program.
	nav := holders["paths.example"].do("GET", "/ward%2fx", "", "", "Sec-Fetch-Mode", "navigate", "Accept", "text/html")
	if nav.StatusCode != 400 || !strings.HasPrefix(nav.Header.Get("Content-Type"), "text/html") {
		t.Errorf("a navigation got %v, want 400 and a page", nav)
	}
	holders["paths.example"].fetch("/ward%2fx").refuses(t, 400, "")
}

func asciiOnly(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}
