package embed_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
)

func startAt(partner, state, ret string) string {
	return "/start?" + url.Values{"partner": {partner}, "state": {state}, "return": {ret}}.Encode()
}

// location is where an answer leads.
func location(t testing.TB, r *http.Response) *url.URL {
	t.Helper()
	if r.StatusCode != 303 {
		t.Fatalf("status %d, want 303: %s", r.StatusCode, body(t, r))
	}
	u, err := r.Location()
	if err != nil {
		u, err = url.Parse(r.Header.Get("Location"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// check goes through the portal's pages, from where start led to.
func (au *authority) check(pages *url.URL) (back string) {
	au.t.Helper()
	q := pages.Query()
	post := func(path string, v url.Values) *http.Response {
		return au.do("POST", path, v.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html", "Sec-Fetch-Site", "same-origin")
	}
	au.get(pages.String())
	resp := post("/.kycvs/otp", url.Values{"mobile_number": {"9876543210"}, "full_name": {"Asha Rao"}, "consent": {"Y"}, "for": {q.Get("for")}, "return": {q.Get("return")}})
	text := body(au.t, resp)
	_, rest, ok := strings.Cut(text, `name="txnId" value="`)
	if !ok {
		au.t.Fatalf("%d %s", resp.StatusCode, text)
	}
	txn, _, _ := strings.Cut(rest, `"`)
	resp = post("/.kycvs/verify", url.Values{"txnId": {txn}, "otp": {au.Phone.Last().Code}, "for": {q.Get("for")}, "return": {q.Get("return")}})
	if resp.StatusCode != 303 {
		au.t.Fatalf("%d %s", resp.StatusCode, body(au.t, resp))
	}
	return resp.Header.Get("Location")
}

// code runs a whole redirect and returns the code.
func (au *authority) code(partner, state, ret string) string {
	au.t.Helper()
	to := location(au.t, au.get(au.check(location(au.t, au.get(startAt(partner, state, ret))))))
	if got := to.Query().Get("state"); got != state {
		au.t.Fatalf("state %q, want %q", got, state)
	}
	return to.Query().Get("code")
}

func TestRedirect(t *testing.T) {
	for name, c := range map[string]struct{ partner, state, ret, begins string }{
		"plain":                {"mall", "st-1", mallReturn, mallReturn + "?code="},
		"with a query":         {"rail", "st-1", railReturn, railReturn + "&code="},
		"a state of all sorts": {"mall", " ~!#&=%25?+/", mallReturn, mallReturn + "?code="},
		"a long state":         {"mall", strings.Repeat("~", 256), mallReturn, mallReturn + "?code="},
	} {
		t.Run(name, func(t *testing.T) {
			au := newAuthority(t)
			begun := au.get(startAt(c.partner, c.state, c.ret))
			if cc := begun.Header.Get("Cache-Control"); cc != "no-store" {
				t.Errorf("Cache-Control %q", cc)
			}
			pages := location(t, begun)
			if pages.Path != "/.kycvs/" || pages.Query().Get("for") != c.partner {
				t.Errorf("start leads to %s", pages)
			}
			back := au.check(pages)
			if back == "/" {
				t.Fatal("the portal took the address for none of ours")
			}
			done := au.get(back)
			to := location(t, done)
			if !strings.HasPrefix(to.String(), c.begins) || to.Query().Get("state") != c.state {
				t.Errorf("finish leads to %s", to)
			}
			if done.Header.Get("Referrer-Policy") != "no-referrer" || done.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("header %v", done.Header)
			}
			a := au.mall
			if c.partner == "rail" {
				a = au.rail
			}
			token, err := au.embed.Redeem(t.Context(), a, to.Query().Get("code"))
			if err != nil {
				t.Fatal(err)
			}
			if got, p, _, err := au.OpenToken([]*authflow.Audience{a}, token); err != nil || got != a || p.Status != 2 {
				t.Error("the token: ", p.Status, err)
			}
		})
	}
}

// No return address but a registered one is led to, shown or remembered.
func TestForeignReturn(t *testing.T) {
	au := newAuthority(t)
	for name, ret := range map[string]string{
		"none":                   "",
		"foreign":                "https://evil.example/checked",
		"another partner's":      railReturn,
		"prefix":                 "https://mall.example/check",
		"suffix":                 mallReturn + "/more",
		"query behind":           mallReturn + "?x=1",
		"empty query":            mallReturn + "?",
		"fragment":               mallReturn + "#x",
		"upper-case host":        "https://MALL.example/checked",
		"upper-case path":        "https://mall.example/Checked",
		"upper-case scheme":      "HTTPS://mall.example/checked",
		"usual port":             "https://mall.example:443/checked",
		"percent-encoded letter": "https://mall.example/%63hecked",
		"percent-encoded slash":  "https://mall.example%2fchecked",
		"dot segment":            "https://mall.example/x/../checked",
		"double slash":           "https://mall.example//checked",
		"backslash":              `https://mall.example\checked`,
		"user":                   "https://mall.example@evil.example/checked",
		"host dot":               "https://mall.example./checked",
		"longer host":            "https://mall.example.evil.example/checked",
		"plain http":             "http://mall.example/checked",
		"space before":           " " + mallReturn,
		"tab inside":             "https://mall.exa\tmple/checked",
		"line break behind":      mallReturn + "\n",
		"NUL behind":             mallReturn + "\x00",
		"full-width letter":      "https://ｍall.example/checked",
		"a path":                 "/checked",
		"script":                 "javascript:alert(1)",
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, au, au.get(startAt("mall", "st", ret)), ret)
		})
	}
	for name, target := range map[string]string{
		"two returns, the first foreign": startAt("mall", "st", "https://evil.example/") + "&return=" + url.QueryEscape(mallReturn),
		"two returns, the last foreign":  startAt("mall", "st", mallReturn) + "&return=https://evil.example/",
		"encoded twice":                  "/start?partner=mall&state=st&return=" + url.QueryEscape(url.QueryEscape(mallReturn)),
		"unregistered partner":           startAt("cinema", "st", mallReturn),
		"no partner":                     startAt("", "st", mallReturn),
		"no state":                       "/start?partner=mall&return=" + url.QueryEscape(mallReturn),
		"empty state":                    startAt("mall", "", mallReturn),
		"long state":                     startAt("mall", strings.Repeat("s", 257), mallReturn),
		"state with a line break":        startAt("mall", "a\r\nb", mallReturn),
		"state beyond ASCII":             startAt("mall", "é", mallReturn),
		"semicolons":                     "/start?partner=mall;state=st;return=" + mallReturn,
	} {
		t.Run(name, func(t *testing.T) { refused(t, au, au.get(target), "") })
	}
	if au.Phone.Sent() > 0 {
		t.Error("a message was sent")
	}
}

func refused(t *testing.T, au *authority, resp *http.Response, ret string) {
	t.Helper()
	if resp.StatusCode != 400 || resp.Header.Get("Location") != "" || resp.Header.Get("Set-Cookie") != "" || resp.Header.Get("Refresh") != "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if text := body(t, resp); len(ret) > 12 && strings.Contains(text, ret) {
		t.Errorf("the page names %q", ret)
	}
}

