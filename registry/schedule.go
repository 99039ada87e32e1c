package registry

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Vaccine is a row of a Schedule: what a vaccine is called and how many of its
// doses make a primary course.
type Vaccine struct {
	Name    string   // as CoWIN names it, e.g. "COVISHIELD"; what a Dose holds
	Aliases []string // other spellings; case, spaces and punctuation do not matter in any
	// From is the first day a dose of it can have been given; zero means
	// CampaignStart.
	From time.Time
	// Regimens are the courses it was given in, usually one. A vaccine without any
	// is given after other courses only and completes none.
	Regimens []Regimen
}

// Regimen is one way to complete the course of a vaccine.
type Regimen struct {
	Doses int       // 1 to 9
	Since time.Time // the day it came into force; zero: always in force
}

// maxVaccineName is how long the name of a vaccine may be, in bytes, so that one
// out of a file costs no more to compare. The longest of WHO's have about 60.
const maxVaccineName = 128

// Precaution is the Number of a precaution ("booster") dose whose source says
// that it is one but not the how-manieth.
const Precaution = 100

// Schedule says which doses make a primary course complete. The zero value is
// the built-in table, DefaultVaccines. It is not changed once made, and safe for
// concurrent use.
type Schedule struct {
	table *table
}

type table struct {
	vaccines []Vaccine
	exact    map[string]*Vaccine // by Name
	folded   map[string]*Vaccine // by the folded form of Name and Aliases
}

var defaultTable = func() *table {
	t, err := newTable(DefaultVaccines())
	if err != nil {
		panic(err)
	}
	return t
}()

// NewSchedule makes a Schedule of nothing but these vaccines. The error says
// which row is wrong and why.
func NewSchedule(vaccines []Vaccine) (Schedule, error) {
	t, err := newTable(vaccines)
	return Schedule{t}, err
}

// With returns the schedule with these vaccines added, each in the place of the
// one of the same name if there is one.
func (s Schedule) With(vaccines ...Vaccine) (Schedule, error) {
	all := slices.DeleteFunc(slices.Clone(s.tab().vaccines), func(old Vaccine) bool {
		return slices.ContainsFunc(vaccines, func(v Vaccine) bool { return SameVaccine(v.Name, old.Name) })
	})
	return NewSchedule(append(all, vaccines...))
}

func newTable(vaccines []Vaccine) (*table, error) {
	t := &table{
		vaccines: slices.Clone(vaccines),
		exact:    make(map[string]*Vaccine),
		folded:   make(map[string]*Vaccine),
	}
	for i := range t.vaccines {
		v := &t.vaccines[i]
		if v.From.IsZero() {
			v.From = CampaignStart
		}
		for _, r := range v.Regimens {
			if r.Doses < 1 || r.Doses > 9 {
				return nil, fmt.Errorf("vaccine %q: a regimen of %d doses: write 1 to 9", v.Name, r.Doses)
			}
		}
		for _, name := range append([]string{v.Name}, v.Aliases...) {
			key := foldVaccine(name)
			if key == "" {
				return nil, fmt.Errorf("vaccine %q: the name %q has no letter or digit: write one as it stands in the files of doses", v.Name, name)
			}
			if len(name) > maxVaccineName {
				return nil, fmt.Errorf("vaccine %q: a name of %d bytes: write one of at most %d", v.Name, len(name), maxVaccineName)
			}
			if other := t.folded[key]; other != nil && other != v {
				return nil, fmt.Errorf("vaccine %q: the name %q is one of %q already: write another, or put both into one vaccine", v.Name, name, other.Name)
			}
			t.folded[key] = v
		}
		t.exact[v.Name] = v
	}
	return t, nil
}

func (s Schedule) tab() *table {
	if s.table == nil {
		return defaultTable
	}
	return s.table
}

// Vaccine returns the vaccine that goes by this name, however it is spelled:
// case, spaces, hyphens, dots and trade marks do not matter, so that "ZyCoV-D",
// "ZYCOV D" and "Zycov-D™" are one. The caller does not change it.
func (s Schedule) Vaccine(name string) (Vaccine, bool) {
	if v := s.find(name); v != nil {
		return *v, true
	}
	return Vaccine{}, false
}

// Vaccines returns the names of all vaccines of the schedule, in its order.
func (s Schedule) Vaccines() []string {
	var names []string
	for _, v := range s.tab().vaccines {
		names = append(names, v.Name)
	}
	return names
}

// CourseOf returns how many doses the longest regimen of the vaccine has, 0 for
// a vaccine that is unknown or completes no course.
func (s Schedule) CourseOf(name string) int {
	if v := s.find(name); v != nil {
		return v.longest()
	}
	return 0
}

func (s Schedule) find(name string) *Vaccine {
	t := s.tab()
	if v := t.exact[name]; v != nil {
		return v
	}
	if len(name) > maxVaccineName {
		return nil
	}
	return t.folded[foldVaccine(name)]
}

func (v *Vaccine) longest() int {
	n := 0
	for _, r := range v.Regimens {
		n = max(n, r.Doses)
	}
	return n
}

// SameVaccine reports whether two names are one, as Schedule.Vaccine compares them.
func SameVaccine(a, b string) bool { return foldVaccine(a) == foldVaccine(b) }

// foldVaccine keeps the letters and digits of a vaccine's name, in lower case,
// and drops the words "COVID-19 vaccine", which some sources put around it.
func foldVaccine(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == '™' || r == '®' || r == '©' || r == '℠' { // NFKC would make letters of them
			return -1
		}
		return r
	}, name)
	name = strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKC.String(name))
	if short := strings.Replace(name, "covid19vaccine", "", 1); short != "" {
		return short
	}
	return name
}

