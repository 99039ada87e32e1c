package gate_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/gate"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

const grace = 10 * time.Second

// inBubble runs a test with a clock of its own and streams that go by it.
func inBubble(t *testing.T, f func(*testing.T, *world)) {
	t.Helper()
	w := newWorld(t)
	w.addPartner("ward", "Ward")
	synctest.Test(t, func(t *testing.T) {
		w.services.Now = time.Now
		w.services.Streams = gate.NewStreams(grace, w.services.Withdrawals)
		t.Cleanup(w.services.Streams.Close)
		f(t, w)
	})
}

// passFor seals a pass that was made now.
func (w *world) passFor(consent byte, partner, purpose string, lasts time.Duration) string {
	p := pass.Pass{Subject: [16]byte{1}, Consent: [16]byte{consent}, Status: 2, AuthTime: time.Now().Unix(), Expires: time.Now().Add(lasts).Unix()}
	return pass.NewSealer(w.Secret.Keys("pass"), pass.Scope{Site: "mall.example", Partner: partner, Purpose: purpose}).Seal(p)
}

func (w *world) mallPass(consent byte, lasts time.Duration) string {
	return w.passFor(consent, "mall.example", "Entry to mall.example", lasts)
}

// client is a connection that notes the deadlines set on it.
type client struct {
	*httptest.ResponseRecorder
	mu          sync.Mutex
	read, write int
}

func (c *client) WriteHeader(status int) {
	if status != http.StatusEarlyHints { // which a recorder takes for the answer
		c.ResponseRecorder.WriteHeader(status)
	}
}

func (c *client) SetReadDeadline(time.Time) error  { return c.note(&c.read) }
func (c *client) SetWriteDeadline(time.Time) error { return c.note(&c.write) }
func (c *client) note(n *int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
	return nil
}

// open is a request under way.
type open struct {
	*client
	w     http.ResponseWriter
	r     *http.Request
	v     *gate.Visit
	gates []*gate.Gate
}

func (w *world) begin(t testing.TB, r *http.Request, gates ...*gate.Gate) *open {
	t.Helper()
	o := &open{client: &client{ResponseRecorder: httptest.NewRecorder()}, r: r, v: &gate.Visit{Original: r.URL}, gates: gates}
	o.w = o.client
	for _, g := range gates {
		var ok bool
		if o.w, o.r, ok = g.Admit(o.w, o.r, o.v); !ok {
			t.Fatalf("not let through: %v", o.v.Decision)
		}
	}
	return o
}

func (o *open) end() { o.gates[0].Finish(o.v) }

// cut tells whether the request has ended, and how Cut does it.
func (o *open) cut() (cut, aborted bool) {
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler {
				panic(p)
			}
			cut, aborted = true, true
		}
	}()
	return o.gates[len(o.gates)-1].Cut(o.r, o.v), false
}

