package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/kycvs/caddy-kycvs/registry"
)

// validateVaccines returns an error for the first vaccine that makes no sense. It
// passes over what holds a placeholder that is not resolved yet.
func (a *App) validateVaccines() error {
	var judged []Vaccine
	for _, v := range a.Vaccines {
		if err := a.validateVaccine(v); err != nil {
			return err
		}
		if v = a.settledVaccine(v); v.Name != "" {
			judged = append(judged, v)
		}
	}
	_, err := scheduleOf(judged)
	return err
}

// validateVaccine judges a vaccine by itself.
func (a *App) validateVaccine(v Vaccine) error {
	if v.Name == "" {
		return errors.New("a vaccine has no name: write the one that files of doses have, e.g. COMIRNATY")
	}
	wrap := func(err error) error {
		if err != nil {
			err = fmt.Errorf("vaccine %q: %w", v.Name, err)
		}
		return err
	}
	if err := checkVaccineName("name", v.Name); err != nil {
		return wrap(err)
	}
	if err := checkAliases(v.Name, v.Aliases); err != nil {
		return wrap(err)
	}
	if err := checkRegimens(v.Regimens); err != nil {
		return wrap(err)
	}
	if err := checkVaccineDay("from", v.From); err != nil && a.settled(v.From) {
		return wrap(err)
	}
	for _, r := range v.Regimens {
		if err := checkVaccineDay("since", r.Since); err != nil && a.settled(r.Since) {
			return wrap(err)
		}
	}
	if v.PrecautionOnly && len(v.Regimens) > 0 {
		return wrap(errors.New("precaution_only and doses contradict each other: write one of them"))
	}
	if !a.settled(v.Name) {
		return nil
	}
	_, known := builtIn(v.Name)
	if other, taken := (registry.Schedule{}).Vaccine(v.Name); taken && !known {
		return wrap(fmt.Errorf("this is another name of %s: write `vaccine %q` to change that one", other.Name, other.Name))
	}
	if !known && !v.PrecautionOnly && len(v.Regimens) == 0 {
		return wrap(errors.New("it does not say how many doses the course has: write e.g. `doses 2`, or `precaution_only` if it completes none"))
	}
	row := a.settledVaccine(v).row()
	for _, r := range row.Regimens {
		if from := notBefore(row.From); !r.Since.IsZero() && r.Since.Before(from) {
			return wrap(fmt.Errorf("doses %d since %s is before %s, when the first doses were given: leave since out, or write an earlier from",
				r.Doses, r.Since.Format(time.DateOnly), from.Format(time.DateOnly)))
		}
	}
	return nil
}

// settledVaccine is the vaccine without what holds a placeholder.
func (a *App) settledVaccine(v Vaccine) Vaccine {
	settled := func(s string) string {
		if a.settled(s) {
			return s
		}
		return ""
	}
	out := Vaccine{Name: settled(v.Name), From: settled(v.From), PrecautionOnly: v.PrecautionOnly}
	for _, alias := range v.Aliases {
		if a.settled(alias) {
			out.Aliases = append(out.Aliases, alias)
		}
	}
	for _, r := range v.Regimens {
		out.Regimens = append(out.Regimens, Regimen{r.Doses, settled(r.Since)})
	}
	return out
}

// checkVaccineName checks what registry.NewSchedule does not: whether it is text.
func checkVaccineName(option, s string) error {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control) }) {
		return fmt.Errorf("the %s %q has characters that cannot be shown: write one line of plain text", option, s)
	}
	return nil
}

// checkAliases checks the aliases of a vaccine, passing over placeholders.
func checkAliases(name string, aliases []string) error {
	before := []string{name}
	for _, alias := range aliases {
		if err := checkVaccineName("alias", alias); err != nil {
			return err
		}
		if hasPlaceholder(alias) {
			continue
		}
		for _, other := range before {
			if registry.SameVaccine(alias, other) {
				return fmt.Errorf("alias %q is the same as %q, because case, spaces and punctuation do not matter: write it once", alias, other)
			}
		}
		before = append(before, alias)
	}
	return nil
}

// checkRegimens checks how many doses the courses of a vaccine have.
func checkRegimens(regimens []Regimen) error {
	seen := map[int]bool{}
	for _, r := range regimens {
		if err := regimenDosesBounds.check("doses", r.Doses); err != nil {
			return err
		}
		if seen[r.Doses] {
			return fmt.Errorf("doses %d stands twice: write it once", r.Doses)
		}
		seen[r.Doses] = true
	}
	return nil
}

// The days that may be written of a vaccine. None against COVID-19 was given before
// 2020; the last is there for slips.
var (
	firstVaccineDay = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	lastVaccineDay  = time.Date(2099, 12, 31, 0, 0, 0, 0, time.UTC)
)

// checkVaccineDay checks a day, which may be left out.
func checkVaccineDay(option, s string) error {
	if s == "" {
		return nil
	}
	day, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return fmt.Errorf("%s %q is not a date: write YYYY-MM-DD, e.g. 2022-04-26", option, s)
	}
	if day.Before(firstVaccineDay) || day.After(lastVaccineDay) {
		return fmt.Errorf("%s %s is out of bounds: write a day from %s to %s", option, s, firstVaccineDay.Format(time.DateOnly), lastVaccineDay.Format(time.DateOnly))
	}
	return nil
}

// notBefore is the first day on which a dose can have been given.
func notBefore(from time.Time) time.Time {
	if from.IsZero() {
		return registry.CampaignStart
	}
	return from
}

// builtIn returns the vaccine of the built-in table that has this name, and not
// merely as an alias.
func builtIn(name string) (registry.Vaccine, bool) {
	v, ok := registry.Schedule{}.Vaccine(name)
	return v, ok && registry.SameVaccine(v.Name, name)
}

// row is the vaccine as a row of a registry.Schedule. One of the built-in table
// keeps its spelling there, which is the one that stored doses have.
func (v Vaccine) row() registry.Vaccine {
	row, known := builtIn(v.Name)
	if !known {
		row = registry.Vaccine{Name: v.Name}
	}
	row.Aliases = append(append([]string(nil), row.Aliases...), v.Aliases...)
	if v.PrecautionOnly || len(v.Regimens) > 0 {
		row.Regimens = nil
	}
	for _, r := range v.Regimens {
		row.Regimens = append(row.Regimens, registry.Regimen{Doses: r.Doses, Since: vaccineDay(r.Since)})
	}
	if v.From != "" {
		row.From = vaccineDay(v.From)
	}
	return row
}

// vaccineDay is a day that was checked; zero where it was left out.
func vaccineDay(s string) time.Time {
	day, _ := time.Parse(time.DateOnly, s)
	return day
}

// scheduleOf returns the built-in table with the operator's vaccines in it.
func scheduleOf(vaccines []Vaccine) (registry.Schedule, error) {
	if len(vaccines) == 0 {
		return registry.Schedule{}, nil
	}
	var rows []registry.Vaccine
	for _, v := range vaccines {
		rows = append(rows, v.row())
	}
	return registry.Schedule{}.With(rows...)
}

// vaccinesName tells one list of vaccines from another, for the pool alone: a
// registry may have set aside rows of vaccines that another list knows.
func vaccinesName(vaccines []Vaccine) string {
	name, _ := json.Marshal(vaccines) // texts and numbers are always JSON
	return string(name)
}
