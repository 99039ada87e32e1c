// Package loading is how files of doses get into an engine that keeps records
// sealed. It reads the files on all cores, sets aside rows that make no sense,
// brings the rows of each mobile number together in bounded memory, merges them
// with what the engine keeps under that number, seals what that makes, and hands
// the engine what changed. What is on a disk meanwhile is encrypted under a key
// that is nowhere but in memory.
//
// The engine (Engine) is either a store that makes a new generation of itself, as
// registry/embedded, or a database that is updated in a transaction, as
// registry/postgres. It knows neither rows nor records, only boxes.
//
// The rules by which rows and stored records are merged are doses.MergeInto's.
package loading

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/doses"
	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

// Engine is a sealed store that can be imported into.
type Engine interface {
	// Begin starts a change of the store. There is one at a time: a second waits, or
	// is an error that says who is at it, as the engine documents. What a Batch does is not
	// seen by lookups before Commit.
	//
	// With dry, nothing is created or changed and Put and Commit are not called; where
	// there is no store yet, the Batch has keys that are forgotten, and fetches nothing.
	Begin(ctx context.Context, dry bool) (Batch, error)
}

// Batch is one change of a store. Fetch and Put are called from several
// goroutines at once.
type Batch interface {
	// Keys are the store's. They do not change while the Batch lives.
	Keys() *sealed.Keys
	// Fetch returns in boxes[i] the box kept under indexes[i], nil where there is none.
	// indexes ascend, without duplicates, and are at most FetchSize. A box is good until
	// the next Fetch with the same boxes, whose memory may be used again.
	Fetch(ctx context.Context, indexes []sealed.Index, boxes [][]byte) error
	// Put takes what changed in a part of the store. Parts are numbered from 0 to
	// the one with Last set; each comes once, even if empty, in about that order; the
	// indexes within a part ascend and all are above those of the part before. The
	// Batch owns the part then.
	Put(ctx context.Context, part Part) error
	// Commit makes all that was put visible at once, and lasting: after a crash there
	// is the old state or the new. Without a Put of a row it changes nothing.
	Commit(ctx context.Context, change Change) error
	// Abort forgets what was put. It is called after Commit too, and then does nothing.
	Abort() error
}

// FetchSize is how many boxes a Fetch asks for at most.
const FetchSize = 1024

// Part is a part of what changed.
type Part struct {
	Number int
	Last   bool
	Rows   []Row // ascending by Index
}

// Row is a number's box as it is to be from now on.
type Row struct {
	Index sealed.Index
	Box   []byte // nil: the number is to be forgotten
	New   bool   // there was none before
	Erase bool   // what the box held before must not stay on the disk
}

// Change is by how much a Batch changes what is in the store.
type Change struct {
	Numbers int64 // numbers that have a box
	People  int64 // records
	Doses   int64 // doses of those records
}

// File is a file of doses.
type File struct {
	// Name is what messages call it, and what Config.Rejects is given: a path, or "-".
	Name string
	// Open opens it, nil: os.Open(Name). It is closed once it was read.
	Open func() (io.ReadCloser, error)
	// Size is its length in bytes as far as it is known, for Progress; else 0.
	Size int64
	// Format is doses.Auto for one that is told from the first bytes.
	Format doses.Format
}

