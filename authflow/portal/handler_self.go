package portal

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
)

// consentsPage is where a person who has proven a number sees what was done with
// it, ends consents and locks it. What it does is said by authflow's Self.
const consentsPage = "consents"

// proven returns the pass of the number that was proven in this browser. That the
// number is locked does not end it: who locked it must be able to unlock it.
func (q *request) proven() (pass.Pass, bool) {
	p, _, err := q.jar.Find(q.visit.Self.Sealer)
	return p, err == nil && !p.Expired(q.Now())
}

// elsewhere leads to the page of the authority that sends the codes here and has
// the record of them.
func (q *request) elsewhere(there string) {
	if !q.json {
		q.seeOther(there)
		return
	}
	WriteProblem(q, q.r, Problem{
		Status: authflow.AtAuthority.HTTPStatus(), Code: authflow.AtAuthority,
		Detail: Message(q.lang, string(authflow.AtAuthority)), Start: there,
	})
}

// unproven says that a number has to be proven first.
func (q *request) unproven() {
	if q.json {
		q.Header().Set("WWW-Authenticate", "KYCVS")
		WriteProblem(q, q.r, Problem{Status: http.StatusUnauthorized, Detail: Text(q.lang, "self.over"), Start: Prefix + consentsPage})
		return
	}
	v := q.selfView()
	v.Over = true
	q.page(http.StatusUnauthorized, v)
}

func (q *request) selfView() SelfView {
	return SelfView{Site: q.visit.Self.Host, Trial: q.Trial, DefaultCountry: "+" + strconv.Itoa(q.Flow.Limits.Countries[0])}
}

// consents shows the record of the proven number, or asks for a number.
func (q *request) consents() {
	p, ok := q.proven()
	if !ok {
		if q.json {
			q.unproven()
			return
		}
		q.page(http.StatusOK, q.selfView())
		return
	}
	r, err := q.record(p)
	if err != nil {
		q.fail(err)
		return
	}
	if q.json {
		q.writeJSON(http.StatusOK, recordAnswerOf(&r, q.Now()))
		return
	}
	q.page(http.StatusOK, q.recordView(p, &r))
}

// selfOTP asks for a code for the person's own record, or, with a txnId, for
// another one.
func (q *request) selfOTP() {
	a, ctx := q.visit.Self, q.r.Context()
	if q.fields["txnId"] != "" {
		txn, ok := authflow.ParseTxnID(q.fields["txnId"])
		if !ok {
			q.fail(&authflow.Error{Code: authflow.TxnUnknown})
			return
		}
		asked, err := q.Flow.Resend(ctx, a, q.asker(), txn)
		if err != nil {
			q.selfProblem(txn, err)
			return
		}
		q.showAsked(a, asked)
		return
	}
	if q.jar.Browser == [16]byte{} {
		q.jar.NewBrowser()
	}
	mobile := q.fields["mobile_number"]
	ask, err := q.Flow.FingerprintSelf(a, q.asker(), mobile)
	if err != nil {
		if q.json {
			q.fail(err)
			return
		}
		v := q.selfView()
		v.Mobile, v.Wrong = mobile, true
		q.page(http.StatusBadRequest, v)
		return
	}
	if !q.json && ask == q.jar.Ask {
		// the page was loaded again: the code is on its way already
		if asked, err := q.Flow.Look(ctx, a, q.asker(), q.jar.Txn); err == nil && asked.AttemptsLeft > 0 && asked.ExpiresIn > 0 {
			q.showCode(http.StatusOK, a, asked, nil)
			return
		}
	}
	asked, err := q.Flow.AskSelf(ctx, a, q.asker(), mobile)
	if err != nil {
		q.fail(err)
		return
	}
	q.jar.Txn, q.jar.Ask = asked.TxnID, ask
	q.setCookie(q.keep())
	q.showAsked(a, asked)
}

// selfProblem shows the page for the code again with what went wrong, where it
// can be mended there.
func (q *request) selfProblem(txn authflow.ID128, err error) {
	e := asError(err)
	if q.json || e.Code == authflow.TxnUnknown {
		q.fail(e)
		return
	}
	q.codeProblem(q.visit.Self, txn, e)
}

// selfVerify takes the code and lets the browser see the record for a while.
func (q *request) selfVerify() {
	a := q.visit.Self
	txn, ok := authflow.ParseTxnID(q.fields["txnId"])
	if !ok {
		q.fail(&authflow.Error{Code: authflow.TxnUnknown})
		return
	}
	s, err := q.Flow.ProveSelf(q.r.Context(), a, q.jar.Browser, txn, q.fields["otp"])
	if err != nil {
		// somebody pressed twice
		if p, ok := q.proven(); ok && p.TxnID == txn && !q.json {
			q.toConsents("")
			return
		}
		q.selfProblem(txn, err)
		return
	}
	q.jar.Put(a.Sealer, s.Token)
	q.jar.AddPhone(s.Phone, q.Now())
	q.jar.Txn, q.jar.Ask = [16]byte{}, [16]byte{}
	q.setCookie(q.keep())
	if q.json {
		q.writeJSON(http.StatusOK, provenAnswer{time.Unix(s.Pass.Expires, 0).UTC().Format(time.RFC3339)})
		return
	}
	q.toConsents("")
}

// provenAnswer tells a program until when it may look.
type provenAnswer struct {
	ExpiresAt string `json:"expires_at"`
}

// selfEnd ends one of the consents given with the proven number.
func (q *request) selfEnd() {
	p, ok := q.proven()
	if !ok {
		q.unproven()
		return
	}
	done, err := q.records.turn(q.r.Context(), p.Number) // it reads the record
	if err == nil {
		err = q.Flow.EndConsent(q.r.Context(), p, q.fields["consent"])
		done()
	}
	q.did(doneEnded, err)
}

