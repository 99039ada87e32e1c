package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// operatorsFilter takes the header fields out of every log line, Caddy's own
// included, as docs/ tells an operator to.
const operatorsFilter = `
	debug
	log default {
		level DEBUG
		format filter {
			wrap json
			fields {
				request>headers delete
				resp_headers delete
				headers delete
			}
		}
	}
	metrics`

// "nothing of ours (log line at any level, metric, file name, address, error)
// carries a whole mobile number, a name, a code, a key, a pass or an
// assertion."
func TestNothingSaysWhoItIs(t *testing.T) {
	t.Parallel()
	in := start(t, setup{
		global: operatorsFilter,
		env:    []string{"SECRET=" + theSecret},
		kycvs:  "secret {env.SECRET}\n" + plenty,
		sites: `
http://work.example, https://work.example {
	log
	kycvs /ward/* 2
	kycvs /some/* 1
	reverse_proxy %UP%
}
https://down.example {
	log
	kycvs 1
	reverse_proxy 127.0.0.1:1
}`})
	secrets := map[string]string{"the secret": theSecret}
	note := func(what, value string) {
		if value != "" {
			secrets[what+" "+value[:min(6, len(value))]] = value
		}
	}
	addresses := []string{}
	walk := func(b *browser, p person, name string) {
		t.Helper()
		// everything that can go wrong on the way
		b.wants(person{p.mobile + "9", name, 0})
		b.json("/.kycvs/otp", p.typed("consent", ""))
		b.json("/.kycvs/otp", `{"mobile_number":"`+p.mobile+`","full_name":"`+name+`"`)
		b.json("/.kycvs/otp?mobile_number="+"x", p.typed(), "Origin", "https://evil.example")
		txn, code := b.ask(person{p.mobile, name, p.status})
		b.json("/.kycvs/otp", fields{"txnId": txn}) // too early
		b.verify(txn, wrong(code))
		note("code", code)
		a := b.verify(txn, code)
		if a.StatusCode == 200 {
			note("assertion", a.object(t).str("assertion"))
		}
		note("pass", b.pass())
		if _, token, ok := strings.Cut(b.pass(), "."); ok {
			note("token", token)
		}
		for _, path := range []string{"/ward/x", "/some/x", "/open", "/ward%2fx", "/.kycvs/pass", "/.kycvs/none"} {
			b.fetch(path)
			nav := b.navigate(path)
			addresses = append(addresses, nav.Header.Get("Location"))
		}
		for _, q := range in.up.take() {
			for _, v := range q.values("Kycvs-Assertion") {
				note("attached", v)
			}
		}
		f := b.navigate("/.kycvs/?return=/ward/x").formWith(t, "mobile_number")
		g := b.submit(f, "mobile_number", "+91 "+p.mobile[:5]+" "+p.mobile[5:], "full_name", name, "consent", "Y")
		m := in.sms.next(t, p.mobile)
		note("code", m.Code)
		b.submit(g.formWith(t, "otp"), "otp", wrong(m.Code))
		last := b.submit(g.formWith(t, "otp"), "otp", m.Code)
		addresses = append(addresses, last.Header.Get("Location"))
		note("pass", b.pass())
		b.json("/.kycvs/withdraw", fields{})
		in.send(t, http1, request{host: "work.example", path: "/ward/x", cookie: passCookie(b.base) + "=" + b.pass() + "x; " + passCookie(b.base) + "=" + b.pass()})
	}
	for _, site := range []string{"https://work.example", "http://work.example", "https://down.example"} {
		walk(in.browse(t, site), asha, asha.name)
		walk(in.browse(t, site), asha, "Somebody Unknown")
		walk(in.browse(t, site), vikram, "SINGH vikram")
		walk(in.browse(t, site), elder, elder.name)
	}
	in.sms.answers(nil)
	in.reload(in.setup)
	in.write("people.csv", people+"9876543210,Asha Rao,Asha Rao,x,2,9876543210,1980,1,completed\n")
	in.log.wait(t, "set aside")
	_, metrics := in.adminGet("/metrics")
	_, ready := in.adminGet("/kycvs/ready")
	_, config := in.adminGet("/config/")
	in.stop()

	places := map[string]string{"the log": in.log.String(), "the metrics": metrics, "the readiness": ready, "the configuration": config, "an address": strings.Join(addresses, "\n")}
	for _, dir := range []string{in.home.data, in.home.config} {
		for _, f := range filesOf(t, dir) {
			places["the name of a file"] += f + "\n"
			if b, err := os.ReadFile(f); err == nil && !strings.Contains(f, "/pki/") && !strings.Contains(f, "/certificates/") {
				places["the file "+f] = string(b)
			}
		}
	}
	if len(places["the log"]) < 20000 || !strings.Contains(places["the log"], `"level":"debug"`) {
		t.Fatalf("the log is not at DEBUG: %d bytes", len(places["the log"]))
	}
	for where, text := range places {
		// numbers: six or more of their last digits in a row, in any script,
		// whatever stands between
		for _, p := range []person{asha, vikram, elder} {
			tail := p.mobile[len(p.mobile)-6:]
			if i := strings.Index(onlyDigits(text), tail); i >= 0 && certainly(text, tail) {
				t.Errorf("%s carries a mobile number: …%s", where, around(text, tail))
			}
		}
		for _, name := range []string{"asha", "vikram", "mohan", "somebody unknown", "singh"} {
			if regexp.MustCompile(`(?i)\b` + name + `\b`).MatchString(text) {
				t.Errorf("%s carries a name: %s", where, around(strings.ToLower(text), name))
			}
		}
		for what, secret := range secrets {
			if strings.HasPrefix(what, "code") {
				if regexp.MustCompile(`(^|[^0-9a-zA-Z.])` + secret + `($|[^0-9a-zA-Z])`).MatchString(text) {
					t.Errorf("%s carries a code: %s", where, around(text, secret))
				}
			} else if strings.Contains(text, secret) {
				t.Errorf("%s carries %s: %s", where, what, around(text, secret))
			}
		}
	}
}

