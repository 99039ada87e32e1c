package authflow

import (
	"net/http"
	"time"
)

// Code is an error as the contract names it (section 4).
type Code string

// The codes. What is spent, and what a caller can do, is in the contract's
// table; the text a person sees is in the portal's catalogues.
const (
	ConsentRequired Code = "consent_required"
	MobileInvalid   Code = "mobile_invalid"
	NameInvalid     Code = "name_invalid"
	OTPMissing      Code = "otp_missing"
	BadRequest      Code = "bad_request"
	OTPInvalid      Code = "otp_invalid"
	OTPExpired      Code = "otp_expired"
	OTPAttempts     Code = "otp_attempts"
	TxnUnknown      Code = "txn_unknown"
	CrossOrigin     Code = "cross_origin"
	NoRecord        Code = "no_record"
	Ambiguous       Code = "ambiguous"
	Locked          Code = "locked"       // the number's owner has locked it; after the code
	AtAuthority     Code = "at_authority" // what was asked for is with the authority, not here
	TooLarge        Code = "too_large"
	StatusTooLow    Code = "status_too_low"
	TooManyRequests Code = "too_many_requests"
	Unavailable     Code = "unavailable"
)

// HTTPStatus is the status code that goes with the error at a gate.
func (c Code) HTTPStatus() int {
	switch c {
	case ConsentRequired, MobileInvalid, NameInvalid, OTPMissing, BadRequest:
		return http.StatusBadRequest
	case OTPInvalid, OTPExpired, OTPAttempts, TxnUnknown:
		return http.StatusUnauthorized
	case CrossOrigin, NoRecord, Ambiguous, Locked, StatusTooLow:
		return http.StatusForbidden
	case AtAuthority:
		return http.StatusNotFound
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case TooManyRequests:
		return http.StatusTooManyRequests
	default:
		return http.StatusServiceUnavailable
	}
}

// NeedBirthYear is what an Ambiguous error may ask for.
const NeedBirthYear = "birth_year"

// Error is how a step of the handshake ends when it does not succeed. It never
// carries what a person typed.
type Error struct {
	Code         Code
	RetryAfter   time.Duration // for TooManyRequests and Unavailable
	AttemptsLeft int           // for OTPInvalid; of an Authority's, -1 where it does not say
	Need         string        // for Ambiguous: NeedBirthYear, or nothing
	// Partly says, of Unavailable, that what was asked is recorded and counts here,
	// and will count everywhere once that is possible.
	Partly bool
	Cause  error // for the log; nil where there is nothing to add
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return string(e.Code) + ": " + e.Cause.Error()
	}
	return string(e.Code)
}

func (e *Error) Unwrap() error { return e.Cause }

func fail(c Code) *Error { return &Error{Code: c} }

// UnavailableRetry is what we ask a caller to wait when something we need does
// not answer: long enough not to hammer it, short enough for a person at a
// door.
const UnavailableRetry = 10 * time.Second

func unavailable(cause error) *Error {
	return &Error{Code: Unavailable, RetryAfter: UnavailableRetry, Cause: cause}
}
