package chain_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/ledgertest"
)

// lines returns n lines of a record, and its head.
func lines(t testing.TB, n int) (all [][]byte, head chain.Head) {
	t.Helper()
	head = chain.Genesis()
	for i := range n {
		body, err := chain.BodyOf(ledgertest.Sample(fmt.Sprint("c", i+1)))
		if err != nil {
			t.Fatal(err)
		}
		var line []byte
		line, head = chain.Append(nil, head, body)
		all = append(all, line)
	}
	return all, head
}

func check(want chain.Head, all [][]byte) chain.Report {
	c := chain.Checker{Want: want}
	for _, line := range all {
		_, _ = c.Next(line)
	}
	return c.End(chain.NoHead)
}

// TestLine pins what is on disk: a later version has to read it.
func TestLine(t *testing.T) {
	const want = `{"v":2,"seq":1,"prev":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",` +
		`"event":"given","consent":"c1","at":"2026-03-04T05:06:07.891Z","person":"0f1e2d3c",` +
		`"phone":"q83vEjRWeJCrze8SNFZ4kA","partner":"mall","purpose":"Entry","txnId":"3fa85f64-5717-4562-b3fc-2c963f66afa6",` +
		`"notice":"2026-01","lang":"hi-IN","how":"otp+sms","acting":"ward","until":"2026-03-04T17:06:07.891Z",` +
		`"hash":"%s"}`
	const hash = "lyasBzgMEj-3aiH7Hjl58ZvMQU_7PaUUmncjjyWRcu4"
	e := ledgertest.Sample("c1")
	e.Purpose = "Entry"
	e.At = e.At.In(time.FixedZone("IST", 19800))
	body, err := chain.BodyOf(e)
	if err != nil {
		t.Fatal(err)
	}
	line, head := chain.Append(nil, chain.Genesis(), body)
	if got := string(line); got != fmt.Sprintf(want, hash) || head != (chain.Head{Seq: 1, Hash: hash}) {
		t.Errorf("got  %s, head %v\nwant "+want, got, head, hash)
	}
}

// TestEveryByte changes each byte of a record in turn: each is found, and the
// first problem is of the line that the byte is in.
func TestEveryByte(t *testing.T) {
	all, head := lines(t, 3)
	if r := check(head, all); !r.Whole() || r.Head != head || r.First != 1 || r.Lines != 3 {
		t.Fatalf("unchanged: %+v", r)
	}
	for n, line := range all {
		for i := range line {
			for _, bit := range []byte{1, 0x20, 0x80} {
				line[i] ^= bit
				r := check(chain.Head{}, all)
				if r.Whole() || r.Problems[0].Line != uint64(n+1) || r.Problems[0].Seq != uint64(n+1) {
					t.Fatalf("bit %#x of byte %d of line %d: %v", bit, i, n+1, r.Problems)
				}
				if r.Found > 2 { // itself and that the next one does not fit
					t.Fatalf("bit %#x of byte %d of line %d: %d problems: %v", bit, i, n+1, r.Found, r.Problems)
				}
				line[i] ^= bit
			}
		}
	}
}

// TestLongest writes the longest entry that there can be, in what takes JSON the
// most bytes.
func TestLongest(t *testing.T) {
	long := func(n int) string { return strings.Repeat("\x01", n) }
	e := ledger.Entry{
		Event: ledger.Refused, Consent: long(128), At: time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC), Person: long(128),
		Phone: strings.Repeat("A", 128), Partner: long(253), Purpose: long(4096), TxnID: long(128), Notice: long(128), Lang: long(128),
		How: long(128), Acting: long(253), Reason: long(128), Until: time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
	}
	body, err := chain.BodyOf(e)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := chain.Append(nil, chain.Head{Seq: 1<<64 - 2, Hash: chain.Genesis().Hash}, body)
	l, err := chain.Read(raw)
	if err != nil {
		t.Fatal(err)
	}
	got, known, err := l.Entry()
	if err != nil || !known || !ledgertest.Same(got, e) || l.Seq != 1<<64-1 {
		t.Errorf("it did not come back: %v, %v", known, err)
	}
	if body.Phone() != e.Phone {
		t.Error("its phone did not come back")
	}
}

