package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

const plenty = "limits {\n codes_per_mobile 1000 24h\n codes_per_ip 1000 1h\n wrong_per_mobile 100000 24h\n}"

// A program's handshake: what the answers hold.
func TestJSONHandshake(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: gateSites})
	b := in.browse(t, "https://work.example")
	a := b.json("/.kycvs/otp", asha.typed())
	if a.StatusCode != 200 || !strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") || !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
		t.Fatalf("got %v", a)
	}
	m := a.object(t)
	if m.num(t, "expires_in") != 180 || m.num(t, "resend_after") != 30 || m.num(t, "attempts_left") != 3 {
		t.Errorf("got %v, want the defaults 180, 30 and 3", m)
	}
	if masked := m.str("masked_mobile"); masked == "" || regexp.MustCompile(`\d{5}`).MatchString(masked) {
		t.Errorf("masked_mobile %q", masked)
	}
	msg := in.sms.next(t, asha.mobile)
	if msg.TxnID != m.str("txnId") || len(msg.Code) != 6 {
		t.Errorf("message %+v for txnId %s", msg, m.str("txnId"))
	}
	v := b.verify(m.str("txnId"), msg.Code)
	if v.StatusCode != 200 {
		t.Fatalf("got %v", v)
	}
	got := v.object(t)
	c := check(t, b.keys(), got.str("assertion"), "work.example")
	if got.num(t, "vaccination_status") != 2 || *c.Status != 2 || c.TxnID != m.str("txnId") {
		t.Errorf("got %v and %+v", got, c)
	}
	expires, err := time.Parse(time.RFC3339, got.str("expires_at"))
	if n, ok := got["expires_at"].(float64); ok {
		expires, err = time.Unix(int64(n), 0), nil
	}
	if d := time.Until(expires); err != nil || d < 11*time.Hour || d > 13*time.Hour {
		t.Errorf("expires_at %v, want in 12h", got["expires_at"])
	}
	p := b.fetch("/.kycvs/pass").object(t)
	check(t, b.keys(), p.str("assertion"), "work.example")
	if p.num(t, "vaccination_status") != 2 || p["expires_at"] == nil {
		t.Errorf("GET pass: %v", p)
	}
	if a := b.fetch("/ward/x"); a.StatusCode != 200 {
		t.Errorf("through the gate: %v", a)
	}
	if a := b.json("/.kycvs/withdraw", fields{}); a.StatusCode != http.StatusNoContent || len(a.body) > 0 {
		t.Errorf("withdraw: %v, want 204", a)
	}
	b.fetch("/.kycvs/pass").refuses(t, 401, "")
	b.fetch("/ward/x").refuses(t, 401, "")
}

