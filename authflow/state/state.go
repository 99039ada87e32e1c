// Package state keeps what lives for minutes: handshakes under way and the
// counters of the limits. What must last is in the ledger.
//
// Nothing in a Store names a person or shows a code: keys are hashes, and the
// part of a handshake that must be readable again is sealed under a key that
// the Store does not have.
package state

import (
	"context"
	"errors"
	"time"
)

// Key identifies an entry: a keyed hash, made by the caller.
type Key [16]byte

// Handshake is one consent, number and code under way.
type Handshake struct {
	// Scope is the keyed hash of all that the code was asked for: browser, site,
	// partner and purpose. The Store only keeps it.
	Scope Key
	// Code is the keyed hash of the one-time code that counts now.
	Code [32]byte
	// CodeExpires is when Code stops counting.
	CodeExpires time.Time
	// Sends is how many codes were sent in this handshake, 1 for the first.
	Sends int
	// NextSend is the earliest time for another.
	NextSend time.Time
	// Tries is how many codes were entered in this handshake, whichever code.
	Tries int
	// Proved says that the right code was entered and that a birth year is awaited.
	Proved bool
	// Spent says that the right code was entered and is being answered; a spent
	// handshake is kept only so that it can be reopened if the answer fails.
	Spent bool
	// Mobile and Client are the counters that were charged for the codes sent.
	Mobile, Client Key
	// Sealed is what the caller needs to go on: number, name, return address.
	Sealed []byte
}

// Budget is one counter to be charged by Take.
type Budget struct {
	Name   string // a word for metrics and messages, of a closed set, e.g. "codes_per_mobile"
	Key    Key
	Limit  int           // the most charges within Window
	Window time.Duration // counted from the first charge
	// Share, if above 0, makes the budget a share instead, in percent: of the
	// charges to the counter Of, so many may not have been given back to Key. It
	// is used up when Of has at least Limit charges and Key has at least Share
	// percent of them. Take charges both counters.
	Share int
	Of    Key
	// RecordOnly budgets are charged beyond their limit and hold nobody back.
	RecordOnly bool
}

// Return says what is given back to a counter: one charge, or all of them.
type Return struct {
	Key Key
	All bool
}

// Store is what state engines implement. Every method is one atomic step:
// however many callers on however many instances there are, the outcome is as
// if they had come one after the other. All are safe for concurrent use, and
// any error that is not one of this package's means "not answering".
type Store interface {
	// Create keeps h under id for ttl. ErrExists if there is one already; ErrFull
	// where the store's bound is reached: nothing is evicted to make room.
	Create(ctx context.Context, id Key, h Handshake, ttl time.Duration) error
	// Load returns the handshake, ErrNotFound if there is none.
	Load(ctx context.Context, id Key) (Handshake, error)
	// Count adds one to Tries and returns the handshake with it counted. One that
	// is Proved is returned as it is: it awaits no code. ErrNotFound if there is
	// none, it is of another scope, or it is spent.
	Count(ctx context.Context, id, scope Key) (Handshake, error)
	// Uncount takes one from Tries again, never below 0: for a try that was
	// counted and then not compared. It is no error if the handshake is gone.
	Uncount(ctx context.Context, id Key) error
	// Resend replaces the code, counts the send and extends the life of the
	// handshake to ttl, if Sends is still sends; ErrConflict if another was
	// faster, ErrNotFound if there is none or it is spent. Tries stay.
	Resend(ctx context.Context, id Key, sends int, code [32]byte, codeExpires, nextSend time.Time, ttl time.Duration) error
	// Spend compares code, in constant time, with the handshake's; if they are
	// equal it marks the handshake spent and returns true. ErrNotFound if there
	// is none, or it is spent already: the second of two right codes gets that.
	Spend(ctx context.Context, id Key, code [32]byte) (bool, error)
	// SpendProved is Spend for a handshake that is Proved, without a code.
	// ErrNotFound if there is none, it is not proved, or it is spent.
	SpendProved(ctx context.Context, id Key) error
	// Reopen makes a spent handshake what it was before, for ttl, because the
	// answer could not be given; with proved it awaits a birth year. One Try is
	// taken back unless proved. ErrNotFound if there is no spent handshake.
	Reopen(ctx context.Context, id Key, proved bool, ttl time.Duration) error
	// Delete forgets the handshake. It is no error if there is none.
	Delete(ctx context.Context, id Key) error

	// Take charges one to each budget, all or none. If one is used up it returns
	// a *LimitError for it, of several the one with the longest wait. ErrFull where
	// a new counter would exceed the bound. exceeded names the RecordOnly budgets
	// that were used up.
	Take(ctx context.Context, budgets ...Budget) (exceeded []string, err error)
	// GiveBack takes charges back, never below 0. A counter that has none left is
	// forgotten, its window with it.
	GiveBack(ctx context.Context, returned ...Return) error

	// Append adds an entry to the end of the list under key, which it begins if
	// there is none, and keeps the whole list for ttl from now. ErrFull where the
	// list has most entries already, or the store's bound is reached. The Store only
	// keeps entries; the caller seals them.
	Append(ctx context.Context, key Key, entry []byte, most int, ttl time.Duration) error
	// List returns the entries of the list under key, oldest first, and none if
	// there is no list.
	List(ctx context.Context, key Key) ([][]byte, error)

	// Ready returns nil if the store answers now, else why not.
	Ready(ctx context.Context) error
}

// Errors that a Store returns.
var (
	ErrNotFound = errors.New("state: not found")
	ErrExists   = errors.New("state: exists already")
	ErrConflict = errors.New("state: changed by another")
	ErrFull     = errors.New("state: full")
)

// LimitError says which budget is used up and when there is room again.
type LimitError struct {
	Budget     string
	RetryAfter time.Duration
}

func (e *LimitError) Error() string { return "state: limit " + e.Budget + " reached" }
