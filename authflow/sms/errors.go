package sms

import "errors"

// ErrPermanent is wrapped by a Sender's error that trying again would not
// change, such as an answer that the request is wrong or not paid for. The
// Dispatcher then goes on to the next sender at once.
var ErrPermanent = errors.New("it would be refused again")

// ErrNotSent says that no sender accepted the message. Why is in the log, as
// the error goes to whoever asked for the code.
var ErrNotSent = errors.New("sms: message not sent")
