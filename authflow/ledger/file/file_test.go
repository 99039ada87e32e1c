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
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/ledgertest"
)

func TestLedger(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) ledgertest.Opener {
		path := filepath.Join(t.TempDir(), "ledger.jsonl")
		return func() ledger.Ledger { return open(t, path) }
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
	var all []byte
	for _, c := range consents {
		b, err := encode(ledgertest.Sample(c))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
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

// TestLine pins what is on disk: a later version has to read it.
func TestLine(t *testing.T) {
	const want = `{"v":1,"event":"given","consent":"c1","at":"2026-03-04T05:06:07.891Z","person":"0f1e2d3c",` +
		`"partner":"mall","purpose":"Entry","txnId":"3fa85f64-5717-4562-b3fc-2c963f66afa6",` +
		`"notice":"2026-01","lang":"hi-IN","until":"2026-03-04T17:06:07.891Z"}` + "\n"
	e := ledgertest.Sample("c1")
	e.Purpose = "Entry"
	e.At = e.At.In(time.FixedZone("IST", 19800))
	got, err := encode(e)
	if err != nil || string(got) != want {
		t.Errorf("got  %s (%v)\nwant %s", got, err, want)
	}
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
		"longest line": append([]byte(lineStart), bytes.Repeat([]byte("x"), MaxLine-len(lineStart)-1)...),
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
	appendRaw(t, path, append(written(t, "other"), `{"v":1,"event":"giv`...))
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
	for _, test := range []struct {
		name, line, says string
	}{
		{"empty", "", "cannot be read"},
		{"cut short", `{"v":1,"event":"given","cons`, "cannot be read"},
		{"two in one", strings.TrimSuffix(string(written(t, "x")), "\n") + `{"v":1}`, "cannot be read"},
		{"zeros", strings.Repeat("\x00", 100), "cannot be read"},
		{"wrong type", `{"v":1,"event":"given","consent":7,"at":"2026-03-04T05:06:07Z"}`, "cannot be read"},
		{"wrong time", `{"v":1,"event":"given","consent":"x","at":"yesterday"}`, "cannot be read"},
		{"space before", ` {"v":1,"event":"given","consent":"x","at":"2026-03-04T05:06:07Z"}`, "cannot be read"},
		{"no version", `{"v":null,"event":"given","consent":"x","at":"2026-03-04T05:06:07Z"}`, "no version"},
		{"later version", `{"v":2,"event":"given","consent":"x","at":"2026-03-04T05:06:07Z"}`, "later version"},
		{"no event", `{"v":1,"consent":"x","at":"2026-03-04T05:06:07Z"}`, "no event"},
		{"no consent", `{"v":1,"event":"withdrawn","at":"2026-03-04T05:06:07Z"}`, "no consent"},
		{"no time", `{"v":1,"event":"withdrawn","consent":"x"}`, "no time"},
		{"too long", `{"v":1,"event":"other","x":"` + strings.Repeat("x", MaxLine) + `"}`, "longer than"},
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
	content := string(written(t, "a")) +
		`{"v":1,"event":"locked","person":"x"}` + "\n" +
		`{"v":1,"event":"given","consent":"b","at":"2026-03-04T05:06:07Z","prev":"hash","more":{"x":[1]}}` + "\n"
	path := put(t, []byte(content))
	l := open(t, path)
	if got := fmt.Sprint(consents(ledgertest.Collect(t, l))); got != "[a b]" {
		t.Errorf("replayed %s, want [a b]", got)
	}
	if err := l.Append(t.Context(), ledgertest.Sample("c")); err != nil {
		t.Fatal(err)
	}
	if got := string(read(t, path)); got != content+string(written(t, "c")) {
		t.Errorf("the file has\n%s", got)
	}
}

func TestTooLong(t *testing.T) {
	l := open(t, put(t, nil))
	e := ledgertest.Sample("a")
	b, _ := encode(e)
	e.Purpose += strings.Repeat("x", MaxLine-len(b))
	if err := l.Append(t.Context(), e); err != nil {
		t.Errorf("the longest line: %v", err)
	}
	if got := ledgertest.Collect(t, l); len(got) != 1 || !ledgertest.Same(got[0], e) {
		t.Error("the longest line did not come back")
	}
	e.Purpose += "x"
	if err := l.Append(t.Context(), e); !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v, want ErrTooLong", err)
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

func BenchmarkAppend(b *testing.B) {
	e := ledgertest.Sample("3fa85f64-5717-4562-b3fc-2c963f66afa6")
	for _, callers := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			l := open(b, filepath.Join(b.TempDir(), "ledger.jsonl"))
			b.ReportAllocs()
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if err := l.Append(b.Context(), e); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
		})
	}
}

func BenchmarkReplay(b *testing.B) {
	content := bytes.Repeat(written(b, "3fa85f64-5717-4562-b3fc-2c963f66afa6"), 10_000)
	l := open(b, put(b, content))
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if err := l.Replay(b.Context(), func(ledger.Entry) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzReplay reads anything. What can be read must mean the same once it is
// written again.
func FuzzReplay(f *testing.F) {
	f.Add(written(f, "a", "b"))
	f.Add([]byte(`{"v":1,"event":"locked"}` + "\n"))
	f.Add([]byte(`{"v":1,"event":"given","consent":"x","at":"0001-01-01T00:00:00.1+23:59","until":"9999-12-31T23:59:59Z"}` + "\n"))
	f.Add([]byte(`{"v":2}` + "\n" + `{"v":1,`))
	f.Add([]byte("\x00\x00\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		gather := func(b []byte) (all []ledger.Entry, err error) {
			err = replay(t.Context(), "x", bytes.NewReader(b), func(e ledger.Entry) error {
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
		for _, e := range first {
			b, err := encode(e)
			if err != nil {
				// A line that is as long as can be may grow when it is written in
				// our way; a time may leave the years that JSON has.
				t.Skip(err)
			}
			again = append(again, b...)
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
