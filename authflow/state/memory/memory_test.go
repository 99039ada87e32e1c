package memory

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/authflow/state/statetest"
)

func TestStore(t *testing.T) {
	statetest.RunIn(t, synctest.Test, func(t *testing.T) state.Store { return open(t, Config{}) })
}

// TestStoreRealTime is the suite as other engines run it.
func TestStoreRealTime(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for real time")
	}
	statetest.Run(t, func(t *testing.T) state.Store { return open(t, Config{}) })
}

func open(t testing.TB, cfg Config) *Store {
	s := Open(cfg)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func take(s *Store, budgets ...state.Budget) error {
	_, err := s.Take(context.Background(), budgets...)
	return err
}

// numbered returns a key for n, spread over the shards as hashes are.
func numbered(n int) (k state.Key) {
	binary.LittleEndian.PutUint64(k[:], uint64(n)*0x9e3779b97f4a7c15)
	binary.LittleEndian.PutUint64(k[8:], uint64(n))
	return k
}

func TestHandshakesFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 100
		s := open(t, Config{MaxHandshakes: limit})
		for i := range limit {
			if err := s.Create(t.Context(), numbered(i), state.Handshake{Sends: i}, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Create(t.Context(), numbered(limit), state.Handshake{}, time.Minute); err != state.ErrFull {
			t.Fatalf("Create over the bound: got %v, want ErrFull", err)
		}
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("a full store is not ready: %v", err)
		}
		for i := range limit {
			if h, err := s.Load(t.Context(), numbered(i)); err != nil || h.Sends != i {
				t.Fatalf("handshake %d was evicted: %v", i, err)
			}
		}
		if err := s.Delete(t.Context(), numbered(7)); err != nil {
			t.Fatal(err)
		}
		if err := s.Create(t.Context(), numbered(limit), state.Handshake{}, time.Minute); err != nil {
			t.Fatalf("Create after Delete: %v", err)
		}
	})
}

// TestFullSweeps fills the store with what expires between two rounds of the
// sweeper: whoever comes then gets its room.
func TestFullSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 1000
		s := open(t, Config{MaxHandshakes: limit, MaxCounters: limit})
		short := sweepEvery / 4
		for i := range limit {
			if err := s.Create(t.Context(), numbered(i), state.Handshake{}, short); err != nil {
				t.Fatal(err)
			}
			if err := take(s, state.Budget{Key: numbered(i), Limit: 1, Window: short}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(short)
		for i := range limit {
			if err := s.Create(t.Context(), numbered(limit+i), state.Handshake{}, time.Minute); err != nil {
				t.Fatal(err)
			}
			if err := take(s, state.Budget{Key: numbered(limit + i), Limit: 1, Window: time.Minute}); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.handshakes.used.Load(); n != limit {
			t.Errorf("%d handshakes counted, want %d", n, limit)
		}
	})
}

// TestFullSweepsSeldom counts how often a flood makes the store walk over
// everything.
func TestFullSweepsSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := newTable(1)
		start, sweeps := time.Now(), 0
		last := int64(0)
		for range 10_000 {
			tab.makeRoom(tab.sweepPart)
			if now := tab.lastFull.Load(); now != last {
				last = now
				sweeps++
			}
			time.Sleep(time.Millisecond)
		}
		if most := int(time.Since(start)/fullSweepEvery) + 1; sweeps > most {
			t.Errorf("%d sweeps in %v, want at most %d", sweeps, time.Since(start), most)
		}
	})
}