// selfLock locks the proven number, or unlocks it.
func (q *request) selfLock() {
	p, ok := q.proven()
	if !ok {
		q.unproven()
		return
	}
	switch q.fields["locked"] {
	case "yes":
		q.did(doneLocked, q.Flow.Lock(q.r.Context(), p, true))
	case "no":
		q.did(doneUnlocked, q.Flow.Lock(q.r.Context(), p, false))
	default:
		q.fail(&authflow.Error{Code: authflow.BadRequest})
	}
}

// selfLeave forgets which numbers were proven in this browser.
func (q *request) selfLeave() {
	q.jar.Remove(q.visit.Self.Sealer)
	q.jar.ForgetPhones()
	q.setCookie(q.keep())
	q.did("", nil)
}

// What was done, for the page that is shown next.
const (
	doneEnded    = "ended"
	doneLocked   = "locked"
	doneUnlocked = "unlocked"
)

// did answers a post that was to change something.
func (q *request) did(what string, err error) {
	switch {
	case err != nil:
		q.fail(err)
	case q.json:
		q.WriteHeader(http.StatusNoContent)
	default:
		q.toConsents(what)
	}
}

// toConsents sends a browser to the page, so that loading it again does nothing
// again.
func (q *request) toConsents(done string) {
	values := url.Values{}
	if q.fields["lang"] != "" {
		values.Set("lang", q.lang)
	}
	if done != "" {
		values.Set("done", done)
	}
	to := Prefix + consentsPage
	if len(values) > 0 {
		to += "?" + values.Encode()
	}
	q.seeOther(to)
}

// perPage is how many consents, and how many refusals, a page shows: what fits a
// slow line.
const perPage = 20

// recordView is a page of the record.
func (q *request) recordView(p pass.Pass, r *authflow.Record) RecordView {
	now := q.Now()
	values := q.query()
	pages := max(1, (max(len(r.Consents), len(r.Refusals))+perPage-1)/perPage)
	page, err := strconv.Atoi(values.Get("page"))
	if err != nil {
		page = 1
	}
	page = min(max(page, 1), pages)
	v := RecordView{
		Site: q.visit.Self.Host, Locked: r.Locked, Total: len(r.Consents), Page: page, Pages: pages,
		Left: time.Unix(p.Expires, 0).Sub(now),
	}
	// the address may be anybody's words: it is said only where it is true
	switch done := values.Get("done"); {
	case done == doneLocked && r.Locked, done == doneUnlocked && !r.Locked,
		done == doneEnded && slices.ContainsFunc(r.Consents, func(c authflow.Consent) bool { return !c.Withdrawn.IsZero() }):
		v.Done = done
	}
	for _, c := range pageOf(r.Consents, page) {
		shown := RecordConsent{
			ID: c.ID, Partner: q.partnerName(c.Partner), Purpose: c.Purpose, Acting: c.Acting, Given: c.Given, Until: c.Until,
			Running: c.Running(now), Withdrawn: !c.Withdrawn.IsZero(),
		}
		for _, answer := range slices.Backward(c.Answers) {
			shown.Answers = append(shown.Answers, RecordAnswer{answer.At, answer.How})
		}
		v.Consents = append(v.Consents, shown)
	}
	for _, f := range pageOf(r.Refusals, page) {
		v.Refusals = append(v.Refusals, RecordRefusal{f.At, q.partnerName(f.Partner), f.Purpose, f.Reason})
	}
	return v
}

// pageOf is one page of a list.
func pageOf[E any](list []E, page int) []E {
	from := min((page-1)*perPage, len(list))
	return list[from:min(from+perPage, len(list))]
}

// partnerName is the name of a partner of this site, the id of another.
func (q *request) partnerName(id string) string {
	if a := q.audience(id); a != nil && id != "" {
		return a.Name
	}
	return id
}

// recordAnswer is the JSON twin of the page.
type recordAnswer struct {
	Locked   bool            `json:"locked"`
	Consents []consentAnswer `json:"consents"`
	Refusals []refusalAnswer `json:"refusals"`
}

type consentAnswer struct {
	Consent string       `json:"consent"`
	Partner string       `json:"partner"`
	Acting  string       `json:"acting,omitempty"`
	Purpose string       `json:"purpose"`
	Given   string       `json:"given"`
	Until   string       `json:"until"`
	State   string       `json:"state"` // running, ended or withdrawn
	Answers []usedAnswer `json:"answers"`
}

type usedAnswer struct {
	At  string `json:"at"`
	How string `json:"how"`
}

type refusalAnswer struct {
	At      string `json:"at"`
	Partner string `json:"partner"`
	Purpose string `json:"purpose"`
	Reason  string `json:"reason"`
}

func recordAnswerOf(r *authflow.Record, now time.Time) recordAnswer {
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	out := recordAnswer{Locked: r.Locked, Consents: []consentAnswer{}, Refusals: []refusalAnswer{}}
	for _, c := range r.Consents {
		one := consentAnswer{
			Consent: c.ID, Partner: c.Partner, Acting: c.Acting, Purpose: c.Purpose, Given: at(c.Given), Until: at(c.Until),
			State: "ended", Answers: []usedAnswer{},
		}
		switch {
		case c.Running(now):
			one.State = "running"
		case !c.Withdrawn.IsZero():
			one.State = "withdrawn"
		}
		for _, a := range c.Answers {
			one.Answers = append(one.Answers, usedAnswer{at(a.At), a.How})
		}
		out.Consents = append(out.Consents, one)
	}
	for _, f := range r.Refusals {
		out.Refusals = append(out.Refusals, refusalAnswer{at(f.At), f.Partner, f.Purpose, f.Reason})
	}
	return out
}
