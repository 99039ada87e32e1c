package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// upstream is an application that keeps the exact bytes it was sent. It reads
// no more HTTP/1.1 than it must, so that nothing is corrected on the way into
// the record.
type upstream struct {
	addr string

	mu      sync.Mutex
	seen    []*received
	conns   int
	answers map[string]func(*exchange) bool
}

// field is one field line as it came.
type field struct{ name, value string }

// received is one request as it came.
type received struct {
	conn     int    // which connection
	head     []byte // to the empty line
	method   string
	target   string
	fields   []field
	wire     []byte // the body as framed, up to keepBody bytes
	body     []byte // without framing, up to keepBody bytes
	size     int64  // of the body without framing
	trailers []field
	broken   string // why it could not be read to its end
}

const keepBody = 1 << 16

// exchange is what an answer works with. It returns whether the connection can
// carry another request.
type exchange struct {
	*received
	r *bufio.Reader
	c net.Conn
}

func newUpstream(t testing.TB) *upstream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{addr: l.Addr().String(), answers: map[string]func(*exchange) bool{}}
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		defer mu.Unlock()
		for c := range open {
			c.Close()
		}
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			u.mu.Lock()
			u.conns++
			n := u.conns
			u.mu.Unlock()
			go func() {
				u.serve(c, n)
				c.Close()
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			}()
		}
	}()
	return u
}

// on gives the answer for paths that begin with prefix.
func (u *upstream) on(prefix string, f func(*exchange) bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answers[prefix] = f
}

// reply is an answer written as it stands.
func reply(raw string) func(*exchange) bool {
	return func(x *exchange) bool {
		_, err := io.WriteString(x.c, raw)
		return err == nil
	}
}

func (u *upstream) serve(c net.Conn, n int) {
	r := bufio.NewReaderSize(c, 64<<10)
	for {
		q := &received{conn: n}
		if !q.readHead(r) {
			if len(q.head) > 0 {
				u.record(q)
			}
			return
		}
		if strings.EqualFold(q.value("Expect"), "100-continue") {
			io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		u.record(q)
		u.mu.Lock()
		answer, longest := ordinary, -1
		for prefix, f := range u.answers {
			if strings.HasPrefix(q.target, prefix) && len(prefix) > longest {
				answer, longest = f, len(prefix)
			}
		}
		u.mu.Unlock()
		done := u.readBody(q, r)
		if !done || !answer(&exchange{q, r, c}) {
			return
		}
	}
}

// ordinary answers with a line of text.
func ordinary(x *exchange) bool {
	body := "upstream " + x.target + "\n"
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", len(body))
	if x.method == "HEAD" {
		body = ""
	}
	_, err := io.WriteString(x.c, head+body)
	return err == nil
}

func (u *upstream) record(q *received) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen = append(u.seen, q)
}

// take returns what was received since the last call. The body of a request
// that is still being answered may be incomplete.
func (u *upstream) take() []*received {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen := u.seen
	u.seen = nil
	return seen
}

// settled is take for a request that may still be on its way to the upstream
// although its client already has an answer: it waits a moment first.
func (u *upstream) settled() []*received {
	time.Sleep(50 * time.Millisecond)
	return u.take()
}

func (q *received) readHead(r *bufio.Reader) bool {
	for !bytes.HasSuffix(q.head, []byte("\r\n\r\n")) {
		line, err := r.ReadSlice('\n')
		q.head = append(q.head, line...)
		if err != nil && err != bufio.ErrBufferFull {
			q.broken = "head: " + err.Error()
			return false
		}
	}
	lines := strings.Split(strings.TrimSuffix(string(q.head), "\r\n\r\n"), "\r\n")
	q.method, q.target, _ = strings.Cut(lines[0], " ")
	q.target, _, _ = strings.Cut(q.target, " ")
	q.fields = parseFields(lines[1:])
	return true
}

func parseFields(lines []string) []field {
	var fs []field
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ":")
		fs = append(fs, field{name, strings.TrimSpace(value)})
	}
	return fs
}

func (u *upstream) readBody(q *received, r *bufio.Reader) bool {
	keep := func(to *[]byte, p []byte) { // the record may be read meanwhile
		u.mu.Lock()
		defer u.mu.Unlock()
		*to = append(*to, p[:min(len(p), max(0, keepBody-len(*to)))]...)
	}
	take := func(n int64, framed bool) bool {
		buf := make([]byte, 32<<10)
		for n > 0 {
			m, err := r.Read(buf[:min(n, int64(len(buf)))])
			keep(&q.wire, buf[:m])
			if !framed {
				keep(&q.body, buf[:m])
				u.mu.Lock()
				q.size += int64(m)
				u.mu.Unlock()
			}
			n -= int64(m)
			if err != nil {
				u.mu.Lock()
				q.broken = "body: " + err.Error()
				u.mu.Unlock()
				return false
			}
		}
		return true
	}
	if strings.EqualFold(q.value("Transfer-Encoding"), "chunked") {
		for {
			line, err := r.ReadString('\n')
			keep(&q.wire, []byte(line))
			size, _, _ := strings.Cut(strings.TrimSpace(line), ";")
			n, perr := strconv.ParseInt(size, 16, 64)
			if err != nil || perr != nil {
				u.mu.Lock()
				q.broken = "chunk: " + line
				u.mu.Unlock()
				return false
			}
			if n == 0 {
				break
			}
			if !take(n, false) || !take(2, true) {
				return false
			}
		}
		var lines []string
		for {
			line, err := r.ReadString('\n')
			keep(&q.wire, []byte(line))
			if err != nil {
				return false
			}
			if line == "\r\n" {
				break
			}
			lines = append(lines, strings.TrimSuffix(line, "\r\n"))
		}
		u.mu.Lock()
		q.trailers = parseFields(lines)
		u.mu.Unlock()
		return true
	}
	if n, err := strconv.ParseInt(q.value("Content-Length"), 10, 64); err == nil {
		return take(n, false)
	}
	return true
}

// value is the first field of that name, in any case; "" if there is none.
func (q *received) value(name string) string {
	for _, f := range q.fields {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

// values are all fields of that name, in any case.
func (q *received) values(name string) []string { return valuesOf(q.fields, name) }

func valuesOf(fs []field, name string) []string {
	var vs []string
	for _, f := range fs {
		if strings.EqualFold(f.name, name) {
			vs = append(vs, f.value)
		}
	}
	return vs
}

// folded is a field name as the most careless reader sees it.
func folded(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return -1
	}, name)
}

// ours are the fields that could be read as one of the gate's.
func ours(fs []field) []field {
	return slices.DeleteFunc(slices.Clone(fs), func(f field) bool { return !strings.HasPrefix(folded(f.name), "kycvs") })
}
