// Package ledger is the record of consents given, used, refused and withdrawn,
// and of numbers locked: what must last. An entry is on disk before anything that
// rests on it leaves the process. It names no person but by a keyed hash.
//
// The engines are in the rooms below: file and postgres. What they have in
// common is in chain (how an entry is written, and how each holds on to the one
// before) and retain (what may be forgotten, and when); ledgertest has the tests
// that each must pass.
package ledger

import (
	"context"
	"time"
)

// Event is what an Entry says happened.
type Event string

// The events. A reader skips those it does not know, and keeps them.
const (
	Given     Event = "given"     // a person consented and the code was confirmed
	Used      Event = "used"      // an answer was given out that rests on a consent
	Refused   Event = "refused"   // a person said no, or was given no answer
	Withdrawn Event = "withdrawn" // the person took the consent back
	Locked    Event = "locked"    // a number gets no answer from now on
	Unlocked  Event = "unlocked"  // and from now on it does again
)

// Known reports whether e is an event of this version.
func (e Event) Known() bool {
	switch e {
	case Given, Used, Refused, Withdrawn, Locked, Unlocked:
		return true
	}
	return false
}

// Entry is one line of the record. What it must have, and how long a text may
// be, is said by Validate.
type Entry struct {
	Event   Event     `json:"event"`
	Consent string    `json:"consent,omitempty"` // the consent's id
	At      time.Time `json:"at"`
	// Person is the keyed hash of whom the consent is about: of the record that
	// was found.
	Person string `json:"person,omitempty"`
	// Phone is the keyed hash of the mobile number that was proved, by which
	// ByPhone finds the entry: the same for everybody who shares the number. It is
	// never the number.
	Phone   string `json:"phone,omitempty"`
	Partner string `json:"partner,omitempty"`
	Purpose string `json:"purpose,omitempty"`
	TxnID   string `json:"txnId,omitempty"`
	// Notice is the version of the notice that was shown, Lang its language
	// (BCP 47).
	Notice string `json:"notice,omitempty"`
	Lang   string `json:"lang,omitempty"`
	// How is the way it came about, such as "otp+sms" (the methods of RFC 8176),
	// "api", "gate", "embed" or "redirect".
	How string `json:"how,omitempty"`
	// Acting is whom the partner acted for, where that is somebody else.
	Acting string `json:"acting,omitempty"`
	// Reason is why there was no answer, a word from a closed set. Only of Refused.
	Reason string `json:"reason,omitempty"`
	// Until is when what rests on the consent ends by itself: after it, a
	// withdrawal needs no remembering. Zero means that it does not end.
	Until time.Time `json:"until,omitzero"`
}

// Ledger is what ledger engines implement; safe for concurrent use.
type Ledger interface {
	// Append returns nil once the entry is durable: it then survives kill -9 and
	// a power cut. On an error it may or may not be in the record, and the caller
	// must act as if it were not. An entry that Validate refuses is not written.
	Append(ctx context.Context, e Entry) error
	// Replay calls f for each entry, oldest first, until f returns an error. What
	// was appended before the call is among them. f may use the Ledger.
	//
	// Where a still running consent or lock is older than what the operator keeps,
	// its entry stands later than it was made, with the time that it was made.
	Replay(ctx context.Context, f func(Entry) error) error
	// ByPhone is Replay for the entries with this Phone, which must not be empty.
	ByPhone(ctx context.Context, phone string, f func(Entry) error) error
	// Ready returns nil if an Append would succeed now, as far as can be told.
	Ready(ctx context.Context) error
	Close() error
}
