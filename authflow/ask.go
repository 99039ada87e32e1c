package authflow

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/sms"
	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/registry"
)

// Person is what a person typed.
type Person struct {
	Mobile  string
	Name    string
	Consent string // "Y"
}

var errPartnerEnded = errors.New("the partner's registration has ended: see `expires`")

func (f *Flow) read(p Person, asking bool) (mobile registry.Mobile, name string, problems []Code) {
	if p.Consent != "Y" {
		problems = append(problems, ConsentRequired)
	}
	mobile, err := f.parseMobile(p.Mobile, asking)
	if err != nil {
		problems = append(problems, MobileInvalid)
	}
	if _, err := registry.ParseName(p.Name); err != nil {
		problems = append(problems, NameInvalid)
	}
	return mobile, p.Name, problems
}

// Fingerprint reads what was typed and asks nobody. It returns what is wrong
// with it, in the order of the form, or else the keyed hash of who asks what: the
// same for the same person at the same partner from the same browser.
func (f *Flow) Fingerprint(a *Audience, by Asker, p Person) (ID128, []Code) {
	mobile, name, problems := f.read(p, false)
	if len(problems) > 0 {
		return ID128{}, problems
	}
	return f.entries.key("ask", string(by.Browser[:]), a.Host, a.ID, string(mobile), name), nil
}

// Ask takes consent, number and name, sends a code and returns the handshake.
// It never asks the registry, so that neither its answer nor its time tells
// who is in it.
func (f *Flow) Ask(ctx context.Context, a *Audience, by Asker, p Person, ret string) (Asked, error) {
	mobile, name, problems := f.read(p, true)
	if len(problems) > 0 {
		return Asked{}, fail(problems[0])
	}
	return f.begin(ctx, a, by, mobile, name, ret)
}

// begin begins a handshake with what was read.
func (f *Flow) begin(ctx context.Context, a *Audience, by Asker, mobile registry.Mobile, name, ret string) (Asked, error) {
	if a.Ended(f.Now()) {
		return Asked{}, f.down(errPartnerEnded)
	}
	if len(ret) > MaxReturn {
		ret = ""
	}
	if f.remote() {
		return f.beginRemote(ctx, a, by, mobile, name, ret)
	}
	code, err := newCode(f.OTP.Length)
	if err != nil {
		return Asked{}, f.down(fmt.Errorf("making a code: %w", err))
	}
	now := f.Now()
	txn := newTxnID()
	to := f.chargedTo(a, by, mobile)
	h := state.Handshake{
		Scope:       scope(txn, by.Browser, a),
		Code:        f.codeHash(0, txn, wireHash(code)),
		CodeExpires: now.Add(f.OTP.Lifetime),
		Sends:       1,
		NextSend:    now.Add(f.OTP.ResendAfter),
		Mobile:      to.mobile,
		Client:      to.client,
	}
	req := request{Partner: a.ID, Mobile: mobile, Name: name, Lang: by.Lang, Return: ret, Known: to.known, Call: newCall(a, by)}
	if h.Sealed, err = f.seal(txn, req); err != nil {
		return Asked{}, f.down(err)
	}
	if err := f.take(ctx, to); err != nil {
		return Asked{}, err
	}
	id := entryKey(txn)
	if err := f.State.Create(ctx, id, h, f.OTP.Lifetime+grace); err != nil {
		f.notSent(ctx, to)
		return Asked{}, f.down(err)
	}
	if err := f.noteAsked(ctx, a, txn, req); err != nil {
		f.notSent(ctx, to)
		f.forget(ctx, id)
		return Asked{}, err
	}
	if err := f.send(ctx, a, by.Lang, txn, mobile, code, h.Sends, to); err != nil {
		f.noteOutcome(ctx, a, txn, req, outcome{Code: Unavailable})
		if derr := f.State.Delete(ctx, id); derr != nil {
			f.Logger.WarnContext(ctx, "a handshake whose code was not sent could not be removed; it ends by itself", "error", derr)
		}
		return Asked{}, err
	}
	f.Observer.Handshake("asked")
	return f.asked(txn, h, req, now), nil
}

// send hands the nth code of a handshake to the senders. A failure known at once is an error and
// gives the budgets back; one known later gives them back then.
func (f *Flow) send(ctx context.Context, a *Audience, lang string, txn ID128, mobile registry.Mobile, code string, n int, to charged) error {
	text, lang := f.Text(lang, a, code)
	if a.Frame != "" {
		// The text ends with the origin-bound line, which names the frame last
		// (https://wicg.github.io/sms-one-time-codes/, section 4).
		text += " %" + a.Frame
	}
	m := sms.Message{
		To:    string(mobile),
		Text:  text,
		Code:  code,
		TxnID: FormatTxnID(txn),
		ID:    FormatTxnID(txn) + "-" + strconv.Itoa(n),
		Lang:  lang,
	}
	err := f.Messenger.Send(ctx, m, func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		f.notSent(late, to)
	})
	if err != nil {
		f.notSent(ctx, to)
		return f.down(err)
	}
	return nil
}

