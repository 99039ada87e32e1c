package ledgertest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
)

// Engine is one record and what can be done with it beside using it.
type Engine struct {
	Open   Opener
	Verify func(want chain.Head) (chain.Report, error)
	// Prune is retention at a time of the test's own.
	Prune func(before, now time.Time) (*chain.Pruned, error)
	// Lines returns the lines of the record, in their order, without newlines;
	// SetLines puts others in their place, behind the engine's back.
	Lines    func() [][]byte
	SetLines func([][]byte)
	// KeepsHead says that the engine keeps the head apart from the lines, and so
	// finds by itself that the last of them are gone.
	KeepsHead bool
}

// RunChain tests the chain of an engine, what finds it out, and retention. fresh is
// called for each test and returns a new, empty record, which it removes with
// t.Cleanup.
func RunChain(t *testing.T, fresh func(t *testing.T) Engine) {
	for _, test := range []struct {
		name string
		f    func(*testing.T, Engine)
	}{
		{"Whole", testWhole},
		{"TwoInstances", testChainOfTwo},
		{"WantedHead", testWantedHead},
		{"Retention", testRetention},
		{"RetentionOfAll", testRetentionOfAll},
		{"RetentionOfNeeded", testRetentionOfNeeded},
		{"RetentionWhileAppending", testRetentionWhileAppending},
		{"RetentionOfBroken", testRetentionOfBroken},
		{"TamperedAfterRetention", testTamperedAfterRetention},
	} {
		t.Run(test.name, func(t *testing.T) { test.f(t, fresh(t)) })
	}
	t.Run("Tampered", func(t *testing.T) { testTampered(t, fresh) })
}

// fill opens the record and appends n samples.
func fill(t *testing.T, e Engine, n int) ledger.Ledger {
	t.Helper()
	l := open(t, e.Open)
	for i := range n {
		appendAll(t, l, Sample(fmt.Sprint("c", i+1)))
	}
	return l
}

func mustVerify(t *testing.T, e Engine, want chain.Head) chain.Report {
	t.Helper()
	r, err := e.Verify(want)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return r
}

// wantWhole fails the test unless the record is whole and has so many lines.
func wantWhole(t *testing.T, e Engine, lines uint64) chain.Report {
	t.Helper()
	r := mustVerify(t, e, chain.Head{})
	if !r.Whole() || r.Lines != lines {
		t.Fatalf("%d lines, want %d, and problems: %v", r.Lines, lines, r.Problems)
	}
	return r
}

func testWhole(t *testing.T, e Engine) {
	open(t, e.Open)
	if r := wantWhole(t, e, 0); r.Head != chain.Genesis() {
		t.Errorf("the head of nothing is %v", r.Head)
	}
	fill(t, e, 3)
	r := wantWhole(t, e, 3)
	if r.Head.Seq != 3 || r.First != 1 || r.Pruned != nil {
		t.Errorf("got %+v", r)
	}
	fill(t, e, 2) // another instance goes on
	if r := wantWhole(t, e, 5); r.Head.Seq != 5 {
		t.Errorf("got %+v", r)
	}
}

func testChainOfTwo(t *testing.T, e Engine) {
	a, b := open(t, e.Open), open(t, e.Open)
	var wg sync.WaitGroup
	wg.Go(func() { writeMany(t, "a", a) })
	wg.Go(func() { writeMany(t, "b", b) })
	for range 5 { // while they append
		if r := mustVerify(t, e, chain.Head{}); !r.Whole() {
			t.Error(r.Problems)
		}
	}
	wg.Wait()
	wantWhole(t, e, 2*writers*perWriter)
}

func testWantedHead(t *testing.T, e Engine) {
	l := fill(t, e, 3)
	noted := wantWhole(t, e, 3).Head
	appendAll(t, l, Sample("c4"), Sample("c5"))
	for name, want := range map[string]chain.Head{"before": noted, "now": wantWhole(t, e, 5).Head} {
		if r := mustVerify(t, e, want); !r.Whole() {
			t.Errorf("the head noted %s: %v", name, r.Problems)
		}
	}
	// Another record, whole in itself.
	var other [][]byte
	head := chain.Genesis()
	for i := range 5 {
		body, err := chain.BodyOf(Sample(fmt.Sprint("other", i)))
		if err != nil {
			t.Fatal(err)
		}
		var line []byte
		line, head = chain.Append(nil, head, body)
		other = append(other, line)
	}
	e.SetLines(other)
	wantProblem(t, mustVerify(t, e, noted), 3, "noted")
}

