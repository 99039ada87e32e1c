package caddymodule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// limitsOption reads
//
//	limits {
//		codes_per_mobile N DURATION [record_only]
//		wrong_per_mobile N DURATION
//		codes_per_ip N DURATION [record_only]
//		codes_total N DURATION [record_only]
//		unentered_per_ip PERCENT N DURATION [record_only]
//		unentered_per_prefix PERCENT N DURATION [record_only]
//		countries CODE… [record_only]
//		number_types TYPE… [record_only]
//	}
func limitsOption(into *Limits) option {
	return option{name: "limits", example: "limits {", args: noArg, read: func(d *caddyfile.Dispenser, _ []string) error {
		var types caddyfile.Token
		err := needBlock(d, "limits", "codes_per_mobile 5 24h", []option{
			limit("codes_per_mobile", "codes_per_mobile 5 24h", &into.CodesPerMobile),
			guessLimit("wrong_per_mobile", "wrong_per_mobile 15 24h", &into.WrongPerMobile),
			limit("codes_per_ip", "codes_per_ip 60 1h", &into.CodesPerIP),
			limit("codes_total", "codes_total 1000 1m", &into.CodesTotal),
			share("unentered_per_ip", "unentered_per_ip 80% 20 1h", &into.UnenteredPerIP),
			share("unentered_per_prefix", "unentered_per_prefix 80% 20 1h", &into.UnenteredPerPrefix),
			{name: "countries", example: "countries 91", args: someArg, read: func(_ *caddyfile.Dispenser, args []string) (err error) {
				if args, into.CountriesRecordOnly, err = cutRecordOnly("countries", "countries 91 record_only", args, 1, anyNumber); err != nil {
					return err
				}
				for _, arg := range args {
					code, err := intBounds{1, 999}.parse("countries", strings.TrimPrefix(arg, "+"))
					if err != nil {
						return err
					}
					into.Countries = append(into.Countries, code)
				}
				return checkCountries(into.Countries)
			}},
			{name: "number_types", example: "number_types mobile", args: someArg, read: func(d *caddyfile.Dispenser, args []string) (err error) {
				types = d.Token()
				into.NumberTypes, into.NumberTypesRecordOnly, err = cutRecordOnly("number_types", "number_types mobile record_only", args, 1, anyNumber)
				if err != nil {
					return err
				}
				return checkNumberTypes(into.NumberTypes)
			}},
		})
		if err != nil || len(into.NumberTypes) == 0 {
			return err
		}
		return at(types, into.validateNumberTypes()) // which depends on the countries
	}}
}

const recordOnly = "record_only"

// cutRecordOnly takes record_only from the end of a line, and wants at least so
// many other values, and at most so many.
func cutRecordOnly(name, example string, args []string, least, most int) (rest []string, only bool, err error) {
	rest = args
	if n := len(args) - 1; args[n] == recordOnly {
		rest, only = args[:n], true
	}
	switch {
	case slices.Contains(rest, recordOnly):
		err = fmt.Errorf("%s has record_only before its end: write it once, as the last word, e.g. `%s`", name, example)
	case len(rest) < least:
		err = fmt.Errorf("%s has too few values before record_only: write e.g. `%s`", name, example)
	case most != anyNumber && len(rest) > most:
		err = fmt.Errorf("%s has %q too much: write nothing more or record_only, e.g. `%s`", name, rest[most], example)
	}
	return rest, only, err
}

// limit is an option with a count and a window.
func limit(name, example string, into *Limit) option {
	return option{name: name, example: example, args: argCount{2, 3}, read: func(_ *caddyfile.Dispenser, args []string) (err error) {
		if args, into.RecordOnly, err = cutRecordOnly(name, example+" record_only", args, 2, 2); err != nil {
			return err
		}
		return into.parse(name, args)
	}}
}

// guessLimit is a limit that cannot record only.
func guessLimit(name, example string, into *Limit) option {
	return option{name: name, example: example, args: argCount{2, 3}, read: func(_ *caddyfile.Dispenser, args []string) error {
		switch {
		case slices.Contains(args, recordOnly):
			return errWrongRecordOnly
		case len(args) > 2:
			return fmt.Errorf("%s has %q too much: write e.g. `%s`", name, args[2], example)
		}
		return into.parse(name, args)
	}}
}

func (l *Limit) parse(name string, args []string) (err error) {
	if l.Count, err = limitCountBounds.parse("limits "+name+" count", args[0]); err != nil {
		return err
	}
	l.Window, err = limitWindowBounds.parse("limits "+name+" window", args[1])
	return err
}

// share is an option with a percentage, a least number of codes and a window.
func share(name, example string, into *Share) option {
	return option{name: name, example: example, args: argCount{3, 4}, read: func(_ *caddyfile.Dispenser, args []string) (err error) {
		if args, into.RecordOnly, err = cutRecordOnly(name, example+" record_only", args, 3, 3); err != nil {
			return err
		}
		into.Percent, err = percentBounds.parse("limits "+name+" percentage", strings.TrimSuffix(args[0], "%"))
		if err != nil {
			return err
		}
		if into.Least, err = limitCountBounds.parse("limits "+name+" least number of codes", args[1]); err != nil {
			return err
		}
		into.Window, err = limitWindowBounds.parse("limits "+name+" window", args[2])
		return err
	}}
}
