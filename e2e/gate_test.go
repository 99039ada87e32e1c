package e2e

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

const gateSites = `
http://work.example, https://work.example {
	kycvs /ward/* 2
	kycvs /any/* 0
	kycvs /some/* 1
	reverse_proxy %UP%
}
https://fresh.example {
	kycvs 2 {
		max_age 2s
	}
	reverse_proxy %UP%
}
https://short.example {
	kycvs 2 {
		session 2s
	}
	reverse_proxy %UP%
}
`

// Section 4's first table, row by row, for a request without a pass.
func TestRefusals(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: gateSites})
	b := in.browse(t, "https://work.example")
	get := func(method string, header ...string) *answer {
		t.Helper()
		a := b.do(method, "/ward/x?a=b&c=d%26e", "", "", header...)
		if got := in.up.take(); len(got) > 0 {
			t.Fatalf("the request reached the upstream:\n%s", got[0].head)
		}
		if cc := a.Header.Get("Cache-Control"); !strings.Contains(cc, "no-store") {
			t.Errorf("%s %v: Cache-Control %q, want no-store", method, header, cc)
		}
		if c := a.Header.Values("Set-Cookie"); len(c) > 0 {
			t.Errorf("%s %v: a refusal sets a cookie", method, header)
		}
		return a
	}
	for name, header := range map[string][]string{
		"Sec-Fetch-Mode: navigate":     {"Sec-Fetch-Mode", "navigate"},
		"navigate and Accept */*":      {"Sec-Fetch-Mode", "navigate", "Accept", "*/*"},
		"Accept: text/html":            {"Accept", "text/html"},
		"Accept of an old browser":     {"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
		"Accept prefers html":          {"Accept", "application/json;q=0.5, text/html"},
		"navigate beats Accept's JSON": {"Sec-Fetch-Mode", "navigate", "Accept", "application/json"},
	} {
		t.Run("navigation, "+name, func(t *testing.T) {
			a := get("GET", header...)
			if a.StatusCode != http.StatusSeeOther {
				t.Fatalf("got %v, want 303", a)
			}
			to, err := url.Parse(a.Header.Get("Location"))
			if err != nil || to.IsAbs() && !strings.HasPrefix(to.String(), b.base+"/") || to.Path != "/.kycvs/" {
				t.Fatalf("Location %q, want /.kycvs/?return=…", a.Header.Get("Location"))
			}
			q := to.Query()
			if q.Get("return") != "/ward/x?a=b&c=d%26e" {
				t.Errorf("return %q, want path and query", q.Get("return"))
			}
			if q.Has("for") {
				t.Errorf("for %q, where the site has one partner", q.Get("for"))
			}
		})
	}
	for name, header := range map[string][]string{
		"no Accept":             {},
		"Accept: */*":           {"Accept", "*/*"},
		"Accept: JSON":          {"Accept", "application/json"},
		"Accept prefers JSON":   {"Accept", "text/html;q=0.1, application/json"},
		"Sec-Fetch-Mode: cors":  {"Sec-Fetch-Mode", "cors", "Accept", "*/*"},
		"an image":              {"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image", "Accept", "image/avif,image/*"},
		"cors beats html":       {"Sec-Fetch-Mode", "cors", "Accept", "text/html"},
		"a web socket":          {"Sec-Fetch-Mode", "websocket"},
		"Accept cannot be read": {"Accept", ";;;,,,text/"},
	} {
		t.Run("program, "+name, func(t *testing.T) {
			a := get("GET", header...)
			m := a.refuses(t, http.StatusUnauthorized, "")
			if w := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(w, "KYCVS") {
				t.Errorf("WWW-Authenticate %q, want KYCVS", w)
			}
			if m.num(t, "required") != 2 {
				t.Errorf("required %v, want 2", m["required"])
			}
			start, err := url.Parse(m.str("start"))
			if err != nil || start.Path != "/.kycvs/" || start.Host != "" && "https://"+start.Host != b.base {
				t.Errorf("start %q, want the consent page", m.str("start"))
			}
			if m.num(t, "status") != 401 || m.str("title") == "" || m.str("type") == "" {
				t.Errorf("not a problem of RFC 9457: %s", a.body)
			}
		})
	}
	t.Run("navigation by POST", func(t *testing.T) {
		a := b.form("/ward/x", url.Values{"a": {"b"}})
		if a.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
			t.Fatalf("got %v, want 401 and a page", a)
		}
		if !strings.Contains(string(a.body), "/.kycvs/") {
			t.Error("the page does not link to the consent page")
		}
		if got := in.up.take(); len(got) > 0 {
			t.Error("the request reached the upstream")
		}
	})
	t.Run("HEAD", func(t *testing.T) {
		if a := get("HEAD", "Sec-Fetch-Mode", "navigate"); a.StatusCode != http.StatusSeeOther && a.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %v", a)
		}
		if a := get("HEAD"); a.StatusCode != http.StatusUnauthorized || len(a.body) > 0 {
			t.Errorf("got %v, want 401 without a body", a)
		}
	})
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"} {
		t.Run(method, func(t *testing.T) {
			get(method).refuses(t, http.StatusUnauthorized, "")
		})
	}
}

