package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/registry"
)

// Limits says how many codes may be asked for and guessed at, and by whom. A
// window counts from the first use of a budget.
//
// A limit that records only is counted by the metric `caddy_kycvs_limits_total`
// when it is exceeded, and holds nobody back.
type Limits struct {
	// CodesPerMobile is how many codes are sent to one mobile number that were not
	// entered. The default is 5 in 24h.
	CodesPerMobile Limit `json:"codes_per_mobile,omitzero"`

	// WrongPerMobile is how many wrong codes are taken for one mobile number, over
	// every handshake, site and instance. It cannot record only. The default is 15 in
	// 24h.
	WrongPerMobile Limit `json:"wrong_per_mobile,omitzero"`

	// CodesPerIP is how many codes that were not entered one client address may ask
	// for, where IPv6 addresses count by /64. The default is 60 in 1h.
	CodesPerIP Limit `json:"codes_per_ip,omitzero"`

	// CodesTotal is how many codes are sent in all: what the operator is willing to
	// pay for. The default is 1000 in 1m.
	CodesTotal Limit `json:"codes_total,omitzero"`

	// UnenteredPerIP is which share of the codes that one client address asked for may
	// be never entered, where IPv6 addresses count by /64. The default is none: no
	// share is too much.
	UnenteredPerIP Share `json:"unentered_per_ip,omitzero"`

	// UnenteredPerPrefix is which share of the codes sent to numbers that differ only
	// in their last four digits may be never entered. The default is none: no share is
	// too much.
	UnenteredPerPrefix Share `json:"unentered_per_prefix,omitzero"`

	// Countries lists the country calling codes whose numbers are taken; a number
	// typed without one is of the first. The default is 91.
	Countries []int `json:"countries,omitempty"`

	// CountriesRecordOnly says that numbers of other countries are recorded, and taken
	// all the same. The default is false.
	CountriesRecordOnly bool `json:"countries_record_only,omitempty"`

	// NumberTypes lists the types of numbers that are taken: `mobile`,
	// `fixed_line_or_mobile` (no telling, as everywhere in North America) and
	// `unknown`. The default is all three; others cannot be mobile and are never taken.
	NumberTypes []string `json:"number_types,omitempty"`

	// NumberTypesRecordOnly says that numbers of the types that are not listed are
	// recorded, and taken all the same. The default is false.
	NumberTypesRecordOnly bool `json:"number_types_record_only,omitempty"`
}

// Limit is a count within a window of time.
type Limit struct {
	// Count is how often, at least 1. It is required; there is no default.
	Count int `json:"count,omitempty"`

	// Window is within how long, from 1s to 31d. It is required; there is no default.
	Window caddy.Duration `json:"window,omitempty"`

	// RecordOnly says that what is beyond the limit is recorded, and holds nobody
	// back. The default is false.
	RecordOnly bool `json:"record_only,omitempty"`
}

// Share is a share of the codes sent within a window of time.
type Share struct {
	// Percent is the share that is too much, from 1 to 100. It is required; there is
	// no default.
	Percent int `json:"percent,omitempty"`

	// Least is how many codes must have been asked for before their share says
	// anything, at least 1. It is required; there is no default.
	Least int `json:"least,omitempty"`

	// Window is within how long, from 1s to 31d. It is required; there is no default.
	Window caddy.Duration `json:"window,omitempty"`

	// RecordOnly says that what is beyond the share is recorded, and holds nobody
	// back. The default is false.
	RecordOnly bool `json:"record_only,omitempty"`
}

// The reasons are the operator's to read, so they are said wherever the limits
// are written.
var errWrongRecordOnly = errors.New("limits wrong_per_mobile cannot be record_only: it is what keeps guesses at codes out; write it without, e.g. `wrong_per_mobile 15 24h`")

func (l *Limits) validate() error {
	for _, n := range []struct {
		option string
		value  Limit
	}{
		{"limits codes_per_mobile", l.CodesPerMobile},
		{"limits wrong_per_mobile", l.WrongPerMobile},
		{"limits codes_per_ip", l.CodesPerIP},
		{"limits codes_total", l.CodesTotal},
	} {
		if err := n.value.validate(n.option); err != nil {
			return err
		}
	}
	if l.WrongPerMobile.RecordOnly {
		return errWrongRecordOnly
	}
	if err := errors.Join(l.UnenteredPerIP.validate("limits unentered_per_ip"), l.UnenteredPerPrefix.validate("limits unentered_per_prefix")); err != nil {
		return err
	}
	if err := checkCountries(l.Countries); err != nil {
		return err
	}
	return l.validateNumberTypes()
}

