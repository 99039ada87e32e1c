package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Bytes that one side reads as one request and the other as two: the second
// would pass the gate unseen.
func TestSmuggledRequest(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	inner := "GET /ward/smuggled HTTP/1.1\r\nHost: work.example\r\nKycvs-Assertion: " + marker + "\r\nX-Own: " + marker + "\r\n\r\n"
	n := len(inner)
	host := "Host: " + a.authority("work.example") + "\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", n, inner)
	for name, raw := range map[string]string{
		"CL and TE":                      "POST /open HTTP/1.1\r\n" + host + "Content-Length: " + fmt.Sprint(5+n) + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
		"TE and CL":                      "POST /open HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + chunk,
		"two CL, smaller first":          "POST /open HTTP/1.1\r\n" + host + "Content-Length: 0\r\nContent-Length: " + fmt.Sprint(n) + "\r\n\r\n" + inner,
		"two CL, larger first":           "POST /open HTTP/1.1\r\n" + host + "Content-Length: " + fmt.Sprint(n) + "\r\nContent-Length: 0\r\n\r\n" + inner,
		"CL as a list":                   "POST /open HTTP/1.1\r\n" + host + "Content-Length: 0, " + fmt.Sprint(n) + "\r\n\r\n" + inner,
		"CL with a plus":                 "POST /open HTTP/1.1\r\n" + host + "Content-Length: +" + fmt.Sprint(n) + "\r\n\r\n" + inner,
		"CL in hex":                      "POST /open HTTP/1.1\r\n" + host + fmt.Sprintf("Content-Length: 0x%x\r\n\r\n", n) + inner,
		"CL below zero":                  "POST /open HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n" + inner,
		"CL with a space before colon":   "POST /open HTTP/1.1\r\n" + host + "Content-Length : " + fmt.Sprint(n) + "\r\n\r\n" + inner,
		"TE folded":                      "POST /open HTTP/1.1\r\n" + host + "Transfer-Encoding:\r\n chunked\r\nContent-Length: " + fmt.Sprint(n+5) + "\r\n\r\n0\r\n\r\n" + inner,
		"TE twice":                       "POST /open HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner,
		"TE: chunked, identity":          "POST /open HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked, identity\r\nContent-Length: 3\r\n\r\n" + chunk,
		"TE: xchunked":                   "POST /open HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\nContent-Length: " + fmt.Sprint(n) + "\r\n\r\n" + inner,
		"TE with a vertical tab":         "POST /open HTTP/1.1\r\n" + host + "Transfer-Encoding: \x0bchunked\r\nContent-Length: 3\r\n\r\n" + chunk,
		"TE with a bare LF":              "POST /open HTTP/1.1\r\n" + host + "Foo: x\nTransfer-Encoding: chunked\r\nContent-Length: " + fmt.Sprint(n+5) + "\r\n\r\n0\r\n\r\n" + inner,
		"chunk size with bare LF":        "POST /open HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n" + strings.Replace(chunk, "\r\n", "\n", 1),
		"chunk extension with bare LF":   "POST /open HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n5;x=\nabcde\r\n0\r\n\r\n" + inner,
		"chunk extension with CR":        "POST /open HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n5;x\rabcde\r\n0\r\n\r\n" + inner,
		"chunk longer than said":         "POST /open HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" + inner,
		"chunk size 0x":                  "POST /open HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n" + inner,
		"chunk size too large":           "POST /open HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nabcde\r\n0\r\n\r\n" + inner,
		"body on a GET":                  "GET /open HTTP/1.1\r\n" + host + "Content-Length: " + fmt.Sprint(n) + "\r\n\r\n" + inner,
		"body on a HEAD":                 "HEAD /open HTTP/1.1\r\n" + host + "Content-Length: " + fmt.Sprint(n) + "\r\n\r\n" + inner,
		"CL hidden by Connection":        "POST /open HTTP/1.1\r\n" + host + "Connection: Content-Length\r\nContent-Length: " + fmt.Sprint(n) + "\r\n\r\n" + inner,
		"TE hidden by Connection":        "POST /open HTTP/1.1\r\n" + host + "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"HTTP/1.0 with TE":               "POST /open HTTP/1.0\r\n" + host + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: " + fmt.Sprint(n+5) + "\r\n\r\n0\r\n\r\n" + inner,
		"pipelined":                      "GET /open HTTP/1.1\r\n" + host + "\r\n" + inner,
		"expect 100 and a body at once":  "POST /open HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nContent-Length: " + fmt.Sprint(n) + "\r\n\r\n" + inner,
		"empty lines first":              "\r\n\r\nGET /open HTTP/1.1\r\n" + host + "\r\n" + inner,
		"space in the target":            "GET /open HTTP/1.1\r\nX: y HTTP/1.1\r\n" + host + "\r\n" + inner,
		"HTTP/0.9":                       "GET /ward/smuggled\r\n\r\n",
		"HTTP/2 preface on HTTP/1.1":     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + inner,
		"version with a line break":      "GET /open HTTP/1.1\r\r\n" + host + "\r\n" + inner,
		"CL and TE in a refused request": "POST /ward/x HTTP/1.1\r\n" + host + "Content-Length: " + fmt.Sprint(5+n) + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
		"body of a refused request":      "POST /ward/x HTTP/1.1\r\n" + host + "Content-Length: " + fmt.Sprint(n) + "\r\n\r\n" + inner,
		"body of one of our pages":       "POST /.kycvs/otp HTTP/1.1\r\n" + host + "Content-Type: application/json\r\nContent-Length: " + fmt.Sprint(n) + "\r\n\r\n" + inner,
		"body of TRACE":                  "TRACE /open HTTP/1.1\r\n" + host + "Content-Length: " + fmt.Sprint(n) + "\r\n\r\n" + inner,
	} {
		t.Run(name, func(t *testing.T) {
			c := a.dialTLS(t, "work.example", "http/1.1")
			defer c.Close()
			io.WriteString(c, raw)
			c.SetDeadline(time.Now().Add(patience))
			r := bufio.NewReader(c)
			method, _, _ := strings.Cut(strings.TrimSpace(raw), " ")
			first := readAnswer1(r, method)
			if first.err == nil { // and whatever else comes
				c.SetDeadline(time.Now().Add(100 * time.Millisecond))
				readAnswer1(r, "GET")
			}
			seen := a.up.settled()
			saw := checkClean(t, a.keys, seen, "work.example", bare, a.work.pass())
			for _, q := range seen {
				if strings.Contains(q.target, "smuggled") {
					t.Errorf("the smuggled request reached the upstream:\n%s", q.head)
				}
				if name != "pipelined" && strings.Contains(string(q.head), "X-Own") {
					t.Errorf("bytes of the body became fields at the upstream:\n%s", q.head)
				}
			}
			sawUpstream(t, "smuggling: "+name, http1, "", summary(saw, first))
		})
	}
}

