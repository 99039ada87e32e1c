package doses

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// block is a stretch of a file that begins and ends with whole records.
type block struct {
	number int    // 0 for the first
	line   int    // of its first record
	data   []byte // ends with a line end, except perhaps at the end of the file
	room   []byte // what data is part of
}

// blocks cuts a file into blocks, so that reading each by itself gives the very
// records that reading the file from its start gives. Where no quotation mark is,
// every line end is the end of a record; a line with one is read as table reads
// it, which is exact, also for marks that do not pair, and rare enough.
//
// A line too long for any record is cut short in its block, just enough to remain
// too long, and the rest of it is dropped as it is read.
type blocks struct {
	r      io.Reader
	max    int  // the longest record, in bytes
	quotes bool // whether a record can hold line ends
	size   int  // of a block

	number, line int
	rest         []byte // read, and not yet in a block
	end          error  // what the last Read returned: io.EOF or a failure
	cut          table  // reads records that have quotation marks
}

func newBlocks(r io.Reader, c Config, line int, rest []byte) *blocks {
	return &blocks{
		r: r, max: c.MaxRow, quotes: c.Format == CSV,
		// A record, and as much behind it as table wants to see, must fit in.
		size: max(c.block, 4*(c.MaxRow+2)),
		line: line, rest: rest, cut: table{max: c.MaxRow},
	}
}

// next returns the next block, in room, which is of the right size. It returns
// io.EOF after the last one.
func (b *blocks) next(room []byte) (block, error) {
	n := copy(room, b.rest)
	b.rest = b.rest[n:]
	if len(b.rest) > 0 {
		return b.block(room, n)
	}
	n, err := b.fill(room, n)
	if err != nil {
		return block{}, err
	}
	if n == 0 {
		return block{}, io.EOF
	}
	return b.block(room, n)
}

// fill reads until room is full or the file at its end.
func (b *blocks) fill(room []byte, n int) (int, error) {
	for idle := 0; n < len(room) && b.end == nil; {
		m, err := b.r.Read(room[n:])
		n += m
		b.end = err
		if idle++; m > 0 {
			idle = 0
		} else if idle > 100 {
			b.end = io.ErrNoProgress
		}
	}
	if b.end != nil && b.end != io.EOF {
		return n, b.fail(b.end)
	}
	return n, nil
}

func (b *blocks) fail(err error) error { return fmt.Errorf("line %d: reading: %w", b.line, err) }

// block makes a block of the first n bytes of room, as far as its records are whole.
func (b *blocks) block(room []byte, n int) (block, error) {
	data := room[:n]
	whole := n
	if b.end != io.EOF || len(b.rest) > 0 {
		whole = b.whole(data)
	}
	out := block{number: b.number, line: b.line, room: room}
	b.number++
	if whole == 0 { // the first line alone is too long
		return b.cutShort(out, data)
	}
	out.data = data[:whole]
	b.line += bytes.Count(out.data, []byte{'\n'})
	b.rest = append(bytes.Clone(data[whole:]), b.rest...)
	return out, nil
}

// whole returns how much of data is whole records, 0 if the first line does not
// end in it. There is more of the file behind data.
func (b *blocks) whole(data []byte) int {
	if !b.quotes {
		return bytes.LastIndexByte(data, '\n') + 1
	}
	at := 0 // a record begins here
	for {
		mark := bytes.IndexByte(data[at:], '"')
		if mark < 0 {
			return max(at, bytes.LastIndexByte(data, '\n')+1)
		}
		start := at + bytes.LastIndexByte(data[at:at+mark], '\n') + 1
		if len(data)-start < b.max+2 && start > 0 {
			return start // what table would look at is not all there
		}
		n := b.record(data[start:])
		if n == 0 {
			return start
		}
		at = start + n
	}
}

// record returns how long the record is that data begins with and that has a
// quotation mark in its first line, 0 if that line does not end in data.
func (b *blocks) record(data []byte) int {
	first := bytes.IndexByte(data, '\n')
	if first < 0 {
		return 0
	}
	if first > b.max+1 {
		return first + 1
	}
	t := &b.cut
	t.fields, t.spare, t.from, t.to = t.fields[:0], t.spare[:0], 0, len(data)
	_ = t.quoted(data, first) // a record that does not add up costs its first line
	return t.from
}

// cutShort makes a block of the beginning of a line that is too long, and drops
// the rest of it.
func (b *blocks) cutShort(out block, data []byte) (block, error) {
	const chunk = 64 << 10
	head := b.max + 2
	spare := data[head+1:]
	dropped := spare[:min(chunk, len(spare))]
	behind := data[len(data):]
	for b.end == nil || len(b.rest) > 0 {
		more := b.rest
		b.rest = nil
		if len(more) == 0 {
			n, err := b.r.Read(dropped)
			more, b.end = dropped[:n], err
		}
		if i := bytes.IndexByte(more, '\n'); i >= 0 {
			behind = bytes.Clone(more[i+1:])
			break
		}
	}
	if b.end != nil && !errors.Is(b.end, io.EOF) {
		return block{}, b.fail(b.end)
	}
	data[head] = '\n'
	out.data = data[:head+1]
	b.line++
	b.rest = behind
	return out, nil
}