// wantProblem fails the test unless a problem is reported of that entry, and
// the first of all is of it or of one before.
func wantProblem(t *testing.T, r chain.Report, seq uint64, says string) {
	t.Helper()
	if r.Whole() || !slices.ContainsFunc(r.Problems, func(p chain.Problem) bool {
		return p.Seq == seq && strings.Contains(p.Error(), says)
	}) {
		t.Errorf("problems: %v; want one of entry %d that says %q", r.Problems, seq, says)
	}
}

func testTampered(t *testing.T, fresh func(t *testing.T) Engine) {
	forged := func(after []byte, consent string) []byte {
		l, err := chain.Read(after)
		if err != nil {
			t.Fatal(err)
		}
		body, err := chain.BodyOf(Sample(consent))
		if err != nil {
			t.Fatal(err)
		}
		line, _ := chain.Append(nil, l.Head(), body)
		return line
	}
	for _, test := range []struct {
		name string
		do   func(lines [][]byte) [][]byte // c1 to c6
		seq  uint64
		says string
	}{
		{"a byte changed", func(l [][]byte) [][]byte {
			l[2] = bytes.Replace(l[2], []byte(`"mall"`), []byte(`"hall"`), 1)
			return l
		}, 3, "was changed"},
		{"a byte of the last changed", func(l [][]byte) [][]byte {
			l[5] = bytes.Replace(l[5], []byte(`"mall"`), []byte(`"hall"`), 1)
			return l
		}, 6, "was changed"},
		{"a number changed", func(l [][]byte) [][]byte {
			l[2] = bytes.Replace(l[2], []byte(`"seq":3`), []byte(`"seq":9`), 1)
			return l
		}, 3, "was changed"},
		{"made unreadable", func(l [][]byte) [][]byte { l[2] = []byte("{}"); return l }, 3, "cannot be read"},
		{"changed, and its hash with it", func(l [][]byte) [][]byte { l[2] = forged(l[1], "x"); return l }, 4, "not entry 3 as it stands"},
		{"removed", func(l [][]byte) [][]byte { return slices.Delete(l, 2, 3) }, 4, "entry 3 is missing"},
		{"several removed", func(l [][]byte) [][]byte { return slices.Delete(l, 1, 4) }, 5, "entries 2 to 4 are missing"},
		{"the first removed", func(l [][]byte) [][]byte { return l[2:] }, 1, "all others to entry 2 are missing at the front"},
		{"swapped", func(l [][]byte) [][]byte { l[2], l[3] = l[3], l[2]; return l }, 4, "entry 3 is missing before it, or stands elsewhere"},
		{"doubled", func(l [][]byte) [][]byte { return slices.Insert(l, 3, bytes.Clone(l[2])) }, 3, "where entry 4 is due"},
		{"put in", func(l [][]byte) [][]byte { return slices.Insert(l, 3, forged(l[2], "x")) }, 4, "where entry 5 is due"},
		{"put in at the front", func(l [][]byte) [][]byte { return slices.Insert(l, 0, forged(l[3], "x")) }, 1, "missing at the front"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := fresh(t)
			fill(t, e, 6)
			e.SetLines(test.do(e.Lines()))
			wantProblem(t, mustVerify(t, e, chain.Head{}), test.seq, test.says)
		})
	}
	t.Run("the last removed", func(t *testing.T) {
		e := fresh(t)
		fill(t, e, 6)
		noted := wantWhole(t, e, 6).Head
		e.SetLines(e.Lines()[:5])
		if e.KeepsHead {
			wantProblem(t, mustVerify(t, e, chain.Head{}), 6, "missing at the end")
		} else if r := mustVerify(t, e, chain.Head{}); !r.Whole() {
			t.Errorf("found without a head: %v", r.Problems) // then say so in the documentation
		}
		wantProblem(t, mustVerify(t, e, noted), 6, "cut off at the end")
	})
}

// Times of the tests of retention: entries from before border go.
var (
	now    = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	border = now.AddDate(0, 0, -400)
	old    = border.AddDate(0, -1, 0)
	recent = border.AddDate(0, 1, 0)
)

func at(event ledger.Event, consent, phone string, at, until time.Time) ledger.Entry {
	e := Sample(consent)
	e.Event, e.Phone, e.At, e.Until = event, phone, at, until
	return e
}

