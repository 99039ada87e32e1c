package sample

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/doses"
)

func write(t testing.TB, c Config) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// records reads a sample as an import does. Its rows must all make sense.
func records(t testing.TB, file []byte) map[registry.Mobile][]registry.Record {
	t.Helper()
	r, err := doses.NewReader(bytes.NewReader(file), doses.Config{Now: func() time.Time { return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[registry.Mobile][]doses.Row)
	for row, err := range r.Rows() {
		if err != nil {
			t.Fatalf("%v: %s", err, r.Raw())
		}
		rows[row.Mobile] = append(rows[row.Mobile], row)
	}
	people := make(map[registry.Mobile][]registry.Record)
	for m, rows := range rows {
		people[m] = doses.Merge(rows, registry.Schedule{})
	}
	return people
}

// The sample of a seed is for ever what it is.
func TestGolden(t *testing.T) {
	t.Parallel()
	got := string(write(t, Config{People: 12, Seed: 7}))
	if got != golden {
		t.Errorf("got\n%s\nwant\n%s", got, golden)
	}
	noisy := string(write(t, Config{People: 5, Seed: 7, Noise: 1}))
	if noisy != goldenNoisy {
		t.Errorf("with noise: got\n%q\nwant\n%q", noisy, goldenNoisy)
	}
	sum := sha256.Sum256(write(t, Config{People: 20_000, Seed: 1, Noise: 0.1}))
	if got := fmt.Sprintf("%x", sum[:8]); got != goldenSum {
		t.Errorf("20,000 people: got %s, want %s", got, goldenSum)
	}
}

func TestSameWhateverTheCores(t *testing.T) {
	t.Parallel()
	for _, people := range []int{0, 1, 63, 64, 65, window, window + 1, 3*window + 100} {
		want := write(t, Config{People: people, Noise: 0.3, Workers: 1})
		for _, workers := range []int{0, 2, 3, 7} {
			if got := write(t, Config{People: people, Noise: 0.3, Workers: workers}); !bytes.Equal(got, want) {
				t.Errorf("%d people, %d workers: another sample", people, workers)
			}
		}
	}
	if bytes.Equal(write(t, Config{People: 10, Seed: 1}), write(t, Config{People: 10, Seed: 2})) {
		t.Error("the seed does not matter")
	}
}

// What a registry that imports a sample knows is what Expect says, noise or not.
func TestExpect(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{{People: 10_000, Seed: 3}, {People: 10_000, Seed: 3, Noise: 1}, {People: 1000, Seed: 4, Noise: 0.5}} {
		known := records(t, write(t, c))
		people := 0
		for _, r := range known {
			people += len(r)
		}
		if people != c.People {
			t.Errorf("%+v: %d people", c, people)
		}
		for i := range c.People {
			mobile, name, year, status := Expect(c, i)
			for _, y := range []int{0, year} {
				a, err := registry.Decide(known[mobile], registry.Query{Mobile: mobile, Name: name, BirthYear: y}, registry.NameMatch{}, registry.Schedule{})
				if err != nil || a.Status != status {
					t.Fatalf("%+v, person %d, %s: %v, %v; want %v", c, i, name, a.Status, err, status)
				}
			}
			if c.Noise > 0 {
				continue
			}
			want, _ := PersonAt(c, i)
			if !slices.ContainsFunc(known[mobile], func(r registry.Record) bool {
				return r.ID == want.ID && r.Name == want.Name && r.BirthYear == want.BirthYear && slices.Equal(r.Doses, want.Doses)
			}) {
				t.Fatalf("person %d: %+v is not in %+v", i, want, known[mobile])
			}
		}
	}
}

// Families with a number each, and no number or id twice.
func TestFamilies(t *testing.T) {
	t.Parallel()
	const people = 200_000
	town := newTown(Config{People: people, Seed: 9})
	sizes, ids := make(map[uint64]int), make(map[uint64]bool)
	last := make(map[uint64]int)
	var room [street]person
	for s := 0; s*street < people; s++ {
		for i, p := range town.street(s, &room) {
			at := s*street + i
			if before, known := last[p.number]; known && before != at-1 {
				t.Fatalf("person %d has the number of person %d", at, before)
			}
			last[p.number] = at
			sizes[p.number]++
			if p.number < 6_000_000_000 || p.number > 9_999_999_999 || ids[p.beneficiaryID] || len(fmt.Sprint(p.beneficiaryID)) != 14 {
				t.Fatalf("number %d, id %d", p.number, p.beneficiaryID)
			}
			ids[p.beneficiaryID] = true
		}
	}
	var count [7]int
	for _, n := range sizes {
		count[n]++
	}
	for size, percent := range familySizes {
		if got := 100 * float64(count[size]) / float64(len(sizes)); got < float64(percent)-2 || got > float64(percent)+2 {
			t.Errorf("%.1f %% families of %d", got, size)
		}
	}
}

func TestProportions(t *testing.T) {
	t.Parallel()
	const people = 300_000
	c := Config{People: people, Seed: 11}
	town := newTown(c)
	vaccine, given, status := make(map[string]float64), make(map[int]float64), make(map[registry.Status]float64)
	own, languages := 0.0, make(map[string]bool)
	doses := 0.0
	var room [street]person
	for s := 0; s*street < people; s++ {
		for _, p := range town.street(s, &room) {
			given[int(p.given)]++
			r := p.record()
			status[registry.Schedule{}.StatusOf(r.Doses)]++
			for i, d := range r.Doses {
				vaccine[d.Vaccine]++
				doses++
				if i > 0 && !r.Doses[i-1].Date.Before(d.Date) || r.BirthYear > d.Date.Year()-11 {
					t.Fatalf("%+v", r)
				}
			}
			if p.own {
				own++
				languages[p.lang.name] = true
			}
		}
	}
	within := func(what string, got, low, high float64) {
		t.Helper()
		if got < low || got > high {
			t.Errorf("%s: %.2f %%, want %.2f to %.2f", what, got, low, high)
		}
	}
	for name, want := range map[string]float64{"COVISHIELD": 79.3, "COVAXIN": 16.5, "CORBEVAX": 3.3} {
		within(name, 100*vaccine[name]/doses, want-0.7, want+0.7)
	}
	for _, v := range vaccines {
		within(v.name, 100*vaccine[v.name]/doses, 0.01, 80)
	}
	within("no dose", 100*given[0]/people, 6.2, 7.0)
	within("status 0", 100*float64(status[0])/people, 6.2, 7.0)
	within("status 1", 100*float64(status[1])/people, 6.4, 7.3)
	within("precaution dose", 100*(given[3]+given[4])/people, 20, 21.5)
	within("doses a person", doses/people, 1.95, 2.15)
	within("in the own script", 100*own/people, 12, 20)
	if len(languages) != 9 {
		t.Errorf("scripts of %v", languages)
	}
}

func TestPermutation(t *testing.T) {
	t.Parallel()
	for _, size := range []uint64{1, 2, 3, 64, 100, 4096, 10_000} {
		p := newPermutation(size, 5)
		seen := make([]bool, size)
		for x := range size {
			y := p.of(x)
			if seen[y] {
				t.Fatalf("%d of %d comes twice", y, size)
			}
			seen[y] = true
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{{People: -1}, {People: maxPeople + 1}, {Noise: 1.1}, {Noise: -1}} {
		if err := Write(io.Discard, c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	if _, err := PersonAt(Config{People: 3}, 3); err == nil {
		t.Error("person 3 of 3")
	}
}

// full is a writer without room for more than so many bytes.
type full int

var errFull = errors.New("no room")

func (f *full) Write(b []byte) (int, error) {
	if *f -= full(len(b)); *f < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestWriteFails(t *testing.T) {
	t.Parallel()
	for _, room := range []full{0, 1000, 3_000_000} {
		if err := Write(&room, Config{People: 100_000, Workers: 3}); err != errFull {
			t.Error(err)
		}
	}
}

// No name in a list needs quotation marks, or is taken for a salutation.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, l := range languages {
		for _, list := range [][]string{l.first[0], l.first[1], l.last, l.ownFirst[0], l.ownFirst[1], l.ownLast} {
			seen := make(map[registry.Name]bool)
			for _, name := range list {
				n, err := registry.ParseName(name)
				m, _ := registry.ParseName(name + " X Y Z")
				if err != nil || seen[n] || !strings.HasPrefix(string(m), string(n)+" x") || strings.ContainsAny(name, "\",\n") {
					t.Errorf("%s: %s, %v", l.name, name, err)
				}
				seen[n] = true
			}
		}
		for _, salutation := range append(l.salutations[:], slices.Concat(latinSalutations[0], latinSalutations[1])...) {
			if n, err := registry.ParseName(salutation + " X"); n != "x" || err != nil {
				t.Errorf("%s %s: %q, %v", l.name, salutation, n, err)
			}
		}
	}
	total := 0
	for _, l := range languages {
		total += l.weight
	}
	if total != len(pickLanguage) {
		t.Errorf("the languages weigh %d", total)
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, noise := range []float64{0, 0.1} {
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("noise=%v/workers=%d", noise, workers), func(b *testing.B) {
				c := Config{People: 200_000, Noise: noise, Workers: workers}
				rows := bytes.Count(write(b, c), []byte{'\n'}) - 1
				for b.Loop() {
					if err := Write(io.Discard, c); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}