// Level 0 wants an answer, whichever, but wants one.
func TestLevelZeroWithoutPass(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: gateSites})
	a := in.browse(t, "https://work.example").fetch("/any/x")
	if m := a.refuses(t, 401, ""); m.num(t, "required") != 0 {
		t.Errorf("required %v, want 0", m["required"])
	}
	if len(in.up.take()) > 0 {
		t.Error("the request reached the upstream")
	}
}

// "A gate inside handle or route needs a kycvs optional at the top of its site …;
// start-up says so where it is missing."
func TestStartUpSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	const inner = "\thandle /ward/* {\n\t\tkycvs /ward/* 2\n\t\treverse_proxy %UP%\n\t}\n\treverse_proxy %UP%\n}"
	for top, want := range map[string]bool{"": true, "\tkycvs optional\n": false} {
		in := start(t, setup{second: true, sites: "https://work.example {\n" + top + inner})
		if got := regexp.MustCompile(`"level":"warn"[^\n]*optional`).MatchString(in.log.String()); got != want {
			t.Errorf("with %q at the top: warned %v, want %v", top, got, want)
		}
		in.stop()
	}
}

// A pass below the level is 403; the level itself and above lead through.
func TestLevels(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: gateSites})
	for _, c := range []struct {
		who  person
		path string
		want int
		need int
	}{
		{meera, "/any/x", 200, 0}, {meera, "/some/x", 403, 1}, {meera, "/ward/x", 403, 2},
		{vikram, "/any/x", 200, 0}, {vikram, "/some/x", 200, 1}, {vikram, "/ward/x", 403, 2},
		{asha, "/any/x", 200, 0}, {asha, "/some/x", 200, 1}, {asha, "/ward/x", 200, 2},
	} {
		t.Run(c.who.name+" "+c.path, func(t *testing.T) {
			b := in.browse(t, "https://work.example")
			b.signIn(c.who)
			in.up.take()
			api, nav := b.fetch(c.path), b.navigate(c.path)
			seen := in.up.take()
			if c.want == 200 {
				if api.StatusCode != 200 || nav.StatusCode != 200 || len(seen) != 2 {
					t.Errorf("got %v and %v", api, nav)
				}
				return
			}
			if len(seen) > 0 {
				t.Error("the request reached the upstream")
			}
			if m := api.refuses(t, 403, "status_too_low"); m.num(t, "required") != c.need {
				t.Errorf("required %v, want %d", m["required"], c.need)
			}
			if nav.StatusCode != 403 || !strings.HasPrefix(nav.Header.Get("Content-Type"), "text/html") || len(nav.body) < 100 {
				t.Errorf("a navigation got %v, want 403 and a page", nav)
			}
			if cc := nav.Header.Get("Cache-Control"); !strings.Contains(cc, "no-store") {
				t.Errorf("Cache-Control %q, want no-store", cc)
			}
		})
	}
}

