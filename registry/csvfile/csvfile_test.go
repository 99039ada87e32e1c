package csvfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/registrytest"
)

const (
	asha = registry.Mobile("+919876500001")
	head = registrytest.Header + "\n"
	one  = "9876500001,Asha Rao,COVISHIELD,1,2,2021-03-01,1960,,\n"
	two  = "9876500001,Asha Rao,COVISHIELD,2,2,2021-06-01,1960,,\n"
	odd  = "9876500002,SECRET,SECRET,1,2,2021-03-01,,,\n"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace renames a new file over the old one, as an editor does.
func replace(t testing.TB, path, content string) {
	t.Helper()
	write(t, path+".new", content)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, c Config, content string) *Registry {
	t.Helper()
	if c.Path == "" {
		c.Path = filepath.Join(t.TempDir(), "people.csv")
	}
	if c.Logger == nil {
		c.Logger = quiet()
	}
	write(t, c.Path, content)
	r, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// status returns the status of the one record under a number, -1 if there is none.
func status(t testing.TB, r *Registry, m registry.Mobile) int {
	t.Helper()
	records, err := r.Lookup(t.Context(), m)
	if err != nil || len(records) > 1 {
		t.Fatal(len(records), err)
	}
	if len(records) == 0 {
		return -1
	}
	return int((registry.Schedule{}).StatusOf(records[0].Doses))
}

func TestSuite(t *testing.T) {
	t.Parallel()
	registrytest.Run(t, func(t *testing.T, file string) registrytest.Engine {
		r := open(t, Config{PollEvery: time.Hour}, file)
		return registrytest.Engine{Registry: r, Load: func(t *testing.T, file string) {
			t.Helper()
			replace(t, r.config.Path, file)
			if err := r.Reload(t.Context()); err != nil {
				t.Error(err)
			}
		}}
	})
}

// lockedBuffer is a log that the watching goroutine writes and the test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take returns what was logged since the last call.
func (l *lockedBuffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		path := filepath.Join(dir, "people.csv")
		// Dates must not lie in the future of the bubble's clock, which starts in 2000.
		r := open(t, Config{Path: path, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Now: func() time.Time { return time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC) }}, head+one)
		defer r.Close()
		step := func(what string, want int, wantLog string) {
			t.Helper()
			time.Sleep(1100 * time.Millisecond)
			synctest.Wait()
			if got := status(t, r, asha); got != want {
				t.Errorf("%s: got %d, want %d", what, got, want)
			}
			said := log.take()
			if wantLog == "" && said != "" || !strings.Contains(said, wantLog) {
				t.Errorf("%s: log %q, want %q", what, said, wantLog)
			}
			if strings.Contains(said, "SECRET") || strings.Contains(said, "98765") {
				t.Errorf("%s: the log shows what stands in the file: %s", what, said)
			}
			time.Sleep(5 * time.Second) // nothing is said twice
			synctest.Wait()
			if said := log.take(); said != "" {
				t.Errorf("%s: later: %s", what, said)
			}
		}
		step("unchanged", 1, "")
		replace(t, path, head+one+two)
		step("replaced", 2, `msg="registry csv: the file changed and was read again" file=`+path+` people=1 people_before=1`)
		write(t, path, head+one)
		step("written over", 1, "was read again")
		write(t, path, "nonsense\n")
		step("bad header", 1, "level=ERROR msg=\"registry csv: the changed file is refused, the old content still counts\"")
		write(t, path, head)
		step("emptied", 1, "it has no rows, where there were 1 people")
		write(t, path, head+one+two+odd)
		step("bad rows", 1, "1 of 3 rows make no sense, correct them first: line 4, column vaccine")
		write(t, path, head+one+two+strings.Repeat("9876500003,Ravi Rao,,,,,,,\n", 18)+odd)
		step("a few bad rows", 2, "level=WARN msg=\"registry csv: row set aside\" file="+path+" line=22 column=vaccine reason=")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		step("gone", 2, "the file cannot be read, its last content still counts")
		write(t, path, head+one)
		step("back", 1, "was read again")
		write(t, path, head+strings.ReplaceAll(one, "00001", "00009"))
		step("somebody else's", -1, "was read again")
	})
}

