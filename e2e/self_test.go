package e2e

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
	"github.com/kycvs/caddy-kycvs/authflow/receipt"
	"github.com/kycvs/caddy-kycvs/authflow/state/redis/redistest"
)

// Two sites, and two partners at one of them.
const selfSites = `
http://work.example, https://work.example {
	kycvs /canteen/* 0 {
		partner canteen
		purpose "Lunch in the canteen"
	}
	kycvs /ward/* 2
	reverse_proxy %UP%
}
http://mall.example, https://mall.example {
	kycvs 2
	reverse_proxy %UP%
}
`

// prove proves a number for one's own record.
func (b *browser) prove(p person) {
	b.t.Helper()
	a := b.json("/.kycvs/consents/otp", fields{"mobile_number": p.mobile})
	if a.StatusCode != 200 {
		b.t.Fatalf("asking for a code: %v", a)
	}
	code := b.in.sms.next(b.t, p.mobile).Code
	if a := b.json("/.kycvs/consents/verify", fields{"txnId": a.object(b.t).str("txnId"), "otp": code}); a.StatusCode != 200 {
		b.t.Fatalf("entering the code: %v", a)
	}
}

// ownRecord is what GET consents answers a program.
func (b *browser) ownRecord() (r fields, consents []fields) {
	b.t.Helper()
	a := b.fetch("/.kycvs/consents")
	if a.StatusCode != 200 {
		b.t.Fatalf("one's own record: %v", a)
	}
	r = a.object(b.t)
	for _, c := range r["consents"].([]any) {
		consents = append(consents, c.(map[string]any))
	}
	return r, consents
}

// own posts to one of the record's addresses and wants 204.
func (b *browser) own(what string, f fields) {
	b.t.Helper()
	if a := b.json("/.kycvs/consents/"+what, f); a.StatusCode != 204 {
		b.t.Fatalf("%s: %v", what, a)
	}
}

