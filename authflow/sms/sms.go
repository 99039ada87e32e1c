// Package sms brings one-time codes to phones: what a message is, the senders,
// and the dispatch that tries them in order within a time budget.
package sms

import "context"

// Message is one text message.
type Message struct {
	To    string // the number, E.164, with "+"
	Text  string // the whole text, ending with the origin-bound line
	Code  string
	TxnID string // the handshake
	// ID is this message's own, made of the TxnID: a resend has another one, a retry
	// the same. With it a provider can tell that a retry is no second message.
	ID   string
	Lang string // the language of the text, BCP 47
}

// Sender hands a message to whoever delivers it; safe for concurrent use.
type Sender interface {
	// Name is the sender's word in metrics and logs, of a closed set: "log",
	// "http".
	Name() string
	// Send returns nil once the provider has accepted the message. An error must
	// carry nothing of the message. One that wraps ErrPermanent is not retried
	// with this sender.
	Send(ctx context.Context, m Message) error
}
