package assertion

import (
	"errors"
	"strings"
)

// What a Verifier can find wrong, one error for each thing, in the order in
// which it looks. An error of Verify wraps one of them and says more where
// there is more to say; it never shows anything of the assertion but an
// algorithm's or a claim's name.
var (
	// ErrSize: longer than MaxSize. Nothing of it was read.
	ErrSize = errors.New("assertion: longer than 1024 bytes")
	// ErrMalformed: not three parts of strict base64url with two JSON objects
	// (RFC 7515, section 7.1), a member that stands twice, or not UTF-8.
	ErrMalformed = errors.New("assertion: malformed")
	// ErrType: typ is not kycvs+jwt, so it is some other kind of JWT.
	ErrType = errors.New("assertion: the header's typ is not " + Type)
	// ErrHeader: the header brings a key of its own (jwk, jku, x5c, x5u …) or asks
	// for another way of reading (crit, b64, zip). Our assertions never do.
	ErrHeader = errors.New("assertion: the header has a member that an assertion never has")
	// ErrAlgorithm: alg is not in the verifier's list, or not the key's.
	ErrAlgorithm = errors.New("assertion: algorithm not accepted")
	// ErrKeyUnknown: no key has this kid. After a rotation a fresh key set has it.
	ErrKeyUnknown = errors.New("assertion: no key has this kid")
	// ErrKeysUnavailable: the keys could not be asked for; trying later may help.
	ErrKeysUnavailable = errors.New("assertion: the keys are not available")
	// ErrSignature: the signature is not the key's over these bytes.
	ErrSignature = errors.New("assertion: the signature is wrong")
	// ErrClaims: a claim is missing, empty or of the wrong type.
	ErrClaims = errors.New("assertion: a claim is missing or of the wrong type")
	// ErrStatus: vaccination_status is a number, but not 0, 1 or 2.
	ErrStatus = errors.New("assertion: vaccination_status is not 0, 1 or 2")
	// ErrIssuer: iss is not the issuer expected.
	ErrIssuer = errors.New("assertion: the issuer is not the one expected")
	// ErrAudience: made for another partner.
	ErrAudience = errors.New("assertion: made for another audience")
	// ErrLifetime: exp is not after iat and nbf, or too long after iat, whatever
	// the time is.
	ErrLifetime = errors.New("assertion: a lifetime that no assertion has")
	// ErrIssuedInFuture: iat lies ahead by more than the skew; one clock is wrong.
	ErrIssuedInFuture = errors.New("assertion: issued in the future, check both clocks")
	// ErrNotYetValid: nbf lies ahead by more than the skew.
	ErrNotYetValid = errors.New("assertion: not yet valid")
	// ErrExpired: exp lies behind by at least the skew.
	ErrExpired = errors.New("assertion: expired")
)

// reason returns what an error of Verify says, without the package's name.
func reason(err error) string { return strings.TrimPrefix(err.Error(), "assertion: ") }
