// Package registrytest is the tests that every registry engine must pass: the
// same people asked for get the same answers, whichever engine keeps them.
package registrytest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kycvs/caddy-kycvs/registry"
)

// Header is the first line of the files that Run makes.
const Header = "mobile_number,full_name,vaccine,dose,total_doses,date,birth_year,beneficiary_id,record_status"

// Engine is a registry under test and the way to give it another file.
type Engine struct {
	registry.Registry
	// Load gives the engine a later file, a header and rows of CSV, and returns
	// once lookups find what it says. An engine that imports merges it; one that
	// is its file has it replaced. The files of Run come to the same either way.
	Load func(t *testing.T, file string)
}

// Run runs the suite. open returns an engine that knows what the file says,
// India's numbers allowed, and sees to it that the engine is closed when t ends.
func Run(t *testing.T, open func(t *testing.T, file string) Engine) {
	t.Run("answers", func(t *testing.T) { testAnswers(t, open) })
	t.Run("order of rows", func(t *testing.T) { testOrder(t, open) })
	t.Run("nobody", func(t *testing.T) { testNobody(t, open) })
	t.Run("lowered", func(t *testing.T) { testLowered(t, open) })
	t.Run("same person", func(t *testing.T) { testSamePerson(t, open) })
	t.Run("cancelled", func(t *testing.T) { testCancelled(t, open) })
	t.Run("concurrent", func(t *testing.T) { testConcurrent(t, open) })
}

// rows are the people that Run asks for.
var rows = []string{
	"9876500001,Asha Rao,COVISHIELD,1,2,2021-03-01,1960,1001,",
	"+91 98765 00001,ASHA RAO,COVISHIELD,2,2,2021-06-01,1960,1001,completed",
	"9876500002,Ravi Kumar,COVAXIN,1,2,2021-05-01,,,",
	"9876500003,Meena Iyer,,,,,1988,,",
	"9876500004,Kiran Shah,Janssen,1,1,2021-09-01,,,",
	"9876500005,Leela Nair,ZyCoV-D,1,3,2022-02-10,,,",
	"9876500005,Leela Nair,ZyCoV-D,2,3,2022-03-10,,,",
	"9876500006,Dev Das,ZyCoV-D,1,2,2022-05-01,,,",
	"9876500006,Dev Das,ZyCoV-D,2,2,2022-06-01,,,",
	"9876500007,Omar Ali,COVAXIN,1,2,2021-05-01,,,",
	"9876500007,Omar Ali,COVAXIN,1,2,2021-05-01,,,",
	"9876500007,Omar Ali,COVAXIN,3,2,2022-05-01,,,",
	// Six people on one number, and two of one name.
	"9876500010,One Rao,COVISHIELD,1,2,2021-03-01,,,",
	"9876500010,Two Rao,COVISHIELD,1,2,2021-03-01,,,",
	"9876500010,Two Rao,COVISHIELD,2,2,2021-06-01,,,",
	"9876500010,Three Rao,,,,,,,",
	"9876500010,Four Rao,SPUTNIK LIGHT,1,1,2021-09-01,,,",
	"9876500010,आशा राव,COVAXIN,1,2,2021-03-01,,,",
	"9876500010,மீனா ஐயர்,COVAXIN,2,2,2021-06-01,,,",
	"9876500010,மீனா ஐயர்,COVAXIN,1,2,2021-03-01,,,",
	"9876500011,Ravi Kumar,COVAXIN,1,2,2021-03-01,1955,,",
	"9876500011,Ravi Kumar,COVISHIELD,1,2,2021-03-01,1985,,",
	"9876500011,Ravi Kumar,COVISHIELD,2,2,2021-06-01,1985,,",
}

// asked are questions about rows, and the answers: a status, or a word.
var asked = []struct {
	mobile registry.Mobile
	name   string
	year   int
	want   string
}{
	{"+919876500001", "Mrs. Asha  Rao", 0, "2"},
	{"+919876500001", "Asha", 0, "no record"},
	{"+919876500002", "ravi kumar", 0, "1"},
	{"+919876500003", "Meena Iyer", 0, "0"},
	{"+919876500004", "Kiran Shah", 0, "2"},
	{"+919876500005", "Leela Nair", 0, "1"},
	{"+919876500006", "Dev Das", 0, "2"},
	{"+919876500007", "Omar Ali", 0, "1"},
	{"+919876500010", "One Rao", 0, "1"},
	{"+919876500010", "Two Rao", 0, "2"},
	{"+919876500010", "Three Rao", 0, "0"},
	{"+919876500010", "Four Rao", 0, "2"},
	{"+919876500010", "श्रीमती आशा राव", 0, "1"},
	{"+919876500010", "மீனா ஐயர்", 0, "2"},
	{"+919876500010", "Rao", 0, "no record"},
	{"+919876500011", "Ravi Kumar", 0, "ambiguous, birth year"},
	{"+919876500011", "Ravi Kumar", 1955, "1"},
	{"+919876500011", "Ravi Kumar", 1985, "2"},
	{"+919876500011", "Ravi Kumar", 1970, "no record"},
	{"+919876599999", "Asha Rao", 0, "no record"},
}

func file(rows ...string) string { return Header + "\n" + strings.Join(rows, "\n") + "\n" }

