package loading

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/doses"
)

func run(t testing.TB, m *memory, c Config, files ...string) Summary {
	t.Helper()
	s, err := try(t, m, c, files...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func try(t testing.TB, m *memory, c Config, files ...string) (Summary, error) {
	t.Helper()
	if c.Now == nil {
		c.Now = now
	}
	for i, f := range files {
		c.Files = append(c.Files, text(fmt.Sprintf("file%d.csv", i), f))
	}
	return Run(t.Context(), m, c)
}

func TestImport(t *testing.T) {
	m := newMemory(t)
	s := run(t, m, Config{}, people(3000))
	s.Elapsed = 0
	if want := (Summary{Files: 1, Rows: 6000, Doses: 6000, Reasons: map[string]int64{}, Added: 3000, Numbers: 3000, NumbersChanged: 3000,
		Change: Change{3000, 3000, 6000}}); !reflect.DeepEqual(s, want) {
		t.Errorf("got %+v", s)
	}
	m.check(mobiles(3000)...)
	for i, mobile := range mobiles(3000) {
		r := m.lookup(mobile)
		if len(r) != 1 || len(r[0].Doses) != 2 || r[0].ID != fmt.Sprint(70000+i) || r[0].BirthYear != 1950+i%50 {
			t.Fatalf("%+v", r)
		}
	}

	s = run(t, m, Config{}, people(3000))
	if s.Unchanged != 3000 || s.Added+s.Changed+s.Removed+s.NumbersChanged != 0 || s.Change != (Change{}) {
		t.Errorf("again: %+v", s)
	}
	s = run(t, m, Config{}, header+"9876500000,Person NumberA,COVISHIELD,2,2,2021-06-01,,70000,entered-in-error\n9876500000,Ravi Rao,,,,,,,\n")
	if s.Changed != 1 || s.Added != 1 || s.Numbers != 1 || s.NumbersChanged != 1 || s.Change != (Change{0, 1, -1}) || s.Doses != 0 {
		t.Errorf("taken back: %+v", s)
	}
	m.check(mobiles(3000)...)
}

// Files come one after the other, whatever the order of their rows.
func TestFilesInOrder(t *testing.T) {
	t.Parallel()
	const row = "9876543210,Asha Rao,COVISHIELD,1,2,2021-03-01,,,"
	given, back := header+row+"\n", header+row+"entered-in-error\n"
	for _, c := range []struct {
		files []string
		want  int
	}{
		{[]string{given}, 1}, {[]string{given, back}, 0}, {[]string{back, given}, 1}, {[]string{given, back, given}, 1}, {[]string{back, given, back}, 0},
	} {
		m := newMemory(t)
		s := run(t, m, Config{}, c.files...)
		if r := m.lookup("+919876543210"); len(r) != 1 || len(r[0].Doses) != c.want || s.Files != len(c.files) || s.Rows != int64(len(c.files)) {
			t.Errorf("%d files: %+v, %+v", len(c.files), r, s)
		}
	}
}

// little lets an import have next to no memory.
func little(t *testing.T, least int64) {
	old := leastMemory
	leastMemory = least
	t.Cleanup(func() { leastMemory = old })
}

// With next to no memory rows go by the disk, and parts are split.
func TestLittleMemory(t *testing.T) {
	little(t, 1)
	const n = 20_000
	m, tmp := newMemory(t), t.TempDir()
	s := run(t, m, Config{Memory: 40_000, Workers: 2, TempDir: tmp}, people(n))
	if s.Spilled == 0 || s.Added != n || s.Change != (Change{n, n, 2 * n}) {
		t.Errorf("%+v", s)
	}
	m.check(mobiles(n)...)
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestTooManyRows(t *testing.T) {
	little(t, 1)
	m := newMemory(t)
	_, err := try(t, m, Config{Memory: 40_000}, header+strings.Repeat("9999999999,Asha Rao,COVISHIELD,1,2,2021-03-01,,,\n", 1000))
	if !errors.Is(err, ErrTooManyRows) || len(m.boxes) > 0 {
		t.Errorf("%v", err)
	}
	_, err = try(t, m, Config{Memory: 4_000_000}, header+strings.Repeat("9999999999,Asha Rao,COVISHIELD,1,2,2021-03-01,,,\n", 1000))
	if err != nil || len(m.lookup("+919999999999")) != 1 {
		t.Errorf("with memory for them: %v", err)
	}
}

// What lies on the disk meanwhile shows nothing of what was read.
func TestSpillShowsNothing(t *testing.T) {
	little(t, 1)
	i, err := newImporting(Config{Files: []File{text("a", people(5000))}, Memory: 1, TempDir: t.TempDir(), Now: now, Workers: 2}, mustBegin(t))
	if err != nil {
		t.Fatal(err)
	}
	defer i.parts.close()
	if err := i.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := range i.parts.parts { // the rest too
		p := &i.parts.parts[n]
		if _, err := i.parts.keep(bytes.Clone(p.open)); err != nil {
			t.Fatal(err)
		}
	}
	disk := make([]byte, i.parts.end.Load())
	if _, err := i.parts.file.ReadAt(disk, 0); err != nil || len(disk) < 5000*2*40 {
		t.Fatalf("%d bytes, %v", len(disk), err)
	}
	for i := range 5000 {
		for _, s := range []string{fmt.Sprintf("98765%05d", i), "Person", "Number", "COVISHIELD", "2021-03-01", "2021-06-01"} {
			if i > 0 && s[0] > '9' {
				break
			}
			if bytes.Contains(disk, []byte(s)) {
				t.Fatalf("%s is there", s)
			}
		}
	}
}

func mustBegin(t *testing.T) Batch {
	b, err := newMemory(t).Begin(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Abort() })
	return b
}

func TestDamagedSpill(t *testing.T) {
	little(t, 1)
	s, err := newSpill(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	b, err := s.keep([]byte("a row"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.load([]byte("before "), b); err != nil || string(got) != "before a row" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := s.file.WriteAt([]byte{'x', 'y'}, 1); err != nil {
		t.Fatal(err)
	}
	if got, err := s.load(nil, b); err == nil {
		t.Errorf("%q", got)
	}
}

const mistakes = header +
	"9876543210,Asha Rao,COVISHIELD,1,2,2021-03-01,,,\n" +
	"12,Asha Rao,COVISHIELD,1,2,2021-03-01,,,\n" +
	"9876543211,\"Rao, Ravi\",COVISHIELD,1,2,2051-03-01,,,\n" +
	"9876543212,Meena Iyer,COVISHIELD,1,2,2051-03-01,,,\n"

type closer struct {
	bytes.Buffer
	closed int
	fail   error
}

func (c *closer) Write(b []byte) (int, error) {
	if c.fail != nil {
		return 0, c.fail
	}
	return c.Buffer.Write(b)
}

func (c *closer) Close() error { c.closed++; return nil }

func TestRejects(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	out := &closer{}
	s := run(t, m, Config{Rejects: func(file string, format doses.Format) (io.WriteCloser, error) {
		if file != "file0.csv" || format != doses.CSV {
			t.Errorf("rejects of %s", file)
		}
		return out, nil
	}}, mistakes, people(1))
	if s.Rows != 6 || s.Rejected != 3 || s.Added != 2 || len(s.Reasons) != 2 || s.Reasons["column date: in the future"] != 2 {
		t.Errorf("%+v", s)
	}
	if out.closed != 1 {
		t.Errorf("closed %d times", out.closed)
	}
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 5 || lines[0]+"\n" != "rejected_line,rejected_reason,"+header ||
		!strings.HasPrefix(lines[1], `3,"mobile_number: not a mobile number`) || !strings.HasSuffix(lines[1], ",12,Asha Rao,COVISHIELD,1,2,2021-03-01,,,") ||
		lines[2] != `4,"date: in the future",9876543211,"Rao, Ravi",COVISHIELD,1,2,2051-03-01,,,` {
		t.Errorf("%q", lines)
	}
	// Corrected, it can be imported.
	s = run(t, m, Config{}, strings.ReplaceAll(out.String(), "2051", "2021"))
	if s.Rejected != 1 || s.Added != 2 {
		t.Errorf("corrected: %+v", s)
	}
}

// TestRejectsFHIR: of NDJSON, line and reason stand around the row, and the file can be
// imported as it is, once it was corrected.
func TestRejectsFHIR(t *testing.T) {
	t.Parallel()
	const (
		patient = `{"resourceType":"Patient","id":"p","name":[{"text":"Asha <Rao> & Co"}],"telecom":[{"system":"phone","value":"9876543210"}]}`
		late    = `{ "resourceType":"Immunization","id":"\u003ci1>","status":"completed","vaccineCode":{"text":"COVISHIELD"},"patient":{"reference":"Patient/p"},"occurrenceDateTime":"2051-03-15"}`
		broken  = `{"resourceType":"Immunization","id":"i2",`
	)
	m, out := newMemory(t), &closer{}
	s := run(t, m, Config{Rejects: func(_ string, format doses.Format) (io.WriteCloser, error) {
		if format != doses.FHIR {
			t.Errorf("format %q", format)
		}
		return out, nil
	}}, strings.Join([]string{patient, "", late, broken, "{\"a\":\"\xff\"}"}, "\n"))
	if s.Rows != 4 || s.Rejected != 3 || s.Added != 1 {
		t.Errorf("%+v", s)
	}
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 4 || lines[0] != `{"line":3,"reason":"occurrenceDateTime: in the future","row":`+late+`}` ||
		!strings.HasPrefix(lines[1], `{"line":4,"reason":"not `) || !strings.HasSuffix(lines[1], `,"row":"{\"resourceType\":\"Immunization\",\"id\":\"i2\","}`) ||
		!strings.HasPrefix(lines[2], `{"line":5,"reason":"not UTF-8`) {
		t.Errorf("%q", lines)
	}
	for _, line := range lines[:len(lines)-1] {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %q", line)
		}
	}
	// Corrected, behind the Patient; what is rejected again is not wrapped twice.
	again := &closer{}
	s = run(t, m, Config{Rejects: func(string, doses.Format) (io.WriteCloser, error) { return again, nil }},
		patient+"\n"+strings.ReplaceAll(out.String(), "2051", "2021"))
	if s.Rejected != 2 || s.Changed != 1 || s.Doses != 1 {
		t.Errorf("corrected: %+v", s)
	}
	if lines := strings.Split(again.String(), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], `{"line":3,`) || strings.Count(lines[0], "reason") != 1 ||
		!strings.HasSuffix(lines[0], `,"row":"{\"resourceType\":\"Immunization\",\"id\":\"i2\","}`) {
		t.Errorf("%q", lines)
	}
}

func TestStrict(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	s, err := try(t, m, Config{Strict: true}, people(1), mistakes)
	if !errors.Is(err, ErrRejected) || s.Rejected != 3 || s.Rows != 6 || len(m.boxes) > 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if s = run(t, m, Config{Strict: true}, people(1)); s.Added != 1 {
		t.Errorf("%+v", s)
	}
}

func TestDry(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	run(t, m, Config{}, people(100))
	s := run(t, m, Config{Dry: true}, people(200))
	if !s.Dry || s.Added != 100 || s.Unchanged != 100 || s.Change != (Change{100, 100, 200}) || len(m.boxes) != 100 {
		t.Errorf("%+v, %d boxes", s, len(m.boxes))
	}
}

// TestFails: whatever fails, the store is as it was, and the error says what failed.
func TestFails(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"begin", "fetch", "put", "commit"} {
		m := newMemory(t)
		m.fail = step
		if _, err := try(t, m, Config{}, people(3000)); !errors.Is(err, errEngine) || len(m.boxes) > 0 {
			t.Errorf("%s: %v", step, err)
		}
	}
	disk := errors.New("disk on fire")
	broken := func(before string) File {
		return File{Name: "b.csv", Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(before), failing{disk})), nil
		}}
	}
	for name, c := range map[string]struct {
		config Config
		file   string // of the FileError
		want   error
	}{
		"no file":            {Config{}, "", nil},
		"not there":          {Config{Files: []File{{Name: filepath.Join(t.TempDir(), "no.csv")}}}, "no.csv", os.ErrNotExist},
		"cannot be opened":   {Config{Files: []File{{Name: "a.csv", Open: func() (io.ReadCloser, error) { return nil, disk }}}}, "a.csv", disk},
		"no header":          {Config{Files: []File{text("a.csv", "9876543210,Asha Rao\n")}}, "a.csv", nil},
		"the second is bad":  {Config{Files: []File{text("a.csv", people(10)), text("b.csv", "x\n")}}, "b.csv", nil},
		"reading fails":      {Config{Files: []File{broken(people(10))}}, "b.csv", disk},
		"rejects not opened": {Config{Files: []File{text("a.csv", mistakes)}, Rejects: func(string, doses.Format) (io.WriteCloser, error) { return nil, disk }}, "", disk},
		"rejects not written": {Config{Files: []File{text("a.csv", mistakes)}, Rejects: func(string, doses.Format) (io.WriteCloser, error) { return &closer{fail: disk}, nil }},
			"", disk},
	} {
		m := newMemory(t)
		c.config.Now = now
		_, err := Run(t.Context(), m, c.config)
		var of *FileError
		isFile := errors.As(err, &of)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || isFile != (c.file != "") || isFile && filepath.Base(of.File) != c.file || len(m.boxes) > 0 {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "Asha") || strings.Contains(err.Error(), "98765")) {
			t.Errorf("%s: the error shows what stood there: %v", name, err)
		}
	}
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