func (l Limit) validate(option string) error {
	if l == (Limit{}) {
		return nil
	}
	return errors.Join(limitCountBounds.check(option+" count", l.Count), limitWindowBounds.check(option+" window", l.Window))
}

func (s Share) validate(option string) error {
	if s == (Share{}) {
		return nil
	}
	return errors.Join(percentBounds.check(option+" percentage", s.Percent),
		limitCountBounds.check(option+" least number of codes", s.Least), limitWindowBounds.check(option+" window", s.Window))
}

func (l *Limits) validateNumberTypes() error {
	if err := checkNumberTypes(l.NumberTypes); err != nil {
		return err
	}
	switch {
	case !l.NumberTypesRecordOnly && len(l.NumberTypes) > 0 && !slices.Contains(l.NumberTypes, string(registry.TypeMobile)) && l.onlyIndia():
		return errors.New("limits number_types without mobile takes no number of India, and countries has no other: write mobile as well")
	case !l.NumberTypesRecordOnly:
		return nil
	case len(l.NumberTypes) == 0:
		return errors.New("limits number_types_record_only has no number_types to go by: write some, or leave it out")
	case len(l.NumberTypes) == len(registry.NumberTypes):
		return errors.New("limits number_types are all there are, so record_only has nothing to record: write fewer, e.g. `number_types mobile record_only`, or leave the line out")
	}
	return nil
}

// onlyIndia says that every number that is taken is one of India, all of whose
// numbers that are taken are known to be mobile.
func (l *Limits) onlyIndia() bool {
	return !l.CountriesRecordOnly && (len(l.Countries) == 0 || len(l.Countries) == 1 && l.Countries[0] == 91)
}

func checkNumberTypes(types []string) error {
	for i, t := range types {
		if !slices.Contains(registry.NumberTypes, registry.NumberType(t)) {
			return fmt.Errorf("number_types %q is unknown: write one or more of %s", t, numberTypeWords())
		}
		if slices.Contains(types[:i], t) {
			return fmt.Errorf("number_types has %s twice: write it once", t)
		}
	}
	return nil
}

func numberTypeWords() string {
	var words []string
	for _, t := range registry.NumberTypes {
		words = append(words, string(t))
	}
	return strings.Join(words, ", ")
}

// flow returns what the handshake is told.
func (l *Limits) flow() authflow.Limits {
	to := authflow.Limits{
		CodesPerMobile:        l.CodesPerMobile.flow(),
		WrongPerMobile:        l.WrongPerMobile.flow(),
		CodesPerIP:            l.CodesPerIP.flow(),
		CodesTotal:            l.CodesTotal.flow(),
		UnenteredPerIP:        l.UnenteredPerIP.flow(),
		UnenteredPerPrefix:    l.UnenteredPerPrefix.flow(),
		Countries:             l.Countries,
		CountriesRecordOnly:   l.CountriesRecordOnly,
		NumberTypesRecordOnly: l.NumberTypesRecordOnly,
	}
	for _, t := range l.NumberTypes {
		to.NumberTypes = append(to.NumberTypes, registry.NumberType(t))
	}
	return to
}

func (l Limit) flow() authflow.Limit {
	return authflow.Limit{Count: l.Count, Window: time.Duration(l.Window), RecordOnly: l.RecordOnly}
}

func (s Share) flow() authflow.Share {
	return authflow.Share{Percent: s.Percent, Least: s.Least, Window: time.Duration(s.Window), RecordOnly: s.RecordOnly}
}

// readCountries returns the country calling codes of numbers that a registry is
// asked about. Where the countries record only, that is any.
func (l *Limits) readCountries() []int {
	if !l.CountriesRecordOnly {
		return l.Countries
	}
	if len(l.Countries) == 0 {
		return []int{91, registry.AnyCountry} // the first is that of numbers without a code
	}
	return append(slices.Clone(l.Countries), registry.AnyCountry)
}
