package authflow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// confirmRemote is Confirm, after the count, where an authority compares the code
// and answers. What it answered stays good for a while (see Authority.Answer), so
// where something fails behind it, the same code can be entered once more: it is
// kept, as a keyed hash, with the authority's token.
func (f *Flow) confirmRemote(ctx context.Context, a *Audience, browser, txn ID128, h state.Handshake, req request, proof Proof) (Granted, error) {
	authority := f.Authorities[a.ID]
	if authority == nil {
		return Granted{}, f.down(errNoAuthority)
	}
	id := entryKey(txn)
	held := req.Token != ""
	to := charged{mobile: h.Mobile, client: h.Client, block: f.blockKey(req.Mobile), own: f.ownKey(h.Mobile, browser), known: req.Known}
	switch {
	case h.Proved:
		if _, ok := readYear(proof.BirthYear, f.Now()); !ok {
			return Granted{}, fail(BadRequest)
		}
		if err := f.State.SpendProved(ctx, id); errors.Is(err, state.ErrNotFound) {
			return Granted{}, fail(TxnUnknown)
		} else if err != nil {
			return Granted{}, f.down(err)
		}
	case held:
		if err := f.compare(ctx, txn, h, browser, req, proof.Code); err != nil {
			return Granted{}, err
		}
	default:
		if err := f.takeWrong(ctx, to); err != nil {
			f.uncount(ctx, id)
			return Granted{}, err
		}
	}

	if !held {
		code, _ := ReadCode(proof.Code, f.OTP.Length)
		year := ""
		if h.Proved {
			year, _ = ReadCode(proof.BirthYear, 4)
		}
		token, err := authority.Confirm(ctx, req.Txn, Proof{Code: code, BirthYear: year})
		if err != nil {
			return Granted{}, f.notConfirmed(ctx, a, txn, h, req, to, err)
		}
		if !h.Proved {
			if err := f.spendRemote(ctx, txn); err != nil {
				return Granted{}, err
			}
			f.right(ctx, to)
		}
		req.Token = token
	}

	g, err := f.answerRemote(ctx, authority, a, txn, req)
	e := (*Error)(nil)
	switch {
	case err == nil:
		f.forget(ctx, id)
		f.Observer.Handshake("confirmed")
		g.Phone = f.phoneMark(browser, req.Mobile)
		return g, nil
	case errors.As(err, &e) && e.Code != Unavailable && e.Code != TooManyRequests: // there is nothing to try again
		f.forget(ctx, id)
	case held:
		f.reopen(ctx, id, h.Proved)
	default:
		f.hold(ctx, txn, h, req, proof.Code)
	}
	return Granted{}, f.refusal(err)
}

// spendRemote spends a handshake whose code the authority found right.
func (f *Flow) spendRemote(ctx context.Context, txn ID128) error {
	_, err := f.State.Spend(ctx, entryKey(txn), atAuthority(txn))
	switch {
	case errors.Is(err, state.ErrNotFound):
		return fail(TxnUnknown)
	case err != nil:
		return f.down(err)
	}
	return nil
}

// notConfirmed does what the authority's refusal leads to here.
func (f *Flow) notConfirmed(ctx context.Context, a *Audience, txn ID128, h state.Handshake, req request, to charged, err error) error {
	id := entryKey(txn)
	e := (*Error)(nil)
	if !errors.As(err, &e) {
		e = unavailable(err)
	}
	if h.Proved { // the code is out of it; the year was wrong, or could not be tried
		switch e.Code {
		case NoRecord, Ambiguous, Locked:
			f.refusedRemote(ctx, a, txn, req, e)
			return &Error{Code: e.Code}
		case TxnUnknown:
			f.forget(ctx, id)
		default:
			f.reopen(ctx, id, true)
		}
		return f.refusal(e)
	}
	switch e.Code {
	case NoRecord, Ambiguous, Locked: // after the code: it was right
		if err := f.spendRemote(ctx, txn); err != nil {
			return err
		}
		f.right(ctx, to)
		if e.Code == Ambiguous && e.Need != "" {
			f.Observer.Handshake("ambiguous")
			if err := f.State.Reopen(ctx, id, true, f.OTP.Lifetime+grace); err != nil {
				return f.down(err)
			}
			return e
		}
		f.refusedRemote(ctx, a, txn, req, e)
		return e
	case OTPInvalid:
		f.Observer.Handshake("wrong")
		if e.AttemptsLeft < 0 { // it did not say
			e.AttemptsLeft = max(0, req.Attempts-h.Tries)
		}
		return e
	case OTPAttempts:
		f.Observer.Handshake("dead")
	case OTPExpired:
		f.Observer.Handshake("expired")
	}
	// The code was not compared, as far as we know: where it may have been, it
	// stays counted.
	if !errors.Is(err, ErrUnsure) {
		f.giveBack(ctx, state.Return{Key: f.under("wrong", to.mobile)}, state.Return{Key: f.under("wrong", to.own)})
		if e.Code != OTPAttempts {
			f.uncount(ctx, id)
		}
	}
	return f.refusal(e)
}

