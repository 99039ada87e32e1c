package portal

import (
	"net/http"
	"strconv"

	"github.com/kycvs/caddy-kycvs/authflow"
)

// consent shows the consent page.
func (q *request) consent() {
	values := q.query()
	a := q.audience(values.Get("for"))
	if a == nil {
		q.refuse(http.StatusNotFound, RefusalNotFound)
		return
	}
	q.page(http.StatusOK, q.consentView(a, SafeReturn(values.Get("return"))))
}

func (q *request) consentView(a *authflow.Audience, ret string) ConsentView {
	return ConsentView{
		Site:           a.Host,
		Partner:        a.Name,
		Purpose:        a.Purpose,
		Session:        a.Session,
		Trial:          q.Trial,
		Return:         ret,
		For:            q.forField(a),
		NoticeURL:      q.noticeURL(a),
		DefaultCountry: "+" + strconv.Itoa(q.Flow.Limits.Countries[0]),
	}
}

// fieldOf is the form's field that an error is about.
var fieldOf = map[authflow.Code]string{
	authflow.ConsentRequired: "consent",
	authflow.MobileInvalid:   "mobile_number",
	authflow.NameInvalid:     "full_name",
}

// otp asks for a code, or, with a txnId, for another one.
func (q *request) otp() {
	if q.fields["txnId"] != "" {
		q.resend()
		return
	}
	a := q.audience(q.fields["for"])
	if a == nil {
		q.fail(&authflow.Error{Code: authflow.BadRequest})
		return
	}
	person := authflow.Person{Mobile: q.fields["mobile_number"], Name: q.fields["full_name"], Consent: q.fields["consent"]}
	ret := SafeReturn(q.fields["return"])
	ctx := q.r.Context()
	if q.jar.Browser == [16]byte{} {
		q.jar.NewBrowser()
	}
	ask, problems := q.Flow.Fingerprint(a, q.asker(), person)
	if len(problems) > 0 {
		q.askAgain(a, person, ret, problems)
		return
	}
	if !q.json && ask == q.jar.Ask {
		// The page was loaded again: the code is on its way already. A program that
		// asks twice means it.
		if asked, err := q.Flow.Look(ctx, a, q.asker(), q.jar.Txn); err == nil && asked.AttemptsLeft > 0 && asked.ExpiresIn > 0 && !asked.Proved {
			q.showCode(http.StatusOK, a, asked, nil)
			return
		}
	}
	asked, err := q.Flow.Ask(ctx, a, q.asker(), person, ret)
	if err != nil {
		q.fail(err)
		return
	}
	q.jar.Txn, q.jar.Ask = asked.TxnID, ask
	q.setCookie(q.keep())
	q.showAsked(a, asked)
}

// askAgain shows the form with what was typed and what is wrong with it.
func (q *request) askAgain(a *authflow.Audience, person authflow.Person, ret string, problems []authflow.Code) {
	if q.json {
		q.problem(&authflow.Error{Code: problems[0]})
		return
	}
	view := q.consentView(a, ret)
	view.Mobile, view.Name, view.Ticked = person.Mobile, person.Name, person.Consent == "Y"
	for _, code := range problems {
		view.Problems = append(view.Problems, FieldProblem{Field: fieldOf[code], Code: string(code)})
	}
	q.page(http.StatusBadRequest, view)
}

func (q *request) resend() {
	a, txn, err := q.underWay()
	if err != nil {
		q.fail(err)
		return
	}
	asked, err := q.Flow.Resend(q.r.Context(), a, q.asker(), txn)
	if err == nil {
		q.showAsked(a, asked)
		return
	}
	e := asError(err)
	if q.json || e.Code == authflow.TxnUnknown {
		q.fail(err)
		return
	}
	q.codeProblem(a, txn, e)
}

// underWay finds the handshake that a txnId names and the partner it was begun
// for.
func (q *request) underWay() (*authflow.Audience, authflow.ID128, error) {
	unknown := &authflow.Error{Code: authflow.TxnUnknown}
	txn, ok := authflow.ParseTxnID(q.fields["txnId"])
	if !ok {
		return nil, txn, unknown
	}
	id := q.fields["for"]
	if id == "" && len(q.visit.Audiences) == 1 {
		id = q.visit.Audiences[0].ID
	}
	if id == "" {
		var err error
		if id, err = q.Flow.PartnerOf(q.r.Context(), txn); err != nil {
			return nil, txn, err
		}
	}
	a := q.audience(id)
	if a == nil {
		return nil, txn, unknown
	}
	return a, txn, nil
}

// askedAnswer is the JSON twin of the page for the code.
type askedAnswer struct {
	TxnID        string `json:"txnId"`
	MaskedMobile string `json:"masked_mobile"`
	ExpiresIn    int    `json:"expires_in"`
	ResendAfter  int    `json:"resend_after"`
	AttemptsLeft int    `json:"attempts_left"`
}

func (q *request) showAsked(a *authflow.Audience, asked authflow.Asked) {
	if !q.json {
		q.showCode(http.StatusOK, a, asked, nil)
		return
	}
	q.writeJSON(http.StatusOK, askedAnswer{
		TxnID:        authflow.FormatTxnID(asked.TxnID),
		MaskedMobile: asked.MaskedMobile,
		ExpiresIn:    seconds(asked.ExpiresIn),
		ResendAfter:  seconds(asked.ResendAfter),
		AttemptsLeft: asked.AttemptsLeft,
	})
}

func (q *request) showCode(status int, a *authflow.Audience, asked authflow.Asked, problem *authflow.Error) {
	view := CodeView{
		Partner:       a.Name,
		Purpose:       a.Purpose,
		MaskedMobile:  asked.MaskedMobile,
		TxnID:         authflow.FormatTxnID(asked.TxnID),
		Return:        asked.Return,
		For:           q.forField(a),
		ExpiresIn:     asked.ExpiresIn,
		ResendAfter:   asked.ResendAfter,
		AttemptsLeft:  asked.AttemptsLeft,
		CodeLength:    q.Flow.OTP.Length,
		Dead:          asked.AttemptsLeft == 0,
		Trial:         q.Trial,
		NeedBirthYear: asked.Proved,
		Own:           q.self,
	}
	if q.self {
		view.For = ""
	}
	if problem != nil {
		view.Problem = &CodeProblem{Code: string(problem.Code), RetryAfter: problem.RetryAfter}
		SetRetryAfter(q.Header(), problem.RetryAfter)
		if problem.Code == authflow.TooManyRequests {
			// While a limit is reached another code is of no use, even where the
			// handshake itself would allow it.
			view.ResendAfter = max(view.ResendAfter, problem.RetryAfter)
		}
	}
	q.page(status, view)
}

// codeProblem shows the page for the code again with what went wrong, or, if
// the handshake is gone, what went wrong alone.
func (q *request) codeProblem(a *authflow.Audience, txn authflow.ID128, e *authflow.Error) {
	asked, err := q.Flow.Look(q.r.Context(), a, q.asker(), txn)
	if err != nil {
		q.fail(e)
		return
	}
	q.report(e)
	q.showCode(e.Code.HTTPStatus(), a, asked, e)
}
