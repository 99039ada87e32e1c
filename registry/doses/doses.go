// Package doses reads files of doses: who was given which dose when. It reads
// them row by row, in memory that does not grow with the file, and gives every
// row that makes no sense back as an error that names line, column and reason,
// never what stood there: a log must not hold numbers and names.
//
// The format is CSV with a header (csv.go, header.go). What the rows of one
// person amount to is in merge.go.
package doses

import (
	"fmt"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
)

// Row is a row of a file of doses that makes sense.
type Row struct {
	Line      int // where it begins in the file, 1 for the first line
	Mobile    registry.Mobile
	Name      string        // as written, without the space around it
	Folded    registry.Name // the same, in the form in which names are compared
	BirthYear int           // 0 where the file does not say
	ID        string        // the source's own id of the person; may be empty
	// Dose is nil for a person who is registered and has no dose. Its vaccine is
	// as the schedule spells it.
	Dose   *registry.Dose
	Status RecordStatus
}

// RecordStatus says what a row says of its dose, in FHIR's words.
type RecordStatus uint8

// The statuses of a row.
const (
	Completed      RecordStatus = iota // the dose was given
	EnteredInError                     // it was not: the same dose elsewhere is taken back
	NotDone                            // it was not; this is no dose, and takes none back
)

// RowError says why a row was set aside. The reader goes on after it.
type RowError struct {
	Line   int    // where the row begins, 1 for the first line of the file
	Column string // the column's name, empty where the row as a whole is wrong
	Reason string // what is wrong and what to write; never what stood there
}

func (e *RowError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
	}
	return fmt.Sprintf("line %d, column %s: %s", e.Line, e.Column, e.Reason)
}

// Config is what reading depends on besides the file.
type Config struct {
	// Countries are the country calling codes allowed, the first that of numbers
	// written without one. None means India, 91.
	Countries []int
	// Schedule knows the vaccines; its zero value is the built-in table.
	Schedule registry.Schedule
	// Now is the clock that says which dates lie in the future; nil is time.Now.
	Now func() time.Time
	// MaxRow is the longest row accepted, in bytes; 0 means 64 KiB. It bounds the
	// memory a Reader takes, to about three times as much.
	MaxRow int
}

func (c Config) withDefaults() Config {
	if len(c.Countries) == 0 {
		c.Countries = []int{91}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxRow <= 0 {
		c.MaxRow = 64 << 10
	}
	return c
}