// refusedRemote notes that the authority has no answer, and ends the handshake.
func (f *Flow) refusedRemote(ctx context.Context, a *Audience, txn ID128, req request, e *Error) {
	outcome := string(e.Code)
	if e.Code == Locked {
		outcome = "refused_locked"
	}
	f.Observer.Handshake(outcome)
	f.refused(ctx, a, txn, req, string(e.Code))
	f.forget(ctx, entryKey(txn))
}

// answerRemote gets the authority's answer and makes a pass of it, once the
// consent is in our ledger under the authority's id.
func (f *Flow) answerRemote(ctx context.Context, authority Authority, a *Audience, txn ID128, req request) (Granted, error) {
	number := f.number(req.Mobile)
	if f.Withdrawals.Locked(number) { // here, when this service had a registry of its own
		f.refused(ctx, a, txn, req, "locked")
		f.Observer.Handshake("refused_locked")
		return Granted{}, fail(Locked)
	}
	got, err := authority.Answer(ctx, req.Txn, req.Token)
	if err != nil {
		return Granted{}, err
	}
	if got.Purpose != a.Purpose {
		f.otherPurpose(ctx, authority, a, got.Purpose)
	}
	now := f.Now()
	at := got.AuthTime
	if at.After(now) { // by the authority's clock
		at = now
	}
	p := pass.Pass{
		Subject:  got.Subject,
		Consent:  got.Consent,
		TxnID:    txn,
		Number:   number,
		Status:   got.Status,
		AuthTime: at.Unix(),
		Expires:  at.Add(a.Session).Unix(),
	}
	person := f.persons.key("authority", authority.Issuer(), string(got.Subject[:]))
	err = f.Ledger.Append(ctx, ledger.Entry{
		Event:   ledger.Given,
		Consent: FormatID(p.Consent),
		At:      now.UTC(),
		Person:  FormatID(person),
		Phone:   phoneOf(p.Number),
		Partner: a.ID,
		How:     req.how(),
		Purpose: a.Purpose,
		TxnID:   FormatTxnID(txn),
		Notice:  f.NoticeVersion(req.Lang),
		Lang:    req.Lang,
		Until:   time.Unix(p.Expires, 0).UTC(),
	})
	if err != nil {
		return Granted{}, fmt.Errorf("writing the consent to the ledger: %w", err)
	}
	return Granted{Pass: p, Token: a.Sealer.Seal(p), Return: req.Return, Audience: a}, nil
}

// otherPurpose says once that people consent to something else here than is on the
// authority's record.
func (f *Flow) otherPurpose(ctx context.Context, authority Authority, a *Audience, there string) {
	if _, said := f.saidOf.LoadOrStore(a.ID+" "+a.Purpose+" "+there, true); !said {
		f.Logger.WarnContext(ctx, "people are shown another purpose here than the authority has on record for the partner: write the same one in both places",
			"authority", authority.Issuer(), "partner", a.ID, "here", a.Purpose, "there", there)
	}
}

// hold keeps a handshake whose code was right and whose answer did not get here,
// so that the code, or the birth year, can be entered once more.
func (f *Flow) hold(ctx context.Context, txn ID128, h state.Handshake, req request, typed string) {
	id := entryKey(txn)
	// not on the time of who asked: they may have gone, and come back
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	sealed, err := f.seal(txn, req)
	if err == nil {
		code, _ := ReadCode(typed, f.OTP.Length)
		h.Sealed, h.Code = sealed, f.codeHash(0, txn, wireHash(code))
		h.CodeExpires = f.Now().Add(f.OTP.Lifetime)
		h.Tries = max(0, h.Tries-1)
		h.Spent = false
		if err = f.State.Delete(ctx, id); err == nil {
			err = f.State.Create(ctx, id, h, f.OTP.Lifetime+grace)
		}
	}
	if err != nil {
		f.Logger.WarnContext(ctx, "a handshake that the authority answered could not be kept; the person needs a new code", "error", err)
	}
}