func TestParseHead(t *testing.T) {
	good := chain.Head{Seq: 17, Hash: "GqF9bAXgIEm1lRT8_86s5hN9jF6A8XWiiKlwdY2e3dg"}
	if got, err := chain.ParseHead(good.String()); err != nil || got != good {
		t.Errorf("got %v, %v", got, err)
	}
	for _, s := range []string{"", "17", "17:", ":" + good.Hash, "0:" + good.Hash, "-1:" + good.Hash, "17:" + good.Hash[1:], "17:" + good.Hash + "A", "17:" + good.Hash[:42] + "h", "x"} {
		if got, err := chain.ParseHead(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, got)
		}
	}
}

// TestCarry writes a line again, twice: it says the same, and under which seq it
// was first.
func TestCarry(t *testing.T) {
	all, head := lines(t, 2)
	l, err := chain.Read(all[1])
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := l.Entry()
	for range 2 {
		var raw []byte
		raw, head = chain.Append(nil, head, l.Carry())
		if l, err = chain.Read(raw); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasSuffix(l.Body, []byte(`,"was":2`)) {
			t.Errorf("it says %s", l.Body)
		}
		if e, known, err := l.Entry(); err != nil || !known || !ledgertest.Same(e, first) {
			t.Errorf("it became %+v, %v", e, err)
		}
		all = append(all, raw)
	}
	if r := check(head, all); !r.Whole() {
		t.Error(r.Problems)
	}
}

// TestManyProblems turns a record around: it is said how many there are, and the
// first are kept.
func TestManyProblems(t *testing.T) {
	all, _ := lines(t, 100)
	for _, line := range all {
		line[len(line)-60] ^= 1
	}
	if r := check(chain.Head{}, all); r.Found < 100 || len(r.Problems) > 20 {
		t.Errorf("%d of %d problems", len(r.Problems), r.Found)
	}
}

// FuzzCheck reads anything. A record that is said to be whole is one that Append
// makes of what its lines say.
func FuzzCheck(f *testing.F) {
	all, _ := lines(f, 3)
	f.Add(bytes.Join(all, []byte("\n")))
	f.Add(bytes.Join(all[1:], []byte("\n")))
	f.Add([]byte(`{"v":2,"seq":1,"prev":"`))
	pruned, err := chain.Pruned{At: time.Unix(1, 0), Through: 1, Hash: chain.Genesis().Hash, Removed: 1, Before: time.Unix(0, 0)}.Body()
	if err != nil {
		f.Fatal(err)
	}
	line, _ := chain.Append(nil, chain.Head{Seq: 1, Hash: chain.Genesis().Hash}, pruned)
	f.Add(line)
	f.Fuzz(func(t *testing.T, content []byte) {
		all := bytes.Split(content, []byte("\n"))
		r := check(chain.Head{}, all)
		if !r.Whole() {
			return
		}
		first, err := chain.Read(all[0])
		if err != nil {
			t.Fatalf("whole, and its first line: %v", err)
		}
		head := chain.Head{Seq: first.Seq - 1, Hash: first.Prev}
		for _, raw := range all {
			l, err := chain.Read(raw)
			if err != nil {
				t.Fatalf("whole, and: %v", err)
			}
			var again []byte
			if again, head = chain.Append(nil, head, l.Body); !bytes.Equal(again, raw) {
				t.Fatalf("whole, and %q is not %q", raw, again)
			}
			_, _, _ = l.Entry()
			_ = l.Carry()
		}
		if first.Seq > 1 && r.Pruned == nil {
			t.Fatal("whole, and its front is missing")
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	body, err := chain.BodyOf(ledgertest.Sample("3fa85f64-5717-4562-b3fc-2c963f66afa6"))
	if err != nil {
		b.Fatal(err)
	}
	var dst []byte
	head := chain.Genesis()
	b.ReportAllocs()
	for b.Loop() {
		dst, head = chain.Append(dst[:0], head, body)
	}
}

func BenchmarkCheck(b *testing.B) {
	all, _ := lines(b, 1000)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		var c chain.Checker
		for _, line := range all {
			_, _ = c.Next(line)
		}
		n += len(all)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
}
