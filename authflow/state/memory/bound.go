package memory

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

const (
	// perShard is how many entries a shard of a full table holds, about: few
	// enough that sweeping it keeps its lock for well under a millisecond.
	perShard = 4096
	// minShards keeps a small table from being one lock for every request.
	minShards = 16
	// fullSweepEvery is how often a full table is swept for a caller, so that a
	// flood does not make each of its requests a walk over everything.
	fullSweepEvery = time.Second
)

// bound is how much a table may hold, and over how many shards it does.
type bound struct {
	max    atomic.Int64
	used   atomic.Int64 // expired entries not yet swept included
	shards int
	mask   uint16

	opened   time.Time
	lastFull atomic.Int64 // when a full table was last swept, since opened, or 0
}

func (b *bound) init(limit int) {
	n := max(minShards, 1<<bits.Len(uint((limit-1)/perShard)))
	b.shards = min(n, 1<<16)
	b.mask = uint16(b.shards - 1)
	b.opened = time.Now()
	b.max.Store(int64(limit))
}

// index returns the number of the shard that key belongs to. Keys are hashes,
// so any of their bits spread them.
func (b *bound) index(key state.Key) int {
	return int(binary.LittleEndian.Uint16(key[:]) & b.mask)
}

// reserve takes room for n, if there is that much.
func (b *bound) reserve(n int64) bool {
	for {
		used := b.used.Load()
		if used+n > b.max.Load() {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// makeRoom is called with no lock held when reserve said no, and returns
// whether it is worth asking again. sweep removes what has expired.
func (b *bound) makeRoom(sweep func(part, parts int)) bool {
	now := int64(time.Since(b.opened)) + 1
	last := b.lastFull.Load()
	if last != 0 && now-last < int64(fullSweepEvery) || !b.lastFull.CompareAndSwap(last, now) {
		return false
	}
	before := b.used.Load()
	sweep(0, 1)
	return b.used.Load() < before
}
