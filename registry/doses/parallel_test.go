package doses

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/kycvs/caddy-kycvs/registry"
)

// said is what reading a file came to, in the order of the file.
type said struct {
	rows, bad, raw []string
	err            string
}

func (s *said) add(row Row, err error, raw []byte) {
	if err != nil {
		s.bad = append(s.bad, err.Error())
		s.raw = append(s.raw, string(raw))
		return
	}
	s.rows = append(s.rows, show(row))
}

func show(r Row) string {
	d := "-"
	if r.Dose != nil {
		d = fmt.Sprint(*r.Dose)
	}
	r.Dose = nil
	return fmt.Sprintf("%+v %s", r, d)
}

// inTurn reads a file with a Reader.
func inTurn(in io.Reader, c Config) (s said) {
	c.Now = now
	r, err := NewReader(in, c)
	if err != nil {
		return said{err: err.Error()}
	}
	for row, err := range r.Rows() {
		if rowError := (*RowError)(nil); err != nil && !errors.As(err, &rowError) {
			s.err = err.Error()
			break
		}
		s.add(row, err, r.Raw())
	}
	return s
}

// atOnce reads a file with a Parallel.
func atOnce(in io.Reader, c Config, workers int) said {
	c.Now = now
	p, err := NewParallel(in, c, workers)
	if err != nil {
		return said{err: err.Error()}
	}
	return run(context.Background(), p)
}

func run(ctx context.Context, p *Parallel) (s said) {
	var mu sync.Mutex
	var parts []said
	err := p.Run(ctx, func(_ int, b *Batch) error {
		var part said
		for _, r := range b.Rows {
			part.add(r, nil, nil)
		}
		for _, r := range b.Rejected {
			part.add(Row{}, r.Err, r.Raw)
		}
		mu.Lock()
		defer mu.Unlock()
		for len(parts) <= b.Number {
			parts = append(parts, said{})
		}
		parts[b.Number] = part
		return nil
	})
	for _, part := range parts {
		s.rows, s.bad, s.raw = append(s.rows, part.rows...), append(s.bad, part.bad...), append(s.raw, part.raw...)
	}
	if err != nil {
		s.err = err.Error()
	}
	return s
}

func (s said) equal(o said) bool {
	return s.err == o.err && slices.Equal(s.rows, o.rows) && slices.Equal(s.bad, o.bad) && slices.Equal(s.raw, o.raw)
}

