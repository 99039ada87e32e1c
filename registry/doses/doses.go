// Package doses reads files of doses: who was given which dose when. It reads
// them row by row, in memory that does not grow with the file, and gives every
// row that makes no sense back as an error that names line, column and reason,
// never what stood there: a log must not hold numbers and names.
//
// The format is CSV with a header (csv.go, header.go), which a Reader reads in turn
// and a Parallel on all cores (parallel.go, blocks.go), or FHIR R4 as NDJSON
// (fhir.go), of which a Parallel makes the same rows. What the rows of one person
// amount to is in merge.go, and how they are merged with what is known already in
// mergeinto.go.
package doses

import (
	"fmt"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
)

// Row is a row of a file of doses that makes sense.
type Row struct {
	Line      int // where it begins in the file, 1 for the first line
	File      int // which file it is of (Config.File)
	Mobile    registry.Mobile
	Name      string        // as written, without the space around it
	Folded    registry.Name // the same, in the form in which names are compared
	BirthYear int           // 0 where the file does not say
	ID        string        // the source's own id of the person; may be empty
	// Dose is nil for a person who is registered and has no dose. Its vaccine is
	// as the schedule spells it.
	Dose   *registry.Dose
	Status RecordStatus

	stored bool // of a record of the store, not of a file (MergeInto)
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

// Format is how a file is written. Any may be compressed by gzip.
type Format string

// The formats.
const (
	Auto Format = ""     // told from the first bytes
	CSV  Format = "csv"  // with a header
	FHIR Format = "fhir" // FHIR R4 resources, one a line (NDJSON)
)

// Config is what reading depends on besides the file.
type Config struct {
	// Countries are the country calling codes allowed, the first that of numbers
	// written without one. None means India, 91.
	Countries []int
	// Schedule knows the vaccines; its zero value is the built-in table.
	Schedule registry.Schedule
	// Now is the clock that says which dates lie in the future; nil is time.Now.
	Now func() time.Time
	// MaxRow is the longest row accepted, in bytes; 0 means 64 KiB, of FHIR 1 MiB. It
	// bounds the memory a Reader takes, to about three times as much; for that of a
	// Parallel see there.
	MaxRow int
	// File is the number that the rows are to have as their File.
	File int
	// Format is what a Parallel expects; a Reader reads CSV only.
	Format Format
	// Patients are those that Immunizations may refer to besides those of their own
	// file (FHIR). nil: there are no others.
	Patients *Patients

	block int // about how long a block of a Parallel is, 256 KiB but for tests
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
		if c.Format == FHIR {
			c.MaxRow = 1 << 20
		}
	}
	if c.block <= 0 {
		c.block = 256 << 10
	}
	return c
}
