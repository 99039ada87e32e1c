package registry

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// d makes a dose: vaccine, number, total, day.
func d(vaccine string, number, total int, on string) Dose {
	dose := Dose{Vaccine: vaccine, Number: number, Total: total}
	if on != "" {
		t, err := time.Parse(time.DateOnly, on)
		if err != nil {
			panic(err)
		}
		dose.Date = t
	}
	return dose
}

func TestStatusOf(t *testing.T) {
	t.Parallel()
	type doses = []Dose
	for _, c := range []struct {
		name  string
		doses doses
		want  Status
	}{
		{"no dose", nil, NotVaccinated},
		{"one of two", doses{d("COVISHIELD", 1, 2, "2021-03-01")}, Partly},
		{"two of two", doses{d("COVISHIELD", 1, 2, "2021-03-01"), d("COVISHIELD", 2, 2, "2021-06-01")}, Fully},
		{"precaution", doses{d("COVISHIELD", 1, 2, "2021-03-01"), d("COVISHIELD", 2, 2, "2021-06-01"), d("COVISHIELD", 3, 3, "2022-03-01")}, Fully},
		{"precaution of another", doses{d("COVAXIN", 1, 2, "2021-03-01"), d("COVAXIN", 2, 2, "2021-06-01"), d("CORBEVAX", 3, 2, "2022-07-01")}, Fully},
		{"precaution completes nothing", doses{d("COVISHIELD", 1, 2, "2021-03-01"), d("COVISHIELD", 3, 2, "2022-03-01")}, Partly},
		{"precaution of another completes nothing", doses{d("COVAXIN", 1, 2, "2021-03-01"), d("CORBEVAX", 3, 2, "2022-07-01")}, Partly},
		{"one-dose vaccine as precaution completes nothing", doses{d("COVAXIN", 1, 2, "2021-03-01"), d("SPUTNIK LIGHT", 3, 2, "2022-07-01")}, Partly},
		{"precaution without a number", doses{d("COVAXIN", 1, 2, "2021-03-01"), d("COVAXIN", Precaution, 2, "2022-07-01")}, Partly},
		{"three-dose vaccine as precaution", doses{d("COVAXIN", 1, 2, "2021-03-01"), d("COVAXIN", 2, 2, "2021-06-01"), d("ZyCoV-D", Precaution, 3, "2022-07-01")}, Fully},
		{"nothing but a precaution dose", doses{d("COVISHIELD", 3, 0, "2022-03-01")}, Partly},
		{"booster-only vaccine", doses{d("COVISHIELD", 1, 2, "2021-03-01"), d("GEMCOVAC-OM", 2, 2, "2023-07-01")}, Partly},

		{"Janssen", doses{d("JANSSEN", 1, 1, "2021-09-01")}, Fully},
		{"Janssen, total misstated", doses{d("JANSSEN", 1, 2, "2021-09-01")}, Fully},
		{"Janssen and its booster", doses{d("JANSSEN", 1, 1, "2021-09-01"), d("JANSSEN", 2, 2, "2022-03-01")}, Fully},
		{"Sputnik Light", doses{d("SPUTNIK LIGHT", 0, 0, "2021-09-01")}, Fully},
		{"Sputnik V, one", doses{d("SPUTNIK V", 1, 2, "2021-09-01")}, Partly},
		{"total of one does not make it one", doses{d("COVISHIELD", 1, 1, "2021-09-01")}, Partly},

		{"ZyCoV-D, two of three", doses{d("ZyCoV-D", 1, 3, "2022-02-10"), d("ZyCoV-D", 2, 3, "2022-03-10")}, Partly},
		{"ZyCoV-D, three of three", doses{d("ZyCoV-D", 1, 3, "2022-02-10"), d("ZyCoV-D", 2, 3, "2022-03-10"), d("ZyCoV-D", 3, 3, "2022-04-10")}, Fully},
		{"ZyCoV-D, two before, total not stated", doses{d("ZyCoV-D", 1, 0, "2022-03-10"), d("ZyCoV-D", 2, 0, "2022-04-25")}, Partly},
		{"ZyCoV-D, two before, said to be all", doses{d("ZyCoV-D", 1, 2, "2022-03-10"), d("ZyCoV-D", 2, 2, "2022-04-25")}, Partly},
		{"ZyCoV-D, two since, total not stated", doses{d("ZyCoV-D", 1, 0, "2022-04-26"), d("ZyCoV-D", 2, 0, "2022-05-24")}, Fully},
		{"ZyCoV-D, two since, of two", doses{d("ZyCoV-D", 1, 2, "2022-04-26"), d("ZyCoV-D", 2, 2, "2022-05-24")}, Fully},
		{"ZyCoV-D, two since, said to be of three", doses{d("ZyCoV-D", 1, 3, "2022-04-26"), d("ZyCoV-D", 2, 3, "2022-05-24")}, Partly},
		{"ZyCoV-D, one before and one since", doses{d("ZyCoV-D", 1, 0, "2022-04-10"), d("ZyCoV-D", 2, 0, "2022-05-10")}, Partly},
		{"ZyCoV-D, one before and one since, then of two", doses{d("ZyCoV-D", 1, 3, "2022-04-10"), d("ZyCoV-D", 2, 2, "2022-05-10")}, Fully},
		{"ZyCoV-D, only the second, of two", doses{d("ZyCoV-D", 2, 2, "2022-05-24")}, Fully},
		{"ZyCoV-D, only the second, total not stated", doses{d("ZyCoV-D", 2, 0, "2022-05-24")}, Partly},
		{"ZyCoV-D, one since", doses{d("ZyCoV-D", 1, 2, "2022-05-24")}, Partly},

		{"out of order", doses{d("COVAXIN", 2, 2, "2021-06-01"), d("COVAXIN", 1, 2, "2021-03-01")}, Fully},
		{"one number twice", doses{d("COVAXIN", 1, 2, "2021-03-01"), d("COVAXIN", 1, 2, "2021-03-05")}, Partly},
		{"one day twice", doses{d("COVAXIN", 1, 2, "2021-03-01"), d("COVAXIN", 2, 2, "2021-03-01")}, Partly},
		{"one day twice, one without a number", doses{d("COVAXIN", 1, 2, "2021-03-01"), d("COVAXIN", 0, 2, "2021-03-01")}, Partly},
		{"one day, two vaccines", doses{d("COVAXIN", 1, 2, "2021-03-01"), d("JANSSEN", 1, 1, "2021-03-01")}, Partly},
		{"two days, no numbers", doses{d("COVAXIN", 0, 0, "2021-03-01"), d("COVAXIN", 0, 0, "2021-06-01")}, Fully},
		{"second doubled", doses{d("COVAXIN", 2, 2, "2021-06-01"), d("COVAXIN", 2, 2, "2021-06-02"), d("COVAXIN", 1, 2, "2021-03-01")}, Fully},
		{"only the second", doses{d("COVISHIELD", 2, 2, "2021-06-01")}, Fully},

		{"mixed", doses{d("COVISHIELD", 1, 2, "2021-03-01"), d("COVAXIN", 2, 2, "2021-06-01")}, Fully},
		{"mixed with a one-dose vaccine as second", doses{d("COVISHIELD", 1, 2, "2021-03-01"), d("SPUTNIK LIGHT", 2, 2, "2021-06-01")}, Fully},
		{"one-dose vaccine completes alone", doses{d("COVISHIELD", 1, 2, "2021-03-01"), d("JANSSEN", 1, 1, "2021-09-01")}, Fully},
		{"two first doses", doses{d("COVISHIELD", 1, 2, "2021-03-01"), d("COVAXIN", 1, 2, "2021-06-01")}, Partly},
		{"two of the longer course are not enough", doses{d("COVISHIELD", 1, 2, "2021-11-01"), d("ZyCoV-D", 2, 3, "2022-03-01")}, Partly},
		{"three of the longer course", doses{d("COVISHIELD", 1, 2, "2021-11-01"), d("ZyCoV-D", 2, 3, "2022-03-01"), d("ZyCoV-D", 3, 3, "2022-04-01")}, Fully},
		{"unknown vaccine is a dose", doses{d("Elixir", 1, 1, "2021-11-01")}, Partly},
		{"unknown vaccine completes nothing", doses{d("COVISHIELD", 1, 2, "2021-11-01"), d("Elixir", 2, 2, "2021-12-01")}, Partly},
		{"dates not known", doses{d("COVISHIELD", 1, 2, ""), d("COVISHIELD", 2, 2, "")}, Fully},
	} {
		t.Run(c.name, func(t *testing.T) {
			given := slices.Clone(c.doses)
			for range 10 {
				if got := (Schedule{}).StatusOf(given); got != c.want {
					t.Fatalf("got %d, want %d for %v", got, c.want, given)
				}
				rand.Shuffle(len(given), func(i, j int) { given[i], given[j] = given[j], given[i] })
			}
			twice := slices.Concat(c.doses, c.doses)
			if got := (Schedule{}).StatusOf(twice); got != c.want && !slices.ContainsFunc(c.doses, func(x Dose) bool { return x.Date.IsZero() }) {
				t.Errorf("every row twice: %d", got)
			}
		})
	}
	for _, two := range []string{"COVISHIELD", "COVAXIN", "SPUTNIK V", "MODERNA", "CORBEVAX", "COVOVAX", "GEMCOVAC", "iNCOVACC"} {
		one := []Dose{d(two, 1, 2, "2022-01-01")}
		if (Schedule{}).StatusOf(one) != Partly || (Schedule{}).StatusOf(append(one, d(two, 2, 2, "2022-05-01"))) != Fully {
			t.Error(two)
		}
	}
}

