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

// Take implements state.Store. Where several budgets are used up, the error
// names the one with the longest wait: before that, trying again is no use.
func (s *Store) Take(_ context.Context, budgets ...state.Budget) error {
	for _, b := range budgets {
		if b.Window <= 0 {
			return fmt.Errorf("state: limit %s has a window of %v: give a time above 0", b.Name, b.Window)
		}
	}
	err := s.take(budgets)
	if err == state.ErrFull && s.counters.makeRoom() {
		err = s.take(budgets)
	}
	return err
}

func (s *Store) take(budgets []state.Budget) error {
	// Everybody locks in the order of the shards, so nobody waits in a circle.
	var buf [usualBudgets]int
	order := buf[:0]
	for _, b := range budgets {
		order = append(order, s.counters.index(b.Key))
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
	var created int64
	for i, b := range budgets {
		sh := s.counters.shard(b.Key)
		earlier := charges(budgets[:i], b.Key)
		v, expires, ok := sh.get(b.Key)
		count, wait := earlier, b.Window
		if ok {
			count += v.(int)
			wait = time.Until(expires) + 1 // see put
		} else if earlier == 0 {
			sh.dropExpired(b.Key)
			created++
		}
		if count >= b.Limit && (limit == nil || wait > limit.RetryAfter) {
			limit = &state.LimitError{Budget: b.Name, RetryAfter: max(wait, 1)}
		}
	}
	if limit != nil {
		return limit
	}
	if !s.counters.reserve(created) {
		return state.ErrFull
	}

	for _, b := range budgets {
		s.charge(b)
	}
	return nil
}

// charges returns how often key stands in budgets.
func charges(budgets []state.Budget, key state.Key) (n int) {
	for _, b := range budgets {
		if b.Key == key {
			n++
		}
	}
	return n
}

// charge adds one to the counter, whose shard is locked and whose room is
// reserved.
func (s *Store) charge(b state.Budget) {
	sh := s.counters.shard(b.Key)
	if _, err := sh.entries.IncrementInt(string(b.Key[:]), 1); err != nil {
		// There is none, or it expired since take looked: then it is still in
		// the map, and put takes its place and its room.
		sh.put(b.Key, 1, b.Window)
	}
}

// GiveBack implements state.Store.
func (s *Store) GiveBack(_ context.Context, key state.Key, n int) error {
	if n <= 0 {
		return nil
	}
	sh := s.counters.shard(key)
	sh.Lock()
	defer sh.Unlock()
	v, _, ok := sh.get(key)
	if !ok {
		return nil
	}
	if v.(int) <= n {
		sh.delete(key)
		return nil
	}
	// The only error is that the counter expired since: then there is nothing
	// to give back to.
	_, _ = sh.entries.DecrementInt(string(key[:]), n)
	return nil
}

// Clear implements state.Store.
func (s *Store) Clear(_ context.Context, key state.Key) error {
	sh := s.counters.shard(key)
	sh.Lock()
	defer sh.Unlock()
	sh.delete(key)
	return nil
}
