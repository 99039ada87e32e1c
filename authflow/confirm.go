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
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
	"github.com/kycvs/caddy-kycvs/registry"
)

// Proof is what a person enters to finish a handshake: the code, or, where the
// answer was ambiguous, the year of birth.
type Proof struct {
	Code      string
	BirthYear string
	// Txn is Asker.Txn, where the caller gives it again: another one is as an unknown
	// handshake.
	Txn string
}

// Granted is the answer to a finished handshake.
type Granted struct {
	Pass   pass.Pass
	Token  string // the pass, sealed
	Return string
	// Phone is what the browser may keep, so that nobody else can lock its owner
	// out of the number: see Asker.Phones.
	Phone ID128
	// Audience is whom the pass is for: the partner, acting for whom it said.
	Audience *Audience
	// CallerTxn is Asker.Txn.
	CallerTxn string
}

// Confirm counts the code, compares it, spends it, asks the registry, writes
// the consent to the ledger and returns the pass, in that order.
//
// The count comes before the comparison, each in one atomic step of the store:
// a thousand codes entered at once, on however many instances, are as many
// guesses as are allowed and no more.
func (f *Flow) Confirm(ctx context.Context, a *Audience, browser ID128, txn ID128, proof Proof) (Granted, error) {
	if a.Ended(f.Now()) {
		return Granted{}, f.down(errPartnerEnded)
	}
	if proof.Txn != "" {
		if _, req, err := f.load(ctx, a, browser, txn); err != nil {
			return Granted{}, err
		} else if req.callerTxn() != proof.Txn {
			return Granted{}, fail(TxnUnknown)
		}
	}
	h, req, err := f.count(ctx, a, browser, txn, proof.Code)
	if err != nil {
		return Granted{}, err
	}
	if a, err = f.actingOf(a, req); err != nil {
		return Granted{}, err
	}
	if f.remote() {
		return f.confirmRemote(ctx, a, browser, txn, h, req, proof)
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
	} else if err := f.compare(ctx, txn, h, browser, req, proof.Code); err != nil {
		return Granted{}, err
	}
	g, err := f.answer(ctx, a, txn, req, h.Proved, year)
	if err == nil {
		g.Phone = f.phoneMark(browser, req.Mobile)
	}
	return g, err
}

// count counts the code that was typed and returns the handshake, or says why
// the code is not to be compared. One that awaits a birth year is returned
// uncounted.
func (f *Flow) count(ctx context.Context, a *Audience, browser, txn ID128, typed string) (h state.Handshake, req request, err error) {
	if _, ok := wireOf(typed, f.OTP.Length); !ok {
		h, req, err = f.load(ctx, a, browser, txn)
		if err == nil && !h.Proved {
			err = fail(OTPMissing)
		}
		return h, req, err
	}
	id := entryKey(txn)
	h, err = f.State.Count(ctx, id, scope(txn, browser, a))
	switch {
	case errors.Is(err, state.ErrNotFound):
		return h, req, fail(TxnUnknown)
	case err != nil:
		return h, req, f.down(err)
	}
	if req, err = f.unseal(txn, h.Sealed); err != nil {
		return h, req, fail(TxnUnknown) // sealed under a secret that is no more
	}
	switch {
	case h.Proved:
	case h.Tries > f.attempts(req):
		f.Observer.Handshake("dead")
		return h, req, fail(OTPAttempts)
	case !f.Now().Before(h.CodeExpires):
		f.uncount(ctx, id)
		f.Observer.Handshake("expired")
		return h, req, fail(OTPExpired)
	}
	return h, req, nil
}

