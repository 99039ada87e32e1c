package embedded

import (
	"bufio"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/loading"
)

// KYCVS_BENCH_PEOPLE is how many people the benchmarks have, 100,000 without it.
// KYCVS_BENCH_DIR is where they are kept for the next run, if they are to be, and
// KYCVS_BENCH_CACHE is Config.Cache.
func benchPeople() int {
	if n, err := strconv.Atoi(os.Getenv("KYCVS_BENCH_PEOPLE")); err == nil {
		return n
	}
	return 100_000
}

// benchMobile is the number of person i: no two have the same.
func benchMobile(i int) registry.Mobile {
	return registry.Mobile(fmt.Sprintf("+91%d", 6_000_000_000+uint64(i)*2_654_435_761%3_999_999_979))
}

func benchName(r *rand.Rand) string {
	first := []string{"Asha", "Ravi", "Meena", "Kiran", "Leela", "Dev", "Omar", "Lakshmi", "Venkatesh", "Priyanka", "आशा", "Mohammed"}
	last := []string{"Rao", "Kumar", "Iyer", "Shah", "Nair", "Das", "Ali", "Subramanian", "Chatterjee", "Sharma", "Gupta", "Patil"}
	return first[r.IntN(len(first))] + " " + last[r.IntN(len(last))] + " " + string(rune('A'+r.IntN(26)))
}

// benchFile makes a file of two doses for each person.
func benchFile(b *testing.B, people int) string {
	path := filepath.Join(b.TempDir(), "doses.csv")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w, r := bufio.NewWriterSize(f, 1<<20), rand.New(rand.NewPCG(1, 2))
	fmt.Fprint(w, header)
	for i := range people {
		name, year, id, day := benchName(r), 1940+r.IntN(70), 1e13+r.Uint64N(8e13), 1+r.IntN(28)
		vaccine := []string{"COVISHIELD", "COVISHIELD", "COVISHIELD", "COVAXIN", "CORBEVAX"}[r.IntN(5)]
		for dose := range 2 {
			fmt.Fprintf(w, "%s,%s,%s,%d,2,2021-%02d-%02d,%d,%d,\n", benchMobile(i)[3:], name, vaccine, dose+1, 3+4*dose, day, year, id)
		}
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

func benchConfig(b *testing.B) Config {
	dir := os.Getenv("KYCVS_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	cache, _ := strconv.ParseInt(os.Getenv("KYCVS_BENCH_CACHE"), 10, 64)
	return Config{Dir: dir, Secrets: secret, Cache: cache, Logger: slog.New(slog.DiscardHandler)}
}

// BenchmarkImport imports from CSV, into nothing and again into what is there then.
func BenchmarkImport(b *testing.B) {
	people := benchPeople()
	path := benchFile(b, people)
	for _, again := range []bool{false, true} {
		b.Run(map[bool]string{false: "new", true: "again"}[again], func(b *testing.B) {
			var doses int64
			var size int
			cpu := cpuTime()
			for range b.N {
				b.StopTimer()
				c := Config{Dir: b.TempDir(), Secrets: secret}
				if again {
					benchLoad(b, c, path)
					cpu = cpuTime()
				}
				b.StartTimer()
				doses += benchLoad(b, c, path).Doses
				size = 0
				for _, text := range files(b, c.Dir) {
					size += len(text)
				}
			}
			b.ReportMetric(float64(doses)/b.Elapsed().Seconds(), "doses/s")
			b.ReportMetric(float64(cpuTime()-cpu)/1e3/float64(doses), "cpu-µs/dose")
			b.ReportMetric(float64(size)/float64(people), "B/person")
			b.ReportMetric(mostMemory(), "MiB-most")
		})
	}
}

func benchLoad(b *testing.B, c Config, path string) loading.Summary {
	s, err := loading.Run(b.Context(), NewWriter(c), loading.Config{Files: []loading.File{{Name: path}}, Now: now, TempDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkLookup finds, unseals, matches and decides, one at a time, people at
// random and each once, when all was read once.
func BenchmarkLookup(b *testing.B) {
	people := benchPeople()
	c := benchConfig(b)
	r, err := Open(c)
	if err != nil {
		benchLoad(b, c, benchFile(b, people))
		if r, err = Open(c); err != nil {
			b.Fatal(err)
		}
	}
	defer r.Close()
	ask := func(i int, name string) string {
		mobile := benchMobile(i)
		records, err := r.Lookup(b.Context(), mobile)
		if err != nil || len(records) != 1 {
			b.Fatal(len(records), err)
		}
		if name == "" {
			return records[0].Name
		}
		a, err := registry.Decide(records, registry.Query{Mobile: mobile, Name: name}, registry.NameMatch{}, registry.Schedule{})
		if err != nil || a.Status != registry.Fully {
			b.Fatal(a.Status, err)
		}
		return name
	}
	b.Run("found", func(b *testing.B) {
		who, names := make([]int, b.N), make([]string, b.N)
		for i := range who {
			who[i] = rand.IntN(people)
			names[i] = ask(who[i], "")
		}
		took := make([]time.Duration, b.N)
		b.ReportAllocs()
		cpu := cpuTime()
		b.ResetTimer()
		for i := range who {
			began := time.Now()
			ask(who[i], names[i])
			took[i] = time.Since(began)
		}
		b.ReportMetric(float64(cpuTime()-cpu)/1e3/float64(b.N), "cpu-µs/op")
		percentiles(b, took)
	})
	b.Run("nobody", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if records, err := r.Lookup(b.Context(), benchMobile(people+i)); err != nil || len(records) != 0 {
				b.Fatal(len(records), err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				ask(rand.IntN(people), "")
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lookups/s")
	})
}

func percentiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e3, "µs-p50")
	b.ReportMetric(float64(took[len(took)*99/100])/1e3, "µs-p99")
}
