package authflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// An order is what a partner's program calls by one txn: several travellers, and
// for each a handshake of their own, because an answer covers the person named
// and nobody else on that number. What became of each is kept as a list in the
// state, sealed like a handshake, for as long as an answer lasts.

// MaxTravellers is how many handshakes there can be under one txn at once.
const MaxTravellers = 50

// MaxTxn is how long a caller's own txn may be, in bytes.
const MaxTxn = 64

// CheckTxn tells whether a caller's own txn can be one: 1 to MaxTxn printable
// ASCII characters, without a space.
func CheckTxn(txn string) bool {
	if txn == "" || len(txn) > MaxTxn {
		return false
	}
	for i := range len(txn) {
		if txn[i] <= ' ' || txn[i] > '~' {
			return false
		}
	}
	return true
}

// noted is an entry of an order's list. The first one of a handshake has its
// number, the second one its outcome.
type noted struct {
	TxnID  ID128  `json:"t"`
	Masked string `json:"m,omitempty"`
	Acting string `json:"a,omitempty"`
	Code   Code   `json:"c,omitempty"`
	Token  string `json:"k,omitempty"`
}

// outcome is how a handshake of an order ended.
type outcome struct {
	Code  Code   // why there is no answer
	Token string // the pass, sealed
}

// orderKey names an order's list: only the partner that begun it can.
func (f *Flow) orderKey(a *Audience, txn string) state.Key { return f.persons.key("order", a.ID, txn) }

// orderLife is how long an order is kept after the last that became of it.
func (f *Flow) orderLife(a *Audience) time.Duration { return f.OTP.Lifetime + grace + a.Session }

func (f *Flow) note(ctx context.Context, a *Audience, txn string, n noted, most int) error {
	plain, err := json.Marshal(n)
	if err != nil {
		return errors.New("an order's entry cannot be written")
	}
	key := f.orderKey(a, txn)
	return f.State.Append(ctx, key, sealKey(f.seals[0], ID128(key)).Seal(nil, nil, plain, nil), most, f.orderLife(a))
}

// noteAsked adds a handshake to its order, if it has one.
func (f *Flow) noteAsked(ctx context.Context, a *Audience, txn ID128, req request) error {
	own := req.callerTxn()
	if own == "" {
		return nil
	}
	err := f.note(ctx, a, own, noted{TxnID: txn, Masked: req.Mobile.Masked(), Acting: a.Acting.ID}, MaxTravellers)
	if errors.Is(err, state.ErrFull) {
		f.Observer.Handshake("limited")
		return &Error{Code: TooManyRequests, RetryAfter: f.orderLife(a), Cause: fmt.Errorf("an order has %d entries already, or the state is full: %w", MaxTravellers, err)}
	}
	if err != nil {
		return f.down(err)
	}
	return nil
}

// noteOutcome adds what became of a handshake to its order, if it has one.
func (f *Flow) noteOutcome(ctx context.Context, a *Audience, txn ID128, req request, o outcome) {
	own := req.callerTxn()
	if own == "" {
		return
	}
	if err := f.note(ctx, a, own, noted{TxnID: txn, Code: o.Code, Token: o.Token}, 2*MaxTravellers); err != nil {
		f.Logger.WarnContext(ctx, "what became of a handshake could not be noted with its order, where it will look expired; its own answer is not touched by that", "error", err)
	}
}

// TravellerState is what a handshake of an order has come to.
type TravellerState string

// The states.
const (
	StateAsked     TravellerState = "asked"     // the code, or a birth year, is awaited
	StateConfirmed TravellerState = "confirmed" // there is an answer
	StateRefused   TravellerState = "refused"   // there is none, and will be none: see Code
	StateExpired   TravellerState = "expired"   // nothing came of it in time, or its answer has ended
	StateWithdrawn TravellerState = "withdrawn" // the person took the consent back, or locked the number
)

// Traveller is one handshake of an order.
type Traveller struct {
	TxnID        ID128
	MaskedMobile string
	State        TravellerState
	Code         Code      // of StateRefused
	Need         string    // of StateAsked: NeedBirthYear, or nothing
	Pass         pass.Pass // of StateConfirmed
	Audience     *Audience // of StateConfirmed: whom an assertion is for
}

// Order returns the handshakes that a partner's programs began under a txn of
// their own, in the order in which they were; none if there is no such order.
func (f *Flow) Order(ctx context.Context, a *Audience, txn string) ([]Traveller, error) {
	key := f.orderKey(a, txn)
	sealed, err := f.State.List(ctx, key)
	if err != nil {
		return nil, f.down(err)
	}
	var all []Traveller
	var last []noted
	at := map[ID128]int{}
	for _, s := range sealed {
		n, ok := f.openNoted(key, s)
		if !ok {
			continue // sealed under a secret that is no more
		}
		i, known := at[n.TxnID]
		if !known {
			i = len(all)
			at[n.TxnID] = i
			all, last = append(all, Traveller{TxnID: n.TxnID, MaskedMobile: n.Masked}), append(last, n)
			continue
		}
		n.Acting = last[i].Acting
		last[i] = n
	}
	for i := range all {
		if err := f.traveller(ctx, a, last[i], &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (f *Flow) openNoted(key state.Key, sealed []byte) (n noted, ok bool) {
	for _, k := range f.seals {
		if plain, err := sealKey(k, ID128(key)).Open(nil, nil, sealed, nil); err == nil {
			return n, json.Unmarshal(plain, &n) == nil
		}
	}
	return n, false
}

// traveller finds out what the last that was noted has come to by now.
func (f *Flow) traveller(ctx context.Context, a *Audience, n noted, t *Traveller) error {
	switch {
	case n.Code != "":
		t.State, t.Code = StateRefused, n.Code
		return nil
	case n.Token == "":
		return f.underWay(ctx, n.TxnID, t)
	}
	t.State = StateExpired
	to, ok := a.For(n.Acting)
	if !ok {
		return nil
	}
	p, err := to.Sealer.Open(n.Token)
	switch {
	case err != nil: // the secret or the purpose has changed since
	case f.Withdrawals.Ended(p.Consent, p.Number):
		t.State = StateWithdrawn
	case !p.Expired(f.Now()):
		t.State, t.Pass, t.Audience = StateConfirmed, p, to
	}
	return nil
}

func (f *Flow) underWay(ctx context.Context, txn ID128, t *Traveller) error {
	h, err := f.State.Load(ctx, entryKey(txn))
	switch {
	case errors.Is(err, state.ErrNotFound):
		t.State = StateExpired
	case err != nil:
		return f.down(err)
	case h.Proved:
		t.State, t.Need = StateAsked, NeedBirthYear
	case h.Spent: // being answered
		t.State = StateAsked
	case h.Tries >= f.OTP.Attempts:
		t.State, t.Code = StateRefused, OTPAttempts
	case !f.Now().Before(h.CodeExpires):
		t.State = StateExpired
	default:
		t.State = StateAsked
	}
	return nil
}