func gzipped(t testing.TB, parts ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, part := range parts {
		z := gzip.NewWriter(&b)
		if _, err := io.WriteString(z, part); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// What a Parallel reads is what a Reader reads, wherever blocks end.
func TestParallel(t *testing.T) {
	t.Parallel()
	const plain = "9876543210,Asha Rao,COVISHIELD,1,2,2021-03-01,1960,1001,\n"
	const quoted = "9876543211,\"Rao, \"\"Ravi\"\"\",COVISHIELD,1,2,2021-03-01,1960,1001,\"completed\"\r\n"
	const twoLines = "9876543212,Meena,COVISHIELD,1,2,2021-03-01,1960,\"10\n01\",\n"
	const open = "9876543213,\"Kiran,COVAXIN,1,2,2021-03-01,1960,1001,\n"
	long := "9876543214," + strings.Repeat("long ", 200) + ",,,,,,,\n"
	longQuoted := "9876543214,\"" + strings.Repeat("long ", 200) + "\",,,,,,,\n"
	for _, c := range []struct{ name, in string }{
		{"nothing", ""},
		{"header only", ours},
		{"header without an end", strings.TrimSpace(ours)},
		{"header in quotation marks", `"mobile_number","full` + "\n" + `name",vaccine,dose,total_doses,date` + "\n" + strings.Repeat("9876543210,Asha,,,,\n", 50)},
		{"plain", ours + strings.Repeat(plain, 200)},
		{"no line end at the end", ours + strings.Repeat(plain, 20) + strings.TrimSpace(plain)},
		{"empty lines", ours + strings.Repeat(plain+"\n\r\n,,\n", 50)},
		{"quoted", ours + strings.Repeat(quoted, 100)},
		{"lines within quotation marks", ours + strings.Repeat(twoLines+plain, 50)},
		{"open", ours + strings.Repeat(open+plain+plain+quoted, 50)},
		{"open at the end", ours + strings.Repeat(plain, 50) + open},
		{"long", ours + strings.Repeat(plain+long+plain, 30)},
		{"longer than a block", ours + plain + strings.Repeat(long[:len(long)-1], 40) + "\n" + plain},
		{"longer than a block, without an end", ours + plain + strings.Repeat(long[:len(long)-1], 40)},
		{"long and quoted", ours + strings.Repeat(longQuoted+plain+quoted, 30)},
		{"all", ours + strings.Repeat(plain+quoted+twoLines+open+long+plain+longQuoted+"\"\n", 20)},
		{"carriage returns", ours + strings.Repeat(plain[:len(plain)-1]+"\r\n", 50)},
		{"not UTF-8", ours + strings.Repeat("9876543210,As\xe9,,,,,,,\n"+plain, 50)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for block := range 40 {
				config := Config{MaxRow: 100 + block%7, block: 400 + 23*block, File: 3}
				want := inTurn(strings.NewReader(c.in), config)
				for _, in := range []io.Reader{
					strings.NewReader(c.in), iotest.HalfReader(strings.NewReader(c.in)),
					iotest.DataErrReader(strings.NewReader(c.in)), bytes.NewReader(gzipped(t, c.in)),
				}[block%4 : block%4+1] {
					got := atOnce(in, config, 1+block%3)
					if !got.equal(want) {
						t.Fatalf("block %d: got\n%+v\nwant\n%+v", block, got, want)
					}
				}
			}
		})
	}
}

func FuzzParallel(f *testing.F) {
	f.Add([]byte("9876543210,Asha Rao,COVISHIELD,1,2,2021-03-01,1960,1001,\n\"a\n\"\",\n\"\n\"\"\n"), uint8(3))
	f.Add([]byte("\"a\"b\n\r\n,,\"\",\"\n\n"+strings.Repeat("x", 400)+"\n"), uint8(30))
	f.Fuzz(func(t *testing.T, in []byte, block uint8) {
		in = append([]byte(ours), in...)
		for len(in) < 2000 {
			in = append(in, in[len(ours):]...)
			if len(in) == len(ours) {
				break
			}
		}
		c := Config{MaxRow: 120, block: 488 + int(block)}
		if got, want := atOnce(bytes.NewReader(in), c, 2), inTurn(bytes.NewReader(in), c); !got.equal(want) {
			t.Fatalf("got\n%+v\nwant\n%+v", got, want)
		}
	})
}

func TestParallelGzip(t *testing.T) {
	t.Parallel()
	const row = "9876543210,Asha Rao,COVISHIELD,1,2,2021-03-01,1960,1001,\n"
	in := gzipped(t, ours+row, row+row) // as cat makes of two
	if got := atOnce(bytes.NewReader(in), Config{}, 2); len(got.rows) != 3 || got.err != "" {
		t.Errorf("%+v", got)
	}
	for _, c := range []struct {
		name string
		in   []byte
		want string
	}{
		{"cut short", in[:len(in)-10], "reading: decompressing: unexpected EOF"},
		{"not gzip", []byte("\x1f\x8bnonsense and more"), "line 1: the file is not what gzip makes"},
		{"twice", gzipped(t, string(in)), "line 1: the file is compressed by gzip"},
		{"damaged", append(bytes.Clone(in[:30]), make([]byte, 100)...), "decompressing"},
	} {
		if got := atOnce(bytes.NewReader(c.in), Config{}, 2); !strings.Contains(got.err, c.want) {
			t.Errorf("%s: %q", c.name, got.err)
		}
	}
}

// A bomb is refused where it begins to be one, with the line.
func TestBomb(t *testing.T) {
	var bomb bytes.Buffer
	z, _ := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
	io.WriteString(z, ours+"9876543210,Asha Rao,COVISHIELD,1,2,2021-03-01,1960,1001,\n")
	io.CopyN(z, letters{}, 80<<20)
	z.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := atOnce(bytes.NewReader(bomb.Bytes()), Config{}, 2)
	runtime.ReadMemStats(&after)
	if !strings.HasPrefix(got.err, "line 3: reading: the file becomes more than 300 times longer") {
		t.Errorf("%+v", got.err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("%d bytes allocated", grown)
	}
}

// A line of any length costs no memory, and the row after it is read.
func TestParallelEndlessLine(t *testing.T) {
	in := io.MultiReader(strings.NewReader(ours), io.LimitReader(letters{}, 1<<26),
		strings.NewReader("\n9876543211,Ravi Kumar,COVAXIN,1,2,2021-03-01,,,\n"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := atOnce(in, Config{}, 2)
	runtime.ReadMemStats(&after)
	if len(got.rows) != 1 || len(got.bad) != 1 || !strings.HasPrefix(got.bad[0], "line 2: the row is longer") || len(got.raw[0]) != 64<<10 {
		t.Errorf("%d rows, %q, %q", len(got.rows), got.bad, got.err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("%d bytes allocated", grown)
	}
}

func TestParallelStops(t *testing.T) {
	t.Parallel()
	row := "9876543211,Ravi Kumar,COVAXIN,1,2,2021-03-01,,,\n"
	broken := errors.New("disk on fire")
	got := atOnce(io.MultiReader(strings.NewReader(ours+row), iotest.ErrReader(broken)), Config{}, 2)
	if !strings.HasSuffix(got.err, "reading: disk on fire") {
		t.Errorf("reading fails: %q", got.err)
	}
	endless := func() *Parallel {
		p, err := NewParallel(io.MultiReader(strings.NewReader(ours), &repeated{text: row}), Config{Now: now}, 2)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if err := endless().Run(t.Context(), func(_ int, b *Batch) error {
		if b.Number > 3 {
			return broken
		}
		return nil
	}); err != broken {
		t.Errorf("do fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := endless().Run(ctx, func(_ int, b *Batch) error {
		if b.Number > 3 {
			cancel()
		}
		return nil
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := NewParallel(strings.NewReader(ours), Config{Format: "xml"}, 1); err == nil || !strings.Contains(err.Error(), "write csv or fhir") {
		t.Errorf("another format: %v", err)
	}
}

// repeated is a text again and again without an end.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(b []byte) (n int, err error) {
	for n < len(b) {
		m := copy(b[n:], r.text[r.at:])
		n += m
		r.at = (r.at + m) % len(r.text)
	}
	return n, nil
}

// Rows that were copied out of batches stay what they were.
func TestBatchesKept(t *testing.T) {
	t.Parallel()
	var in strings.Builder
	in.WriteString(ours)
	for i := range 5000 {
		fmt.Fprintf(&in, "98765%05d,Asha %d,COVISHIELD,%d,2,2021-03-01,1960,%d,\n", i, i, 1+i%2, i)
	}
	p, err := NewParallel(strings.NewReader(in.String()), Config{Now: now, MaxRow: 200, block: 1000}, 2)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var kept []Row
	if err := p.Run(t.Context(), func(_ int, b *Batch) error {
		mu.Lock()
		defer mu.Unlock()
		kept = append(kept, b.Rows...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(kept, func(a, b Row) int { return a.Line - b.Line })
	for i, r := range kept {
		if r.Mobile != registry.Mobile(fmt.Sprintf("+9198765%05d", i)) || r.Name != fmt.Sprintf("Asha %d", i) ||
			r.ID != fmt.Sprint(i) || r.Dose.Number != 1+i%2 {
			t.Fatalf("%d: %+v", i, r)
		}
	}
}

func BenchmarkParallel(b *testing.B) {
	for _, c := range []struct{ name, row string }{
		{"plain", "98765%05d,Asha Rao,COVISHIELD,%d,2,2021-03-01,1960,%d,\n"},
		{"quoted", "\"98765%05d\",\"Asha Rao\",\"COVISHIELD\",\"%d\",\"2\",\"2021-03-01\",\"1960\",\"%d\",\"\"\n"},
		{"Indic", "98765%05d,आशा कुमारी राव,Covishield,%d,2,01-03-2021,1960,%d,\n"},
	} {
		var in bytes.Buffer
		in.WriteString(ours)
		const rows = 100_000
		for i := range rows {
			fmt.Fprintf(&in, c.row, i, 1+i%2, int64(1e13)+int64(i))
		}
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/workers=%d", c.name, workers), func(b *testing.B) {
				b.SetBytes(int64(in.Len()))
				b.ReportAllocs()
				for b.Loop() {
					p, err := NewParallel(bytes.NewReader(in.Bytes()), Config{Now: now}, workers)
					if err != nil {
						b.Fatal(err)
					}
					if err := p.Run(b.Context(), func(_ int, batch *Batch) error {
						if len(batch.Rejected) > 0 {
							return batch.Rejected[0].Err
						}
						return nil
					}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}
