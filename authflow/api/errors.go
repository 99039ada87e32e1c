package api

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
)

// problem is an error as CoWIN's clients read it, with our code beside.
type problem struct {
	ErrorCode string        `json:"errorCode"`
	Error     string        `json:"error"`
	Code      authflow.Code `json:"code"`

	AttemptsLeft *int   `json:"attempts_left,omitempty"`
	Need         string `json:"need,omitempty"`
	RetryAfter   int    `json:"retry_after,omitempty"` // seconds, as in the field Retry-After
}

// The error codes that CoWIN's clients know, and the beginning of ours for what
// CoWIN had none for.
const (
	errorOTPMissing  = "USRAUT0012"
	errorTxnMissing  = "USRAUT0013"
	errorOTPWrong    = "USRAUT0014"
	errorNotSent     = "USRAUT0018"
	errorNobody      = "USRAUT0024"
	errorOther       = "KYCVS"
	errorUnavailable = errorOther + "503"
)

// tokenUnknown is the code of a bearer token that is unknown or over.
const tokenUnknown authflow.Code = "token_unknown"

// refusal is an error that a call ends with, beside those of the handshake.
type refusal struct {
	status int
	problem
}

func (r *refusal) Error() string { return string(r.Code) }

func bad(why string) error {
	return &refusal{http.StatusBadRequest, problem{Code: authflow.BadRequest, Error: why}}
}

var errToken = &refusal{http.StatusUnauthorized, problem{
	ErrorCode: errorOther + "401", Code: tokenUnknown,
	Error: "The token is unknown, its time is over, or the person took the consent back.",
}}

// Outcomes of a call, as metrics have them: these and the codes of the
// contract's table.
const (
	outcomeDone      = "done"
	outcomeForbidden = "forbidden"
)

// Outcomes are the words that Observer.API gets.
var Outcomes = []string{
	outcomeDone, outcomeForbidden, string(tokenUnknown),
	string(authflow.ConsentRequired), string(authflow.MobileInvalid), string(authflow.NameInvalid), string(authflow.OTPMissing),
	string(authflow.BadRequest), string(authflow.OTPInvalid), string(authflow.OTPExpired), string(authflow.OTPAttempts),
	string(authflow.TxnUnknown), string(authflow.NoRecord), string(authflow.Ambiguous), string(authflow.Locked),
	string(authflow.TooLarge), string(authflow.TooManyRequests), string(authflow.Unavailable),
}

// said is what an error says to whoever reads a program's log, and the code that
// CoWIN had for it, where that does not depend on the call.
var said = map[authflow.Code]struct{ code, text string }{
	authflow.ConsentRequired: {errorNotSent, "Consent is missing: send \"consent\": \"Y\" once the person has agreed."},
	authflow.MobileInvalid:   {errorNotSent, "The mobile number is not one that a code can be sent to."},
	authflow.NameInvalid:     {errorNotSent, "The name is not one: send full_name as it was registered."},
	authflow.OTPMissing:      {errorOTPMissing, "The code is missing: send otp."},
	authflow.OTPInvalid:      {errorOTPWrong, "The code is wrong."},
	authflow.OTPExpired:      {errorOTPWrong, "The code has expired: ask for another one with the same txnId."},
	authflow.OTPAttempts:     {errorOTPWrong, "There were too many wrong codes: begin again without a txnId."},
	authflow.TxnUnknown:      {errorTxnMissing, "The txnId is unknown, or it is spent."},
	authflow.NoRecord:        {errorNobody, "There is no beneficiary of that name with this mobile number."},
	authflow.Ambiguous:       {errorNobody, "More than one beneficiary fits."},
	authflow.Locked:          {errorNobody, "The owner of this mobile number has locked it: there are no answers about it."},
	authflow.TooLarge:        {errorOther + "413", "The request is too large."},
	authflow.TooManyRequests: {errorNotSent, "Too many requests: wait as long as Retry-After says."},
	authflow.Unavailable:     {errorUnavailable, "The service cannot answer now: try again after Retry-After."},
}

// statusOf is the HTTP status of an error of the handshake's (contract, section
// 5): 400, but where the contract says otherwise.
func statusOf(c authflow.Code) int {
	switch c {
	case authflow.TxnUnknown:
		return http.StatusUnauthorized
	case authflow.TooLarge:
		return http.StatusRequestEntityTooLarge
	case authflow.TooManyRequests:
		return http.StatusTooManyRequests
	case authflow.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// fail answers with an error.
func (q *request) fail(err error) {
	if r := (*refusal)(nil); errors.As(err, &r) {
		p := r.problem
		if p.ErrorCode == "" {
			p.ErrorCode = q.badRequestCode()
		}
		q.Observer.API(q.call, string(p.Code))
		if r.status == http.StatusUnauthorized {
			q.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`) // RFC 6750, section 3
		}
		q.writeJSON(r.status, p)
		return
	}
	e := (*authflow.Error)(nil)
	if !errors.As(err, &e) {
		e = &authflow.Error{Code: authflow.Unavailable, RetryAfter: authflow.UnavailableRetry, Cause: err}
	}
	if e.Code == authflow.Unavailable && e.Cause != nil {
		q.Logger.ErrorContext(q.r.Context(), "a call could not be answered", "call", q.call, "error", e.Cause)
	}
	text := said[e.Code]
	p := problem{ErrorCode: text.code, Error: text.text, Code: e.Code, Need: e.Need}
	switch {
	case e.Code == authflow.OTPInvalid:
		p.AttemptsLeft = &e.AttemptsLeft
	case e.Code == authflow.Unavailable && q.call == "generateOTP":
		p.ErrorCode = errorNotSent
	case e.Code == authflow.Unavailable && e.Partly:
		p.Error = "The consent has ended here and is recorded; other instances could not be told yet: call again after Retry-After."
	case e.Need == authflow.NeedBirthYear:
		p.Error = "More than one beneficiary fits: send birth_year with the same txnId."
	case e.Code == authflow.BadRequest:
		p.ErrorCode, p.Error = q.badRequestCode(), "The request cannot be read: birth_year is a year."
	}
	if e.RetryAfter > 0 {
		p.RetryAfter = int(math.Ceil(e.RetryAfter.Seconds()))
		q.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	status := statusOf(e.Code)
	if status == http.StatusUnauthorized {
		q.Header().Set("WWW-Authenticate", "KYCVS")
	}
	q.Observer.API(q.call, string(e.Code))
	q.writeJSON(status, p)
}

// badRequestCode is what a client of CoWIN's takes a request that cannot be read
// for.
func (q *request) badRequestCode() string {
	switch q.call {
	case "generateOTP":
		return errorNotSent
	case "confirmOTP":
		return errorOTPWrong
	}
	return errorOther + "400"
}

func (q *request) writeJSON(status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		q.WriteHeader(http.StatusInternalServerError)
		return
	}
	h := q.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	q.WriteHeader(status)
	if q.r.Method != http.MethodHead {
		_, _ = q.Write(body)
	}
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
