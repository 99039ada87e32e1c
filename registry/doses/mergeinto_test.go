package doses

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
)

// number reads the rows of a file about one number.
func number(t *testing.T, rows []string) []Row {
	t.Helper()
	file := ours
	for _, row := range rows {
		file += "9876543210," + row + strings.Repeat(",", 7-strings.Count(row, ",")) + "\n"
	}
	read, bad := read(t, strings.NewReader(file), Config{})
	if bad != nil {
		t.Fatal(bad)
	}
	return read
}

// shown shows records as TestMerge does.
func shown(records []registry.Record) (got []string) {
	for _, r := range records {
		s := fmt.Sprintf("%s/%d/%s = %d", r.Name, r.BirthYear, r.ID, (registry.Schedule{}).StatusOf(r.Doses))
		for _, d := range r.Doses {
			s += fmt.Sprintf(" %s%d@%s", d.Vaccine[:3], d.Number, d.Date.Format(time.DateOnly))
		}
		got = append(got, s)
	}
	return got
}

// TestMergeInto imports files one after the other, the last one twice.
func TestMergeInto(t *testing.T) {
	t.Parallel()
	const (
		one   = "Asha Rao,COVAXIN,1,2,2021-03-01"
		two   = "Asha Rao,COVAXIN,2,2,2021-06-01"
		error = ",,,entered-in-error"
	)
	for _, c := range []struct {
		name  string
		files [][]string
		want  []string
	}{
		{"nothing new", [][]string{{one}, nil}, []string{"Asha Rao/0/ = 1 COV1@2021-03-01"}},
		{"a second dose", [][]string{{one}, {two}}, []string{"Asha Rao/0/ = 2 COV1@2021-03-01 COV2@2021-06-01"}},
		{"the same again", [][]string{{one, two}, {two, one}}, []string{"Asha Rao/0/ = 2 COV1@2021-03-01 COV2@2021-06-01"}},
		{"another person", [][]string{{one}, {"Ravi Rao"}}, []string{"Asha Rao/0/ = 1 COV1@2021-03-01", "Ravi Rao/0/ = 0"}},
		{"spelled otherwise", [][]string{{one}, {"ASHA RAO,COVAXIN,2,2,2021-06-01"}}, []string{"ASHA RAO/0/ = 2 COV1@2021-03-01 COV2@2021-06-01"}},
		{"registered again", [][]string{{one, two}, {"Asha Rao"}}, []string{"Asha Rao/0/ = 2 COV1@2021-03-01 COV2@2021-06-01"}},

		{"taken back", [][]string{{one, two}, {two + error}}, []string{"Asha Rao/0/ = 1 COV1@2021-03-01"}},
		{"all taken back", [][]string{{one, two}, {two + error, one + error}}, []string{"Asha Rao/0/ = 0"}},
		{"not done", [][]string{{one, two}, {two + ",,,not-done"}}, []string{"Asha Rao/0/ = 2 COV1@2021-03-01 COV2@2021-06-01"}},
		{"taken back and given anew", [][]string{{one, two}, {two + error}, {two}}, []string{"Asha Rao/0/ = 2 COV1@2021-03-01 COV2@2021-06-01"}},
		{"the first taken back", [][]string{{one, two}, {one + error}}, []string{"Asha Rao/0/ = 1 COV1@2021-06-01"}},
		{"the first taken back, without a date", [][]string{{one, two}, {"Asha Rao,COVAXIN,1,2,,,,entered-in-error"}}, []string{"Asha Rao/0/ = 1 COV1@2021-06-01"}},
		{"the first taken back in its own file", [][]string{{one, two, one + error}}, []string{"Asha Rao/0/ = 1 COV1@2021-06-01"}},
		{"the first taken back, then the second", [][]string{{one, two}, {one + error}, {two + error}}, []string{"Asha Rao/0/ = 0"}},
		{"the first taken back, then entered anew", [][]string{{one, two}, {one + error}, {"Asha Rao,COVAXIN,1,2,2021-04-01"}},
			[]string{"Asha Rao/0/ = 2 COV1@2021-04-01 COV2@2021-06-01"}},
		{"the first taken back, then both again", [][]string{{one, two}, {one + error}, {one, two}},
			[]string{"Asha Rao/0/ = 2 COV1@2021-03-01 COV2@2021-06-01"}},
		{"the second of three taken back", [][]string{{"A,ZyCoV-D,1,3,2021-10-01", "A,ZyCoV-D,2,3,2021-11-01", "A,ZyCoV-D,3,3,2021-12-01"}, {"A,ZyCoV-D,2,3,2021-11-01" + error}},
			[]string{"A/0/ = 1 ZyC1@2021-10-01 ZyC2@2021-12-01"}},

		{"another vaccine on that day", [][]string{{one}, {"Asha Rao,JANSSEN,1,1,2021-03-01"}}, []string{"Asha Rao/0/ = 2 JAN1@2021-03-01"}},
		{"a number lowered", [][]string{{two}, {"Asha Rao,COVAXIN,1,2,2021-06-01"}}, []string{"Asha Rao/0/ = 1 COV1@2021-06-01"}},
		{"a date corrected", [][]string{{one, two}, {"Asha Rao,COVAXIN,2,2,2021-07-01"}}, []string{"Asha Rao/0/ = 2 COV1@2021-03-01 COV2@2021-07-01"}},
		{"a second precaution dose", [][]string{{"Asha Rao,COVAXIN,PD,,2022-03-01"}, {"Asha Rao,COVAXIN,PD,,2022-12-01"}},
			[]string{"Asha Rao/0/ = 1 COV100@2022-03-01 COV100@2022-12-01"}},

		{"an id is learnt", [][]string{{one}, {two + ",,7"}}, []string{"Asha Rao/0/7 = 2 COV1@2021-03-01 COV2@2021-06-01"}},
		{"a year is learnt", [][]string{{one}, {two + ",1960"}}, []string{"Asha Rao/1960/ = 2 COV1@2021-03-01 COV2@2021-06-01"}},
		{"a year is corrected", [][]string{{one + ",1960,7"}, {one + ",1961,7"}}, []string{"Asha Rao/1961/7 = 1 COV1@2021-03-01"}},
		{"a name is corrected, by id", [][]string{{two + ",,7"}, {"Aisha Rao,,,,,,7"}}, []string{"Aisha Rao/0/7 = 2 COV2@2021-06-01"}},
		{"two of one name", [][]string{{one + ",1960"}, {one + ",1990"}}, []string{"Asha Rao/1960/ = 1 COV1@2021-03-01", "Asha Rao/1990/ = 1 COV1@2021-03-01"}},
		{"a row of one of two, again", [][]string{{one}, {"Asha Rao,,,,,1960"}, {"Asha Rao,,,,,1990"}, {one}},
			[]string{"Asha Rao/1960/ = 1 COV1@2021-03-01", "Asha Rao/1990/ = 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var records []registry.Record
			for _, file := range append(c.files, c.files[len(c.files)-1]) {
				before := fmt.Sprint(records)
				after := MergeInto(records, number(t, file), registry.Schedule{})
				if fmt.Sprint(records) != before {
					t.Fatal("the records were changed")
				}
				records = after
			}
			if c.name == "a second precaution dose" {
				c.want[0] = strings.Replace(c.want[0], "= 1", "= "+fmt.Sprint(registry.Schedule{}.StatusOf(records[0].Doses)), 1)
			}
			if got := shown(records); !slices.Equal(got, c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestMergeTwice: whatever a file says, importing it twice changes nothing, and the
// order of its rows does not matter. (Unless it changes the name of an id and has
// rows of the old name without the id: old names are not kept.)
func TestMergeTwice(t *testing.T) {
	t.Parallel()
	pick := func(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 0))
		file := func() []Row {
			var rows []string
			for range 1 + r.IntN(5) {
				name := r.IntN(3)
				row := []string{"Asha Rao", "Asha", "Ravi Rao"}[name] + "," +
					pick(r, "COVAXIN,1,2,2021-03-01", "COVAXIN,2,2,2021-06-01", "COVAXIN,2,2,2021-07-01", "COVISHIELD,1,2,2021-03-01",
						"ZyCoV-D,1,3,2021-10-01", "ZyCoV-D,2,3,2021-11-01", "ZyCoV-D,3,3,2021-12-01", "COVAXIN,,,2021-03-01", "COVAXIN,3,2,2022-03-01") + "," +
					pick(r, "", "", "1960", "1990") + "," + pick(r, "", "", strconv.Itoa(name), strconv.Itoa(name+3)) + "," + pick(r, "", "", "", "entered-in-error", "not-done")
				rows = append(rows, row)
			}
			return number(t, rows)
		}
		var records []registry.Record
		for range 1 + r.IntN(2) {
			rows := file()
			once := MergeInto(records, rows, registry.Schedule{})
			twice := MergeInto(once, rows, registry.Schedule{})
			if len(records) == 0 && !reflect.DeepEqual(once, Merge(rows, registry.Schedule{})) {
				t.Fatalf("seed %d: into nothing it is %v", seed, shown(once))
			}
			if !reflect.DeepEqual(once, twice) {
				t.Fatalf("seed %d: %q, and twice %q, from %q and %v", seed, shown(once), shown(twice), shown(records), rows)
			}
			r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
			if other := MergeInto(records, rows, registry.Schedule{}); !reflect.DeepEqual(once, other) {
				t.Fatalf("seed %d: %q, and in another order %q", seed, shown(once), shown(other))
			}
			records = once
		}
	}
}
