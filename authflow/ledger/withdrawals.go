package ledger

import (
	"context"
	"encoding/base64"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Withdrawals knows which consents were withdrawn while something that rests
// on them could still be in use. It is what a gate asks on every request, so
// the common answer, "nothing new", is one atomic load.
type Withdrawals struct {
	epoch atomic.Uint32
	mu    sync.RWMutex
	until map[[16]byte]int64 // seconds since the epoch
	swept int
}

// Epoch changes whenever a withdrawal is added: what was found not withdrawn
// at one epoch need not be looked up again at the same one.
func (w *Withdrawals) Epoch() uint32 { return w.epoch.Load() }

// Add remembers that the consent was withdrawn, until whatever rests on it has
// ended by itself; for ever if until is zero. Of two times the later counts.
func (w *Withdrawals) Add(consent [16]byte, until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.until == nil {
		w.until = make(map[[16]byte]int64)
	}
	ends := int64(math.MaxInt64)
	if !until.IsZero() {
		ends = until.Unix()
	}
	w.until[consent] = max(ends, w.until[consent])
	// sweep when the set has doubled, so that it stays in proportion to what is
	// in use without a goroutine of its own
	if len(w.until) > 2*w.swept+1024 {
		now := time.Now().Unix()
		for id, t := range w.until {
			if t < now {
				delete(w.until, id)
			}
		}
		w.swept = len(w.until)
	}
	w.epoch.Add(1)
}

// Has tells whether the consent was withdrawn.
func (w *Withdrawals) Has(consent [16]byte) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	_, ok := w.until[consent]
	return ok
}

// Learn reads the withdrawals that are still of use from a ledger.
func (w *Withdrawals) Learn(ctx context.Context, l Ledger, now time.Time) error {
	return l.Replay(ctx, func(e Entry) error {
		if e.Event != Withdrawn || !e.Until.IsZero() && e.Until.Before(now) {
			return nil
		}
		raw, err := base64.RawURLEncoding.Strict().DecodeString(e.Consent)
		if err != nil || len(raw) != 16 {
			return errors.New("ledger: a withdrawal names no consent")
		}
		w.Add([16]byte(raw), e.Until)
		return nil
	})
}
