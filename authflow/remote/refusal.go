package remote

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
)

// errKey says that the authority does not take our key. People can do nothing
// about it, the operator can.
var errKey = errors.New("the authority refuses the key: check `key` and `partner`, and that the partner's registration there has not ended")

// maxRetryAfter bounds what an authority can have people wait.
const maxRetryAfter = 24 * time.Hour

// refusal reads an answer that is not 2xx (contract, section 5): codes are those
// that the call can end in. Any other is as if the authority had not answered.
func refusal(what string, r reply, codes ...authflow.Code) error {
	if r.status == http.StatusForbidden {
		return &authflow.Error{Code: authflow.Unavailable, RetryAfter: authflow.UnavailableRetry, Cause: errKey}
	}
	e := &authflow.Error{AttemptsLeft: -1}
	m, err := readObject(r.body)
	if err != nil && r.status != http.StatusTooManyRequests && r.status != http.StatusUnauthorized {
		return garbled(what, fmt.Errorf("%d, %w", r.status, err))
	}
	code, err := m.text("code", 0, 64)
	if err != nil {
		return garbled(what, err)
	}
	if e.Code = authflow.Code(code); code == "" {
		// the authority of somebody else, or something on the way to it
		errorCode, err := m.text("errorCode", 0, 64)
		if err != nil {
			return garbled(what, err)
		}
		e.Code = codeOf(r.status, errorCode)
	}
	if !slices.Contains(codes, e.Code) && e.Code != authflow.TooManyRequests && e.Code != authflow.Unavailable {
		return garbled(what, fmt.Errorf("%d with a code that does not belong there", r.status))
	}
	switch e.Code {
	case tokenUnknown:
		e.Code = authflow.TxnUnknown
	case authflow.OTPInvalid:
		if _, said := m["attempts_left"]; said {
			if e.AttemptsLeft, err = m.number("attempts_left", 0, 100, 0); err != nil {
				return garbled(what, err)
			}
		}
	case authflow.Ambiguous:
		need, err := m.text("need", 0, 64)
		if err != nil {
			return garbled(what, err)
		}
		if need == authflow.NeedBirthYear {
			e.Need = need
		}
	case authflow.TooManyRequests:
		e.RetryAfter = retryAfter(r.header)
	case authflow.Unavailable:
		e.RetryAfter = retryAfter(r.header)
		e.Cause = errors.New("the authority says that it cannot answer now")
	}
	return e
}

// codeOf reads CoWIN's error codes where there is no other.
func codeOf(status int, errorCode string) authflow.Code {
	switch {
	case status == http.StatusUnauthorized:
		return authflow.TxnUnknown
	case status == http.StatusTooManyRequests:
		return authflow.TooManyRequests
	}
	switch errorCode {
	case "USRAUT0012":
		return authflow.OTPMissing
	case "USRAUT0013":
		return authflow.TxnUnknown
	case "USRAUT0014":
		return authflow.OTPInvalid
	case "USRAUT0018":
		return authflow.Unavailable
	case "USRAUT0024":
		return authflow.NoRecord
	}
	return ""
}

// retryAfter reads Retry-After (RFC 9110, section 10.2.3), in seconds.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.ParseUint(h.Get("Retry-After"), 10, 31)
	if err != nil || n == 0 {
		return authflow.UnavailableRetry
	}
	return min(time.Duration(n)*time.Second, maxRetryAfter)
}
