package loading

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/kycvs/caddy-kycvs/registry/doses"
)

// rejects is the file of a file's rejected rows. It is opened when the first one
// comes. A goroutine at a time.
type rejects struct {
	open   func(file string, format doses.Format) (io.WriteCloser, error) // nil: they are not kept
	file   string
	format doses.Format
	header []byte // of CSV
	out    io.WriteCloser
	buf    *bufio.Writer
}

func (r *rejects) add(rows []doses.Rejected) error {
	if r.open == nil {
		return nil
	}
	if r.out == nil {
		out, err := r.open(r.file, r.format)
		if err != nil {
			return fmt.Errorf("the file of rejected rows: %w", err)
		}
		r.out, r.buf = out, bufio.NewWriter(out)
		if r.format == doses.CSV {
			fmt.Fprintf(r.buf, "rejected_line,rejected_reason,%s\n", r.header)
		}
	}
	slices.SortFunc(rows, func(a, b doses.Rejected) int { return cmp.Compare(a.Err.Line, b.Err.Line) })
	for _, row := range rows {
		reason := row.Err.Reason
		if row.Err.Column != "" {
			reason = row.Err.Column + ": " + reason
		}
		if r.format == doses.FHIR {
			fmt.Fprintf(r.buf, "{\"line\":%d,\"reason\":%s,\"row\":%s}\n", row.Err.Line, jsonText(reason), jsonRow(row.Raw))
			continue
		}
		fmt.Fprintf(r.buf, "%d,%s,%s\n", row.Err.Line, quoted(reason), row.Raw)
	}
	return nil
}

// quoted is a field of CSV (RFC 4180).
func quoted(s string) []byte {
	return append(append([]byte{'"'}, bytes.ReplaceAll([]byte(s), []byte{'"'}, []byte(`""`))...), '"')
}

// jsonRow is a line as it was, or, where it is no JSON, as a text.
func jsonRow(raw []byte) []byte {
	if json.Valid(raw) {
		return raw
	}
	return jsonText(string(raw))
}

// jsonText is a text in JSON, as plain as can be.
func jsonText(s string) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a text is always JSON
	return bytes.TrimSuffix(out.Bytes(), []byte{'\n'})
}

func (r *rejects) close() error {
	if r.out == nil {
		return nil
	}
	err := r.buf.Flush()
	if closing := r.out.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return ownError{fmt.Errorf("the file of rejected rows: %w", withoutPath(err))}
	}
	return nil
}
