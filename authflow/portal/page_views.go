package portal

import (
	"cmp"
	"time"
)

// View is what a page shows: one of the structs of this file. Everything in it
// may come from outside and is escaped for the place where it stands.
type View interface {
	frame() frame
}

// frame is what the layout needs of every View.
type frame struct {
	name         string // of the template
	site         string // shown at the top; may be empty
	partner      string // for the texts that name it; may be empty
	ret, partFor string // carried on in forms and links: return and for
	inForm       bool   // there is something to type, so other pages open apart from it
	languagePage string // the address that shows the same in another language; may be empty
	problem      bool   // the title says so first: it is what a screen reader reads first
	fields       []FieldProblem
	code         string        // the error code that the page is about; may be empty
	wait         time.Duration // until it makes sense to try again
	problemKey   string        // the text that says what is wrong, where the code's own does not fit
	levels       []level
	onward       string // where the button leads; may be empty
	onwardKey    string // the button's text
	titleKey     string // the heading, where there is a choice
	noticeURL    string // the full notice; empty for our own
	country      string // see ConsentView.DefaultCountry
	codeLength   int
	controller   string
	version      string // of the notice; empty for NoticeVersion
	page         int    // of the record, from 1
	own          bool   // about a person's own record: starting again is there
}

// level is a line that names a status in words.
type level struct {
	label  string // a key
	prefix string // of the key of the status: "need." or "status."
	status int
}

// FieldProblem says what is wrong with one field of a form.
type FieldProblem struct {
	Field string // the field's name, e.g. "mobile_number"; empty for the form as a whole
	Code  string // of the contract's table, e.g. "mobile_invalid"
}

// CodeProblem says what went wrong with what was just sent.
type CodeProblem struct {
	Code       string        // of the contract's table, e.g. "otp_invalid"
	RetryAfter time.Duration // 0 where waiting does not help
}

// ConsentView is the page on which a person consents and gives number and
// name.
type ConsentView struct {
	Site    string // the site's address as the person knows it, shown at the top
	Partner string
	Purpose string
	Session time.Duration // how long the answer will count
	Trial   bool          // codes go to the log, and the page says so
	Return  string        // the path to go back to
	For     string        // the partner's id where the site has several, else empty
	Mobile  string        // as typed before
	Name    string        // as typed before
	// Ticked shows the box ticked: only ever true where the person ticked it in
	// the form that is shown again.
	Ticked   bool
	Problems []FieldProblem
	// NoticeURL is the full notice; empty for this site's own.
	NoticeURL string
	// DefaultCountry is the country code of a number typed without one; empty
	// for "+91".
	DefaultCountry string
}

func (v ConsentView) frame() frame {
	return frame{
		name: "consent", site: v.Site, partner: v.Partner, ret: v.Return, partFor: v.For,
		inForm: true, languagePage: "/.kycvs/", problem: len(v.Problems) > 0, fields: v.Problems,
		noticeURL: v.NoticeURL, country: cmp.Or(v.DefaultCountry, "+91"),
	}
}

// CodeView is the page that asks for the code, or, with NeedBirthYear, for the
// year of birth.
type CodeView struct {
	Partner      string
	Purpose      string
	MaskedMobile string
	TxnID        string
	Return       string
	For          string
	ExpiresIn    time.Duration // how long the code works from now; 0 or less says nothing of it
	ResendAfter  time.Duration // until another code may be asked for; 0 or less is now
	AttemptsLeft int           // 0 says nothing of it
	Problem      *CodeProblem
	CodeLength   int  // in digits
	Dead         bool // nothing more to enter: a way to start again in place of the form
	Trial        bool // the code is in the log, and the page says so
	// NeedBirthYear asks for birth_year in place of the code, which was right.
	NeedBirthYear bool
	// Own says that the code opens a person's own record, not a site.
	Own bool
}

func (v CodeView) frame() frame {
	f := frame{
		name: "code", partner: v.Partner, ret: v.Return, partFor: v.For,
		inForm: !v.Dead, problem: v.Problem != nil,
		titleKey: "code.title", codeLength: v.CodeLength, own: v.Own,
	}
	if v.NeedBirthYear {
		f.titleKey = "birth.title"
	}
	if v.Problem != nil {
		f.code, f.wait = v.Problem.Code, v.Problem.RetryAfter
	}
	if v.NeedBirthYear {
		switch f.code {
		case "ambiguous": // that is the question, and nobody's mistake
			f.problem = false
		case "bad_request", "otp_missing":
			f.problemKey = "birth.wrong"
		}
	}
	// The last wrong code is told as what it means now.
	if v.Dead && (f.code == "" || f.code == "otp_invalid") {
		f.code, f.problem = "otp_attempts", true
	}
	return f
}

