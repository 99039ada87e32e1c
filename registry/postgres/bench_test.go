package postgres

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/loading"
)

func number(i int) registry.Mobile { return registry.Mobile(fmt.Sprintf("+9198%08d", i)) }

func vaccinated() registry.Record {
	r := asha()
	r.Doses = append(r.Doses, r.Doses[0])
	r.Doses[1].Number, r.Doses[1].Date = 2, r.Doses[0].Date.AddDate(0, 3, 0)
	return r
}

// fill puts n numbers with one person each, in 64 parts, and returns how long the
// database took for them: sealing is not measured here.
func fill(t testing.TB, e *Writer, n int) (took time.Duration) {
	t.Helper()
	return fillFrom(t, e, 0, n)
}

// fillFrom is fill from a first number on.
func fillFrom(t testing.TB, e *Writer, first, n int) (took time.Duration) {
	t.Helper()
	b := begin(t, e)
	rows := make([]loading.Row, n)
	var sealing sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		sealing.Go(func() {
			for i := w; i < n; i += workers {
				m, r := number(first+i), vaccinated()
				r.Mobile = m
				box, err := b.Keys().Seal(nil, m, []registry.Record{r})
				if err != nil {
					t.Error(err)
					return
				}
				rows[i] = loading.Row{Index: b.Keys().Index(m), Box: box, New: true}
			}
		})
	}
	sealing.Wait()
	slices.SortFunc(rows, func(x, y loading.Row) int { return bytes.Compare(x.Index[:], y.Index[:]) })
	start := time.Now()
	const parts = 64
	for p := range parts {
		part := loading.Part{Number: p, Last: p == parts-1, Rows: rows[p*n/parts : (p+1)*n/parts]}
		if err := b.Put(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Commit(t.Context(), loading.Change{Numbers: int64(n), People: int64(n), Doses: int64(2 * n)}); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkPut(b *testing.B) {
	dsn := database(b)
	const n = 1_000_000
	for b.Loop() {
		execute(b, dsn, "DROP TABLE IF EXISTS kycvs_boxes, kycvs_store")
		took := fill(b, writer(b, dsn), n)
		b.ReportMetric(n/took.Seconds(), "numbers/s")
	}
}

func BenchmarkLookup(b *testing.B) {
	dsn := database(b)
	const n = 300_000
	fill(b, writer(b, dsn), n)
	for _, clients := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprint(clients, " clients"), func(b *testing.B) {
			r := open(b, dsn)
			b.ReportAllocs()
			used := cpu()
			var took []time.Duration
			var mu sync.Mutex
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var asking sync.WaitGroup
			for range clients {
				asking.Go(func() {
					var mine []time.Duration
					for left.Add(-1) >= 0 {
						begin := time.Now()
						records, err := r.Lookup(b.Context(), number(rand.IntN(n)))
						if err != nil || len(records) != 1 {
							b.Errorf("%d records, %v", len(records), err)
							return
						}
						mine = append(mine, time.Since(begin))
					}
					mu.Lock()
					took = append(took, mine...)
					mu.Unlock()
				})
			}
			asking.Wait()
			b.StopTimer()
			slices.Sort(took)
			if len(took) > 0 {
				b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			}
			b.ReportMetric(float64((cpu()-used).Nanoseconds())/float64(b.N)/1000, "client-cpu-µs/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lookups/s")
		})
	}
}

// BenchmarkImport imports a file of two million doses of a million people, again,
// and with a correction of every tenth.
func BenchmarkImport(b *testing.B) {
	dsn := database(b)
	const n = 1_000_000
	file := filepath.Join(b.TempDir(), "doses.csv")
	if err := os.WriteFile(file, []byte(people(0, n, 2)), 0o600); err != nil {
		b.Fatal(err)
	}
	correction := filepath.Join(b.TempDir(), "correction.csv")
	if err := os.WriteFile(correction, []byte(strings.ReplaceAll(people(0, n/10, 1), ",1,2,", ",3,2,")), 0o600); err != nil {
		b.Fatal(err)
	}
	e := writer(b, dsn)
	for _, c := range []struct {
		name, file string
		anew       bool
	}{{"first", file, true}, {"again", file, false}, {"correction", correction, false}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if c.anew {
					execute(b, dsn, "DROP TABLE IF EXISTS kycvs_boxes, kycvs_store")
				}
				used := cpu()
				s, err := loading.Run(b.Context(), e, loading.Config{Files: []loading.File{{Name: c.file}}})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(s.Doses)/s.Elapsed.Seconds(), "doses/s")
				b.ReportMetric(float64((cpu()-used).Nanoseconds())/1000/float64(s.Doses), "client-cpu-µs/dose")
			}
			var size int64
			if err := connect(b, dsn).QueryRow(b.Context(), "SELECT pg_total_relation_size('kycvs_boxes')").Scan(&size); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(size)/n, "B/number")
		})
	}
}