// One number, one page: what was consented to at two sites and three partners is
// seen, ended and locked from any of them.
func TestOwnRecord(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: plenty, sites: selfSites})
	work, mall := in.browse(t, "https://work.example"), in.browse(t, "https://mall.example")
	work.signIn(asha, "for", "work.example")
	work.signIn(asha, "for", "canteen")
	mall.signIn(asha)
	if a := mall.fetch("/shop"); a.StatusCode != 200 {
		t.Fatal(a)
	}
	other := in.browse(t, "https://mall.example")
	other.signIn(vikram)

	here := in.browse(t, "https://work.example") // another phone
	here.fetch("/.kycvs/consents").refuses(t, 401, "")
	work.fetch("/.kycvs/consents").refuses(t, 401, "") // a pass is no proven number
	here.prove(asha)
	for _, path := range []string{"/ward/x", "/canteen/x"} { // and that is no pass
		here.fetch(path).refuses(t, 401, "")
	}
	here.at("https://mall.example").fetch("/.kycvs/consents").refuses(t, 401, "") // nor good at another site
	stranger := in.browse(t, "https://work.example")
	stranger.fetch("/.kycvs/consents").refuses(t, 401, "")
	stranger.json("/.kycvs/consents/lock", fields{"locked": "yes"}).refuses(t, 401, "")

	_, consents := here.ownRecord()
	partners := map[string]fields{}
	for _, c := range consents {
		partners[c.str("partner")] = c
		if c.str("state") != "running" {
			t.Errorf("got %v", c)
		}
	}
	if len(consents) != 3 || len(partners) != 3 || partners["canteen"].str("purpose") != "Lunch in the canteen" || partners["mall.example"] == nil {
		t.Fatalf("got %v", consents)
	}
	within(t, 5*time.Second, "the day's first answer is on the page", func() bool {
		_, consents := here.ownRecord()
		return slices.ContainsFunc(consents, func(c fields) bool {
			return c.str("partner") == "mall.example" && strings.Contains(fmt.Sprint(c["answers"]), "how:page")
		})
	})

	here.own("end", fields{"consent": partners["mall.example"].str("consent")})
	within(t, time.Second, "the pass at the other site is over", func() bool { return mall.fetch("/shop").StatusCode == 401 })
	if a := work.fetch("/ward/x"); a.StatusCode != 200 {
		t.Errorf("the other consents: %v", a)
	}
	// nobody ends what is not theirs
	other.prove(vikram)
	other.json("/.kycvs/consents/end", fields{"consent": partners["canteen"].str("consent")}).refuses(t, 401, "txn_unknown")
	if a := work.fetch("/canteen/x"); a.StatusCode != 200 {
		t.Errorf("somebody else ended it: %v", a)
	}

	// the lock
	here.own("lock", fields{"locked": "yes"})
	within(t, time.Second, "no pass counts", func() bool {
		return work.fetch("/ward/x").StatusCode == 401 && work.fetch("/canteen/x").StatusCode == 401
	})
	txn, code := mall.ask(asha)
	if m := mall.verify(txn, code).refuses(t, 403, "locked"); m.str("unlock") != "/.kycvs/consents" {
		t.Errorf("got %v", m)
	}
	if a := other.fetch("/x"); a.StatusCode != 403 { // partly vaccinated: a pass that counts
		t.Errorf("somebody else's pass: %v", a)
	}

	counted := func(outcomes ...string) {
		t.Helper()
		_, metrics := in.adminGet("/metrics")
		for _, o := range outcomes {
			if !strings.Contains(metrics, `caddy_kycvs_handshakes_total{outcome="`+o+`"}`) {
				t.Errorf("no metric counts %s", o)
			}
		}
	}
	counted("self", "locked", "refused_locked")
	in.kill()
	in.run()
	if r, _ := here.ownRecord(); r["locked"] != true {
		t.Errorf("after a restart: %v", r)
	}
	work.fetch("/ward/x").refuses(t, 401, "")
	txn, code = mall.ask(asha)
	mall.verify(txn, code).refuses(t, 403, "locked")

	here.own("lock", fields{"locked": "no"})
	within(t, time.Second, "a pass that still runs counts again", func() bool { return work.fetch("/ward/x").StatusCode == 200 })
	mall.fetch("/shop").refuses(t, 401, "") // what was ended stays ended
	mall.signIn(asha)
	r, _ := here.ownRecord()
	if refusals := fmt.Sprint(r["refusals"]); r["locked"] != false || strings.Count(refusals, "reason:locked") != 2 {
		t.Errorf("got %v", r)
	}
	here.own("leave", fields{})
	here.fetch("/.kycvs/consents").refuses(t, 401, "")
	counted("unlocked", "refused_locked")
	if log := in.log.String(); strings.Contains(log, asha.mobile) {
		t.Error("the log has a number in it")
	}
}

// The receipt as a download, checked with the keys that the gate publishes.
func TestReceiptDownload(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: plenty + "\nnotice {\n controller \"Work Ltd\"\n grievance https://work.example/grievance\n}", sites: selfSites})
	b := in.browse(t, "https://work.example")
	b.fetch("/.kycvs/receipt").refuses(t, 401, "")
	b.signIn(asha, "for", "canteen", "lang", "hi")
	jwks := b.fetch("/.kycvs/jwks.json").body
	keys, err := assertion.ParseKeySet(jwks)
	if err != nil {
		t.Fatal(err)
	}
	a := b.navigate("/.kycvs/receipt?for=canteen")
	if a.StatusCode != 200 || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment;") {
		t.Fatalf("got %v", a)
	}
	issuer := check(t, b.keys(), b.fetch("/.kycvs/pass?for=canteen").object(t).str("assertion"), "canteen")
	r, _, err := receipt.VerifyFile(t.Context(), a.body, keys, issuer.Iss)
	if err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	if r.RecordID != issuer.Consent || r.PIIPrincipalID != issuer.Sub || r.Processing[0].Language != "hi" || r.Processing[0].PrivacyNotice == "" ||
		r.Parties[0].PartyName != "Work Ltd" || r.Own.Withdraw != b.base+"/.kycvs/pass" {
		t.Errorf("got %+v", r)
	}
	one := b.fetch("/.kycvs/pass?for=canteen").object(t).str("receipt")
	if _, err := receipt.Verify(t.Context(), one, keys, issuer.Iss); err != nil {
		t.Error(err)
	}
	b.fetch("/.kycvs/receipt?for=work.example").refuses(t, 401, "")
	for _, cookie := range []string{"", b.cookies()} { // a receipt opens nothing
		a := in.send(t, http1, request{host: "work.example", path: "/canteen/x", cookie: cookie, fields: []field{{"Kycvs-Assertion", one}}})
		if want := map[bool]int{true: 401, false: 200}[cookie == ""]; a.status != want {
			t.Errorf("got %v, want %d", a, want)
		}
	}
}

