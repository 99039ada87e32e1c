package e2e

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// echoSocket is an upstream that opens a web socket and sends back each frame.
func echoSocket(x *exchange) bool {
	if !strings.EqualFold(x.value("Upgrade"), "websocket") {
		return ordinary(x)
	}
	sum := sha1.Sum([]byte(x.value("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(x.c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nKycvs-Assertion: %s\r\nSet-Cookie: __Host-kycvs=%s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]), marker, marker)
	for {
		payload, err := readFrame(x.r)
		if err != nil {
			return false
		}
		if _, err := x.c.Write(append([]byte{0x81, byte(len(payload))}, payload...)); err != nil {
			return false
		}
	}
}

// readFrame reads a short frame of RFC 6455, masked or not.
func readFrame(r *bufio.Reader) ([]byte, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	var mask [4]byte
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(r, mask[:]); err != nil {
			return nil, err
		}
	}
	p := make([]byte, head[1]&0x7f)
	if _, err := io.ReadFull(r, p); err != nil {
		return nil, err
	}
	for i := range p {
		p[i] ^= mask[i%4]
	}
	return p, nil
}

// clientFrame is a short masked text frame.
func clientFrame(s string) []byte {
	mask := [4]byte{1, 2, 3, 4}
	b := append([]byte{0x81, 0x80 | byte(len(s))}, mask[:]...)
	for i := range len(s) {
		b = append(b, s[i]^mask[i%4])
	}
	return b
}

// "A web socket is refused before the upgrade", and let through with a pass,
// over each protocol.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	// HTTP/2 announces extended CONNECT in Go's server only where it is told to.
	for _, env := range [][]string{nil, {"GODEBUG=http2xconnect=1"}} {
		in := start(t, setup{env: env, second: env != nil, sites: gateSites})
		in.up.on("/", echoSocket)
		b := in.browse(t, "https://work.example")
		b.signIn(asha)
		keys := b.keys()
		in.up.take()
		upgrade := []field{{"Connection", "keep-alive, Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}, {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
			{"Origin", b.base}, {"Sec-WebSocket-Protocol", "chat"}, {"Kycvs-Assertion", marker}}
		for _, c := range []struct {
			path, cookie string
			want         int
		}{{"/ward/ws", b.cookies(), 1}, {"/ward/ws", "", shut}, {"/open/ws", "", 0}, {"/open/ws", b.cookies(), 0}} {
			name := fmt.Sprintf(" %s pass %v %v", c.path, c.cookie != "", env)
			t.Run(http1+name, func(t *testing.T) {
				conn := in.dialTLS(t, "work.example", "http/1.1")
				defer conn.Close()
				q := request{method: "GET", host: "work.example", path: c.path, cookie: c.cookie, fields: upgrade}
				io.WriteString(conn, q.head1(in.authority("work.example"))+"\r\n")
				r := bufio.NewReader(conn)
				got := readAnswer1(r, "GET")
				saw := checkClean(t, keys, in.up.take(), "work.example", c.want, b.pass())
				sawUpstream(t, "forged header on a web socket, "+c.path, http1, "", summary(saw, got))
				if c.want == shut {
					if got.status != 401 {
						t.Errorf("got %v, want 401", got)
					}
					return
				}
				if got.status != 101 {
					t.Fatalf("got %v, want 101", got)
				}
				if fs := ours(got.fields); len(fs) > 0 || strings.Contains(fmt.Sprint(got.fields), "__Host-kycvs") {
					t.Errorf("the upstream answered the upgrade with %v", got.fields)
				}
				echoes(t, conn, r)
			})
			t.Run(http2_+name, func(t *testing.T) {
				h := in.dial2(t, "work.example")
				defer h.c.Close()
				q := request{method: "CONNECT", protocol: "websocket", host: "work.example", path: c.path, cookie: c.cookie,
					fields: []field{{"sec-websocket-version", "13"}, {"origin", b.base}, {"kycvs-assertion", marker}}}
				id, err := h.start(q, in.authority("work.example"), true)
				if err != nil {
					t.Fatal(err)
				}
				got := h.read(id, true)
				saw := checkClean(t, keys, in.up.take(), "work.example", bothWays(env, c.want), b.pass())
				sawUpstream(t, "forged header on a web socket, "+c.path, http2_, "", summary(saw, got))
				switch {
				case env == nil:
					return // refused by the server
				case c.want == shut:
					if got.status != 401 {
						t.Errorf("got %v, want 401", got)
					}
				case got.status != 200:
					t.Errorf("got %v, want 200", got)
				default:
					h.f.WriteData(id, false, clientFrame("hello"))
					if back := h.frame(id); string(back) != "\x81\x05hello" {
						t.Errorf("%q came back", back)
					}
				}
			})
			t.Run(http3+name, func(t *testing.T) {
				h := in.dial3(t, "work.example")
				defer h.close()
				q := request{method: "CONNECT", protocol: "websocket", host: "work.example", path: c.path, cookie: c.cookie,
					fields: []field{{"sec-websocket-version", "13"}, {"origin", b.base}, {"kycvs-assertion", marker}}}
				h.headers(q.pseudo(in.authority("work.example")))
				got := h.read(true)
				saw := checkClean(t, keys, in.up.take(), "work.example", c.want, b.pass())
				sawUpstream(t, "forged header on a web socket, "+c.path, http3, "", summary(saw, got))
				if c.want == shut {
					if got.status != 401 {
						t.Errorf("got %v, want 401", got)
					}
					return
				}
				if got.status != 200 {
					t.Fatalf("got %v, want 200", got)
				}
				h.frame(0x00, clientFrame("hello"))
				kind := make([]byte, 2+7)
				if _, err := io.ReadFull(h.r, kind); err != nil || string(kind) != "\x00\x07\x81\x05hello" {
					t.Errorf("%q came back (%v)", kind, err)
				}
			})
		}
	}
}

// bothWays: a server that was not told to take extended CONNECT refuses it.
func bothWays(env []string, want int) int {
	if env == nil {
		return shut
	}
	return want
}

// frame reads the next DATA of a stream.
func (h *conn2) frame(id uint32) []byte {
	a := &wireAnswer{}
	for len(a.body) == 0 && a.err == nil {
		f, err := h.f.ReadFrame()
		if err != nil {
			return nil
		}
		if d, ok := f.(interface{ Data() []byte }); ok && f.Header().StreamID == id {
			a.body = append(a.body, d.Data()...)
		}
	}
	return a.body
}

func echoes(t testing.TB, w io.Writer, r *bufio.Reader) {
	t.Helper()
	for _, s := range []string{"hello", "नमस्ते"} {
		if _, err := w.Write(clientFrame(s)); err != nil {
			t.Fatal(err)
		}
		if back, err := readFrame(r); err != nil || string(back) != s {
			t.Errorf("%q came back (%v), want %q", back, err, s)
		}
	}
}

// "What gets through is streamed": the first event arrives before the second
// is made.
func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: gateSites + "\nhttps://shop.example {\n kycvs optional\n reverse_proxy %UP%\n}\n"})
	next := make(chan struct{})
	in.up.on("/", func(x *exchange) bool {
		if !strings.HasSuffix(x.target, "/events") {
			return ordinary(x)
		}
		io.WriteString(x.c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		for i := range 3 {
			event := fmt.Sprintf("data: %d\n\n", i)
			fmt.Fprintf(x.c, "%x\r\n%s\r\n", len(event), event)
			select {
			case <-next:
			case <-time.After(patience):
				return false
			}
		}
		io.WriteString(x.c, "0\r\n\r\n")
		return true
	})
	for site, path := range map[string]string{"https://work.example": "/ward/events", "http://work.example": "/open/events", "https://shop.example": "/events"} {
		t.Run(site+path, func(t *testing.T) {
			b := in.browse(t, site)
			b.signIn(asha)
			resp, err := b.c.Get(b.base + path)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			r := bufio.NewReader(resp.Body)
			for i := range 3 {
				line, err := r.ReadString('\n')
				if err != nil || line != fmt.Sprintf("data: %d\n", i) {
					t.Fatalf("event %d: %q %v", i, line, err)
				}
				r.ReadString('\n')
				next <- struct{}{} // only now is the following one made
			}
			if _, err := r.ReadByte(); err != io.EOF {
				t.Errorf("the end: %v", err)
			}
		})
	}
}