func testRetention(t *testing.T, e Engine) {
	const (
		p1 = "AAAAAAAAAAAAAAAAAAAAA1"
		p2 = "AAAAAAAAAAAAAAAAAAAAA2"
		p3 = "AAAAAAAAAAAAAAAAAAAAA3"
		p4 = "AAAAAAAAAAAAAAAAAAAAA4"
	)
	soon, over, never := now.AddDate(0, 0, 1), old.Add(time.Hour), time.Time{}
	runs := at(ledger.Given, "runs", p1, old, soon)
	ended := at(ledger.Withdrawn, "ended", p1, old, soon)
	forever := at(ledger.Withdrawn, "forever", "", old, never)
	locked := at(ledger.Locked, "", p1, old, never)
	lockedAgain := at(ledger.Locked, "", p4, old.Add(time.Minute), never)
	stay := []ledger.Entry{
		at(ledger.Withdrawn, "twice", p1, recent, soon),
		at(ledger.Unlocked, "", p3, recent, never),
		at(ledger.Given, "stays", p1, recent, recent),
		at(ledger.Used, "stays", p1, old, recent), // behind one that stays
	}
	first, second := open(t, e.Open), open(t, e.Open)
	appendAll(t, first,
		at(ledger.Given, "over", p1, old, over),
		runs,
		at(ledger.Given, "ended", p1, old, soon),
		ended,
		at(ledger.Given, "twice", p1, old, soon), // and withdrawn, later
		forever,
		at(ledger.Refused, "", p1, old, never),
		at(ledger.Used, "runs", p1, old, soon),
		locked,
		at(ledger.Locked, "", p2, old, never),
		at(ledger.Unlocked, "", p2, old, never),
		at(ledger.Locked, "", p3, old, never), // and unlocked, later
		at(ledger.Locked, "", p4, old, never),
		lockedAgain,
	)
	const went = 14
	removed := wantWhole(t, e, went).Head
	appendAll(t, second, stay...)
	noted := wantWhole(t, e, went+4).Head

	done, err := e.Prune(border, now)
	if err != nil || done == nil {
		t.Fatalf("Prune: %v, %v", done, err)
	}
	if done.Removed != went || done.Carried != 5 || done.Head() != removed {
		t.Errorf("got %+v", *done)
	}
	carried := []ledger.Entry{runs, ended, forever, locked, lockedAgain}
	wantEntries(t, Collect(t, first), append(slices.Clone(stay), carried...)...)
	r := wantWhole(t, e, 4+5+1)
	if r.First != went+1 || r.Pruned == nil || r.Pruned.Through != went || !r.Pruned.Before.Equal(border) {
		t.Errorf("reported %+v, %+v", r, r.Pruned)
	}
	for name, want := range map[string]chain.Head{"before": noted, "of what went": removed, "now": r.Head} {
		if r := mustVerify(t, e, want); !r.Whole() {
			t.Errorf("the head noted %s: %v", name, r.Problems)
		}
	}
	wantProblem(t, mustVerify(t, e, chain.Head{Seq: 3, Hash: noted.Hash}), 3, "retention has removed it")

	// Those that had it open go on, and find what was carried over.
	more := []ledger.Entry{Sample("more1"), Sample("more2")}
	for i, l := range []ledger.Ledger{first, second} {
		if err := l.Ready(t.Context()); err != nil {
			t.Errorf("Ready: %v", err)
		}
		appendAll(t, l, more[i])
	}
	wantEntries(t, Collect(t, second), slices.Concat(stay, carried, more)...)
	var of []ledger.Entry
	if err := first.ByPhone(t.Context(), p4, func(e ledger.Entry) error { of = append(of, e); return nil }); err != nil {
		t.Error(err)
	}
	wantEntries(t, of, lockedAgain)

	// Nothing is left to be done, and what was carried over once is so again.
	if done, err := e.Prune(border, now); done != nil || err != nil {
		t.Errorf("Prune again: %v, %v", done, err)
	}
	wantWhole(t, e, 4+5+1+2)
	if done, err = e.Prune(recent.Add(time.Hour), now); err != nil || done == nil || done.Removed != 4+5 || done.Carried != 6 {
		t.Errorf("Prune later: %+v, %v", done, err)
	}
	wantEntries(t, Collect(t, first), slices.Concat(more, stay[:1], carried)...)
	wantWhole(t, e, 1+2+6+1)
}

// testRetentionOfAll removes every line there is.
func testRetentionOfAll(t *testing.T, e Engine) {
	l := open(t, e.Open)
	if done, err := e.Prune(border, now); done != nil || err != nil {
		t.Errorf("Prune of nothing: %v, %v", done, err)
	}
	for i := range 3 {
		appendAll(t, l, at(ledger.Given, fmt.Sprint(i), "", old, old))
	}
	if done, err := e.Prune(border, now); err != nil || done == nil || done.Removed != 3 {
		t.Fatalf("Prune: %+v, %v", done, err)
	}
	wantEntries(t, Collect(t, l))
	wantWhole(t, e, 1)
	appendAll(t, l, Sample("next"))
	wantEntries(t, Collect(t, open(t, e.Open)), Sample("next"))
}

