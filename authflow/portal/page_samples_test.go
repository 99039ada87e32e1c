package portal

import "time"

// sample is a View as somebody would see it; its name is that of the golden
// file.
type sample struct {
	name   string
	status int
	view   View
}

// samples are every page, and every shape of it that has words of its own.
func samples() []sample {
	consent := ConsentView{
		Site: "mall.example", Partner: "Phoenix Mall", Purpose: "Entry to the mall",
		Session: 12 * time.Hour, Return: "/shops?floor=2", For: "mall",
	}
	wrongConsent := consent
	wrongConsent.Mobile, wrongConsent.Name, wrongConsent.Ticked = "98765", "Asha Devi", true
	wrongConsent.Problems = []FieldProblem{{"mobile_number", "mobile_invalid"}}
	emptyConsent := consent
	emptyConsent.Problems = []FieldProblem{
		{"consent", "consent_required"}, {"mobile_number", "mobile_invalid"}, {"full_name", "name_invalid"},
	}
	trialConsent := consent
	trialConsent.Trial, trialConsent.For, trialConsent.DefaultCountry = true, "", "+977"

	code := CodeView{
		Partner: "Phoenix Mall", Purpose: "Entry to the mall", MaskedMobile: "+91 ••••••3210",
		TxnID: "3fa85f64-5717-4562-b3fc-2c963f66afa6", Return: "/shops?floor=2", For: "mall",
		ExpiresIn: 3 * time.Minute, ResendAfter: 30 * time.Second, AttemptsLeft: 3, CodeLength: 6,
	}
	wrongCode := code
	wrongCode.AttemptsLeft, wrongCode.ResendAfter = 1, 0
	wrongCode.Problem = &CodeProblem{Code: "otp_invalid"}
	earlyCode := code
	earlyCode.Trial = true
	earlyCode.Problem = &CodeProblem{Code: "too_many_requests", RetryAfter: 21 * time.Second}
	deadCode := code
	deadCode.Dead, deadCode.AttemptsLeft = true, 0
	deadCode.Problem = &CodeProblem{Code: "otp_invalid"}
	birthYear := code
	birthYear.NeedBirthYear = true
	birthYear.Problem = &CodeProblem{Code: "ambiguous"}
	wrongYear := birthYear
	wrongYear.Problem = &CodeProblem{Code: "bad_request"}

	pass := PassView{
		Partner: "Phoenix Mall", Purpose: "Entry to the mall", Status: 2,
		Consent: "Zk3vQ0m1Rr6yB8w2tUo5Xg",
		Given:   time.Date(2026, 11, 21, 12, 30, 0, 0, time.UTC),
		Expires: time.Date(2026, 11, 22, 0, 30, 0, 0, time.UTC),
		Return:  "/shops?floor=2", Version: "2-0123456789ab", Shown: "hi",
		Controller: "Phoenix Mall Ltd", Contact: "privacy@phoenix.example", Grievance: "https://phoenix.example/grievance",
	}
	passOfTwo := pass
	passOfTwo.Status, passOfTwo.WithdrawFor, passOfTwo.Return = 1, "mall", ""
	passOfTwo.Others = []OtherPass{{Partner: "Cinema", Purpose: "Entry to the evening show", For: "cinema"}}
	passOfNone := pass
	passOfNone.Status = 0
	passOfNone.Version, passOfNone.Shown, passOfNone.Controller, passOfNone.Contact, passOfNone.Grievance = "", "", "", "", ""

	notice := NoticeView{
		Controller: "Phoenix Mall Ltd", Contact: "privacy@phoenix.example", Grievance: "https://phoenix.example/grievance",
		Partner: "Phoenix Mall", Purpose: "Entry to the mall", Session: 12 * time.Hour, Version: "1-0123456789ab", For: "mall",
	}
	bareNotice := notice
	bareNotice.Controller, bareNotice.Contact, bareNotice.Grievance, bareNotice.For = "", "", "", ""

	self := SelfView{Site: "mall.example", DefaultCountry: "+91"}
	wrongSelf := self
	wrongSelf.Mobile, wrongSelf.Wrong, wrongSelf.Trial, wrongSelf.DefaultCountry = "98765", true, true, "+977"
	overSelf := self
	overSelf.Over = true
	ownCode := code
	ownCode.Own, ownCode.For, ownCode.Return, ownCode.Partner = true, "", "", "mall.example"
	wrongOwnCode := ownCode
	wrongOwnCode.Problem = &CodeProblem{Code: "otp_invalid"}
	deadOwnCode := ownCode
	deadOwnCode.Dead, deadOwnCode.AttemptsLeft = true, 0

	day := func(d int) time.Time { return time.Date(2026, 11, d, 20, 0, 0, 0, time.UTC) }
	record := RecordView{
		Site: "mall.example", Total: 3, Page: 1, Pages: 1, Left: 9*time.Minute + 10*time.Second,
		Consents: []RecordConsent{
			{
				ID: "Zk3vQ0m1Rr6yB8w2tUo5Xg", Partner: "Phoenix Mall", Purpose: "Entry to the mall", Given: day(20), Until: day(21), Running: true,
				Answers: []RecordAnswer{{day(21), "gate"}, {day(20), "page"}},
			},
			{
				ID: "ICEiIyQlJicoKSorLC0uLw", Partner: "cinema", Purpose: "Entry to the evening show", Acting: "Star Films", Given: day(12), Until: day(13),
				Withdrawn: true, Answers: []RecordAnswer{{day(12), "api"}},
			},
			{ID: "EBESExQVFhcYGRobHB0eHw", Partner: "ward", Purpose: "Access to the ward", Given: day(1), Until: day(2)},
		},
		Refusals: []RecordRefusal{
			{day(19), "Phoenix Mall", "Entry to the mall", "no_record"}, {day(18), "ward", "Access to the ward", "ambiguous"},
			{day(17), "ward", "Access to the ward", "locked"}, {day(16), "ward", "Access to the ward", "something new"},
		},
	}
	lockedRecord := record
	lockedRecord.Locked, lockedRecord.Done, lockedRecord.Page, lockedRecord.Pages, lockedRecord.Total = true, "locked", 2, 3, 45
	endedRecord := RecordView{Site: "mall.example", Total: 1, Page: 1, Pages: 1, Left: time.Minute, Done: "ended", Consents: record.Consents[1:2]}
	emptyRecord := RecordView{Site: "mall.example", Page: 1, Pages: 1, Left: 10 * time.Minute, Done: "unlocked"}

	const start = "/.kycvs/?return=%2Fshops"
	const end = FinishPath + "?s=Zk3vQ0m1Rr6yB8w2tUo5Xg_-"
	redirectConsent, redirectCode, redirectDead := consent, code, deadCode
	redirectConsent.Return, redirectCode.Return, redirectDead.Return = end, end, end
	return []sample{
		{"consent-redirect", 200, redirectConsent},
		{"code-redirect", 200, redirectCode},
		{"code-dead-redirect", 401, redirectDead},
		{"error-no-record-redirect", 403, ErrorView{Code: "no_record", Back: start, Return: end}},
		{"consent", 200, consent},
		{"consent-mobile-invalid", 400, wrongConsent},
		{"consent-all-missing", 400, emptyConsent},
		{"consent-trial", 200, trialConsent},
		{"code", 200, code},
		{"code-invalid", 401, wrongCode},
		{"code-trial-too-early", 429, earlyCode},
		{"code-dead", 401, deadCode},
		{"code-birth-year", 403, birthYear},
		{"code-birth-year-wrong", 400, wrongYear},
		{"pass-2", 200, pass},
		{"pass-1-others", 200, passOfTwo},
		{"pass-0", 200, passOfNone},
		{"empty", 200, EmptyPassView{}},
		{"withdrawn", 200, WithdrawnView{Partner: "Phoenix Mall"}},
		{"notice", 200, notice},
		{"notice-bare", 200, bareNotice},
		{"self", 200, self},
		{"self-invalid", 400, wrongSelf},
		{"self-over", 401, overSelf},
		{"self-code", 200, ownCode},
		{"self-code-invalid", 401, wrongOwnCode},
		{"self-code-dead", 401, deadOwnCode},
		{"record", 200, record},
		{"record-locked", 200, lockedRecord},
		{"record-ended", 200, endedRecord},
		{"record-empty", 200, emptyRecord},
		{"error-locked", 403, ErrorView{Code: "locked", Back: "/.kycvs/consents"}},
		{"error-self-partly", 503, ErrorView{Code: "self_partly", Back: "/.kycvs/consents", RetryAfter: 10 * time.Second}},
		{"refusal-signin", 401, RefusalView{Kind: RefusalSignIn, Start: start}},
		{"refusal-too-low", 403, RefusalView{Kind: RefusalTooLow, Partner: "Phoenix Mall", Required: 2, Status: 1, Start: start}},
		{"refusal-too-low-bare", 403, RefusalView{Kind: RefusalTooLow, Required: 1}},
		{"refusal-ambiguous-path", 400, RefusalView{Kind: RefusalAmbiguousPath}},
		{"refusal-method", 405, RefusalView{Kind: RefusalMethod}},
		{"refusal-unavailable", 503, RefusalView{Kind: RefusalUnavailable, RetryAfter: 10 * time.Second}},
		{"refusal-not-found", 404, RefusalView{Kind: RefusalNotFound}},
		{"refusal-internal", 500, RefusalView{Kind: RefusalInternal}},
		{"error-no-record", 403, ErrorView{Code: "no_record", Back: start}},
		{"error-too-many-requests", 429, ErrorView{Code: "too_many_requests", RetryAfter: 11*time.Hour + 3*time.Minute, Back: start}},
		{"error-cross-origin", 403, ErrorView{Code: "cross_origin", Back: start}},
	}
}
