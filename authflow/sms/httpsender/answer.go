package httpsender

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/sms"
)

const (
	// maxAnswer is how much of an answer's body is read, to look for what is
	// expected in it, and so that the connection can be used again.
	maxAnswer = 64 << 10
	// maxDrainTime is for how long it is read where nothing is expected.
	maxDrainTime = 250 * time.Millisecond
	// maxAnswerHeader bounds the header of an answer.
	maxAnswerHeader = 64 << 10
)

// errUnexpected is a 2xx that does not say what was expected. What it says
// instead may repeat number and message, so it is not in the error.
//
// The provider has answered, and refused. Whether that is about this message
// or all of them its words would tell, but not us: it is not held against the
// sender, or whoever knows some numbers that the provider refuses could leave
// everybody without it.
var errUnexpected = fmt.Errorf("the answer does not match `expect`: %w %w", sms.ErrPermanent, sms.ErrMessage)

// judge reads the answer and returns nil if the message is sent. giveUp ends the
// request.
func (s *Sender) judge(resp *http.Response, giveUp func()) error {
	if err := statusError(resp.StatusCode); err != nil || s.expect == nil {
		// The outcome is known: an answer that then dawdles must not make it late,
		// or the message would be sent again.
		defer time.AfterFunc(maxDrainTime, giveUp).Stop()
		_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
		return err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case s.expect.Match(body): // however it ends
		return nil
	case err != nil:
		return cause(err)
	default:
		return errUnexpected
	}
}

// statusError returns nil for 2xx.
func statusError(status int) error {
	switch {
	case status >= 200 && status <= 299:
		return nil
	case status < 400 || status > 499:
		return fmt.Errorf("status %d", status)
	}
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return fmt.Errorf("status %d", status)
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusProxyAuthRequired, http.StatusGone,
		http.StatusLengthRequired, http.StatusUnsupportedMediaType, http.StatusUpgradeRequired:
		// About the key, the account or the configuration, whatever the message.
		return fmt.Errorf("status %d: %w", status, sms.ErrPermanent)
	default:
		return fmt.Errorf("status %d: %w %w", status, sms.ErrPermanent, sms.ErrMessage)
	}
}

// compileExpect returns nil for "".
func compileExpect(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, nil
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("sms http: expect is not a regular expression that Go reads (RE2): %w: write e.g. `expect ^success`", err)
	}
	if re.MatchString("") {
		return nil, errors.New("sms http: expect matches an answer that says nothing: write what only a success has in it, e.g. `expect ^success`")
	}
	return re, nil
}