func TestStreamsEndWithTheirPass(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(*world) (cookie string, gates []*gate.Gate)
		does func(*world)  // a minute in
		ends time.Duration // 0: never
		why  gate.Ending
	}{
		{"the pass expires", func(w *world) (string, []*gate.Gate) {
			return w.cookie(w.mallPass(1, 5*time.Minute)), []*gate.Gate{w.gate(2)}
		}, nil, 5 * time.Minute, gate.Expired},
		{"the gate's session is over", func(w *world) (string, []*gate.Gate) {
			g := w.gate(2)
			g.Session = 3 * time.Minute
			return w.cookie(w.mallPass(1, 5*time.Minute)), []*gate.Gate{g}
		}, nil, 3 * time.Minute, gate.Expired},
		{"max_age", func(w *world) (string, []*gate.Gate) {
			g := w.gate(2)
			g.MaxAge = 2 * time.Minute
			return w.cookie(w.mallPass(1, 5*time.Minute)), []*gate.Gate{g}
		}, nil, 2 * time.Minute, gate.Expired},
		{"the second gate's max_age", func(w *world) (string, []*gate.Gate) {
			g := w.gate(1)
			g.MaxAge = 2 * time.Minute
			g.Rank = -1 // it attaches nothing
			return w.cookie(w.mallPass(1, 5*time.Minute)), []*gate.Gate{w.gate(2), g}
		}, nil, 2 * time.Minute, gate.Expired},
		{"the second partner's pass", func(w *world) (string, []*gate.Gate) {
			g := w.gate(2)
			g.Partner = 1
			return w.cookie(w.mallPass(1, 5*time.Minute), w.passFor(2, "ward", "Ward", 4*time.Minute)), []*gate.Gate{w.gate(2), g}
		}, nil, 4 * time.Minute, gate.Expired},
		{"withdrawn", func(w *world) (string, []*gate.Gate) {
			return w.cookie(w.mallPass(1, 5*time.Minute)), []*gate.Gate{w.gate(2)}
		}, func(w *world) {
			w.Withdrawals.Add(withdrawals.Withdrawal{Consent: [16]byte{1}, Until: w.Now().Add(time.Hour)})
		}, time.Minute, gate.Withdrawn},
		{"the second partner's consent is withdrawn", func(w *world) (string, []*gate.Gate) {
			g := w.gate(2)
			g.Partner = 1
			return w.cookie(w.mallPass(1, 5*time.Minute), w.passFor(2, "ward", "Ward", 4*time.Minute)), []*gate.Gate{w.gate(2), g}
		}, func(w *world) {
			w.Withdrawals.Add(withdrawals.Withdrawal{Consent: [16]byte{2}, Until: w.Now().Add(time.Hour)})
		}, time.Minute, gate.Withdrawn},
		{"withdrawn where the gate is optional", func(w *world) (string, []*gate.Gate) {
			g := w.gate(0)
			g.Optional = true
			return w.cookie(w.mallPass(1, 5*time.Minute)), []*gate.Gate{g}
		}, func(w *world) {
			w.Withdrawals.Add(withdrawals.Withdrawal{Consent: [16]byte{1}, Until: w.Now().Add(time.Hour)})
		}, time.Minute, gate.Withdrawn},
		{"withdrawn where a new configuration has its stores", func(w *world) (string, []*gate.Gate) {
			return w.cookie(w.mallPass(1, 5*time.Minute)), []*gate.Gate{w.gate(2)}
		}, func(w *world) {
			other := new(withdrawals.Set)
			w.services.Streams.Use(grace, other)
			time.Sleep(3 * time.Second)
			other.Add(withdrawals.Withdrawal{Consent: [16]byte{1}, Until: w.Now().Add(time.Hour)})
		}, time.Minute + 3*time.Second, gate.Withdrawn},
		{"withdrawn right before a new configuration with other stores", func(w *world) (string, []*gate.Gate) {
			return w.cookie(w.mallPass(1, 5*time.Minute)), []*gate.Gate{w.gate(2)}
		}, func(w *world) {
			w.Withdrawals.Add(withdrawals.Withdrawal{Consent: [16]byte{1}, Until: w.Now().Add(time.Hour)})
			w.services.Streams.Use(grace, new(withdrawals.Set))
		}, time.Minute, gate.Withdrawn},
		{"the partner's registration ends", func(w *world) (string, []*gate.Gate) {
			until := time.Now().Add(4 * time.Minute)
			for_ := w.site.Partners[0].For
			w.site.Partners[0].For = func(host string) (authflow.Partner, bool) {
				p, ok := for_(host)
				p.Until = until
				return p, ok
			}
			return w.cookie(w.mallPass(1, 5*time.Minute)), []*gate.Gate{w.gate(2)}
		}, nil, 4 * time.Minute, gate.Expired},
		{"somebody else withdraws", func(w *world) (string, []*gate.Gate) {
			return w.cookie(w.mallPass(1, 12*time.Hour)), []*gate.Gate{w.gate(2)}
		}, func(w *world) {
			w.Withdrawals.Add(withdrawals.Withdrawal{Consent: [16]byte{9}, Until: w.Now().Add(time.Hour)})
		}, 0, 0},
		{"without a pass where the gate is optional", func(w *world) (string, []*gate.Gate) {
			g := w.gate(0)
			g.Optional = true
			return "", []*gate.Gate{g}
		}, nil, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				cookie, gates := c.make(w)
				began := time.Now()
				o := w.begin(t, request("GET", site+"/", cookie), gates...)
				defer o.end()
				if c.does != nil {
					time.Sleep(time.Minute)
					c.does(w)
				}
				select {
				case <-o.r.Context().Done():
				case <-time.After(time.Hour):
				}
				took := time.Since(began)
				cut, _ := o.cut()
				if c.ends == 0 {
					if cut || took < time.Hour {
						t.Fatalf("cut after %v", took)
					}
					return
				}
				if !cut || took < c.ends+grace/2 || took > c.ends+grace {
					t.Errorf("cut %v after %v, want about %v after %v", cut, took, grace, c.ends)
				}
				if n := w.cut[c.why].Load(); n != 1 {
					t.Errorf("%d are counted as %v", n, c.why)
				}
				if !errors.Is(context.Cause(o.r.Context()), context.Canceled) {
					t.Errorf("the cause is %v", context.Cause(o.r.Context()))
				}
			})
		})
	}
}

