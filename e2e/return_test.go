package e2e

import (
	"net/url"
	"strings"
	"testing"
)

// leaves tells whether a browser that follows Location leaves the site, read
// as the WHATWG URL standard has browsers read it: control characters and
// spaces at the ends, tabs and line breaks anywhere are dropped, "\" is "/".
func leaves(location string) bool {
	l := strings.TrimFunc(location, func(r rune) bool { return r <= ' ' })
	l = strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(l)
	return !strings.HasPrefix(l, "/") || strings.HasPrefix(l, "//")
}

// "return is a path on this site and nothing else."
func TestReturnStaysOnTheSite(t *testing.T) {
	t.Parallel()
	in := start(t, setup{
		kycvs: "limits {\n codes_per_ip 1000 1h\n codes_per_mobile 1000 1h\n}",
		sites: gateSites,
	})
	for _, ret := range []string{
		"//evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example", "https:evil.example", "https://evil.example/", "HTTPS://evil.example",
		"https:/evil.example", "https:\\evil.example", "javascript:alert(1)", "data:text/html,x", "/\tevil.example", "/\t/evil.example", "\t//evil.example",
		" //evil.example", "/\n/evil.example", "/\r/evil.example", "\x00//evil.example", "/\x0b/evil.example", "///evil.example", "/./\\evil.example",
		"evil.example", "@evil.example", ".evil.example", "http:///evil.example", "/\u2028/evil.example\r\nSet-Cookie: a=b", "/x\r\nSet-Cookie: a=b", "?x", "#x", "",
		"//work.example@evil.example", "/\u00a0/evil.example", "\u3000//evil.example", "/%09/evil.example", "/%2f%2fevil.example", "/%5cevil.example", "/%0d%0aSet-Cookie:%20a=b",
		"/.kycvs/..//evil.example", "/..//evil.example", "/.//evil.example", "/ward/..//evil.example", "/" + strings.Repeat("a", 5000),
	} {
		t.Run(quoted(ret), func(t *testing.T) {
			b := in.browse(t, "https://work.example")
			page := b.navigate("/.kycvs/?return=" + url.QueryEscape(ret))
			f := page.formWith(t, "mobile_number")
			if got := f.values.Get("return"); got != "" && leaves(got) {
				t.Errorf("the page's form has return %q", got)
			}
			f.values.Set("return", ret)
			code := b.submit(f, "mobile_number", asha.mobile, "full_name", asha.name, "consent", "Y").formWith(t, "otp")
			if got := code.values.Get("return"); got != "" && leaves(got) {
				t.Errorf("the code page's form has return %q", got)
			}
			code.values.Set("return", ret)
			a := b.submit(code, "otp", in.sms.next(t, asha.mobile).Code)
			to := a.Header.Get("Location")
			if a.StatusCode != 303 || leaves(to) || len(a.Header.Values("Set-Cookie")) != 1 {
				t.Errorf("got %v", a)
			}
			u, err := a.Request.URL.Parse(to)
			if err != nil || u.Host != a.Request.URL.Host {
				t.Errorf("Location %q leads to %v", to, u)
			}
		})
	}
	for _, ret := range []string{"/ward/x", "/ward/x?a=b&c=d", "/ward/?next=https://evil.example/", "/ward/%E0%A4%85?x=%2F%2F", "/ward/a%20b", "/"} {
		t.Run("kept "+ret, func(t *testing.T) {
			b := in.browse(t, "https://work.example")
			f := b.navigate("/.kycvs/?return="+url.QueryEscape(ret)).formWith(t, "mobile_number")
			code := b.submit(f, "mobile_number", asha.mobile, "full_name", asha.name, "consent", "Y").formWith(t, "otp")
			a := b.submit(code, "otp", in.sms.next(t, asha.mobile).Code)
			if to := a.Header.Get("Location"); a.StatusCode != 303 || to != ret {
				t.Errorf("got %d to %q, want 303 to %q", a.StatusCode, to, ret)
			}
		})
	}
}
