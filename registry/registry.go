// Package registry knows people and their doses, and answers one question:
// which vaccination status does this person have?
//
// An engine (see the folders below this one) only has to return the records
// kept under a mobile number. Everything that decides is here, once, for all
// of them: whether two spellings are one number (mobile.go), whether two
// spellings are one name (name.go), how many doses make a primary course
// (schedule.go), and which record, if any, a person is (decide.go).
//
// The package has never heard of codes, tokens or HTTP.
package registry

import (
	"context"
	"errors"
	"math/bits"
	"time"
)

// Status is how far the primary course of a vaccine has come, as CoWIN's
// KYC-VS service announced it. There is no value for "not known": that is an
// error, never a Status.
type Status uint8

// The three statuses. A precaution ("booster") dose changes none of them.
const (
	NotVaccinated Status = 0 // registered, no dose
	Partly        Status = 1 // at least one dose, course not complete
	Fully         Status = 2 // primary course complete
)

// Dose is one vaccination event of the primary course or after it.
type Dose struct {
	Vaccine string    // as CoWIN names it, e.g. "COVISHIELD"
	Number  int       // 1 for the first dose; 0 where the source does not say
	Total   int       // doses of the course according to the source; 0 where it does not say
	Date    time.Time // the day it was given, UTC midnight
	// TakenBack are the numbers of doses before it that were taken back and not
	// given anew, 1<<number for each: Number is by so many less than the source's.
	TakenBack uint16
}

// Stated is the number that the source gave the dose.
func (d Dose) Stated() int { return d.Number + bits.OnesCount16(d.TakenBack) }

// Record is one registered person.
type Record struct {
	ID        string // the registry's own id (CoWIN's beneficiary id); may be empty
	Mobile    Mobile
	Name      string // as registered
	BirthYear int    // 0 where not known
	Doses     []Dose // none for a person registered but not vaccinated
}

// Query names the person whose status is asked for.
type Query struct {
	Mobile    Mobile
	Name      string // as typed
	BirthYear int    // 0 where it was not asked for
}

// Answer is what a Query finds.
type Answer struct {
	Status Status
	// Person identifies the record that was found, the same at each visit
	// however the name was typed: the record's id, else number, registered
	// name and birth year. It names a person, so it must not leave the process
	// but through a keyed hash.
	Person string
}

// Registry returns the records kept under a mobile number. It must be safe for
// concurrent use.
type Registry interface {
	// Lookup returns every record under the number, and an empty slice, not an
	// error, where there is none. Any error means "not answering": it is never
	// to be read as "no record". The caller does not change what is returned.
	Lookup(ctx context.Context, mobile Mobile) ([]Record, error)
	// Ready returns nil if a Lookup would be answered now, else why not, without
	// naming a person.
	Ready(ctx context.Context) error
}

// ErrNoRecord says that nobody in the registry fits the query.
var ErrNoRecord = errors.New("registry: no record fits")

// AmbiguousError says that more than one record fits the query, which is then
// not answered: a guess could be somebody else's status.
type AmbiguousError struct {
	// BirthYear says that the records that fit differ in year of birth, so that
	// asking for it would settle the matter.
	BirthYear bool
}

func (AmbiguousError) Error() string { return "registry: more than one record fits" }