func TestVaccineNames(t *testing.T) {
	t.Parallel()
	for spelling, want := range map[string]string{
		"Covishield": "COVISHIELD", "covi-shield™": "COVISHIELD", "ChAdOx1-S [recombinant]": "COVISHIELD",
		"COVAXIN®": "COVAXIN", "BBV152": "COVAXIN", " covaxin ": "COVAXIN",
		"Sputnik-V": "SPUTNIK V", "SPUTNIKV": "SPUTNIK V", "Gam-COVID-Vac": "SPUTNIK V",
		"Sputnik Light": "SPUTNIK LIGHT", "SPUTNIK-LIGHT": "SPUTNIK LIGHT",
		"Moderna": "MODERNA", "mRNA-1273": "MODERNA", "Spikevax": "MODERNA", "COVID-19 Vaccine Moderna": "MODERNA",
		"Corbevax": "CORBEVAX", "Covovax": "COVOVAX", "Gemcovac-19": "GEMCOVAC", "INCOVACC": "iNCOVACC",
		"Ad26.COV2.S": "JANSSEN", "Janssen": "JANSSEN", "Johnson & Johnson": "JANSSEN", "Janssen COVID-19 Vaccine": "JANSSEN",
		"ZyCoV-D": "ZyCoV-D", "ZYCOV D": "ZyCoV-D", "ZyCov‑D": "ZyCoV-D", "ｚｙｃｏｖｄ": "ZyCoV-D",
	} {
		if v, ok := (Schedule{}).Vaccine(spelling); !ok || v.Name != want {
			t.Errorf("%s: got %s, want %s", spelling, v.Name, want)
		}
	}
	for _, unknown := range []string{"", " ", "vaccine", "COVID-19 vaccine", "Covi", "Sputnik", "none"} {
		if v, ok := (Schedule{}).Vaccine(unknown); ok {
			t.Errorf("%s: %s", unknown, v.Name)
		}
	}
}

