package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/registry/loading"
)

// load asks for people until it is ended, and keeps every answer's time.
type load struct {
	end     context.CancelFunc
	asking  sync.WaitGroup
	mu      sync.Mutex
	took    []time.Duration
	failed  []error
	started time.Time
}

func startLoad(t *testing.T, r *Registry, clients, numbers int) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{end: cancel, started: time.Now()}
	t.Cleanup(func() { cancel(); l.asking.Wait() })
	for range clients {
		l.asking.Go(func() {
			for ctx.Err() == nil {
				begin := time.Now()
				records, err := r.Lookup(context.Background(), number(rand.IntN(numbers)))
				if err == nil && (len(records) != 1 || records[0].Name != "Asha Rao") {
					err = fmt.Errorf("%d records", len(records))
				}
				l.mu.Lock()
				l.took = append(l.took, time.Since(begin))
				if err != nil {
					l.failed = append(l.failed, err)
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

// answered waits for n answers from now on.
func (l *load) answered(t *testing.T, n int) {
	t.Helper()
	l.mu.Lock()
	from := len(l.took)
	l.mu.Unlock()
	eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.took) >= from+n
	})
}

// stop says how it went, and fails the test if a lookup was not answered.
func (l *load) stop(t *testing.T, what string) {
	t.Helper()
	l.end()
	l.asking.Wait()
	if len(l.failed) > 0 {
		t.Errorf("%s: %d of %d lookups failed, first: %v", what, len(l.failed), len(l.took), l.failed[0])
	}
	t.Logf("%s: %d lookups, %.0f a second, the longest took %v", what, len(l.took),
		float64(len(l.took))/time.Since(l.started).Seconds(), slices.Max(l.took).Round(time.Millisecond))
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within 30 s")
		}
	}
}

func TestFailover(t *testing.T) {
	t.Parallel()
	p := primary(t)
	s := standbyOf(t, p)
	dsn := dsnOf(p, s)
	const numbers = 1000
	e := writer(t, dsn)
	fill(t, e, numbers)
	onStandby := open(t, dsnOf(s))
	eventually(t, func() bool { return names(onStandby, number(0)) == "Asha Rao" })

	var log safeBuffer
	r, err := Open(t.Context(), Config{DSN: dsn, Secrets: [][]byte{secret}, Timeout: 6 * time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	first, second := r.hosts.all[0], r.hosts.all[1]
	if first.standby.Load() || !second.standby.Load() {
		t.Errorf("standby: first %v, second %v", first.standby.Load(), second.standby.Load())
	}

	// A primary that hangs, and recovers.
	l := startLoad(t, r, 8, numbers)
	l.answered(t, 1000)
	if n := second.pool.Stat().TotalConns(); n > 0 {
		t.Errorf("%d connections to the standby while the primary is well", n)
	}
	p.signal(syscall.SIGSTOP)
	l.answered(t, 1000)
	if !first.down.Load() {
		t.Error("the primary that hangs is taken for well")
	}
	p.signal(syscall.SIGCONT)
	eventually(t, func() bool { return !first.down.Load() })
	l.answered(t, 1000)
	l.stop(t, "a primary that hung")

	// A primary that dies.
	l = startLoad(t, r, 8, numbers)
	l.answered(t, 1000)
	p.kill()
	l.answered(t, 2000)
	if err := r.Ready(t.Context()); err != nil {
		t.Errorf("not ready with a standby: %v", err)
	}
	l.stop(t, "a primary that died")

	if _, err := e.Begin(t.Context(), false); err == nil || !strings.Contains(err.Error(), "standby") {
		t.Errorf("an import with nothing but a standby: %v", err)
	}

	// An instance that starts while the primary is dead.
	if got := names(open(t, dsn), number(1)); got != "Asha Rao" {
		t.Errorf("started without the primary: %s", got)
	}

	// The standby becomes the primary: imports go on, too.
	s.run("pg_ctl", "promote", "--pgdata="+s.data, "--wait")
	put(t, e, number(0), ravi())
	if got := names(r, number(0)); got != "Ravi Kumar" {
		t.Errorf("after an import into the standby that was promoted: %s", got)
	}
	if strings.Contains(log.String(), "kycvs:kycvs") || !strings.Contains(log.String(), first.address) {
		t.Errorf("log: %s", log.String())
	}

	// Nothing is left.
	s.kill()
	begin := time.Now()
	if _, err := r.Lookup(t.Context(), number(1)); !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "kycvs:kycvs") {
		t.Errorf("no server: %v", err)
	}
	if took := time.Since(begin); took > 7*time.Second {
		t.Errorf("no server: it took %v to say so", took)
	}
	if err := r.Ready(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
}

func TestPreferStandby(t *testing.T) {
	t.Parallel()
	p := primary(t)
	s := standbyOf(t, p)
	fill(t, writer(t, with(t, dsnOf(p, s), "target_session_attrs", "prefer-standby")), 10)
	onStandby := open(t, dsnOf(s))
	eventually(t, func() bool { return names(onStandby, number(0)) == "Asha Rao" })

	r := open(t, with(t, dsnOf(p, s), "target_session_attrs", "prefer-standby"))
	only := open(t, with(t, dsnOf(s, p), "target_session_attrs", "primary"))
	for _, r := range []*Registry{r, only} {
		for i := range 10 {
			if got := names(r, number(i)); got != "Asha Rao" {
				t.Errorf("%d: %s", i, got)
			}
		}
	}
	if n := r.hosts.all[0].pool.Stat().AcquireCount(); n > 0 {
		t.Errorf("prefer-standby: the primary was asked %d times", n)
	}
	s.kill()
	if got := names(r, number(0)); got != "Asha Rao" {
		t.Errorf("prefer-standby, and the standby is dead: %s", got)
	}
	p.kill()
	if _, err := only.Lookup(t.Context(), number(0)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("primary: %v", err)
	}
}

// A server that restarts breaks the connections that were idle, and nobody's lookup.
func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	fill(t, writer(t, dsn), 100)
	r := open(t, with(t, dsn, "application_name", "kycvs_broken"))
	l := startLoad(t, r, 8, 100)
	for range 5 {
		l.answered(t, 200)
		execute(t, dsn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kycvs_broken'")
	}
	l.answered(t, 200)
	l.stop(t, "connections that were cut")
}

func TestMigratedByTwoAtOnce(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	e := writer(t, dsn)
	var both sync.WaitGroup
	for i := range 4 {
		both.Go(func() {
			b, err := e.Begin(t.Context(), false)
			if err != nil {
				t.Error(err)
				return
			}
			defer b.Abort()
			row, change := rowOf(t, b, number(i), asha())
			if err := b.Put(t.Context(), loading.Part{Last: true, Rows: []loading.Row{row}}); err != nil {
				t.Error(err)
			}
			if err := b.Commit(t.Context(), change); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	r := open(t, dsn)
	for i := range 4 {
		if got := names(r, number(i)); got != "Asha Rao" {
			t.Errorf("%d: %s", i, got)
		}
	}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
