package memory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// A counter is an int in go-cache, which needs no allocation below 256 and
// whose life, set by the first charge, a later Increment leaves alone. There is
// none that is 0: what has no charge has no window either.

// usualBudgets is how many budgets one Take has at most without an allocation.
const usualBudgets = 8

// Take implements state.Store.
func (s *Store) Take(_ context.Context, budgets ...state.Budget) (exceeded []string, err error) {
	for _, b := range budgets {
		if b.Window <= 0 {
			return nil, fmt.Errorf("state: limit %s has a window of %v: give a time above 0", b.Name, b.Window)
		}
	}
	exceeded, err = s.take(budgets)
	if err == state.ErrFull && s.counters.makeRoom() {
		exceeded, err = s.take(budgets)
	}
	return exceeded, err
}

func (s *Store) take(budgets []state.Budget) (exceeded []string, err error) {
	// Everybody locks in the order of the shards, so nobody waits in a circle.
	var buf [2 * usualBudgets]int
	order := buf[:0]
	for _, b := range budgets {
		order = append(order, s.counters.index(b.Key))
		if b.Share > 0 {
			order = append(order, s.counters.index(b.Of))
		}
	}
	slices.Sort(order)
	order = slices.Compact(order)
	for _, i := range order {
		s.counters.shards[i].Lock()
	}
	defer func() {
		for _, i := range order {
			s.counters.shards[i].Unlock()
		}
	}()

	var limit *state.LimitError
	for i, b := range budgets {
		wait, used := s.used(b, budgets[:i])
		switch {
		case !used:
		case b.RecordOnly:
			exceeded = append(exceeded, b.Name)
		case limit == nil || wait > limit.RetryAfter:
			limit = &state.LimitError{Budget: b.Name, RetryAfter: max(wait, 1)}
		}
	}
	if limit != nil {
		return nil, limit
	}
	var created int64
	for i, b := range budgets {
		created += s.missing(b.Key, budgets[:i])
		if b.Share > 0 {
			created += s.missing(b.Of, budgets[:i])
		}
	}
	if !s.counters.reserve(created) {
		return nil, state.ErrFull
	}
	for _, b := range budgets {
		s.charge(b.Key, b.Window)
		if b.Share > 0 {
			s.charge(b.Of, b.Window)
		}
	}
	return exceeded, nil
}

// used returns whether b is used up, and for how long, where the budgets before
// it have been charged.
func (s *Store) used(b state.Budget, before []state.Budget) (wait time.Duration, used bool) {
	count, wait := s.count(b.Key, b.Window)
	count += charges(before, b.Key)
	if b.Share <= 0 {
		return wait, count >= b.Limit
	}
	of, wait := s.count(b.Of, b.Window)
	of += charges(before, b.Of)
	return wait, of >= b.Limit && count*100 >= b.Share*of
}

// count returns the charges to a counter, whose shard is locked, and how long
// they count: for window if there are none.
func (s *Store) count(key state.Key, window time.Duration) (n int, left time.Duration) {
	v, expires, ok := s.counters.shard(key).get(key)
	if !ok {
		return 0, window
	}
	return v.(int), time.Until(expires) + 1 // see put
}

// missing returns how many counters there will be more when key is charged. It
// makes the room of one that has expired free.
func (s *Store) missing(key state.Key, before []state.Budget) int64 {
	sh := s.counters.shard(key)
	if _, _, ok := sh.get(key); ok || charges(before, key) > 0 {
		return 0
	}
	sh.dropExpired(key)
	return 1
}

// charges returns how often key is charged by budgets.
func charges(budgets []state.Budget, key state.Key) (n int) {
	for _, b := range budgets {
		if b.Key == key {
			n++
		}
		if b.Share > 0 && b.Of == key {
			n++
		}
	}
	return n
}

// charge adds one to the counter, whose shard is locked and whose room is
// reserved.
func (s *Store) charge(key state.Key, window time.Duration) {
	sh := s.counters.shard(key)
	if _, err := sh.entries.IncrementInt(string(key[:]), 1); err != nil {
		// There is none, or it expired since take looked: then it is still in
		// the map, and put takes its place and its room.
		sh.put(key, 1, window)
	}
}

// GiveBack implements state.Store.
func (s *Store) GiveBack(_ context.Context, returned ...state.Return) error {
	for _, r := range returned {
		s.giveBack(r)
	}
	return nil
}

func (s *Store) giveBack(r state.Return) {
	sh := s.counters.shard(r.Key)
	sh.Lock()
	defer sh.Unlock()
	v, _, ok := sh.get(r.Key)
	if !ok {
		return
	}
	if r.All || v.(int) <= 1 {
		sh.delete(r.Key)
		return
	}
	// The only error is that the counter expired since: then there is nothing
	// to give back to.
	_, _ = sh.entries.DecrementInt(string(r.Key[:]), 1)
}
