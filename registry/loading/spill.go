package loading

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

// spill is where rows lie between reading and merging, sorted into parts by the
// first bits of their index. What memory has no room for lies in a file without a
// name, encrypted under a key that is nowhere but here: whatever ends the process,
// nothing is left, and what a disk remembers says nothing.
type spill struct {
	aead   cipher.AEAD
	dir    string
	block  int   // about how much of a part is written at once
	room   int64 // how many bytes may stay in memory besides
	inUse  atomic.Int64
	open   sync.Once
	failed error
	file   *os.File
	end    atomic.Int64
	parts  sync.Pool // of *[]byte, a block
}

const (
	// The least and the most of a part that is written at once.
	leastBlock, mostBlock = 256, 32 << 10
	// partBits are how many bits of the index tell the parts apart: a part of 10^8
	// people's doses takes about 30 MB.
	partBits = 9
	// splitBits are how many more bits tell the pieces of a part apart that is
	// larger than memory has room for.
	splitBits = 6
)

// newSpill makes a spill that takes up to about so much memory.
func newSpill(dir string, memory int64) (*spill, error) {
	var key [32]byte
	rand.Read(key[:])
	cipherBlock, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(cipherBlock)
	if err != nil {
		return nil, err
	}
	open := memory / 2 >> partBits // of each part, half of it all
	return &spill{aead: aead, dir: dir, block: int(min(max(open, leastBlock), mostBlock)), room: memory / 2}, nil
}

// block is a piece of a part, in memory or in the file.
type block struct {
	text []byte // nil: it is in the file
	at   int64
	size int // of the text
}

// keep takes a block's text over.
func (s *spill) keep(text []byte) (block, error) {
	if s.inUse.Add(int64(cap(text))) <= s.room {
		return block{text: text, size: len(text)}, nil
	}
	s.inUse.Add(-int64(cap(text)))
	s.open.Do(func() { s.file, s.failed = temporary(s.dir) })
	if s.failed != nil {
		return block{}, s.failed
	}
	size := len(text)
	at := s.end.Add(int64(size+s.aead.Overhead())) - int64(size+s.aead.Overhead())
	nonce := s.nonce(at)
	box := s.aead.Seal(text[:0], nonce[:], text, nil)
	if _, err := s.file.WriteAt(box, at); err != nil {
		return block{}, fmt.Errorf("%w: make room where temporary files lie, about 70 bytes a dose, or name another place for them", withoutPath(err))
	}
	s.give(box)
	return block{at: at, size: size}, nil
}

// load appends a block's text to dst.
func (s *spill) load(dst []byte, b block) ([]byte, error) {
	if b.text != nil {
		return append(dst, b.text...), nil
	}
	start := len(dst)
	dst = append(dst, make([]byte, b.size+s.aead.Overhead())...)
	box := dst[start:]
	if _, err := s.file.ReadAt(box, b.at); err != nil {
		return nil, withoutPath(err)
	}
	nonce := s.nonce(b.at)
	if _, err := s.aead.Open(box[:0], nonce[:], box, nil); err != nil {
		return nil, errors.New("what was written to the temporary file is not what was read from it: check the disk")
	}
	return dst[:start+b.size], nil
}

// nonce is where the block lies in the file: no two lie at one place.
func (s *spill) nonce(at int64) (n [12]byte) {
	binary.BigEndian.PutUint64(n[4:], uint64(at))
	return n
}

// take returns an empty block's room, give takes one back.
func (s *spill) take() []byte {
	if b, ok := s.parts.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}

func (s *spill) give(b []byte) {
	if cap(b) >= s.block {
		s.parts.Put(&b)
	}
}

func (s *spill) close() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name()) // where it could not be removed while open
	}
}

// temporary makes a file that is gone when it is closed, or the process ends, on
// systems that remove open files.
func temporary(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "kycvs-import-*")
	if err != nil {
		return nil, fmt.Errorf("a temporary file cannot be made: %w", withoutPath(err))
	}
	os.Remove(f.Name())
	return f, nil
}

func withoutPath(err error) error {
	if p := (*os.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}

// parts are the rows of a spill, or of one part of it, by some bits of their index.
type parts struct {
	*spill
	skip  uint // the bits before
	bits  uint
	parts []part
}

type part struct {
	mu     sync.Mutex
	open   []byte // the block that is being filled
	blocks []block
	rows   int64
	bytes  int64
}

func newParts(s *spill, skip, bits uint) *parts {
	return &parts{spill: s, skip: skip, bits: bits, parts: make([]part, 1<<bits)}
}

// add adds a row's text, which begins with its index.
func (p *parts) add(row []byte) error {
	place := binary.BigEndian.Uint64(row) << p.skip >> (64 - p.bits)
	part := &p.parts[place]
	part.mu.Lock()
	part.rows++
	part.bytes += int64(len(row))
	if len(part.open)+len(row)+p.aead.Overhead() <= max(p.block, cap(part.open)) || len(part.open) == 0 {
		part.open = append(part.open, row...)
		part.mu.Unlock()
		return nil
	}
	full := part.open
	part.open = append(p.take(), row...)
	part.mu.Unlock()

	b, err := p.keep(full)
	if err != nil {
		return err
	}
	part.mu.Lock()
	part.blocks = append(part.blocks, b)
	part.mu.Unlock()
	return nil
}

// each calls f with the text of every block of a part, in memory that the next
// block takes again.
func (p *parts) each(place int, f func(text []byte) error) error {
	part := &p.parts[place]
	var room []byte
	for _, b := range part.blocks {
		var err error
		if room, err = p.load(room[:0], b); err != nil {
			return err
		}
		if err := f(room); err != nil {
			return err
		}
	}
	return f(part.open)
}

// all returns the text of a part, appended to dst, and forgets it.
func (p *parts) all(dst []byte, place int) ([]byte, error) {
	part := &p.parts[place]
	dst = dst[:0]
	if need := part.bytes + int64(p.aead.Overhead()); int64(cap(dst)) < need {
		dst = make([]byte, 0, need)
	}
	for _, b := range part.blocks {
		var err error
		if dst, err = p.load(dst, b); err != nil {
			return nil, err
		}
	}
	dst = append(dst, part.open...)
	p.forget(place)
	return dst, nil
}

func (p *parts) forget(place int) {
	part := &p.parts[place]
	for _, b := range part.blocks {
		if b.text != nil {
			p.inUse.Add(-int64(cap(b.text)))
		}
	}
	part.open, part.blocks = nil, nil
}
