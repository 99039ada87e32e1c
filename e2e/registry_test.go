package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The registry is what its file says now; a bad file changes nothing.
func TestRegistryFileChanges(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: plenty, sites: gateSites})
	b := in.browse(t, "https://work.example")
	holder := in.browse(t, "https://work.example")
	holder.signIn(asha)

	t.Run("lowered by a later file", func(t *testing.T) {
		in.write("people.csv", strings.Replace(people, "9876543210,Asha Rao,COVISHIELD,2,2,2021-07-01,1980,10000000000001,completed",
			"9876543210,Asha Rao,COVISHIELD,2,2,2021-07-01,1980,10000000000001,entered-in-error", 1))
		in.becomes(t, b, person{asha.mobile, asha.name, 1})
		if a := holder.as(t).fetch("/ward/x"); a.StatusCode != 200 {
			t.Errorf("a pass says what was so at auth_time: %v", a)
		}
	})
	t.Run("somebody new", func(t *testing.T) {
		in.write("people.csv", people+"9876504000,New Comer,COVAXIN,1,2,2021-05-01,1990,10000000000099,completed\n")
		in.becomes(t, b, person{"9876504000", "New Comer", 1})
	})
	for name, bad := range map[string]string{ // the file is refused, the old content kept
		"no header":        "9876543210,Asha Rao\n",
		"a column missing": "mobile_number,vaccine\n9876543210,COVISHIELD\n",
		"not CSV":          "\x00\x01\x02\"\"\"",
		"empty":            "",
	} {
		t.Run("bad: "+name, func(t *testing.T) {
			before := strings.Count(in.log.String(), `"level":"error"`)
			in.write("people.csv", bad)
			eventually(t, "an error in the log", func() bool { return strings.Count(in.log.String(), `"level":"error"`) > before })
			in.browse(t, "https://work.example").signIn(asha)
			in.write("people.csv", people)
		})
	}
	for name, row := range map[string]string{ // the row is set aside, the others count
		"a bad number":   "12,Bad Number,COVISHIELD,1,2,2021-05-01,1990,1,completed\n",
		"a bad date":     "9876505000,Bad Date,COVISHIELD,1,2,2021-13-45,1990,2,completed\n",
		"a future date":  "9876505000,Bad Date,COVISHIELD,1,2,2921-01-01,1990,2,completed\n",
		"a bad dose":     "9876505000,Bad Date,COVISHIELD,x,2,2021-05-01,1990,2,completed\n",
		"no name":        "9876505000,,COVISHIELD,1,2,2021-05-01,1990,2,completed\n",
		"fields missing": "9876505000,Bad Date\n",
		"an open quote":  "9876505000,\"Bad Quote,COVISHIELD,1,2,2021-05-01,1990,2,completed\n",
	} {
		t.Run("bad row: "+name, func(t *testing.T) {
			before := len(in.log.String())
			in.write("people.csv", people+row)
			var said string
			eventually(t, "the log says so", func() bool {
				said = in.log.String()[before:]
				return strings.Contains(said, `"level":"error"`) || strings.Contains(said, `"level":"warn"`)
			})
			in.browse(t, "https://work.example").signIn(asha)
			tail := in.log.tail(4000)
			for _, secret := range []string{"Bad Number", "Bad Date", "Bad Quote", "9876505000"} {
				if strings.Contains(tail, secret) {
					t.Errorf("the log says %q", secret)
				}
			}
			in.write("people.csv", people)
			time.Sleep(50 * time.Millisecond)
		})
	}
	t.Run("vanished", func(t *testing.T) {
		if err := os.Remove(filepath.Join(in.home.dir, "people.csv")); err != nil {
			t.Fatal(err)
		}
		before := strings.Count(in.log.String(), `"level":"error"`)
		eventually(t, "an error in the log", func() bool { return strings.Count(in.log.String(), `"level":"error"`) > before })
		in.browse(t, "https://work.example").signIn(asha)
		in.write("people.csv", strings.Replace(people, "9876501001,Vikram Singh,COVAXIN,1,2", "9876501001,Vikram Singh,COVAXIN,2,2", 1))
		_ = before
	})
	t.Run("back again", func(t *testing.T) {
		in.write("people.csv", people+"9876504001,Second Comer,JANSSEN,1,1,2021-05-01,1990,10000000000098,completed\n")
		in.becomes(t, b, person{"9876504001", "Second Comer", 2})
	})
}

