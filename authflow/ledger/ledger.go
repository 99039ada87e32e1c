// Package ledger is the record of consents given and withdrawn: what must
// last. An entry is on disk before anything that rests on it leaves the
// process. It names no person but by a keyed hash.
package ledger

import (
	"context"
	"time"
)

// Event is what an Entry says happened.
type Event string

// The events. A later reader skips those it does not know.
const (
	Given     Event = "given"     // a person consented and the code was confirmed
	Withdrawn Event = "withdrawn" // the person took the consent back
)

// Entry is one line of the record.
type Entry struct {
	Event   Event     `json:"event"`
	Consent string    `json:"consent"` // the consent's id
	At      time.Time `json:"at"`
	// Person is the keyed hash of whom the consent is about.
	Person  string `json:"person,omitempty"`
	Partner string `json:"partner,omitempty"`
	Purpose string `json:"purpose,omitempty"`
	TxnID   string `json:"txnId,omitempty"`
	// Notice is the version of the notice that was shown, Lang its language
	// (BCP 47).
	Notice string `json:"notice,omitempty"`
	Lang   string `json:"lang,omitempty"`
	// Until is when what rests on the consent ends by itself: after it, a
	// withdrawal needs no remembering.
	Until time.Time `json:"until,omitzero"`
}

// Ledger is what ledger engines implement; safe for concurrent use.
type Ledger interface {
	// Append returns nil once the entry is durable: it then survives kill -9 and
	// a power cut. On an error it may or may not be in the record, and the caller
	// must act as if it were not.
	Append(ctx context.Context, e Entry) error
	// Replay calls f for each entry, oldest first, until f returns an error.
	Replay(ctx context.Context, f func(Entry) error) error
	// Ready returns nil if an Append would succeed now, as far as can be told.
	Ready(ctx context.Context) error
	Close() error
}
