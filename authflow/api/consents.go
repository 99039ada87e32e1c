package api

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
)

// errNotCurrent says that nothing was heard of withdrawals elsewhere for longer
// than tokens count without.
var errNotCurrent = errors.New("withdrawals made at other instances are not known")

// withdraw ends a consent that was given to the partner.
func (q *request) withdraw() error {
	fields, err := readFields(q, q.r)
	if err != nil {
		return err
	}
	if fields["consent"] == "" {
		return bad("The consent is missing: send its id, as in the assertion.")
	}
	id, err := authflow.ParseID(fields["consent"])
	if err != nil {
		return errConsent
	}
	err = q.Flow.WithdrawFor(q.r.Context(), q.partner, id)
	if e := (*authflow.Error)(nil); errors.As(err, &e) && e.Code == authflow.TxnUnknown {
		return errConsent
	}
	if err != nil {
		return err
	}
	q.WriteHeader(http.StatusNoContent)
	return nil
}

// errConsent says that a consent is none of the partner's. Whether it is
// somebody else's it does not say.
var errConsent = &refusal{http.StatusBadRequest, problem{
	ErrorCode: errorOther + "400", Code: authflow.BadRequest, Error: "No such consent was given to this partner.",
}}

// withdrawnAnswer lists withdrawals.
type withdrawnAnswer struct {
	Withdrawn []withdrawnConsent `json:"withdrawn"`
	Next      string             `json:"next"`
	More      bool               `json:"more,omitempty"`
}

type withdrawnConsent struct {
	Consent string `json:"consent"`
	At      string `json:"at"`
}

// withdrawn lists the withdrawals of consents that were given to the partner.
func (q *request) withdrawn() error {
	fields, err := q.readQuery()
	if err != nil {
		return err
	}
	var since time.Time
	if s := fields["since"]; s != "" {
		// a plus sign that nobody wrote as %2B is read as a space
		if since, err = time.Parse(time.RFC3339Nano, strings.ReplaceAll(s, " ", "+")); err != nil {
			return bad("since is no time: send one as RFC 3339 has it, such as the next of the last answer.")
		}
	}
	if !q.Withdrawals.Current(q.Now()) {
		return errNotCurrent
	}
	list, next, more := q.Flow.WithdrawnSince(q.partner, since)
	answer := withdrawnAnswer{Withdrawn: make([]withdrawnConsent, len(list)), Next: formatTime(next), More: more}
	for i, n := range list {
		answer.Withdrawn[i] = withdrawnConsent{authflow.FormatID(n.Consent), formatTime(n.At)}
	}
	q.writeJSON(http.StatusOK, answer)
	return nil
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// orderAnswer lists the handshakes of an order.
type orderAnswer struct {
	Txn        string            `json:"txn"`
	Travellers []travellerAnswer `json:"travellers"`
}

type travellerAnswer struct {
	TxnID             string        `json:"txnId"`
	MaskedMobile      string        `json:"masked_mobile"`
	State             string        `json:"state"`
	Code              authflow.Code `json:"code,omitempty"`
	Need              string        `json:"need,omitempty"`
	VaccinationStatus *int          `json:"vaccination_status,omitempty"`
	Assertion         string        `json:"assertion,omitempty"`
}

// order lists what became of the handshakes that share a txn.
func (q *request) order() error {
	fields, err := q.readQuery()
	if err != nil {
		return err
	}
	txn := fields["txn"]
	if !authflow.CheckTxn(txn) {
		return bad("txn is missing, or not one: send the txn that the handshakes were begun with.")
	}
	all, err := q.Flow.Order(q.r.Context(), q.partner, txn)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return &authflow.Error{Code: authflow.TxnUnknown}
	}
	answer := orderAnswer{Txn: txn}
	for i := range all {
		t := &all[i]
		one := travellerAnswer{TxnID: authflow.FormatTxnID(t.TxnID), MaskedMobile: t.MaskedMobile, State: string(t.State), Code: t.Code, Need: t.Need}
		if t.State == authflow.StateConfirmed {
			status := int(t.Pass.Status)
			one.VaccinationStatus = &status
			if one.Assertion, err = q.mint(t.Audience, &t.Pass); err != nil {
				return err
			}
		}
		answer.Travellers = append(answer.Travellers, one)
	}
	q.writeJSON(http.StatusOK, answer)
	return nil
}
