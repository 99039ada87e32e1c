package api

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
)

// maxSession is the longest that a caller's own pass may last which it makes of
// an answer: as long as a gate's session can be.
const maxSession = 366 * 24 * time.Hour

// asker reads who asks, as far as the caller says so.
func (q *request) asker(fields map[string]string) (by authflow.Asker, err error) {
	by = authflow.Asker{
		Browser: q.Flow.Program(q.partner),
		Lang:    q.Language(fields["lang"]),
		How:     authflow.HowAPI,
		Txn:     fields["txn"],
	}
	const maxTag = 64
	if len(fields["lang"]) > maxTag {
		return by, bad("lang is no language tag: send e.g. hi.")
	}
	if _, given := fields["txn"]; given && !authflow.CheckTxn(by.Txn) {
		return by, bad("txn is not 1 to 64 printable ASCII characters without a space.")
	}
	if ip := fields["client_ip"]; ip != "" {
		if by.IP, err = netip.ParseAddr(ip); err != nil || by.IP.Zone() != "" {
			return by, bad("client_ip is no IP address: send the address of the person's device, or leave it out.")
		}
	}
	if s := fields["session"]; s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > int(maxSession/time.Second) {
			return by, bad("session is not a number of seconds from 1 to 31622400.")
		}
		by.Relies = time.Duration(n) * time.Second
	}
	return by, nil
}

// txnID reads the handshake that a request names. What is no txnId at all is as
// unknown as one that is not ours.
func txnID(fields map[string]string) (authflow.ID128, error) {
	id, ok := authflow.ParseTxnID(strings.ToLower(fields["txnId"]))
	if !ok {
		return id, &authflow.Error{Code: authflow.TxnUnknown}
	}
	return id, nil
}

// askedAnswer is what generateOTP answers.
type askedAnswer struct {
	TxnID        string `json:"txnId"`
	MaskedMobile string `json:"masked_mobile"`
	ExpiresIn    int    `json:"expires_in"`
	ResendAfter  int    `json:"resend_after"`
	AttemptsLeft int    `json:"attempts_left"`
	Txn          string `json:"txn,omitempty"`
}

// generate has a code sent, or, with a txnId, another one.
func (q *request) generate() error {
	fields, err := readFields(q, q.r)
	if err != nil {
		return err
	}
	by, err := q.asker(fields)
	if err != nil {
		return err
	}
	var asked authflow.Asked
	if fields["txnId"] != "" {
		txn, err := txnID(fields)
		if err != nil {
			return err
		}
		if asked, err = q.Flow.Resend(q.r.Context(), q.partner, by, txn); err != nil {
			return err
		}
	} else {
		a, ok := q.partner.For(fields["sa"])
		if !ok {
			return bad("sa is no sub-partner that is registered for this partner.")
		}
		person := authflow.Person{Mobile: fields["mobile_number"], Name: fields["full_name"], Consent: fields["consent"]}
		if _, given := fields["consent"]; !given && q.partner.Programs.ConsentByCode {
			person.Consent = "Y"
		}
		if asked, err = q.Flow.Ask(q.r.Context(), a, by, person, ""); err != nil {
			return err
		}
	}
	q.writeJSON(http.StatusOK, askedAnswer{
		TxnID:        authflow.FormatTxnID(asked.TxnID),
		MaskedMobile: asked.MaskedMobile,
		ExpiresIn:    seconds(asked.ExpiresIn),
		ResendAfter:  seconds(asked.ResendAfter),
		AttemptsLeft: asked.AttemptsLeft,
		Txn:          asked.CallerTxn,
	})
	return nil
}

// partnerOf finds the partner of a handshake, where a client sends no key with
// the code, as CoWIN's need not: who has the txnId, 122 random bits, has it from
// the call that wanted the key.
func (q *request) partnerOf(txn authflow.ID128) error {
	id, err := q.Flow.PartnerOf(q.r.Context(), txn)
	if err != nil {
		return err
	}
	for _, a := range q.audiences {
		if a.ID == id && len(a.Programs.Keys) > 0 && !a.Ended(q.Now()) {
			q.partner = a
			return nil
		}
	}
	return &authflow.Error{Code: authflow.TxnUnknown}
}

// confirmedAnswer is what confirmOTP answers.
type confirmedAnswer struct {
	Token     string `json:"token"`
	ExpiresIn int    `json:"expires_in"`
	Consent   string `json:"consent"`
	Txn       string `json:"txn,omitempty"`
}

