package registry

import (
	"slices"
	"strconv"
)

// Decide finds the one record that a query names and the status of its doses.
// records are all that the registry keeps under q.Mobile, each person once:
// whoever reads rows merges those of one person. It never guesses:
//
//   - No record with that name: ErrNoRecord.
//   - More than one: an *AmbiguousError, unless q.BirthYear tells them apart. A
//     record whose year is not known could be the one asked for whatever the year,
//     so that several are not told apart while there is one among them.
//   - Exactly one: its status. A year that was given and is not the record's is
//     ErrNoRecord all the same; one that the record does not have is not held
//     against it.
//
// ErrNameInvalid is returned if q.Name is no name. A record whose own name is
// none fits no query.
func Decide(records []Record, q Query, m NameMatch, s Schedule) (Answer, error) {
	typed, err := ParseName(q.Name)
	if err != nil {
		return Answer{}, err
	}
	var room [8]fit
	fits := room[:0]
	for i := range records {
		r := &records[i]
		if r.Mobile != q.Mobile { // an engine's mistake must not become somebody's status
			continue
		}
		if name, err := ParseName(r.Name); err == nil && m.Match(name, typed) {
			fits = append(fits, fit{r, name})
		}
	}
	if q.BirthYear != 0 {
		several := len(fits) > 1
		unknown := slices.ContainsFunc(fits, func(f fit) bool { return f.BirthYear == 0 })
		if several && unknown {
			return Answer{}, &AmbiguousError{}
		}
		fits = slices.DeleteFunc(fits, func(f fit) bool { return f.BirthYear != 0 && f.BirthYear != q.BirthYear })
	}
	switch len(fits) {
	case 0:
		return Answer{}, ErrNoRecord
	case 1:
		return Answer{Status: s.StatusOf(fits[0].Doses), Person: fits[0].person()}, nil
	}
	return Answer{}, &AmbiguousError{BirthYear: q.BirthYear == 0 && yearsDiffer(fits)}
}

// fit is a record whose name fits, and that name.
type fit struct {
	*Record
	name Name
}

// person returns Answer.Person: "id:" and the record's id, else "nnb:", number,
// name and birth year. Neither number nor name can hold the colon between them.
func (f fit) person() string {
	if f.ID != "" {
		return "id:" + f.ID
	}
	return "nnb:" + string(f.Mobile) + ":" + f.name.Key() + ":" + strconv.Itoa(f.BirthYear)
}

// yearsDiffer reports whether every record has a birth year and no two the same.
func yearsDiffer(fits []fit) bool {
	for i, f := range fits {
		if f.BirthYear == 0 || slices.ContainsFunc(fits[:i], func(o fit) bool { return o.BirthYear == f.BirthYear }) {
			return false
		}
	}
	return true
}