// A hundred megabytes each way, streamed: the process does not keep them.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	const size = 100 << 20
	in := start(t, setup{sites: gateSites})
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	in.up.on("/ward/download", func(x *exchange) bool {
		fmt.Fprintf(x.c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
		for range size / len(chunk) {
			if _, err := x.c.Write(chunk); err != nil {
				return false
			}
		}
		return true
	})
	b := in.browse(t, "https://work.example")
	b.signIn(asha)
	in.up.take()
	before := in.peakMemory()
	for _, site := range []string{"https://work.example", "http://work.example"} {
		b := in.browse(t, site)
		b.signIn(asha)
		in.up.take()
		for _, length := range []int64{size, -1} {
			req, _ := http.NewRequest("POST", b.base+"/ward/upload", io.LimitReader(repeat(chunk), size))
			req.ContentLength = length
			resp, err := b.c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			seen := in.up.take()
			if len(seen) != 1 || seen[0].size != size {
				t.Fatalf("%d requests, %d bytes at the upstream, want %d", len(seen), seen[0].size, size)
			}
			if chunked := seen[0].value("Transfer-Encoding") != ""; chunked != (length < 0) {
				t.Errorf("length %d became %q %q", length, seen[0].value("Content-Length"), seen[0].value("Transfer-Encoding"))
			}
		}
		resp, err := b.c.Get(b.base + "/ward/download")
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if n != size || err != nil {
			t.Errorf("downloaded %d bytes (%v), want %d", n, err, size)
		}
	}
	grown := in.peakMemory() - before
	t.Logf("peak memory grew by %d MB over 600 MB of bodies", grown>>20)
	if limit := int64(60 << 20); grown > limit && !raceDetector {
		t.Errorf("peak memory grew by %d MB", grown>>20)
	}
}