// Section 4's table of errors: what is refused before anything is spent.
func TestBadInput(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: plenty, sites: gateSites})
	b := in.browse(t, "https://work.example")
	txn, code := b.ask(vikram)
	sent := in.sms.count()
	long := strings.Repeat("a", 20000)
	form := "application/x-www-form-urlencoded"
	good, _ := json.Marshal(asha.typed())
	for name, c := range map[string]struct {
		path, kind, body string
		status           int
		code             string
	}{
		"no consent":                 {"otp", "", js(asha.typed("consent", "")), 400, "consent_required"},
		"consent n":                  {"otp", "", js(asha.typed("consent", "N")), 400, "consent_required"},
		"consent true":               {"otp", "", `{"mobile_number":"9876543210","full_name":"Asha Rao","consent":true}`, 400, ""},
		"consent missing":            {"otp", "", `{"mobile_number":"9876543210","full_name":"Asha Rao"}`, 400, "consent_required"},
		"no number":                  {"otp", "", js(asha.typed("mobile_number", "")), 400, "mobile_invalid"},
		"nine digits":                {"otp", "", js(asha.typed("mobile_number", "987654321")), 400, "mobile_invalid"},
		"eleven digits":              {"otp", "", js(asha.typed("mobile_number", "98765432101")), 400, "mobile_invalid"},
		"a landline":                 {"otp", "", js(asha.typed("mobile_number", "+91 11 2345 6789")), 400, "mobile_invalid"},
		"letters":                    {"otp", "", js(asha.typed("mobile_number", "98765A3210")), 400, "mobile_invalid"},
		"another country":            {"otp", "", js(asha.typed("mobile_number", "+1 415 555 2671")), 400, "mobile_invalid"},
		"a neighbour's country":      {"otp", "", js(asha.typed("mobile_number", "+977 9841234567")), 400, "mobile_invalid"},
		"two numbers":                {"otp", "", js(asha.typed("mobile_number", "9876543210,9876543211")), 400, "mobile_invalid"},
		"an extension":               {"otp", "", js(asha.typed("mobile_number", "9876543210 ext 5")), 400, "mobile_invalid"},
		"a long number":              {"otp", "", js(asha.typed("mobile_number", strings.Repeat("9", 2000))), 400, "mobile_invalid"},
		"a line break in the number": {"otp", "", js(asha.typed("mobile_number", "9876543210\r\nX: y")), 400, "mobile_invalid"},
		"no name":                    {"otp", "", js(asha.typed("full_name", "")), 400, "name_invalid"},
		"a name of spaces":           {"otp", "", js(asha.typed("full_name", " \u00a0\u2003")), 400, "name_invalid"},
		"a name of punctuation":      {"otp", "", js(asha.typed("full_name", "...--")), 400, "name_invalid"},
		"a long name":                {"otp", "", js(asha.typed("full_name", strings.Repeat("Asha ", 400))), 400, "name_invalid"},
		"another site's partner":     {"otp", "", js(asha.typed("for", "fresh.example")), 400, ""},
		"no JSON":                    {"otp", "", `mobile`, 400, "bad_request"},
		"cut short":                  {"otp", "", string(good[:len(good)-1]), 400, "bad_request"},
		"an array":                   {"otp", "", `[]`, 400, "bad_request"},
		"null":                       {"otp", "", `null`, 400, "bad_request"},
		"a number for a number":      {"otp", "", `{"mobile_number":9876543210,"full_name":"Asha Rao","consent":"Y"}`, 400, ""},
		"nested":                     {"otp", "", `{"mobile_number":{"a":1},"full_name":"Asha Rao","consent":"Y"}`, 400, "bad_request"},
		"doubled member":             {"otp", "", `{"mobile_number":"9876543210","mobile_number":"9876501001","full_name":"Asha Rao","consent":"Y"}`, 400, "bad_request"},
		"doubled consent":            {"otp", "", `{"consent":"N","mobile_number":"9876543210","full_name":"Asha Rao","consent":"Y"}`, 400, "bad_request"},
		"two objects":                {"otp", "", string(good) + string(good), 400, "bad_request"},
		"deeply nested":              {"otp", "", `{"x":` + strings.Repeat("[", 3000) + strings.Repeat("]", 3000) + `}`, 400, ""},
		"bad UTF-8":                  {"otp", "", `{"mobile_number":"9876543210","full_name":"Asha` + "\xff" + `","consent":"Y"}`, 400, ""},
		"empty body":                 {"otp", "", ``, 400, ""},
		"a form for JSON":            {"otp", "", "mobile_number=9876543210&full_name=Asha+Rao&consent=Y", 400, "bad_request"},
		"JSON for a form":            {"otp", form, string(good), 400, ""},
		"doubled field":              {"otp", form, "mobile_number=9876543210&mobile_number=9876501001&full_name=Asha+Rao&consent=Y", 400, "bad_request"},
		"doubled consent in a form":  {"otp", form, "mobile_number=9876543210&full_name=Asha+Rao&consent=N&consent=Y", 400, "bad_request"},
		"bad escape":                 {"otp", form, "mobile_number=%zz&full_name=Asha+Rao&consent=Y", 400, "bad_request"},
		"semicolons":                 {"otp", form, "mobile_number=9876543210;full_name=Asha+Rao;consent=Y", 400, ""},
		"plain text":                 {"otp", "text/plain", string(good), 400, "bad_request"},
		"multipart":                  {"otp", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"consent\"\r\n\r\nY\r\n--x--\r\n", 400, "bad_request"},
		"XML":                        {"otp", "application/xml", "<a/>", 400, "bad_request"},
		"no kind that can be read":   {"otp", ";;;", string(good), 400, "bad_request"},
		"too large":                  {"otp", "", js(asha.typed("full_name", long)), 413, "too_large"},
		"too large a form":           {"otp", form, "mobile_number=9876543210&full_name=" + long + "&consent=Y", 413, "too_large"},
		"too large an unknown field": {"verify", "", `{"x":"` + long + `"}`, 413, "too_large"},
		"no code":                    {"verify", "", js(fields{"txnId": txn}), 400, "otp_missing"},
		"an empty code":              {"verify", "", js(fields{"txnId": txn, "otp": ""}), 400, "otp_missing"},
		"five digits":                {"verify", "", js(fields{"txnId": txn, "otp": code[:5]}), 400, "otp_missing"},
		"seven digits":               {"verify", "", js(fields{"txnId": txn, "otp": code + "0"}), 400, "otp_missing"},
		"letters for digits":         {"verify", "", js(fields{"txnId": txn, "otp": "abcdef"}), 400, "otp_missing"},
		"two codes":                  {"verify", "", `{"txnId":"` + txn + `","otp":"` + code + `","otp":"` + wrong(code) + `"}`, 400, "bad_request"},
		"a long code":                {"verify", "", js(fields{"txnId": txn, "otp": strings.Repeat("1", 5000)}), 400, "otp_missing"},
		"too large a code":           {"verify", "", js(fields{"txnId": txn, "otp": long}), 413, "too_large"},
		"no txnId":                   {"verify", "", js(fields{"otp": code}), 401, "txn_unknown"},
		"garbled txnId":              {"verify", "", js(fields{"txnId": "x", "otp": code}), 401, "txn_unknown"},
		"another txnId":              {"verify", "", js(fields{"txnId": "00000000-0000-4000-8000-000000000000", "otp": code}), 401, "txn_unknown"},
		"a long txnId":               {"verify", "", js(fields{"txnId": strings.Repeat("a", 4000), "otp": code}), 401, "txn_unknown"},
		"resend of nothing":          {"otp", "", js(fields{"txnId": "00000000-0000-4000-8000-000000000000"}), 401, "txn_unknown"},
		"withdraw nothing":           {"withdraw", "", `{}`, 401, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := b.do("POST", "/.kycvs/"+c.path, or(c.kind, "application/json"), c.body, "Accept", "application/json")
			if a.StatusCode == 415 && c.status == 400 {
				return // "wrong content types 400" may be said more exactly
			}
			a.refuses(t, c.status, c.code)
			if strings.Contains(string(a.body), "98765") {
				t.Errorf("the error repeats the number: %s", a.body)
			}
		})
		if strings.HasPrefix(name, "no kind") {
			continue
		}
		t.Run(name+", for a browser", func(t *testing.T) {
			a := b.do("POST", "/.kycvs/"+c.path, or(c.kind, "application/json"), c.body, "Accept", "text/html", "Origin", b.base)
			if a.StatusCode != c.status || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
				t.Errorf("got %v, want %d and a page", a, c.status)
			}
		})
	}
	if in.sms.count() != sent {
		t.Errorf("%d messages were sent", in.sms.count()-sent)
	}
	// Nothing was spent: three wrong codes are still allowed.
	for left := 2; left >= 1; left-- {
		if m := b.verify(txn, wrong(code)).refuses(t, 401, "otp_invalid"); m.num(t, "attempts_left") != left {
			t.Errorf("attempts_left %v, want %d", m["attempts_left"], left)
		}
	}
	if a := b.verify(txn, code); a.StatusCode != 200 {
		t.Errorf("the right code after all that: %v", a)
	}
}

