package doses

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
)

// Batch is the rows of a stretch of a file, in their order. Which stretches there
// are depends on the file and Config.MaxRow alone.
type Batch struct {
	Number   int // 0 for the first stretch of the file
	Rows     []Row
	Rejected []Rejected
}

// Rejected is a row that makes no sense.
type Rejected struct {
	Err *RowError
	// Raw is its text, without the line end, cut short where it was too long.
	Raw []byte
}

// Parallel reads a file of doses on several cores.
//
// It takes about 2*workers+3 blocks of memory, each a quarter of a MiB or four
// times Config.MaxRow, whichever is more, and about as much again for rows.
type Parallel struct {
	c       Config
	workers int
	header  []byte
	blocks  *blocks
	reader  func() batchReader
	before  func(context.Context) error // what must be done before reading, nil: nothing
}

// batchReader makes rows of blocks, one after the other.
type batchReader interface {
	read(b block, into *Batch)
}

// NewParallel finds out what r is and reads its header, if it is CSV. Its error
// says what is wrong with it. There are so many workers; 0 means one for each core.
//
// A file compressed by gzip is read as what it is when decompressed, at most 300
// times as long (maxRatio).
func NewParallel(r io.Reader, c Config, workers int) (*Parallel, error) {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	again := rewind(r)
	r, format, err := sniff(r)
	if err != nil {
		return nil, err
	}
	switch c.Format {
	case Auto:
		c.Format = format
	case CSV, FHIR:
	default:
		return nil, fmt.Errorf("%q is no format of doses: write csv or fhir", c.Format)
	}
	c = c.withDefaults()
	p := &Parallel{c: c, workers: workers}
	if c.Format == FHIR {
		p.openFHIR(r, again)
		return p, nil
	}
	t := newTable(r, c.MaxRow)
	h, err := readHeader(t)
	if err != nil {
		return nil, err
	}
	p.header = bytes.Clone(t.raw)
	p.blocks = newBlocks(r, c, t.line, bytes.Clone(t.buf[t.from:t.to]))
	p.blocks.end = t.end
	p.reader = func() batchReader { return &csvBatches{newReader(&table{max: c.MaxRow, end: io.EOF}, h, c)} }
	return p, nil
}

// rewind returns what reads r from where it is, once more, nil if r cannot seek.
func rewind(r io.Reader) func() (io.Reader, error) {
	s, ok := r.(io.ReadSeeker)
	if !ok {
		return nil
	}
	start, err := s.Seek(0, io.SeekCurrent)
	if err != nil { // as of a pipe
		return nil
	}
	return func() (io.Reader, error) {
		if _, err := s.Seek(start, io.SeekStart); err != nil {
			return nil, fmt.Errorf("reading the file again: %w", err)
		}
		r, _, err := sniff(s)
		return r, err
	}
}

// Format is CSV or FHIR.
func (p *Parallel) Format() Format { return p.c.Format }

// Header is the text of the header, without the line end, nil if the file has none.
func (p *Parallel) Header() []byte { return p.header }

// Run reads the file, once, and calls do with each Batch, on the goroutine of the
// worker (0 and up) that made it: several at once, but never with one worker twice
// at once, and in any order.
//
// A Batch and what is in it are good until do returns, but for the rows: a Row that
// was copied may be kept. Rows of a Batch share memory, so whoever keeps few of many
// clones their texts.
//
// Run returns the error of reading, with the line reached, or that of do, or the
// context's, whichever came first; do is not called after that. When it returns
// because of an error, a Read may still be under way: close the file.
func (p *Parallel) Run(ctx context.Context, do func(worker int, b *Batch) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if p.before != nil {
		if err := p.before(ctx); err != nil {
			return err
		}
	}
	rooms := make(chan []byte, p.workers+2)
	full := make(chan block, p.workers)
	for range cap(rooms) {
		rooms <- nil
	}
	go func() {
		defer close(full)
		for {
			var room []byte
			select {
			case room = <-rooms:
			case <-ctx.Done():
				return
			}
			if room == nil {
				room = make([]byte, p.blocks.size)
			}
			b, err := p.blocks.next(room)
			if err == io.EOF {
				return
			}
			if err != nil {
				cancel(err)
				return
			}
			select {
			case full <- b:
			case <-ctx.Done():
				return
			}
		}
	}()

	var working sync.WaitGroup
	for worker := range p.workers {
		working.Go(func() {
			reader, batch := p.reader(), &Batch{}
			for {
				select {
				case <-ctx.Done():
					return
				case b, more := <-full:
					if !more {
						return
					}
					batch.Number, batch.Rows, batch.Rejected = b.number, batch.Rows[:0], batch.Rejected[:0]
					reader.read(b, batch)
					if ctx.Err() != nil {
						return
					}
					if err := do(worker, batch); err != nil {
						cancel(err)
						return
					}
					rooms <- b.room
				}
			}
		})
	}
	working.Wait()
	return context.Cause(ctx)
}

// csvBatches makes rows of blocks of CSV.
type csvBatches struct {
	*Reader
}

func (r *csvBatches) read(b block, into *Batch) {
	t := r.t
	t.buf, t.from, t.to, t.line = b.data, 0, len(b.data), b.line
	r.text = new(strings.Builder)
	r.text.Grow(len(b.data) / 2)
	for {
		row, err := r.next()
		rowError := (*RowError)(nil)
		switch {
		case err == nil:
			into.Rows = append(into.Rows, row)
		case errors.As(err, &rowError):
			into.Rejected = append(into.Rejected, Rejected{rowError, t.raw})
		default:
			return // io.EOF: a block has no other end
		}
	}
}
