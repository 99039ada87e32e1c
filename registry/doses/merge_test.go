package doses

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
)

// merged reads rows without the number, and shows the records they make.
func merged(t *testing.T, rows []string) []string {
	t.Helper()
	file := ours
	for _, row := range rows {
		file += "9876543210," + row + strings.Repeat(",", 7-strings.Count(row, ",")) + "\n"
	}
	read, bad := read(t, strings.NewReader(file), Config{})
	if bad != nil {
		t.Fatal(bad)
	}
	var got []string
	for _, r := range Merge(read, registry.Schedule{}) {
		s := fmt.Sprintf("%s/%d/%s = %d", r.Name, r.BirthYear, r.ID, (registry.Schedule{}).StatusOf(r.Doses))
		for _, d := range r.Doses {
			s += fmt.Sprintf(" %s%d@%s", d.Vaccine[:3], d.Number, d.Date.Format(time.DateOnly))
		}
		got = append(got, s)
	}
	return got
}

func TestMerge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		rows, want []string
	}{
		{"nothing", nil, nil},
		{"one person", []string{"Asha Rao,COVISHIELD,1,2,2021-03-01", "ASHA  RAO,COVISHIELD,2,2,2021-06-01"},
			[]string{"ASHA  RAO/0/ = 2 COV1@2021-03-01 COV2@2021-06-01"}},
		{"registered", []string{"Asha Rao", "Asha Rao"}, []string{"Asha Rao/0/ = 0"}},
		{"the same row twice", []string{"Asha Rao,COVAXIN,1,2,2021-03-01", "Asha Rao,COVAXIN,1,2,2021-03-01"},
			[]string{"Asha Rao/0/ = 1 COV1@2021-03-01"}},
		{"by id, the latest name counts", []string{"Asha,COVAXIN,1,2,2021-03-01,1960,7", "Asha Rao,COVAXIN,2,2,2021-06-01,,7"},
			[]string{"Asha Rao/1960/7 = 2 COV1@2021-03-01 COV2@2021-06-01"}},
		{"two ids, one name", []string{"Asha Rao,COVAXIN,1,2,2021-03-01,,7", "Asha Rao,COVAXIN,2,2,2021-06-01,,8"},
			[]string{"Asha Rao/0/7 = 1 COV1@2021-03-01", "Asha Rao/0/8 = 2 COV2@2021-06-01"}},
		{"a row without the id", []string{"Asha Rao,COVAXIN,1,2,2021-03-01,,7", "Asha Rao,COVAXIN,2,2,2021-06-01"},
			[]string{"Asha Rao/0/7 = 2 COV1@2021-03-01 COV2@2021-06-01"}},
		{"a row without the id by an older name", []string{"Asha,COVAXIN,1,2,2021-03-01,,7", "Asha Rao,,,,,,7", "Asha,COVAXIN,2,2,2021-06-01"},
			[]string{"Asha/0/7 = 2 COV1@2021-03-01 COV2@2021-06-01"}},
		{"a row that could be either's", []string{"Asha Rao,,,,,,7", "Asha Rao,,,,,,8", "Asha Rao,COVAXIN,1,2,2021-06-01"},
			[]string{"Asha Rao/0/ = 1 COV1@2021-06-01", "Asha Rao/0/7 = 0", "Asha Rao/0/8 = 0"}},
		{"told apart by year", []string{"Ravi Kumar,COVAXIN,1,2,2021-03-01,1955", "Ravi Kumar,COVAXIN,1,2,2021-03-01,1985", "Ravi Kumar,COVAXIN,2,2,2021-06-01,1985"},
			[]string{"Ravi Kumar/1955/ = 1 COV1@2021-03-01", "Ravi Kumar/1985/ = 2 COV1@2021-03-01 COV2@2021-06-01"}},
		{"a row without the year", []string{"Ravi Kumar,COVAXIN,1,2,2021-03-01,1955", "Ravi Kumar,COVAXIN,2,2,2021-06-01"},
			[]string{"Ravi Kumar/1955/ = 2 COV1@2021-03-01 COV2@2021-06-01"}},
		{"a row without the year, of two", []string{"Ravi Kumar,,,,,1955", "Ravi Kumar,,,,,1985", "Ravi Kumar,COVAXIN,2,2,2021-06-01"},
			[]string{"Ravi Kumar/0/ = 2 COV2@2021-06-01", "Ravi Kumar/1955/ = 0", "Ravi Kumar/1985/ = 0"}},
		{"the year of somebody with an id", []string{"Ravi Kumar,,,,,,7", "Ravi Kumar,COVAXIN,1,2,2021-03-01,1955"},
			[]string{"Ravi Kumar/1955/7 = 1 COV1@2021-03-01"}},
		{"one of two years is somebody's with an id", []string{"Ravi Kumar,,,,,,7", "Ravi Kumar,,,,,1955", "Ravi Kumar,,,,,1985"},
			[]string{"Ravi Kumar/1955/ = 0", "Ravi Kumar/1985/ = 0", "Ravi Kumar/0/7 = 0"}},
		{"another year than that with an id", []string{"Ravi Kumar,,,,,1985,7", "Ravi Kumar,,,,,1955"},
			[]string{"Ravi Kumar/1955/ = 0", "Ravi Kumar/1985/7 = 0"}},
		{"six people", []string{"A One", "B Two", "C Three", "D Four", "E Five", "F Six", "a one"},
			[]string{"A One/0/ = 0", "B Two/0/ = 0", "C Three/0/ = 0", "D Four/0/ = 0", "E Five/0/ = 0", "F Six/0/ = 0"}},

		{"taken back", []string{"Asha Rao,COVAXIN,1,2,2021-03-01", "Asha Rao,COVAXIN,2,2,2021-06-01", "Asha Rao,COVAXIN,2,2,2021-06-01,,,entered-in-error"},
			[]string{"Asha Rao/0/ = 1 COV1@2021-03-01"}},
		{"the first taken back", []string{"Asha Rao,COVAXIN,1,2,2021-03-01", "Asha Rao,COVAXIN,2,2,2021-06-01", "Asha Rao,COVAXIN,1,2,2021-03-01,,,entered-in-error"},
			[]string{"Asha Rao/0/ = 1 COV1@2021-06-01"}},
		{"the first taken back, of another vaccine", []string{"Asha Rao,COVISHIELD,1,2,2021-03-01", "Asha Rao,COVAXIN,2,2,2021-06-01", "Asha Rao,COVISHIELD,1,2,2021-03-01,,,entered-in-error"},
			[]string{"Asha Rao/0/ = 1 COV1@2021-06-01"}},
		{"the first taken back and entered anew", []string{"Asha Rao,COVAXIN,1,2,2021-03-01", "Asha Rao,COVAXIN,2,2,2021-06-01", "Asha Rao,COVAXIN,1,2,2021-03-01,,,entered-in-error", "Asha Rao,COVAXIN,1,2,2021-04-01"},
			[]string{"Asha Rao/0/ = 2 COV1@2021-04-01 COV2@2021-06-01"}},
		{"the second taken back before a precaution dose", []string{"Asha Rao,COVAXIN,1,2,2021-03-01", "Asha Rao,COVAXIN,2,2,2021-06-01", "Asha Rao,COVAXIN,3,2,2022-06-01", "Asha Rao,COVAXIN,2,2,2021-06-01,,,entered-in-error"},
			[]string{"Asha Rao/0/ = 1 COV1@2021-03-01 COV3@2022-06-01"}},
		{"taken back without a date", []string{"Asha Rao,JANSSEN,1,1,2021-09-01", "Asha Rao,JANSSEN,1,,,,,entered-in-error"}, []string{"Asha Rao/0/ = 0"}},
		{"taken back without a number", []string{"Asha Rao,JANSSEN,1,1,2021-09-01", "Asha Rao,JANSSEN,,,2021-09-01,,,entered-in-error"}, []string{"Asha Rao/0/ = 0"}},
		{"all of a vaccine taken back", []string{"Asha Rao,COVAXIN,1,2,2021-03-01", "Asha Rao,COVAXIN,2,2,2021-06-01", "Asha Rao,COVAXIN,,,,,,entered-in-error"}, []string{"Asha Rao/0/ = 0"}},
		{"another dose taken back", []string{"Asha Rao,COVAXIN,1,2,2021-03-01", "Asha Rao,COVISHIELD,1,2,2021-03-01,,,entered-in-error"}, []string{"Asha Rao/0/ = 1 COV1@2021-03-01"}},
		{"somebody else's taken back", []string{"Asha Rao,JANSSEN,1,1,2021-09-01", "Ravi Rao,JANSSEN,1,1,2021-09-01", "Ravi Rao,JANSSEN,1,1,2021-09-01,,,entered-in-error"},
			[]string{"Asha Rao/0/ = 2 JAN1@2021-09-01", "Ravi Rao/0/ = 0"}},
		{"nothing but taken back", []string{"Asha Rao,JANSSEN,1,1,2021-09-01,,,entered-in-error"}, []string{"Asha Rao/0/ = 0"}},
		{"not done", []string{"Asha Rao,COVAXIN,1,2,2021-03-01", "Asha Rao,COVAXIN,2,2,2021-06-01,,,not-done"}, []string{"Asha Rao/0/ = 1 COV1@2021-03-01"}},
		{"not done takes nothing back", []string{"Asha Rao,JANSSEN,1,1,2021-09-01", "Asha Rao,JANSSEN,1,1,2021-09-01,,,not-done"}, []string{"Asha Rao/0/ = 2 JAN1@2021-09-01"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows := slices.Clone(c.rows)
			for range 8 {
				if got := merged(t, rows); !slices.Equal(got, c.want) {
					t.Fatalf("got %q, want %q, from %q", got, c.want, rows)
				}
				rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
			}
		})
	}
}

// A placeholder number under which a whole town was registered is read in no
// time that matters.
func TestMergeMany(t *testing.T) {
	t.Parallel()
	var rows []Row
	for i := range 20_000 {
		name := registry.Name(fmt.Sprintf("asha %d", i))
		rows = append(rows, Row{Mobile: "+919999999999", Name: string(name), Folded: name, BirthYear: 1900 + i%100})
	}
	if got := len(Merge(rows, registry.Schedule{})); got != len(rows) {
		t.Errorf("%d records", got)
	}
}