func js(f fields) string {
	b, _ := json.Marshal(f)
	return string(b)
}

// "Posts from another origin are refused and spend nothing."
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: gateSites})
	b := in.browse(t, "https://work.example")
	b.signIn(asha)
	txn, code := b.ask(vikram)
	sent := in.sms.count()
	for name, header := range map[string][]string{
		"another origin":             {"Origin", "https://evil.example"},
		"another port":               {"Origin", "https://work.example:1"},
		"a longer host":              {"Origin", b.base + ".evil.example"},
		"null":                       {"Origin", "null"},
		"Sec-Fetch-Site: cross-site": {"Sec-Fetch-Site", "cross-site"},
		"Sec-Fetch-Site: same-site":  {"Sec-Fetch-Site", "same-site"},
		"both":                       {"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
	} {
		t.Run(name, func(t *testing.T) {
			for path, f := range map[string]fields{"otp": asha.typed(), "verify": {"txnId": txn, "otp": code}, "withdraw": {}} {
				b.as(t).json("/.kycvs/"+path, f, header...).refuses(t, 403, "cross_origin")
				v := url.Values{}
				for k, s := range f {
					v.Set(k, s.(string))
				}
				a := b.as(t).do("POST", "/.kycvs/"+path, "application/x-www-form-urlencoded", v.Encode(), append([]string{"Accept", "text/html"}, header...)...)
				if a.StatusCode != 403 {
					t.Errorf("a form to %s: %v", path, a)
				}
			}
		})
	}
	if in.sms.count() != sent {
		t.Error("a message was sent")
	}
	if a := b.fetch("/ward/x"); a.StatusCode != 200 {
		t.Errorf("the pass was withdrawn: %v", a)
	}
	if a := b.verify(txn, code); a.StatusCode != 200 {
		t.Errorf("the code was spent: %v", a)
	}
}

