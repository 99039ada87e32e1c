package loading

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

// memory is an engine that keeps boxes in a map, and is strict with who calls it.
type memory struct {
	t     testing.TB
	keys  *sealed.Keys
	boxes map[sealed.Index][]byte
	now   Change

	fail string // the step that fails
}

var errEngine = errors.New("the engine failed")

func newMemory(t testing.TB) *memory {
	t.Helper()
	keys, _, err := sealed.New([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	return &memory{t: t, keys: keys, boxes: make(map[sealed.Index][]byte)}
}

func (m *memory) Begin(_ context.Context, dry bool) (Batch, error) {
	if m.fail == "begin" {
		return nil, errEngine
	}
	b := &memoryBatch{memory: m, dry: dry, parts: make(map[int]Part)}
	m.t.Cleanup(func() {
		if !b.aborted {
			m.t.Error("Abort was not called")
		}
	})
	return b, nil
}

type memoryBatch struct {
	*memory
	dry     bool
	mu      sync.Mutex
	parts   map[int]Part
	aborted bool
}

func (b *memoryBatch) Keys() *sealed.Keys { return b.keys }

func (b *memoryBatch) Fetch(_ context.Context, indexes []sealed.Index, boxes [][]byte) error {
	if b.fail == "fetch" {
		return errEngine
	}
	if len(indexes) > FetchSize || len(indexes) != len(boxes) || !slices.IsSortedFunc(indexes, compareIndexes) {
		b.t.Errorf("%d indexes, %d boxes, or out of order", len(indexes), len(boxes))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, index := range indexes {
		boxes[i] = bytes.Clone(b.boxes[index])
	}
	return nil
}

func compareIndexes(a, b sealed.Index) int { return bytes.Compare(a[:], b[:]) }

func (b *memoryBatch) Put(_ context.Context, p Part) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail == "put" && p.Number > 10 {
		return errEngine
	}
	if _, twice := b.parts[p.Number]; twice || b.dry {
		b.t.Errorf("part %d twice, or dry", p.Number)
	}
	b.parts[p.Number] = p
	return nil
}

func (b *memoryBatch) Commit(_ context.Context, c Change) error {
	if b.fail == "commit" {
		return errEngine
	}
	last := sealed.Index{}
	for n := range len(b.parts) {
		p, there := b.parts[n]
		if !there || p.Last != (n == len(b.parts)-1) {
			b.t.Errorf("part %d of %d: %v, last %v", n, len(b.parts), there, p.Last)
		}
		for _, r := range p.Rows {
			if compareIndexes(last, r.Index) >= 0 {
				b.t.Error("out of order")
			}
			last = r.Index
			if _, there := b.boxes[r.Index]; there == r.New {
				b.t.Errorf("new: %v", r.New)
			}
			if b.boxes[r.Index] = r.Box; r.Box == nil {
				delete(b.boxes, r.Index)
			}
		}
	}
	b.now.Numbers += c.Numbers
	b.now.People += c.People
	b.now.Doses += c.Doses
	return nil
}

func (b *memoryBatch) Abort() error {
	b.aborted = true
	return nil
}

func (m *memory) lookup(mobile registry.Mobile) []registry.Record {
	m.t.Helper()
	box, there := m.boxes[m.keys.Index(mobile)]
	if !there {
		return nil
	}
	records, err := m.keys.Unseal(mobile, box)
	if err != nil {
		m.t.Fatal(err)
	}
	return records
}

// check compares the Change that was told with what is there.
func (m *memory) check(mobiles ...registry.Mobile) {
	m.t.Helper()
	var is Change
	for _, mobile := range mobiles {
		if records := m.lookup(mobile); records != nil {
			is.Numbers++
			is.People += int64(len(records))
			for _, r := range records {
				is.Doses += int64(len(r.Doses))
			}
		}
	}
	if is != m.now || int(is.Numbers) != len(m.boxes) {
		m.t.Errorf("told %+v, there is %+v, %d boxes", m.now, is, len(m.boxes))
	}
}

const header = "mobile_number,full_name,vaccine,dose,total_doses,date,birth_year,beneficiary_id,record_status\n"

func text(name, s string) File {
	return File{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }, Size: int64(len(s))}
}

func now() time.Time { return time.Date(2023, 1, 2, 12, 0, 0, 0, time.UTC) }

// people are rows of n people, two doses each, on n numbers.
func people(n int) string {
	var b strings.Builder
	b.WriteString(header)
	for dose := range 2 {
		for i := range n {
			fmt.Fprintf(&b, "98765%05d,Person Number%c,COVISHIELD,%d,2,2021-0%d-01,%d,%d,\n", i, 'A'+i%26, dose+1, 3+3*dose, 1950+i%50, 70000+i)
		}
	}
	return b.String()
}

func mobiles(n int) (m []registry.Mobile) {
	for i := range n {
		m = append(m, registry.Mobile(fmt.Sprintf("+9198765%05d", i)))
	}
	return m
}
