package e2e

import (
	"slices"
	"strings"
	"testing"
)

// "an upstream cannot set the pass or answer with our header": in its fields,
// behind its body, in an early hint, over each protocol.
func TestUpstreamAnswersWithOurFields(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	const fs = "Kycvs-Assertion: " + marker + "\r\nkycvs_status: 2\r\nKYCVS.Anything: " + marker + "\r\nKycvs-Status: 2\r\n" +
		"Set-Cookie: __Host-kycvs=" + marker + "; Path=/; Secure; HttpOnly\r\n" +
		"Set-Cookie: session=kept; Path=/; HttpOnly\r\n" +
		"Set-Cookie: kycvs=" + marker + "; Path=/\r\n" +
		"set-cookie:   __Host-kycvs =" + marker + "\r\n" +
		// a browser keeps a nameless cookie and sends its value alone, which then
		// reads as ours (RFC 6265bis, section 5.6)
		"Set-Cookie: =__Host-kycvs=" + marker + "\r\n" +
		"Set-Cookie: =kycvs=" + marker + "; Path=/\r\n" +
		"Set-Cookie: \t__Host-kycvs\t=\t" + marker + "\r\n" +
		"Set-Cookie: kycvs2=kept\r\n" +
		"Set-Cookie: a=\"kycvs=1; x\"; Path=/\r\n" +
		"X-Own: kept\r\n"
	a.up.on("/", func(x *exchange) bool {
		switch {
		case strings.Contains(x.target, "length"):
			return reply("HTTP/1.1 200 OK\r\n" + fs + "Content-Length: 2\r\n\r\nok")(x)
		case strings.Contains(x.target, "announced"):
			return reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Kycvs-Assertion, X-Checksum, kycvs_status, Set-Cookie\r\n\r\n2\r\nok\r\n0\r\n" +
				"Kycvs-Assertion: " + marker + "\r\nX-Checksum: kept\r\nkycvs_status: 2\r\n\r\n")(x)
		case strings.Contains(x.target, "unsaid"):
			return reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n2\r\nok\r\n0\r\n" +
				"Kycvs-Assertion: " + marker + "\r\nX-Checksum: kept\r\nKycvs.Status: 2\r\n\r\n")(x)
		case strings.Contains(x.target, "hints"):
			return reply("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n" + fs + "\r\nHTTP/1.1 103 Early Hints\r\nKycvs-Assertion: " + marker + "\r\n\r\n" +
				"HTTP/1.1 200 OK\r\n" + fs + "Content-Length: 2\r\n\r\nok")(x)
		case strings.Contains(x.target, "304"):
			return reply("HTTP/1.1 304 Not Modified\r\n" + fs + "\r\n")(x)
		case strings.Contains(x.target, "500"):
			return reply("HTTP/1.1 500 Oops\r\n" + fs + "Content-Length: 2\r\n\r\nok")(x)
		}
		return ordinary(x)
	})
	for _, protocol := range protocols {
		for _, r := range routes {
			if r.want == shut {
				continue
			}
			for _, how := range []string{"length", "announced", "unsaid", "hints", "304", "500"} {
				t.Run(protocol+" "+how+" "+r.name, func(t *testing.T) {
					got := a.send(t, protocol, request{host: r.host, path: r.path + "-" + how, cookie: a.cookie(r), fields: []field{{lower(protocol, "TE"), "trailers"}}})
					if got.err != nil || got.status == 0 {
						t.Fatalf("no answer: %v", got)
					}
					a.up.take()
					blocks := append([][]field{got.fields, got.trailers}, got.early...)
					for _, fs := range blocks {
						for _, f := range ours(fs) {
							t.Errorf("the client saw %q: %q", f.name, f.value)
						}
						for _, c := range valuesOf(fs, "Set-Cookie") {
							name, _, _ := strings.Cut(strings.TrimLeft(c, "= \t"), "=")
							if n := strings.TrimSpace(name); n == "__Host-kycvs" || n == "kycvs" {
								t.Errorf("the upstream set the pass: %q", c)
							}
						}
					}
					switch how {
					case "length", "hints", "500":
						want := []string{"session=kept; Path=/; HttpOnly", "kycvs2=kept", `a="kycvs=1; x"; Path=/`}
						if cs := valuesOf(got.fields, "Set-Cookie"); !slices.Equal(cs, want) {
							t.Errorf("Set-Cookie %q, want %q", cs, want)
						}
						if got.value("X-Own") != "kept" || string(got.body) != "ok" {
							t.Errorf("the application's answer was changed: %v", got)
						}
					case "announced", "unsaid":
						if vs := valuesOf(got.trailers, "X-Checksum"); len(vs) != 1 || vs[0] != "kept" {
							t.Errorf("the application's own trailer did not arrive: %v", got.trailers)
						}
					}
					sawUpstream(t, "upstream answers with our fields and cookies: "+how, protocol, r.name, "the client saw none of them")
				})
			}
		}
	}
}

// "an answer that says nothing of caching is private"; one that does is kept.
func TestCachingOfAnswers(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	a.up.on("/ward/public", reply("HTTP/1.1 200 OK\r\nCache-Control: public, max-age=60\r\nContent-Length: 2\r\n\r\nok"))
	a.up.on("/ward/expires", reply("HTTP/1.1 200 OK\r\nExpires: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok"))
	for path, want := range map[string]string{"/ward/x": "private", "/ward/public": "public, max-age=60"} {
		got := a.work.as(t).fetch(path)
		if cc := got.Header.Get("Cache-Control"); got.StatusCode != 200 || cc != want {
			t.Errorf("%s: Cache-Control %q, want %q", path, cc, want)
		}
	}
	if got := a.shop.as(t).fetch("/x"); got.Header.Get("Cache-Control") != "private" {
		t.Errorf("optional with a pass: Cache-Control %q, want private", got.Header.Get("Cache-Control"))
	}
}
