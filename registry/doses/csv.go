package doses

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// table reads the records of a CSV file (RFC 4180) in bounded memory.
//
// encoding/csv is not used because it reads a record of any length into memory,
// and because after a quotation mark that is never closed it takes the rest of
// the file for one field: here such a record costs its first line and no other,
// so that no person vanishes with somebody else's mistake.
type table struct {
	r    io.Reader
	max  int // the longest record, in bytes
	buf  []byte
	from int // buf[from:to] was read and not yet taken
	to   int
	end  error // what the last Read returned: io.EOF or a failure
	line int   // of the record that begins at from

	// The current record, good until the next one is read.
	start  int      // its line
	raw    []byte   // its text, without the line end
	fields [][]byte // its fields, unquoted
	spare  []byte   // where fields that had quotes are kept
}

// What next returns for a record that is set aside; the one after it can be read.
var (
	errTooLong = errors.New("the row is too long")
	errQuotes  = errors.New(`quotation marks do not pair: a field that begins with " must end with ", and " within it is written ""`)
)

func newTable(r io.Reader, maxRecord int) *table {
	return &table{r: r, max: maxRecord, buf: make([]byte, 2*maxRecord+2), line: 1}
}

// next reads the next record, skipping empty lines. It returns io.EOF after the
// last, errTooLong or errQuotes for one that is set aside, and any other error
// where reading failed.
func (t *table) next() error {
	for {
		t.start, t.raw, t.fields, t.spare = t.line, nil, t.fields[:0], t.spare[:0]
		if err := t.window(); err != nil {
			return err
		}
		w := t.buf[t.from:t.to]
		if len(w) == 0 {
			return io.EOF
		}
		first := bytes.IndexByte(w, '\n')
		if first < 0 && len(w) <= t.max+1 {
			first = len(w) // the last line, without a line end
		}
		if first < 0 || first > t.max+1 { // one more, for a carriage return
			if len(w) > t.max {
				t.raw = w[:t.max]
			}
			return t.skipLine()
		}
		if bytes.IndexByte(w[:first], '"') >= 0 {
			return t.quoted(w, first)
		}
		t.raw = bytes.TrimSuffix(w[:first], []byte{'\r'})
		t.take(first + 1)
		if len(t.raw) == 0 {
			continue
		}
		for rest := t.raw; ; {
			field, more, found := bytes.Cut(rest, []byte{','})
			t.fields = append(t.fields, field)
			if !found {
				return nil
			}
			rest = more
		}
	}
}

// window sees to it that the buffer holds a whole record if it is not too long.
func (t *table) window() error {
	if t.to-t.from > t.max+1 || t.end == io.EOF {
		return nil
	}
	copy(t.buf, t.buf[t.from:t.to])
	t.from, t.to = 0, t.to-t.from
	for idle := 0; t.to < len(t.buf) && t.end == nil; {
		n, err := t.r.Read(t.buf[t.to:])
		t.to += n
		t.end = err
		if idle++; n > 0 {
			idle = 0
		} else if idle > 100 {
			t.end = io.ErrNoProgress
		}
	}
	if t.end != nil && t.end != io.EOF {
		return fmt.Errorf("line %d: reading: %w", t.line, t.end)
	}
	return nil
}

// take moves on behind the first n bytes of the window, which are one line.
func (t *table) take(n int) {
	t.from = min(t.from+n, t.to)
	t.line++
}

// skipLine drops the rest of a line that is too long, however long.
func (t *table) skipLine() error {
	t.raw = bytes.Clone(t.raw)
	for {
		if i := bytes.IndexByte(t.buf[t.from:t.to], '\n'); i >= 0 {
			t.take(i + 1)
			return errTooLong
		}
		t.from = t.to
		if t.end == io.EOF {
			t.line++
			return errTooLong
		}
		if err := t.window(); err != nil {
			return err
		}
	}
}

// quoted reads a record that has a quotation mark in its first line, which is
// w[:first]. A record that does not add up costs that line; the next line is
// tried as a record of its own.
func (t *table) quoted(w []byte, first int) error {
	limit := min(len(w), t.max+1)
	lines := 1
	for i := 0; ; {
		begin := len(t.spare)
		if i < limit && w[i] == '"' {
			closed := false
			for i++; i < limit && !closed; i++ {
				switch {
				case w[i] != '"':
					t.spare = append(t.spare, w[i])
					if w[i] == '\n' {
						lines++
					}
				case i+1 < limit && w[i+1] == '"':
					t.spare = append(t.spare, '"')
					i++
				default:
					closed = true
				}
			}
			if !closed {
				break
			}
		} else { // a mark within a field that has none before it stands for itself
			for ; i < limit && w[i] != ',' && w[i] != '\n'; i++ {
				t.spare = append(t.spare, w[i])
			}
			if i == len(w) || i < limit && w[i] == '\n' {
				t.spare = bytes.TrimSuffix(t.spare, []byte{'\r'})
			}
		}
		t.fields = append(t.fields, t.spare[begin:len(t.spare):len(t.spare)])
		if i < limit && w[i] == ',' {
			i++
			continue
		}
		if i < limit && w[i] == '\r' && (i+1 == len(w) || w[i+1] == '\n') {
			i++
		}
		if i < limit && w[i] != '\n' || i == limit && limit < len(w) && w[i] != '\n' {
			break
		}
		t.raw = bytes.TrimSuffix(w[:i], []byte{'\r'})
		t.from = min(t.from+i+1, t.to)
		t.line += lines
		return nil
	}
	t.raw = bytes.TrimSuffix(w[:first], []byte{'\r'})
	t.fields = t.fields[:0]
	t.take(first + 1)
	return errQuotes
}
