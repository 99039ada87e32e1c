package e2e

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// "The gate writes its refusals itself …: nothing in the site's handle_errors
// can let a refused request through to the upstream", and nothing that fails
// before the gate can carry a forged field there either.
func TestErrorRoutes(t *testing.T) {
	t.Parallel()
	hash, err := exec.Command(binary, "hash-password", "--plaintext", "correct horse").Output()
	if err != nil {
		t.Fatal(err)
	}
	in := start(t, setup{sites: `
https://work.example {
	basic_auth /guarded/* {
		ward ` + strings.TrimSpace(string(hash)) + `
	}
	kycvs /ward/* 2
	error /broken/* "broken" 500
	reverse_proxy /down/* 127.0.0.1:1
	request_body /small/* {
		max_size 1
	}
	reverse_proxy %UP%
	handle_errors {
		reverse_proxy %UP%
	}
}`})
	b := in.browse(t, "https://work.example")
	b.signIn(asha)
	keys := b.keys()
	in.up.take()
	for _, c := range []struct {
		name, path, cookie string
		want               int
	}{
		{"refused by the gate", "/ward/x", "", shut},
		{"garbled pass", "/ward/x", "__Host-kycvs=x", shut},
		{"read two ways", "/ward/..%2fopen", "", shut},
		{"read two ways, with the pass", "/open/..%2fward/x", b.cookies(), shut},
		{"our own page that is none", "/.kycvs/none", "", shut},
		{"basic_auth fails before the gate", "/guarded/x", "", bare},
		{"basic_auth fails, with the pass", "/guarded/x", b.cookies(), bare},
		{"basic_auth fails on a gated path", "/guarded/../ward/x", "", shut},
		{"error behind the gate", "/broken/x", "", bare},
		{"upstream down", "/down/x", "", bare},
		{"upstream down, with the pass", "/down/x", b.cookies(), bare},
	} {
		for _, protocol := range protocols {
			t.Run(c.name+" "+protocol, func(t *testing.T) {
				got := in.send(t, protocol, request{host: "work.example", path: c.path, cookie: c.cookie,
					fields: []field{{lower(protocol, "Kycvs-Assertion"), marker}, {lower(protocol, "Kycvs-Status"), marker}, {lower(protocol, "Accept"), "application/json"}}})
				saw := checkClean(t, keys, in.up.take(), "work.example", c.want, b.pass())
				sawUpstream(t, "handle_errors with a reverse_proxy: "+c.name, protocol, "", summary(saw, got))
			})
		}
	}
}

// "Where several gates match a request, each must be satisfied; the assertion
// is the most specific one's." The second line must not clean away what the
// first attached, nor the other way round.
func TestSeveralGates(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: `
https://work.example {
	kycvs /a/* 1 {
		partner outer
		purpose "The outer door"
	}
	kycvs /a/b/* 2 {
		partner inner
		purpose "The inner door"
	}
	kycvs /c/* 0 {
		partner outer
		purpose "The outer door"
	}
	reverse_proxy %UP%
}
https://both.example {
	kycvs 1
	kycvs /inner/* 2
	reverse_proxy %UP%
}
https://mixed.example {
	kycvs optional
	kycvs /inner/* 2
	reverse_proxy %UP%
}`})
	b := in.browse(t, "https://work.example")
	b.signIn(asha, "for", "outer")
	keys := b.keys()
	in.up.take()
	forged := []string{"Kycvs-Assertion", marker}
	expect := func(t *testing.T, b *browser, path string, status int, aud string, want int) {
		t.Helper()
		if a := b.as(t).fetch(path, forged...); a.StatusCode != status {
			t.Errorf("%s: %v\nwant %d", path, a, status)
		}
		checkClean(t, keys, in.up.take(), aud, want, b.pass())
	}
	expect(t, b, "/a/x", 200, "outer", 1)
	expect(t, b, "/a/b/x", 401, "", shut) // the inner one is missing
	expect(t, b, "/c/x", 200, "outer", 1)
	expect(t, b, "/d", 200, "", 0)
	only := in.browse(t, "https://work.example")
	only.signIn(asha, "for", "inner")
	expect(t, only, "/a/b/x", 401, "", shut) // the outer one is missing
	b.signIn(asha, "for", "inner")
	in.up.take()
	expect(t, b, "/a/b/x", 200, "inner", 1)
	expect(t, b, "/a/x", 200, "outer", 1)

	full, half := in.browse(t, "https://both.example"), in.browse(t, "https://both.example")
	full.signIn(joseph)
	half.signIn(vikram)
	in.up.take()
	expect(t, full, "/inner/x", 200, "both.example", 1)
	expect(t, full, "/x", 200, "both.example", 1)
	expect(t, half, "/x", 200, "both.example", 1)
	expect(t, half, "/inner/x", 403, "", shut)

	mixed := in.browse(t, "https://mixed.example")
	expect(t, mixed, "/x", 200, "", 0)
	expect(t, mixed, "/inner/x", 401, "", shut)
	mixed.signIn(vikram)
	expect(t, mixed, "/x", 200, "mixed.example", 1)
	expect(t, mixed, "/inner/x", 403, "", shut)
	sawUpstream(t, "two gates on one path", "HTTP/2", "", "one assertion, the most specific gate's")
}