func TestHandshakeWeight(t *testing.T) {
	for _, test := range []struct {
		sealed, units int
	}{
		{0, 1}, {700, 1}, {weightUnit - weightFixed, 1}, {weightUnit - weightFixed + 1, 2}, {10 * weightUnit, 11},
	} {
		if got := newRecord(state.Handshake{Sealed: make([]byte, test.sealed)}).weight(); got != int64(test.units) {
			t.Errorf("%d sealed bytes weigh %d, want %d", test.sealed, got, test.units)
		}
	}
	s := open(t, Config{MaxHandshakes: 10})
	big := state.Handshake{Sealed: make([]byte, 4*weightUnit)}
	for i, want := range []error{nil, nil, state.ErrFull} {
		if err := s.Create(t.Context(), numbered(i), big, time.Minute); err != want {
			t.Fatalf("Create %d: got %v, want %v", i, err, want)
		}
	}
	for i := range 2 {
		if err := s.Delete(t.Context(), numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.handshakes.used.Load(); n != 0 {
		t.Errorf("an empty table counts %d", n)
	}
}

// TestCountersFull is the attack of filling the store until a counter is
// forgotten: the hot one stays, and is still charged.
func TestCountersFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 500
		s := open(t, Config{MaxCounters: limit})
		hot := state.Budget{Name: "hot", Key: numbered(0), Limit: 3, Window: time.Hour}
		for range 2 {
			if err := take(s, hot); err != nil {
				t.Fatal(err)
			}
		}
		full := 0
		for i := range 10 * limit {
			err := take(s, state.Budget{Key: numbered(i + 1), Limit: 1, Window: time.Hour})
			switch {
			case err == state.ErrFull:
				full++
			case err != nil:
				t.Fatal(err)
			}
		}
		if want := 10*limit - (limit - 1); full != want {
			t.Errorf("%d were refused, want %d", full, want)
		}
		other := state.Budget{Name: "other", Key: numbered(-1), Limit: 3, Window: time.Hour}
		if err := take(s, hot, other); err != state.ErrFull {
			t.Fatalf("Take with a new counter: got %v, want ErrFull", err)
		}
		if err := take(s, hot); err != nil {
			t.Fatalf("third charge of the hot counter: %v", err)
		}
		var l *state.LimitError
		if err := take(s, hot); !errors.As(err, &l) || l.RetryAfter != time.Hour {
			t.Fatalf("fourth charge of the hot counter: got %v (%+v), want its limit and the whole hour", err, l)
		}
		// Room comes back when a counter is given back in full.
		if err := s.GiveBack(t.Context(), state.Return{Key: numbered(1)}); err != nil {
			t.Fatal(err)
		}
		if err := take(s, other); err != nil {
			t.Fatalf("Take after GiveBack: %v", err)
		}
	})
}

// TestRetryAfterIsEnough waits as long as the error says and no longer.
func TestRetryAfterIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Config{})
		b := state.Budget{Key: numbered(1), Limit: 1, Window: 90 * time.Second}
		if err := take(s, b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Second)
		var l *state.LimitError
		if err := take(s, b); !errors.As(err, &l) {
			t.Fatalf("got %v, want a LimitError", err)
		}
		if l.RetryAfter != 59*time.Second {
			t.Errorf("RetryAfter is %v, want 59s", l.RetryAfter)
		}
		time.Sleep(l.RetryAfter)
		if err := take(s, b); err != nil {
			t.Errorf("after RetryAfter: %v", err)
		}
	})
}

func TestSweeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Config{})
		const n = 10_000
		for i := range n {
			ttl := time.Minute
			if i%2 == 1 {
				ttl = time.Hour
			}
			if err := s.Create(t.Context(), numbered(i), state.Handshake{}, ttl); err != nil {
				t.Fatal(err)
			}
			if err := take(s, state.Budget{Key: numbered(i), Limit: 1, Window: ttl}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute + sweepEvery*sweepParts + 1)
		synctest.Wait()
		handshakes, counters := 0, 0
		for i := range s.handshakes.all {
			handshakes += s.handshakes.all[i].entries.ItemCount()
		}
		for i := range s.counters.all {
			counters += len(s.counters.all[i].counters)
		}
		if used := s.handshakes.used.Load(); handshakes != n/2 || used != n/2 {
			t.Errorf("%d handshakes kept, %d counted, want %d", handshakes, used, n/2)
		}
		if used := s.counters.used.Load(); counters != n/2 || used != n/2 {
			t.Errorf("%d counters kept, %d counted, want %d", counters, used, n/2)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Open(Config{})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := s.Ready(t.Context()); err == nil {
			t.Error("a closed store is ready")
		}
		// The bubble fails the test if the sweeper is still there.
	})
}

