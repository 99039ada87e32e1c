package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

// The calls of a handshake, below the authority's origin.
const (
	generatePath = "/api/v3/vaccination/generateOTP"
	confirmPath  = "/api/v3/vaccination/confirmOTP"
	statusPath   = "/api/v3/vaccination/status"
)

// What is assumed of an authority that does not say: what CoWIN's was.
const (
	usualExpiry   = 180 // seconds
	usualResend   = 30
	usualAttempts = 3
)

type generateBody struct {
	Mobile   string `json:"mobile_number,omitempty"`
	Name     string `json:"full_name,omitempty"`
	Consent  string `json:"consent,omitempty"`
	TxnID    string `json:"txnId,omitempty"`
	Lang     string `json:"lang,omitempty"`
	ClientIP string `json:"client_ip,omitempty"`
	// Session is how long, in seconds, what we make of the answer lasts: until then
	// the consent can be withdrawn at the authority too.
	Session int64 `json:"session,omitempty"`
}

// Ask implements authflow.Authority.
func (c *Client) Ask(ctx context.Context, r authflow.AuthorityRequest) (authflow.AuthorityAsked, error) {
	return c.generate(ctx, requestBody(r, generateBody{Mobile: string(r.Mobile), Name: r.Name, Consent: "Y"}),
		authflow.ConsentRequired, authflow.MobileInvalid, authflow.NameInvalid)
}

// Resend implements authflow.Authority.
func (c *Client) Resend(ctx context.Context, txn string, r authflow.AuthorityRequest) (authflow.AuthorityAsked, error) {
	asked, err := c.generate(ctx, requestBody(r, generateBody{TxnID: txn}), authflow.TxnUnknown, authflow.OTPAttempts)
	if err == nil && asked.Txn != txn {
		return authflow.AuthorityAsked{}, garbled("generateOTP", errors.New("it is about another handshake"))
	}
	return asked, err
}

func requestBody(r authflow.AuthorityRequest, b generateBody) generateBody {
	b.Lang = r.Lang
	b.Session = int64(r.Session / time.Second)
	if r.Client.IsValid() {
		b.ClientIP = r.Client.Unmap().WithZone("").String()
	}
	return b
}

func (c *Client) generate(ctx context.Context, body generateBody, codes ...authflow.Code) (authflow.AuthorityAsked, error) {
	r, err := c.do(ctx, askTime, call{method: http.MethodPost, path: generatePath, body: body})
	if err != nil {
		return authflow.AuthorityAsked{}, err
	}
	if r.status != http.StatusOK {
		return authflow.AuthorityAsked{}, refusal("generateOTP", r, codes...)
	}
	return readAsked(r.body)
}

func readAsked(body []byte) (out authflow.AuthorityAsked, err error) {
	m, err := readObject(body)
	if err != nil {
		return out, garbled("generateOTP", err)
	}
	var expires, resend int
	var errs [4]error
	out.Txn, errs[0] = m.word("txnId", 128)
	expires, errs[1] = m.number("expires_in", 0, 24*60*60, usualExpiry)
	resend, errs[2] = m.number("resend_after", 0, 24*60*60, usualResend)
	out.AttemptsLeft, errs[3] = m.number("attempts_left", 0, 100, usualAttempts)
	if err := errors.Join(errs[:]...); err != nil {
		return authflow.AuthorityAsked{}, garbled("generateOTP", err)
	}
	out.ExpiresIn, out.ResendAfter = time.Duration(expires)*time.Second, time.Duration(resend)*time.Second
	return out, nil
}

type confirmBody struct {
	OTP       string `json:"otp,omitempty"`
	TxnID     string `json:"txnId"`
	BirthYear string `json:"birth_year,omitempty"`
}

