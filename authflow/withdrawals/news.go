package withdrawals

import (
	"slices"
	"sort"
	"time"
)

// News is a withdrawal as it is told to whoever asks what is new.
type News struct {
	Consent [16]byte
	// At is when this instance learned of it, or, where it was in its ledger at the
	// start, when it was withdrawn. No two are the same.
	At time.Time
}

// addNews notes a withdrawal that was not known. The lock of s is held.
func (s *Set) addNews(w Withdrawal) {
	now := time.Now()
	if w.At.IsZero() || w.At.After(now) {
		w.At = now
	}
	if n := len(s.news); n > 0 && !w.At.After(s.news[n-1].At) {
		w.At = s.news[n-1].At.Add(1) // in the order in which they came
	}
	s.news = append(s.news, News{w.Consent, w.At.UTC().Round(0)})
}

// sweepNews forgets what has ended. The lock of s is held.
func (s *Set) sweepNews() {
	s.news = slices.DeleteFunc(s.news, func(n News) bool {
		_, known := s.until[n.Consent]
		return !known
	})
}

// Since returns the withdrawals, of consents that are the caller's by mine, that
// this instance learned of at that time or later, oldest first and not more than
// most; more says that there are more. On instances that share a board the times
// differ by as much as their clocks do, and a second.
func (s *Set) Since(since time.Time, most int, mine func(consent [16]byte) bool) (list []News, more bool) {
	s.mu.RLock()
	i := sort.Search(len(s.news), func(i int) bool { return !s.news[i].At.Before(since) })
	candidates := slices.Clone(s.news[i:])
	s.mu.RUnlock()
	for _, n := range candidates {
		if !mine(n.Consent) {
			continue
		}
		if len(list) == most {
			return list, true
		}
		list = append(list, n)
	}
	return list, false
}
