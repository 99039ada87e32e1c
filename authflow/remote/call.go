package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/sony/gobreaker/v2"

	"github.com/kycvs/caddy-kycvs/authflow"
)

// What one call may take. A person waits for it, and the authority itself waits
// for a sender of messages for two seconds (contract, section 6).
const (
	askTime     = 6 * time.Second
	confirmTime = 6 * time.Second
	statusTime  = 5 * time.Second
	attemptTime = 4 * time.Second // of them for one attempt
	maxTries    = 3

	maxAnswer = 16 << 10 // bytes
)

// The breaker: after so many failures in a row nobody waits for the authority,
// until a trial succeeds.
const (
	breakAfter = 5
	breakFor   = 5 * time.Second
)

// call is one request to the authority.
type call struct {
	method, path  string
	query         url.Values
	authorization string // in place of the key
	body          any
	most          int64 // bytes of the answer
	// again says that repeating it does no harm, whatever became of it. A code is
	// sent with each generateOTP and good for one confirmOTP, so those are repeated
	// only where they did not leave.
	again bool
}

// reply is what the authority answered, of any status but 3xx and 5xx; a 503 only
// where the authority itself says so.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// noAnswer says that the authority did not answer, or not as it should.
type noAnswer struct {
	why    string
	cause  error
	unsure bool // it may have done what it was asked
}

func (e *noAnswer) Error() string {
	if e.cause != nil {
		return "the authority " + e.why + ": " + e.cause.Error()
	}
	return "the authority " + e.why
}

func (e *noAnswer) Unwrap() []error {
	var all []error
	if e.cause != nil {
		all = append(all, e.cause)
	}
	if e.unsure {
		all = append(all, authflow.ErrUnsure)
	}
	return all
}

// garbled says that the authority's answer is not what the contract says.
func garbled(what string, cause error) error {
	return &noAnswer{why: "answered " + what + " in a way that is not understood", cause: cause, unsure: true}
}

// resting says that nobody waits for the authority at present.
func resting() error {
	return &authflow.Error{Code: authflow.Unavailable, RetryAfter: breakFor, Cause: errors.New("the authority did not answer several times in a row; it is tried again every few seconds")}
}

func newBreaker(log *slog.Logger) *gobreaker.CircuitBreaker[reply] {
	return gobreaker.NewCircuitBreaker[reply](gobreaker.Settings{
		MaxRequests: 1, // one trial when the pause is over
		Timeout:     breakFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakAfter },
		// whoever asked has gone: that says nothing of the authority
		IsExcluded: func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch {
			case from == gobreaker.StateClosed:
				log.Error("the authority does not answer: new handshakes get 503 until a trial succeeds; passes count on", "trial_every", breakFor)
			case to == gobreaker.StateClosed:
				log.Info("the authority answers again")
			}
		},
	})
}

// do makes a call in at most so much time.
func (c *Client) do(ctx context.Context, within time.Duration, in call) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var body []byte
	if in.body != nil {
		var err error
		if body, err = json.Marshal(in.body); err != nil {
			return reply{}, errors.New("a call to the authority could not be written") // the cause could quote what was typed
		}
	}
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 100*time.Millisecond, time.Second
	out, err := backoff.Retry(ctx, func() (reply, error) {
		r, err := c.breaker.Execute(func() (reply, error) { return c.attempt(ctx, in, body) })
		no := (*noAnswer)(nil)
		switch {
		case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
			return r, backoff.Permanent(resting())
		case err != nil && (!errors.As(err, &no) || no.unsure && !in.again):
			return r, backoff.Permanent(err)
		}
		return r, err
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(maxTries), backoff.WithMaxElapsedTime(0))
	if p := (*backoff.PermanentError)(nil); errors.As(err, &p) {
		err = p.Err
	}
	if err == nil {
		return out, nil
	}
	if no := (*noAnswer)(nil); !errors.As(err, &no) && ctx.Err() != nil {
		// Retry ended between two attempts, of which the last did not arrive
		err = &noAnswer{why: "did not answer in time"}
	}
	return reply{}, err
}

// attempt makes one request. No error has the key, or what a person typed.
func (c *Client) attempt(ctx context.Context, in call, body []byte) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	var left atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { left.Store(true) }})
	address := c.origin + in.path
	if len(in.query) > 0 {
		address += "?" + in.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, in.method, address, bytes.NewReader(body))
	if err != nil {
		return reply{}, &noAnswer{why: "could not be asked: its URL cannot be used"}
	}
	if body == nil {
		req.Body, req.GetBody, req.ContentLength = nil, nil, 0
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "caddy-kycvs")
	if in.authorization != "" {
		req.Header.Set("Authorization", in.authorization)
	} else {
		req.Header.Set("X-Api-Key", c.cfg.Key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return reply{}, &noAnswer{why: "does not answer", cause: bare(err), unsure: left.Load()}
	}
	defer resp.Body.Close()
	most := in.most
	if most == 0 {
		most = maxAnswer
	}
	switch {
	case resp.StatusCode/100 == 3:
		return reply{}, &noAnswer{why: "answered with a redirect: write the origin that it leads to as its URL"}
	case resp.StatusCode >= 500 && resp.StatusCode != http.StatusServiceUnavailable:
		return reply{}, &noAnswer{why: fmt.Sprintf("answered %d", resp.StatusCode), unsure: true}
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return reply{}, &noAnswer{why: "broke off its answer", cause: bare(err), unsure: true}
	}
	if int64(len(answer)) > most {
		return reply{}, &noAnswer{why: fmt.Sprintf("answered more than %d bytes", most), unsure: true}
	}
	out := reply{resp.StatusCode, resp.Header, answer}
	if resp.StatusCode == http.StatusServiceUnavailable && !out.says(authflow.Unavailable) {
		// what a proxy says that did not reach it
		return reply{}, &noAnswer{why: "answered 503"}
	}
	return out, nil
}

// says tells whether the answer has this code.
func (r *reply) says(code authflow.Code) bool {
	m, err := readObject(r.body)
	if err != nil {
		return false
	}
	got, err := m.text("code", 1, 64)
	return err == nil && got == string(code)
}

// bare is why a request failed, without its address.
func bare(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}