// StatusOf returns the status that these doses amount to, in whatever order they
// come. These are the rules, each with its reason:
//
//   - A course is complete when as many doses of it were given as one regimen of
//     its vaccine asks for, whatever total the source states: some stated 2 for
//     every vaccine.
//   - A regimen that came into force later (ZyCoV-D in two doses of 3 mg instead of
//     three of 2 mg, approved on 2022-04-26) counts if the latest dose was given
//     since, and the source says that the course has that many doses; where it
//     states no total, if the whole course was given since. Two of the smaller
//     doses, or one of each, are neither regimen.
//   - Two doses on one day, or with one number of one vaccine, are one dose written
//     down twice. Where the two differ, what is less counts.
//   - A number says that the doses before it were given too: a row that says
//     "second dose" is the source's word that there was a first, as the EU's
//     certificates have it. Many lists only hold the last dose.
//   - A number beyond the course is a precaution dose. It changes nothing, so it
//     says nothing about the doses before it either.
//   - A mixed course is complete when as many doses were given as the longest of its
//     vaccines' courses has: WHO takes two doses of different listed vaccines for a
//     complete course (SAGE, 2021-12-16), and no authority takes fewer than the
//     longer course for granted. A one-dose vaccine completes a course alone, also
//     after a dose of another. Two first doses of different vaccines are not a
//     first and a second, and a dose of one vaccine does not vouch for one of
//     another.
//   - A dose of a vaccine that the schedule does not know completes nothing, but it
//     is a dose.
func (s Schedule) StatusOf(doses []Dose) Status {
	if len(doses) == 0 {
		return NotVaccinated
	}
	var room [8]event
	events := s.events(room[:0], doses)
	for i, e := range events {
		if slices.ContainsFunc(events[:i], func(o event) bool { return o.vaccine == e.vaccine }) {
			continue // looked at before
		}
		for _, r := range e.vaccine.Regimens {
			rows, highest := given(events, r.Doses, func(v *Vaccine) bool { return v == e.vaccine })
			if max(rows, highest) >= r.Doses && inForce(r, e.vaccine, events) {
				return Fully
			}
		}
		// The course of this vaccine and of those with shorter ones, mixed.
		course := e.vaccine.longest()
		if rows, _ := given(events, course, func(v *Vaccine) bool { return v.longest() <= course }); rows >= course {
			return Fully
		}
	}
	return Partly
}

// event is a dose that was given once, of a vaccine that can complete a course.
type event struct {
	Dose
	vaccine *Vaccine
}

// events appends the doses to into, oldest first, those written down twice once.
func (s Schedule) events(into []event, doses []Dose) []event {
	all := into
	for _, d := range doses {
		if v := s.find(d.Vaccine); v != nil && len(v.Regimens) > 0 {
			all = append(all, event{d, v})
		}
	}
	slices.SortFunc(all, func(a, b event) int {
		return cmp.Or(
			a.Date.Compare(b.Date),
			cmp.Compare(uint(a.Number-1), uint(b.Number-1)), // 0, not stated, last
			cmp.Compare(b.vaccine.longest(), a.vaccine.longest()),
			strings.Compare(a.vaccine.Name, b.vaccine.Name),
			cmp.Compare(b.Total, a.Total),
		)
	})
	// Days first: of two rows of one day the lower number stands, and a number that
	// only the other one had is not a dose of its own.
	all = once(all, func(a, b event) bool { return !a.Date.IsZero() && a.Date.Equal(b.Date) })
	return once(all, func(a, b event) bool { return a.Number > 0 && a.Number == b.Number && a.vaccine == b.vaccine })
}

// once keeps the first of the events that are the same, with the longer course
// of all of them.
func once(all []event, same func(a, b event) bool) []event {
	kept := all[:0]
	for _, e := range all {
		i := slices.IndexFunc(kept, func(k event) bool { return same(k, e) })
		if i < 0 {
			kept = append(kept, e)
			continue
		}
		k := &kept[i]
		k.Total = max(k.Total, e.Total)
		if e.vaccine.longest() > k.vaccine.longest() {
			k.vaccine = e.vaccine
		}
	}
	return kept
}

// given counts the doses of these vaccines in a course of so many: the rows, and
// the highest number.
func given(events []event, course int, of func(*Vaccine) bool) (rows, highest int) {
	var numbers uint16 // the numbers seen, 1 to 9, a bit each
	unnumbered := 0
	for _, e := range events {
		switch {
		case e.Number > course || !of(e.vaccine):
		case e.Number > 0:
			numbers |= 1 << e.Number
		default:
			unnumbered++
		}
	}
	return bits.OnesCount16(numbers) + unnumbered, max(bits.Len16(numbers)-1, 0)
}

// inForce reports whether a regimen is the one the doses of v were given in.
func inForce(r Regimen, v *Vaccine, events []event) bool {
	if r.Since.IsZero() {
		return true
	}
	rows, allSince, last := 0, true, event{}
	for _, e := range events { // oldest first
		if e.vaccine == v && e.Number <= r.Doses {
			rows++
			allSince = allSince && !e.Date.Before(r.Since)
			last = e
		}
	}
	if rows == 0 || last.Date.Before(r.Since) {
		return false
	}
	if last.Total > 0 {
		return last.Total == r.Doses
	}
	return allSince && rows >= r.Doses
}