const theSecret = "privacy-secret-privacy-secret-privacy"

// certainly tells a mobile number's last digits from a chance run in a
// timestamp or a length: they stand for themselves, or behind digits that are
// the number's.
func certainly(text, tail string) bool {
	for _, p := range []person{asha, vikram, elder} {
		if !strings.HasSuffix(p.mobile, tail) {
			continue
		}
		spaced := strings.Join(strings.Split(tail, ""), `[\s.()%+-]{0,3}`)
		if regexp.MustCompile(`(^|[^0-9.]|` + p.mobile[:4] + `[\s-]?)` + spaced + `($|[^0-9])`).MatchString(asciiDigits(text)) {
			return true
		}
	}
	return false
}

func asciiDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r > 0x7f && unicode.IsDigit(r) {
			for z := r; ; z-- { // the digits of a script stand in a row
				if !unicode.IsDigit(z - 1) {
					return '0' + (r-z)%10
				}
			}
		}
		return r
	}, s)
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, asciiDigits(s))
}

func around(text, what string) string {
	i := strings.Index(text, what)
	if i < 0 {
		return "(in another spelling)"
	}
	return text[max(0, i-150):min(len(text), i+150)]
}

// Start-up says where the log would carry header fields.
func TestStartUpWarnsOfOpenLogs(t *testing.T) {
	t.Parallel()
	const site = "https://work.example {\n%s\nkycvs 2\nreverse_proxy %UP%\n}"
	warns := func(global, log string) bool {
		in := start(t, setup{global: global, second: true, sites: strings.Replace(site, "%s", log, 1)})
		defer in.stop()
		return regexp.MustCompile(`"level":"warn"[^\n]*(filter|header)`).MatchString(in.log.String())
	}
	if !warns("", "log") {
		t.Error("an access log without a filter: no warning")
	}
	if !warns("debug", "") {
		t.Error("debug without a filter: no warning")
	}
	if warns(operatorsFilter, "log") {
		t.Error("a warning although the filter is there")
	}
	if warns("", "") {
		t.Error("a warning although nothing is logged")
	}
}
