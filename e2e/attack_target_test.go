package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// Request targets and hosts: no spelling of either reaches a gated path, or
// makes another site's assertion.
func TestTargetsAndHosts(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	work, shop := a.authority("work.example"), a.authority("shop.example")
	pass := "Cookie: " + a.work.cookies() + "\r\n"
	forged := "Kycvs-Assertion: " + marker + "\r\n"
	for name, c := range map[string]struct {
		raw  string
		aud  string
		want int
	}{
		"absolute form, gated":             {"GET https://" + work + "/ward/x HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", shut},
		"absolute form, gated, other Host": {"GET https://" + work + "/ward/x HTTP/1.1\r\nHost: " + shop + "\r\n", "work.example", shut},
		"absolute form, open, other Host":  {"GET https://" + work + "/open HTTP/1.1\r\nHost: " + shop + "\r\n", "work.example", bare},
		"absolute form, with the pass":     {"GET https://" + work + "/ward/x HTTP/1.1\r\nHost: " + work + "\r\n" + pass, "work.example", 1},
		"absolute form, pass, other Host":  {"GET https://" + work + "/ward/x HTTP/1.1\r\nHost: evil.example\r\n" + pass, "work.example", 1},
		"absolute form, http scheme":       {"GET http://" + work + "/ward/x HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", shut},
		"absolute form, unknown scheme":    {"GET evil://" + work + "/ward/x HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", shut},
		"absolute form with a user":        {"GET https://work.example@shop.example/ward/x HTTP/1.1\r\nHost: " + work + "\r\n", "shop.example", bare},
		"absolute form, other host":        {"GET https://evil.example/ward/x HTTP/1.1\r\nHost: " + work + "\r\n", "", shut},
		"absolute form without a path":     {"GET https://" + work + " HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", bare},
		"absolute form, query for a path":  {"GET https://" + work + "?/ward/x HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", bare},
		"scheme-relative target":           {"GET //work.example/ward/x HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", bare},
		"double slash":                     {"GET //ward/x HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", shut},
		"double slash inside":              {"GET /ward//x HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", shut},
		"upper-case path":                  {"GET /WARD/x HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", shut},
		"fragment in the target":           {"GET /open#/../ward/x HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", bare},
		"opaque target":                    {"GET work.example/ward/x HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", shut},
		"no slash":                         {"GET ward/x HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", shut},
		"OPTIONS *":                        {"OPTIONS * HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", bare},
		"GET *":                            {"GET * HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", bare},
		"HTTP/1.0, gated":                  {"GET /ward/x HTTP/1.0\r\nHost: " + work + "\r\n", "work.example", shut},
		"HTTP/1.0, open":                   {"GET /open HTTP/1.0\r\nHost: " + work + "\r\n", "work.example", bare},
		"HTTP/1.0, with the pass":          {"GET /ward/x HTTP/1.0\r\nHost: " + work + "\r\n" + pass, "work.example", 1},
		"HTTP/1.0 without Host":            {"GET /ward/x HTTP/1.0\r\n", "", shut},
		"HTTP/1.1 without Host":            {"GET /ward/x HTTP/1.1\r\n", "", shut},
		"HTTP/1.2":                         {"GET /ward/x HTTP/1.2\r\nHost: " + work + "\r\n", "work.example", shut},
		"HTTP/3.0 in a line":               {"GET /ward/x HTTP/3.0\r\nHost: " + work + "\r\n", "work.example", shut},
		"two Hosts":                        {"GET /ward/x HTTP/1.1\r\nHost: " + work + "\r\nHost: " + shop + "\r\n", "work.example", shut},
		"two Hosts, ours last":             {"GET /ward/x HTTP/1.1\r\nHost: " + shop + "\r\nHost: " + work + "\r\n", "work.example", shut},
		"Hosts as a list":                  {"GET /ward/x HTTP/1.1\r\nHost: " + work + "," + shop + "\r\n", "work.example", shut},
		"upper-case Host":                  {"GET /ward/x HTTP/1.1\r\nHost: WORK.EXAMPLE\r\n", "work.example", shut},
		"upper-case Host, with the pass":   {"GET /ward/x HTTP/1.1\r\nHost: WORK.EXAMPLE\r\n" + pass, "work.example", 1},
		"Host with another port":           {"GET /ward/x HTTP/1.1\r\nHost: work.example:1\r\n", "work.example", shut},
		"Host with another port, the pass": {"GET /ward/x HTTP/1.1\r\nHost: work.example:1\r\n" + pass, "work.example", 1},
		"Host with a trailing dot":         {"GET /ward/x HTTP/1.1\r\nHost: work.example.\r\n", "work.example", shut},
		"Host with a user":                 {"GET /ward/x HTTP/1.1\r\nHost: x@work.example\r\n", "work.example", shut},
		"Host with a path":                 {"GET /ward/x HTTP/1.1\r\nHost: work.example/open\r\n", "work.example", shut},
		"Host with a space":                {"GET /ward/x HTTP/1.1\r\nHost: work.example x\r\n", "work.example", shut},
		"empty Host":                       {"GET /ward/x HTTP/1.1\r\nHost:\r\n", "work.example", shut},
		"Host of another site, its pass":   {"GET /ward/x HTTP/1.1\r\nHost: " + shop + "\r\n" + pass, "shop.example", bare},
		"X-Forwarded-Host":                 {"GET /ward/x HTTP/1.1\r\nHost: " + work + "\r\nX-Forwarded-Host: shop.example\r\nForwarded: host=shop.example\r\n", "work.example", shut},
		"X-Original-URL":                   {"GET /ward/x HTTP/1.1\r\nHost: " + work + "\r\nX-Original-URL: /open\r\nX-Rewrite-URL: /open\r\n", "work.example", shut},
		"method override":                  {"GET /ward/x HTTP/1.1\r\nHost: " + work + "\r\nX-HTTP-Method-Override: OPTIONS\r\nX-Method-Override: HEAD\r\n", "work.example", shut},
		"HEAD":                             {"HEAD /ward/x HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", shut},
		"OPTIONS (a CORS preflight)":       {"OPTIONS /ward/x HTTP/1.1\r\nHost: " + work + "\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: GET\r\n", "work.example", shut},
		"a method of its own":              {"KYCVS /ward/x HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", shut},
		"lower-case method":                {"get /ward/x HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", shut},
		"lower-case trace":                 {"trace /open HTTP/1.1\r\nHost: " + work + "\r\n", "work.example", bare},
		"Range":                            {"GET /ward/x HTTP/1.1\r\nHost: " + work + "\r\nRange: bytes=0-1\r\n", "work.example", shut},
		"Expect":                           {"POST /ward/x HTTP/1.1\r\nHost: " + work + "\r\nExpect: 100-continue\r\nContent-Length: 4\r\n", "work.example", shut},
		"Sec-Purpose: prefetch":            {"GET /ward/x HTTP/1.1\r\nHost: " + work + "\r\nSec-Purpose: prefetch\r\nAccept: text/html\r\n", "work.example", shut},
	} {
		t.Run(name, func(t *testing.T) {
			conn := a.dialTLS(t, "work.example", "http/1.1")
			defer conn.Close()
			method, _, _ := strings.Cut(c.raw, " ")
			got := exchange1(conn, c.raw+forged+"Connection: close\r\n\r\n", method)
			seen := a.up.take()
			if c.want == 1 && len(seen) == 0 {
				t.Errorf("the request did not arrive: %v", got)
			}
			saw := checkClean(t, a.keys, seen, c.aud, c.want, a.work.pass(), a.shop.pass())
			for _, q := range seen {
				for _, f := range ours(q.fields) {
					cl, _ := verifyAssertion(a.keys, f.value, c.aud)
					if !strings.HasPrefix(cl.Iss, "https://work.example") || strings.HasSuffix(cl.Iss, ":1") {
						t.Errorf("iss %q: a client never chooses who is iss", cl.Iss)
					}
				}
			}
			sawUpstream(t, "target: "+name, http1, "", summary(saw, got))
		})
	}
	// The host in the address and the one in the field, in HTTP/2 and 3.
	for _, protocol := range protocols[1:] {
		for name, c := range map[string]struct {
			q    request
			want int
		}{
			"host field of an open site":       {request{path: "/ward/x", fields: []field{{"host", "shop.example"}}}, shut},
			"path without a slash":             {request{path: "ward/x"}, shut},
			"path *":                           {request{path: "*", method: "OPTIONS"}, bare},
			"absolute address for a path":      {request{path: "https://work.example/ward/x"}, shut},
			"double slash":                     {request{path: "//ward/x"}, shut},
			"empty path":                       {request{path: ""}, bare},
			"scheme-relative":                  {request{path: "//work.example/ward/x"}, bare},
			"fragment in the path":             {request{path: "/open#/ward/x"}, bare},
			"backslash for the first slash":    {request{path: "\\ward/x"}, shut},
			"a gated path with a forged field": {request{path: "/ward/x", fields: []field{{"kycvs-assertion", marker}}}, shut},
		} {
			t.Run(protocol+" "+name, func(t *testing.T) {
				c.q.host = "work.example"
				got := a.send(t, protocol, c.q)
				seen := a.up.take()
				sawUpstream(t, "target: "+name, protocol, "", summary(checkClean(t, a.keys, seen, "work.example", c.want), got))
				if got.err == nil && got.status == http.StatusInternalServerError {
					t.Errorf("a 500: %v", got)
				}
			})
		}
	}
}
