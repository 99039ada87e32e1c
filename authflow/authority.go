package authflow

import "errors"

// ErrAtAuthority is the cause of an AtAuthority error.
var ErrAtAuthority = errors.New("what is recorded of a number is with the authority: this service sends no codes; see Flow.RecordsAt")

// remote tells whether an authority elsewhere sends the codes and answers.
func (f *Flow) remote() bool { return false }

// RecordsAt is the address of the page at which a person sees and ends what is
// recorded of their number, "" where that is here.
func (f *Flow) RecordsAt(*Audience) string { return "" }