// "A code is one code: 123 456, १२३४५६."
func TestCodeSpellings(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: plenty, sites: gateSites})
	for name, spell := range map[string]func(string) string{
		"spaces":            func(c string) string { return " " + c[:3] + " " + c[3:] + " " },
		"hyphen":            func(c string) string { return c[:3] + "-" + c[3:] },
		"Devanagari":        func(c string) string { return digits(c, '०') },
		"Bengali":           func(c string) string { return digits(c, '০') },
		"Tamil":             func(c string) string { return digits(c, '௦') },
		"Arabic-Indic":      func(c string) string { return digits(c, '٠') },
		"Urdu":              func(c string) string { return digits(c, '۰') },
		"full width":        func(c string) string { return digits(c, '０') },
		"no-break space":    func(c string) string { return c[:2] + "\u00a0" + c[2:] },
		"a line break":      func(c string) string { return c + "\r\n" },
		"two scripts mixed": func(c string) string { return digits(c[:3], '०') + c[3:] },
	} {
		t.Run(name, func(t *testing.T) {
			b := in.browse(t, "https://work.example")
			txn, code := b.ask(asha)
			if a := b.verify(txn, spell(code)); a.StatusCode != 200 {
				t.Errorf("got %v", a)
			}
		})
	}
}

// digits writes ASCII digits with those of another script.
func digits(s string, zero rune) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return zero + r - '0'
		}
		return r
	}, s)
}

// "A mobile number is one number however it is typed": one record, one
// subject.
func TestSpellingsOfAPerson(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: plenty, sites: gateSites})
	subjects := map[string]string{}
	for _, who := range []person{
		asha, {"+91 98765-43210", "Asha Rao", 2}, {"09876543210", "Asha Rao", 2}, {"९८७६५४३२१०", "Asha Rao", 2}, {"+919876543210", "ASHA RAO", 2},
		{"0091 98765 43210", "asha  rao", 2}, {"(98765) 43210", "Smt. Asha Rao", 2}, {"98765.43210", "Asha-Rao", 2}, {"９８７６５４３２１０", "Ａsha Rao", 2},
		{" 9876543210 ", " Mrs Asha Rao. ", 2}, {"919876543210", "Asha Rao", 2},
	} {
		t.Run(who.mobile+" "+who.name, func(t *testing.T) {
			b := in.browse(t, "https://work.example")
			a := b.json("/.kycvs/otp", who.typed())
			if a.StatusCode != 200 {
				t.Fatalf("got %v", a)
			}
			v := b.verify(a.object(t).str("txnId"), in.sms.next(t, asha.mobile).Code)
			if v.StatusCode != 200 {
				t.Fatalf("got %v", v)
			}
			c := check(t, b.keys(), v.object(t).str("assertion"), "work.example")
			subjects[c.Sub] = who.mobile
		})
	}
	if len(subjects) != 1 {
		t.Errorf("one person is %d subjects", len(subjects))
	}
	for name, who := range map[string]person{"apostrophe": {joseph.mobile, "Joseph DSouza", 2}, "another apostrophe": {joseph.mobile, "JOSEPH D’SOUZA", 2}} {
		t.Run(name, func(t *testing.T) { in.browse(t, "https://work.example").signIn(who) })
	}
}

