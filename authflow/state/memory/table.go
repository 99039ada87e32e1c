package memory

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	cache "github.com/patrickmn/go-cache"

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
	// unusedTTL is go-cache's default life of an entry, which put never asks for.
	unusedTTL = time.Minute
)

// table is one kind of entry: sharded, expiring, bounded.
type table struct {
	shards []shard
	mask   uint16
	max    atomic.Int64
	weight func(any) int64
	used   atomic.Int64 // sum of the weights, expired entries not yet swept included

	opened   time.Time
	lastFull atomic.Int64 // when a full table was last swept, since opened, or 0
}

// shard is a part of a table. Its lock must be held for whatever is done to
// entries.
type shard struct {
	sync.Mutex
	entries *cache.Cache
	_       [48]byte // keeps the locks of neighbours out of one cache line
}

func newTable(limit int, weight func(any) int64) *table {
	n := max(minShards, 1<<bits.Len(uint((limit-1)/perShard)))
	n = min(n, 1<<16)
	t := &table{
		shards: make([]shard, n),
		mask:   uint16(n - 1),
		weight: weight,
		opened: time.Now(),
	}
	t.max.Store(int64(limit))
	for i := range t.shards {
		c := cache.New(unusedTTL, 0)
		// The only place where room becomes free, whoever deletes.
		c.OnEvicted(func(_ string, v any) { t.used.Add(-t.weight(v)) })
		t.shards[i].entries = c
	}
	return t
}

// index returns the number of the shard that key belongs to. Keys are hashes,
// so any of their bits spread them.
func (t *table) index(key state.Key) int {
	return int(binary.LittleEndian.Uint16(key[:]) & t.mask)
}

func (t *table) shard(key state.Key) *shard { return &t.shards[t.index(key)] }

// reserve takes room for weight n, if there is that much.
func (t *table) reserve(n int64) bool {
	for {
		used := t.used.Load()
		if used+n > t.max.Load() {
			return false
		}
		if t.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// makeRoom is called with no lock held when reserve said no, and returns
// whether it is worth asking again.
func (t *table) makeRoom() bool {
	now := int64(time.Since(t.opened)) + 1
	last := t.lastFull.Load()
	if last != 0 && now-last < int64(fullSweepEvery) || !t.lastFull.CompareAndSwap(last, now) {
		return false
	}
	before := t.used.Load()
	t.sweepPart(0, 1)
	return t.used.Load() < before
}

// sweepPart removes what has expired from every shard whose number is part,
// modulo parts, one after the other.
func (t *table) sweepPart(part, parts int) {
	for i := part; i < len(t.shards); i += parts {
		s := &t.shards[i]
		s.Lock()
		s.entries.DeleteExpired()
		s.Unlock()
	}
}

// get returns what is kept under key and has not expired, and when it will.
func (s *shard) get(key state.Key) (v any, expires time.Time, ok bool) {
	return s.entries.GetWithExpiration(string(key[:]))
}

// dropExpired removes an entry that get did not find but that may still be
// there, so that put does not take its place uncounted.
func (s *shard) dropExpired(key state.Key) { s.entries.Delete(string(key[:])) }

func (s *shard) delete(key state.Key) { s.entries.Delete(string(key[:])) }

// put keeps v under key for ttl, which must be positive: go-cache reads 0 and
// -1 as "default" and "for ever". It calls an entry expired only after its last
// nanosecond; one less makes it gone once ttl is over.
func (s *shard) put(key state.Key, v any, ttl time.Duration) {
	s.entries.Set(string(key[:]), v, max(ttl-1, 1))
}
