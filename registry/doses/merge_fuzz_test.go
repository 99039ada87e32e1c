package doses

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/kycvs/caddy-kycvs/registry"
)

// madeRows makes rows of one number of bytes, a few for each.
func madeRows(in []byte) (rows []Row) {
	dates := []string{"", "2021-03-01", "2021-06-01", "2021-09-01", "2022-05-01"}
	vaccines := []string{"", "COVAXIN", "COVISHIELD", "ZyCoV-D", "JANSSEN"}
	for len(in) >= 4 {
		b := in[:4]
		in = in[4:]
		name := []string{"Asha Rao", "Asha", "ASHA  RAO", "Ravi"}[b[0]&3]
		row := Row{Mobile: "+919876543210", Name: name, BirthYear: []int{0, 0, 1960, 1990}[b[0]>>2&3], ID: []string{"", "", "7", "8"}[b[0]>>4&3]}
		row.Folded, _ = registry.ParseName(name)
		row.Status = []RecordStatus{Completed, Completed, EnteredInError, NotDone}[b[0]>>6]
		if v := vaccines[b[1]%5]; v != "" {
			d := registry.Dose{Vaccine: v, Number: int(b[1] / 5 % 5), Total: int(b[1]/25) % 4}
			date := dates[1+b[2]%4]
			if row.Status != Completed && b[2] > 127 {
				date = ""
			}
			if date != "" {
				d.Date = day(date)
			}
			row.Dose = &d
		} else {
			row.Status = Completed
		}
		rows = append(rows, row)
	}
	return rows
}

// FuzzMergeInto: whatever files say, the last one again changes nothing, the order
// of its rows does not matter, and into nothing MergeInto is Merge. Left out are
// files that have two names of an id: the store keeps one, so that which of them is
// meant by a row without the id is not known the second time.
func FuzzMergeInto(f *testing.F) {
	f.Add([]byte{0, 1 + 5, 0, 0, 0, 1 + 10, 1, 0}, []byte{128, 1 + 5, 200, 0}, uint8(3))
	f.Add([]byte{}, []byte{128, 1, 0, 0, 0, 1 + 10, 1, 0, 128, 3, 200, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, before, file []byte, order uint8) {
		if len(before) > 40 || len(file) > 40 {
			return
		}
		s := registry.Schedule{}
		rows := madeRows(file)
		names := make(map[string]registry.Name)
		for _, r := range slices.Concat(madeRows(before), rows) {
			if n, known := names[r.ID]; r.ID != "" && known && n != r.Folded {
				return
			}
			names[r.ID] = r.Folded
		}
		records := MergeInto(nil, madeRows(before), s)
		if direct := Merge(madeRows(before), s); !reflect.DeepEqual(records, direct) {
			t.Fatalf("into nothing %v, Merge %v", shown(records), shown(direct))
		}
		once := MergeInto(records, rows, s)
		twice := MergeInto(once, rows, s)
		if !reflect.DeepEqual(once, twice) {
			t.Fatalf("once\n%q, twice\n%q, from %q and\n%s", shown(once), shown(twice), shown(records), shownRows(rows))
		}
		if len(rows) > 1 {
			i, j := int(order)%len(rows), int(order/16)%len(rows)
			rows[i], rows[j] = rows[j], rows[i]
			if other := MergeInto(records, rows, s); !reflect.DeepEqual(once, other) {
				t.Fatalf("%q, in another order %q", shown(once), shown(other))
			}
		}
		for _, r := range once {
			for _, d := range r.Doses {
				if d.Number < 0 || d.Date.IsZero() {
					t.Fatalf("%+v", d)
				}
			}
		}
	})
}

func shownRows(rows []Row) (s string) {
	for _, r := range rows {
		s += fmt.Sprintf("%s/%d/%s status %d", r.Name, r.BirthYear, r.ID, r.Status)
		if r.Dose != nil {
			s += fmt.Sprintf(" %s %d/%d %s", r.Dose.Vaccine, r.Dose.Number, r.Dose.Total, r.Dose.Date.Format("2006-01-02"))
		}
		s += "\n"
	}
	return s
}