// "A wrong code is counted before it is compared, so that a thousand guesses
// at once … are three guesses."
func TestThousandGuesses(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: "limits {\n wrong_per_mobile 5 24h\n codes_per_mobile 100 24h\n}", sites: gateSites})
	b := in.browse(t, "https://work.example")
	txn, code := b.ask(asha)
	outcomes := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	guesses := make(chan string)
	for range 50 {
		wg.Go(func() {
			for guess := range guesses {
				a, err := b.try("POST", "/.kycvs/verify", "application/json", js(fields{"txnId": txn, "otp": guess}), "Accept", "application/json")
				outcome := fmt.Sprint(err)
				if err == nil {
					var m fields
					json.Unmarshal(a.body, &m)
					outcome = m.str("code")
					if outcome == "otp_invalid" {
						outcome = fmt.Sprint("otp_invalid, left ", m["attempts_left"])
					}
				}
				mu.Lock()
				outcomes[outcome]++
				mu.Unlock()
			}
		})
	}
	for i, sent := 0, 0; sent < 1000; i++ {
		if guess := fmt.Sprintf("%06d", i); guess != code {
			guesses <- guess
			sent++
		}
	}
	close(guesses)
	wg.Wait()
	counted := 0
	for outcome, n := range outcomes {
		if strings.HasPrefix(outcome, "otp_invalid") {
			counted += n
			if n != 1 {
				t.Errorf("%d guesses were told %q", n, outcome)
			}
		} else if outcome != "otp_attempts" {
			t.Errorf("%d guesses ended with %q", n, outcome)
		}
	}
	if counted != 3 {
		t.Errorf("%d guesses were compared, want 3: %v", counted, outcomes)
	}
	b.verify(txn, code).refuses(t, 401, "otp_attempts")
	b.json("/.kycvs/otp", fields{"txnId": txn}).refuses(t, 401, "otp_attempts") // a resend gives no new guesses

	// Exactly three were counted against the number: of five there are two left,
	// over another handshake and another browser.
	other := in.browse(t, "https://work.example")
	txn, code = other.ask(asha)
	other.verify(txn, wrong(code)).refuses(t, 401, "otp_invalid")
	other.verify(txn, wrong(code)).refuses(t, 401, "otp_invalid")
	other.verify(txn, code).refuses(t, http.StatusTooManyRequests, "too_many_requests")
}

// "a right code clears it."
func TestRightCodeClearsWrongOnes(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: "limits {\n wrong_per_mobile 3 24h\n codes_per_mobile 100 24h\n}", sites: gateSites})
	b := in.browse(t, "https://work.example")
	for range 3 {
		txn, code := b.ask(asha)
		b.verify(txn, wrong(code)).refuses(t, 401, "otp_invalid")
		b.verify(txn, wrong(code)).refuses(t, 401, "otp_invalid")
		if a := b.verify(txn, code); a.StatusCode != 200 {
			t.Fatalf("got %v", a)
		}
	}
}

// "A code is good once": fifty right ones at once are one success.
func TestRightCodeOnce(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: plenty, sites: gateSites})
	for range 5 {
		b := in.browse(t, "https://work.example")
		txn, code := b.ask(asha)
		outcomes := map[string]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				a, err := b.try("POST", "/.kycvs/verify", "application/json", js(fields{"txnId": txn, "otp": code}), "Accept", "application/json")
				outcome := fmt.Sprint(err)
				if err == nil {
					var m fields
					json.Unmarshal(a.body, &m)
					outcome = fmt.Sprint(a.StatusCode, " ", m.str("code"))
				}
				mu.Lock()
				outcomes[outcome]++
				mu.Unlock()
			})
		}
		wg.Wait()
		if outcomes["200 "] != 1 {
			t.Errorf("%d successes, want 1: %v", outcomes["200 "], outcomes)
		}
		for outcome := range outcomes {
			if outcome != "200 " && outcome != "401 txn_unknown" && outcome != "401 otp_attempts" {
				t.Errorf("an outcome is %q", outcome)
			}
		}
		b.verify(txn, code).refuses(t, 401, "txn_unknown")
	}
}

