package loading

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"

	"github.com/kycvs/caddy-kycvs/registry/doses"
)

// read reads the files, one after the other, into the parts.
func (i *importing) read(ctx context.Context) error {
	for n, f := range i.Files {
		i.file.Store(&f.Name)
		err := i.readFile(ctx, n, f)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		i.summary.Files++
	}
	return nil
}

func (i *importing) readFile(ctx context.Context, n int, f File) error {
	open := f.Open
	if open == nil {
		open = func() (io.ReadCloser, error) { return os.Open(f.Name) }
	}
	in, err := open()
	if err != nil {
		return &FileError{f.Name, withoutPath(err)}
	}
	defer in.Close()
	r, err := doses.NewParallel(&counting{in, &i.bytes}, doses.Config{
		Countries: i.Countries, Schedule: i.Schedule, Now: i.Now, Format: f.Format, Patients: i.Patients, File: n,
	}, i.Workers)
	if err != nil {
		return &FileError{f.Name, err}
	}
	out := &rejects{open: i.Rejects, file: f.Name, format: r.Format(), header: r.Header()}
	err = r.Run(ctx, func(_ int, b *doses.Batch) error {
		if err := i.count(b, out); err != nil {
			return err
		}
		return i.spread(n, b.Rows)
	})
	if closing := out.close(); err == nil {
		err = closing
	}
	var own ownError
	if err != nil && !errors.As(err, &own) {
		return &FileError{f.Name, err}
	}
	if err != nil {
		return own.error
	}
	return nil
}

// ownError is an error of the import, not of the file that it read.
type ownError struct{ error }

// count counts the rows of a batch and writes down the rejected ones.
func (i *importing) count(b *doses.Batch, out *rejects) error {
	given := int64(0)
	for j := range b.Rows {
		if r := &b.Rows[j]; r.Dose != nil && r.Status == doses.Completed {
			given++
		}
	}
	i.rows.Add(int64(len(b.Rows) + len(b.Rejected)))
	i.doses.Add(given)
	if len(b.Rejected) == 0 {
		return nil
	}
	i.rejected.Add(int64(len(b.Rejected)))
	i.reasonsMu.Lock()
	defer i.reasonsMu.Unlock()
	for _, r := range b.Rejected {
		reason := r.Err.Reason
		if r.Err.Column != "" {
			reason = "column " + r.Err.Column + ": " + reason
		}
		if _, known := i.summary.Reasons[reason]; !known && len(i.summary.Reasons) >= maxReasons {
			reason = "other reasons"
		}
		i.summary.Reasons[reason]++
	}
	if err := out.add(b.Rejected); err != nil {
		return ownError{err}
	}
	return nil
}

// maxReasons bounds Summary.Reasons.
const maxReasons = 100

// spread puts rows where those of their number are.
func (i *importing) spread(file int, rows []doses.Row) error {
	var room [512]byte
	text := room[:0]
	for j := range rows {
		r := &rows[j]
		text = appendRow(text[:0], i.keys.Index(r.Mobile), file, r, &i.words)
		if err := i.parts.add(text); err != nil {
			return ownError{err}
		}
	}
	return nil
}

// counting counts the bytes that are read.
type counting struct {
	io.Reader
	n *atomic.Int64
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n.Add(int64(n))
	return n, err
}