// What is locked at one instance is locked at all.
func TestLockOverInstances(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 2, "state redis "+redistest.Start(t).URL()+"\n"+plenty, nil)
	v := f.visitor(t)
	v.signIn(somebody(0), 0, 1)
	for i := range f.all {
		if !v.getsIn(i) {
			t.Fatalf("the pass does not count at instance %d", i)
		}
	}
	owner := f.visitor(t)
	owner.at(0).prove(somebody(0))
	for turn, locked := range []string{"yes", "no", "yes"} {
		here, there := turn%2, 1-turn%2
		owner.at(here).own("lock", fields{"locked": locked})
		took := within(t, time.Second, "known at the other instance", func() bool { return v.getsIn(there) == (locked == "no") })
		t.Logf("locked %s at %d, known at %d after %v", locked, here, there, took.Round(time.Millisecond))
		for i := range f.all {
			if r, _ := owner.at(i).ownRecord(); r["locked"] != (locked == "yes") {
				t.Errorf("instance %d says %v", i, r["locked"])
			}
		}
	}
	f.visitor(t).signIn(somebody(1), 0, 1) // another number is not locked
	x := f.visitor(t)
	txn, code := x.at(0).ask(somebody(0))
	x.at(1).verify(txn, code).refuses(t, 403, "locked")
	f.join() // one that learns of it when it starts
	if v.getsIn(2) {
		t.Error("an instance that joined later does not know")
	}
}

// sized gives the window's page that many pixels.
func (w *window) sized(width, height int64) {
	w.t.Helper()
	w.do(chromedp.EmulateViewport(width, height))
}

