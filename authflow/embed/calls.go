package embed

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
)

// call wraps what the calls of the frame have in common: same-origin only, the
// fields read, the session opened. A refusal spends nothing.
func (q *request) call(do func(s session, a *authflow.Audience, fields map[string]string) error) func() {
	return func() {
		q.Header().Set("Cache-Control", "no-store")
		q.negotiate("")
		if err := q.crossOrigin.Check(q.r); err != nil {
			q.fail(&authflow.Error{Code: authflow.CrossOrigin})
			return
		}
		fields, err := readFields(q, q.r)
		if err != nil {
			q.fail(err)
			return
		}
		q.negotiate(fields["lang"])
		s, a, err := q.resume(fields["session"])
		if err == nil {
			err = do(s, a, fields)
		}
		if err != nil {
			q.fail(err)
		}
	}
}

func (q *request) asker(s session) authflow.Asker {
	return authflow.Asker{Browser: s.Browser, IP: q.visit.IP, Lang: q.lang}
}

// asked is the answer to otp.
type asked struct {
	TxnID        string `json:"txnId"`
	MaskedMobile string `json:"masked_mobile"`
	ExpiresIn    int    `json:"expires_in"`
	ResendAfter  int    `json:"resend_after"`
	AttemptsLeft int    `json:"attempts_left"`
}

// otp asks for a code, or, with a txnId, for another one.
func (q *request) otp(s session, a *authflow.Audience, fields map[string]string) error {
	var got authflow.Asked
	var err error
	if id := fields["txnId"]; id != "" {
		txn, ok := authflow.ParseTxnID(id)
		if !ok {
			return &authflow.Error{Code: authflow.TxnUnknown}
		}
		got, err = q.Flow.Resend(q.r.Context(), a, q.asker(s), txn)
	} else {
		person := authflow.Person{Mobile: fields["mobile_number"], Name: fields["full_name"], Consent: fields["consent"]}
		got, err = q.Flow.Ask(q.r.Context(), a, q.asker(s), person, "")
	}
	if err != nil {
		return err
	}
	return q.json(asked{
		TxnID:        authflow.FormatTxnID(got.TxnID),
		MaskedMobile: got.MaskedMobile,
		ExpiresIn:    seconds(got.ExpiresIn),
		ResendAfter:  seconds(got.ResendAfter),
		AttemptsLeft: got.AttemptsLeft,
	})
}

// answer is what verify gives to the frame. Pass stays there: it is what the
// person takes the consent back with. The rest is for the page that holds the
// frame.
type answer struct {
	VaccinationStatus int    `json:"vaccination_status"`
	Assertion         string `json:"assertion"`
	TxnID             string `json:"txnId"`
	Consent           string `json:"consent"`
	ExpiresAt         string `json:"expires_at"`
	Pass              string `json:"pass"`
}

// verify takes the code, or the year of birth, and answers.
func (q *request) verify(s session, a *authflow.Audience, fields map[string]string) error {
	txn, ok := authflow.ParseTxnID(fields["txnId"])
	if !ok {
		return &authflow.Error{Code: authflow.TxnUnknown}
	}
	g, err := q.Flow.Confirm(q.r.Context(), a, s.Browser, txn, authflow.Proof{Code: fields["otp"], BirthYear: fields["birth_year"]})
	if err != nil {
		return err
	}
	m, err := q.Minter.Mint(a, &g.Pass, a.TTL, q.Flow.Now())
	if err != nil {
		return err
	}
	q.Flow.Used(a, &g.Pass, authflow.HowPage)
	return q.json(answer{
		VaccinationStatus: int(g.Pass.Status),
		Assertion:         m.Compact(),
		TxnID:             authflow.FormatTxnID(g.Pass.TxnID),
		Consent:           authflow.FormatID(g.Pass.Consent),
		ExpiresAt:         time.Unix(g.Pass.Expires, 0).UTC().Format(time.RFC3339),
		Pass:              g.Token,
	})
}

// withdraw ends the consent that was given in the frame.
func (q *request) withdraw(_ session, a *authflow.Audience, fields map[string]string) error {
	p, err := a.Sealer.Open(fields["pass"])
	if err != nil {
		return &authflow.Error{Code: authflow.TxnUnknown}
	}
	if err := q.Flow.Withdraw(q.r.Context(), a, p); err != nil {
		return err
	}
	q.WriteHeader(http.StatusNoContent)
	return nil
}

// fail answers with an error of the handshake's.
func (q *request) fail(err error) {
	e := asError(err)
	q.report(e)
	word := string(e.Code)
	if e.Partly {
		word = "withdrawn_partly"
	}
	p := portal.Problem{
		Status: e.Code.HTTPStatus(), Code: e.Code, Need: e.Need, RetryAfter: e.RetryAfter,
		Detail: portal.Message(q.lang, word),
	}
	if e.RetryAfter > 0 {
		p.Detail += " " + portal.Text(q.lang, "common.wait", "time", waitText(q.lang, e.RetryAfter))
	}
	if e.Code == authflow.OTPInvalid {
		p.AttemptsLeft = &e.AttemptsLeft
	}
	portal.WriteProblem(q, q.r, p)
}

// waitText says how long to wait, rounded up.
func waitText(lang string, d time.Duration) string {
	switch {
	case d > 2*time.Hour:
		return portal.Text(lang, "time.hours", "n", int64((d+time.Hour-1)/time.Hour))
	case d > 2*time.Minute:
		return portal.Text(lang, "time.minutes", "n", int64((d+time.Minute-1)/time.Minute))
	}
	return portal.Text(lang, "time.seconds", "n", seconds(d))
}

func (q *request) json(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := q.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = q.Write(body)
	return nil
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
