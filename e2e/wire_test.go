package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// The three protocols a client may speak.
const (
	http1  = "HTTP/1.1"
	http2_ = "HTTP/2"
	http3  = "HTTP/3"
)

var protocols = []string{http1, http2_, http3}

// request is a request as an attacker writes it: nothing is checked, sorted or
// put into canonical form.
type request struct {
	method   string // default GET, or POST with a body
	host     string // e.g. "work.example"
	path     string
	cookie   string  // "" for none
	fields   []field // after our own
	body     string  // sent in two pieces if there are trailers
	trailers []field
	protocol string // :protocol of an extended CONNECT
}

// wireAnswer is what came back.
type wireAnswer struct {
	status   int
	fields   []field
	body     []byte
	trailers []field
	early    [][]field // 1xx answers
	err      error     // the connection or the stream was ended instead
}

func (a *wireAnswer) String() string {
	if a.err != nil {
		return "refused: " + a.err.Error()
	}
	return fmt.Sprintf("%d %v %.300q", a.status, a.fields, a.body)
}

func (a *wireAnswer) value(name string) string {
	if vs := valuesOf(a.fields, name); len(vs) > 0 {
		return vs[0]
	}
	return ""
}

// send sends a request over TLS with one of the protocols, on a connection of
// its own.
func (in *instance) send(t testing.TB, protocol string, q request) *wireAnswer {
	t.Helper()
	if q.method == "" {
		if q.method = "GET"; q.body != "" || q.trailers != nil {
			q.method = "POST"
		}
	}
	switch protocol {
	case http1:
		return in.send1(t, q)
	case http2_:
		return in.send2(t, q)
	case http3:
		return in.send3(t, q)
	}
	t.Fatal("no protocol ", protocol)
	return nil
}

func (in *instance) tlsConfig(host, alpn string) *tls.Config {
	return &tls.Config{ServerName: host, InsecureSkipVerify: true, NextProtos: []string{alpn}}
}

func (in *instance) dialTLS(t testing.TB, host, alpn string) net.Conn {
	t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(in.tlsPort)), in.tlsConfig(host, alpn))
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	return c
}

func (in *instance) dialPlain(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(in.httpPort)), patience)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	return c
}

func (in *instance) authority(host string) string { return host + ":" + strconv.Itoa(in.tlsPort) }

// head1 is the request's head in HTTP/1.1, without the empty line.
func (q request) head1(authority string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", q.method, q.path, authority)
	if q.cookie != "" {
		fmt.Fprintf(&b, "Cookie: %s\r\n", q.cookie)
	}
	for _, f := range q.fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
	}
	return b.String()
}

func (in *instance) send1(t testing.TB, q request) *wireAnswer {
	t.Helper()
	raw := q.head1(in.authority(q.host))
	switch {
	case q.trailers != nil:
		raw += "Transfer-Encoding: chunked\r\n\r\n"
		half := len(q.body) / 2
		for _, part := range []string{q.body[:half], q.body[half:]} {
			if part != "" {
				raw += fmt.Sprintf("%x\r\n%s\r\n", len(part), part)
			}
		}
		raw += "0\r\n"
		for _, f := range q.trailers {
			raw += f.name + ": " + f.value + "\r\n"
		}
		raw += "\r\n"
	case q.body != "":
		raw += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(q.body), q.body)
	default:
		raw += "\r\n"
	}
	c := in.dialTLS(t, q.host, "http/1.1")
	defer c.Close()
	return exchange1(c, raw, q.method)
}

// exchange1 writes raw bytes and reads one answer.
func exchange1(c net.Conn, raw, method string) *wireAnswer {
	if _, err := io.WriteString(c, raw); err != nil {
		return &wireAnswer{err: err}
	}
	return readAnswer1(bufio.NewReader(c), method)
}

