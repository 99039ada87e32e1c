package caddymodule

import (
	"os"
	"testing"

	"github.com/kycvs/caddy-kycvs/registry"
)

// TestScheduleOf holds that a vaccine of the built-in table that is changed keeps its
// spelling, which stored doses have, and what was left out.
func TestScheduleOf(t *testing.T) {
	s, err := scheduleOf([]Vaccine{
		{Name: "COMIRNATY", Aliases: []string{"BNT162b2"}, Regimens: []Regimen{{Doses: 2}, {Doses: 1, Since: "2022-01-01"}}, From: "2020-12-08"},
		{Name: "covi-shield", Aliases: []string{"SII"}},
		{Name: "Moderna", Regimens: []Regimen{{Doses: 3}}},
		{Name: "GEMCOVAC", PrecautionOnly: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		spelling, name, from string
		course               int
	}{
		{"bnt 162b2", "COMIRNATY", "2020-12-08", 2},
		{"SII", "COVISHIELD", "2021-01-16", 2},
		{"AZD1222", "COVISHIELD", "2021-01-16", 2},
		{"mRNA-1273", "MODERNA", "2020-12-01", 3},
		{"HGCO19", "GEMCOVAC", "2021-01-16", 0},
		{"COVAXIN", "COVAXIN", "2021-01-16", 2},
	} {
		v, ok := s.Vaccine(c.spelling)
		if !ok || v.Name != c.name || !v.From.Equal(vaccineDay(c.from)) || s.CourseOf(c.spelling) != c.course {
			t.Errorf("%s: got %+v, want %+v", c.spelling, v, c)
		}
	}
	if v, _ := s.Vaccine("COMIRNATY"); !v.Regimens[1].Since.Equal(vaccineDay("2022-01-01")) {
		t.Errorf("%+v", v)
	}
	if got := (registry.Schedule{}).CourseOf("MODERNA"); got != 2 {
		t.Errorf("the built-in table changed: %d", got)
	}
}

// TestRegistryIsOpenedAnew holds that a registry that set rows aside is not kept when
// the vaccines change, and that it is told of them.
func TestRegistryIsOpenedAnew(t *testing.T) {
	setUpMachine(t)
	const rows = "mobile_number,full_name,vaccine,dose,total_doses,date\n9876543210,Asha Rao,Comirnaty,1,2,2021-02-01\n"
	if err := os.WriteFile("people.csv", []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	csv := &CSVRegistry{path: "people.csv"}
	keys := map[string]bool{}
	for _, vaccines := range [][]Vaccine{
		nil,
		{{Name: "COMIRNATY", Regimens: []Regimen{{Doses: 2}}}},
		{{Name: "COMIRNATY", Regimens: []Regimen{{Doses: 2}}, From: "2021-02-02"}},
		{{Name: "COMIRNATY", Regimens: []Regimen{{Doses: 3}}}},
	} {
		a := &App{registry: csv, conf: &App{Vaccines: vaccines, resolved: true}}
		key := a.registryKey([][]byte{{1}})
		if keys[key] {
			t.Errorf("%+v: has the key of another", vaccines)
		}
		keys[key] = true

		schedule, err := scheduleOf(vaccines)
		if err != nil {
			t.Fatal(err)
		}
		r, err := csv.Open(OpenOptions{Schedule: schedule})
		if known := len(vaccines) > 0 && vaccines[0].From == ""; known != (err == nil) {
			t.Errorf("%+v: %v", vaccines, err)
		}
		if err == nil {
			_ = pooledValue{r}.Destruct()
		}
	}
}
