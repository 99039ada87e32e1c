package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestThreeProcesses has one authority, a remote gate and a shop run at once, and
// one person's browser, which blocks third-party cookies, use all of them: through
// the gate's own pages to the page behind it, then for a ticket for three in the
// shop's frame, by redirect, and by calls of the shop's server.
func TestThreeProcesses(t *testing.T) {
	chromium(t)
	t.Parallel()
	s := openShop(t, "\npartner mall {\n name \"Phoenix Mall\"\n purpose \"Entry to the mall\"\n key_hash "+keyHash(mallKey)+"\n}")
	here := start(t, remoteSetup(s.instance))
	w := openStrict(t, "three")

	// the remote gate
	page := here.origin(mallSite) + "/shops?size=42"
	w.do(chromedp.Navigate(page))
	if at := w.at("/.kycvs/?"); !strings.HasPrefix(at, here.origin(mallSite)) {
		t.Errorf("the gate leads away from its own pages, to %s", at)
	}
	w.says(200, "Entry to the mall")
	w.shot("gate")
	if seen := here.up.take(); len(seen) > 0 {
		t.Errorf("%s reached the upstream without a pass", seen[0].head)
	}
	// bound to the authority's host, which took the call, not to the gate's
	if m := w.pages(s.sms, "localhost", asha); !strings.Contains(m.Message, "Phoenix Mall") {
		t.Errorf("the message is %q", m.Message)
	}
	w.says(200, "upstream /shops?size=42")
	w.shot("behind-the-gate")
	if at := w.at("/shops"); at != page {
		t.Errorf("back at %s", at)
	}
	keys := here.browse(t, mallSite).keys()
	first := check(t, keys, here.assertionAt(t, "/shops"), "mall")
	if first.Authority != s.home || first.Iss == s.home || first.Purpose != "Entry to the mall" || *first.Status != asha.status {
		t.Errorf("the upstream got %+v, want authority %s and the gate's own issuer", first, s.home)
	}
	for _, c := range w.cookies() {
		if !strings.HasPrefix(c, "mall.example ") {
			t.Errorf("the gate's pages left a cookie elsewhere: %s", c)
		}
	}

	// the shop, in the same browser
	w.keepsCookie(s)
	w.order(s, asha.name, joseph.name, gita.name)
	w.byFrame(s, 1, asha)
	w.until(`document.querySelector("#traveller-1 .status")`)
	if kept := slices.DeleteFunc(w.cookies(), func(c string) bool { return !strings.HasPrefix(c, "localhost ") }); !slices.Equal(kept, []string{"localhost first"}) {
		t.Errorf("the frame left the authority's cookies %q", kept)
	}
	w.byRedirect(s, 2, joseph)
	w.until(`document.querySelector("#traveller-2 .status")`)
	w.byAPI(s, 3, gita)
	w.until(`document.querySelector("#booked")`)
	w.shot("booked")

	// none of which has changed who is at the gate
	w.do(chromedp.Navigate(page))
	w.says(200, "upstream /shops?size=42")
	again := check(t, keys, here.assertionAt(t, "/shops"), "mall")
	if again.Sub != first.Sub || again.Consent != first.Consent || again.Authority != s.home {
		t.Errorf("at the gate, after the shop: %+v, before: %+v", again, first)
	}
	if n := s.sms.count(); n != 4 {
		t.Errorf("%d codes were sent, want 4", n)
	}
}

// assertionAt is what the upstream got with its last request for a path that
// begins so; a browser asks for more than the page (its icon, say).
func (in *instance) assertionAt(t *testing.T, prefix string) string {
	t.Helper()
	for _, q := range slices.Backward(in.up.take()) {
		if strings.HasPrefix(q.target, prefix) {
			if vs := q.values("Kycvs-Assertion"); len(vs) == 1 {
				return vs[0]
			}
			t.Fatalf("not one assertion:\n%s", q.head)
		}
	}
	t.Fatalf("the upstream saw no request for %s", prefix)
	return ""
}