// readAnswer1 reads an HTTP/1.1 answer with its fields as they came.
func readAnswer1(r *bufio.Reader, method string) *wireAnswer {
	a := &wireAnswer{}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			a.err = fmt.Errorf("no answer: %w", err)
			return a
		}
		_, status, _ := strings.Cut(line, " ")
		if a.status, err = strconv.Atoi(strings.TrimSpace(status[:min(3, len(status))])); err != nil {
			a.err = fmt.Errorf("no status in %q", line)
			return a
		}
		if a.fields, err = readFields(r); err != nil {
			a.err = err
			return a
		}
		if a.status/100 != 1 || a.status == http.StatusSwitchingProtocols {
			break
		}
		a.early = append(a.early, a.fields)
	}
	if a.status == http.StatusSwitchingProtocols || a.status == http.StatusNoContent || a.status == http.StatusNotModified || method == "HEAD" {
		return a
	}
	var err error
	switch n, nerr := strconv.ParseInt(a.value("Content-Length"), 10, 64); {
	case strings.EqualFold(a.value("Transfer-Encoding"), "chunked"):
		if a.body, err = io.ReadAll(httputil.NewChunkedReader(r)); err == nil {
			a.trailers, err = readFields(r)
		}
	case nerr == nil:
		a.body = make([]byte, n)
		_, err = io.ReadFull(r, a.body)
	case strings.EqualFold(a.value("Connection"), "close"):
		a.body, err = io.ReadAll(r)
	}
	if err != nil {
		a.err = fmt.Errorf("%d, then: %w", a.status, err)
	}
	return a
}

func readFields(r *bufio.Reader) ([]field, error) {
	var lines []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("fields cut short: %w", err)
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return parseFields(lines), nil
		}
		lines = append(lines, line)
	}
}

// pseudo is the request's fields for HTTP/2 and HTTP/3.
func (q request) pseudo(authority string) []field {
	fs := []field{{":method", q.method}}
	if q.protocol != "" {
		fs = append(fs, field{":protocol", q.protocol})
	}
	if q.method != "CONNECT" || q.protocol != "" {
		fs = append(fs, field{":scheme", "https"}, field{":path", q.path})
	}
	fs = append(fs, field{":authority", authority})
	if q.cookie != "" {
		fs = append(fs, field{"cookie", q.cookie})
	}
	return append(fs, q.fields...)
}

// conn2 is an HTTP/2 connection, frame by frame.
type conn2 struct {
	c    net.Conn
	f    *http2.Framer
	enc  *hpack.Encoder
	buf  bytes.Buffer
	next uint32
}

func (in *instance) dial2(t testing.TB, host string) *conn2 {
	t.Helper()
	c := in.dialTLS(t, host, "h2")
	io.WriteString(c, http2.ClientPreface)
	h := &conn2{c: c, f: http2.NewFramer(c, c), next: 1}
	h.f.AllowIllegalWrites = true
	h.f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	h.enc = hpack.NewEncoder(&h.buf)
	h.f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	h.f.WriteWindowUpdate(0, 1<<30)
	return h
}

func (h *conn2) headers(id uint32, fs []field, end bool) error {
	h.buf.Reset()
	for _, f := range fs {
		h.enc.WriteField(hpack.HeaderField{Name: f.name, Value: f.value})
	}
	block := h.buf.Bytes()
	first := block[:min(len(block), 16<<10)]
	if err := h.f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(first) == len(block)}); err != nil {
		return err
	}
	for block = block[len(first):]; len(block) > 0; {
		part := block[:min(len(block), 16<<10)]
		block = block[len(part):]
		if err := h.f.WriteContinuation(id, len(block) == 0, part); err != nil {
			return err
		}
	}
	return nil
}

// start sends a request and returns its stream; open leaves the stream open
// for what the caller writes.
func (h *conn2) start(q request, authority string, open bool) (uint32, error) {
	id := h.next
	h.next += 2
	plain := q.body == "" && q.trailers == nil
	if err := h.headers(id, q.pseudo(authority), plain && !open); err != nil || plain {
		return id, err
	}
	if err := h.f.WriteData(id, q.trailers == nil && !open, []byte(q.body)); err != nil || q.trailers == nil {
		return id, err
	}
	return id, h.headers(id, q.trailers, true)
}

