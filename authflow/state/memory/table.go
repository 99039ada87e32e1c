package memory

import (
	"sync"
	"time"

	cache "github.com/patrickmn/go-cache"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// unusedTTL is go-cache's default life of an entry, which put never asks for.
const unusedTTL = time.Minute

// table is the handshakes: sharded, expiring, bounded.
type table struct {
	bound
	all []shard
}

// weighed is what a table keeps: a record or a list.
type weighed interface {
	// weight returns how many units of Config.MaxHandshakes it takes.
	weight() int64
}

// shard is a part of a table. Its lock must be held for whatever is done to
// entries.
type shard struct {
	sync.Mutex
	entries *cache.Cache
	_       [48]byte // keeps the locks of neighbours out of one cache line
}

func newTable(limit int) *table {
	t := new(table)
	t.init(limit)
	t.all = make([]shard, t.shards)
	for i := range t.all {
		c := cache.New(unusedTTL, 0)
		// The only place where room becomes free, whoever deletes.
		c.OnEvicted(func(_ string, v any) { t.used.Add(-v.(weighed).weight()) })
		t.all[i].entries = c
	}
	return t
}

func (t *table) shard(key state.Key) *shard { return &t.all[t.index(key)] }

// sweepPart removes what has expired from every shard whose number is part,
// modulo parts, one after the other.
func (t *table) sweepPart(part, parts int) {
	for i := part; i < len(t.all); i += parts {
		s := &t.all[i]
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
