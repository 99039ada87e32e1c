package authflow

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
	"github.com/kycvs/caddy-kycvs/registry"
)

// The holder's own side: whoever proves a number with a code sees every consent
// that was given with it at this operator and every answer made from it, ends
// any of them, and locks the number (UIDAI's authentication history and Aadhaar
// lock are the models).

// SelfID is the id of the audience that a person is to themselves. No partner can
// have it: a partner's id begins with a letter or a digit.
const SelfID = ".self"

// SelfSession is how long a proven number can be looked at without another code.
const SelfSession = 10 * time.Minute

// Self is what a proven number is at one site.
type Self struct {
	Pass  pass.Pass
	Token string // the pass, sealed for the site's Self audience
	Phone ID128  // see Granted.Phone
}

// number is what is recorded, and locked, in place of a mobile number.
func (f *Flow) number(m registry.Mobile) withdrawals.Number {
	k := f.persons.key("number", string(m))
	return withdrawals.Number(k[:8])
}

// phoneOf is how the ledger writes a number: with a letter before it, so that it
// can never look like one.
func phoneOf(n withdrawals.Number) string { return "n" + base64.RawURLEncoding.EncodeToString(n[:]) }

// AskSelf sends a code to a number whose owner wants to see what is recorded of
// it. It costs what any code costs. a is a site's Self audience. AtAuthority where
// an authority sends the codes: see RecordsAt.
func (f *Flow) AskSelf(ctx context.Context, a *Audience, by Asker, mobile string) (Asked, error) {
	if f.remote() {
		return Asked{}, &Error{Code: AtAuthority, Cause: ErrAtAuthority}
	}
	m, err := f.parseMobile(mobile, true)
	if err != nil {
		return Asked{}, fail(MobileInvalid)
	}
	return f.begin(ctx, a, by, m, "", "")
}

// FingerprintSelf is Fingerprint for AskSelf; the error is MobileInvalid.
func (f *Flow) FingerprintSelf(a *Audience, by Asker, mobile string) (ID128, error) {
	m, err := f.parseMobile(mobile, false)
	if err != nil {
		return ID128{}, fail(MobileInvalid)
	}
	return f.entries.key("ask", string(by.Browser[:]), a.Host, a.ID, string(m)), nil
}

// ProveSelf takes the code. Neither registry nor ledger is asked.
func (f *Flow) ProveSelf(ctx context.Context, a *Audience, browser, txn ID128, code string) (Self, error) {
	h, req, err := f.count(ctx, a, browser, txn, code)
	if err != nil {
		return Self{}, err
	}
	if a.ID != SelfID || h.Proved {
		return Self{}, fail(TxnUnknown)
	}
	if err := f.compare(ctx, txn, h, browser, req, code); err != nil {
		return Self{}, err
	}
	f.forget(ctx, entryKey(txn))
	now := f.Now()
	p := pass.Pass{TxnID: txn, Number: f.number(req.Mobile), AuthTime: now.Unix(), Expires: now.Add(SelfSession).Unix()}
	f.Observer.Handshake("self")
	return Self{Pass: p, Token: a.Sealer.Seal(p), Phone: f.phoneMark(browser, req.Mobile)}, nil
}

// Record is what the ledger has about one number, the newest first.
type Record struct {
	Locked   bool
	Consents []Consent
	Refusals []Refusal
}

// Consent is one consent that was given and what became of it.
type Consent struct {
	ID               string
	Partner, Purpose string
	Acting           string // whom the partner acted for, if anybody
	Notice, Lang     string // what was shown
	How              string
	Given, Until     time.Time
	Withdrawn        time.Time // zero if it was not
	Answers          []Answer
}

// Running tells whether answers can still be made from the consent.
func (c *Consent) Running(now time.Time) bool { return c.Withdrawn.IsZero() && now.Before(c.Until) }

// Answer is one answer that was made from a consent.
type Answer struct {
	At  time.Time
	How string
}

// Refusal is a consent to which there was no answer.
type Refusal struct {
	At               time.Time
	Partner, Purpose string
	Reason           string
}

// errNotSelf says that a pass is none of ProveSelf.
var errNotSelf = errors.New("not a pass of a proven number")