// PassView shows what this browser holds for one partner, and ends it.
type PassView struct {
	Partner string
	Purpose string
	Status  int    // 0, 1 or 2; anything else is an error, never a word
	Consent string // the ledger's id of the consent, the person's receipt
	Given   time.Time
	Expires time.Time
	Others  []OtherPass
	// Version is of the notice that was shown, Shown its language (BCP 47); empty
	// where they are not known.
	Version, Shown string
	// Controller, Contact and Grievance are as in NoticeView.
	Controller, Contact, Grievance string
	// WithdrawFor is the partner's id where the site has several, else empty.
	WithdrawFor string
	Return      string // the path to go on to; empty for none
}

func (v PassView) frame() frame {
	return frame{name: "pass", partner: v.Partner, ret: v.Return, partFor: v.WithdrawFor, languagePage: "/.kycvs/pass",
		controller: cmp.Or(v.Controller, v.Partner)}
}

// OtherPass is a pass for another partner in the same browser.
type OtherPass struct {
	Partner string
	Purpose string
	For     string // the partner's id
}

// EmptyPassView says that this browser holds no pass.
type EmptyPassView struct {
	Return string
	For    string
}

func (v EmptyPassView) frame() frame {
	return frame{name: "empty", ret: v.Return, partFor: v.For, languagePage: "/.kycvs/pass"}
}

// WithdrawnView says that the consent has been taken back.
type WithdrawnView struct {
	Partner string
	For     string
}

func (v WithdrawnView) frame() frame {
	return frame{name: "withdrawn", partner: v.Partner, partFor: v.For}
}

// NoticeView is the full notice (India's Digital Personal Data Protection
// Rules, 2025, rule 3): it stands alone, itemises data and purpose, and says
// how to withdraw, what one's rights are and where to complain.
type NoticeView struct {
	Controller string // who is responsible; empty for the partner
	Contact    string // an email or web address, or words; empty where there is none
	Grievance  string // the same, for complaints
	Partner    string
	Purpose    string
	Session    time.Duration
	Version    string // empty for NoticeVersion in the page's language
	For        string
}

func (v NoticeView) frame() frame {
	return frame{name: "notice", partner: v.Partner, partFor: v.For, languagePage: "/.kycvs/notice",
		controller: cmp.Or(v.Controller, v.Partner), version: v.Version}
}

// RefusalKind says why the gate does not let a request through.
type RefusalKind string

// The refusals, with the HTTP status that belongs to each.
const (
	RefusalSignIn        RefusalKind = "signin"         // 401: a navigation other than GET, without a pass
	RefusalTooLow        RefusalKind = "too_low"        // 403: a pass below the level
	RefusalAmbiguousPath RefusalKind = "ambiguous_path" // 400
	RefusalMethod        RefusalKind = "method"         // 405
	RefusalUnavailable   RefusalKind = "unavailable"    // 503
	RefusalNotFound      RefusalKind = "not_found"      // 404
	RefusalInternal      RefusalKind = "internal"       // 500
)

// code is the refusal's word among the error codes.
func (k RefusalKind) code() string {
	if k == RefusalTooLow {
		return "status_too_low"
	}
	return string(k)
}

// RefusalView is the gate's own answer to a request that it stops.
type RefusalView struct {
	Kind       RefusalKind
	Partner    string // may be empty
	Required   int    // RefusalTooLow: the level needed, 0, 1 or 2
	Status     int    // RefusalTooLow: the status in the pass
	RetryAfter time.Duration
	Start      string // the consent page, a path on this site; empty for no button
	For        string
}

func (v RefusalView) frame() frame {
	f := frame{
		name: "error", partner: v.Partner, partFor: v.For, code: v.Kind.code(),
		wait: v.RetryAfter, onward: v.Start, onwardKey: "common.start",
	}
	switch v.Kind {
	case RefusalUnavailable, RefusalInternal:
		f.onwardKey = "common.back"
	case RefusalTooLow:
		f.onwardKey = "common.check_again"
		f.levels = []level{
			{"error.status_too_low.needed", "need.", v.Required},
			{"error.status_too_low.have", "status.", v.Status},
		}
	}
	return f
}

// ErrorView is the page for an error code that has no page of its own.
type ErrorView struct {
	Code       string // of the contract's table, or a refusal's; one not known is "internal"
	Partner    string // may be empty
	RetryAfter time.Duration
	Back       string // where to try again, a path on this site; empty for no button
	Return     string // the path that the person was to go back to; may be empty
	For        string
}

func (v ErrorView) frame() frame {
	f := frame{
		name: "error", partner: v.Partner, ret: v.Return, partFor: v.For, code: v.Code,
		wait: v.RetryAfter, onward: v.Back, onwardKey: "common.back",
	}
	switch v.Code {
	case "otp_expired", "otp_attempts", "txn_unknown", "cross_origin":
		f.onwardKey = "common.start_again"
	case "locked":
		f.onwardKey = "common.consents"
	}
	return f
}