// TestAccounting runs everything at once against a small, overfull store and
// then compares what it counts with what it holds.
func TestAccounting(t *testing.T) {
	s := open(t, Config{MaxHandshakes: 200, MaxCounters: 200})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			ctx := t.Context()
			for i := range 5000 {
				id := numbered((i*7 + g*13) % 500)
				switch (i + g) % 7 {
				case 0:
					_ = s.Create(ctx, id, state.Handshake{Sealed: make([]byte, i%3000)}, time.Duration(1+i%3)*time.Millisecond)
				case 1:
					_ = s.Delete(ctx, id)
				case 2:
					_, _ = s.Spend(ctx, id, [32]byte{})
					_ = s.Reopen(ctx, id, false, time.Millisecond)
				case 3:
					_ = s.GiveBack(ctx, state.Return{Key: id, All: i%3 == 0})
				default:
					_ = take(s, state.Budget{Key: id, Limit: 5, Window: time.Duration(1+i%3) * time.Millisecond},
						state.Budget{Key: numbered(i % 500), Limit: 5, Window: time.Millisecond})
				}
				if i%500 == 0 {
					s.counters.sweepPart(0, 1)
				}
			}
		})
	}
	wg.Wait()
	var handshakes, counters int64
	for i := range s.handshakes.all {
		for _, item := range s.handshakes.all[i].entries.Items() { // but what has expired and is not swept yet
			handshakes += item.Object.(*record).weight()
		}
	}
	for i := range s.counters.all {
		counters += int64(len(s.counters.all[i].counters))
	}
	if used := s.handshakes.used.Load(); used < handshakes || used > s.handshakes.max.Load() {
		t.Errorf("handshakes: %d counted, %d held, bound %d", used, handshakes, s.handshakes.max.Load())
	}
	if used := s.counters.used.Load(); used != counters || used > s.counters.max.Load() {
		t.Errorf("counters: %d counted, %d held, bound %d", used, counters, s.counters.max.Load())
	}
	// Nothing lives longer than 3 ms, so a sweep after that leaves nothing.
	time.Sleep(5 * time.Millisecond)
	s.handshakes.sweepPart(0, 1)
	s.counters.sweepPart(0, 1)
	if h, c := s.handshakes.used.Load(), s.counters.used.Load(); h != 0 || c != 0 {
		t.Errorf("%d handshakes and %d counters are counted in an empty store", h, c)
	}
}

// TestMemory holds the bounds of Config's comments: 1 KiB a handshake.
func TestMemory(t *testing.T) {
	for _, test := range []struct {
		name string
		n    int
		most float64
		add  func(*Store, int) error
	}{
		{"handshake", 50_000, 1024, func(s *Store, i int) error {
			return s.Create(t.Context(), numbered(i), state.Handshake{Sealed: make([]byte, weightUnit-weightFixed)}, time.Hour)
		}},
		{"counter", 200_000, 80, func(s *Store, i int) error {
			return take(s, state.Budget{Key: numbered(i), Limit: 1, Window: time.Hour})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t, Config{})
			before := heap()
			for i := range test.n {
				if err := test.add(s, i); err != nil {
					t.Fatal(err)
				}
			}
			each := float64(heap()-before) / float64(test.n)
			runtime.KeepAlive(s)
			t.Logf("%.0f bytes each", each)
			if each > test.most {
				t.Errorf("%.0f bytes each, want at most %.0f", each, test.most)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Benchmark shows what a step costs with a thousand entries and with a million.
func Benchmark(b *testing.B) {
	for _, n := range []int{1e3, 1e6} {
		s := open(b, Config{MaxHandshakes: 2 * n, MaxCounters: 2 * n})
		for i := range n {
			h := state.Handshake{Sends: 1, Sealed: make([]byte, 200)}
			if err := s.Create(b.Context(), numbered(i), h, time.Hour); err != nil {
				b.Fatal(err)
			}
			if err := take(s, state.Budget{Key: numbered(i), Limit: 1, Window: time.Hour}); err != nil {
				b.Fatal(err)
			}
		}
		var next atomic.Int64
		run := func(name string, f func(i int) error) {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						if err := f(int(next.Add(1)) * 7919); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
		run("Load", func(i int) error {
			_, err := s.Load(b.Context(), numbered(i%n))
			return err
		})
		run("Count", func(i int) error {
			_, err := s.Count(b.Context(), numbered(i%n), state.Key{})
			return err
		})
		run("Take3", func(i int) error {
			const limit = math.MaxInt32
			return take(s,
				state.Budget{Key: numbered(i % n), Limit: limit, Window: time.Hour},
				state.Budget{Key: numbered((i + 1) % n), Limit: limit, Window: time.Hour},
				state.Budget{Key: numbered((i + 2) % n), Limit: limit, Window: time.Hour})
		})
		run("CreateDelete", func(i int) error {
			id := numbered(n + i)
			if err := s.Create(b.Context(), id, state.Handshake{Sends: 1}, time.Hour); err != nil {
				return err
			}
			return s.Delete(b.Context(), id)
		})
		b.Run(fmt.Sprintf("longest lock of a sweep/%d", n), func(b *testing.B) {
			var longest time.Duration
			for b.Loop() {
				for i := range s.counters.all {
					start := time.Now()
					s.counters.sweepPart(i, len(s.counters.all))
					longest = max(longest, time.Since(start))
				}
			}
			b.ReportMetric(float64(longest.Microseconds()), "µs-longest")
		})
	}
}