// What lies between start and finish cannot be altered, taken to another
// browser, or finished without a check of its own.
func TestFinishRefused(t *testing.T) {
	au := newAuthority(t)
	pages := location(t, au.get(startAt("mall", "st", mallReturn)))
	finish := pages.Query().Get("return")
	t.Run("before the check", func(t *testing.T) {
		refused(t, au, au.get(finish), "")
		no := strings.Replace(finish, "/finish", "/cancel", 1)
		if !strings.Contains(body(t, au.get(finish)), `href="`+no+`"`) {
			t.Error("the page does not let the person say no")
		}
		if altered := strings.Replace(finish, "s=", "s=A", 1); strings.Contains(body(t, au.get(altered)), "/start/cancel") {
			t.Error("a redirect that is none can be declined")
		}
	})
	back := au.check(pages)
	if back != finish {
		t.Fatalf("the pages lead to %s", back)
	}
	t.Run("altered", func(t *testing.T) {
		refused(t, au, au.get(strings.Replace(finish, "s=", "s=A", 1)), "")
		refused(t, au, au.get("/start/finish"), "")
		refused(t, au, au.get(finish+"&s=x"), "")
	})
	t.Run("a frame's session in its place", func(t *testing.T) { refused(t, au, au.get("/start/finish?s="+au.session()), "") })
	t.Run("another browser", func(t *testing.T) {
		mark := au.cookies["kycvs-start"]
		delete(au.cookies, "kycvs-start")
		refused(t, au, au.get(finish), "")
		au.cookies["kycvs-start"] = "AAAAAAAAAAAAAAAAAAAAAA"
		refused(t, au, au.get(finish), "")
		au.cookies["kycvs-start"] = mark
	})
	t.Run("with a pass from before", func(t *testing.T) {
		au.Pass(time.Second)
		later := location(t, au.get(startAt("mall", "st-2", mallReturn))).Query().Get("return")
		refused(t, au, au.get(later), "")
	})
	t.Run("return taken out", func(t *testing.T) {
		kept := au.embed.Partners["mall"]
		changed := kept
		changed.Returns = nil
		au.embed.Partners["mall"] = changed
		refused(t, au, au.get(finish), "")
		au.embed.Partners["mall"] = kept
	})
	if to := location(t, au.get(finish)); !strings.HasPrefix(to.String(), mallReturn+"?code=") {
		t.Errorf("leads to %s", to)
	}
	t.Run("consent taken back", func(t *testing.T) {
		au.do("POST", "/.kycvs/withdraw", "for=mall", "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
		refused(t, au, au.get(finish), "")
	})
	t.Run("too late", func(t *testing.T) {
		begun := location(t, au.get(startAt("mall", "st", mallReturn)))
		au.Pass(time.Hour)
		refused(t, au, au.get(begun.Query().Get("return")), "")
	})
}

func TestCancel(t *testing.T) {
	au := newAuthority(t)
	finish := location(t, au.get(startAt("mall", "st 1", mallReturn))).Query().Get("return")
	to := location(t, au.get(strings.Replace(finish, "/finish", "/cancel", 1)))
	if to.String() != mallReturn+"?error=access_denied&state=st+1" {
		t.Errorf("leads to %s", to)
	}
}

// Whatever is wrong with a code, the answer is the same.
func TestRedeemRefused(t *testing.T) {
	au := newAuthority(t)
	code := au.code("mall", "st", mallReturn)
	redeem := func(t *testing.T, a *authflow.Audience, code string) {
		t.Helper()
		token, err := au.embed.Redeem(t.Context(), a, code)
		if e, ok := err.(*authflow.Error); !ok || e.Code != authflow.TxnUnknown || e.Cause != nil || token != "" {
			t.Errorf("got %v, %q", err, token)
		}
	}
	for name, c := range map[string]string{
		"empty": "", "made up": strings.Repeat("A", 43), "cut short": code[:42], "more behind": code + "A",
		"altered name": "A" + code[1:], "altered secret": code[:30] + strings.ToUpper(code[30:31]) + "x" + code[32:], "not base64": "!" + code[1:],
	} {
		if c == code {
			continue
		}
		t.Run(name, func(t *testing.T) { redeem(t, au.mall, c) })
	}
	t.Run("another partner's", func(t *testing.T) { redeem(t, au.rail, code) })
	t.Run("nothing was spent", func(t *testing.T) {
		if _, err := au.embed.Redeem(t.Context(), au.mall, code); err != nil {
			t.Error(err)
		}
	})
	t.Run("replayed", func(t *testing.T) { redeem(t, au.mall, code) })
	t.Run("expired", func(t *testing.T) {
		au.Pass(time.Minute)
		code := au.code("mall", "st", mallReturn)
		au.Pass(time.Minute)
		redeem(t, au.mall, code)
	})
	t.Run("consent taken back", func(t *testing.T) {
		code := au.code("mall", "st", mallReturn)
		au.do("POST", "/.kycvs/withdraw", "for=mall", "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
		redeem(t, au.mall, code)
	})
}