func TestCancelled(t *testing.T) {
	t.Parallel()
	for _, phase := range []Phase{Reading, Merging} {
		m := newMemory(t)
		ctx, cancel := context.WithCancel(t.Context())
		at := Reading
		c := Config{Now: now, Files: []File{text("a.csv", people(2000)), {Name: "b.csv", Open: func() (io.ReadCloser, error) {
			if phase == Reading {
				cancel()
			}
			return io.NopCloser(strings.NewReader(people(2000))), nil
		}}}, Progress: func(p Progress) {
			if at = p.Phase; at == phase {
				cancel()
			}
		}, ProgressEvery: time.Microsecond}
		if _, err := Run(ctx, m, c); !errors.Is(err, context.Canceled) && phase == Reading || err == nil != (len(m.boxes) > 0) {
			t.Errorf("%s: %v", phase, err)
		}
		cancel()
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	var all []Progress
	in := people(5000)
	run(t, newMemory(t), Config{Progress: func(p Progress) { all = append(all, p) }, ProgressEvery: 100 * time.Microsecond}, in, mistakes)
	last := all[len(all)-1]
	if last.Phase != Done || last.Rows != 10004 || last.Rejected != 3 || last.Merged != 10001 || last.Done() != 1 || last.Left() != 0 ||
		last.Read != int64(len(in)+len(mistakes)) || last.Size != last.Read || last.Rate() <= 0 {
		t.Errorf("%+v", last)
	}
	for i, p := range all[1:] {
		if before := all[i]; p.Done() < before.Done() || p.Rows < before.Rows || p.Merged < before.Merged || p.Elapsed < before.Elapsed {
			t.Errorf("%+v after %+v", p, before)
		}
	}
	if p := (Progress{Phase: Reading, Read: 5, Rows: 5, Elapsed: time.Second}); p.Done() >= 0 || p.Left() >= 0 || p.Rate() != 5 {
		t.Error("of unknown size")
	}
}

func TestErase(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	const family = header + "9876500000,Asha Rao,COVISHIELD,1,2,2021-03-01,,,\n9876500000,Ravi Rao,,,,,,,\n9876500001,Asha Rao,,,,,,,\n"
	run(t, m, Config{}, family)
	named := func(name string) func(registry.Record) bool {
		return func(r registry.Record) bool { return r.Name == name }
	}
	for _, c := range []struct {
		mobile registry.Mobile
		name   string
		want   int
		left   Change
	}{
		{"+919876500009", "Asha Rao", 0, Change{2, 3, 1}},
		{"+919876500000", "Meena Rao", 0, Change{2, 3, 1}},
		{"+919876500000", "Asha Rao", 1, Change{2, 2, 0}},
		{"+919876500000", "Asha Rao", 0, Change{2, 2, 0}},
		{"+919876500000", "Ravi Rao", 1, Change{1, 1, 0}},
	} {
		n, err := Erase(t.Context(), m, c.mobile, named(c.name))
		if err != nil || n != c.want || m.now != c.left {
			t.Errorf("%s: %d, %v, %+v", c.name, n, err, m.now)
		}
		m.check("+919876500000", "+919876500001")
	}
}

// A Row that went through the spill is the one that was read.
func FuzzRow(f *testing.F) {
	f.Add("+919876543210", "Asha Rao", "7", 1960, "COVISHIELD", 1, 2, int64(18000), uint8(1), 3)
	f.Fuzz(func(t *testing.T, mobile, name, id string, year int, vaccine string, number, total int, day int64, status uint8, file int) {
		if number < 0 || total < 0 || day < -1e6 || day > 1e6 || file < 0 {
			return
		}
		m := newMemory(t)
		row := doses.Row{Mobile: registry.Mobile(mobile), Name: name, ID: id, BirthYear: year, Status: doses.RecordStatus(status)}
		if vaccine != "" {
			row.Dose = &registry.Dose{Vaccine: vaccine, Number: number, Total: total}
			if day != 0 {
				row.Dose.Date = time.Unix(day*daySeconds, 0).UTC()
			}
		}
		var w words
		w.of("another")
		text := string(appendRow(nil, m.keys.Index(row.Mobile), file, &row, &w))
		var got doses.Row
		n, err := parseRow(text, &got, &registry.Dose{}, w.word)
		if err != nil || n != file || !reflect.DeepEqual(got, row) {
			t.Fatalf("%+v, %d, %v", got, n, err)
		}
		for i := textAt; i < len(text); i++ { // cut short it is an error, not a panic
			parseRow(text[:i], &got, &registry.Dose{}, w.word)
		}
	})
}

func BenchmarkImport(b *testing.B) {
	const n = 100_000
	in := people(n)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		m := newMemory(b)
		if s := run(b, m, Config{Dry: true}, in); s.Added != n {
			b.Fatal(s)
		}
	}
	b.ReportMetric(2*n*float64(b.N)/b.Elapsed().Seconds(), "doses/s")
}
