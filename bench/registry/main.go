// Command registry measures an engine with made-up people, as an operator would
// meet it: the real binary makes the people, imports them from CSV twice, and
// then some of them, at random, are looked up and each status is compared with
// what it must be.
//
//	go build -o caddy ./cmd/caddy
//	go run ./bench/registry -caddy ./caddy -sizes 10000,1000000 -registry file:/var/tmp/kycvs-bench
//	go run ./bench/registry -caddy ./caddy -sizes 1000000 -registry "postgres:$DSN" -clients 8
//
// A store of one size is built beside those of the others and removed
// afterwards. What is printed is a row of a Markdown table for each size.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/embedded"
	"github.com/kycvs/caddy-kycvs/registry/postgres"
	"github.com/kycvs/caddy-kycvs/registry/sample"
)

const secret = "a secret for the bench, and for nothing else"

type bench struct {
	caddy, target, temp string
	lookups, clients    int
	cache               int64
	twice               bool
}

func main() {
	log.SetFlags(0)
	var b bench
	sizes := flag.String("sizes", "10000,100000,1000000", "how many people, each size in turn")
	flag.StringVar(&b.caddy, "caddy", "./caddy", "the binary")
	flag.StringVar(&b.target, "registry", "file:bench-registry", "file:DIRECTORY or postgres:DSN")
	flag.StringVar(&b.temp, "temp", os.TempDir(), "where the CSV files go")
	flag.IntVar(&b.lookups, "lookups", 200_000, "how many lookups are measured, after as many to warm up")
	flag.IntVar(&b.clients, "clients", 1, "how many ask at a time")
	flag.Int64Var(&b.cache, "cache", 0, "bytes of cache of the embedded engine; 0: its default")
	flag.BoolVar(&b.twice, "twice", true, "import the same file a second time")
	flag.Parse()
	fmt.Println("| people | doses | import, doses/s | CPU µs/dose | peak MiB | same again, doses/s | bytes on disk/person | lookups/s | p50 µs | p99 µs |")
	fmt.Println("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for s := range strings.SplitSeq(*sizes, ",") {
		people, err := strconv.Atoi(s)
		if err != nil || people < 1 {
			log.Fatalf("-sizes: %q is no number of people", s)
		}
		if err := b.measure(people); err != nil {
			log.Fatal(err)
		}
	}
}

// run is what a process took.
type run struct {
	wall, cpu time.Duration
	peak      int64 // bytes
}

func (b *bench) measure(people int) error {
	file := filepath.Join(b.temp, fmt.Sprintf("kycvs-bench-%d.csv", people))
	defer os.Remove(file)
	if err := b.sample(people, file); err != nil {
		return err
	}
	doses, err := countDoses(file)
	if err != nil {
		return err
	}
	target := b.target
	dir, embeddedEngine := strings.CutPrefix(b.target, "file:")
	if embeddedEngine {
		dir = fmt.Sprintf("%s-%d", dir, people)
		target = "file:" + dir
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	first, err := b.importFile(target, file)
	if err != nil {
		return err
	}
	var again run
	if b.twice {
		if again, err = b.importFile(target, file); err != nil {
			return err
		}
	}
	var reg registry.Registry
	size := int64(0)
	if embeddedEngine {
		if size, err = sizeOf(dir); err != nil {
			return err
		}
		r, err := embedded.Open(embedded.Config{Dir: dir, Secrets: [][]byte{[]byte(secret)}, Cache: b.cache, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		defer r.Close()
		reg = r
	} else {
		r, err := postgres.Open(context.Background(), postgres.Config{DSN: strings.TrimPrefix(b.target, "postgres:"), Secrets: [][]byte{[]byte(secret)}, MaxConns: max(b.clients, 4), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		defer r.Close()
		reg = r
	}
	if _, _, err := b.ask(reg, people); err != nil { // to warm up
		return err
	}
	took, wall, err := b.ask(reg, people)
	if err != nil {
		return err
	}
	per := func(r run) string {
		if r.wall == 0 {
			return "–"
		}
		return fmt.Sprintf("%.0f", float64(doses)/r.wall.Seconds())
	}
	fmt.Printf("| %d | %d | %s | %.2f | %d | %s | %.1f | %.0f | %.1f | %.1f |\n", people, doses,
		per(first), float64(first.cpu.Microseconds())/float64(doses), max(first.peak, again.peak)>>20, per(again),
		float64(size)/float64(people), float64(len(took))/wall.Seconds(),
		float64(took[len(took)/2].Nanoseconds())/1e3, float64(took[len(took)*99/100].Nanoseconds())/1e3)
	return nil
}

func (b *bench) sample(people int, file string) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(b.caddy, "kycvs", "sample", "--people", strconv.Itoa(people))
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("sample: %w", err)
	}
	return out.Close()
}

// countDoses counts the rows: people without a dose have one too, which costs
// as much.
func countDoses(file string) (int, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf, n := make([]byte, 1<<20), -1
	for {
		got, err := f.Read(buf)
		for _, c := range buf[:got] {
			if c == '\n' {
				n++
			}
		}
		if err != nil {
			return n, nil
		}
	}
}

func (b *bench) importFile(target, file string) (run, error) {
	cmd := exec.Command(b.caddy, "kycvs", "import", "--registry", target, file)
	cmd.Env = append(os.Environ(), "KYCVS_SECRET="+secret)
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return run{}, fmt.Errorf("import: %w\n%s", err, out)
	}
	r := run{wall: time.Since(start), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.peak = int64(u.Maxrss) << 10
	}
	return r, nil
}

func sizeOf(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		total += info.Size()
		return err
	})
	return total, err
}

// ask looks people up at random and compares each status with what it must be.
func (b *bench) ask(reg registry.Registry, people int) ([]time.Duration, time.Duration, error) {
	conf := sample.Config{People: people, Seed: sampleSeed}
	each := max(b.lookups/b.clients, 1)
	took := make([][]time.Duration, b.clients)
	errs := make([]error, b.clients)
	var wg sync.WaitGroup
	start := time.Now()
	for c := range b.clients {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(c), uint64(start.UnixNano())))
			for range each {
				mobile, name, year, want := sample.Expect(conf, random.IntN(people))
				began := time.Now()
				records, err := reg.Lookup(context.Background(), mobile)
				if err == nil {
					var a registry.Answer
					a, err = registry.Decide(records, registry.Query{Mobile: mobile, Name: name, BirthYear: year}, registry.NameMatch{}, registry.Schedule{})
					// One in a million made-up people shares a number with somebody whose name
					// reads alike (K. Amal Sen, Kamal Sen) and whose year is not known: no answer is
					// the right one then.
					var alike *registry.AmbiguousError
					switch {
					case errors.As(err, &alike) && len(records) > 1:
						err = nil
					case err == nil && a.Status != want:
						err = errors.New("somebody has another status than expected")
					}
				}
				took[c] = append(took[c], time.Since(began))
				if err != nil {
					errs[c] = err
					return
				}
			}
		})
	}
	wg.Wait()
	wall := time.Since(start)
	all := slices.Concat(took...)
	slices.Sort(all)
	return all, wall, errors.Join(errs...)
}

// sampleSeed is the one that `caddy kycvs sample` has without --seed.
const sampleSeed = 0