// Confirm implements authflow.Authority. The code goes as its SHA-256, as from
// CoWIN's clients: that hides nothing, but no log on the way has six digits in it.
func (c *Client) Confirm(ctx context.Context, txn string, proof authflow.Proof) (string, error) {
	body := confirmBody{TxnID: txn, BirthYear: proof.BirthYear}
	if proof.Code != "" {
		sum := sha256.Sum256([]byte(proof.Code))
		body.OTP = hex.EncodeToString(sum[:])
	}
	r, err := c.do(ctx, confirmTime, call{method: http.MethodPost, path: confirmPath, body: body})
	if err != nil {
		return "", err
	}
	if r.status != http.StatusOK {
		return "", refusal("confirmOTP", r, authflow.OTPMissing, authflow.BadRequest, authflow.OTPInvalid, authflow.OTPExpired,
			authflow.OTPAttempts, authflow.TxnUnknown, authflow.NoRecord, authflow.Ambiguous, authflow.Locked)
	}
	return readToken(r.body)
}

func readToken(body []byte) (string, error) {
	m, err := readObject(body)
	if err != nil {
		return "", garbled("confirmOTP", err)
	}
	token, err := m.word("token", 4096)
	if err != nil {
		return "", garbled("confirmOTP", err)
	}
	return token, nil
}

// maxAuthAge is how long ago the code can have been confirmed: as long as a token
// is good for, and a little.
const maxAuthAge = 16 * time.Minute

// Answer implements authflow.Authority.
func (c *Client) Answer(ctx context.Context, txn, token string) (authflow.AuthorityAnswer, error) {
	r, err := c.do(ctx, statusTime, call{method: http.MethodGet, path: statusPath, authorization: "Bearer " + token, again: true})
	if err != nil {
		return authflow.AuthorityAnswer{}, err
	}
	if r.status != http.StatusOK {
		return authflow.AuthorityAnswer{}, refusal("status", r, authflow.TxnUnknown, tokenUnknown)
	}
	status, compact, err := readStatus(r.body)
	if err != nil {
		return authflow.AuthorityAnswer{}, err
	}
	claims, err := c.verifier.VerifyContext(ctx, compact)
	if err != nil {
		return authflow.AuthorityAnswer{}, &noAnswer{why: "sent an assertion that is not accepted", cause: err}
	}
	return accept(claims, status, txn, time.Now())
}

// tokenUnknown is what the authority says of a token whose time is over, or whose
// consent was withdrawn meanwhile.
const tokenUnknown authflow.Code = "token_unknown"

// readStatus reads the bare number and the assertion.
func readStatus(body []byte) (status int, compact string, err error) {
	m, err := readObject(body)
	if err != nil {
		return 0, "", garbled("status", err)
	}
	if status, err = m.number("vaccination_status", 0, 2, -1); err == nil && status < 0 {
		err = errors.New("it has no vaccination_status")
	}
	if err != nil {
		return 0, "", garbled("status", err)
	}
	if compact, err = m.word("assertion", assertion.MaxSize); err != nil {
		return 0, "", garbled("status", err)
	}
	return status, compact, nil
}

// accept compares what was signed with what was asked.
func accept(c assertion.Claims, status int, txn string, now time.Time) (out authflow.AuthorityAnswer, err error) {
	wrong := func(format string, args ...any) (authflow.AuthorityAnswer, error) {
		return authflow.AuthorityAnswer{}, &noAnswer{why: "sent an assertion that is not accepted", cause: fmt.Errorf(format, args...)}
	}
	age := now.Sub(time.Unix(c.AuthTime, 0))
	switch {
	case c.VaccinationStatus != status:
		return wrong("the number beside it is another than the one that it signs")
	case c.TxnID != txn:
		return wrong("it is about another handshake")
	case age > maxAuthAge || age < -assertion.MaxSkew:
		return wrong("its auth_time is not of this handshake: check the clocks")
	case c.Authority != "":
		return wrong("it passes on what a third party answered: ask that one")
	}
	if out.Subject, err = authflow.ParseID(c.Subject); err != nil {
		return wrong("its sub is %w of 16 bytes", err)
	}
	if out.Consent, err = authflow.ParseID(c.Consent); err != nil {
		return wrong("its consent is %w of 16 bytes", err)
	}
	out.Status, out.AuthTime, out.Purpose = uint8(c.VaccinationStatus), time.Unix(c.AuthTime, 0), c.Purpose
	return out, nil
}
