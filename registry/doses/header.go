package doses

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// column is a column that is read, a place in columns.
type column int

const (
	mobileNumber column = iota
	fullName
	vaccine
	dose
	totalDoses
	date
	birthYear
	beneficiaryID
	recordStatus
	columnCount
)

// columns are the names of each column: ours first, then DIVOC's. Capitals,
// spaces, hyphens and underscores in a header do not matter, and columns with
// other names are passed over (DIVOC's recipientIdentity, an Aadhaar number, is
// better not even looked at).
var columns = [columnCount]struct {
	names    []string
	optional bool
}{
	mobileNumber:  {names: []string{"mobile_number", "recipientMobileNumber"}},
	fullName:      {names: []string{"full_name", "recipientName"}},
	vaccine:       {names: []string{"vaccine", "vaccinationName"}},
	dose:          {names: []string{"dose", "vaccinationDose"}},
	totalDoses:    {names: []string{"total_doses", "vaccinationTotalDoses"}},
	date:          {names: []string{"date", "vaccinationDate"}},
	birthYear:     {names: []string{"birth_year", "recipientDOB"}, optional: true},
	beneficiaryID: {names: []string{"beneficiary_id", "preEnrollmentCode"}, optional: true},
	recordStatus:  {names: []string{"record_status"}, optional: true},
}

// header says where in a row each column is.
type header struct {
	width int
	place [columnCount]int    // -1 for a column the file does not have
	name  [columnCount]string // as in columns, in the spelling of ours or DIVOC's
}

// readHeader reads the first record. Its errors do not repeat what the file
// says: a file without a header begins with a person.
func readHeader(t *table) (header, error) {
	h := header{}
	if err := t.window(); err != nil {
		return h, err
	}
	if err := checkStart(t); err != nil {
		return h, err
	}
	switch err := t.next(); {
	case errors.Is(err, errTooLong), errors.Is(err, errQuotes):
		return h, fmt.Errorf("line %d: the header: %w", t.start, err)
	case err == io.EOF:
		return h, errors.New("the file is empty: its first line must name the columns: " + strings.Join(required(), ", "))
	case err != nil:
		return h, err
	}
	if !utf8.Valid(t.raw) || bytes.IndexByte(t.raw, 0) >= 0 {
		return h, fmt.Errorf("line %d: the header is not UTF-8: save the file as CSV UTF-8", t.start)
	}

	h.width = len(t.fields)
	for i := range h.place {
		h.place[i] = -1
	}
	for place, field := range t.fields {
		c, name := findColumn(string(field))
		if c < 0 {
			continue
		}
		if h.place[c] >= 0 {
			return h, fmt.Errorf("line %d: columns %d and %d of the header, %s and %s, are the same one: remove one of them",
				t.start, h.place[c]+1, place+1, h.name[c], name)
		}
		h.place[c], h.name[c] = place, name
	}
	var missing []string
	for c, col := range columns {
		if h.place[c] < 0 && !col.optional {
			missing = append(missing, fmt.Sprintf("%s (or %s)", col.names[0], col.names[1]))
		}
	}
	if missing == nil {
		return h, nil
	}
	hint := "; write the columns' names on the first line, and leave a field empty where there is nothing to say"
	if h.width == 1 && bytes.ContainsAny(t.raw, ";\t|") {
		hint = "; separate columns by commas"
	}
	return h, fmt.Errorf("line %d: the header lacks %s%s", t.start, strings.Join(missing, ", "), hint)
}

// checkStart passes over a byte order mark and recognises what is no CSV.
func checkStart(t *table) error {
	w := t.buf[t.from:t.to]
	for start, what := range map[string]string{
		"\xff\xfe":   "UTF-16",
		"\xfe\xff":   "UTF-16",
		"\x1f\x8b":   "compressed by gzip",
		"PK\x03\x04": "a spreadsheet or an archive",
		"%PDF":       "a PDF",
	} {
		if bytes.HasPrefix(w, []byte(start)) {
			return fmt.Errorf("line 1: the file is %s: save it as CSV UTF-8", what)
		}
	}
	if bytes.HasPrefix(w, []byte("\xef\xbb\xbf")) {
		t.from += 3
	}
	return nil
}

func findColumn(field string) (column, string) {
	field = foldHeader(field)
	for c, col := range columns {
		for _, name := range col.names {
			if field == foldHeader(name) {
				return column(c), name
			}
		}
	}
	return -1, ""
}

func foldHeader(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', '_', '-', '\u00a0', '\t':
			return -1
		}
		return r
	}, strings.ToLower(s))
}

func required() (names []string) {
	for _, col := range columns {
		if !col.optional {
			names = append(names, col.names[0])
		}
	}
	return names
}