// Passes go on counting where it is known in time again what was withdrawn.
func TestStreamsWhereWithdrawalsAreNotKnown(t *testing.T) {
	for _, c := range []struct {
		name string
		away time.Duration
		cut  bool
	}{{"a little longer than passes count", time.Minute + grace/2, false}, {"longer", time.Minute + grace, true}} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				b := &flakyBoard{}
				x, err := withdrawals.Open(withdrawals.Config{Board: b, Grace: time.Minute, Logger: slog.New(slog.DiscardHandler)}, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer x.Close()
				time.Sleep(time.Second)
				w.services.Withdrawals = &x.Set
				w.services.Streams.Use(grace, &x.Set)
				o := w.begin(t, request("GET", site+"/", w.cookie(w.mallPass(1, time.Hour))), w.gate(2))
				defer o.end()
				b.away.Store(true)
				time.Sleep(c.away)
				b.away.Store(false)
				time.Sleep(time.Minute)
				if cut, _ := o.cut(); cut != c.cut {
					t.Errorf("cut is %v", cut)
				}
				if c.cut && o.Code != http.StatusServiceUnavailable {
					t.Errorf("answered with %d", o.Code)
				}
			})
		})
	}
}

type flakyBoard struct{ away atomic.Bool }

func (b *flakyBoard) Post(context.Context, []withdrawals.Withdrawal) error { return b.err() }
func (b *flakyBoard) Read(context.Context, withdrawals.Mark) ([]withdrawals.Withdrawal, withdrawals.Mark, bool, error) {
	return nil, "1", false, b.err()
}
func (b *flakyBoard) err() error {
	if b.away.Load() {
		return errors.New("away")
	}
	return nil
}

// What the client gets of a request that is cut.
func TestCut(t *testing.T) {
	optional := func(g *gate.Gate) { g.Optional = true }
	for _, c := range []struct {
		name    string
		gate    func(*gate.Gate)
		request func(method, target, cookie string) *http.Request
		does    func(o *open) // before it is cut
		late    func(o *open) // after
		status  int           // 0: broken off
		forced  int           // deadlines for writing
	}{
		{name: "no answer yet", status: 401},
		{name: "no answer yet, a navigation", request: navigation, status: 303},
		{name: "no answer yet, where the gate is optional", gate: optional, status: 503},
		{name: "the answer begins too late", status: 401, late: func(o *open) {
			o.w.Header().Set("Content-Length", "7")
			o.w.Header().Set("X-Own", "x")
			o.w.WriteHeader(200)
			if _, err := o.w.Write([]byte("success")); err == nil {
				panic("written")
			}
			if err := http.NewResponseController(o.w).Flush(); err == nil {
				panic("flushed")
			}
			if _, err := io.Copy(o.w, strings.NewReader("success")); err == nil {
				panic("copied")
			}
		}},
		{name: "a stream", does: func(o *open) { _, _ = o.w.Write([]byte("data: 1\n\n")) }, forced: 1},
		{name: "early hints", does: func(o *open) { o.w.WriteHeader(103) }, status: 401},
		{name: "a web socket", does: func(o *open) { o.w.WriteHeader(101) }, status: 101, forced: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				g := w.gate(2)
				if c.gate != nil {
					c.gate(g)
				}
				if c.request == nil {
					c.request = request
				}
				r := c.request("GET", site+"/x", w.cookie(w.mallPass(1, time.Minute)))
				r.Body = io.NopCloser(strings.NewReader("body"))
				o := w.begin(t, r, g)
				if c.does != nil {
					c.does(o)
				}
				<-o.r.Context().Done()
				synctest.Wait()
				if c.late != nil {
					c.late(o)
				}
				if _, err := io.ReadAll(o.r.Body); !errors.Is(err, context.Canceled) {
					t.Errorf("the body is read to its end: %v", err)
				}
				o.mu.Lock()
				if o.read != 1 || o.write != c.forced {
					t.Errorf("deadlines: %d for reading, %d for writing", o.read, o.write)
				}
				o.mu.Unlock()
				cut, aborted := o.cut()
				o.end()
				if !cut || aborted != (c.status == 0) {
					t.Fatalf("cut %v, broken off %v", cut, aborted)
				}
				if aborted {
					return
				}
				if c.status != 101 && (o.Code != c.status || o.Header().Get("Cache-Control") != "no-store" || o.Header().Get("X-Own") != "" || o.Header().Get("Content-Length") == "7") {
					t.Errorf("%d %v", o.Code, o.Header())
				}
				if strings.Contains(o.Body.String(), "success") {
					t.Errorf("answered with %q", o.Body)
				}
				if cut, aborted := o.cut(); !cut || aborted {
					t.Error("the gate around it answers once more")
				}
				time.Sleep(time.Hour)
				if o.read != 1 {
					t.Error("touched after its end")
				}
			})
		})
	}
}