// becomes waits until the registry answers for a person as it should now.
func (in *instance) becomes(t testing.TB, b *browser, p person) {
	t.Helper()
	var last string
	eventually(t, "the new file is read", func() bool {
		txn, code := b.as(t).ask(p)
		a := b.as(t).verify(txn, code)
		last = a.String()
		if a.StatusCode == 200 && a.object(t).num(t, "vaccination_status") == p.status {
			return true
		}
		time.Sleep(200 * time.Millisecond)
		return false
	})
	_ = last
}

// A file that mixes every vaccine of the schedule.
func TestStatusesOfEveryVaccine(t *testing.T) {
	t.Parallel()
	var rows strings.Builder
	rows.WriteString("mobile_number,full_name,vaccine,dose,total_doses,date,birth_year,beneficiary_id,record_status\n")
	type case_ struct {
		who   string
		doses []string // vaccine,dose,total,date,record_status
		want  int
	}
	cases := []case_{
		{"Nodose Person", []string{",,,,"}, 0},
		{"Janssen One", []string{"JANSSEN,1,1,2021-09-01,completed"}, 2},
		{"Light One", []string{"SPUTNIK LIGHT,1,1,2022-02-01,completed"}, 2},
		{"Zycov Two", []string{"ZyCoV-D,1,3,2022-01-01,completed", "ZyCoV-D,2,3,2022-02-01,completed"}, 1},
		{"Zycov Three", []string{"ZyCoV-D,1,3,2022-01-01,completed", "ZyCoV-D,2,3,2022-02-01,completed", "ZyCoV-D,3,3,2022-03-01,completed"}, 2},
		{"Zycov New", []string{"ZyCoV-D,1,2,2022-05-01,completed", "ZyCoV-D,2,2,2022-06-01,completed"}, 2},
		{"Error Taken", []string{"COVAXIN,1,2,2021-05-01,completed", "COVAXIN,2,2,2021-06-05,entered-in-error"}, 1},
		{"Not Done", []string{"COVAXIN,1,2,2021-05-01,not-done"}, 0},
		{"Same Twice", []string{"COVAXIN,1,2,2021-05-01,completed", "COVAXIN,1,2,2021-05-01,completed"}, 1},
		{"Precaution Too", []string{"COVAXIN,1,2,2021-05-01,completed", "COVAXIN,2,2,2021-06-05,completed", "COVAXIN,3,3,2022-04-15,completed"}, 2},
	}
	for _, v := range []string{"COVISHIELD", "COVAXIN", "SPUTNIK V", "Moderna", "CORBEVAX", "COVOVAX", "GEMCOVAC", "iNCOVACC"} {
		cases = append(cases,
			case_{"One " + letters(v), []string{v + ",1,2,2021-08-01,completed"}, 1},
			case_{"Two " + letters(v), []string{v + ",1,2,2021-08-01,completed", v + ",2,2,2021-11-01,completed"}, 2})
	}
	for i, c := range cases {
		for _, d := range c.doses {
			f := strings.Split(d, ",")
			rows.WriteString(strings.Join([]string{number(i), c.who, f[0], f[1], f[2], f[3], "1990", "2000000000" + number(i)[5:], f[4]}, ",") + "\n")
		}
	}
	in := start(t, setup{kycvs: plenty, people: rows.String(), sites: gateSites})
	for i, c := range cases {
		t.Run(c.who, func(t *testing.T) {
			in.browse(t, "https://work.example").signIn(person{number(i), c.who, c.want})
		})
	}
}

// DIVOC's column names are taken for the same.
func TestDIVOCColumns(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: plenty, people: divoc, sites: gateSites})
	in.browse(t, "https://work.example").signIn(person{"9811100001", "Divoc Fully", 2})
	in.browse(t, "https://work.example").signIn(person{"9811100002", "Divoc Partly", 1})
}

// letters are a string's letters alone.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return -1
	}, s)
}
