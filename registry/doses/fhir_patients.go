package doses

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"strings"
	"sync"
)

// Patients are FHIR Patients that Immunizations refer to. They are kept in bounded
// memory, about 100 bytes each.
type Patients struct {
	max    int64
	seed   [2]maphash.Seed
	mu     sync.RWMutex
	places map[[2]uint64]uint64 // by the hash of a key: chunk<<32 and place in it
	chunks [][]byte
	used   int64
}

const (
	patientsMemory = 512 << 20
	patientsChunk  = 1 << 20
	perPlace       = 48 // bytes of an entry of places, about
)

// ErrTooManyPatients says that there are more Patients than may be remembered.
var ErrTooManyPatients = errors.New("more Patients than fit in memory: import the file in parts, each with the Immunizations of its Patients, " +
	"or write the Patient into each Immunization, as a contained resource")

// NewPatients makes room for Patients in so many bytes, 512 MiB if 0: about five
// million.
func NewPatients(maxBytes int64) *Patients {
	if maxBytes <= 0 {
		maxBytes = patientsMemory
	}
	return &Patients{
		max: maxBytes, seed: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		places: make(map[[2]uint64]uint64),
	}
}

// Collect remembers the Patients of a file, which may be of any format: it is for a
// first pass over all files of an import, so that their order does not matter.
// What makes no sense is left for the second pass to say. Its error is that of
// reading, ErrTooManyPatients, or the context's.
func (p *Patients) Collect(ctx context.Context, r io.Reader, c Config, workers int) error {
	c.Patients = p // one pass is enough
	file, err := NewParallel(r, c, workers)
	if err != nil || file.Format() != FHIR {
		return nil // what is wrong with it is said when it is read
	}
	return p.collect(ctx, file)
}

func (p *Patients) collect(ctx context.Context, file *Parallel) error {
	file.reader = func() batchReader { return &collector{p: p, c: file.c} }
	return file.Run(ctx, func(_ int, b *Batch) error {
		if len(b.Rejected) > 0 {
			return ErrTooManyPatients
		}
		return nil
	})
}

// collector is a batchReader that makes no rows but remembers Patients.
type collector struct {
	p *Patients
	c Config
}

func (c *collector) read(b block, into *Batch) {
	rows := newFHIRBatches(c.c, c.p, nil)
	for _, l := range parseLines(b, c.c.MaxRow) {
		if l.reason != "" || l.resource.ResourceType != "Patient" {
			continue
		}
		rows.t.start, rows.t.raw = l.number, l.raw
		var row Row
		if rows.make(l.resource, &row) != nil {
			continue // nobody may refer to one that is set aside
		}
		if err := c.p.add(l.resource, l.resource.patient(c.c.Countries, false)); err != nil {
			into.Rejected = append(into.Rejected, Rejected{&RowError{Line: l.number, Reason: err.Error()}, nil})
			return
		}
	}
}

func (p *Patients) hash(key string) [2]uint64 {
	return [2]uint64{maphash.String(p.seed[0], key), maphash.String(p.seed[1], key)}
}

// add remembers a Patient under its id and its identifiers.
func (p *Patients) add(r *resource, who patient) error {
	// No field can hold a separator: they made a row.
	text := strings.Join([]string{who.mobile, who.name, who.birthDate, who.id}, "\x1f")
	keys := make([][2]uint64, 0, 4)
	if r.ID != "" {
		keys = append(keys, p.hash(r.ID))
	}
	for _, i := range r.Identifier {
		if i.Value != "" && len(keys) < cap(keys) {
			keys = append(keys, p.hash(i.key()))
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.chunks); n == 0 || len(p.chunks[n-1])+len(text)+2 > cap(p.chunks[n-1]) {
		p.chunks = append(p.chunks, make([]byte, 0, patientsChunk))
		p.used += patientsChunk
	}
	chunk := &p.chunks[len(p.chunks)-1]
	place := uint64(len(p.chunks)-1)<<32 | uint64(len(*chunk))
	*chunk = append(append(*chunk, byte(len(text)>>8), byte(len(text))), text...)
	for _, k := range keys {
		if _, known := p.places[k]; !known {
			p.used += perPlace
		}
		p.places[k] = place
	}
	if p.used > p.max {
		return ErrTooManyPatients
	}
	return nil
}

// find returns the Patient of a key (reference.key).
func (p *Patients) find(key string) (patient, bool) {
	k := p.hash(key)
	p.mu.RLock()
	defer p.mu.RUnlock()
	place, known := p.places[k]
	if !known {
		return patient{}, false
	}
	b := p.chunks[place>>32][place&(1<<32-1):]
	parts := strings.Split(string(b[2:2+int(b[0])<<8+int(b[1])]), "\x1f")
	return patient{parts[0], parts[1], parts[2], parts[3]}, true
}