// "A code is good once, for the browser, the site and the purpose it was asked
// for."
func TestCodeIsBound(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: gateSites + `
https://two.example {
	kycvs /a/* 1 {
		partner first
		purpose "The first purpose"
	}
	kycvs /b/* 1 {
		partner second
		purpose "The second purpose"
	}
	reverse_proxy %UP%
}`})
	b := in.browse(t, "https://work.example")
	txn, code := b.ask(asha)
	stranger := in.browse(t, "https://work.example")
	stranger.verify(txn, code).refuses(t, 401, "txn_unknown")
	stranger.ask(vikram) // one that has a mark of its own
	stranger.verify(txn, code).refuses(t, 401, "txn_unknown")
	stranger.json("/.kycvs/otp", fields{"txnId": txn}).refuses(t, 401, "txn_unknown")
	b.at("https://fresh.example").verify(txn, code).refuses(t, 401, "txn_unknown")
	// the same cookie, carried to another site by hand
	jar := b.cookies()
	got := in.send(t, http1, request{method: "POST", host: "fresh.example", path: "/.kycvs/verify", cookie: jar, body: js(fields{"txnId": txn, "otp": code}),
		fields: []field{{"Content-Type", "application/json"}, {"Accept", "application/json"}}})
	if got.status != 401 {
		t.Errorf("at another site with the same cookie: %v", got)
	}
	// the site over plain http is another origin
	got = exchange1(in.dialPlain(t), "POST /.kycvs/verify HTTP/1.1\r\nHost: work.example\r\nContent-Type: application/json\r\nAccept: application/json\r\nCookie: kycvs="+b.pass()+
		"\r\nContent-Length: "+fmt.Sprint(len(js(fields{"txnId": txn, "otp": code})))+"\r\n\r\n"+js(fields{"txnId": txn, "otp": code}), "POST")
	if got.status != 401 {
		t.Logf("over plain http with the same cookie: %v", got.status) // the contract does not say
	} else if a := b.verify(txn, code); a.StatusCode != 200 {
		t.Errorf("its own browser, after strangers tried: %v", a)
	}
	two := in.browse(t, "https://two.example")
	txn, code = two.ask(asha, "for", "first")
	two.verify(txn, code, "for", "second").refuses(t, 401, "txn_unknown")
	if a := two.verify(txn, code, "for", "first"); a.StatusCode != 200 {
		t.Errorf("for its own purpose: %v", a)
	}
	two.fetch("/b/x").refuses(t, 401, "")
}

// Two tabs of one browser are two handshakes, and neither is the other's end.
func TestTwoTabs(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: gateSites})
	b := in.browse(t, "https://work.example")
	one, codeOne := b.ask(asha)
	two, codeTwo := b.ask(vikram)
	b.verify(one, codeTwo+"").refuses(t, 401, "otp_invalid")
	if a := b.verify(two, codeTwo); a.StatusCode != 200 || a.object(t).num(t, "vaccination_status") != 1 {
		t.Errorf("the second tab: %v", a)
	}
	if a := b.verify(one, codeOne); a.StatusCode != 200 || a.object(t).num(t, "vaccination_status") != 2 {
		t.Errorf("the first tab, after the second: %v", a)
	}
	if a := b.fetch("/ward/x"); a.StatusCode != 200 {
		t.Errorf("got %v", a)
	}
}

