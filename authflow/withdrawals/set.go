// Package withdrawals knows which consents were taken back and which numbers are
// locked, and has every instance know.
//
// A gate asks a Set on each request, so the common answer, "nothing new", is
// two atomic loads and no network. Instances that share a Board tell each other
// through an Exchange, which looks at the board a few times a second.
package withdrawals

import (
	"context"
	"encoding/base64"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
)

// Withdrawal is a consent that was taken back, or, without an end, a number that
// was locked or unlocked; see Lock.
type Withdrawal struct {
	Consent [16]byte
	// Until is when whatever rests on the consent has ended by itself, in whole
	// seconds. A consent always has an end.
	Until time.Time
	// At is when it was withdrawn, as far as that is known; zero for now. It does not
	// travel to other instances.
	At time.Time
}

// Set is what one instance knows: the withdrawals of consents on which
// something still rests, and the numbers that are locked. The zero Set is empty
// and current for ever. It is safe for concurrent use.
type Set struct {
	epoch   atomic.Uint32
	current atomic.Int64 // until when the set is current, Unix nanoseconds; 0: for ever
	mu      sync.RWMutex
	until   map[[16]byte]int64 // seconds since the epoch
	swept   int
	news    []News
	changes map[Number]uint16 // how often a number was locked or unlocked
}

// Epoch changes whenever a withdrawal is added: what was found not withdrawn
// at one epoch need not be looked up again at the same one.
func (s *Set) Epoch() uint32 { return s.epoch.Load() }

// Current tells whether the set can be relied on at the given time: not if other
// instances have not been heard of for longer than the grace there is.
func (s *Set) Current(now time.Time) bool {
	until := s.current.Load()
	return until == 0 || now.UnixNano() < until
}

// Add remembers a withdrawal and tells whether it was news. Of two times for
// the same consent the later counts.
func (s *Set) Add(w Withdrawal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.Until.IsZero() {
		return s.addLock(w)
	}
	ends := w.Until.Unix()
	known, ok := s.until[w.Consent]
	if ok && known >= ends {
		return false
	}
	if s.until == nil {
		s.until = make(map[[16]byte]int64)
	}
	s.until[w.Consent] = ends
	if !ok {
		s.addNews(w)
	}
	// sweep when the set has doubled, so that it stays in proportion to what is
	// in use without a goroutine of its own
	if len(s.until) > 2*s.swept+1024 {
		now := time.Now().Unix()
		for id, t := range s.until {
			if t < now {
				delete(s.until, id)
			}
		}
		s.swept = len(s.until)
		s.sweepNews()
	}
	s.epoch.Add(1)
	return true
}

// Has tells whether the consent was withdrawn.
func (s *Set) Has(consent [16]byte) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.until[consent]
	return ok
}

// Ended tells whether whatever rests on the consent, for a person with that number,
// counts no longer: the consent was withdrawn, or the number is locked.
func (s *Set) Ended(consent [16]byte, number Number) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, withdrawn := s.until[consent]
	return withdrawn || s.changes[number]%2 == 1
}

// all returns the withdrawals of consents on which something rests at the given
// time, and the last change of each number.
func (s *Set) all(now time.Time) []Withdrawal {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]Withdrawal, 0, len(s.until)+len(s.changes))
	for consent, ends := range s.until {
		if ends >= now.Unix() {
			list = append(list, Withdrawal{Consent: consent, Until: time.Unix(ends, 0).UTC()})
		}
	}
	for n, change := range s.changes {
		list = append(list, lock(n, change))
	}
	return list
}

// forGood is how long a withdrawal is remembered of which the ledger does not say
// until when: longer than a pass can last.
const forGood = 100 * 365 * 24 * time.Hour

// Learn adds the withdrawals of a ledger that are of use at the given time, and
// the numbers that were locked or unlocked.
func (s *Set) Learn(ctx context.Context, l ledger.Ledger, now time.Time) error {
	return l.Replay(ctx, func(e ledger.Entry) error {
		switch e.Event {
		case ledger.Withdrawn:
			if e.Until.IsZero() {
				e.Until = now.Add(forGood)
			}
			if e.Until.Before(now) {
				return nil
			}
		case ledger.Locked, ledger.Unlocked:
			e.Until = time.Time{}
		default:
			return nil
		}
		raw, err := base64.RawURLEncoding.Strict().DecodeString(e.Consent)
		if err != nil || len(raw) != 16 {
			return errors.New("ledger: a withdrawal, or a number's lock, has no id")
		}
		s.Add(Withdrawal{Consent: [16]byte(raw), Until: e.Until, At: e.At})
		return nil
	})
}