// A file that is being written is not read before it is whole.
func TestHalfWritten(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(dir, "people.csv")
		r := open(t, Config{Path: path, PollEvery: time.Second,
			Now: func() time.Time { return time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC) }}, head+one+two)
		defer r.Close()
		write(t, path, head)
		for _, next := range []string{one, two, "9876500003,Ravi Rao,,,,,,,\n"} {
			time.Sleep(time.Second)
			synctest.Wait()
			if status(t, r, asha) != 2 || r.People() != 1 {
				t.Fatal("half of it was read")
			}
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString(next); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
		time.Sleep(2100 * time.Millisecond)
		synctest.Wait()
		if r.People() != 2 {
			t.Error("it was not read when it was whole")
		}
	})
}

func TestOpen(t *testing.T) {
	t.Parallel()
	good := strings.Repeat(one, 9)
	for _, c := range []struct{ name, content, want string }{
		{"one row of ten", head + good + odd, ""},
		{"more than one of ten", head + one + odd, "1 of 2 rows make no sense, correct them first: line 3, column vaccine: not a vaccine that is known here"},
		{"nothing but nonsense", head + odd, "1 of 1 rows"},
		{"no rows yet", head, ""},
		{"empty", "", "the file is empty"},
		{"no header", one, "the header lacks mobile_number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "people.csv")
			write(t, path, c.content)
			var log bytes.Buffer
			r, err := Open(Config{Path: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			switch {
			case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path)):
				t.Fatalf("got %v, want %q", err, c.want)
			case err == nil:
				r.Close()
			}
			if both := fmt.Sprint(err, log.String()); strings.Contains(both, "SECRET") || strings.Contains(both, "98765") {
				t.Fatal(both)
			}
		})
	}
	if _, err := Open(Config{Path: filepath.Join(t.TempDir(), "none.csv")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Open(Config{Path: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("a directory: %v", err)
	}
}

// Of many rows set aside ten are named, and all are counted.
func TestWarnings(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	open(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, head+strings.Repeat(one, 300)+strings.Repeat(odd, 25))
	if n := strings.Count(log.String(), "row set aside"); n != 10 {
		t.Errorf("%d rows named", n)
	}
	if !strings.Contains(log.String(), "set_aside=25 not_shown=15") {
		t.Error(log.String())
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	r := open(t, Config{}, head+one)
	if r.People() != 1 || r.Ready(t.Context()) != nil {
		t.Error("not ready")
	}
	var closing sync.WaitGroup
	for range 3 {
		closing.Go(func() { r.Close() })
	}
	closing.Wait()
	if _, err := r.Lookup(t.Context(), asha); err == nil {
		t.Error("a lookup after Close is answered")
	}
	if r.Ready(t.Context()) == nil || r.Reload(t.Context()) == nil || r.People() != 0 {
		t.Error("ready after Close")
	}
}

func TestReloadCancelled(t *testing.T) {
	t.Parallel()
	r := open(t, Config{PollEvery: time.Hour}, head+one)
	replace(t, r.config.Path, head+one+two)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Reload(ctx); !errors.Is(err, context.Canceled) || status(t, r, asha) != 1 {
		t.Error(err)
	}
	if err := r.Reload(t.Context()); err != nil || status(t, r, asha) != 2 {
		t.Error(err)
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	r := open(t, Config{}, head+one)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if records, err := r.Lookup(ctx, asha); err != nil || len(records) != 1 {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCSVLoad(b *testing.B) {
	var in strings.Builder
	in.WriteString(head)
	const people = 50_000
	for i := range people {
		for dose := 1; dose <= 2; dose++ {
			fmt.Fprintf(&in, "98765%05d,Asha Rao,COVISHIELD,%d,2,2021-0%d-01,1960,%d,\n", i, dose, dose*3, 1e13+i)
		}
	}
	r := open(b, Config{PollEvery: time.Hour}, in.String())
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Reload(b.Context()); err != nil || r.People() != people {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(people*2*b.N)/b.Elapsed().Seconds(), "rows/s")
}

// A change within one tick of a coarse file system's clock, of the same length,
// is found by reading a file that was fresh once more.
func TestChangeWithoutATrace(t *testing.T) {
	t.Parallel()
	r := open(t, Config{PollEvery: time.Hour}, head+one)
	before := r.seen
	write(t, r.config.Path, head+strings.Replace(one, ",1,", ",2,", 1))
	if err := os.Chtimes(r.config.Path, time.Time{}, before.info.ModTime()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(r.config.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name        string
		seen, looks bool // fresh then, and now
		want        int
	}{
		{"not fresh then", false, false, 1},
		{"still fresh", true, true, 1},
		{"fresh then", true, false, 2},
	} {
		r.seen = look{before.info, c.seen}
		r.update(look{info, c.looks})
		if got := status(t, r, asha); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}
