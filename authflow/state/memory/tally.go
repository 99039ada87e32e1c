package memory

import (
	"sync"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// tally is the table of counters. There are several for each handshake, and they
// live for a day where that lives for minutes: with a million of them, go-cache's
// strings and interfaces would be most of what the garbage collector looks at, so
// they lie in maps without a pointer, 28 bytes each before what a map leaves
// empty.
type tally struct {
	bound
	all []tallyShard
}

// tallyShard is a part of a tally. Its lock must be held for whatever is done to
// its counters.
type tallyShard struct {
	sync.Mutex
	counters map[state.Key]counter
	_        [48]byte // keeps the locks of neighbours out of one cache line
}

// counter is a number of charges, at least one: what has no charge has no window
// either.
type counter struct {
	expires int64 // since the table was opened, as time.Duration
	n       int32
}

func newTally(limit int) *tally {
	t := new(tally)
	t.init(limit)
	t.all = make([]tallyShard, t.shards)
	for i := range t.all {
		t.all[i].counters = map[state.Key]counter{}
	}
	return t
}

func (t *tally) shard(key state.Key) *tallyShard { return &t.all[t.index(key)] }

func (t *tally) now() int64 { return int64(time.Since(t.opened)) }

// count returns the charges to a counter and how long they count: for window if
// there are none.
func (t *tally) count(key state.Key, window time.Duration) (n int, left time.Duration) {
	c, ok := t.shard(key).counters[key]
	if left := c.expires - t.now(); ok && left > 0 {
		return int(c.n), time.Duration(left)
	}
	return 0, window
}

// has tells whether there is an entry, expired or not: then it takes no room to
// charge it.
func (t *tally) has(key state.Key) bool {
	_, ok := t.shard(key).counters[key]
	return ok
}

// charge adds one to a counter that exists, or for which there is room.
func (t *tally) charge(key state.Key, window time.Duration) {
	s, now := t.shard(key), t.now()
	c, ok := s.counters[key]
	if !ok || c.expires <= now {
		c = counter{expires: now + int64(window)}
	}
	c.n++
	s.counters[key] = c
}

// giveBack takes a charge back, or all.
func (t *tally) giveBack(key state.Key, all bool) {
	s := t.shard(key)
	s.Lock()
	defer s.Unlock()
	c, ok := s.counters[key]
	if !ok {
		return
	}
	if all || c.n <= 1 || c.expires <= t.now() {
		delete(s.counters, key)
		t.used.Add(-1)
		return
	}
	c.n--
	s.counters[key] = c
}

// sweepPart removes what has expired from every shard whose number is part,
// modulo parts, one after the other.
func (t *tally) sweepPart(part, parts int) {
	for i := part; i < len(t.all); i += parts {
		t.all[i].sweep(t)
	}
}

func (s *tallyShard) sweep(t *tally) {
	s.Lock()
	defer s.Unlock()
	now := t.now()
	for key, c := range s.counters {
		if c.expires <= now {
			delete(s.counters, key)
			t.used.Add(-1)
		}
	}
}
