package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// The five pages, as a browser without JavaScript walks through them, over TLS
// and over plain http.
func TestFormsWalk(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: gateSites})
	for _, site := range []string{"https://work.example", "http://work.example"} {
		t.Run(site, func(t *testing.T) {
			b := in.browse(t, site)
			refused := b.navigate("/ward/room?bed=4")
			if refused.StatusCode != http.StatusSeeOther {
				t.Fatalf("got %v", refused)
			}
			page := b.navigate(refused.Header.Get("Location"))
			if page.StatusCode != 200 || !strings.Contains(page.Header.Get("Cache-Control"), "no-store") {
				t.Fatalf("the consent page: %v", page)
			}
			if c := page.Header.Values("Set-Cookie"); len(c) > 0 {
				t.Error("looking at the page sets a cookie")
			}
			f := page.formWith(t, "mobile_number")
			consent := f.inputs["consent"]
			if _, ticked := consent["checked"]; consent["type"] != "checkbox" || consent["value"] != "Y" || ticked {
				t.Errorf("consent is %v, want an unticked checkbox with the value Y", consent)
			}
			if f.inputs["full_name"] == nil || f.values.Get("return") != "/ward/room?bed=4" {
				t.Errorf("the form has %v", f.inputs)
			}

			// What is missing is said, and what was typed is kept.
			again := b.submit(f, "mobile_number", "12", "full_name", "Asha Rao")
			if again.StatusCode != 400 || again.formWith(t, "mobile_number").inputs["full_name"]["value"] != "Asha Rao" {
				t.Errorf("without consent: %v", again)
			}
			if in.sms.count() > 0 && site == "https://work.example" {
				t.Error("a message was sent")
			}

			code := b.submit(f, "mobile_number", "+91 98765-43210", "full_name", "  asha   RAO ", "consent", "Y")
			if code.StatusCode != 200 {
				t.Fatalf("asking for a code: %v", code)
			}
			m := in.sms.next(t, asha.mobile)
			if !strings.HasSuffix(strings.TrimSpace(m.Message), "@work.example #"+m.Code) {
				t.Errorf("the message does not end with the origin-bound line: %q", m.Message)
			}
			if !strings.Contains(m.Message, "work.example") || m.TxnID == "" || len(m.Code) != 6 {
				t.Errorf("message %+v", m)
			}
			// A refresh sends no second message.
			sent := in.sms.count()
			refresh := b.submit(f, "mobile_number", "+91 98765-43210", "full_name", "  asha   RAO ", "consent", "Y")
			if refresh.StatusCode != 200 || in.sms.count() != sent {
				t.Errorf("a refresh sent another message (%d, then %d): %v", sent, in.sms.count(), refresh.StatusCode)
			}
			g := refresh.formWith(t, "otp")
			if g.values.Get("txnId") != m.TxnID && g.values.Get("txnId") != code.formWith(t, "otp").values.Get("txnId") {
				t.Error("a refresh began another handshake")
			}
			if in := g.inputs["otp"]; in["autocomplete"] != "one-time-code" {
				t.Errorf("the code's field has autocomplete %q, want one-time-code", in["autocomplete"])
			}

			bad := b.submit(g, "otp", wrong(m.Code))
			if bad.StatusCode != 401 || bad.Header.Get("Location") != "" {
				t.Errorf("a wrong code: %v", bad)
			}
			back := b.submit(bad.formWith(t, "otp"), "otp", m.Code[:3]+" "+m.Code[3:])
			if back.StatusCode != http.StatusSeeOther || back.Header.Get("Location") != "/ward/room?bed=4" {
				t.Fatalf("the right code: %v", back)
			}
			var set *http.Cookie
			for _, c := range back.Cookies() {
				if c.Name == passCookie(b.base) {
					set = c
				}
			}
			if set == nil || !set.HttpOnly || set.SameSite != http.SameSiteLaxMode || set.Path != "/" || set.Domain != "" || set.Secure != strings.HasPrefix(site, "https") {
				t.Errorf("the cookie is %v", back.Header.Values("Set-Cookie"))
			}
			// Loading that answer again leads to the same place.
			if twice := b.submit(g, "otp", m.Code); twice.StatusCode != http.StatusSeeOther || twice.Header.Get("Location") != "/ward/room?bed=4" {
				t.Errorf("the right code again, from the same browser: %v", twice)
			}
			if a := b.navigate("/ward/room?bed=4"); a.StatusCode != 200 {
				t.Errorf("with the pass: %v", a)
			}

			shown := b.navigate("/.kycvs/pass")
			c := check(t, b.keys(), b.fetch("/.kycvs/pass").object(t).str("assertion"), "work.example")
			if shown.StatusCode != 200 || !strings.Contains(string(shown.body), c.Consent) {
				t.Errorf("the page of the pass does not show the consent's id: %v", shown)
			}
			if strings.Contains(string(shown.body), "98765") || strings.Contains(string(shown.body), "Asha") {
				t.Error("the page of the pass shows who it is")
			}
			gone := b.submit(withdrawForm(t, shown))
			if gone.StatusCode != 200 {
				t.Errorf("withdrawing: %v", gone)
			}
			if a := b.navigate("/ward/room?bed=4"); a.StatusCode != http.StatusSeeOther {
				t.Errorf("after withdrawing: %v, want 303", a)
			}
			if a := b.navigate("/.kycvs/pass"); a.StatusCode != 401 && a.StatusCode != 200 {
				t.Errorf("the page of no pass: %v", a)
			}
		})
	}
}

func withdrawForm(t testing.TB, a *answer) htmlForm {
	t.Helper()
	for _, f := range a.forms(t) {
		if strings.HasSuffix(f.action, "/.kycvs/withdraw") && f.method == "POST" {
			return f
		}
	}
	t.Fatalf("no form to withdraw: %v", a)
	return htmlForm{}
}

// The notice names who answers for the data, whom to write to, and how to
// withdraw.
func TestNotice(t *testing.T) {
	t.Parallel()
	in := start(t, setup{
		kycvs: "notice {\n controller \"Phoenix Mall Ltd\"\n contact privacy@phoenix.example\n grievance https://phoenix.example/grievance\n}",
		sites: gateSites,
	})
	b := in.browse(t, "https://work.example")
	a := b.navigate("/.kycvs/notice")
	for _, want := range []string{"Phoenix Mall Ltd", "privacy@phoenix.example", "https://phoenix.example/grievance", "/.kycvs/pass"} {
		if !strings.Contains(string(a.body), want) {
			t.Errorf("the notice does not say %q", want)
		}
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "frame-ancestors", "Referrer-Policy": ""} {
		if !strings.Contains(b.navigate("/.kycvs/").Header.Get(name), want) {
			t.Errorf("the consent page's %s is %q", name, b.navigate("/.kycvs/").Header.Get(name))
		}
	}
	// What a person typed is never expanded nor taken for markup.
	f := b.navigate("/.kycvs/").formWith(t, "mobile_number")
	for _, name := range []string{`<script>alert(1)</script>`, `{env.HOME}`, `{http.request.host}`, `"><b>`, `{{.}}`} {
		a := b.submit(f, "mobile_number", name, "full_name", name)
		if strings.Contains(string(a.body), "<script>alert") || strings.Contains(string(a.body), `"><b>`) {
			t.Errorf("%s comes back as markup", name)
		}
		if got := a.formWith(t, "mobile_number").inputs["full_name"]["value"]; got != name {
			t.Errorf("typed %q, came back as %q", name, got)
		}
	}
}