// "no_record, ambiguous: after the code", so that nobody learns who is in the
// registry without the phone.
func TestNoRecordAndAmbiguous(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: plenty, sites: gateSites})
	b := in.browse(t, "https://work.example")
	shape := func(p person) string {
		m := b.json("/.kycvs/otp", p.typed()).object(t)
		delete(m, "txnId")
		delete(m, "masked_mobile")
		return js(m)
	}
	if known, unknown := shape(asha), shape(nobody); known != unknown {
		t.Errorf("asking for somebody known answers %s, unknown %s", known, unknown)
	}
	in.sms.next(t, nobody.mobile)
	in.sms.next(t, asha.mobile)
	for name, who := range map[string]person{"unknown number": nobody, "unknown name": {asha.mobile, "Somebody Else", 0}, "another's name": {asha.mobile, vikram.name, 0}} {
		t.Run(name, func(t *testing.T) {
			b := in.browse(t, "https://work.example")
			txn, code := b.ask(who)
			before := b.pass()
			a := b.verify(txn, code)
			m := a.refuses(t, 403, "no_record")
			if m["vaccination_status"] != nil || m["assertion"] != nil {
				t.Errorf("an answer came with it: %v", m)
			}
			if b.pass() != before {
				t.Log("the cookie changed") // it may: the mark is in it
			}
			b.fetch("/any/x").refuses(t, 401, "")
			b.fetch("/.kycvs/pass").refuses(t, 401, "")
		})
	}
	t.Run("ambiguous, birth year settles it", func(t *testing.T) {
		for year, status := range map[string]int{"1950": elder.status, "1999": younger.status, "१९५०": elder.status} {
			b := in.browse(t, "https://work.example")
			txn, code := b.ask(elder)
			if m := b.verify(txn, code).refuses(t, 403, "ambiguous"); m.str("need") != "birth_year" {
				t.Fatalf("need %v, want birth_year", m["need"])
			}
			b.fetch("/any/x").refuses(t, 401, "")
			stranger := in.browse(t, "https://work.example")
			stranger.json("/.kycvs/verify", fields{"txnId": txn, "birth_year": year}).refuses(t, 401, "txn_unknown")
			a := b.json("/.kycvs/verify", fields{"txnId": txn, "birth_year": year})
			if a.StatusCode != 200 || a.object(t).num(t, "vaccination_status") != status {
				t.Errorf("birth year %s: %v, want status %d", year, a, status)
			}
			b.json("/.kycvs/verify", fields{"txnId": txn, "birth_year": year}).refuses(t, 401, "txn_unknown")
		}
	})
	t.Run("ambiguous, a wrong birth year, once", func(t *testing.T) {
		b := in.browse(t, "https://work.example")
		txn, code := b.ask(elder)
		b.verify(txn, code).refuses(t, 403, "ambiguous")
		b.json("/.kycvs/verify", fields{"txnId": txn, "birth_year": "1970"}).refuses(t, 403, "")
		b.json("/.kycvs/verify", fields{"txnId": txn, "birth_year": "1950"}).refuses(t, 401, "txn_unknown")
	})
	t.Run("ambiguous, a birth year that is none", func(t *testing.T) {
		b := in.browse(t, "https://work.example")
		txn, code := b.ask(elder)
		b.verify(txn, code).refuses(t, 403, "ambiguous")
		for _, year := range []string{"", "x", "50", "0", "99999", "1e3", "1799"} {
			b.json("/.kycvs/verify", fields{"txnId": txn, "birth_year": year}).refuses(t, 400, "bad_request")
		}
		b.json("/.kycvs/verify", fields{"txnId": txn, "otp": code}).refuses(t, 400, "")
		if a := b.json("/.kycvs/verify", fields{"txnId": txn, "birth_year": "1950"}); a.StatusCode != 200 {
			t.Errorf("got %v", a)
		}
	})
	t.Run("ambiguous for good", func(t *testing.T) {
		b := in.browse(t, "https://work.example")
		txn, code := b.ask(twin)
		if m := b.verify(txn, code).refuses(t, 403, "ambiguous"); m["need"] != nil {
			t.Errorf("need %v, where nothing settles it", m["need"])
		}
		b.fetch("/any/x").refuses(t, 401, "")
	})
	t.Run("by form", func(t *testing.T) {
		b := in.browse(t, "https://work.example")
		f := b.navigate("/.kycvs/?return=/any/x").formWith(t, "mobile_number")
		g := b.submit(f, "mobile_number", elder.mobile, "full_name", elder.name, "consent", "Y").formWith(t, "otp")
		a := b.submit(g, "otp", in.sms.next(t, elder.mobile).Code)
		if a.StatusCode != 403 {
			t.Errorf("got %v, want 403", a)
		}
		back := b.submit(a.formWith(t, "birth_year"), "birth_year", "1950")
		if back.StatusCode != 303 || back.Header.Get("Location") != "/any/x" {
			t.Errorf("got %v", back)
		}
	})
	t.Run("six on one number", func(t *testing.T) {
		for _, who := range []person{gita, ravi, kiran, lata} {
			in.browse(t, "https://work.example").signIn(who)
		}
	})
}