// Matchers of every kind see the address first asked for and the rewritten one.
func TestMatchers(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: `
https://not.example {
	rewrite /public/alias/* /ward/x
	rewrite /ward/published/* /public/x
	@closed not path /public/* /favicon.ico
	kycvs @closed 2
	reverse_proxy %UP%
}
https://kinds.example {
	rewrite /plain /plain?secret=1
	rewrite /harmless?secret=2 /harmless
	@query query secret=*
	@method {
		method POST
		path /form
	}
	@regexp path_regexp ^/r/[0-9]+$
	@header header X-Ward yes
	@expr expression ` + "`path('/e/*')`" + `
	kycvs @query 2
	kycvs @method 2
	kycvs @regexp 2
	kycvs @header 2
	kycvs @expr 2
	reverse_proxy %UP%
}`})
	for _, c := range []struct {
		q    request
		want int
	}{
		{request{host: "not.example", path: "/public/x"}, 0},
		{request{host: "not.example", path: "/favicon.ico"}, 0},
		{request{host: "not.example", path: "/"}, shut},
		{request{host: "not.example", path: "/ward/x"}, shut},
		{request{host: "not.example", path: "/public/alias/x"}, shut},
		{request{host: "not.example", path: "/ward/published/x"}, shut},
		{request{host: "not.example", path: "/public/../ward/x"}, shut},
		{request{host: "not.example", path: "/ward/../public/x"}, shut},
		{request{host: "not.example", path: "/public%2f..%2fward"}, shut},
		{request{host: "kinds.example", path: "/x"}, 0},
		{request{host: "kinds.example", path: "/x?secret=1"}, shut},
		{request{host: "kinds.example", path: "/x?%73ecret=1"}, shut},
		{request{host: "kinds.example", path: "/plain"}, shut},
		{request{host: "kinds.example", path: "/harmless?secret=2"}, shut},
		{request{host: "kinds.example", path: "/form"}, 0},
		{request{host: "kinds.example", path: "/form", method: "POST", body: "a=b"}, shut},
		{request{host: "kinds.example", path: "/r/12"}, shut},
		{request{host: "kinds.example", path: "/r/x"}, 0},
		{request{host: "kinds.example", path: "/e/x"}, shut},
		{request{host: "kinds.example", path: "/y", fields: []field{{"x-ward", "yes"}}}, shut},
		{request{host: "kinds.example", path: "/y", fields: []field{{"x-ward", "no"}}}, 0},
	} {
		for _, protocol := range protocols {
			t.Run(c.q.host+c.q.path+" "+protocol, func(t *testing.T) {
				q := c.q
				q.fields = append([]field{{lower(protocol, "Kycvs-Assertion"), marker}}, q.fields...)
				got := in.send(t, protocol, q)
				seen := in.up.take()
				checkClean(t, nil, seen, "", c.want)
				if c.want == 0 && len(seen) != 1 {
					t.Errorf("did not arrive: %v", got)
				}
			})
		}
	}
}

// "The gate looks at the address first asked for as well as at the rewritten
// one; either match closes."
func TestRewrittenAddresses(t *testing.T) {
	t.Parallel()
	in := start(t, setup{
		files: map[string]string{"root/ward/index.html": "secret\n", "root/open/index.html": "open\n"},
		sites: `
https://work.example {
	root * %DIR%/root
	rewrite /alias/* /ward/secret
	rewrite /ward/published/* /open/published
	uri /strip/* strip_prefix /strip
	uri /replace/* replace /replace/ /ward/
	@try {
		path /try/*
		file {
			try_files /ward/index.html
		}
	}
	rewrite @try {file_match.relative}
	rewrite /twice/* /twice/../ward/x
	kycvs /ward/* 2
	reverse_proxy %UP%
}
https://handle.example {
	kycvs optional
	handle /app/* {
		kycvs /app/ward/* 2
		reverse_proxy %UP%
	}
	handle_path /strip/* {
		kycvs /ward/* 2
		reverse_proxy %UP%
	}
	route /route/* {
		uri strip_prefix /route
		kycvs /ward/* 2
		reverse_proxy %UP%
	}
	reverse_proxy %UP%
}`})
	for _, c := range []struct {
		host, path string
		want       int
	}{
		{"work.example", "/alias/x", shut},
		{"work.example", "/ward/published/x", shut},
		{"work.example", "/strip/ward/x", shut},
		{"work.example", "/strip/open", bare},
		{"work.example", "/replace/x", shut},
		{"work.example", "/try/x", shut},
		{"work.example", "/twice/x", shut},
		{"work.example", "/ward/x", shut},
		{"work.example", "/open", 0},
		{"handle.example", "/app/x", 0},
		{"handle.example", "/app/ward/x", shut},
		{"handle.example", "/strip/ward/x", shut},
		{"handle.example", "/strip/x", 0},
		{"handle.example", "/route/ward/x", shut},
		{"handle.example", "/route/x", 0},
		{"handle.example", "/else", 0},
	} {
		for _, protocol := range protocols {
			t.Run(c.host+c.path+" "+protocol, func(t *testing.T) {
				got := in.send(t, protocol, request{host: c.host, path: c.path, fields: []field{{lower(protocol, "Kycvs-Assertion"), marker}, {lower(protocol, "Kycvs_Status"), marker}}})
				seen := in.up.take()
				if c.want == 0 && len(seen) == 0 {
					t.Errorf("the request did not arrive: %v", got)
				}
				saw := checkClean(t, nil, seen, "", c.want)
				sawUpstream(t, "forged header and a rewritten address", protocol, c.path, summary(saw, got))
			})
		}
	}
	// With a pass, the same addresses lead through.
	b := in.browse(t, "https://work.example")
	b.signIn(asha)
	keys := b.keys()
	in.up.take()
	for _, path := range []string{"/alias/x", "/ward/published/x", "/strip/ward/x", "/replace/x", "/try/x"} {
		if a := b.fetch(path); a.StatusCode != http.StatusOK {
			t.Errorf("%s with the pass: %v", path, a)
		}
		checkClean(t, keys, in.up.take(), "work.example", 1, b.pass())
	}
}
