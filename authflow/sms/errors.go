package sms

import "errors"

// ErrPermanent is wrapped by a Sender's error that trying again would not
// change, such as an answer that the request is wrong or not paid for. The
// Dispatcher then goes on to the next sender at once.
var ErrPermanent = errors.New("it would be refused again")

// ErrMessage is wrapped, beside ErrPermanent, by a Sender's error that is about
// this one message, such as an answer that there is no such number. It says
// nothing of whether the sender works, so the Dispatcher does not hold it against
// the sender: otherwise a few made-up numbers would leave everybody without it.
var ErrMessage = errors.New("for this message")

// ErrNotSent says that no sender accepted the message. Why is in the log, as
// the error goes to whoever asked for the code.
var ErrNotSent = errors.New("sms: message not sent")

// errSkipped says that a sender was not asked, as it has failed of late.
var errSkipped = errors.New("not asked: it has failed of late")
