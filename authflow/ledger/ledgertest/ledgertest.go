// Package ledgertest holds the tests that every engine of package ledger must
// pass.
package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
)

// Opener opens one record, the same at each call: what was appended through
// one Ledger is replayed by the next, and two may be open at once, as two
// instances are. The test closes what it opens.
type Opener func() ledger.Ledger

// Run tests an engine. fresh is called for each test and returns the Opener of
// a new, empty record, which it removes with t.Cleanup.
func Run(t *testing.T, fresh func(t *testing.T) Opener) {
	for _, test := range []struct {
		name string
		f    func(*testing.T, Opener)
	}{
		{"Empty", testEmpty},
		{"RoundTrip", testRoundTrip},
		{"Reopen", testReopen},
		{"Refused", testRefused},
		{"Cancelled", testCancelled},
		{"Concurrent", testConcurrent},
		{"TwoInstances", testTwoInstances},
		{"ByPhone", testByPhone},
		{"ReplayStops", testReplayStops},
		{"ReplayAppends", testReplayAppends},
		{"ReplayWhileAppending", testReplayWhileAppending},
		{"Close", testClose},
		{"CloseWhileAppending", testCloseWhileAppending},
	} {
		t.Run(test.name, func(t *testing.T) { test.f(t, fresh(t)) })
	}
}

// Sample returns an entry with every field set.
func Sample(consent string) ledger.Entry {
	at := time.Date(2026, 3, 4, 5, 6, 7, 891_000_000, time.UTC)
	return ledger.Entry{
		Event:   ledger.Given,
		Consent: consent,
		At:      at,
		Person:  "0f1e2d3c",
		Phone:   "q83vEjRWeJCrze8SNFZ4kA",
		Partner: "mall",
		Purpose: "Entry to the <mall> & \"more\": प्रवेश",
		TxnID:   "3fa85f64-5717-4562-b3fc-2c963f66afa6",
		Notice:  "2026-01",
		Lang:    "hi-IN",
		How:     "otp+sms",
		Acting:  "ward",
		Until:   at.Add(12 * time.Hour),
	}
}

// Collect returns what Replay gives.
func Collect(t *testing.T, l ledger.Ledger) (all []ledger.Entry) {
	t.Helper()
	err := l.Replay(t.Context(), func(e ledger.Entry) error {
		all = append(all, e)
		return nil
	})
	if err != nil {
		t.Fatalf("Replay: %v", err)
	}
	return all
}

// Same returns whether two entries say the same, times compared as instants.
func Same(a, b ledger.Entry) bool {
	if !a.At.Equal(b.At) || !a.Until.Equal(b.Until) {
		return false
	}
	a.At, a.Until = b.At, b.Until
	return a == b
}

func open(t *testing.T, o Opener) ledger.Ledger {
	t.Helper()
	l := o()
	t.Cleanup(func() { l.Close() })
	return l
}

func appendAll(t testing.TB, l ledger.Ledger, entries ...ledger.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := l.Append(t.Context(), e); err != nil {
			t.Fatalf("Append: %v", err)
		}
	}
}

func wantEntries(t *testing.T, got []ledger.Entry, want ...ledger.Entry) {
	t.Helper()
	if !slices.EqualFunc(got, want, Same) {
		t.Errorf("replayed\n%+v\nwant\n%+v", got, want)
	}
}

func testEmpty(t *testing.T, o Opener) {
	l := open(t, o)
	wantEntries(t, Collect(t, l))
	if err := l.Ready(t.Context()); err != nil {
		t.Errorf("Ready: %v", err)
	}
}

func testRoundTrip(t *testing.T, o Opener) {
	l := open(t, o)
	full := Sample("full")
	least := ledger.Entry{Event: ledger.Withdrawn, Consent: "full", At: full.At.Add(time.Minute)}
	elsewhere := Sample("zone")
	elsewhere.At = elsewhere.At.In(time.FixedZone("IST", 5*3600+1800))
	odd := Sample("odd")
	odd.Purpose = "a line\nand\r\nanother\u2028\x00\t{\"v\":2},\"was\":7,\"phone\":\"x\"\n"
	used, refused := Sample("full"), Sample("")
	used.Event = ledger.Used
	refused.Event, refused.Reason = ledger.Refused, "no_record"
	locked := ledger.Entry{Event: ledger.Locked, At: full.At, Phone: full.Phone}
	unlocked := ledger.Entry{Event: ledger.Unlocked, At: full.At.Add(time.Hour), Phone: full.Phone}
	all := []ledger.Entry{full, least, elsewhere, odd, used, refused, locked, unlocked}
	appendAll(t, l, all...)
	got := Collect(t, l)
	wantEntries(t, got, all...)
	if len(got) == len(all) && !got[1].Until.IsZero() {
		t.Errorf("a zero Until came back as %v", got[1].Until)
	}
}