// fits fails if the page is wider than the window.
func (w *window) fits(what string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	over, err := chromedp.Run(ctx, chromedp.EvaluateAsDevTools[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
	if err != nil || over > 0 {
		w.t.Errorf("%s: %d px wider than the window, %v", what, over, err)
	}
}

// The record page in a real browser, without JavaScript, at the widths of a small
// phone, a phone and a desk.
func TestOwnRecordInChromium(t *testing.T) {
	chromium(t)
	t.Parallel()
	in := start(t, setup{kycvs: plenty + "\nnotice {\n controller \"Work Ltd\"\n contact privacy@work.example\n grievance https://work.example/grievance\n}", sites: selfSites})
	for _, size := range []struct {
		name          string
		width, height int64
		dark          bool
		lang          string
	}{
		{"small", 320, 640, false, "en"}, {"phone", 360, 740, false, "hi"}, {"desk", 1280, 900, true, "en"},
	} {
		t.Run(size.name, func(t *testing.T) {
			p := gita
			b := in.browse(t, "http://work.example")
			b.signIn(p, "for", "work.example")
			if a := b.fetch("/ward/x"); a.StatusCode != 200 {
				t.Fatal(a)
			}
			c := in.browse(t, "http://work.example")
			c.signIn(p, "for", "canteen")
			m := in.browse(t, "http://mall.example")
			m.signIn(p)
			txn, code := m.ask(person{p.mobile, "Nobody Atall", -1})
			m.verify(txn, code).refuses(t, 403, "no_record")

			w := openChromium(t, "own-"+size.name, false)
			w.sized(size.width, size.height)
			if size.dark {
				w.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
					_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
						Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
					})
					return err
				}))
			}
			base := in.origin("http://work.example")
			shot := func(name string) { w.fits(name); w.shot(name) }
			w.do(chromedp.Navigate(base + "/.kycvs/consents?lang=" + size.lang))
			shot("number")
			send := chromedp.CSS(`form[action$="/otp"] button`)
			w.do(chromedp.SendKeys(chromedp.CSS(`[name=mobile_number]`), "123"), chromedp.Click(send), chromedp.WaitVisible(chromedp.CSS(`[aria-invalid]`)))
			w.says(400, "")
			shot("wrong-number")
			w.do(chromedp.Clear(chromedp.CSS(`[name=mobile_number]`)), chromedp.SendKeys(chromedp.CSS(`[name=mobile_number]`), p.mobile), chromedp.Click(send),
				chromedp.WaitVisible(chromedp.CSS(`[name=otp]`)))
			shot("code")
			w.do(chromedp.SendKeys(chromedp.CSS(`[name=otp]`), in.sms.next(t, p.mobile).Code), chromedp.Click(chromedp.CSS(`form:has([name=otp]) button`)))
			w.do(chromedp.WaitVisible(chromedp.CSS(`form[action$="/lock"] button`)))
			if u, _ := url.Parse(w.at("/.kycvs/consents")); u.Path != "/.kycvs/consents" || u.Query().Get("lang") != size.lang {
				t.Errorf("at %v", u)
			}
			w.says(200, "Lunch in the canteen")
			shot("record")
			w.do(chromedp.Click(chromedp.CSS(`section:has([name=consent]) summary`)))
			shot("answers")
			// by the keyboard alone: to the first button, and press it
			w.do(chromedp.Focus(chromedp.CSS(`form[action$="/end"] button`)), chromedp.KeyEvent("\r"))
			w.at("done=ended")
			w.do(chromedp.WaitVisible(chromedp.CSS(`[role=status]`)))
			shot("ended")
			w.do(chromedp.Click(chromedp.CSS(`form[action$="/lock"] button`)))
			w.at("done=locked")
			w.do(chromedp.WaitVisible(chromedp.CSS(`[value="no"] ~ button`)))
			shot("locked")
			if a := b.fetch("/ward/x"); a.StatusCode != 401 {
				t.Errorf("the pass while it is locked: %v", a)
			}
			fm := b.navigate("/.kycvs/?for=work.example&lang="+size.lang).formWith(t, "mobile_number")
			cp := b.submit(fm, "mobile_number", p.mobile, "full_name", p.name, "consent", "Y")
			refused := b.submit(cp.formWith(t, "otp"), "otp", in.sms.next(t, p.mobile).Code)
			if refused.StatusCode != 403 || !strings.Contains(string(refused.body), `href="/.kycvs/consents"`) {
				t.Errorf("a handshake while it is locked: %v", refused)
			}
			w.do(chromedp.Click(chromedp.CSS(`form[action$="/lock"] button`)))
			w.at("done=unlocked")
			w.do(chromedp.WaitVisible(chromedp.CSS(`[value="yes"] ~ button`)))
			shot("unlocked")
			w.do(chromedp.Click(chromedp.CSS(`form[action$="/leave"] button`)), chromedp.WaitVisible(chromedp.CSS(`[name=mobile_number]`)))
			w.says(200, "")

			// the receipt on the page of the pass
			w.do(chromedp.Navigate(base + "/.kycvs/?for=canteen&lang=" + size.lang))
			w.do(chromedp.SendKeys(chromedp.CSS(`[name=mobile_number]`), p.mobile), chromedp.SendKeys(chromedp.CSS(`[name=full_name]`), p.name),
				chromedp.Click(chromedp.CSS(`[name=consent]`)), chromedp.Click(submit), chromedp.WaitVisible(chromedp.CSS(`[name=otp]`)))
			w.do(chromedp.SendKeys(chromedp.CSS(`[name=otp]`), in.sms.next(t, p.mobile).Code), chromedp.Click(chromedp.CSS(`form:has([name=otp]) button`)))
			w.says(200, "upstream /")
			w.do(chromedp.Navigate(base+"/.kycvs/pass?for=canteen&lang="+size.lang), chromedp.WaitVisible(chromedp.CSS(`a[download]`)))
			shot("pass")
		})
	}
}