// ask looks up and decides, and returns the status or a word, and the person.
func ask(r registry.Registry, mobile registry.Mobile, name string, year int) (answer, person string) {
	records, err := r.Lookup(context.Background(), mobile)
	if err != nil {
		return "error: " + err.Error(), ""
	}
	got, err := registry.Decide(records, registry.Query{Mobile: mobile, Name: name, BirthYear: year}, registry.NameMatch{}, registry.Schedule{})
	var ambiguous *registry.AmbiguousError
	switch {
	case errors.Is(err, registry.ErrNoRecord):
		return "no record", ""
	case errors.As(err, &ambiguous) && ambiguous.BirthYear:
		return "ambiguous, birth year", ""
	case errors.As(err, &ambiguous):
		return "ambiguous", ""
	case err != nil:
		return "error: " + err.Error(), ""
	}
	return fmt.Sprint(got.Status), got.Person
}

func expect(t *testing.T, r registry.Registry, mobile registry.Mobile, name string, year int, want string) {
	t.Helper()
	if got, _ := ask(r, mobile, name, year); got != want {
		t.Errorf("%s, %s, %d: got %s, want %s", mobile, name, year, got, want)
	}
}

func testAnswers(t *testing.T, open func(*testing.T, string) Engine) {
	e := open(t, file(rows...))
	if err := e.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	for _, q := range asked {
		expect(t, e, q.mobile, q.name, q.year, q.want)
	}
	family, err := e.Lookup(t.Context(), "+919876500010")
	if err != nil || len(family) != 6 {
		t.Errorf("%d people on one number, %v", len(family), err)
	}
	for _, r := range family {
		if r.Mobile != "+919876500010" {
			t.Errorf("a record of %s", r.Mobile.Masked())
		}
	}
}

func testOrder(t *testing.T, open func(*testing.T, string) Engine) {
	shuffled := slices.Clone(rows)
	people := make(map[string]string)
	for range 3 {
		e := open(t, file(shuffled...))
		for _, q := range asked {
			expect(t, e, q.mobile, q.name, q.year, q.want)
			key := fmt.Sprint(q.mobile, q.name, q.year)
			_, person := ask(e, q.mobile, q.name, q.year)
			if old, known := people[key]; known && old != person {
				t.Errorf("%s: the person is another one when the rows come in another order", q.name)
			}
			people[key] = person
		}
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	}
}

func testNobody(t *testing.T, open func(*testing.T, string) Engine) {
	e := open(t, file(rows[0]))
	for _, mobile := range []registry.Mobile{"+919876500002", "+91987650000", "9876500001", "", "nonsense"} {
		records, err := e.Lookup(t.Context(), mobile)
		if err != nil || len(records) != 0 {
			t.Errorf("%q: %d records, %v", mobile, len(records), err)
		}
	}
}

func testLowered(t *testing.T, open func(*testing.T, string) Engine) {
	first := "9876500001,Asha Rao,COVISHIELD,1,2,2021-03-01,1960,,"
	second := "9876500001,Asha Rao,COVISHIELD,2,2,2021-06-01,1960,,"
	e := open(t, file(first, second))
	expect(t, e, "+919876500001", "Asha Rao", 0, "2")
	e.Load(t, file(first, second+"entered-in-error"))
	expect(t, e, "+919876500001", "Asha Rao", 0, "1")
	e.Load(t, file(first+"entered-in-error", second+"entered-in-error"))
	expect(t, e, "+919876500001", "Asha Rao", 0, "0")
	e.Load(t, file(first, strings.Replace(second, "2021-06-01", "2021-07-01", 1)))
	expect(t, e, "+919876500001", "Asha Rao", 0, "2")
}

// The person is the same at each visit, and not somebody else's.
func testSamePerson(t *testing.T, open func(*testing.T, string) Engine) {
	e := open(t, file(rows...))
	_, a := ask(e, "+919876500001", "Asha Rao", 0)
	_, b := ask(e, "+919876500001", "Smt ASHA RAO", 1960)
	if a != b || a != "id:1001" {
		t.Errorf("%q and %q", a, b)
	}
	seen := make(map[string]string)
	for _, q := range asked {
		_, person := ask(e, q.mobile, q.name, q.year)
		if other, known := seen[person]; known && person != "" {
			t.Errorf("%s is also %s", q.name, other)
		}
		seen[person] = q.name
	}
}

func testCancelled(t *testing.T, open func(*testing.T, string) Engine) {
	e := open(t, file(rows...))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if records, err := e.Lookup(ctx, "+919876500001"); !errors.Is(err, context.Canceled) || len(records) != 0 {
		t.Errorf("%d records, %v", len(records), err)
	}
}

// Lookups during loads find the old or the new, never anything else.
func testConcurrent(t *testing.T, open func(*testing.T, string) Engine) {
	low, high := file(rows[0]), file(rows[0], rows[1])
	e := open(t, low)
	done := make(chan struct{})
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if got, _ := ask(e, "+919876500001", "Asha Rao", 0); got != "1" && got != "2" {
					t.Errorf("got %s", got)
					return
				}
			}
		})
	}
	back := file(rows[0], strings.Replace(rows[1], "completed", "entered-in-error", 1))
	for range 5 {
		e.Load(t, high)
		e.Load(t, back)
	}
	close(done)
	asking.Wait()
}