// read reads frames until the stream ends, or, with head, until its fields came.
func (h *conn2) read(id uint32, head bool) *wireAnswer {
	a := &wireAnswer{}
	for {
		frame, err := h.f.ReadFrame()
		if err != nil {
			a.err = fmt.Errorf("connection: %w", err)
			return a
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				h.f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				h.f.WritePing(true, f.Data)
			}
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				a.err = fmt.Errorf("GOAWAY %v", f.ErrCode)
				return a
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == id && a.status == 0 {
				a.err = fmt.Errorf("RST_STREAM %v", f.ErrCode)
			}
			if f.StreamID == id {
				return a
			}
		case *http2.MetaHeadersFrame:
			if f.StreamID != id {
				continue
			}
			var fs []field
			for _, x := range f.Fields {
				fs = append(fs, field{x.Name, x.Value})
			}
			a.take(fs)
			if f.StreamEnded() || head && a.status >= 200 {
				return a
			}
		case *http2.DataFrame:
			if f.StreamID != id {
				continue
			}
			a.body = append(a.body, f.Data()...)
			if f.StreamEnded() {
				return a
			}
		}
	}
}

// take sorts a header block of HTTP/2 or HTTP/3 into the answer.
func (a *wireAnswer) take(fs []field) {
	if len(fs) == 0 || fs[0].name != ":status" {
		a.trailers = fs
		return
	}
	status, _ := strconv.Atoi(fs[0].value)
	if status/100 == 1 {
		a.early = append(a.early, fs[1:])
		return
	}
	a.status, a.fields = status, fs[1:]
}

func (in *instance) send2(t testing.TB, q request) *wireAnswer {
	t.Helper()
	h := in.dial2(t, q.host)
	defer h.c.Close()
	id, err := h.start(q, in.authority(q.host), false)
	if err != nil {
		return &wireAnswer{err: err}
	}
	return h.read(id, false)
}

// stream3 is one request over an HTTP/3 connection of its own, frame by frame
// (RFC 9114, section 7).
type stream3 struct {
	c *quic.Conn
	s *quic.Stream
	r *bufio.Reader
}

func (in *instance) dial3(t testing.TB, host string) *stream3 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := quic.DialAddr(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(in.tlsPort)), in.tlsConfig(host, "h3"), nil)
	if err != nil {
		t.Fatal("HTTP/3:", err)
	}
	control, err := c.OpenUniStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	control.Write([]byte{0x00, 0x04, 0x00}) // a control stream, SETTINGS, none
	s, err := c.OpenStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s.SetDeadline(time.Now().Add(patience))
	return &stream3{c, s, bufio.NewReader(s)}
}

func (h *stream3) close() { h.c.CloseWithError(0x100, "") } // H3_NO_ERROR

func (h *stream3) frame(kind uint64, payload []byte) {
	b := quicvarint.Append(nil, kind)
	b = quicvarint.Append(b, uint64(len(payload)))
	h.s.Write(append(b, payload...))
}

func (h *stream3) headers(fs []field) {
	var buf bytes.Buffer
	enc := qpack.NewEncoder(&buf)
	for _, f := range fs {
		enc.WriteField(qpack.HeaderField{Name: f.name, Value: f.value})
	}
	h.frame(0x01, buf.Bytes())
}

// read reads frames until the stream ends, or, with head, until its fields came.
func (h *stream3) read(head bool) *wireAnswer {
	a := &wireAnswer{}
	for {
		kind, err := quicvarint.Read(h.r)
		if err == io.EOF {
			if a.status == 0 {
				a.err = errors.New("stream ended without an answer")
			}
			return a
		}
		if err != nil {
			a.err = err
			return a
		}
		n, err := quicvarint.Read(h.r)
		if err != nil {
			a.err = err
			return a
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(h.r, payload); err != nil {
			a.err = err
			return a
		}
		switch kind {
		case 0x00:
			a.body = append(a.body, payload...)
		case 0x01:
			var fs []field
			for next := qpack.NewDecoder().Decode(payload); ; {
				f, err := next()
				if err != nil {
					break
				}
				fs = append(fs, field{f.Name, f.Value})
			}
			a.take(fs)
			if head && a.status >= 200 {
				return a
			}
		}
	}
}

func (in *instance) send3(t testing.TB, q request) *wireAnswer {
	t.Helper()
	h := in.dial3(t, q.host)
	defer h.close()
	h.headers(q.pseudo(in.authority(q.host)))
	if q.body != "" {
		h.frame(0x00, []byte(q.body))
	}
	if q.trailers != nil {
		h.headers(q.trailers)
	}
	h.s.Close()
	return h.read(false)
}

// lower is a field name as HTTP/2 and HTTP/3 write it.
func lower(protocol, name string) string {
	if protocol == http1 {
		return name
	}
	return strings.ToLower(name)
}
