package authflow

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/registry"
)

// Authority is the service that owns a registry elsewhere, as one of its partners
// sees it: it sends the codes, compares them, asks its registry and answers
// (contract, section 5). What people are shown, the limits of this service, its
// ledger, its passes and its assertions stay with the Flow.
//
// An error is an *Error where the authority said no, or could not be asked; any
// other means that it does not answer as it should. One that is ErrUnsure leaves
// open whether what was asked was done. Safe for concurrent use.
type Authority interface {
	// Issuer is whose answers these are: iss in the authority's assertions,
	// `authority` in ours.
	Issuer() string
	// Page is the address at which a person sees what the authority has recorded of
	// them.
	Page() string
	// Ask has the authority send a code.
	Ask(ctx context.Context, r AuthorityRequest) (AuthorityAsked, error)
	// Resend has the authority send another one in the handshake that it calls txn.
	Resend(ctx context.Context, txn string, r AuthorityRequest) (AuthorityAsked, error)
	// Confirm hands on what a person entered and returns a token for Answer. It is
	// never asked twice by itself: a code is good once.
	Confirm(ctx context.Context, txn string, proof Proof) (token string, err error)
	// Answer returns what the authority answered in the handshake that it calls txn,
	// from an assertion whose signature it has checked. It can be asked again.
	Answer(ctx context.Context, txn, token string) (AuthorityAnswer, error)
	// Withdrawn has the authority know that a consent was withdrawn here. It returns
	// at once, and tries until it is done.
	Withdrawn(consent ID128)
}

// AuthorityRequest is what the authority is told of a handshake.
type AuthorityRequest struct {
	Mobile registry.Mobile
	Name   string
	Lang   string
	Client netip.Addr // the person's; invalid where it is not known
	// Session is how long what comes of it lasts here.
	Session time.Duration
}

// AuthorityAsked is a handshake under way at the authority.
type AuthorityAsked struct {
	Txn                    string
	ExpiresIn, ResendAfter time.Duration
	AttemptsLeft           int
}

// AuthorityAnswer is what the authority's assertion says.
type AuthorityAnswer struct {
	Subject, Consent ID128
	Status           uint8 // 0, 1 or 2
	AuthTime         time.Time
	Purpose          string // as the authority has it for the partner
}

// ErrUnsure says that it is not known whether the authority has done what it was
// asked.
var ErrUnsure = errors.New("it is not known whether the authority did what it was asked")

// ErrAtAuthority is the cause of an AtAuthority error.
var ErrAtAuthority = errors.New("what is recorded of a number is with the authority: this service sends no codes; see Flow.RecordsAt")

var errNoAuthority = errors.New("no authority was named for this partner: write `authority URL { partner …; key … }` for it in the global option")

// RecordsAt is the address of the page at which a person sees and ends what is
// recorded of them, where that is not here; "" where it is.
func (f *Flow) RecordsAt(a *Audience) string {
	if len(f.Authorities) == 0 {
		return ""
	}
	if authority := f.Authorities[a.ID]; authority != nil {
		return authority.Page()
	}
	for _, authority := range f.Authorities { // a site's Self audience: they are all one authority's, as a rule
		return authority.Page()
	}
	return ""
}

// remote tells whether an authority elsewhere is asked.
func (f *Flow) remote() bool { return len(f.Authorities) > 0 }

// attempts is how many codes can be entered in a handshake.
func (f *Flow) attempts(req request) int {
	if req.Txn != "" {
		return req.Attempts
	}
	return f.OTP.Attempts
}

// atAuthority stands in a remote handshake's entry where a local one has its
// code, so that the entry can be spent: which code is right, the authority knows.
func atAuthority(txn ID128) (out [32]byte) {
	k := plainKey("authority", string(txn[:]))
	copy(out[:], k[:])
	return out
}