func testReopen(t *testing.T, o Opener) {
	var want []ledger.Entry
	for i := range 3 {
		l := o()
		wantEntries(t, Collect(t, l), want...)
		e := Sample(fmt.Sprint(i))
		appendAll(t, l, e)
		want = append(want, e)
		if err := l.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	wantEntries(t, Collect(t, open(t, o)), want...)
}

// testRefused appends what cannot be an entry: nothing of it may be in the
// record, and what comes after it must be.
func testRefused(t *testing.T, o Opener) {
	l := open(t, o)
	for _, test := range []struct {
		name  string
		spoil func(*ledger.Entry)
	}{
		{"no event", func(e *ledger.Entry) { e.Event = "" }},
		{"an event that is not known", func(e *ledger.Entry) { e.Event = "shredded" }},
		{"retention's event", func(e *ledger.Entry) { e.Event = "pruned" }},
		{"no consent", func(e *ledger.Entry) { e.Consent = "" }},
		{"no time", func(e *ledger.Entry) { e.At = time.Time{} }},
		{"a time that JSON does not have", func(e *ledger.Entry) { e.At = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"an end that JSON does not have", func(e *ledger.Entry) { e.Until = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"a purpose too long", func(e *ledger.Entry) { e.Purpose = strings.Repeat("x", 64<<10) }},
		{"a consent too long", func(e *ledger.Entry) { e.Consent = strings.Repeat("x", 129) }},
		{"no UTF-8", func(e *ledger.Entry) { e.Purpose = "\xff" }},
		{"a lock without a phone", func(e *ledger.Entry) { e.Event, e.Phone = ledger.Locked, "" }},
		{"a number in place of its hash", func(e *ledger.Entry) { e.Phone = "919876543210" }},
		{"a number as it is written", func(e *ledger.Entry) { e.Phone = "+919876543210" }},
		{"a phone that is no hash", func(e *ledger.Entry) { e.Phone = "a\"b" }},
		{"a reason for what was not refused", func(e *ledger.Entry) { e.Reason = "no_record" }},
	} {
		e := Sample("refused")
		test.spoil(&e)
		if err := l.Append(t.Context(), e); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("Append with %s: got %v, want ErrInvalid", test.name, err)
		}
	}
	good := Sample("good")
	appendAll(t, l, good)
	wantEntries(t, Collect(t, l), good)
}

// testByPhone finds what was proved with one number, and nothing else.
func testByPhone(t *testing.T, o Opener) {
	l := open(t, o)
	const here, other = "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAB"
	about := func(consent, phone string) ledger.Entry {
		e := Sample(consent)
		e.Phone = phone
		return e
	}
	quotes := about("quotes", other)
	quotes.Purpose = `"phone":"` + here + `"`
	locked := ledger.Entry{Event: ledger.Locked, At: quotes.At, Phone: here}
	appendAll(t, l, about("a", here), about("b", other), about("none", ""), quotes, locked, about("c", here+"A"), about("d", here))
	collect := func(phone string) (all []ledger.Entry, err error) {
		err = l.ByPhone(t.Context(), phone, func(e ledger.Entry) error {
			all = append(all, e)
			return nil
		})
		return all, err
	}
	for phone, want := range map[string][]ledger.Entry{
		here:      {about("a", here), locked, about("d", here)},
		other:     {about("b", other), quotes},
		"nothing": nil,
	} {
		got, err := collect(phone)
		if err != nil {
			t.Errorf("ByPhone: %v", err)
		}
		wantEntries(t, got, want...)
	}
	for _, phone := range []string{"", "919876543210", "a\"b"} {
		if got, err := collect(phone); err == nil || len(got) > 0 {
			t.Errorf("ByPhone of what is no hash: %d entries and %v", len(got), err)
		}
	}
	stop := errors.New("enough")
	n := 0
	err := l.ByPhone(t.Context(), here, func(ledger.Entry) error { n++; return stop })
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("ByPhone returned %v after %d entries, want %v after 1", err, n, stop)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.ByPhone(ctx, here, func(ledger.Entry) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("ByPhone: got %v, want context.Canceled", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.ByPhone(t.Context(), here, func(ledger.Entry) error { return nil }); err == nil {
		t.Error("ByPhone after Close: no error")
	}
}

func testCancelled(t *testing.T, o Opener) {
	l := open(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Append(ctx, Sample("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("Append: got %v, want context.Canceled", err)
	}
	if err := l.Replay(ctx, func(ledger.Entry) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Replay: got %v, want context.Canceled", err)
	}
	appendAll(t, l, Sample("b"))
}

// Writers of the concurrent tests name their entries "writer/number".
const (
	writers   = 20
	perWriter = 25
)

func writeMany(t *testing.T, prefix string, l ledger.Ledger) {
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range perWriter {
				if err := l.Append(t.Context(), Sample(fmt.Sprintf("%s%d/%d", prefix, w, i))); err != nil {
					t.Errorf("Append: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// wantOrdered fails the test unless each writer's entries are there from the
// first, once each and in their order. It returns how many there are.
func wantOrdered(t *testing.T, all []ledger.Entry) int {
	t.Helper()
	next := map[string]int{}
	for _, e := range all {
		writer, number, _ := strings.Cut(e.Consent, "/")
		if want := fmt.Sprint(next[writer]); number != want {
			t.Fatalf("%s came where %s/%s was due", e.Consent, writer, want)
		}
		next[writer]++
	}
	return len(all)
}

func testConcurrent(t *testing.T, o Opener) {
	l := open(t, o)
	writeMany(t, "", l)
	if n := wantOrdered(t, Collect(t, l)); n != writers*perWriter {
		t.Errorf("%d entries, want %d", n, writers*perWriter)
	}
}

func testTwoInstances(t *testing.T, o Opener) {
	a, b := open(t, o), open(t, o)
	var wg sync.WaitGroup
	wg.Go(func() { writeMany(t, "a", a) })
	wg.Go(func() { writeMany(t, "b", b) })
	wg.Wait()
	for _, l := range []ledger.Ledger{a, b} {
		if n := wantOrdered(t, Collect(t, l)); n != 2*writers*perWriter {
			t.Errorf("%d entries, want %d", n, 2*writers*perWriter)
		}
	}
}

func testReplayStops(t *testing.T, o Opener) {
	l := open(t, o)
	appendAll(t, l, Sample("0"), Sample("1"), Sample("2"))
	stop := errors.New("enough")
	n := 0
	err := l.Replay(t.Context(), func(ledger.Entry) error {
		if n++; n == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || n != 2 {
		t.Errorf("Replay returned %v after %d entries, want %v after 2", err, n, stop)
	}
}

// testReplayAppends uses the ledger from within a Replay, which gives what was
// there when it began, or more, but comes to an end.
func testReplayAppends(t *testing.T, o Opener) {
	l := open(t, o)
	appendAll(t, l, Sample("0"), Sample("1"))
	n := 0
	err := l.Replay(t.Context(), func(e ledger.Entry) error {
		if n++; n > 2 {
			return nil
		}
		return l.Append(t.Context(), Sample(e.Consent+"again"))
	})
	if err != nil {
		t.Fatalf("Replay: %v", err)
	}
	if got := len(Collect(t, l)); got != 4 {
		t.Errorf("%d entries, want 4", got)
	}
}

// testReplayWhileAppending replays again and again: each time what was
// acknowledged before is there, whole.
func testReplayWhileAppending(t *testing.T, o Opener) {
	l := open(t, o)
	done := make(chan struct{})
	go func() {
		defer close(done)
		writeMany(t, "", l)
	}()
	before := 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		n := wantOrdered(t, Collect(t, l))
		if n < before {
			t.Fatalf("%d entries, but there were %d", n, before)
		}
		before = n
	}
	if before != writers*perWriter {
		t.Errorf("%d entries, want %d", before, writers*perWriter)
	}
}

func testClose(t *testing.T, o Opener) {
	l := o()
	appendAll(t, l, Sample("0"))
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if err := l.Append(t.Context(), Sample("1")); err == nil {
		t.Error("Append after Close: no error")
	}
	if err := l.Ready(t.Context()); err == nil {
		t.Error("Ready after Close: no error")
	}
	if err := l.Replay(t.Context(), func(ledger.Entry) error { return nil }); err == nil {
		t.Error("Replay after Close: no error")
	}
	wantEntries(t, Collect(t, open(t, o)), Sample("0"))
}

// testCloseWhileAppending closes under load: what was acknowledged is there,
// and whoever was not acknowledged got an error.
func testCloseWhileAppending(t *testing.T, o Opener) {
	l := o()
	var acked sync.Map
	var wg sync.WaitGroup
	started := make(chan struct{}, writers)
	for w := range writers {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d/%d", w, i)
				if err := l.Append(t.Context(), Sample(id)); err != nil {
					return
				}
				acked.Store(id, true)
				if i == 2 {
					started <- struct{}{}
				}
			}
		})
	}
	for range writers {
		<-started
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	wg.Wait()
	all := Collect(t, open(t, o))
	wantOrdered(t, all)
	for _, e := range all {
		acked.Delete(e.Consent)
	}
	acked.Range(func(id, _ any) bool {
		t.Errorf("%v was acknowledged and is not there", id)
		return true
	})
}
