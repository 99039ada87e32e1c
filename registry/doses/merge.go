package doses

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kycvs/caddy-kycvs/registry"
)

// Merge makes records, one a person, of all rows of one mobile number, the same
// ones in whatever order the rows come.
//
// Rows are one person's if they have the same id. A row without an id belongs to
// the person of its name (exact, as registry.NameMatch has it) and birth year; if
// one of the two years is not known, only where there is no other person it could
// be, or where the others do not have its dose and that one has. Rows with
// different ids are never one person's.
//
// Where rows of one person disagree about name or year of birth, the one with the
// latest dose is believed.
//
// A row entered-in-error takes back every dose of its vaccine that has its number
// and its date, as far as both state them. If the dose taken back was the first
// and is nowhere entered anew, what was called the second was the first: the
// numbers within the course move up, because a number vouches for those before it
// (registry.Schedule.StatusOf).
func Merge(rows []Row, s registry.Schedule) []registry.Record {
	return merge(slices.Clone(rows), s)
}

// merge is Merge, of rows that it may put into another order.
func merge(sorted []Row, s registry.Schedule) []registry.Record {
	if len(sorted) == 0 {
		return nil
	}
	slices.SortFunc(sorted, compareRows)
	first := sorted[0]
	if !slices.ContainsFunc(sorted, func(r Row) bool {
		return r.ID != first.ID || r.Folded != first.Folded || r.BirthYear != first.BirthYear
	}) { // as for nearly every number
		return []registry.Record{(&person{sorted}).record(s)}
	}
	var people []*person
	for _, known := range []func(Row) bool{
		func(r Row) bool { return r.ID != "" },
		func(r Row) bool { return r.ID == "" && r.BirthYear != 0 },
		func(r Row) bool { return r.ID == "" && r.BirthYear == 0 },
	} {
		people = join(people, sorted, known)
	}
	records := make([]registry.Record, 0, len(people))
	for _, p := range people {
		records = append(records, p.record(s))
	}
	slices.SortFunc(records, func(a, b registry.Record) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.Name, b.Name), cmp.Compare(a.BirthYear, b.BirthYear))
	})
	return records
}

// compareRows puts the rows to be believed first: those of a file before those of
// the store, the latest dose, and what is stated before what is not.
func compareRows(a, b Row) int {
	if a.stored != b.stored {
		if b.stored {
			return -1
		}
		return 1
	}
	var x, y registry.Dose
	if a.Dose != nil {
		x = *a.Dose
	}
	if b.Dose != nil {
		y = *b.Dose
	}
	return cmp.Or(
		y.Date.Compare(x.Date),
		cmp.Compare(b.BirthYear, a.BirthYear),
		strings.Compare(a.ID, b.ID),
		strings.Compare(a.Name, b.Name),
		strings.Compare(x.Vaccine, y.Vaccine),
		cmp.Compare(x.Number, y.Number),
		cmp.Compare(x.Total, y.Total),
		cmp.Compare(a.Status, b.Status),
	)
}

// person is the rows of one person, the one to be believed first.
type person struct {
	rows []Row
}

func (p *person) birthYear() int {
	for _, r := range p.rows {
		if r.BirthYear != 0 {
			return r.BirthYear
		}
	}
	return 0
}