// beginRemote is begin where an authority sends the code. The handshake is kept
// once the authority has begun it, because only then it is known what to keep;
// that the state answers, take has shown.
func (f *Flow) beginRemote(ctx context.Context, a *Audience, by Asker, mobile registry.Mobile, name, ret string) (Asked, error) {
	authority := f.Authorities[a.ID]
	if authority == nil {
		return Asked{}, f.down(errNoAuthority)
	}
	txn := newTxnID()
	to := f.chargedTo(a, by, mobile)
	if err := f.take(ctx, to); err != nil {
		return Asked{}, err
	}
	got, err := authority.Ask(ctx, f.authorityRequest(a, by, mobile, name))
	if err != nil {
		return Asked{}, f.notAsked(ctx, to, err)
	}
	now := f.Now()
	req := request{Partner: a.ID, Mobile: mobile, Name: name, Lang: by.Lang, Return: ret, Known: to.known, Call: newCall(a, by), Txn: got.Txn, Attempts: got.AttemptsLeft}
	h := state.Handshake{
		Scope:       scope(txn, by.Browser, a),
		Code:        atAuthority(txn),
		CodeExpires: now.Add(got.ExpiresIn),
		Sends:       1,
		NextSend:    now.Add(got.ResendAfter),
		Mobile:      to.mobile,
		Client:      to.client,
	}
	if h.Sealed, err = f.seal(txn, req); err != nil {
		return Asked{}, f.down(err)
	}
	if err := f.State.Create(ctx, entryKey(txn), h, got.ExpiresIn+grace); err != nil {
		return Asked{}, f.down(err) // the code is on its way, and stays charged
	}
	f.Observer.Handshake("asked")
	return f.asked(txn, h, req, now), nil
}

func (f *Flow) authorityRequest(a *Audience, by Asker, mobile registry.Mobile, name string) AuthorityRequest {
	return AuthorityRequest{Mobile: mobile, Name: name, Lang: by.Lang, Client: by.IP, Session: a.Session}
}

// notAsked gives a code's charges back that was certainly not sent.
func (f *Flow) notAsked(ctx context.Context, to charged, err error) error {
	if !errors.Is(err, ErrUnsure) {
		f.notSent(ctx, to)
	}
	return f.refusal(err)
}

// refusal is what becomes of an error of the authority's.
func (f *Flow) refusal(err error) error {
	e := (*Error)(nil)
	if !errors.As(err, &e) {
		return f.down(err)
	}
	switch e.Code {
	case Unavailable:
		f.Observer.Handshake("unavailable")
	case TooManyRequests:
		f.Observer.Handshake("limited")
	}
	return e
}

// resendRemote is Resend where an authority sends the code. Of two presses of the
// button the authority refuses one.
func (f *Flow) resendRemote(ctx context.Context, a *Audience, by Asker, txn ID128, h state.Handshake, req request) (Asked, error) {
	authority := f.Authorities[a.ID]
	if authority == nil {
		return Asked{}, f.down(errNoAuthority)
	}
	to := f.chargedTo(a, by, req.Mobile)
	if err := f.take(ctx, to); err != nil {
		return Asked{}, err
	}
	got, err := authority.Resend(ctx, req.Txn, f.authorityRequest(a, by, req.Mobile, req.Name))
	if err != nil {
		return Asked{}, f.notAsked(ctx, to, err)
	}
	now := f.Now()
	sends := h.Sends
	h.Sends++
	h.CodeExpires, h.NextSend = now.Add(got.ExpiresIn), now.Add(got.ResendAfter)
	err = f.State.Resend(ctx, entryKey(txn), sends, h.Code, h.CodeExpires, h.NextSend, got.ExpiresIn+grace)
	switch {
	case errors.Is(err, state.ErrNotFound):
		return Asked{}, fail(TxnUnknown)
	case err != nil && !errors.Is(err, state.ErrConflict): // then another press has noted it
		return Asked{}, f.down(err)
	}
	f.Observer.Handshake("resent")
	asked := f.asked(txn, h, req, now)
	asked.AttemptsLeft = min(asked.AttemptsLeft, got.AttemptsLeft)
	return asked, nil
}