// Resend sends another code in the same handshake, once the waiting time is
// over. The new code replaces the old one; wrong tries stay counted.
func (f *Flow) Resend(ctx context.Context, a *Audience, by Asker, txn ID128) (Asked, error) {
	h, req, err := f.load(ctx, a, by.Browser, txn)
	if err != nil {
		return Asked{}, err
	}
	if h.Proved || by.Txn != "" && by.Txn != req.callerTxn() {
		return Asked{}, fail(TxnUnknown)
	}
	if a, err = f.actingOf(a, req); err != nil {
		return Asked{}, err
	}
	if h.Tries >= f.attempts(req) {
		return Asked{}, fail(OTPAttempts)
	}
	now := f.Now()
	if wait := h.NextSend.Sub(now); wait > 0 {
		f.Observer.Handshake("limited")
		return Asked{}, &Error{Code: TooManyRequests, RetryAfter: wait}
	}
	if f.remote() {
		return f.resendRemote(ctx, a, by, txn, h, req)
	}
	code, err := newCode(f.OTP.Length)
	if err != nil {
		return Asked{}, f.down(fmt.Errorf("making a code: %w", err))
	}
	to := f.chargedTo(a, by, req.Mobile)
	to.again = true
	if err := f.take(ctx, to); err != nil {
		return Asked{}, err
	}
	sends := h.Sends
	h.Sends++
	h.Code = f.codeHash(0, txn, wireHash(code))
	h.CodeExpires = now.Add(f.OTP.Lifetime)
	h.NextSend = now.Add(f.OTP.ResendAfter << min(sends, 10))
	err = f.State.Resend(ctx, entryKey(txn), sends, h.Code, h.CodeExpires, h.NextSend, f.OTP.Lifetime+grace)
	if err != nil {
		f.notSent(ctx, to)
		switch {
		case errors.Is(err, state.ErrConflict): // another press of the button was faster
			f.Observer.Handshake("limited")
			return Asked{}, &Error{Code: TooManyRequests, RetryAfter: f.OTP.ResendAfter}
		case errors.Is(err, state.ErrNotFound):
			return Asked{}, fail(TxnUnknown)
		}
		return Asked{}, f.down(err)
	}
	if err := f.send(ctx, a, by.Lang, txn, req.Mobile, code, h.Sends, to); err != nil {
		return Asked{}, err
	}
	f.Observer.Handshake("resent")
	return f.asked(txn, h, req, now), nil
}

// Look returns a handshake under way without spending anything; TxnUnknown if
// it is not of this browser, site and partner.
func (f *Flow) Look(ctx context.Context, a *Audience, by Asker, txn ID128) (Asked, error) {
	h, req, err := f.load(ctx, a, by.Browser, txn)
	if err != nil {
		return Asked{}, err
	}
	return f.asked(txn, h, req, f.Now()), nil
}

// PartnerOf returns the id of the partner a handshake was begun for, so that a
// caller that was given only a txnId knows whom to continue for.
func (f *Flow) PartnerOf(ctx context.Context, txn ID128) (string, error) {
	_, req, err := f.find(ctx, txn)
	if err != nil {
		return "", err
	}
	return req.Partner, nil
}

func (f *Flow) find(ctx context.Context, txn ID128) (state.Handshake, request, error) {
	h, err := f.State.Load(ctx, entryKey(txn))
	if errors.Is(err, state.ErrNotFound) {
		return h, request{}, fail(TxnUnknown)
	}
	if err != nil {
		return h, request{}, f.down(err)
	}
	if h.Spent {
		return h, request{}, fail(TxnUnknown)
	}
	req, err := f.unseal(txn, h.Sealed)
	if err != nil {
		return h, req, fail(TxnUnknown) // sealed under a secret that is no more
	}
	return h, req, nil
}

func (f *Flow) load(ctx context.Context, a *Audience, browser ID128, txn ID128) (state.Handshake, request, error) {
	h, req, err := f.find(ctx, txn)
	if err != nil {
		return h, req, err
	}
	if h.Scope != scope(txn, browser, a) || req.Partner != a.ID {
		return h, req, fail(TxnUnknown)
	}
	return h, req, nil
}

func (f *Flow) asked(txn ID128, h state.Handshake, req request, now time.Time) Asked {
	return Asked{
		TxnID:        txn,
		Partner:      req.Partner,
		MaskedMobile: req.Mobile.Masked(),
		ExpiresIn:    max(0, h.CodeExpires.Sub(now)),
		ResendAfter:  max(0, h.NextSend.Sub(now)),
		AttemptsLeft: max(0, f.attempts(req)-h.Tries),
		Return:       req.Return,
		Proved:       h.Proved,
		CallerTxn:    req.callerTxn(),
	}
}
