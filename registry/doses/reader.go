package doses

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
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

	vaccines map[string]registry.Vaccine // by the spellings met so far
	given    []registry.Dose             // where the next doses are put
	text     *strings.Builder            // where the next texts are put, nil: each by itself
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
	return newReader(t, h, c), nil
}

func newReader(t *table, h header, c Config) *Reader {
	last := today(c.Now())
	return &Reader{Config: c, t: t, h: h, last: last, year: last.Year(), vaccines: make(map[string]registry.Vaccine)}
}

// Rows returns the rows to range over, once. An error that is a *RowError is
// about its row, which was set aside, and the next row follows. Any other is
// the last: the file could not be read on.
func (r *Reader) Rows() iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for {
			row, err := r.next()
			if err == io.EOF || !yield(row, err) {
				return
			}
			if rowError := (*RowError)(nil); err != nil && !errors.As(err, &rowError) {
				return
			}
		}
	}
}

// next reads the next row. Its error is io.EOF behind the last one, a *RowError
// for one that is set aside, and else that of reading.
func (r *Reader) next() (Row, error) {
	for {
		err := r.t.next()
		switch err {
		case nil:
			if r.blank() {
				continue
			}
			var row Row
			if err := r.row(&row); err != nil {
				return Row{Line: r.t.start}, err
			}
			return row, nil
		case errTooLong:
			return Row{Line: r.t.start}, r.fail("", fmt.Sprintf("the row is longer than %d bytes", r.MaxRow))
		case errQuotes:
			return Row{Line: r.t.start}, r.fail("", err.Error())
		}
		return Row{}, err
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

func (r *Reader) row(row *Row) error {
	if !utf8.Valid(r.t.raw) || bytes.IndexByte(r.t.raw, 0) >= 0 {
		for i, f := range r.t.fields {
			if !utf8.Valid(f) || bytes.IndexByte(f, 0) >= 0 {
				return r.fail(r.columnAt(i), "not UTF-8: save the file as CSV UTF-8")
			}
		}
	}
	if n := len(r.t.fields); n != r.h.width {
		return r.fail("", fmt.Sprintf("%d fields where the header has %d: put a field that holds a comma in quotation marks",
			n, r.h.width))
	}

	row.Line, row.File = r.t.start, r.File
	var err error
	if row.Mobile, err = r.mobile(r.field(mobileNumber)); err != nil {
		return r.fail(r.h.name[mobileNumber], err.Error())
	}
	row.Name = r.keep(r.field(fullName))
	if row.Folded, err = registry.ParseName(row.Name); err != nil {
		return r.fail(r.h.name[fullName], err.Error())
	}
	id := r.field(beneficiaryID)
	if len(id) > maxID || bytes.ContainsFunc(id, unicode.IsControl) {
		return r.fail(r.h.name[beneficiaryID], badID)
	}
	row.ID = r.keep(id)
	if f := r.field(birthYear); len(f) > 0 {
		y, ok := parseYear(f)
		if !ok {
			y, ok = parseBirthYear(string(f))
		}
		if !ok || y > r.year || y < r.year-oldest {
			return r.fail(r.h.name[birthYear], r.badYear())
		}
		row.BirthYear = y
	}
	if row.Status, err = r.recordStatus(); err != nil {
		return err
	}
	row.Dose, err = r.dose(row.Status)
	return err
}

// keep makes a text of what is only good until the next row.
func (r *Reader) keep(b []byte) string {
	if r.text == nil || len(b) == 0 {
		return string(b)
	}
	n := r.text.Len()
	r.text.Write(b)
	return r.text.String()[n:]
}

// mobile is registry.ParseMobile without the detour by way of a string.
func (r *Reader) mobile(f []byte) (registry.Mobile, error) {
	if r.text == nil || len(f) != 10 || f[0] < '6' || r.Countries[0] != 91 || bytes.ContainsFunc(f, func(c rune) bool { return c < '0' || c > '9' }) {
		return registry.ParseMobile(string(f), r.Countries)
	}
	n := r.text.Len()
	r.text.WriteString("+91")
	r.text.Write(f)
	return registry.Mobile(r.text.String()[n:]), nil
}

func (r *Reader) badYear() string {
	return fmt.Sprintf("not a year of birth between %d and %d: write it with four digits, e.g. 1984, or a date, e.g. 1984-02-29", r.year-oldest, r.year)
}

// newDose returns room for a dose.
func (r *Reader) newDose() *registry.Dose {
	if len(r.given) == 0 {
		r.given = make([]registry.Dose, 64)
	}
	d := &r.given[0]
	r.given = r.given[1:]
	return d
}

// vaccine finds the vaccine of a name as it stands in the file, as fast as it may
// be for a spelling that was met before.
func (r *Reader) vaccine(name []byte) (registry.Vaccine, bool) {
	if v, ok := r.vaccines[string(name)]; ok {
		return v, true
	}
	v, ok := r.Schedule.Vaccine(string(name))
	if ok && len(r.vaccines) < maxSpellings {
		r.vaccines[string(name)] = v
	}
	return v, ok
}

const (
	maxID   = 64  // bytes; CoWIN's are 14 digits
	oldest  = 130 // years
	maxDose = 20  // the highest number, and total, of doses that makes sense

	maxSpellings = 1000 // of vaccines, remembered
)

var badID = fmt.Sprintf("longer than %d bytes, or with control characters", maxID)

func (r *Reader) recordStatus() (RecordStatus, error) {
	f := r.field(recordStatus)
	if len(f) == 0 || string(f) == "completed" {
		return Completed, nil
	}
	switch string(foldWord(f)) {
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
	v, ok := r.vaccine(name)
	if !ok {
		return nil, r.fail(r.h.name[vaccine], "not a vaccine that is known here: check the spelling, and leave it empty for a person without a dose")
	}
	d := r.newDose()
	*d = registry.Dose{Vaccine: v.Name, Number: number, Total: total}
	if len(day) == 0 {
		if status == Completed {
			return nil, r.fail(r.h.name[date], "empty: write the day the dose was given, e.g. 2021-06-30")
		}
		return d, nil
	}
	if d.Date, ok = parsePlainDay(day); !ok {
		d.Date, ok = parseDay(string(day))
	}
	if !ok {
		return nil, r.fail(r.h.name[date], "not a date: write year-month-day, e.g. 2021-06-30")
	}
	if reason := r.badDay(d.Date, v, status); reason != "" {
		return nil, r.fail(r.h.name[date], reason)
	}
	return d, nil
}

// badDay says what is wrong with the day of a dose, "" if nothing is.
func (r *Reader) badDay(day time.Time, v registry.Vaccine, status RecordStatus) string {
	switch {
	case status != Completed:
	case day.Before(v.From):
		return "before " + v.From.Format(time.DateOnly) + ", when the first doses of this vaccine were given"
	case day.After(r.last):
		return "in the future"
	}
	return ""
}

// count reads the number or the total of a dose, 0 where it is empty. Only a
// person without a dose may have a 0 written out. Spreadsheets write 2 as 2.0.
func (r *Reader) count(c column, none bool) (int, error) {
	f := r.field(c)
	if len(f) == 0 {
		return 0, nil
	}
	if len(f) == 1 && f[0] >= '1' && f[0] <= '9' {
		return int(f[0] - '0'), nil
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
