package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/ledgertest"
)

func TestLedger(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) ledgertest.Opener {
		path := filepath.Join(t.TempDir(), "ledger.jsonl")
		return func() ledger.Ledger { return open(t, path) }
	})
}

func TestChain(t *testing.T) {
	ledgertest.RunChain(t, func(t *testing.T) ledgertest.Engine {
		path := filepath.Join(t.TempDir(), "ledger.jsonl")
		return ledgertest.Engine{
			Open:   func() ledger.Ledger { return open(t, path) },
			Verify: func(want chain.Head) (chain.Report, error) { return Verify(t.Context(), path, want) },
			Prune: func(before, now time.Time) (*chain.Pruned, error) {
				return prune(t.Context(), path, before, now)
			},
			Lines: func() [][]byte {
				all := bytes.Split(read(t, path), []byte("\n"))
				return all[:len(all)-1]
			},
			SetLines: func(lines [][]byte) {
				content := append(bytes.Join(lines, []byte("\n")), '\n')
				if err := os.WriteFile(path, content, 0o600); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

// open opens the ledger at path, which must work. Close may come earlier than
// the test's end.
func open(t testing.TB, path string) *Ledger {
	t.Helper()
	l, err := Open(Config{Path: path, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// written returns the bytes of a ledger with the entries named.
func written(t testing.TB, consents ...string) []byte {
	t.Helper()
	var bodies []string
	for _, c := range consents {
		bodies = append(bodies, sample(t, c))
	}
	return chained(bodies...)
}

// sample returns what a line says of a Sample.
func sample(t testing.TB, consent string) string {
	t.Helper()
	b, err := chain.BodyOf(ledgertest.Sample(consent))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// chained returns the bytes of a ledger of lines that say that.
func chained(bodies ...string) (all []byte) {
	head := chain.Genesis()
	for _, b := range bodies {
		all, head = chain.Append(all, head, chain.Body(b))
		all = append(all, '\n')
	}
	return all
}

func consents(entries []ledger.Entry) (all []string) {
	for _, e := range entries {
		all = append(all, e.Consent)
	}
	return all
}

func put(t testing.TB, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "ledger.jsonl")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpenMakesFolders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "ledger.jsonl")
	open(t, path)
	if runtime.GOOS == "windows" {
		return
	}
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700, filepath.Dir(filepath.Dir(path)): 0o700} {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", filepath.Base(p), got, want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, test := range []struct {
		name, content, says string
	}{
		{"another program's file", "mobile_number,full_name\n9876543210,A", "is not a ledger"},
		{"another program's JSON", `{"people":[]}`, "is not a ledger"},
		{"a foreign end", string(written(t, "a")) + "note to self", "is no line of a ledger"},
		{"entries without a chain", `{"v":1,"event":"given","consent":"x","at":"2026-03-04T05:06:07Z"}` + "\n", "before entries were chained"},
		{"a later version's", `{"v":3,"event":"given"}` + "\n", "later version"},
		{"an end without an end", string(written(t, "a")) + `{"v":1,"` + strings.Repeat("x", MaxLine), "is no line of a ledger"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := put(t, []byte(test.content))
			l, err := Open(Config{Path: path})
			if err == nil {
				l.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error is %q, want it to say %q", err, test.says)
			}
			if got := read(t, path); string(got) != test.content {
				t.Error("the file was changed")
			}
		})
	}
	for name, path := range map[string]string{"no path": "", "a folder": t.TempDir(), "below a file": filepath.Join(put(t, nil), "x")} {
		if l, err := Open(Config{Path: path}); err == nil {
			l.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

// TestTornLine cuts a ledger short at every byte of its last line.
func TestTornLine(t *testing.T) {
	whole, last := written(t, "a", "b"), written(t, "c")
	path := put(t, nil)
	for n := range len(last) {
		if err := os.WriteFile(path, append(bytes.Clone(whole), last[:n]...), 0o600); err != nil {
			t.Fatal(err)
		}
		checkRepaired(t, path, n > 0)
	}
	for name, torn := range map[string][]byte{
		"zeros":        make([]byte, 3000),
		"longest line": append([]byte(chain.Start), bytes.Repeat([]byte("x"), MaxLine-len(chain.Start)-1)...),
	} {
		t.Run(name, func(t *testing.T) {
			checkRepaired(t, put(t, append(bytes.Clone(whole), torn...)), true)
		})
	}
	t.Run("only line", func(t *testing.T) {
		path := put(t, last[:len(last)-1])
		if got := ledgertest.Collect(t, open(t, path)); len(got) != 0 {
			t.Errorf("got %v", got)
		}
		if got := read(t, path); len(got) != 0 {
			t.Errorf("the file has %q", got)
		}
	})
}

// checkRepaired opens a ledger of the entries a and b with something behind.
func checkRepaired(t *testing.T, path string, warned bool) {
	t.Helper()
	var log bytes.Buffer
	l, err := Open(Config{Path: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := strings.Contains(log.String(), "torn"); got != warned {
		t.Errorf("warned: %v, want %v", got, warned)
	}
	if err := l.Append(t.Context(), ledgertest.Sample("d")); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(consents(ledgertest.Collect(t, l))); got != "[a b d]" {
		t.Fatalf("replayed %s, want [a b d]", got)
	}
	if got, want := read(t, path), written(t, "a", "b", "d"); !bytes.Equal(got, want) {
		t.Fatalf("the file has\n%s\nwant\n%s", got, want)
	}
}

// TestTornByAnother is what remains of another process that was killed while
// this one has the ledger open.
func TestTornByAnother(t *testing.T) {
	path := put(t, written(t, "a"))
	l := open(t, path)
	appendRaw(t, path, append(written(t, "a", "other")[len(written(t, "a")):], `{"v":2,"seq":3,"prev":"giv`...))
	if got := fmt.Sprint(consents(ledgertest.Collect(t, l))); got != "[a other]" {
		t.Errorf("replayed %s, want [a other]", got)
	}
	if err := l.Append(t.Context(), ledgertest.Sample("b")); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(consents(ledgertest.Collect(t, l))); got != "[a other b]" {
		t.Errorf("replayed %s, want [a other b]", got)
	}
}

func appendRaw(t *testing.T, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
}

func TestBrokenLine(t *testing.T) {
	said := func(body string) string {
		lines := strings.SplitAfter(string(chained(sample(t, "a"), body)), "\n")
		return strings.TrimSuffix(lines[1], "\n")
	}
	good := said(sample(t, "x"))
	for _, test := range []struct {
		name, line, says string
	}{
		{"empty", "", "cannot be read"},
		{"cut short", good[:len(good)/2], "cannot be read"},
		{"two in one", good + good, "cannot be read"},
		{"zeros", strings.Repeat("\x00", 100), "cannot be read"},
		{"wrong type", said(`"event":"given","consent":7,"at":"2026-03-04T05:06:07Z"`), "cannot be read"},
		{"wrong time", said(`"event":"given","consent":"x","at":"yesterday"`), "cannot be read"},
		{"no JSON", said(`"event":"other",`), "cannot be read"},
		{"two events", said(`"event":"given","event":"other"`), "cannot be read"},
		{"space before", " " + good, "cannot be read"},
		{"space behind", good + " ", "cannot be read"},
		{"no version", strings.Replace(good, `"v":2`, `"v":null`, 1), "no version"},
		{"later version", strings.Replace(good, `"v":2`, `"v":3`, 1), "later version"},
		{"no number", strings.Replace(good, `"seq":2`, `"seq":"2"`, 1), "cannot be read"},
		{"a number too large", strings.Replace(good, `"seq":2`, `"seq":18446744073709551616`, 1), "cannot be read"},
		{"a number with a zero before", strings.Replace(good, `"seq":2`, `"seq":02`, 1), "cannot be read"},
		{"no event", said(`"consent":"x","at":"2026-03-04T05:06:07Z"`), "cannot be read"},
		{"no consent", said(`"event":"withdrawn","at":"2026-03-04T05:06:07Z"`), "no consent"},
		{"no phone", said(`"event":"locked","at":"2026-03-04T05:06:07Z"`), "no phone"},
		{"no time", said(`"event":"withdrawn","consent":"x"`), "no time"},
		{"too long", said(`"event":"other","x":"` + strings.Repeat("x", MaxLine) + `"`), "longer than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			content := string(written(t, "a")) + test.line + "\n" + string(written(t, "b"))
			path := put(t, []byte(content))
			l := open(t, path)
			var got []ledger.Entry
			err := l.Replay(t.Context(), func(e ledger.Entry) error {
				got = append(got, e)
				return nil
			})
			var broken *LineError
			if !errors.As(err, &broken) || broken.Line != 2 || broken.Path != path {
				t.Fatalf("got %v, want a LineError for line 2", err)
			}
			for _, says := range []string{test.says, "line 2", "restore"} {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("error %q does not say %q", err, says)
				}
			}
			if len(got) != 1 {
				t.Errorf("%d entries before the error, want 1", len(got))
			}
			if string(read(t, path)) != content {
				t.Error("the file was changed")
			}
		})
	}
}

// TestUnknown reads what a later minor version may write: members and events
// that are not known, kept in the file and passed over.
func TestUnknown(t *testing.T) {
	bodies := []string{
		sample(t, "a"),
		`"event":"shredded","person":"x"`,
		`"event":"given","consent":"b","at":"2026-03-04T05:06:07Z","more":{"x":[1]}`,
	}
	path := put(t, chained(bodies...))
	l := open(t, path)
	if got := fmt.Sprint(consents(ledgertest.Collect(t, l))); got != "[a b]" {
		t.Errorf("replayed %s, want [a b]", got)
	}
	if err := l.Append(t.Context(), ledgertest.Sample("c")); err != nil {
		t.Fatal(err)
	}
	if got, want := string(read(t, path)), string(chained(append(bodies, sample(t, "c"))...)); got != want {
		t.Errorf("the file has\n%s\nwant\n%s", got, want)
	}
}

// TestBrokenChain is an entry that somebody has taken out: what is left counts,
// and the log says so.
func TestBrokenChain(t *testing.T) {
	lines := bytes.SplitAfter(written(t, "a", "b", "c"), []byte("\n"))
	path := put(t, bytes.Join([][]byte{lines[0], lines[2]}, nil))
	var log bytes.Buffer
	l, err := Open(Config{Path: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := fmt.Sprint(consents(ledgertest.Collect(t, l))); got != "[a c]" {
		t.Errorf("replayed %s, want [a c]", got)
	}
	if got := log.String(); !strings.Contains(got, "entry 2 is missing") || !strings.Contains(got, "ledger verify") {
		t.Errorf("the log says %q", got)
	}
}

func TestMoved(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be moved there")
	}
	path := put(t, written(t, "a"))
	l := open(t, path)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Append(t.Context(), ledgertest.Sample("b")); err == nil || !strings.Contains(err.Error(), "moved") {
			t.Errorf("Append: got %v, want an error that says so", err)
		}
		if err := l.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "moved") {
			t.Errorf("Ready: got %v, want an error that says so", err)
		}
	}
	if err := os.Rename(path+".1", path); err != nil {
		t.Fatal(err)
	}
	if err := l.Ready(t.Context()); err != nil {
		t.Errorf("Ready after it was put back: %v", err)
	}
	if err := l.Append(t.Context(), ledgertest.Sample("c")); err != nil {
		t.Errorf("Append after it was put back: %v", err)
	}
}

// TestShortened is a file that somebody emptied while it was open.
func TestShortened(t *testing.T) {
	path := put(t, written(t, "a", "b"))
	l := open(t, path)
	if err := os.Truncate(path, int64(len(written(t, "a")))); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), ledgertest.Sample("c")); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(consents(ledgertest.Collect(t, l))); got != "[a c]" {
		t.Errorf("replayed %s, want [a c]", got)
	}
}

func TestLocked(t *testing.T) {
	path := put(t, nil)
	l := open(t, path)
	other, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := lockWithin(other, time.Second); err != nil {
		t.Fatal(err)
	}
	if err := lockWithin(l.tail.disk.(*osDisk).w, 10*time.Millisecond); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("got %v, want an error that names the reason", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := l.Append(ctx, ledgertest.Sample("a")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	if err := unlock(other); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), ledgertest.Sample("b")); err != nil {
		t.Error(err)
	}
}

// TestGroups holds the disk until many wait for it: they share one fsync.
func TestGroups(t *testing.T) {
	d := &faultyDisk{}
	gate := make(chan struct{})
	var once sync.Once
	entered := make(chan struct{})
	d.onSync = func() error {
		once.Do(func() { close(entered) })
		<-gate
		return nil
	}
	l := startOn(t, d)
	const n = 100
	var wg sync.WaitGroup
	add := func(i int) {
		wg.Go(func() {
			if err := l.Append(t.Context(), ledgertest.Sample(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	add(0)
	<-entered
	for i := range n - 1 {
		add(i + 1)
	}
	for len(l.queue) < n-1 {
		runtime.Gosched()
	}
	close(gate)
	wg.Wait()
	if got := d.syncs.Load(); got != 2 {
		t.Errorf("%d appends took %d fsyncs, want 2", n, got)
	}
	if got := bytes.Count(d.bytes(), []byte("\n")); got != n {
		t.Errorf("%d lines, want %d", got, n)
	}
}

// TestQueueFull lets callers give up while the disk hangs and the queue is
// full. What nobody waits for any more is not written.
func TestQueueFull(t *testing.T) {
	d := &faultyDisk{}
	gate, entered := make(chan struct{}), make(chan struct{})
	var once sync.Once
	d.onSync = func() error {
		once.Do(func() { close(entered) })
		<-gate
		return nil
	}
	l := startOn(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	add := func(i int) {
		wg.Go(func() {
			if err := l.Append(ctx, ledgertest.Sample(fmt.Sprint(i))); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
		})
	}
	add(0)
	<-entered // so that the writer takes no more than this one
	for i := range queueLen + 100 {
		add(i + 1)
	}
	for len(l.queue) < queueLen {
		runtime.Gosched()
	}
	cancel()
	wg.Wait()
	close(gate)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if got := bytes.Count(d.bytes(), []byte("\n")); got != 1 {
		t.Errorf("%d lines were written, want the first one only", got)
	}
}

// BenchmarkAppend appends from one caller and from many. "plain" writes the same
// bytes with the same number of calls that share one write and one fsync, and does
// nothing else: what a chained entry costs is what lies between the two.
func BenchmarkAppend(b *testing.B) {
	e := ledgertest.Sample("3fa85f64-5717-4562-b3fc-2c963f66afa6")
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint("chained/", callers), func(b *testing.B) {
			l := open(b, filepath.Join(b.TempDir(), "ledger.jsonl"))
			ledgertest.Appends(b, callers, func() error { return l.Append(b.Context(), e) })
		})
		b.Run(fmt.Sprint("plain/", callers), func(b *testing.B) {
			ledgertest.Appends(b, callers, plainAppends(b, written(b, e.Consent)))
		})
	}
}

// plainAppends returns what makes line durable in a new file, by group commit.
func plainAppends(b *testing.B, line []byte) func() error {
	f, err := os.OpenFile(filepath.Join(b.TempDir(), "plain"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	queue := make(chan chan error, queueLen)
	b.Cleanup(func() { close(queue); f.Close() })
	go func() {
		var buf []byte
		var waiting []chan error
		for first := range queue {
			buf, waiting = append(buf[:0], line...), append(waiting[:0], first)
			for more := true; more; {
				select {
				case next, ok := <-queue:
					if more = ok; ok {
						buf, waiting = append(buf, line...), append(waiting, next)
					}
				default:
					more = false
				}
			}
			_, err := f.Write(buf)
			err = errors.Join(err, f.Sync())
			for _, w := range waiting {
				w <- err
			}
		}
	}()
	return func() error {
		done := make(chan error, 1)
		queue <- done
		return <-done
	}
}

// BenchmarkVerify checks a ledger of a hundred thousand entries.
func BenchmarkVerify(b *testing.B) {
	const n = 100_000
	path := put(b, written(b, slices.Repeat([]string{"3fa85f64-5717-4562-b3fc-2c963f66afa6"}, n)...))
	all := 0
	for b.Loop() {
		r, err := Verify(b.Context(), path, chain.Head{})
		if err != nil || !r.Whole() {
			b.Fatal(r.Problems, err)
		}
		all += n
	}
	b.ReportMetric(float64(all)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkByPhone finds nothing in a ledger of a hundred thousand entries.
func BenchmarkByPhone(b *testing.B) {
	const n = 100_000
	content := written(b, slices.Repeat([]string{"3fa85f64-5717-4562-b3fc-2c963f66afa6"}, n)...)
	l := open(b, put(b, content))
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if err := l.ByPhone(b.Context(), "AAAAAAAAAAAAAAAAAAAAAA", func(ledger.Entry) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReplay(b *testing.B) {
	content := written(b, slices.Repeat([]string{"3fa85f64-5717-4562-b3fc-2c963f66afa6"}, 10_000)...)
	l := open(b, put(b, content))
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if err := l.Replay(b.Context(), func(ledger.Entry) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzReplay reads anything. What can be read must mean the same once it is
// written again, and then its chain is whole.
func FuzzReplay(f *testing.F) {
	f.Add(written(f, "a", "b"))
	f.Add(chained(`"event":"shredded"`))
	f.Add(chained(`"event":"given","consent":"x","at":"0001-01-01T00:00:00.1+23:59","until":"9999-12-31T23:59:59Z"`))
	f.Add([]byte(`{"v":3}` + "\n" + `{"v":2,`))
	f.Add([]byte("\x00\x00\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		gather := func(b []byte) (all []ledger.Entry, err error) {
			err = replay(t.Context(), "x", bytes.NewReader(b), slog.New(slog.DiscardHandler), func(e ledger.Entry) error {
				all = append(all, e)
				return nil
			})
			return all, err
		}
		first, err := gather(content)
		var broken *LineError
		if err != nil && !errors.As(err, &broken) {
			t.Fatalf("got %v, want a LineError", err)
		}
		var again []byte
		head := chain.Genesis()
		for _, e := range first {
			b, err := chain.BodyOf(e)
			if err != nil {
				// A reader takes longer texts than a writer, and times of other years.
				t.Skip(err)
			}
			again, head = chain.Append(again, head, b)
			again = append(again, '\n')
		}
		second, err := gather(again)
		if err != nil {
			t.Fatalf("reading what was written: %v", err)
		}
		for i := range first {
			if !ledgertest.Same(first[i], second[i]) {
				t.Fatalf("%+v became %+v", first[i], second[i])
			}
		}

		// However it ends, opening it either refuses it or leaves whole lines.
		end, err := lastLineEnd(bytes.NewReader(content), int64(len(content)))
		if err == nil && end > 0 && content[end-1] != '\n' {
			t.Fatalf("the last line is said to end at %d of %q", end, content)
		}
	})
}
