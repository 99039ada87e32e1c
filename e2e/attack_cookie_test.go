package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// "The pass cookie never reaches the upstream, other cookies do, unchanged."
func TestCookies(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	name, pass := passCookie(a.work.base), a.work.pass()
	mine := name + "=" + pass
	for about, c := range map[string]struct {
		sent []string // Cookie fields
		want []string // at the upstream; nil: the same
		open bool     // no assertion: the pass does not count
	}{
		"none of ours":                  {sent: []string{"a=1; b=2"}, open: true},
		"odd spacing, none of ours":     {sent: []string{"a=1;b=2;  c=3 ;d=  4;;e"}, open: true},
		"quotes, none of ours":          {sent: []string{`a="1; b=2"; c="x y"`}, open: true},
		"not ASCII, none of ours":       {sent: []string{"name=आशा; b=\xff"}, open: true},
		"two fields, none of ours":      {sent: []string{"a=1", "b=2; a=3"}, open: true},
		"names like ours":               {sent: []string{name + "2=x; x" + name + "=y; kycvs_assertion=w; k=z"}, open: true},
		"ours alone":                    {sent: []string{mine}, want: []string{}},
		"ours first":                    {sent: []string{mine + "; a=1"}, want: []string{"a=1"}},
		"ours last":                     {sent: []string{"a=1; " + mine}, want: []string{"a=1"}},
		"ours between":                  {sent: []string{"a=1; " + mine + "; b=2"}, want: []string{"a=1; b=2"}},
		"quoted neighbours":             {sent: []string{`a="x y"; ` + mine + `; b="1,2"; c=`}, want: []string{`a="x y"; b="1,2"; c=`}},
		"empty and nameless neighbours": {sent: []string{"a=; " + mine + "; =b; c"}, want: []string{"a=; =b; c"}},
		"neighbours with equals signs":  {sent: []string{"a=b=c==; " + mine + "; t=eyJ.x-_"}, want: []string{"a=b=c==; t=eyJ.x-_"}},
		"the same name twice beside it": {sent: []string{"a=1; " + mine + "; a=2; A=3"}, want: []string{"a=1; a=2; A=3"}},
		"in the second field":           {sent: []string{"a=1; b=2", mine}, want: []string{"a=1; b=2"}},
		"in the first of two":           {sent: []string{mine + "; a=1", "b=2"}, want: []string{"a=1", "b=2"}},
		"a long neighbour":              {sent: []string{"a=" + strings.Repeat("x", 8000) + "; " + mine}, want: []string{"a=" + strings.Repeat("x", 8000)}},
	} {
		t.Run(about, func(t *testing.T) {
			q := request{host: "work.example", path: "/ward/x"}
			want := 1
			if c.open {
				q.path, want = "/open", 0
			}
			for _, s := range c.sent {
				q.fields = append(q.fields, field{"Cookie", s})
			}
			got := a.send(t, http1, q)
			seen := a.up.take()
			if len(seen) == 0 {
				t.Fatalf("the request did not arrive: %v", got)
			}
			checkClean(t, a.keys, seen, "work.example", want, pass)
			exp := c.want
			if exp == nil {
				exp = c.sent
			}
			if vs := seen[0].values("Cookie"); !slices.Equal(pairs(vs), pairs(exp)) || c.want == nil && !slices.Equal(vs, exp) {
				t.Errorf("cookies at the upstream %q\nwant %q", vs, exp)
			}
			sawUpstream(t, "the pass among other cookies", http1, "", "no pass, the others unchanged")
		})
	}
	// RFC 9113, section 8.2.3: over HTTP/2 and 3 a browser sends one field for
	// each cookie.
	for _, protocol := range protocols[1:] {
		t.Run("crumbs over "+protocol, func(t *testing.T) {
			a.send(t, protocol, request{host: "work.example", path: "/ward/x", fields: []field{{"cookie", "a=1"}, {"cookie", mine}, {"cookie", "b=\"2\""}}})
			seen := a.up.take()
			saw := checkClean(t, a.keys, seen, "work.example", 1, pass)
			if len(seen) == 1 {
				if got := pairs(seen[0].values("Cookie")); !slices.Equal(got, []string{"a=1", "b=\"2\""}) {
					t.Errorf("cookies at the upstream: %q", got)
				}
			}
			sawUpstream(t, "the pass as a crumb of its own", protocol, "", saw)
		})
	}
	// The value where no cookie is: a person's pass in a spelling that an
	// application might still read as a cookie.
	for _, odd := range []string{name + `="` + pass + `"`, " " + mine, "\t" + mine, name + " =" + pass, name + "= " + pass, "a=1;" + mine + ";b=2", mine + ";", ";;" + mine + ";;"} {
		t.Run("spelled "+strings.ReplaceAll(odd, pass, "P"), func(t *testing.T) {
			got := a.send(t, http1, request{host: "work.example", path: "/open", fields: []field{{"Cookie", odd}}})
			saw := checkClean(t, a.keys, a.up.take(), "work.example", bare, pass)
			sawUpstream(t, "the pass in odd spellings", http1, "", summary(saw, got))
		})
	}
}

