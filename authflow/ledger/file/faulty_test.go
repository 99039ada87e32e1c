package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/ledgertest"
)

// faultyDisk is a disk in memory that fails when told to. What a failed fsync
// leaves on the platter is kept apart from what reads see.
type faultyDisk struct {
	onWrite    func(b []byte) (int, error) // how much is written, nil: everything
	onSync     func() error
	onTruncate func() error
	syncs      atomic.Int32

	mu     sync.Mutex
	cached []byte // what a reader sees
	synced []byte // what a power cut leaves
}

func (d *faultyDisk) bytes() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return bytes.Clone(d.cached)
}

func (d *faultyDisk) Write(b []byte) (n int, err error) {
	n = len(b)
	if d.onWrite != nil {
		n, err = d.onWrite(b)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cached = append(d.cached, b[:n]...)
	return n, err
}

func (d *faultyDisk) Sync() error {
	d.syncs.Add(1)
	if d.onSync != nil {
		if err := d.onSync(); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.synced = bytes.Clone(d.cached)
	return nil
}

func (d *faultyDisk) Truncate(size int64) error {
	if d.onTruncate != nil {
		if err := d.onTruncate(); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cached = d.cached[:size]
	return nil
}

func (d *faultyDisk) ReadAt(b []byte, off int64) (int, error) {
	return bytes.NewReader(d.bytes()).ReadAt(b, off)
}
func (d *faultyDisk) Size() (int64, error) { return int64(len(d.bytes())), nil }
func (d *faultyDisk) Lock() error          { return nil }
func (d *faultyDisk) Unlock() error        { return nil }
func (d *faultyDisk) InPlace() error       { return nil }
func (d *faultyDisk) Close() error         { return nil }

// startOn starts a Ledger on d. Its probes go to a folder of the test.
func startOn(t *testing.T, d *faultyDisk) *Ledger {
	log := slog.New(slog.DiscardHandler)
	l := start(&tail{disk: d, log: log, end: -1}, t.TempDir()+"/ledger.jsonl", log)
	t.Cleanup(func() { l.Close() })
	return l
}

// failing returns a function that fails n times.
func failing(n int, err error) func() error {
	return func() error {
		if n == 0 {
			return nil
		}
		n--
		return err
	}
}

func mustAppend(t *testing.T, l *Ledger, consent string) {
	t.Helper()
	if err := l.Append(t.Context(), ledgertest.Sample(consent)); err != nil {
		t.Fatalf("Append of %s: %v", consent, err)
	}
}

func mustNotAppend(t *testing.T, l *Ledger, consent string, because error) {
	t.Helper()
	if err := l.Append(t.Context(), ledgertest.Sample(consent)); !errors.Is(err, because) {
		t.Fatalf("Append of %s: got %v, want %v", consent, err, because)
	}
}

func wantOnDisk(t *testing.T, d *faultyDisk, consents ...string) {
	t.Helper()
	want := written(t, consents...)
	if got := d.bytes(); !bytes.Equal(got, want) {
		t.Errorf("a reader sees\n%s\nwant\n%s", got, want)
	}
	if !bytes.Equal(d.synced, want) {
		t.Errorf("on disk is\n%s\nwant\n%s", d.synced, want)
	}
}

// TestWriteFails fills the disk at each byte of a line.
func TestWriteFails(t *testing.T) {
	for n := range len(written(t, "b")) + 1 {
		d := &faultyDisk{}
		l := startOn(t, d)
		mustAppend(t, l, "a")
		d.onWrite = func([]byte) (int, error) { return n, syscall.ENOSPC }
		mustNotAppend(t, l, "b", syscall.ENOSPC)
		wantOnDisk(t, d, "a")
		d.onWrite = nil
		mustAppend(t, l, "c")
		wantOnDisk(t, d, "a", "c")
	}
}

func TestSyncFails(t *testing.T) {
	for _, test := range []struct {
		name      string
		syncs     int // failing one after the other
		truncates int
		failed    int // Appends that fail
	}{
		{"once", 1, 0, 1},
		{"again after the cut", 2, 0, 1},
		{"and again", 3, 0, 2},
		{"and the cut", 1, 1, 1},
		{"and the cut for long", 1, 3, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := &faultyDisk{}
			l := startOn(t, d)
			mustAppend(t, l, "a")
			d.onSync = failing(test.syncs, syscall.EIO)
			d.onTruncate = failing(test.truncates, syscall.EROFS)
			for i := range test.failed {
				err := l.Append(t.Context(), ledgertest.Sample(fmt.Sprint("failed", i)))
				if !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.EROFS) {
					t.Fatalf("Append %d: got %v, want an error of the disk", i, err)
				}
				if l.broken.Load() == nil {
					t.Error("the ledger is believed")
				}
			}
			mustAppend(t, l, "b")
			wantOnDisk(t, d, "a", "b")
		})
	}
}

// TestBatchFails fails one write for several callers: each is told.
func TestBatchFails(t *testing.T) {
	d := &faultyDisk{}
	gate, entered := make(chan struct{}), make(chan struct{})
	var once sync.Once
	d.onSync = func() error {
		once.Do(func() { close(entered); <-gate })
		return nil
	}
	l := startOn(t, d)
	var wg sync.WaitGroup
	var failed atomic.Int32
	wg.Go(func() { mustAppend(t, l, "a") })
	<-entered
	const n = 10
	for i := range n {
		wg.Go(func() {
			if err := l.Append(t.Context(), ledgertest.Sample(fmt.Sprint(i))); errors.Is(err, syscall.ENOSPC) {
				failed.Add(1)
			}
		})
	}
	for len(l.queue) < n {
		runtime.Gosched()
	}
	// The disk takes three lines and a half.
	d.onWrite = func(b []byte) (int, error) { return len(written(t, "0")) * 7 / 2, syscall.ENOSPC }
	close(gate)
	wg.Wait()
	if failed.Load() != n {
		t.Errorf("%d of %d callers were told", failed.Load(), n)
	}
	wantOnDisk(t, d, "a")
}

// TestWrittenBehind is another process that appends behind a batch which
// failed and could not be cut off: its entries must stay.
func TestWrittenBehind(t *testing.T) {
	for _, n := range []int{0, 20} { // how much of the batch's second half was written
		d := &faultyDisk{}
		l := startOn(t, d)
		mustAppend(t, l, "a")
		d.onTruncate = failing(1, syscall.EIO)
		d.onWrite = func(b []byte) (int, error) { return len(b) - n, syscall.EIO }
		mustNotAppend(t, l, "b", syscall.EIO)
		d.onWrite = nil

		kept := []string{"a", "b"}
		if n > 0 { // the other process cuts off what was torn
			kept = kept[:1]
		}
		kept = append(kept, "other")
		d.cached = written(t, kept...)
		mustAppend(t, l, "c")
		wantOnDisk(t, d, append(kept, "c")...)
	}
}

func TestReadyAfterFailure(t *testing.T) {
	d := &faultyDisk{}
	l := startOn(t, d)
	if err := l.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.onSync = failing(3, syscall.EIO)
	mustNotAppend(t, l, "a", syscall.EIO) // and the repair's
	if err := l.Ready(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Errorf("Ready while the disk fails: got %v, want EIO", err)
	}
	if err := l.Ready(t.Context()); err != nil {
		t.Errorf("Ready once the disk works: %v", err)
	}
	wantOnDisk(t, d)

	// The folder cannot be written: its disk is not asked further.
	d.onSync = failing(1, syscall.EIO)
	mustNotAppend(t, l, "b", syscall.EIO)
	l.path = "/nowhere/at/all"
	if err := l.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "trying to write") {
		t.Errorf("Ready without the folder: got %v", err)
	}
}

func TestReplayReadError(t *testing.T) {
	err := replay(t.Context(), "x", io.MultiReader(bytes.NewReader(written(t, "a")), errReader{}), slog.New(slog.DiscardHandler), func(ledger.Entry) error { return nil })
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want the reader's error", err)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }
