package withdrawals

import (
	"context"
	"encoding/binary"
)

// Number is the keyed hash of a mobile number, made by the caller: enough to tell
// numbers apart, and nothing to find one by. The zero Number is none.
type Number [8]byte

// The changes of a number are counted, so that of two instances that heard of
// them in another order both know the last: it is locked after the first change,
// unlocked after the second, and so on. A change travels as a Withdrawal without
// an end, whose id is the number and the count.

// lock is the change of a number as it travels.
func lock(n Number, change uint16) (w Withdrawal) {
	copy(w.Consent[:], n[:])
	binary.BigEndian.PutUint16(w.Consent[14:], change)
	return w
}

// addLock adds a change of a number. The lock of s is held.
func (s *Set) addLock(w Withdrawal) bool {
	n, change := Number(w.Consent[:8]), binary.BigEndian.Uint16(w.Consent[14:])
	if change <= s.changes[n] {
		return false
	}
	if s.changes == nil {
		s.changes = make(map[Number]uint16)
	}
	s.changes[n] = change
	s.epoch.Add(1)
	return true
}

// Locked tells whether the number gets no answer.
func (s *Set) Locked(n Number) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.changes[n]%2 == 1
}

// Change returns the id under which locking a number, or unlocking it, is
// recorded in the ledger and given to Exchange.Lock; news is false if that is how
// it is already.
func (s *Set) Change(n Number, locked bool) (id [16]byte, news bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	change := s.changes[n]
	if change%2 == 1 != locked {
		change++
		news = true
	}
	return lock(n, change).Consent, news
}

// Lock makes a change that Change has named and that is in the ledger, as
// Withdraw does.
func (x *Exchange) Lock(ctx context.Context, id [16]byte) error {
	return x.Withdraw(ctx, Withdrawal{Consent: id})
}
