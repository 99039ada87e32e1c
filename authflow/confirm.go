package authflow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/registry"
)

// Proof is what a person enters to finish a handshake: the code, or, where the
// answer was ambiguous, the year of birth.
type Proof struct {
	Code      string
	BirthYear string
}

// Granted is the answer to a finished handshake.
type Granted struct {
	Pass   pass.Pass
	Token  string // the pass, sealed
	Return string
}

// Confirm counts the code, compares it, spends it, asks the registry, writes
// the consent to the ledger and returns the pass, in that order.
//
// The count comes before the comparison, each in one atomic step of the store:
// a thousand codes entered at once, on however many instances, are as many
// guesses as are allowed and no more.
func (f *Flow) Confirm(ctx context.Context, a *Audience, browser ID128, txn ID128, proof Proof) (Granted, error) {
	h, req, err := f.load(ctx, a, browser, txn)
	if err != nil {
		return Granted{}, err
	}
	if a.Ended(f.Now()) {
		return Granted{}, f.down(errPartnerEnded)
	}
	var year int
	if h.Proved {
		var ok bool
		if year, ok = readYear(proof.BirthYear, f.Now()); !ok {
			return Granted{}, fail(BadRequest)
		}
		if err := f.State.SpendProved(ctx, entryKey(txn)); errors.Is(err, state.ErrNotFound) {
			return Granted{}, fail(TxnUnknown)
		} else if err != nil {
			return Granted{}, f.down(err)
		}
	} else if err := f.prove(ctx, txn, h, proof.Code); err != nil {
		return Granted{}, err
	}
	return f.answer(ctx, a, txn, req, h.Proved, year)
}

// prove spends the code, or says why not.
func (f *Flow) prove(ctx context.Context, txn ID128, h state.Handshake, typed string) error {
	code, ok := ReadCode(typed, f.OTP.Length)
	if !ok {
		return fail(OTPMissing)
	}
	id := entryKey(txn)
	h, err := f.State.Count(ctx, id)
	switch {
	case errors.Is(err, state.ErrNotFound):
		return fail(TxnUnknown)
	case err != nil:
		return f.down(err)
	case h.Tries > f.OTP.Attempts:
		f.Observer.Handshake("dead")
		return fail(OTPAttempts)
	case !f.Now().Before(h.CodeExpires):
		f.uncount(ctx, id)
		f.Observer.Handshake("expired")
		return fail(OTPExpired)
	}
	wrong := state.Budget{Name: "wrong_per_mobile", Key: f.wrongKey(h.Mobile), Limit: f.Limits.WrongPerMobile.Count, Window: f.Limits.WrongPerMobile.Window}
	if err := f.State.Take(ctx, wrong); err != nil {
		f.uncount(ctx, id)
		return f.limited(err)
	}
	for i := range f.codes {
		right, err := f.State.Spend(ctx, id, f.codeHash(i, txn, wireHash(code)))
		switch {
		case errors.Is(err, state.ErrNotFound):
			f.giveBack(ctx, 1, wrong.Key)
			return fail(TxnUnknown)
		case err != nil:
			return f.down(err)
		case right:
			if err := f.State.Clear(ctx, wrong.Key); err != nil {
				f.Logger.WarnContext(ctx, "the count of wrong codes could not be cleared", "error", err)
			}
			f.giveBack(ctx, 1, h.Mobile, h.Client)
			return nil
		}
	}
	f.Observer.Handshake("wrong")
	return &Error{Code: OTPInvalid, AttemptsLeft: max(0, f.OTP.Attempts-h.Tries)}
}

func (f *Flow) uncount(ctx context.Context, id state.Key) {
	if err := f.State.Uncount(ctx, id); err != nil {
		f.Logger.WarnContext(ctx, "a try that was not compared could not be given back", "error", err)
	}
}

