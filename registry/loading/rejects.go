package loading

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/kycvs/caddy-kycvs/registry/doses"
)

// rejects is the file of a file's rejected rows. It is opened when the first one
// comes. A goroutine at a time.
type rejects struct {
	open   func(file string) (io.WriteCloser, error) // nil: they are not kept
	file   string
	header []byte
	out    io.WriteCloser
	buf    *bufio.Writer
}

func (r *rejects) add(rows []doses.Rejected) error {
	if r.open == nil {
		return nil
	}
	if r.out == nil {
		out, err := r.open(r.file)
		if err != nil {
			return fmt.Errorf("the file of rejected rows: %w", err)
		}
		r.out, r.buf = out, bufio.NewWriter(out)
		if r.header != nil {
			fmt.Fprintf(r.buf, "rejected_line,rejected_reason,%s\n", r.header)
		}
	}
	slices.SortFunc(rows, func(a, b doses.Rejected) int { return cmp.Compare(a.Err.Line, b.Err.Line) })
	for _, row := range rows {
		if r.header == nil { // NDJSON: the line alone, to be imported again as it is
			fmt.Fprintf(r.buf, "%s\n", row.Raw)
			continue
		}
		reason := row.Err.Reason
		if row.Err.Column != "" {
			reason = row.Err.Column + ": " + reason
		}
		fmt.Fprintf(r.buf, "%d,%s,%s\n", row.Err.Line, quoted(reason), row.Raw)
	}
	return nil
}

// quoted is a field of CSV (RFC 4180).
func quoted(s string) []byte {
	return append(append([]byte{'"'}, bytes.ReplaceAll([]byte(s), []byte{'"'}, []byte(`""`))...), '"')
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