// HTTP/2's own ways (RFC 9113, section 8.1.1): a length that is not the
// body's, fields that become framing in HTTP/1.1.
func TestSmuggledThroughDowngrade(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	inner := "0\r\n\r\nGET /ward/smuggled HTTP/1.1\r\nHost: work.example\r\nKycvs-Assertion: " + marker + "\r\n\r\n"
	for _, protocol := range protocols[1:] {
		for name, fs := range map[string][]field{
			"content-length too small":  {{"content-length", "0"}},
			"content-length too large":  {{"content-length", "9999"}},
			"two content-lengths":       {{"content-length", "0"}, {"content-length", fmt.Sprint(len(inner))}},
			"transfer-encoding":         {{"transfer-encoding", "chunked"}},
			"transfer-encoding in disg": {{"transfer-encoding ", "chunked"}},
			"host beside :authority":    {{"host", "shop.example"}},
			"a second :path":            {{":path", "/ward/smuggled"}},
			"a second :authority":       {{":authority", "shop.example"}},
			"a second :method":          {{":method", "TRACE"}},
		} {
			t.Run(protocol+" "+name, func(t *testing.T) {
				got := a.send(t, protocol, request{host: "work.example", path: "/open", fields: fs, body: inner})
				seen := a.up.settled()
				saw := checkClean(t, a.keys, seen, "work.example", bare, a.work.pass())
				for _, q := range seen {
					if strings.HasPrefix(q.target, "/ward") {
						t.Errorf("the smuggled request reached the upstream:\n%s", q.head)
					}
				}
				sawUpstream(t, "smuggling: "+name, protocol, "", summary(saw, got))
			})
		}
	}
}

