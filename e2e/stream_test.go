package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// lasting is an upstream whose answers do not end by themselves, and which notes
// when they were ended for it.
type lasting struct {
	mu    sync.Mutex
	ended map[string]time.Time // by target
}

func (l *lasting) note(target string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended[target] = time.Now()
}

func (l *lasting) when(target string) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.ended[target]
	return at, ok
}

func (l *lasting) answer(x *exchange) bool {
	defer l.note(x.target)
	switch {
	case strings.HasPrefix(x.target, "/ward/socket"):
		echoSocket(x)
	case strings.HasPrefix(x.target, "/ward/events"):
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = x.r.ReadByte()
		}()
		io.WriteString(x.c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			if _, err := io.WriteString(x.c, "9\r\ndata: x\n\n\r\n"); err != nil {
				return false
			}
			select {
			case <-gone:
				return false
			case <-time.After(50 * time.Millisecond):
			}
		}
	case strings.HasPrefix(x.target, "/ward/download"):
		fmt.Fprintf(x.c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", int64(1)<<40)
		chunk := make([]byte, 64<<10)
		for {
			if _, err := x.c.Write(chunk); err != nil {
				return false
			}
		}
	case strings.HasPrefix(x.target, "/ward/poll"):
		_, _ = x.r.ReadByte()
	default:
		return ordinary(x)
	}
	return false
}

// endedAt is when the upstream saw the end of a request.
func (l *lasting) endedAt(t testing.TB, target string) time.Time {
	t.Helper()
	var at time.Time
	eventually(t, "the upstream sees the end of "+target, func() (ok bool) {
		at, ok = l.when(target)
		return ok
	})
	return at
}

// line is a request under way, seen from its client.
type line struct {
	head   func() *wireAnswer        // reads to the end of the answer's head
	rest   func() (orderly bool)     // reads to the end, whatever it is
	answer func() *wireAnswer        // reads a whole answer
	send   func([]byte) error        // on the body, or the web socket
	echo   func(t testing.TB) []byte // reads what comes back
	close  func()
}