// A handler that does not mind is stopped in the round after.
func TestCutIsForced(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		began := time.Now()
		o := w.begin(t, request("GET", site+"/", w.cookie(w.mallPass(1, time.Minute))), w.gate(2))
		defer o.end()
		time.Sleep(time.Minute + grace)
		synctest.Wait()
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.write == 0 {
			t.Errorf("not stopped after %v", time.Since(began))
		}
	})
}

// The context behaves as one that the standard library made.
func TestLifeline(t *testing.T) {
	type key struct{}
	for _, c := range []struct {
		name string
		ends func(w *world, o *open, leave context.CancelFunc)
	}{
		{"the pass ends", func(w *world, _ *open, _ context.CancelFunc) { w.services.Streams.Look(time.Now().Add(time.Hour)) }},
		{"the client leaves", func(_ *world, _ *open, leave context.CancelFunc) { leave() }},
		{"the request has been handled", func(_ *world, o *open, _ context.CancelFunc) { o.end() }},
	} {
		for _, asked := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				w := newWorld(t)
				w.services.Now = time.Now
				ctx, leave := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
				defer leave()
				r := request("GET", site+"/", w.cookie(w.mallPass(1, time.Minute))).WithContext(ctx)
				o := w.begin(t, r, w.gate(2))
				defer func() { o.end() }()
				ctx = o.r.Context()
				var child context.Context
				if asked {
					var cancel context.CancelFunc
					child, cancel = context.WithTimeout(context.WithValue(ctx, key{}, "own"), time.Hour)
					defer cancel()
				}
				if ctx.Err() != nil || ctx.Value(key{}) != "value" {
					t.Fatalf("before: %v, %v", ctx.Err(), ctx.Value(key{}))
				}
				c.ends(w, o, leave)
				if !asked && c.name == "the request has been handled" {
					return // nobody is left to ask
				}
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Second):
					t.Fatal("it does not end")
				}
				if ctx.Err() != context.Canceled || ctx.Value(key{}) != "value" {
					t.Errorf("after: %v, %v", ctx.Err(), ctx.Value(key{}))
				}
				if asked {
					if child.Err() != context.Canceled { // at once, not by a goroutine's leave
						t.Errorf("a context made from it: %v", child.Err())
					}
				}
			})
		}
	}
}

// Requests come and go while others are cut.
func TestStreamsUnderLoad(t *testing.T) {
	w := newWorld(t)
	w.services.Now = time.Now
	observer := &atomicObserver{}
	w.services.Observer = observer
	g := w.gate(2)
	cookies := make([]string, 32)
	for i := range cookies {
		cookies[i] = w.cookie(w.mallPass(byte(i), time.Hour))
	}
	stop := make(chan struct{})
	var watcher, clients sync.WaitGroup
	watcher.Go(func() {
		for later := time.Duration(0); ; later = 2*time.Hour - later { // in turns nobody and everybody is due
			select {
			case <-stop:
				return
			default:
				w.services.Streams.Look(time.Now().Add(later))
			}
		}
	})
	var ended, whole atomic.Int64
	for range 8 {
		clients.Go(func() {
			for i := range 500 {
				r := request("POST", site+"/", cookies[i%len(cookies)])
				r.Body = io.NopCloser(strings.NewReader("body"))
				c := &client{ResponseRecorder: httptest.NewRecorder()}
				v := &gate.Visit{Original: r.URL}
				func() {
					defer g.Finish(v)
					defer func() { _ = recover() }()
					rw, r, ok := g.Admit(c, r, v)
					if !ok {
						t.Error(v.Decision)
						return
					}
					if i%50 == 0 {
						<-r.Context().Done()
					}
					_, _ = io.ReadAll(r.Body)
					_, _ = rw.Write([]byte("answer"))
					if g.Cut(r, v) {
						ended.Add(1)
						return
					}
					whole.Add(1)
				}()
			}
		})
	}
	clients.Wait()
	close(stop)
	watcher.Wait()
	if n := w.services.Streams.Look(time.Now()); n != 0 {
		t.Errorf("%d are left over", n)
	}
	t.Logf("%d whole, %d cut before their answer, %d cut in all", whole.Load(), ended.Load(), observer.cut.Load())
	if observer.cut.Load() < 80 {
		t.Errorf("only %d were cut", observer.cut.Load())
	}
}

type atomicObserver struct{ cut atomic.Int64 }

func (*atomicObserver) Gate(gate.Decision) {}
func (o *atomicObserver) Cut(gate.Ending)  { o.cut.Add(1) }

// The watcher ends with the last stream, not before.
func TestStreamsClose(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := w.begin(t, request("GET", site+"/", w.cookie(w.mallPass(1, time.Minute))), w.gate(2))
		w.services.Streams.Close()
		<-o.r.Context().Done()
		o.end()
	}) // which waits for every goroutine in it
}
