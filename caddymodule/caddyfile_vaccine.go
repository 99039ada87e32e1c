package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/kycvs/caddy-kycvs/registry"
)

// vaccineOption reads a vaccine of the operator's own, or what is to be otherwise
// with one of the built-in table:
//
//	vaccine NAME {
//		doses N [since YYYY-MM-DD]
//		alias NAME…
//		from YYYY-MM-DD
//		precaution_only
//	}
func vaccineOption(into *[]Vaccine) option {
	return option{name: "vaccine", example: `vaccine "BBIBP-CorV" {`, many: true, args: oneArg, read: func(d *caddyfile.Dispenser, args []string) error {
		tok := d.Token()
		v := Vaccine{Name: args[0]}
		if err := checkUnlessPlaceholder(v.Name, func(s string) error { return checkVaccineName("vaccine", s) }); err != nil {
			return err
		}
		for _, other := range *into {
			if registry.SameVaccine(other.Name, v.Name) {
				return fmt.Errorf("vaccine %q stands twice in kycvs, where case, spaces and punctuation do not matter: put both into one", v.Name)
			}
		}
		if err := needBlock(d, "vaccine "+v.Name, "doses 2", []option{
			regimenOption(&v.Regimens),
			aliasOption(v.Name, &v.Aliases),
			text("from", "from 2020-12-08", &v.From, func(s string) error { return checkVaccineDay("from", s) }),
			toggle("precaution_only", &v.PrecautionOnly),
		}); err != nil {
			return err
		}
		*into = append(*into, v)
		return at(tok, (&App{Vaccines: *into}).validateVaccines())
	}}
}

func regimenOption(into *[]Regimen) option {
	const example = "doses 2 since 2022-04-26"
	return option{name: "doses", example: example, many: true, args: argCount{1, 3}, read: func(_ *caddyfile.Dispenser, args []string) error {
		n, err := regimenDosesBounds.parse("doses", args[0])
		if err != nil {
			return err
		}
		r := Regimen{Doses: n}
		switch {
		case len(args) > 1 && args[1] != "since":
			return fmt.Errorf("doses %d has %q behind it: write nothing more, or the day it came into force, e.g. `%s`", n, args[1], example)
		case len(args) == 2:
			return fmt.Errorf("doses %d since has no day: write e.g. `%s`", n, example)
		case len(args) == 3:
			r.Since = args[2]
			if err := checkUnlessPlaceholder(r.Since, func(s string) error { return checkVaccineDay("since", s) }); err != nil {
				return err
			}
		}
		*into = append(*into, r)
		return checkRegimens(*into)
	}}
}

func aliasOption(name string, into *[]string) option {
	return option{name: "alias", example: "alias BNT162b2", many: true, args: someArg, read: func(_ *caddyfile.Dispenser, args []string) error {
		*into = append(*into, args...)
		return checkAliases(name, *into)
	}}
}