// open begins a request, with a body that does not end where there is one.
func (in *instance) open(t testing.TB, protocol string, q request) *line {
	t.Helper()
	socket := strings.HasPrefix(q.path, "/ward/socket")
	authority := in.authority(q.host)
	switch protocol {
	case http1:
		c := in.dialTLS(t, q.host, "http/1.1")
		if socket {
			q.fields = append(q.fields, field{"Connection", "Upgrade"}, field{"Upgrade", "websocket"}, field{"Sec-WebSocket-Version", "13"}, field{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="})
		}
		body := q.body
		if body != "" {
			q.fields, q.body = append(q.fields, field{"Content-Length", "1000000"}), ""
		}
		io.WriteString(c, q.head1(authority)+"\r\n"+body)
		r := bufio.NewReader(c)
		return &line{
			head: func() *wireAnswer {
				a := &wireAnswer{}
				status, err := r.ReadString('\n')
				if err != nil {
					a.err = err
					return a
				}
				fmt.Sscanf(status, "HTTP/1.1 %d", &a.status)
				a.fields, a.err = readFields(r)
				return a
			},
			rest: func() bool {
				last := &lastBytes{}
				io.Copy(last, r)
				return bytes.HasSuffix(last.b, []byte("0\r\n\r\n"))
			},
			answer: func() *wireAnswer { return readAnswer1(r, q.method) },
			send:   func(p []byte) error { _, err := c.Write(p); return err },
			echo: func(t testing.TB) []byte {
				p, err := readFrame(r)
				if err != nil {
					t.Error(err)
				}
				return p
			},
			close: func() { c.Close() },
		}
	case http2_:
		h := in.dial2(t, q.host)
		if socket {
			q.method, q.protocol = "CONNECT", "websocket"
			q.fields = append(q.fields, field{"sec-websocket-version", "13"})
		}
		id, err := h.start(q, authority, socket || q.body != "")
		if err != nil {
			t.Fatal(err)
		}
		return &line{
			head: func() *wireAnswer { return h.read(id, true) },
			rest: func() bool {
				for {
					f, err := h.f.ReadFrame()
					if err != nil {
						return false
					}
					if s, is := f.(*http2.RSTStreamFrame); is && s.StreamID == id {
						return false
					}
					if d, is := f.(*http2.DataFrame); is && d.StreamEnded() {
						return true
					}
					if m, is := f.(*http2.MetaHeadersFrame); is && m.StreamEnded() {
						return true
					}
				}
			},
			answer: func() *wireAnswer { return h.read(id, false) },
			send:   func(p []byte) error { return h.f.WriteData(id, false, p) },
			echo:   func(testing.TB) []byte { return bytes.TrimPrefix(h.frame(id), []byte("\x81\x05")) },
			close:  func() { h.c.Close() },
		}
	}
	h := in.dial3(t, q.host)
	if socket {
		q.method, q.protocol = "CONNECT", "websocket"
		q.fields = append(q.fields, field{"sec-websocket-version", "13"})
	}
	h.headers(q.pseudo(authority))
	switch {
	case q.body != "":
		h.frame(0x00, []byte(q.body))
	case !socket:
		h.s.Close()
	}
	return &line{
		head: func() *wireAnswer { return h.read(true) },
		rest: func() bool {
			_, err := io.Copy(io.Discard, h.r)
			return err == nil
		},
		answer: func() *wireAnswer { return h.read(false) },
		send:   func(p []byte) error { h.frame(0x00, p); return nil },
		echo: func(t testing.TB) []byte {
			p := make([]byte, 2+7)
			if _, err := io.ReadFull(h.r, p); err != nil {
				t.Error(err)
			}
			return bytes.TrimPrefix(p, []byte("\x00\x07\x81\x05"))
		},
		close: h.close,
	}
}

// lastBytes keeps the end of what is written to it.
type lastBytes struct{ b []byte }

func (l *lastBytes) Write(p []byte) (int, error) {
	l.b = append(l.b, p...)
	l.b = l.b[max(0, len(l.b)-16):]
	return len(p), nil
}

const streamGrace = time.Second

// slack is what a busy machine may take beyond the time that is promised.
func slack() time.Duration {
	if raceDetector {
		return 10 * time.Second
	}
	return 2 * time.Second
}

const streamSites = `
https://work.example {
	kycvs /ward/* 2
	reverse_proxy %UP% {
		stream_close_delay 5m
	}
}
https://short.example {
	kycvs 2 {
		session %SESSION%
	}
	reverse_proxy %UP%
}
https://fresh.example {
	kycvs 2 {
		max_age %SESSION%
	}
	reverse_proxy %UP%
}
https://shop.example {
	kycvs optional
	reverse_proxy %UP%
}
`

// session is how long a pass lasts where it is short: long enough to begin with
// everything, on a busy machine, too.
func session() time.Duration {
	if raceDetector {
		return 10 * time.Second
	}
	return 4 * time.Second
}

func streamSetup() setup {
	return setup{
		kycvs: "stream_grace " + streamGrace.String() + "\nlimits {\n codes_per_ip 1000 1h\n codes_per_mobile 100 1h\n}",
		env:   []string{"GODEBUG=http2xconnect=1"},
		sites: strings.ReplaceAll(streamSites, "%SESSION%", session().String()),
	}
}

// What is under way ends at both sides within stream_grace of its pass, over
// every protocol, and what rests on another's pass goes on.
func TestStreamsEndWithTheirPass(t *testing.T) {
	t.Parallel()
	in := start(t, streamSetup())
	up := &lasting{ended: map[string]time.Time{}}
	in.up.on("/", up.answer)
	var signingIn sync.Mutex // codes of one number arrive in one place
	t.Run("ends", func(t *testing.T) {
		for _, how := range []struct{ name, site string }{
			{"withdrawn", "https://work.example"},
			{"withdrawn at an optional gate", "https://shop.example"},
			{"session", "https://short.example"},
			{"max_age", "https://fresh.example"},
		} {
			for _, protocol := range protocols {
				t.Run(how.name+" "+protocol, func(t *testing.T) {
					t.Parallel()
					mark := "?" + url.QueryEscape(how.name+protocol)
					other := in.browse(t, "https://work.example")
					signingIn.Lock()
					other.signIn(joseph)
					signingIn.Unlock()
					well := in.open(t, protocol, request{method: "GET", host: "work.example", path: "/ward/socket" + mark + "well", cookie: other.cookies()})
					defer well.close()
					if a := well.head(); a.status != 101 && a.status != 200 {
						t.Fatal(a)
					}

					b := in.browse(t, how.site)
					signingIn.Lock()
					b.signIn(asha)
					signingIn.Unlock()
					ends := time.Now().Add(session()) // at the latest
					host := strings.TrimPrefix(how.site, "https://")
					open := func(method, path, body string) *line {
						l := in.open(t, protocol, request{method: method, host: host, path: path + mark, cookie: b.cookies(), body: body})
						t.Cleanup(l.close)
						return l
					}
					socket := open("GET", "/ward/socket", "")
					events := open("GET", "/ward/events", "")
					download := open("GET", "/ward/download", "")
					poll := open("GET", "/ward/poll", "")
					upload := open("POST", "/ward/upload", "the beginning")
					for _, l := range []*line{socket, events, download} {
						if a := l.head(); a.status != 101 && a.status != 200 {
							t.Fatal(a)
						}
					}
					echo := func(l *line) {
						t.Helper()
						if err := l.send(clientFrame("hello")); err != nil {
							t.Error(err)
						} else if back := l.echo(t); string(back) != "hello" {
							t.Errorf("%q came back", back)
						}
					}
					echo(socket)
					if strings.HasPrefix(how.name, "withdrawn") {
						ends = time.Now()
						if a := b.json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
							t.Fatal(a)
						}
					}
					latest := ends.Add(streamGrace + slack())
					within := func(what string, at time.Time) {
						t.Helper()
						if at.After(latest) {
							t.Errorf("%s ended %v after its pass, want at most %v", what, at.Sub(ends), streamGrace)
						}
					}

					socket.rest()
					within("the web socket", time.Now())
					if events.rest() {
						t.Error("the events look complete")
					}
					within("the events", time.Now())
					refused := 401
					if host == "shop.example" {
						refused = 503
					}
					// A machine that is too busy to refuse in time breaks the connection off.
					if a := poll.answer(); a.err == nil && a.status != refused {
						t.Errorf("the poll: %v, want %d or an end", a, refused)
					}
					within("the poll", time.Now())
					if a := upload.answer(); a.err == nil && a.status != refused {
						t.Errorf("the upload: %v, want %d or an end", a, refused)
					}
					within("the upload", time.Now())
					for _, path := range []string{"/ward/socket", "/ward/events", "/ward/download", "/ward/poll"} {
						within("at the upstream "+path, up.endedAt(t, path+mark))
					}
					// the download's client has read nothing until now
					if download.rest() {
						t.Error("the download looks complete")
					}
					within("the download", time.Now())
					eventually(t, "the upstream sees the upload's end", func() bool {
						in.up.mu.Lock()
						defer in.up.mu.Unlock()
						for _, q := range in.up.seen {
							if q.target == "/ward/upload"+mark && q.broken != "" {
								return true
							}
						}
						return false
					})
					within("the upload at the upstream", time.Now())
					echo(well)
					if _, ended := up.when("/ward/socket" + mark + "well"); ended {
						t.Error("somebody else's web socket was cut")
					}
				})
			}
		}
	})
	_, metrics := in.adminGet("/metrics")
	for _, reason := range []string{"expired", "withdrawn"} {
		if !strings.Contains(metrics, `caddy_kycvs_streams_cut_total{reason="`+reason+`"}`) {
			t.Errorf("no count of streams cut because the pass was %s", reason)
		}
	}
}

// Streams that began under an earlier configuration are watched still, and left
// alone while their pass counts.
func TestStreamsAcrossReloads(t *testing.T) {
	t.Parallel()
	s := streamSetup()
	in := start(t, s)
	up := &lasting{ended: map[string]time.Time{}}
	in.up.on("/", up.answer)
	open := func(p person) (*browser, *line, *line) {
		b := in.browse(t, "https://work.example")
		b.signIn(p)
		var lines []*line
		for _, path := range []string{"/ward/socket", "/ward/events"} {
			l := in.open(t, http1, request{method: "GET", host: "work.example", path: path + "?" + p.mobile[:6], cookie: b.cookies()})
			t.Cleanup(l.close)
			if a := l.head(); a.status != 101 && a.status != 200 {
				t.Fatal(a)
			}
			lines = append(lines, l)
		}
		return b, lines[0], lines[1]
	}
	_, before := in.goroutines()
	b, socket, events := open(asha)
	_, well, _ := open(joseph)
	for range 3 {
		in.reload(s)
	}
	time.Sleep(2 * streamGrace)
	for _, l := range []*line{socket, well} {
		if err := l.send(clientFrame("hello")); err != nil {
			t.Fatal(err)
		}
		if back := l.echo(t); string(back) != "hello" {
			t.Fatalf("%q came back", back)
		}
	}
	again := b.as(t)
	again.c.CloseIdleConnections()
	began := time.Now()
	if a := again.json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
		t.Fatal(a)
	}
	socket.rest()
	if events.rest() {
		t.Error("the events look complete")
	}
	if took := time.Since(began); took > streamGrace+slack() {
		t.Errorf("cut after %v", took)
	}
	if err := well.send(clientFrame("hello")); err != nil {
		t.Fatal(err)
	}
	if back := well.echo(t); string(back) != "hello" {
		t.Fatalf("%q came back", back)
	}
	well.close()
	in.up.on("/", ordinary)
	eventually(t, "no goroutine of ours is left over", func() bool {
		_, now := in.goroutines()
		return now <= before+3 // the events that are still under way
	})
}
