package portal

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
)

// verify takes the code, sets the pass and sends the person back to where they
// were going.
func (q *request) verify() {
	a, txn, err := q.underWay()
	if err == nil {
		var granted authflow.Granted
		granted, err = q.Flow.Confirm(q.r.Context(), a, q.jar.Browser, txn, authflow.Proof{Code: q.fields["otp"], BirthYear: q.fields["birth_year"]})
		if err == nil {
			q.grant(a, granted)
			return
		}
	}
	e := asError(err)
	switch {
	case q.json:
		q.fail(err)
	case e.Code == authflow.TxnUnknown:
		if ret, done := q.doneAlready(txn); done {
			q.seeOther(ret)
			return
		}
		q.fail(err)
	case e.Code == authflow.NoRecord, e.Code == authflow.Locked, e.Code == authflow.Ambiguous && e.Need == "":
		q.fail(err)
	default:
		q.codeProblem(a, txn, e)
	}
}

// doneAlready tells whether this browser holds the pass that the handshake
// led to: somebody pressed twice, or loaded the page again.
func (q *request) doneAlready(txn authflow.ID128) (ret string, done bool) {
	for _, a := range q.visit.Audiences {
		if p, ok := q.holds(a); ok && p.TxnID == txn {
			return SafeReturn(q.fields["return"]), true
		}
	}
	return "", false
}

func (q *request) grant(a *authflow.Audience, g authflow.Granted) {
	q.jar.Put(a.Sealer, g.Token)
	q.jar.AddPhone(g.Phone, q.Now())
	q.jar.Txn, q.jar.Ask = [16]byte{}, [16]byte{}
	if !q.json {
		q.setCookie(q.keep())
		ret := q.fields["return"]
		if ret == "" {
			ret = g.Return
		}
		q.seeOther(SafeReturn(ret))
		return
	}
	answer, err := q.answer(a, &g.Pass)
	if err != nil {
		// the consent is given and the pass made; only this answer cannot be signed
		q.setCookie(q.keep())
		q.fail(err)
		return
	}
	q.setCookie(q.keep())
	q.writeJSON(http.StatusOK, answer)
}

func (q *request) seeOther(ret string) {
	q.Header().Set("Location", ret)
	q.WriteHeader(http.StatusSeeOther)
}

// passAnswer is what a program gets for a pass.
type passAnswer struct {
	VaccinationStatus int    `json:"vaccination_status"`
	Assertion         string `json:"assertion"`
	ExpiresAt         string `json:"expires_at"`
	// Receipt is left out where what was shown to the person cannot be looked up
	// now.
	Receipt string `json:"receipt,omitempty"`
}

func (q *request) answer(a *authflow.Audience, p *pass.Pass) (passAnswer, error) {
	m, err := q.Minter.Mint(a, p, a.TTL, q.Now())
	if err != nil {
		return passAnswer{}, err
	}
	q.Flow.Used(a, p, authflow.HowPage)
	return passAnswer{
		VaccinationStatus: int(p.Status),
		Assertion:         m.Compact(),
		ExpiresAt:         time.Unix(p.Expires, 0).UTC().Format(time.RFC3339),
	}, nil
}

// errNotCurrent says that nothing was heard of withdrawals elsewhere for longer
// than passes count without.
var errNotCurrent = errors.New("withdrawals made elsewhere are not known")

// pass shows what this browser holds.
func (q *request) pass() {
	a := q.audience(q.query().Get("for"))
	if a == nil {
		q.refuse(http.StatusNotFound, RefusalNotFound)
		return
	}
	if q.json {
		p, ok := q.holds(a)
		if !ok {
			q.empty(a)
			return
		}
		if !q.Withdrawals.Current(q.Now()) {
			q.fail(errNotCurrent)
			return
		}
		answer, err := q.answer(a, &p)
		if err != nil {
			q.fail(err)
			return
		}
		if f, err := q.facts(a, &p); err == nil {
			if _, answer.Receipt, err = q.signed(f); err != nil {
				q.fail(err)
				return
			}
		}
		q.writeJSON(http.StatusOK, answer)
		return
	}
	view := PassView{WithdrawFor: q.forField(a), Controller: q.Notice.Controller, Contact: q.Notice.Contact, Grievance: q.Notice.Grievance}
	held := false
	for _, other := range append([]*authflow.Audience{a}, q.visit.Audiences...) {
		p, ok := q.holds(other)
		switch {
		case !ok || held && other.Name == view.Partner:
		case held:
			view.Others = append(view.Others, OtherPass{Partner: other.Name, Purpose: other.Purpose, For: other.ID})
		default:
			held = true
			view.Partner, view.Purpose, view.Status = other.Name, other.Purpose, int(p.Status)
			view.Consent = authflow.FormatID(p.Consent)
			view.Given, view.Expires = time.Unix(p.AuthTime, 0), time.Unix(p.Expires, 0)
			view.WithdrawFor = q.forField(other)
			if s, err := q.shown(&p); err == nil {
				view.Version, view.Shown = s.notice, s.lang
			}
		}
	}
	if !held {
		q.empty(a)
		return
	}
	q.page(http.StatusOK, view)
}

// start is the address of the consent page for a partner.
func (q *request) start(a *authflow.Audience) string {
	if f := q.forField(a); f != "" {
		return Prefix + "?for=" + url.QueryEscape(f)
	}
	return Prefix
}

// withdraw ends the consent, and with it the pass.
func (q *request) withdraw() {
	a := q.audience(q.fields["for"])
	if a == nil {
		q.fail(&authflow.Error{Code: authflow.BadRequest})
		return
	}
	p, _, err := q.jar.Find(a.Sealer)
	if err != nil {
		q.empty(a)
		return
	}
	if err := q.Flow.Withdraw(q.r.Context(), a, p); err != nil {
		q.fail(err)
		return
	}
	q.jar.Remove(a.Sealer)
	q.jar.ForgetPhones()
	q.setCookie(q.keep())
	if q.json {
		q.WriteHeader(http.StatusNoContent)
		return
	}
	q.page(http.StatusOK, WithdrawnView{Partner: a.Name})
}

// notice shows the full notice.
func (q *request) notice() {
	a := q.audience(q.query().Get("for"))
	if a == nil {
		q.refuse(http.StatusNotFound, RefusalNotFound)
		return
	}
	q.page(http.StatusOK, NoticeView{
		Controller: q.Notice.Controller,
		Contact:    q.Notice.Contact,
		Grievance:  q.Notice.Grievance,
		Partner:    a.Name,
		Purpose:    a.Purpose,
		Session:    a.Session,
		For:        q.forField(a),
	})
}

func (q *request) noticeURL(a *authflow.Audience) string {
	if f := q.forField(a); f != "" {
		return Prefix + "notice?for=" + url.QueryEscape(f)
	}
	return Prefix + "notice"
}

func writeJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		WriteProblem(w, r, Problem{Status: http.StatusInternalServerError})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}