// pairs are the cookies of Cookie fields, byte for byte, without what stands
// between them.
func pairs(fs []string) []string {
	var ps []string
	for _, f := range fs {
		for p := range strings.SplitSeq(f, ";") {
			ps = append(ps, strings.Trim(p, " "))
		}
	}
	return ps
}

// "a pass that is garbled, cut short, doubled, another site's or partner's …:
// as without a pass; never a 500, never through".
func TestBadPass(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	name, pass, other := passCookie(a.work.base), a.work.pass(), a.shop.pass()
	second := a.browse(t, "https://work.example")
	second.signIn(asha)
	flip := func(i int) string {
		b := []byte(pass)
		if b[i] == 'A' {
			b[i] = 'B'
		} else {
			b[i] = 'A'
		}
		return string(b)
	}
	cases := map[string]string{
		"empty":                     name + "=",
		"no equals sign":            name,
		"one byte":                  name + "=A",
		"cut short by one":          name + "=" + pass[:len(pass)-1],
		"cut in half":               name + "=" + pass[:len(pass)/2],
		"one byte more":             name + "=" + pass + "A",
		"first byte changed":        name + "=" + flip(0),
		"a byte of each changed":    name + "=" + flipEvery(pass),
		"something before it":       name + "=A" + pass,
		"middle byte changed":       name + "=" + flip(len(pass)/2),
		"last but two changed":      name + "=" + flip(len(pass)-3),
		"doubled, the same":         name + "=" + pass + "; " + name + "=" + pass,
		"doubled, garbage first":    name + "=x; " + name + "=" + pass,
		"doubled, garbage last":     name + "=" + pass + "; " + name + "=x",
		"doubled, two good ones":    name + "=" + pass + "; " + name + "=" + second.pass(),
		"another site's":            name + "=" + other,
		"another site's beside it":  name + "=" + pass + "; " + name + "=" + other,
		"spaces":                    name + "=" + strings.Repeat(" ", 40),
		"8 KiB":                     name + "=" + strings.Repeat("A", 8192),
		"8 KiB that begins well":    name + "=" + pass + strings.Repeat("A", 8192),
		"padding":                   name + "=" + pass + "==",
		"percent signs":             name + "=" + strings.Repeat("%00", 50),
		"not ASCII":                 name + "=" + pass + "\xff\xfe\xfd",
		"a JWS with alg none":       name + "=eyJhbGciOiJub25lIn0.eyJ2YWNjaW5hdGlvbl9zdGF0dXMiOjJ9.",
		"an assertion":              name + "=" + strings.Repeat("eyJ", 30) + ".x.y",
		"dots":                      name + "=....",
		"the name in another case":  strings.ToUpper(name) + "=" + pass,
		"the name of the other way": "kycvs=" + pass,
	}
	for about, cookie := range cases {
		for _, path := range []string{"/ward/x", "/.kycvs/pass"} {
			t.Run(about+" "+path, func(t *testing.T) {
				nav := a.send(t, http1, request{host: "work.example", path: path, cookie: cookie, fields: []field{{"Sec-Fetch-Mode", "navigate"}, {"Accept", "text/html"}}})
				api := a.send(t, http1, request{host: "work.example", path: path, cookie: cookie, fields: []field{{"Accept", "application/json"}}})
				saw := checkClean(t, a.keys, a.up.take(), "work.example", shut)
				if path == "/ward/x" {
					if nav.status != http.StatusSeeOther {
						t.Errorf("a navigation got %v, want 303", nav)
					}
					sawUpstream(t, "pass garbled, cut short, doubled, another site's", http1, about, summary(saw, api))
				} else if nav.status >= 500 {
					t.Errorf("a navigation got %v", nav)
				}
				if api.status != http.StatusUnauthorized {
					t.Errorf("a program got %v, want 401", api)
				}
			})
		}
		t.Run(about+" on an open path", func(t *testing.T) {
			got := a.send(t, http1, request{host: "work.example", path: "/open", cookie: cookie})
			seen := a.up.take()
			checkClean(t, a.keys, seen, "work.example", 0, pass)
			if len(seen) == 0 {
				t.Errorf("the request did not arrive: %v", got)
			}
		})
		t.Run(about+" optional", func(t *testing.T) {
			if about == "another site's" || strings.HasPrefix(about, "the name of") {
				t.Skip("it is this site's own, or none")
			}
			got := a.send(t, http1, request{host: "shop.example", path: "/x", cookie: cookie})
			seen := a.up.take()
			checkClean(t, a.keys, seen, "shop.example", 0, pass)
			if len(seen) == 0 {
				t.Errorf("the request did not arrive: %v", got)
			}
		})
	}
}

