package loading

import (
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/doses"
	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

// A row's text in the spill, read by this process alone:
//
//	index 16 | length 4 | file uvarint | status | flags: hasDose 1, hasDate 2
//	mobile, name, id: length uvarint and bytes | year varint
//	[vaccine's place in words uvarint | number, total uvarint | [day varint]]

const (
	lengthAt = sealed.IndexSize
	textAt   = lengthAt + 4

	hasDose, hasDate = 1, 2
	daySeconds       = 24 * 60 * 60
)

var errSpill = errors.New("loading: a row in the spill is not what was written")

// words gives the names of vaccines numbers, for as long as an import takes.
type words struct {
	mu     sync.RWMutex
	number map[string]uint64
	word   []string
}

func (w *words) of(word string) uint64 {
	w.mu.RLock()
	n, known := w.number[word]
	w.mu.RUnlock()
	if known {
		return n
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n, known := w.number[word]; known {
		return n
	}
	if w.number == nil {
		w.number = make(map[string]uint64)
	}
	n = uint64(len(w.word))
	w.number[word] = n
	w.word = append(w.word, word)
	return n
}

// appendRow appends the text of a row of a file.
func appendRow(dst []byte, index sealed.Index, file int, r *doses.Row, w *words) []byte {
	start := len(dst)
	dst = append(dst, index[:]...)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.AppendUvarint(dst, uint64(file))
	flags := byte(0)
	if r.Dose != nil {
		flags = hasDose
		if !r.Dose.Date.IsZero() {
			flags |= hasDate
		}
	}
	dst = append(dst, byte(r.Status), flags)
	dst = appendString(dst, string(r.Mobile))
	dst = appendString(dst, r.Name)
	dst = appendString(dst, r.ID)
	dst = binary.AppendVarint(dst, int64(r.BirthYear))
	if d := r.Dose; d != nil {
		dst = binary.AppendUvarint(dst, w.of(d.Vaccine))
		dst = binary.AppendUvarint(dst, uint64(d.Number))
		dst = binary.AppendUvarint(dst, uint64(d.Total))
		if !d.Date.IsZero() {
			dst = binary.AppendVarint(dst, d.Date.Unix()/daySeconds)
		}
	}
	binary.BigEndian.PutUint32(dst[start+lengthAt:], uint32(len(dst)-start))
	return dst
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// parseRow reads a row's text. Its strings are parts of text. dose is where its
// dose is put, if it has one.
func parseRow(text string, r *doses.Row, dose *registry.Dose, word []string) (file int, err error) {
	p := parser{text[textAt:], false}
	file = int(p.uvarint())
	status, flags := p.byte(), p.byte()
	*r = doses.Row{Status: doses.RecordStatus(status), Mobile: registry.Mobile(p.string()), Name: p.string(), ID: p.string()}
	r.BirthYear = int(p.varint())
	if flags&hasDose != 0 {
		n := p.uvarint()
		if n >= uint64(len(word)) {
			return 0, errSpill
		}
		*dose = registry.Dose{Vaccine: word[n], Number: int(p.uvarint()), Total: int(p.uvarint())}
		if flags&hasDate != 0 {
			dose.Date = time.Unix(p.varint()*daySeconds, 0).UTC()
		}
		r.Dose = dose
	}
	if p.bad || p.rest != "" {
		return 0, errSpill
	}
	return file, nil
}

// parser takes parts off a text; bad once one was not there.
type parser struct {
	rest string
	bad  bool
}

func (p *parser) byte() byte {
	if p.rest == "" {
		p.bad = true
		return 0
	}
	b := p.rest[0]
	p.rest = p.rest[1:]
	return b
}

func (p *parser) uvarint() (n uint64) {
	for shift := 0; shift < 70; shift += 7 {
		b := p.byte()
		if n |= uint64(b&0x7f) << shift; b < 0x80 {
			return n
		}
	}
	p.bad = true
	return 0
}

func (p *parser) varint() int64 {
	n := p.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (p *parser) string() string {
	n := p.uvarint()
	if n > uint64(len(p.rest)) {
		p.bad = true
		return ""
	}
	s := p.rest[:n]
	p.rest = p.rest[n:]
	return s
}