func TestScheduleOfAnOperator(t *testing.T) {
	t.Parallel()
	s, err := Schedule{}.With(
		Vaccine{Name: "COMIRNATY", Aliases: []string{"BNT162b2", "Pfizer"}, Regimens: []Regimen{{Doses: 2}}},
		Vaccine{Name: "Covaxin", Regimens: []Regimen{{Doses: 3}}},
	)
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := s.Vaccine("pfizer"); v.Name != "COMIRNATY" || !v.From.Equal(CampaignStart) {
		t.Errorf("%+v", v)
	}
	if got := s.StatusOf([]Dose{d("COVAXIN", 1, 2, "2021-03-01"), d("COVAXIN", 2, 2, "2021-06-01")}); got != Partly {
		t.Errorf("replaced: %d", got)
	}
	if got := (Schedule{}).CourseOf("COVAXIN"); got != 2 {
		t.Errorf("the built-in table changed: %d", got)
	}
	if got := s.StatusOf([]Dose{d("COVISHIELD", 2, 2, "2021-03-01")}); got != Fully {
		t.Errorf("kept: %d", got)
	}
	for name, v := range map[string]Vaccine{
		"no name":        {Name: "-", Regimens: []Regimen{{Doses: 2}}},
		"name taken":     {Name: "X", Aliases: []string{"covi shield"}},
		"too many doses": {Name: "X", Regimens: []Regimen{{Doses: 10}}},
		"alias too long": {Name: "X", Aliases: []string{strings.Repeat("x", 129)}},
		"no doses":       {Name: "X", Regimens: []Regimen{{}}},
	} {
		if _, err := (Schedule{}).With(v); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
