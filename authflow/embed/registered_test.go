package embed_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/kycvs/caddy-kycvs/authflow/embed"
)

func TestCheckOrigin(t *testing.T) {
	for _, good := range []string{"https://mall.example", "http://localhost:9090", "https://xn--11b4c3d.example", "https://[2001:db8::1]:8443", "http://127.0.0.1:1"} {
		if err := embed.CheckOrigin(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "*", "null", "mall.example", "https://", "https://mall.example/", "https://MALL.example", "HTTPS://mall.example", "https://mall.example:443",
		"http://mall.example:80", "https://mall.example:0", "https://*.mall.example", "https://a@mall.example", "https://mall.example; script-src *", "https://mall.example https://evil.example",
		"https://mall.example\n", "ftp://mall.example", "https://mäll.example", "https://mall.example?", "https://mall.example#", "'self'", "https://mall.example."} {
		if embed.CheckOrigin(bad) == nil {
			t.Errorf("%q is taken for an origin", bad)
		}
	}
}

func TestCheckReturn(t *testing.T) {
	for _, good := range []string{mallReturn, railReturn, "http://localhost:9090/", "https://mall.example", "https://mall.example/a%20b?x="} {
		if err := embed.CheckReturn(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "/checked", "//mall.example", "https:mall.example", "javascript:alert(1)", "https://mall.example/#x", "https://mall.example/#", "https://a:b@mall.example/",
		"https://mall.example/?state=x", "https://mall.example/?code=x", "https://mall.example/?error=x", "https://mall.example/?a=%zz", `https://mall.example\x`, "https://mall.example/a b",
		"https://mall.example/\r\nX: y", "https://mall.example/é", "https://mall.example/" + strings.Repeat("a", 1024)} {
		if embed.CheckReturn(bad) == nil {
			t.Errorf("%q is taken for a return address", bad)
		}
	}
}

// Nothing that a client can write into start leads to an address that is not
// registered.
func FuzzStart(f *testing.F) {
	f.Add("partner=mall&state=st&return=" + url.QueryEscape(mallReturn))
	f.Add("partner=mall&state=st&return=https://evil.example")
	f.Add("partner=mall&partner=rail&state=%0d%0a&return=;")
	au := newAuthority(f)
	f.Fuzz(func(t *testing.T, query string) {
		if !isQuery(query) {
			t.Skip()
		}
		resp := au.as(t).get("/start?" + query)
		to := resp.Header.Get("Location")
		switch {
		case resp.StatusCode == 400 && to == "":
		case resp.StatusCode == 303 && strings.HasPrefix(to, "/.kycvs/?"):
			values, err := url.ParseQuery(query)
			if ret := values.Get("return"); err != nil || ret != mallReturn && ret != railReturn {
				t.Errorf("%q began a redirect", query)
			}
		default:
			t.Errorf("%q: %d %s", query, resp.StatusCode, to)
		}
	})
}

// Nothing that a client can write into a frame's address is framed by anybody
// but a registered origin, or reaches the page unescaped.
func FuzzFrame(f *testing.F) {
	f.Add("partner=mall&nonce=n&origin=" + url.QueryEscape(mallOrigin))
	f.Add("partner=mall&nonce=%22%3E%3Cscript%3E&origin=" + url.QueryEscape(mallOrigin))
	f.Add("partner=mall&nonce=n&origin=*")
	au := newAuthority(f)
	f.Fuzz(func(t *testing.T, query string) {
		if !isQuery(query) {
			t.Skip()
		}
		resp := au.as(t).get("/embed/?" + query)
		csp := resp.Header.Get("Content-Security-Policy")
		if resp.StatusCode == 200 {
			if o := mustQuery(t, query).Get("origin"); o != mallOrigin && o != "https://www.mall.example" && o != "https://rail.example:8443" {
				t.Errorf("%q got the page", query)
			}
			if strings.Count(body(t, resp), "<script") != 1 {
				t.Errorf("%q put a script into the page", query)
			}
			return
		}
		if !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%q: %d can be framed: %s", query, resp.StatusCode, csp)
		}
	})
}

func mustQuery(t *testing.T, query string) url.Values {
	t.Helper()
	v, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// isQuery tells whether a string can stand in a request as a query.
func isQuery(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' })
}