// confirm takes the code and answers with a token.
func (q *request) confirm() error {
	fields, err := readFields(q, q.r)
	if err != nil {
		return err
	}
	if strings.TrimSpace(fields["txnId"]) == "" {
		return &refusal{http.StatusBadRequest, problem{ErrorCode: errorTxnMissing, Code: authflow.BadRequest, Error: "The txnId is missing: send the one that generateOTP answered with."}}
	}
	typed := strings.TrimSpace(fields["otp"])
	if typed == "" && fields["birth_year"] == "" {
		return &authflow.Error{Code: authflow.OTPMissing}
	}
	txn, err := txnID(fields)
	if err != nil {
		return err
	}
	own, given := fields["txn"]
	if given && !authflow.CheckTxn(own) {
		return &authflow.Error{Code: authflow.TxnUnknown}
	}
	if q.partner == nil {
		if err := q.partnerOf(txn); err != nil {
			return err
		}
	}
	code := typed
	if hashed, ok := authflow.HashedCode(typed); ok {
		code = hashed
	} else if strings.Contains(typed, ":") {
		code = "" // no code, and not to be taken for our own word for a hash
	}
	g, err := q.Flow.Confirm(q.r.Context(), q.partner, q.Flow.Program(q.partner), txn, authflow.Proof{Code: code, BirthYear: fields["birth_year"], Txn: own})
	if err != nil {
		if e, ok := err.(*authflow.Error); ok && e.Code == authflow.OTPMissing && typed != "" {
			return &refusal{http.StatusBadRequest, problem{ErrorCode: errorOTPWrong, Code: authflow.OTPMissing, Error: "The code is none: send its digits, or their SHA-256 in lower-case hex. It was not counted as a try."}}
		}
		return err
	}
	q.writeJSON(http.StatusOK, confirmedAnswer{
		Token:     q.Flow.BearerToken(g),
		ExpiresIn: seconds(time.Unix(g.Pass.Expires, 0).Sub(q.Now())),
		Consent:   authflow.FormatID(g.Pass.Consent),
		Txn:       g.CallerTxn,
	})
	return nil
}

// statusAnswer is what the status call answers.
type statusAnswer struct {
	VaccinationStatus int    `json:"vaccination_status"`
	Assertion         string `json:"assertion"`
	Txn               string `json:"txn,omitempty"`
}

// status answers whoever has a token.
func (q *request) status() error {
	token, ok := bearer(q.r)
	if !ok {
		return errToken
	}
	fields, err := q.readQuery()
	if err != nil {
		return err
	}
	answer, err := q.answerTo(q.audiences, token)
	if err != nil {
		return err
	}
	if own, given := fields["txn"]; given && own != answer.Txn {
		return errToken
	}
	q.writeJSON(http.StatusOK, answer)
	return nil
}

// bearer reads the token of a request (RFC 6750, section 2.1).
func bearer(r *http.Request) (string, bool) {
	fields := r.Header["Authorization"]
	if len(fields) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(fields[0], " ")
	token = strings.TrimLeft(token, " ")
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

// answerTo is the answer for a token of one of the audiences.
func (q *request) answerTo(list []*authflow.Audience, token string) (answer statusAnswer, err error) {
	a, p, txn, err := q.Flow.OpenToken(list, token)
	if err != nil || p.Expired(q.Now()) || q.Withdrawals.Ended(p.Consent, p.Number) || a.Ended(q.Now()) {
		return answer, errToken
	}
	assertion, err := q.mint(a, &p)
	return statusAnswer{int(p.Status), assertion, txn}, err
}

// mint makes a fresh assertion, and notes that the consent was used.
func (q *request) mint(a *authflow.Audience, p *pass.Pass) (string, error) {
	if !q.Withdrawals.Current(q.Now()) {
		return "", errNotCurrent
	}
	m, err := q.Minter.Mint(a, p, a.TTL, q.Now())
	if err != nil {
		return "", err
	}
	q.Flow.UsedNow(q.r.Context(), a, p, authflow.HowAPI)
	return m.Compact(), nil
}

// redeem turns the code of a redirect into the answer.
func (q *request) redeem() error {
	fields, err := readFields(q, q.r)
	if err != nil {
		return err
	}
	if fields["code"] == "" {
		return bad("The code is missing: send the one that came with the redirect.")
	}
	token, err := q.Redeem(q.r.Context(), q.partner, fields["code"])
	if err != nil {
		return err
	}
	answer, err := q.answerTo([]*authflow.Audience{q.partner}, token)
	if err != nil {
		return err
	}
	q.writeJSON(http.StatusOK, answer)
	return nil
}