type repeater struct {
	b []byte
	i int
}

func repeat(b []byte) io.Reader { return &repeater{b: b} }

func (r *repeater) Read(p []byte) (int, error) {
	n := copy(p, r.b[r.i:])
	r.i = (r.i + n) % len(r.b)
	return n, nil
}

// What an application and its clients say to each other is not touched.
func TestOrdinaryTraffic(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: gateSites})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(bytes.Repeat([]byte("hello "), 1000))
	z.Close()
	in.up.on("/ward/gzip", reply(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\nContent-Length: %d\r\n\r\n%s", zipped.Len(), zipped.String())))
	in.up.on("/ward/range", reply("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-4/10\r\nAccept-Ranges: bytes\r\nETag: \"x\"\r\nContent-Length: 3\r\n\r\n234"))
	in.up.on("/ward/204", reply("HTTP/1.1 204 No Content\r\nX-Own: a\r\nX-Own: b\r\n\r\n"))
	in.up.on("/ward/redirect", reply("HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/x?y\r\nContent-Length: 0\r\n\r\n"))
	in.up.on("/ward/401", reply("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"own\"\r\nContent-Length: 2\r\n\r\nno"))
	in.up.on("/ward/big", reply("HTTP/1.1 200 OK\r\nX-Big: "+strings.Repeat("x", 60000)+"\r\nContent-Length: 2\r\n\r\nok"))
	in.up.on("/ward/404", reply("HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nnone"))
	b := in.browse(t, "https://work.example")
	b.signIn(asha)
	in.up.take()
	if a := b.fetch("/ward/gzip", "Accept-Encoding", "gzip"); !bytes.Equal(a.body, zipped.Bytes()) || a.Header.Get("Content-Encoding") != "gzip" || a.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("gzip: %v", a.Header)
	}
	if a := b.fetch("/ward/range", "Range", "bytes=2-4", "If-Range", `"x"`); a.StatusCode != 206 || string(a.body) != "234" || a.Header.Get("Content-Range") != "bytes 2-4/10" || a.Header.Get("ETag") != `"x"` {
		t.Errorf("range: %v", a)
	}
	if a := b.fetch("/ward/204"); a.StatusCode != 204 || strings.Join(a.Header.Values("X-Own"), ",") != "a,b" {
		t.Errorf("204: %v", a)
	}
	if a := b.fetch("/ward/redirect"); a.StatusCode != 302 || a.Header.Get("Location") != "https://elsewhere.example/x?y" {
		t.Errorf("redirect: %v", a)
	}
	if a := b.fetch("/ward/401"); a.StatusCode != 401 || a.Header.Get("WWW-Authenticate") != `Basic realm="own"` || string(a.body) != "no" {
		t.Errorf("the application's own 401: %v", a)
	}
	if a := b.fetch("/ward/big"); len(a.Header.Get("X-Big")) != 60000 {
		t.Errorf("a big field: %d bytes", len(a.Header.Get("X-Big")))
	}
	if a := b.fetch("/ward/404"); a.StatusCode != 404 || string(a.body) != "none" {
		t.Errorf("404: %v", a)
	}
	in.up.take()
	a := b.do("PATCH", "/ward/x?q=%2F..%2f;&&=", "application/x-own; a=b", "body", "X-Own", "a, b", "X-Own", "c", "Authorization", "Bearer abc", "X-Big", strings.Repeat("y", 7000),
		"If-None-Match", `"e"`, "X-Forwarded-For", "1.2.3.4", "User-Agent", "", "Prefer", "respond-async", "X-Empty", "")
	seen := in.up.take()
	if a.StatusCode != 200 || len(seen) != 1 {
		t.Fatalf("got %v", a)
	}
	q := seen[0]
	for name, want := range map[string]string{"Content-Type": "application/x-own; a=b", "X-Own": "a, b|c", "Authorization": "Bearer abc", "X-Big": strings.Repeat("y", 7000), "If-None-Match": `"e"`, "Prefer": "respond-async", "X-Empty": "", "Content-Length": "4"} {
		if got := strings.Join(q.values(name), "|"); got != want {
			t.Errorf("%s arrived as %.60q", name, got)
		}
	}
	if q.method != "PATCH" || q.target != "/ward/x?q=%2F..%2f;&&=" || string(q.body) != "body" {
		t.Errorf("arrived as %s %s %q", q.method, q.target, q.body)
	}
	for _, method := range []string{"OPTIONS", "DELETE", "PROPFIND", "REPORT", "HEAD", "PUT"} {
		if a := b.do(method, "/ward/x", "", ""); a.StatusCode != 200 {
			t.Errorf("%s: %v", method, a)
		}
	}
	// an ETag keeps working: the gate adds nothing that changes per request
	one, two := b.fetch("/ward/x"), b.fetch("/ward/x")
	one.Header.Del("Date")
	two.Header.Del("Date")
	if fmt.Sprint(one.Header) != fmt.Sprint(two.Header) {
		t.Errorf("two answers differ: %v and %v", one.Header, two.Header)
	}
}