// "a pass older than max_age: as without a pass", and so is one whose session
// is over.
func TestAge(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: gateSites})
	for _, site := range []string{"https://fresh.example", "https://short.example"} {
		b := in.browse(t, site)
		b.signIn(asha)
		cookies := b.cookies()
		signed := time.Now()
		if a := b.fetch("/x"); a.StatusCode != 200 && time.Since(signed) < time.Second {
			t.Errorf("%s, at once: %v", site, a)
		}
		// the age is counted in whole seconds
		time.Sleep(time.Until(signed.Add(3100 * time.Millisecond)))
		in.up.take()
		host := strings.TrimPrefix(site, "https://")
		if a := in.send(t, http1, request{host: host, path: "/x", cookie: cookies}); a.status != 401 {
			t.Errorf("%s, three seconds later: %v, want 401", site, a)
		}
		if a := in.send(t, http1, request{host: host, path: "/x", cookie: cookies, fields: []field{{"Accept", "text/html"}}}); a.status != 303 {
			t.Errorf("%s, a navigation three seconds later: %v, want 303", site, a)
		}
		if len(in.up.take()) > 0 {
			t.Errorf("%s: the request reached the upstream", site)
		}
		b.signIn(asha)
		if a := b.fetch("/x"); a.StatusCode != 200 {
			t.Errorf("%s, after another handshake: %v", site, a)
		}
	}
}

// What is under /.kycvs/, whatever the matcher says; nothing there reaches the
// upstream.
func TestOwnPages(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: gateSites})
	b := in.browse(t, "https://work.example")
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/.kycvs/", 200}, {"HEAD", "/.kycvs/", 200}, {"GET", "/.kycvs/?for=work.example", 200},
		{"GET", "/.kycvs/?for=fresh.example", 404}, {"GET", "/.kycvs/?for=%00", 404}, {"GET", "/.kycvs/notice?for=other", 404},
		{"GET", "/.kycvs/notice", 200}, {"GET", "/.kycvs/jwks.json", 200}, {"GET", "/.kycvs/pass", 401},
		{"GET", "/.kycvs/none", 404}, {"GET", "/.kycvs/otp", 405}, {"GET", "/.kycvs/verify", 405}, {"GET", "/.kycvs/withdraw", 405},
		{"POST", "/.kycvs/", 405}, {"PUT", "/.kycvs/otp", 405}, {"DELETE", "/.kycvs/pass", 405}, {"POST", "/.kycvs/notice", 405},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			for _, accept := range []string{"text/html", "application/json"} {
				a := b.do(c.method, c.path, "", "", "Accept", accept)
				if a.StatusCode != c.want {
					t.Errorf("Accept %s: %v\nwant %d", accept, a, c.want)
				}
				if a.StatusCode == 405 && a.Header.Get("Allow") == "" {
					t.Error("405 without Allow (RFC 9110, section 15.5.6)")
				}
				if a.StatusCode != 200 && !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
					t.Errorf("Cache-Control %q, want no-store", a.Header.Get("Cache-Control"))
				}
			}
		})
	}
	for _, path := range []string{"/.kycvs", "/.kycvs//", "/.kycvs/x/y", "/.kycvs/pass/", "/.kycvs/../open"} {
		a := in.send(t, http1, request{host: "work.example", path: path})
		if seen := in.up.take(); strings.HasPrefix(strings.ToLower(path), "/.kycvs") && len(seen) > 0 {
			t.Errorf("%s reached the upstream (%v)", path, a)
		}
		if a.status >= 500 {
			t.Errorf("%s: %v", path, a)
		}
	}
}
