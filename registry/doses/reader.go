package doses

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/kycvs/caddy-kycvs/registry"
)

// Reader reads a CSV file of doses. It is for one goroutine.
type Reader struct {
	Config
	t    *table
	h    header
	last time.Time // the last day a dose can have been given
	year int       // of last
}

// NewReader reads the header of a file. Its error says which column is missing
// or there twice, or what the file is instead of CSV in UTF-8.
func NewReader(r io.Reader, c Config) (*Reader, error) {
	c = c.withDefaults()
	t := newTable(r, c.MaxRow)
	h, err := readHeader(t)
	if err != nil {
		return nil, err
	}
	last := today(c.Now())
	return &Reader{Config: c, t: t, h: h, last: last, year: last.Year()}, nil
}

// Rows returns the rows to range over, once. An error that is a *RowError is
// about its row, which was set aside, and the next row follows. Any other is
// the last: the file could not be read on.
func (r *Reader) Rows() iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for {
			var row Row
			err := r.t.next()
			switch {
			case err == io.EOF:
				return
			case errors.Is(err, errTooLong):
				err = r.fail("", fmt.Sprintf("the row is longer than %d bytes", r.MaxRow))
			case errors.Is(err, errQuotes):
				err = r.fail("", err.Error())
			case err != nil:
				yield(Row{}, err)
				return
			default:
				if r.blank() {
					continue
				}
				row, err = r.row()
			}
			if err != nil {
				row = Row{Line: r.t.start}
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// Raw is the text of the row that Rows yielded last, cut short where it was too
// long, for a file of rejected rows. It is good until the next row is read.
func (r *Reader) Raw() []byte { return r.t.raw }

// blank reports whether the current record is nothing but commas, as a
// spreadsheet writes an empty row.
func (r *Reader) blank() bool {
	for _, f := range r.t.fields {
		if len(bytes.TrimSpace(f)) > 0 {
			return false
		}
	}
	return true
}

func (r *Reader) fail(column, reason string) error {
	return &RowError{Line: r.t.start, Column: column, Reason: reason}
}

func (r *Reader) row() (Row, error) {
	for i, f := range r.t.fields {
		if !utf8.Valid(f) || bytes.IndexByte(f, 0) >= 0 {
			return Row{}, r.fail(r.columnAt(i), "not UTF-8: save the file as CSV UTF-8")
		}
	}
	if n := len(r.t.fields); n != r.h.width {
		return Row{}, r.fail("", fmt.Sprintf("%d fields where the header has %d: put a field that holds a comma in quotation marks",
			n, r.h.width))
	}

	row := Row{Line: r.t.start}
	var err error
	if row.Mobile, err = registry.ParseMobile(string(r.field(mobileNumber)), r.Countries); err != nil {
		return Row{}, r.fail(r.h.name[mobileNumber], err.Error())
	}
	row.Name = string(r.field(fullName))
	if row.Folded, err = registry.ParseName(row.Name); err != nil {
		return Row{}, r.fail(r.h.name[fullName], err.Error())
	}
	id := r.field(beneficiaryID)
	if len(id) > maxID || bytes.ContainsFunc(id, unicode.IsControl) {
		return Row{}, r.fail(r.h.name[beneficiaryID], fmt.Sprintf("longer than %d bytes, or with control characters", maxID))
	}
	row.ID = string(id)
	if f := r.field(birthYear); len(f) > 0 {
		y, ok := parseBirthYear(string(f))
		if !ok || y > r.year || y < r.year-oldest {
			return Row{}, r.fail(r.h.name[birthYear],
				fmt.Sprintf("not a year of birth between %d and %d: write it with four digits, e.g. 1984, or a date, e.g. 1984-02-29", r.year-oldest, r.year))
		}
		row.BirthYear = y
	}
	if row.Status, err = r.recordStatus(); err != nil {
		return Row{}, err
	}
	if row.Dose, err = r.dose(row.Status); err != nil {
		return Row{}, err
	}
	return row, nil
}

const (
	maxID   = 64  // bytes; CoWIN's are 14 digits
	oldest  = 130 // years
	maxDose = 20  // the highest number, and total, of doses that makes sense
)

func (r *Reader) recordStatus() (RecordStatus, error) {
	switch string(foldWord(r.field(recordStatus))) {
	case "", "completed":
		return Completed, nil
	case "enteredinerror":
		return EnteredInError, nil
	case "notdone":
		return NotDone, nil
	}
	return 0, r.fail(r.h.name[recordStatus], "not a status: write completed, entered-in-error, not-done or nothing")
}

// dose reads the dose of a row, nil where it has none. A dose that was not
// given may lack its date, or have one that makes no sense: that may be why.
func (r *Reader) dose(status RecordStatus) (*registry.Dose, error) {
	name, day := r.field(vaccine), r.field(date)
	number, err := r.count(dose, len(name) == 0)
	if err != nil {
		return nil, err
	}
	total, err := r.count(totalDoses, len(name) == 0)
	if err != nil {
		return nil, err
	}
	if len(name) == 0 {
		switch {
		case status == EnteredInError:
			return nil, r.fail(r.h.name[vaccine], "empty in a row that takes a dose back: write its vaccine")
		case status == Completed && (number > 0 || len(day) > 0):
			return nil, r.fail(r.h.name[vaccine], "empty in a row with a dose or a date: write the vaccine, or leave all three empty for a person without a dose")
		}
		return nil, nil
	}
	v, ok := r.Schedule.Vaccine(string(name))
	if !ok {
		return nil, r.fail(r.h.name[vaccine], "not a vaccine that is known here: check the spelling, and leave it empty for a person without a dose")
	}
	d := &registry.Dose{Vaccine: v.Name, Number: number, Total: total}
	if len(day) == 0 {
		if status == Completed {
			return nil, r.fail(r.h.name[date], "empty: write the day the dose was given, e.g. 2021-06-30")
		}
		return d, nil
	}
	if d.Date, ok = parseDay(string(day)); !ok {
		return nil, r.fail(r.h.name[date], "not a date: write year-month-day, e.g. 2021-06-30")
	}
	switch {
	case status != Completed:
	case d.Date.Before(v.From):
		return nil, r.fail(r.h.name[date], "before "+v.From.Format(time.DateOnly)+", when the first doses of this vaccine were given")
	case d.Date.After(r.last):
		return nil, r.fail(r.h.name[date], "in the future")
	}
	return d, nil
}

// count reads the number or the total of a dose, 0 where it is empty. Only a
// person without a dose may have a 0 written out. Spreadsheets write 2 as 2.0.
func (r *Reader) count(c column, none bool) (int, error) {
	f := r.field(c)
	if len(f) == 0 {
		return 0, nil
	}
	if n, err := strconv.Atoi(string(bytes.TrimSuffix(f, []byte(".0")))); err == nil && n <= maxDose && (n >= 1 || n == 0 && none) {
		return n, nil
	}
	switch string(foldWord(f)) {
	case "precaution", "precautiondose", "booster", "boosterdose", "pd":
		if c == dose {
			return registry.Precaution, nil
		}
	}
	return 0, r.fail(r.h.name[c], fmt.Sprintf("not a number from 1 to %d: write 1 for a first dose, or nothing where it is not known", maxDose))
}

// field returns a column of the current row, empty where the file does not have it.
func (r *Reader) field(c column) []byte {
	if r.h.place[c] < 0 {
		return nil
	}
	return bytes.TrimSpace(r.t.fields[r.h.place[c]])
}

// columnAt names the column at a place of the row, if it is one that is read.
func (r *Reader) columnAt(place int) string {
	for c, p := range r.h.place {
		if p == place {
			return r.h.name[c]
		}
	}
	return strconv.Itoa(place + 1)
}

// foldWord keeps the letters of a word, in lower case.
func foldWord(f []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if !unicode.IsLetter(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, f)
}