// "CONNECT (but for a web socket, RFC 8441 and 9220), TRACE: 405", on every
// route of the site, with a pass and without.
func TestConnectAndTrace(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	for _, r := range routes {
		for _, protocol := range protocols {
			t.Run("TRACE "+protocol+" "+r.name, func(t *testing.T) {
				got := a.send(t, protocol, request{method: "TRACE", host: r.host, path: r.path, cookie: a.cookie(r)})
				if got.status != http.StatusMethodNotAllowed {
					t.Errorf("got %v, want 405", got)
				}
				sawUpstream(t, "TRACE", protocol, r.name, summary(checkClean(t, a.keys, a.up.take(), r.host, shut), got))
			})
			t.Run("CONNECT "+protocol+" "+r.name, func(t *testing.T) {
				q := request{method: "CONNECT", host: r.host, path: a.authority(r.host), cookie: a.cookie(r)}
				got := a.send(t, protocol, q)
				if got.err == nil && got.status != http.StatusMethodNotAllowed && got.status != http.StatusBadRequest {
					t.Errorf("got %v, want 405", got)
				}
				sawUpstream(t, "CONNECT", protocol, r.name, summary(checkClean(t, a.keys, a.up.take(), r.host, shut), got))
			})
		}
		t.Run("CONNECT with a path "+r.name, func(t *testing.T) {
			got := a.send(t, http1, request{method: "CONNECT", host: r.host, path: r.path, cookie: a.cookie(r)})
			if got.status != http.StatusMethodNotAllowed && got.status != http.StatusBadRequest {
				t.Errorf("got %v, want 405", got)
			}
			sawUpstream(t, "CONNECT with a path", http1, r.name, summary(checkClean(t, a.keys, a.up.take(), r.host, shut), got))
		})
		for _, protocol := range protocols[1:] {
			for _, p := range []string{"connect-udp", "connect-ip", "webtransport", "h2c", "WebSocket ", "websocket, h2c", "x"} {
				t.Run("extended CONNECT "+protocol+" "+p+" "+r.name, func(t *testing.T) {
					got := a.send(t, protocol, request{method: "CONNECT", protocol: p, host: r.host, path: r.path, cookie: a.cookie(r)})
					if got.err == nil && got.status/100 == 2 {
						t.Errorf("got %v, want a refusal", got)
					}
					sawUpstream(t, "extended CONNECT other than websocket", protocol, r.name, summary(checkClean(t, a.keys, a.up.take(), r.host, shut), got))
				})
			}
		}
	}
}

