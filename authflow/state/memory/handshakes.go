package memory

import (
	"context"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// Create implements state.Store.
func (s *Store) Create(_ context.Context, id state.Key, h state.Handshake, ttl time.Duration) error {
	if err := checkTTL(ttl); err != nil {
		return err
	}
	r := newRecord(h)
	err := s.create(id, r, ttl)
	if err == state.ErrFull && s.handshakes.makeRoom(s.handshakes.sweepPart) {
		err = s.create(id, r, ttl)
	}
	return err
}

func (s *Store) create(id state.Key, r *record, ttl time.Duration) error {
	sh := s.handshakes.shard(id)
	sh.Lock()
	defer sh.Unlock()
	if _, _, ok := sh.get(id); ok {
		return state.ErrExists
	}
	sh.dropExpired(id)
	if !s.handshakes.reserve(r.weight()) {
		return state.ErrFull
	}
	sh.put(id, r, ttl)
	return nil
}

// with calls f with the record under id while nobody else can see or change
// it, and returns what f returns; ErrNotFound if there is no such record.
func (s *Store) with(id state.Key, f func(*shard, *record) error) error {
	sh := s.handshakes.shard(id)
	sh.Lock()
	defer sh.Unlock()
	v, _, _ := sh.get(id)
	r, ok := v.(*record)
	if !ok {
		return state.ErrNotFound
	}
	return f(sh, r)
}

// Load implements state.Store.
func (s *Store) Load(_ context.Context, id state.Key) (h state.Handshake, err error) {
	err = s.with(id, func(_ *shard, r *record) error {
		h = r.handshake()
		return nil
	})
	return h, err
}

// Count implements state.Store.
func (s *Store) Count(_ context.Context, id, scope state.Key) (h state.Handshake, err error) {
	err = s.with(id, func(_ *shard, r *record) error {
		if r.spent || r.scope != scope {
			return state.ErrNotFound
		}
		if !r.proved {
			r.tries++
		}
		h = r.handshake()
		return nil
	})
	return h, err
}

// Uncount implements state.Store.
func (s *Store) Uncount(_ context.Context, id state.Key) error {
	err := s.with(id, func(_ *shard, r *record) error {
		r.tries = max(r.tries-1, 0)
		return nil
	})
	if err == state.ErrNotFound {
		return nil
	}
	return err
}

// Resend implements state.Store.
func (s *Store) Resend(_ context.Context, id state.Key, sends int, code [32]byte, codeExpires, nextSend time.Time, ttl time.Duration) error {
	if err := checkTTL(ttl); err != nil {
		return err
	}
	return s.with(id, func(sh *shard, r *record) error {
		switch {
		case r.spent:
			return state.ErrNotFound
		case int(r.sends) != sends:
			return state.ErrConflict
		}
		r.sends++
		r.code = code
		r.codeExpires, r.nextSend = toNano(codeExpires), toNano(nextSend)
		sh.put(id, r, ttl)
		return nil
	})
}

// Spend implements state.Store.
func (s *Store) Spend(_ context.Context, id state.Key, code [32]byte) (right bool, err error) {
	err = s.with(id, func(_ *shard, r *record) error {
		if r.spent {
			return state.ErrNotFound
		}
		right = subtle.ConstantTimeCompare(r.code[:], code[:]) == 1
		r.spent = right
		return nil
	})
	return right, err
}

// SpendProved implements state.Store.
func (s *Store) SpendProved(_ context.Context, id state.Key) error {
	return s.with(id, func(_ *shard, r *record) error {
		if r.spent || !r.proved {
			return state.ErrNotFound
		}
		r.spent = true
		return nil
	})
}

// Reopen implements state.Store. A handshake that was proved before it was
// spent stays proved: "what it was before" is then awaiting a birth year, and
// no try was counted that could be taken back.
func (s *Store) Reopen(_ context.Context, id state.Key, proved bool, ttl time.Duration) error {
	if err := checkTTL(ttl); err != nil {
		return err
	}
	return s.with(id, func(sh *shard, r *record) error {
		if !r.spent {
			return state.ErrNotFound
		}
		r.spent = false
		r.proved = r.proved || proved
		if !r.proved {
			r.tries = max(r.tries-1, 0)
		}
		sh.put(id, r, ttl)
		return nil
	})
}

// Delete implements state.Store.
func (s *Store) Delete(_ context.Context, id state.Key) error {
	sh := s.handshakes.shard(id)
	sh.Lock()
	defer sh.Unlock()
	sh.delete(id)
	return nil
}

func checkTTL(ttl time.Duration) error {
	if ttl <= 0 {
		return fmt.Errorf("state: a handshake cannot be kept for %v: give a time above 0", ttl)
	}
	return nil
}
