package loading

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/doses"
	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

// How the memory of an import is shared out, besides what the program takes
// anyway: spillShare of it is for rows that need not be written to disk. A part
// being merged takes about four times its text, with what it becomes, for each
// worker and for what waits to be stored.
const (
	spillShare = 4
	partShare  = 10 // of what a worker has
	oneShare   = 8  // what the rows of one number may take of the whole
)

// merge merges the parts, on all cores, about in their order.
func (i *importing) merge(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var working sync.WaitGroup
	last := len(i.parts.parts) - 1
	for range i.Workers {
		working.Go(func() {
			w := &worker{importing: i, boxes: make([][]byte, FetchSize)}
			for {
				n := int(next.Add(1)) - 1
				if n > last || ctx.Err() != nil {
					break
				}
				changed, err := w.part(ctx, i.parts, n)
				if err == nil && !i.Dry {
					err = i.batch.Put(ctx, Part{Number: n, Last: n == last, Rows: changed})
				}
				if err != nil {
					cancel(err)
				}
			}
			w.add()
		})
	}
	working.Wait()
	return context.Cause(ctx)
}

// worker merges parts, one at a time.
type worker struct {
	*importing
	counted Summary

	text    []byte
	refs    []ref
	indexes []sealed.Index
	groups  [][]ref // the rows of each number of indexes
	boxes   [][]byte
	rows    []doses.Row
	given   []registry.Dose
	files   []int // of rows
}

// ref is where a row's text is, and the first bits of its index.
type ref struct {
	key uint64
	at  uint32
}

// add adds what the worker counted to the summary.
func (w *worker) add() {
	w.summaryMu.Lock()
	defer w.summaryMu.Unlock()
	s, c := &w.summary, &w.counted
	s.Added += c.Added
	s.Changed += c.Changed
	s.Removed += c.Removed
	s.Unchanged += c.Unchanged
	s.Numbers += c.Numbers
	s.NumbersChanged += c.NumbersChanged
	s.Change.Numbers += c.Change.Numbers
	s.Change.People += c.Change.People
	s.Change.Doses += c.Change.Doses
}

