package authflow

import (
	"context"
	"sync"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// How an answer was given out, as the ledger has it.
const (
	HowOTP  = "otp+sms" // right after the code
	HowGate = "gate"    // a gate let somebody through
	HowPage = "page"    // to the browser or program that holds the pass
	HowAPI  = "api"     // to a partner's program
)

// uses keeps the record of uses in proportion: an assertion is made twice a
// minute for whoever is at a site, and what a person wants to know is on which
// days.
type uses struct {
	mu     sync.Mutex
	day    int64
	noted  map[ID128]struct{}
	writes chan struct{} // one place for each that is being written
}

const (
	// maxUses bounds what is remembered of a day; beyond it a use may be noted
	// again.
	maxUses = 1 << 20
	// maxUseWrites is how many uses are being written at once. The person is at
	// the gate meanwhile and does not wait for them.
	maxUseWrites = 64
)

func newUses() *uses {
	return &uses{noted: map[ID128]struct{}{}, writes: make(chan struct{}, maxUseWrites)}
}

// first tells whether this is the first use of the consent on its day (UTC).
func (u *uses) first(consent ID128, now time.Time) bool {
	day := now.Unix() / (24 * 60 * 60)
	u.mu.Lock()
	defer u.mu.Unlock()
	if day != u.day || len(u.noted) >= maxUses {
		u.day = day
		clear(u.noted)
	}
	if _, noted := u.noted[consent]; noted {
		return false
	}
	u.noted[consent] = struct{}{}
	return true
}

func (u *uses) again(consent ID128) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.noted, consent)
}

// Used notes that an answer was made from a pass: the first of each day, for each
// consent and instance. It does not wait; what cannot be written now is tried at
// the next answer.
func (f *Flow) Used(a *Audience, p *pass.Pass, how string) {
	now := f.Now()
	if !f.uses.first(p.Consent, now) {
		return
	}
	select {
	case f.uses.writes <- struct{}{}:
	default:
		f.uses.again(p.Consent)
		return
	}
	e := used(a, p, how, now)
	go func() {
		defer func() { <-f.uses.writes }()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := f.Ledger.Append(ctx, e); err != nil {
			f.uses.again(p.Consent)
			f.Logger.WarnContext(ctx, "a use of a consent could not be written to the ledger; that is tried at the next one", "error", err)
		}
	}()
}

// UsedNow is Used for whoever can wait: it returns once the use is in the ledger,
// or could not be written, which is then logged and tried at the next answer.
func (f *Flow) UsedNow(ctx context.Context, a *Audience, p *pass.Pass, how string) {
	now := f.Now()
	if !f.uses.first(p.Consent, now) {
		return
	}
	if err := f.Ledger.Append(ctx, used(a, p, how, now)); err != nil {
		f.uses.again(p.Consent)
		f.Logger.WarnContext(ctx, "a use of a consent could not be written to the ledger; that is tried at the next one", "error", err)
	}
}

func used(a *Audience, p *pass.Pass, how string, now time.Time) ledger.Entry {
	return ledger.Entry{
		Event: ledger.Used, Consent: FormatID(p.Consent), At: now.UTC(), Phone: phoneOf(withdrawals.Number(p.Number)),
		Partner: a.ID, Acting: a.Acting.ID, TxnID: FormatTxnID(p.TxnID), How: how,
	}
}

// refused notes that a consent got no answer, and why.
func (f *Flow) refused(ctx context.Context, a *Audience, txn ID128, req request, reason string) {
	err := f.Ledger.Append(ctx, ledger.Entry{
		Event: ledger.Refused, At: f.Now().UTC(), Phone: phoneOf(f.number(req.Mobile)), Partner: a.ID, Purpose: a.Purpose,
		TxnID: FormatTxnID(txn), Notice: f.noticeOf(a, req), Lang: req.Lang, How: req.how(), Acting: a.Acting.ID, Reason: reason,
	})
	if err != nil {
		f.Logger.WarnContext(ctx, "that there was no answer could not be written to the ledger", "error", err)
	}
}