// A change of protocol would let a client speak past the gate.
func TestUpgradeIsNoTunnel(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	a.up.on("/", func(x *exchange) bool { // an upstream that agrees to anything
		if u := x.value("Upgrade"); u != "" {
			io.WriteString(x.c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+u+"\r\n\r\n")
			b := make([]byte, 4096)
			x.c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			if n, _ := x.r.Read(b); n > 0 {
				a.t.Errorf("through the tunnel (Upgrade: %s) came %q", u, b[:n])
			}
			return false
		}
		return ordinary(x)
	})
	for name, fs := range map[string][]field{
		"Upgrade: h2c":                   {{"Connection", "Upgrade, HTTP2-Settings"}, {"Upgrade", "h2c"}, {"HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA"}},
		"Upgrade: h2c without settings":  {{"Connection", "Upgrade"}, {"Upgrade", "h2c"}},
		"Upgrade: h2c, Connection: x":    {{"Connection", "keep-alive, upgrade"}, {"Upgrade", "h2c"}},
		"Upgrade: HTTP/2.0":              {{"Connection", "Upgrade"}, {"Upgrade", "HTTP/2.0"}},
		"Upgrade: TLS/1.0":               {{"Connection", "Upgrade"}, {"Upgrade", "TLS/1.0"}},
		"Upgrade: foo":                   {{"Connection", "Upgrade"}, {"Upgrade", "foo"}},
		"Upgrade: websocket, h2c":        {{"Connection", "Upgrade"}, {"Upgrade", "websocket, h2c"}},
		"Upgrade: h2c, websocket":        {{"Connection", "Upgrade"}, {"Upgrade", "h2c, websocket"}},
		"Upgrade twice, websocket first": {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Upgrade", "h2c"}},
		"Upgrade twice, h2c first":       {{"Connection", "Upgrade"}, {"Upgrade", "h2c"}, {"Upgrade", "websocket"}},
		"Upgrade: websocket/13":          {{"Connection", "Upgrade"}, {"Upgrade", "websocket/13"}},
		"Upgrade: connect-udp":           {{"Connection", "Upgrade"}, {"Upgrade", "connect-udp"}, {"Capsule-Protocol", "?1"}},
	} {
		for _, r := range routes {
			t.Run(name+" "+r.name, func(t *testing.T) {
				c := a.dialTLS(t, r.host, "http/1.1")
				defer c.Close()
				q := request{method: "GET", host: r.host, path: r.path, cookie: a.cookie(r), fields: append(fs, field{"Kycvs-Assertion", marker})}
				got := exchange1(c, q.head1(a.authority(r.host))+"\r\n", "GET")
				if got.status == http.StatusSwitchingProtocols {
					t.Errorf("the protocol was changed: %v", got)
					io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
				}
				seen := a.up.settled()
				saw := checkClean(t, a.keys, seen, r.host, r.want, a.work.pass(), a.shop.pass())
				for _, s := range seen {
					if s.value("Upgrade") != "" || s.value("HTTP2-Settings") != "" {
						t.Errorf("the wish to change the protocol reached the upstream:\n%s", s.head)
					}
				}
				if r.want != shut && len(seen) == 0 && got.status != http.StatusBadRequest {
					t.Errorf("the request did not arrive, nor 400: %v", got)
				}
				sawUpstream(t, "`"+name+"`", http1, r.name, summary(saw, got))
			})
		}
	}
}

// A web socket that the upstream does not open is no tunnel: what follows are
// requests, and the gate looks at each.
func TestRefusedWebSocketIsNoTunnel(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	for _, status := range []string{"426 Upgrade Required", "200 OK", "400 Bad Request", "403 Forbidden"} {
		a.up.on("/open", reply("HTTP/1.1 "+status+"\r\nContent-Length: 2\r\nSec-WebSocket-Version: 13\r\n\r\nno"))
		t.Run(status, func(t *testing.T) {
			c := a.dialTLS(t, "work.example", "http/1.1")
			defer c.Close()
			r := bufio.NewReader(c)
			host := "Host: " + a.authority("work.example") + "\r\n"
			io.WriteString(c, "GET /open HTTP/1.1\r\n"+host+"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
			first := readAnswer1(r, "GET")
			io.WriteString(c, "GET /ward/x HTTP/1.1\r\n"+host+"Kycvs-Assertion: "+marker+"\r\n\r\n")
			second := readAnswer1(r, "GET")
			saw := checkClean(t, a.keys, a.up.settled(), "work.example", 0, a.work.pass())
			if second.err == nil && second.status/100 == 2 {
				t.Errorf("the second request got %v", second)
			}
			sawUpstream(t, "a request behind a web socket that was refused", http1, "", saw)
			_ = first
		})
	}
}