// join adds the rows of one kind to people. Whose a row without an id could be is
// asked of those there were before this kind, and of the other years that rows of
// its own kind have, so that order does not matter.
func join(people []*person, rows []Row, kind func(Row) bool) []*person {
	named := make(map[string][]*person)
	for _, p := range people {
		seen := make(map[string]bool)
		for _, r := range p.rows {
			if key := r.Folded.Key(); !seen[key] {
				seen[key] = true
				named[key] = append(named[key], p)
			}
		}
	}

	type who struct { // what rows of one person have in common
		id, key string
		year    int
	}
	groups := make(map[who]*person)
	var order []who
	years := make(map[string]int) // how many years the rows of a name have
	for _, r := range rows {
		if !kind(r) {
			continue
		}
		w := who{id: r.ID}
		if r.ID == "" {
			w.key, w.year = r.Folded.Key(), r.BirthYear
		}
		if groups[w] == nil {
			groups[w] = &person{}
			order = append(order, w)
			years[w.key]++
		}
		groups[w].rows = append(groups[w].rows, r)
	}

	for _, w := range order {
		home := (*person)(nil)
		if w.id == "" {
			home = homeOf(w.year, named[w.key], years[w.key])
			if home == nil {
				home = homeOfKnown(groups[w].rows, named[w.key])
			}
		}
		if home == nil {
			people = append(people, groups[w])
			continue
		}
		home.rows = append(home.rows, groups[w].rows...)
		slices.SortFunc(home.rows, compareRows)
	}
	return people
}

// homeOf returns which of the people of a name the rows of that name and a year
// of birth (0: not known) belong to, nil if to none or it cannot be told.
// years is how many years the rows of that name have.
func homeOf(year int, people []*person, years int) *person {
	var same []*person
	for _, p := range people {
		if p.birthYear() == year {
			same = append(same, p)
		}
	}
	switch {
	case year != 0 && len(same) == 1:
		return same[0]
	case len(people) == 1 && (year == 0 || people[0].birthYear() == 0 && years == 1):
		return people[0]
	}
	return nil
}

func (p *person) record(s registry.Schedule) registry.Record {
	rec := registry.Record{Mobile: p.rows[0].Mobile, Name: p.rows[0].Name, BirthYear: p.birthYear()}
	var stored, back []registry.Dose // back: taken back
	for _, r := range p.rows {
		rec.ID = cmp.Or(rec.ID, r.ID)
		switch {
		case r.Dose == nil:
		case r.stored:
			stored = append(stored, *r.Dose)
		case r.Status == Completed:
			rec.Doses = append(rec.Doses, *r.Dose)
		case r.Status == EnteredInError:
			back = append(back, *r.Dose)
		}
	}
	gone := make(map[int]bool) // the numbers of doses taken back
	if len(stored) > 0 {
		restate(stored, gone)
		rec.Doses = append(rec.Doses, notCorrected(stored, rec.Doses, s)...)
	}
	slices.SortFunc(rec.Doses, compareDoses)
	rec.Doses = slices.Compact(rec.Doses)
	if len(back)+len(gone) > 0 {
		rec.Doses = takeBack(rec.Doses, back, gone, s)
	}
	return rec
}

func compareDoses(a, b registry.Dose) int {
	return cmp.Or(a.Date.Compare(b.Date), cmp.Compare(a.Number, b.Number), strings.Compare(a.Vaccine, b.Vaccine), cmp.Compare(a.Total, b.Total))
}

// takeBack removes from doses those that were entered in error. gone are the
// numbers of doses that were taken back before.
func takeBack(doses, back []registry.Dose, gone map[int]bool, s registry.Schedule) []registry.Dose {
	for _, b := range back {
		gone[b.Number] = true
		doses = slices.DeleteFunc(doses, func(d registry.Dose) bool {
			same := d.Vaccine == b.Vaccine &&
				(d.Number == b.Number || d.Number == 0 || b.Number == 0) &&
				(d.Date.Equal(b.Date) || b.Date.IsZero())
			if same {
				gone[d.Number] = true
			}
			return same
		})
	}
	for number := maxDose; number >= 1; number-- {
		if !gone[number] || slices.ContainsFunc(doses, func(d registry.Dose) bool { return d.Number == number }) {
			continue
		}
		for i := range doses {
			if d := &doses[i]; d.Number > number && d.Number <= s.CourseOf(d.Vaccine) {
				d.TakenBack |= 1 << number // a course has at most 9 doses
				d.Number--
			}
		}
	}
	if len(doses) == 0 {
		return nil
	}
	return doses
}