// testRetentionOfNeeded has nothing old but what still counts: it stays where it is.
func testRetentionOfNeeded(t *testing.T, e Engine) {
	l := open(t, e.Open)
	locked := at(ledger.Locked, "", "AAAAAAAAAAAAAAAAAAAAA1", old, time.Time{})
	appendAll(t, l, locked)
	for range 2 {
		if done, err := e.Prune(border, now); done != nil || err != nil {
			t.Errorf("Prune: %v, %v", done, err)
		}
	}
	wantWhole(t, e, 1)
	wantEntries(t, Collect(t, l), locked)
}

// testRetentionWhileAppending removes old entries again and again, while two
// instances append: what has to stay is there, once, and the chain holds.
func testRetentionWhileAppending(t *testing.T, e Engine) {
	a, b := open(t, e.Open), open(t, e.Open)
	var wg sync.WaitGroup
	for _, l := range []struct {
		name string
		ledger.Ledger
	}{{"a", a}, {"b", b}} {
		for w := range 4 {
			wg.Go(func() {
				for i := range perWriter {
					id := fmt.Sprintf("%s%d/%d", l.name, w, i)
					err := l.Append(t.Context(), at(ledger.Given, "goes"+id, "", old, old))
					if err == nil {
						err = l.Append(t.Context(), at(ledger.Given, id, "", recent, recent))
					}
					if err != nil {
						t.Errorf("Append: %v", err)
						return
					}
				}
			})
		}
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	// The border moves on, so that there is always something to do.
	for running, i := true, 0; running; i++ {
		select {
		case <-done:
			running = false
		default:
		}
		if _, err := e.Prune(border, now); err != nil {
			t.Errorf("Prune: %v", err)
			break
		}
		if i == 0 {
			appendAll(t, a, at(ledger.Locked, "", "AAAAAAAAAAAAAAAAAAAAA1", old, time.Time{}))
		}
	}
	<-done
	if r := mustVerify(t, e, chain.Head{}); !r.Whole() {
		t.Fatal(r.Problems)
	}
	stays := 0
	next := map[string]int{}
	for _, got := range Collect(t, b) {
		writer, number, ok := strings.Cut(got.Consent, "/")
		if !ok || strings.HasPrefix(writer, "goes") {
			continue
		}
		if want := fmt.Sprint(next[writer]); number != want {
			t.Fatalf("%s came where %s/%s was due", got.Consent, writer, want)
		}
		next[writer]++
		stays++
	}
	if want := 2 * 4 * perWriter; stays != want {
		t.Errorf("%d entries stayed, want %d", stays, want)
	}
}

func testRetentionOfBroken(t *testing.T, e Engine) {
	l := open(t, e.Open)
	for i := range 4 {
		appendAll(t, l, at(ledger.Given, fmt.Sprint(i), "", old, old))
	}
	broken := slices.Delete(e.Lines(), 1, 2)
	e.SetLines(broken)
	if done, err := e.Prune(border, now); err == nil || done != nil {
		t.Errorf("Prune: %v, %v; want an error", done, err)
	}
	if got := e.Lines(); !slices.EqualFunc(got, broken, bytes.Equal) {
		t.Error("the record was changed")
	}
}

func testTamperedAfterRetention(t *testing.T, e Engine) {
	l := open(t, e.Open)
	for i := range 3 {
		appendAll(t, l, at(ledger.Given, fmt.Sprint(i), "", old, old))
	}
	appendAll(t, l, at(ledger.Given, "3", "", recent, recent), at(ledger.Given, "4", "", recent, recent))
	before := e.Lines()
	if _, err := e.Prune(border, now); err != nil {
		t.Fatal(err)
	}
	after := e.Lines() // 4, 5, pruned
	wantWhole(t, e, 3)
	e.SetLines(slices.Clone(after[1:]))
	wantProblem(t, mustVerify(t, e, chain.Head{}), 1, "all others to entry 4 are missing at the front")
	e.SetLines(slices.Concat(before[2:3], after))
	wantProblem(t, mustVerify(t, e, chain.Head{}), 1, "all others to entry 2 are missing at the front")
	e.SetLines(slices.Concat(before[:3], after))
	wantProblem(t, mustVerify(t, e, chain.Head{}), 3, "retention removed it")
	if !e.KeepsHead {
		e.SetLines(slices.Clone(after[:2]))
		wantProblem(t, mustVerify(t, e, chain.Head{}), 1, "all others to entry 3 are missing at the front")
	}
}
