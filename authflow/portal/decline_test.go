package portal_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
)

// declines returns the addresses of a page's links that say no, by their text
// and by where they lead.
func declines(t *testing.T, rec *httptest.ResponseRecorder) []string {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(rec.Body.String()))
	if err != nil {
		t.Fatal(err)
	}
	var links []string
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode || n.Data != "a" {
			continue
		}
		var href string
		for _, a := range n.Attr {
			if a.Key == "href" {
				href = a.Val
			}
		}
		named := n.FirstChild != nil && n.FirstChild.Data == portal.Text("en", "common.decline")
		if named || strings.Contains(href, "/cancel") {
			links = append(links, href)
		}
	}
	return links
}

const (
	redirectEnd = "/start/finish?s=Zk3vQ0m1Rr6yB8w2_-"
	redirectNo  = "/start/cancel?s=Zk3vQ0m1Rr6yB8w2_-"
)

// Whoever comes from a partner's site can say no on each page on the way.
func TestDecline(t *testing.T) {
	offered := func(t *testing.T, d *desk, ret string) map[string]*httptest.ResponseRecorder {
		person := asha()
		person.Set("return", ret)
		wrong, unknown := asha(), asha()
		wrong.Set("return", ret)
		wrong.Set("mobile_number", "1")
		unknown.Set("return", ret)
		unknown.Set("for", "nobody")
		pages := map[string]*httptest.ResponseRecorder{
			"consent":       d.get("/.kycvs/?return=" + url.QueryEscape(ret)),
			"consent wrong": d.form("/.kycvs/otp", wrong),
			"error":         d.form("/.kycvs/otp", unknown),
			"error of a code that is over": d.form("/.kycvs/verify", url.Values{
				"txnId": {"3fa85f64-5717-4562-b3fc-2c963f66afa6"}, "otp": {"123456"}, "return": {ret},
			}),
			"code": d.form("/.kycvs/otp", person),
		}
		txn := hiddenTxn.FindStringSubmatch(pages["code"].Body.String())
		if txn == nil {
			t.Fatalf("asking: status %d\n%s", pages["code"].Code, pages["code"].Body)
		}
		again := url.Values{"txnId": {txn[1]}, "return": {ret}, "otp": {"x"}}
		pages["code too early"] = d.form("/.kycvs/otp", again)
		pages["code wrong"] = d.form("/.kycvs/verify", again)
		return pages
	}
	t.Run("in a redirect", func(t *testing.T) {
		for name, rec := range offered(t, newDesk(t), redirectEnd) {
			if got := declines(t, rec); len(got) != 1 || got[0] != redirectNo {
				t.Errorf("%s: status %d, links %q", name, rec.Code, got)
			}
		}
	})
	for name, ret := range map[string]string{
		"nowhere":                "",
		"a page of the site":     "/shop?a=b",
		"nothing sealed":         "/start/finish?s=",
		"another parameter":      redirectEnd + "&return=https://evil.example",
		"another first":          "/start/finish?x=y&s=abc",
		"percent-encoded":        "/start/finish?s=%2e%2e",
		"a path in it":           "/start/finish?s=../../evil",
		"a fragment":             redirectEnd + "#x",
		"markup":                 redirectEnd + `"><a href=//evil.example>`,
		"a line break":           redirectEnd + "\n",
		"beyond ASCII":           redirectEnd + "é",
		"padding":                redirectEnd + "==",
		"below another path":     "/x" + redirectEnd,
		"dots":                   "/./start/finish?s=abc",
		"another host":           "//evil.example" + redirectEnd,
		"another site":           "https://evil.example" + redirectEnd,
		"a backslash":            `/\evil.example` + redirectEnd,
		"upper case":             "/START/finish?s=abc",
		"the no itself":          redirectNo,
		"longer than is carried": "/start/finish?s=" + strings.Repeat("a", authflow.MaxReturn),
	} {
		t.Run(name, func(t *testing.T) {
			for page, rec := range offered(t, newDesk(t), ret) {
				if got := declines(t, rec); len(got) != 0 {
					t.Errorf("%s: status %d, links %q", page, rec.Code, got)
				}
			}
		})
	}
}

// Other pages are none of the redirect's, whatever is sent with them.
func TestDeclineNotElsewhere(t *testing.T) {
	d := newDesk(t)
	query := "?return=" + url.QueryEscape(redirectEnd)
	fields := url.Values{"return": {redirectEnd}, "mobile_number": {"9876543210"}}
	for name, rec := range map[string]*httptest.ResponseRecorder{
		"pass":             d.get("/.kycvs/pass"+query, "Accept", "text/html"),
		"notice":           d.get("/.kycvs/notice" + query),
		"own record":       d.get("/.kycvs/consents" + query),
		"own record, code": d.form("/.kycvs/consents/otp", fields),
		"own record, over": d.form("/.kycvs/consents/verify", fields),
		"withdraw":         d.form("/.kycvs/withdraw", fields),
		"nothing there":    d.get("/.kycvs/nothing"+query, "Accept", "text/html"),
		"from elsewhere":   d.form("/.kycvs/otp", fields, "Sec-Fetch-Site", "cross-site"),
	} {
		if got := declines(t, rec); rec.Body.Len() == 0 || len(got) != 0 {
			t.Errorf("%s: status %d, links %q", name, rec.Code, got)
		}
	}
}

// After an error a person begins again where they were: for the same partner, on
// the way to the same place.
func TestErrorPagesLeadBackToWhereItBegan(t *testing.T) {
	d := newDesk(t, "mall", "ward")
	for _, c := range []struct {
		fields url.Values
		want   string
	}{
		{url.Values{}, `href="/.kycvs/"`},
		{url.Values{"return": {"/"}}, `href="/.kycvs/"`},
		{url.Values{"for": {"ward"}, "return": {"/a?b=c"}}, `href="/.kycvs/?for=ward&amp;return=%2Fa%3Fb%3Dc"`},
		{url.Values{"for": {"nobody"}, "return": {"//evil.example"}}, `href="/.kycvs/"`},
	} {
		c.fields.Set("txnId", "00000000-0000-4000-8000-000000000000")
		c.fields.Set("otp", "123456")
		rec := d.form("/.kycvs/verify", c.fields)
		if rec.Code != 401 && rec.Code != 400 || !strings.Contains(rec.Body.String(), c.want) {
			t.Errorf("%v: %d, no %s", c.fields, rec.Code, c.want)
		}
	}
}