// Config is what an import depends on. Files is all it needs.
type Config struct {
	// Files are read in this order: where two disagree, the later one is believed.
	Files []File
	// Countries are the country calling codes allowed, the first that of numbers
	// written without one. None means India, 91.
	Countries []int
	// Schedule knows the vaccines; its zero value is the built-in table.
	Schedule registry.Schedule
	// Patients are those that FHIR Immunizations may refer to besides those of their
	// own file; nil: there are no others.
	Patients *doses.Patients
	// Now is the clock that says which dates lie in the future; nil is time.Now.
	Now func() time.Time

	// Workers is how many goroutines work; 0: one for each core.
	Workers int
	// Memory is about how many bytes the import may take, whatever the size of the
	// files; 0 means 512 MiB. Less than 64 MiB is taken for 64 MiB.
	Memory int64
	// TempDir is where what does not fit in memory lies meanwhile, encrypted, about 70
	// bytes a dose; empty means os.TempDir(). Nothing is left there.
	TempDir string

	// Dry reads, merges and counts, and changes nothing.
	Dry bool
	// Strict changes nothing if a row of any file makes no sense: ErrRejected.
	Strict bool
	// Rejects opens the file that takes a file's rejected rows, when the first one
	// comes, and is told how that file is written (CSV or FHIR). They are as they were,
	// so that the file can be corrected and imported: of CSV behind two columns,
	// rejected_line and rejected_reason; of FHIR each in an object,
	//
	//	{"line":7,"reason":"status: …","row":{…}}
	//
	// where row is a text if it was not JSON. They name people: make it 0600. nil:
	// rejected rows are only counted.
	Rejects func(file string, format doses.Format) (io.WriteCloser, error)
	// Progress is told how far the import is, about every ProgressEvery, and at the
	// end. It is never called twice at once. nil: nobody is told.
	Progress func(Progress)
	// ProgressEvery is 0 for 200 ms.
	ProgressEvery time.Duration
}

// Phase is what an import is doing.
type Phase string

// The phases, in their order.
const (
	Reading Phase = "reading" // the files
	Merging Phase = "merging" // what was read with what the store has
	Storing Phase = "storing" // the engine makes it lasting
	Done    Phase = "done"
)

// Progress is how far an import is.
type Progress struct {
	Phase    Phase
	File     string // the one being read
	Rows     int64  // read so far, rejected ones included
	Rejected int64
	// Read of Size bytes of the files were read; Size is 0 where it is not known.
	Read, Size int64
	// Merged of Rows were merged.
	Merged  int64
	Elapsed time.Duration
}

// Done is the share of the work that is done, 0 to 1, negative where the size of
// the files is not known.
func (p Progress) Done() float64 {
	const reading = 0.55 // its share of the time, as measured
	switch {
	case p.Phase == Done:
		return 1
	case p.Phase == Storing:
		return 0.98
	case p.Phase == Merging:
		return reading + (0.98-reading)*float64(p.Merged)/float64(max(p.Rows-p.Rejected, 1))
	case p.Size <= 0:
		return -1
	}
	return reading * min(1, float64(p.Read)/float64(p.Size))
}

// Rate is rows a second, over the whole time.
func (p Progress) Rate() float64 {
	if p.Elapsed <= 0 {
		return 0
	}
	return float64(p.Rows) / p.Elapsed.Seconds()
}

// Left is how long it will take from now on, negative where that is not known.
func (p Progress) Left() time.Duration {
	done := p.Done()
	if done < 0.01 {
		return -1
	}
	return time.Duration(float64(p.Elapsed) * (1 - done) / done)
}

// Summary is what an import did, or, if Dry, would have done.
type Summary struct {
	Files    int
	Rows     int64 // rows read, rejected ones included
	Doses    int64 // rows that say that a dose was given
	Rejected int64 // rows that make no sense and were set aside
	// Reasons are the reasons of rejected rows, and how often each was one. They
	// name columns, never what stood there.
	Reasons map[string]int64

	// People of the numbers that the files name: records that are new, that changed,
	// that are gone (two that turned out to be one person), that are as they were.
	Added, Changed, Removed, Unchanged int64
	// Numbers is how many mobile numbers the files name, NumbersChanged how many of
	// them have another box now.
	Numbers, NumbersChanged int64

	Change  Change // of what is in the store
	Dry     bool
	Elapsed time.Duration
	Spilled int64 // bytes that lay on disk meanwhile
}

// ErrRejected says that Config.Strict and at least one rejected row kept an
// import from changing anything.
var ErrRejected = errors.New("nothing was imported, because rows were rejected: correct them, or import without being strict")

// FileError says which file could not be read.
type FileError struct {
	File string
	Err  error
}

func (e *FileError) Error() string { return fmt.Sprintf("%s: %v", e.File, e.Err) }

// Unwrap returns Err.
func (e *FileError) Unwrap() error { return e.Err }

// ErrTooManyRows says that there are more rows under one number than fit into
// the memory that the import may take.
var ErrTooManyRows = errors.New("one mobile number has more rows than fit in memory: it is a placeholder, or the file is damaged. " +
	"Remove its rows, or allow more memory")
