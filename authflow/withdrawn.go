package authflow

import (
	"context"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// longestPass is how long something can rest on a consent of which nothing else
// is known: as long as the longest session that can be configured.
const longestPass = 366 * 24 * time.Hour

// WithdrawFor ends a consent that was given to the partner, as its program asks;
// TxnUnknown if it was given to somebody else, or is none. It returns as Withdraw
// does. It is no error if the consent has ended already.
func (f *Flow) WithdrawFor(ctx context.Context, a *Audience, consent ID128) error {
	if !f.GivenTo(consent, a.ID) {
		return fail(TxnUnknown)
	}
	return f.withdraw(ctx, ledger.Entry{
		Consent: FormatID(consent),
		Partner: a.ID,
		How:     HowAPI,
		Until:   f.Now().Add(longestPass).UTC().Truncate(time.Second),
	}, consent)
}

const (
	// withdrawnAtOnce is the most that one call lists.
	withdrawnAtOnce = 5000
	// overlap is how far the next call looks back: instances' clocks may be 30 s
	// apart, and one hears of another's withdrawals within a second.
	overlap = 45 * time.Second
)

// WithdrawnSince returns the withdrawals of consents that were given to the
// partner, those of its gates here among them, from that time on, and from when
// on to ask next. Some are told twice, because the next call may come to an
// instance whose clock is another; more says that it should come at once.
func (f *Flow) WithdrawnSince(a *Audience, since time.Time) (list []withdrawals.News, next time.Time, more bool) {
	asked := f.Now()
	list, more = f.Withdrawals.Since(since, withdrawnAtOnce, func(c ID128) bool { return f.GivenTo(c, a.ID) })
	next = asked
	if more {
		next = list[len(list)-1].At
	}
	if back := next.Add(-overlap); back.After(since) {
		next = back
	} else if !more {
		next = since // asked again too soon: nothing to go on from
	}
	return list, next, more
}