// Record returns what this instance's ledger has about a proven number. Instances
// with a ledger each know their own part.
func (f *Flow) Record(ctx context.Context, self pass.Pass) (Record, error) {
	n := withdrawals.Number(self.Number)
	if n == (withdrawals.Number{}) {
		return Record{}, f.down(errNotSelf)
	}
	r := Record{Locked: f.Withdrawals.Locked(n)}
	at := map[string]int{}
	err := f.Ledger.ByPhone(ctx, phoneOf(n), func(e ledger.Entry) error {
		i, known := at[e.Consent]
		switch e.Event {
		case ledger.Given:
			at[e.Consent] = len(r.Consents)
			r.Consents = append(r.Consents, Consent{
				ID: e.Consent, Partner: e.Partner, Purpose: e.Purpose, Acting: e.Acting, Notice: e.Notice, Lang: e.Lang,
				How: e.How, Given: e.At, Until: e.Until,
			})
		case ledger.Used:
			if known {
				r.Consents[i].Answers = append(r.Consents[i].Answers, Answer{e.At, e.How})
			}
		case ledger.Withdrawn:
			if known && r.Consents[i].Withdrawn.IsZero() {
				r.Consents[i].Withdrawn = e.At
			}
		case ledger.Refused:
			r.Refusals = append(r.Refusals, Refusal{e.At, e.Partner, e.Purpose, e.Reason})
		}
		return nil
	})
	if err != nil {
		return Record{}, f.down(fmt.Errorf("reading the ledger: %w", err))
	}
	for i := range r.Consents { // withdrawn at another instance
		c := &r.Consents[i]
		if id, err := ParseID(c.ID); err == nil && c.Withdrawn.IsZero() && f.Withdrawals.Has(id) {
			c.Withdrawn = f.Now()
		}
	}
	slices.SortStableFunc(r.Consents, func(a, b Consent) int { return cmp.Compare(b.Given.UnixNano(), a.Given.UnixNano()) })
	slices.SortStableFunc(r.Refusals, func(a, b Refusal) int { return cmp.Compare(b.At.UnixNano(), a.At.UnixNano()) })
	return r, nil
}

// EndConsent withdraws a consent that was given with a proven number; TxnUnknown
// if it is not among them. It is no error if it has ended already.
func (f *Flow) EndConsent(ctx context.Context, self pass.Pass, consent string) error {
	r, err := f.Record(ctx, self)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(r.Consents, func(c Consent) bool { return c.ID == consent })
	id, bad := ParseID(consent)
	if i < 0 || bad != nil {
		return fail(TxnUnknown)
	}
	c := r.Consents[i]
	if !f.Now().Before(c.Until) {
		return nil
	}
	return f.withdraw(ctx, ledger.Entry{
		Consent: consent, Partner: c.Partner, Phone: phoneOf(withdrawals.Number(self.Number)), How: "self", Until: c.Until,
	}, id)
}

// Lock locks a proven number, or unlocks it. While it is locked nobody gets an
// answer about it here, and no pass that was made with it counts. It returns nil
// once that is durable and every instance can know; see Withdraw.
func (f *Flow) Lock(ctx context.Context, self pass.Pass, locked bool) error {
	n := withdrawals.Number(self.Number)
	if n == (withdrawals.Number{}) {
		return f.down(errNotSelf)
	}
	id, news := f.Withdrawals.Change(n, locked)
	if news && !locked {
		if err := f.takeUnlock(ctx, n); err != nil {
			return err
		}
	}
	if news {
		e := ledger.Entry{Event: ledger.Locked, Consent: FormatID(id), Phone: phoneOf(n), At: f.Now().UTC(), How: "otp+sms"}
		outcome := "locked"
		if !locked {
			e.Event, outcome = ledger.Unlocked, "unlocked"
		}
		if err := f.Ledger.Append(ctx, e); err != nil {
			return f.down(fmt.Errorf("writing the lock to the ledger: %w", err))
		}
		f.Observer.Handshake(outcome)
	}
	if err := f.Withdrawals.Lock(ctx, id); err != nil {
		e := unavailable(err)
		e.Partly = true
		return e
	}
	return nil
}

// Locking is never refused. Unlocking is, after so many times a day: each is an
// entry that every instance remembers for ever.
const (
	maxUnlocks    = 20
	unlocksWindow = 24 * time.Hour
)

// takeUnlock charges an unlocking.
func (f *Flow) takeUnlock(ctx context.Context, n withdrawals.Number) error {
	_, err := f.State.Take(ctx, state.Budget{Name: "unlocks_per_mobile", Key: f.entries.key("unlocks", string(n[:])), Limit: maxUnlocks, Window: unlocksWindow})
	if limit, ok := asLimit(err); ok {
		f.Observer.Handshake("limited")
		return &Error{Code: TooManyRequests, RetryAfter: limit.RetryAfter, Cause: err}
	}
	if err != nil {
		return f.down(err)
	}
	return nil
}

// ParseID reads what FormatID writes.
func ParseID(s string) (ID128, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != len(ID128{}) {
		return ID128{}, errors.New("not an id")
	}
	return ID128(raw), nil
}