// flipEvery changes the first character of each part.
func flipEvery(pass string) string {
	parts := strings.Split(pass, ".")
	for i, p := range parts {
		if p != "" {
			parts[i] = wrongBase64(p[0]) + p[1:]
		}
	}
	return strings.Join(parts, ".")
}

// Doubled over several fields, as HTTP/2 and 3 send cookies.
func TestDoubledPassInCrumbs(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	mine := passCookie(a.work.base) + "=" + a.work.pass()
	for _, protocol := range protocols {
		for about, crumbs := range map[string][]string{
			"the same twice": {mine, mine}, "with others between": {"a=1", mine, "b=2", mine}, "garbage first": {passCookie(a.work.base) + "=x", mine}, "an empty one last": {mine, passCookie(a.work.base) + "="},
		} {
			t.Run(protocol+" "+about, func(t *testing.T) {
				q := request{host: "work.example", path: "/ward/x"}
				for _, c := range crumbs {
					q.fields = append(q.fields, field{lower(protocol, "Cookie"), c})
				}
				got := a.send(t, protocol, q)
				if got.status != 401 {
					t.Errorf("got %v, want 401", got)
				}
				sawUpstream(t, "pass doubled over several Cookie fields", protocol, "", summary(checkClean(t, a.keys, a.up.take(), "work.example", shut), got))
				q.path = "/open"
				a.send(t, protocol, q)
				checkClean(t, a.keys, a.up.take(), "work.example", 0, a.work.pass())
			})
		}
	}
}

// "it holds the passes of this site's partners, a bounded number".
func TestManyPartners(t *testing.T) {
	t.Parallel()
	var gates strings.Builder
	const n = 24
	for i := range n {
		fmt.Fprintf(&gates, "\tkycvs /p%d/* 0 {\n\t\tpartner p%d\n\t\tpurpose \"Purpose %d\"\n\t}\n", i, i, i)
	}
	in := start(t, setup{kycvs: plenty, sites: "https://many.example {\n" + gates.String() + "\treverse_proxy %UP%\n}"})
	b := in.browse(t, "https://many.example")
	keys := b.keys()
	held := 0
	for i := range n {
		aud := fmt.Sprint("p", i)
		b.signIn(asha, "for", aud)
		if len(b.cookies()) > 4096 {
			t.Fatalf("with %d partners the cookie has %d bytes, more than a browser keeps", i+1, len(b.cookies()))
		}
		in.up.take()
		if a := b.fetch("/" + aud + "/x"); a.StatusCode != 200 {
			t.Fatalf("the newest of %d passes: %v", i+1, a)
		}
		checkClean(t, keys, in.up.take(), aud, 1, b.pass())
	}
	for i := range n {
		if a := b.fetch(fmt.Sprintf("/p%d/x", i)); a.StatusCode == 200 {
			held++
		} else {
			a.refuses(t, 401, "")
		}
	}
	t.Logf("%d partners, %d passes held in %d bytes", n, held, len(b.cookies()))
	if held < 4 {
		t.Errorf("only %d passes are held", held)
	}
}

// Another partner's pass of the same site opens nothing of this partner's.
func TestPassOfAnotherPartner(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: `
https://work.example {
	kycvs /canteen/* 1 {
		partner canteen
		purpose "Access to the canteen"
	}
	kycvs /ward/* 2 {
		partner ward
		purpose "Access to the ward"
	}
	reverse_proxy %UP%
}`})
	b := in.browse(t, "https://work.example")
	b.signIn(asha, "for", "canteen")
	keys := b.keys()
	if a := b.fetch("/canteen/x"); a.StatusCode != 200 {
		t.Fatalf("the canteen: %v", a)
	}
	checkClean(t, keys, in.up.take(), "canteen", 1, b.pass())
	b.fetch("/ward/x").refuses(t, http.StatusUnauthorized, "")
	if got := in.up.take(); len(got) > 0 {
		t.Errorf("the ward was reached with the canteen's pass")
	}
	sawUpstream(t, "pass: another partner's", "HTTP/2", "", "nothing arrived (401)")
	b.signIn(asha, "for", "ward")
	for path, aud := range map[string]string{"/canteen/x": "canteen", "/ward/x": "ward"} {
		if a := b.fetch(path); a.StatusCode != 200 {
			t.Errorf("%s with both passes: %v", path, a)
		}
		checkClean(t, keys, in.up.take(), aud, 1, b.pass())
	}
	if a := b.navigate("/ward/x"); a.StatusCode != 200 {
		t.Errorf("the ward: %v", a)
	}
	other := in.browse(t, "https://work.example")
	if to := other.navigate("/ward/x?a=b").Header.Get("Location"); to != "/.kycvs/?return=%2Fward%2Fx%3Fa%3Db&for=ward" && to != "/.kycvs/?for=ward&return=%2Fward%2Fx%3Fa%3Db" {
		t.Errorf("Location %q, want return and for=ward", to)
	}
	in.up.take()
}