// answer asks the registry about the person whose phone is proven. Where that
// ends without an answer of the registry's, the handshake is opened again, so
// that the same code can be entered once more.
func (f *Flow) answer(ctx context.Context, a *Audience, txn ID128, req request, proved bool, year int) (Granted, error) {
	found, err := f.lookup(ctx, req, year)
	id := entryKey(txn)
	var ambiguous *registry.AmbiguousError
	switch {
	case errors.Is(err, registry.ErrNoRecord):
		f.forget(ctx, id)
		f.Observer.Handshake("no_record")
		return Granted{}, fail(NoRecord)
	case errors.As(err, &ambiguous):
		f.Observer.Handshake("ambiguous")
		if ambiguous.BirthYear && !proved {
			if err := f.State.Reopen(ctx, id, true, f.OTP.Lifetime+grace); err != nil {
				return Granted{}, f.down(err)
			}
			return Granted{}, &Error{Code: Ambiguous, Need: NeedBirthYear}
		}
		f.forget(ctx, id)
		return Granted{}, fail(Ambiguous)
	case err != nil:
		f.reopen(ctx, id, proved)
		return Granted{}, f.down(fmt.Errorf("asking the registry: %w", err))
	}

	now := f.Now()
	p := pass.Pass{
		Subject:  f.subjects.key(a.ID, found.Person),
		Consent:  newID(),
		TxnID:    txn,
		Status:   uint8(found.Status),
		AuthTime: now.Unix(),
		Expires:  now.Add(a.Session).Unix(),
	}
	person := f.persons.key(found.Person)
	err = f.Ledger.Append(ctx, ledger.Entry{
		Event:   ledger.Given,
		Consent: FormatID(p.Consent),
		At:      now.UTC(),
		Person:  FormatID(person),
		Partner: a.ID,
		Purpose: a.Purpose,
		TxnID:   FormatTxnID(txn),
		Notice:  f.NoticeVersion(req.Lang),
		Lang:    req.Lang,
		Until:   time.Unix(p.Expires, 0).UTC(),
	})
	if err != nil {
		f.reopen(ctx, id, proved)
		return Granted{}, f.down(fmt.Errorf("writing the consent to the ledger: %w", err))
	}
	f.forget(ctx, id)
	f.Observer.Handshake("confirmed")
	return Granted{Pass: p, Token: a.Sealer.Seal(p), Return: req.Return}, nil
}

func (f *Flow) lookup(ctx context.Context, req request, year int) (registry.Answer, error) {
	start := f.Now()
	records, err := f.Registry.Lookup(ctx, req.Mobile)
	f.Observer.Lookup(f.Now().Sub(start))
	if err != nil {
		return registry.Answer{}, err
	}
	return registry.Decide(records, registry.Query{Mobile: req.Mobile, Name: req.Name, BirthYear: year}, f.NameMatch, f.Schedule)
}

func (f *Flow) forget(ctx context.Context, id state.Key) {
	if err := f.State.Delete(ctx, id); err != nil {
		f.Logger.WarnContext(ctx, "a finished handshake could not be removed; it is spent and ends by itself", "error", err)
	}
}

func (f *Flow) reopen(ctx context.Context, id state.Key, proved bool) {
	if err := f.State.Reopen(ctx, id, proved, f.OTP.Lifetime+grace); err != nil {
		f.Logger.WarnContext(ctx, "a handshake that could not be answered could not be opened again; the person needs a new code", "error", err)
	}
}

// Withdraw ends a consent. It returns nil once that is durable; from then on
// no pass that rests on it opens anything here.
func (f *Flow) Withdraw(ctx context.Context, a *Audience, p pass.Pass) error {
	until := time.Unix(p.Expires, 0).UTC()
	err := f.Ledger.Append(ctx, ledger.Entry{
		Event:   ledger.Withdrawn,
		Consent: FormatID(p.Consent),
		At:      f.Now().UTC(),
		Partner: a.ID,
		TxnID:   FormatTxnID(p.TxnID),
		Until:   until,
	})
	if err != nil {
		return f.down(fmt.Errorf("writing the withdrawal to the ledger: %w", err))
	}
	f.Withdrawals.Add(p.Consent, until)
	f.Observer.Handshake("withdrawn")
	return nil
}

// readYear reads a year of birth in the digits of any script.
func readYear(typed string, now time.Time) (int, bool) {
	digits, ok := ReadCode(strings.TrimSpace(typed), 4)
	if !ok {
		return 0, false
	}
	year := 0
	for _, d := range digits {
		year = year*10 + int(d-'0')
	}
	return year, year >= 1880 && year <= now.Year()
}
