package e2e

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A site whose address names no host: what a client sends as Host is in
// nothing that is signed or sent.
func TestSiteWithoutHost(t *testing.T) {
	t.Parallel()
	const global = "issuer https://kyc.example\n"
	in := start(t, setup{kycvs: global + plenty, sites: `
http:// {
	kycvs 2 {
		partner hall
		purpose "Entry to the hall"
	}
	reverse_proxy %UP%
}
https://*.rooms.example {
	kycvs 2 {
		partner rooms
		purpose "Entry to the rooms"
	}
	reverse_proxy %UP%
}`})
	b := in.browse(t, "http://evil.example")
	a := b.json("/.kycvs/otp", asha.typed())
	if a.StatusCode != 200 {
		t.Fatalf("got %v", a)
	}
	m := in.sms.next(t, asha.mobile)
	if strings.Contains(m.Message, "evil") {
		t.Errorf("a client chose what is in the message: %q", m.Message)
	}
	v := b.verify(a.object(t).str("txnId"), m.Code)
	c := check(t, b.keys(), v.object(t).str("assertion"), "hall")
	if c.Iss != "https://kyc.example" {
		t.Errorf("iss %q", c.Iss)
	}
	b.fetch("/x", "Host", "other.example")
	for _, q := range in.up.take() {
		for _, token := range q.values("Kycvs-Assertion") {
			if c := check(t, b.keys(), token, "hall"); c.Iss != "https://kyc.example" {
				t.Errorf("iss %q", c.Iss)
			}
		}
	}
	for name, sites := range map[string]string{
		"no partner":           "http:// {\n kycvs 2\n reverse_proxy %UP%\n}",
		"wildcard, no partner": "https://*.rooms.example {\n kycvs 2\n reverse_proxy %UP%\n}",
	} {
		if code, body := in.load(in.config(setup{kycvs: global, sites: sites})); code == 200 || !strings.Contains(body, "partner") {
			t.Errorf("%s: %d %s", name, code, body)
			in.reload(in.setup)
		}
	}
	if code, body := in.load(in.config(setup{sites: "http:// {\n kycvs 2 {\n partner hall\n purpose \"The hall\"\n}\n reverse_proxy %UP%\n}"})); code == 200 || !strings.Contains(body, "issuer") {
		t.Errorf("no issuer: %d %s", code, body)
		in.reload(in.setup)
	}
}

// HTTP/2 without TLS, where the operator has switched it on, is gated like the
// rest, and where not, it is nothing.
func TestH2C(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{true, false} {
		t.Run(fmt.Sprint("h2c ", on), func(t *testing.T) {
			s := setup{sites: "http://work.example {\n kycvs /ward/* 2\n reverse_proxy %UP%\n}"}
			if on {
				s.global = "servers {\n protocols h1 h2c\n}"
			}
			in := start(t, s)
			for path, want := range map[string]int{"/ward/x": shut, "/open": bare} {
				c := in.dialPlain(t)
				defer c.Close()
				io.WriteString(c, http2.ClientPreface)
				h := &conn2{c: c, f: http2.NewFramer(c, c), next: 1}
				h.f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
				h.enc = hpack.NewEncoder(&h.buf)
				h.f.WriteSettings()
				q := request{method: "GET", host: "work.example", path: path, fields: []field{{"kycvs-assertion", marker}, {"k.ycvs-status", marker}}}
				fs := q.pseudo("work.example")
				fs[1].value = "http"
				h.headers(1, fs, true)
				got := h.read(1, false)
				if on && got.err != nil {
					t.Errorf("%s: %v", path, got)
				}
				sawUpstream(t, "forged header over h2c", "HTTP/2", "", summary(checkClean(t, nil, in.up.take(), "", want), got))
			}
			// by Upgrade, with a request of its own inside
			c := in.dialPlain(t)
			defer c.Close()
			got := exchange1(c, "GET /open HTTP/1.1\r\nHost: work.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nKycvs-Assertion: "+marker+"\r\n\r\n", "GET")
			sawUpstream(t, "Upgrade: h2c on a plain port", http1, "", summary(checkClean(t, nil, in.up.take(), "", bare), got))
			if got.status == 101 {
				h := &conn2{c: c, f: http2.NewFramer(c, c), next: 3}
				h.f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
				h.enc = hpack.NewEncoder(&h.buf)
				io.WriteString(c, http2.ClientPreface)
				h.f.WriteSettings()
				q := request{method: "GET", host: "work.example", path: "/ward/x", fields: []field{{"kycvs-assertion", marker}}}
				h.headers(3, q.pseudo("work.example"), true)
				h.read(3, false)
				checkClean(t, nil, in.up.take(), "", shut)
			}
		})
	}
}
