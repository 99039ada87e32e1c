package memory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

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
	if err == state.ErrFull && s.counters.makeRoom(s.counters.sweepPart) {
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
		s.counters.all[i].Lock()
	}
	defer func() {
		for _, i := range order {
			s.counters.all[i].Unlock()
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
		s.counters.charge(b.Key, b.Window)
		if b.Share > 0 {
			s.counters.charge(b.Of, b.Window)
		}
	}
	return exceeded, nil
}

// used returns whether b is used up, and for how long, where the budgets before
// it have been charged.
func (s *Store) used(b state.Budget, before []state.Budget) (wait time.Duration, used bool) {
	count, wait := s.counters.count(b.Key, b.Window)
	count += charges(before, b.Key)
	if b.Share <= 0 {
		return wait, count >= b.Limit
	}
	of, wait := s.counters.count(b.Of, b.Window)
	of += charges(before, b.Of)
	return wait, of >= b.Limit && count*100 >= b.Share*of
}

// missing returns how many counters there will be more when key is charged.
func (s *Store) missing(key state.Key, before []state.Budget) int64 {
	if s.counters.has(key) || charges(before, key) > 0 {
		return 0
	}
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

// GiveBack implements state.Store.
func (s *Store) GiveBack(_ context.Context, returned ...state.Return) error {
	for _, r := range returned {
		s.counters.giveBack(r.Key, r.All)
	}
	return nil
}
