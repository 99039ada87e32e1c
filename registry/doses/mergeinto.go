package doses

import (
	"slices"

	"github.com/kycvs/caddy-kycvs/registry"
)

// MergeInto merges the rows of one file under one mobile number with the records
// that are kept under it, and returns the records to be kept from then on. It
// changes neither. The rules are Merge's, the records taken for rows of an earlier
// file, and these:
//
//   - The file is believed before the store: in name and year of birth where it
//     states them, and in a dose that both have. A stored dose is one that the file
//     has too if it was given on the same day, on which nobody gets two, or if it
//     has the same vaccine and number within the course. So a later file corrects
//     a dose, downwards too, and the same rows again change nothing.
//   - What the file does not name stays, people and doses.
//   - A row entered-in-error takes back doses of the store as well, by the numbers
//     that the source gave them. A dose that moved up because the one before it was
//     taken back moves down again when that one is entered anew.
//
// Several files are merged one after the other.
func MergeInto(stored []registry.Record, rows []Row, s registry.Schedule) []registry.Record {
	all := make([]Row, len(rows), len(rows)+3*len(stored))
	copy(all, rows)
	for i := range stored {
		r := &stored[i]
		folded, _ := registry.ParseName(r.Name) // it was checked when it was a row
		row := Row{Mobile: r.Mobile, Name: r.Name, Folded: folded, BirthYear: r.BirthYear, ID: r.ID, stored: true}
		if len(r.Doses) == 0 {
			all = append(all, row)
		}
		for j := range r.Doses {
			row.Dose = &r.Doses[j]
			all = append(all, row)
		}
	}
	return merge(all, s)
}

// restate gives stored doses back the numbers that the source gave them, and adds
// to gone the numbers of the doses that had been taken back.
func restate(stored []registry.Dose, gone map[int]bool) {
	for i := range stored {
		d := &stored[i]
		for n := range 16 {
			if d.TakenBack>>n&1 != 0 {
				gone[n] = true
			}
		}
		d.Number, d.TakenBack = d.Stated(), 0
	}
}

// notCorrected returns the stored doses that are not in the file, right or wrong.
func notCorrected(stored, file []registry.Dose, s registry.Schedule) []registry.Dose {
	return slices.DeleteFunc(stored, func(o registry.Dose) bool {
		return slices.ContainsFunc(file, func(d registry.Dose) bool {
			return !d.Date.IsZero() && d.Date.Equal(o.Date) ||
				d.Vaccine == o.Vaccine && d.Number == o.Number && d.Number >= 1 && d.Number <= s.CourseOf(d.Vaccine)
		})
	})
}

// homeOfKnown returns the one of people who has the doses of all these rows
// already, nil if there is none, or several.
func homeOfKnown(rows []Row, people []*person) (home *person) {
	if slices.ContainsFunc(rows, func(r Row) bool { return r.stored || r.Dose == nil || r.Status != Completed }) {
		return nil
	}
	for _, p := range people {
		if was, is := p.birthYear(), rows[0].BirthYear; was != 0 && is != 0 && was != is {
			continue
		}
		if slices.ContainsFunc(p.rows, func(r Row) bool { return r.Status == EnteredInError }) {
			continue // the next time it would not be there
		}
		all := !slices.ContainsFunc(rows, func(r Row) bool {
			return !slices.ContainsFunc(p.rows, func(o Row) bool { return o.Dose != nil && o.Status == Completed && *o.Dose == *r.Dose })
		})
		if all && home != nil {
			return nil
		}
		if all {
			home = p
		}
	}
	return home
}