// compare spends the code, which has been counted, or says why not.
func (f *Flow) compare(ctx context.Context, txn ID128, h state.Handshake, browser ID128, req request, typed string) error {
	wire, _ := wireOf(typed, f.OTP.Length)
	id := entryKey(txn)
	to := charged{mobile: h.Mobile, client: h.Client, block: f.blockKey(req.Mobile), own: f.ownKey(h.Mobile, browser), known: req.Known}
	if req.how() == HowAPI {
		to.partner = f.entries.key("partner", req.Partner)
	}
	if err := f.takeWrong(ctx, to); err != nil {
		f.uncount(ctx, id)
		return err
	}
	for i := range f.codes {
		right, err := f.State.Spend(ctx, id, f.codeHash(i, txn, wire))
		switch {
		case errors.Is(err, state.ErrNotFound):
			f.giveBack(ctx, state.Return{Key: f.under("wrong", to.mobile)}, state.Return{Key: f.under("wrong", to.own)})
			return fail(TxnUnknown)
		case err != nil:
			return f.down(err)
		case right:
			f.right(ctx, to)
			return nil
		}
	}
	f.Observer.Handshake("wrong")
	return &Error{Code: OTPInvalid, AttemptsLeft: max(0, f.attempts(req)-h.Tries)}
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
	id := entryKey(txn)
	if f.Withdrawals.Locked(f.number(req.Mobile)) {
		f.refused(ctx, a, txn, req, "locked")
		f.noteOutcome(ctx, a, txn, req, outcome{Code: Locked})
		f.forget(ctx, id)
		f.Observer.Handshake("refused_locked")
		return Granted{}, fail(Locked)
	}
	found, err := f.lookup(ctx, a, req, year)
	var ambiguous *registry.AmbiguousError
	switch {
	case errors.Is(err, registry.ErrNoRecord):
		f.refused(ctx, a, txn, req, "no_record")
		f.noteOutcome(ctx, a, txn, req, outcome{Code: NoRecord})
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
		f.refused(ctx, a, txn, req, "ambiguous")
		f.noteOutcome(ctx, a, txn, req, outcome{Code: Ambiguous})
		f.forget(ctx, id)
		return Granted{}, fail(Ambiguous)
	case err != nil:
		f.reopen(ctx, id, proved)
		return Granted{}, f.down(fmt.Errorf("asking the registry: %w", err))
	}

	now := f.Now()
	p := pass.Pass{
		Subject:  f.subjects.key(a.ID, found.Person),
		Consent:  f.newConsent(a.ID),
		TxnID:    txn,
		Number:   f.number(req.Mobile),
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
		Phone:   phoneOf(p.Number),
		Partner: a.ID,
		How:     req.how(),
		Acting:  a.Acting.ID,
		Purpose: a.Purpose,
		TxnID:   FormatTxnID(txn),
		Notice:  f.noticeOf(a, req),
		Lang:    req.Lang,
		Until:   req.reliedOn(time.Unix(p.Expires, 0), now).UTC(),
	})
	if err != nil {
		f.reopen(ctx, id, proved)
		return Granted{}, f.down(fmt.Errorf("writing the consent to the ledger: %w", err))
	}
	f.forget(ctx, id)
	f.Observer.Handshake("confirmed")
	g := Granted{Pass: p, Token: a.Sealer.Seal(p), Return: req.Return, Audience: a, CallerTxn: req.callerTxn()}
	f.noteOutcome(ctx, a, txn, req, outcome{Token: g.Token})
	return g, nil
}

func (f *Flow) lookup(ctx context.Context, a *Audience, req request, year int) (registry.Answer, error) {
	start := f.Now()
	records, err := f.Registry.Lookup(ctx, req.Mobile)
	f.Observer.Lookup(f.Now().Sub(start))
	if err != nil {
		return registry.Answer{}, err
	}
	match := f.NameMatch
	if a.NameMatch != nil {
		match = *a.NameMatch
	}
	return registry.Decide(records, registry.Query{Mobile: req.Mobile, Name: req.Name, BirthYear: year}, match, f.Schedule)
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

// Withdraw ends a consent. It returns nil once that is durable and every
// instance can know: from then on no pass that rests on it opens anything here,
// and a second later none opens anything elsewhere. An error that wraps
// withdrawals.ErrNotShared says that it is durable and counts here, but that
// other instances could not be told yet.
func (f *Flow) Withdraw(ctx context.Context, a *Audience, p pass.Pass) error {
	return f.withdraw(ctx, ledger.Entry{
		Consent: FormatID(p.Consent),
		Phone:   phoneOf(p.Number),
		Partner: a.ID,
		TxnID:   FormatTxnID(p.TxnID),
		How:     HowPage,
		Until:   time.Unix(p.Expires, 0).UTC(),
	}, p.Consent)
}

func (f *Flow) withdraw(ctx context.Context, e ledger.Entry, consent ID128) error {
	w := withdrawals.Withdrawal{Consent: consent, Until: e.Until}
	if f.Withdrawals.Has(consent) { // in a ledger already, but maybe not known everywhere
		return f.share(ctx, w)
	}
	e.Event, e.At = ledger.Withdrawn, f.Now().UTC()
	if err := f.Ledger.Append(ctx, e); err != nil {
		return f.down(fmt.Errorf("writing the withdrawal to the ledger: %w", err))
	}
	f.Observer.Handshake("withdrawn")
	if authority := f.Authorities[e.Partner]; authority != nil {
		authority.Withdrawn(consent)
	}
	return f.share(ctx, w)
}

// share has every instance know.
func (f *Flow) share(ctx context.Context, w withdrawals.Withdrawal) error {
	if err := f.Withdrawals.Withdraw(ctx, w); err != nil {
		e := unavailable(err)
		e.Partly = true
		return e
	}
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