// part merges a part and returns what changed.
func (w *worker) part(ctx context.Context, p *parts, place int) (changed []Row, err error) {
	size := p.parts[place].bytes
	if size == 0 {
		return nil, nil
	}
	if size > w.Memory/int64(w.Workers)/partShare && p.skip+p.bits+splitBits <= 48 {
		return w.split(ctx, p, place)
	}
	if size > w.Memory/oneShare { // 48 bits tell any two numbers apart
		return nil, ErrTooManyRows
	}
	rows := int(p.parts[place].rows)
	if w.text, err = p.all(w.text, place); err != nil {
		return nil, err
	}
	text := string(w.text) // names and ids are parts of it
	w.refs = slices.Grow(w.refs[:0], rows)
	for at := 0; at < len(text); {
		w.refs = append(w.refs, ref{binary.BigEndian.Uint64(w.text[at:]), uint32(at)})
		at += int(binary.BigEndian.Uint32(w.text[at+lengthAt:]))
	}
	slices.SortFunc(w.refs, func(a, b ref) int {
		if c := cmp.Compare(a.key, b.key); c != 0 {
			return c
		}
		return strings.Compare(indexAt(text, a), indexAt(text, b))
	})

	out := &output{}
	for rest := w.refs; len(rest) > 0; {
		w.indexes, w.groups = w.indexes[:0], w.groups[:0]
		for len(rest) > 0 && len(w.indexes) < FetchSize {
			n := 1
			for n < len(rest) && rest[n].key == rest[0].key && indexAt(text, rest[n]) == indexAt(text, rest[0]) {
				n++
			}
			w.indexes = append(w.indexes, sealed.Index([]byte(indexAt(text, rest[0]))))
			w.groups = append(w.groups, rest[:n])
			rest = rest[n:]
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		boxes := w.boxes[:len(w.indexes)]
		if err := w.batch.Fetch(ctx, w.indexes, boxes); err != nil {
			return nil, err
		}
		for n, index := range w.indexes {
			if err := w.number(out, text, index, w.groups[n], boxes[n]); err != nil {
				return nil, err
			}
			w.merged.Add(int64(len(w.groups[n])))
		}
	}
	return out.rows, nil
}

func indexAt(text string, r ref) string { return text[r.at : r.at+sealed.IndexSize] }

// split merges a part that is too large for memory in pieces.
func (w *worker) split(ctx context.Context, p *parts, place int) (changed []Row, err error) {
	pieces := newParts(p.spill, p.skip+p.bits, splitBits)
	err = p.each(place, func(text []byte) error {
		for len(text) > 0 {
			n := binary.BigEndian.Uint32(text[lengthAt:])
			if err := pieces.add(text[:n]); err != nil {
				return err
			}
			text = text[n:]
		}
		return ctx.Err()
	})
	p.forget(place)
	for piece := range pieces.parts {
		if err != nil {
			return nil, err
		}
		var rows []Row
		rows, err = w.part(ctx, pieces, piece)
		changed = append(changed, rows...)
	}
	return changed, err
}

// number merges the rows of a number with what there is, and seals it anew.
func (w *worker) number(out *output, text string, index sealed.Index, refs []ref, old []byte) error {
	w.rows = slices.Grow(w.rows[:0], len(refs))[:len(refs)]
	w.given = slices.Grow(w.given[:0], len(refs))[:len(refs)]
	w.files = slices.Grow(w.files[:0], len(refs))[:len(refs)]
	for n, r := range refs {
		size := binary.BigEndian.Uint32(w.text[r.at+lengthAt:])
		var err error
		if w.files[n], err = parseRow(text[r.at:r.at+size], &w.rows[n], &w.given[n], w.words.word); err != nil {
			return err
		}
	}
	mobile := w.rows[0].Mobile
	var before []registry.Record
	if old != nil {
		var err error
		if before, err = w.keys.Unseal(mobile, old); err != nil {
			return err
		}
	}
	after := w.fold(before)
	box, err := w.keys.Seal(out.space(), mobile, after)
	if err != nil {
		return err
	}
	w.counted.Numbers++
	box = box[len(out.chunk):]
	if bytes.Equal(box, old) {
		w.counted.Unchanged += int64(len(after))
		return nil
	}
	w.compare(before, after)
	w.counted.NumbersChanged++
	if old == nil {
		w.counted.Change.Numbers++
	}
	if !w.Dry {
		out.add(index, box, old == nil)
	}
	return nil
}

// fold merges the rows of one number with its records, file by file.
func (w *worker) fold(records []registry.Record) []registry.Record {
	first, last := slices.Min(w.files), slices.Max(w.files)
	if first == last {
		return w.mergeInto(records, w.rows)
	}
	var rows []doses.Row
	for file := first; file <= last; file++ {
		rows = rows[:0]
		for n := range w.rows {
			if w.files[n] == file {
				rows = append(rows, w.rows[n])
			}
		}
		if len(rows) > 0 {
			records = w.mergeInto(records, rows)
		}
	}
	return records
}

func (w *worker) mergeInto(records []registry.Record, rows []doses.Row) []registry.Record {
	same := true
	for i := range rows {
		r, first := &rows[i], &rows[0]
		same = same && r.Name == first.Name && r.ID == first.ID && r.BirthYear == first.BirthYear
	}
	if same && len(records) == 0 { // as nearly always; then nobody asks for the folded name
		return doses.Merge(rows, w.Schedule)
	}
	for i := range rows {
		r := &rows[i]
		if i > 0 && r.Name == rows[i-1].Name {
			r.Folded = rows[i-1].Folded
			continue
		}
		r.Folded, _ = registry.ParseName(r.Name) // the reader did, and there was no error
	}
	return doses.MergeInto(records, rows, w.Schedule)
}

// compare counts what became of a number's people.
func (w *worker) compare(before, after []registry.Record) {
	c := &w.counted
	same := int64(0)
	for i := range after {
		if slices.ContainsFunc(before, func(r registry.Record) bool { return reflect.DeepEqual(r, after[i]) }) {
			same++
		}
		c.Change.Doses += int64(len(after[i].Doses))
	}
	for i := range before {
		c.Change.Doses -= int64(len(before[i].Doses))
	}
	was, is := int64(len(before))-same, int64(len(after))-same
	both := min(was, is)
	c.Unchanged += same
	c.Changed += both
	c.Added += is - both
	c.Removed += was - both
	c.Change.People += is - was
}

// output is what changed in a part. Boxes are kept many in one piece of memory.
type output struct {
	rows  []Row
	chunk []byte
}

// space is where the next box is appended.
func (o *output) space() []byte {
	if cap(o.chunk)-len(o.chunk) < 256 {
		o.chunk = make([]byte, 0, 64<<10)
	}
	return o.chunk
}

// add adds a box that was appended to space.
func (o *output) add(index sealed.Index, box []byte, isNew bool) {
	o.rows = append(o.rows, Row{Index: index, Box: box[:len(box):len(box)], New: isNew})
	if len(o.chunk)+len(box) <= cap(o.chunk) {
		o.chunk = o.chunk[:len(o.chunk)+len(box)]
	}
}
