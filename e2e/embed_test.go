package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/kycvs/caddy-kycvs/authflow"
)

// shop is the demonstration in examples/shop, running, and the authority it
// asks.
type shop struct {
	*instance
	key    string
	origin string // the shop's
	home   string // the authority's: another site to a browser
}

// openShop starts an authority and the shop, each a process of its own. The
// authority has further partners, written as in its Caddyfile.
func openShop(t *testing.T, further string) *shop {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "shop")
	if out, err := exec.Command("go", "build", "-o", bin, "github.com/kycvs/caddy-kycvs/examples/shop").CombinedOutput(); err != nil {
		t.Fatalf("building examples/shop: %v\n%s", err, out)
	}
	listen := "127.0.0.1:" + strconv.Itoa(freePort(t))
	s := &shop{key: authflow.NewPartnerKey(), origin: "http://" + listen}
	other := authflow.NewPartnerKey()
	s.instance = start(t, setup{
		kycvs: plenty + fmt.Sprintf(`
		partner rail {
			name "Demo Railway"
			purpose "A train ticket"
			key_hash %s
			origin %s
			return %s/checked
		}
		partner cinema {
			name "Cinema"
			purpose "A film"
			key_hash %s
		}`, authflow.HashKey(s.key), s.origin, s.origin, authflow.HashKey(other)) + further,
		sites: "http://localhost {\n\tkycvs_authority\n}",
	})
	s.home = s.instance.origin("http://localhost")
	cmd := exec.Command(bin, "-listen", listen, "-origin", s.origin, "-authority", s.home)
	cmd.Env = append(os.Environ(), "KYCVS_KEY="+s.key)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(t, "the shop is open", func() bool {
		resp, err := http.Get(s.origin + "/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	return s
}

// openStrict opens a browser that blocks third-party cookies and keeps each
// site in a process of its own; every host of .example is this machine.
func openStrict(t *testing.T, name string) *window {
	t.Helper()
	profile := t.TempDir()
	if err := os.MkdirAll(filepath.Join(profile, "Default"), 0o700); err != nil {
		t.Fatal(err)
	}
	const prefs = `{"profile":{"block_third_party_cookies":true,"cookie_controls_mode":1}}`
	if err := os.WriteFile(filepath.Join(profile, "Default", "Preferences"), []byte(prefs), 0o600); err != nil {
		t.Fatal(err)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.UserDataDir(profile),
		chromedp.Flag("site-per-process", true), chromedp.Flag("host-resolver-rules", "MAP *.example 127.0.0.1"), chromedp.Flag("lang", "en"), chromedp.Flag("window-size", "420,1100"))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal("starting chromium: ", err)
	}
	shots := os.Getenv("KYCVS_TEST_SHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	return &window{t: t, ctx: ctx, shots: filepath.Join(shots, name)}
}

// frame waits for a frame whose address begins so, and attaches to it.
func (w *window) frame(prefix string) *window {
	w.t.Helper()
	var inside *window
	eventually(w.t, "a frame at "+prefix, func() bool {
		infos, err := chromedp.Targets(w.ctx)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, info := range infos {
			if info.Type == "iframe" && strings.HasPrefix(info.URL, prefix) {
				ctx, cancel := chromedp.NewContext(w.ctx, chromedp.WithTargetID(info.TargetID))
				w.t.Cleanup(cancel)
				if err := chromedp.Do(ctx); err != nil { // attaches, for as long as ctx lives
					w.t.Fatal("attaching to the frame: ", err)
				}
				inside = &window{t: w.t, ctx: ctx, shots: w.shots}
			}
		}
		return inside != nil
	})
	return inside
}

// eval returns what an expression is, as JSON.
func (w *window) eval(expression string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.EvaluateAsDevTools[string]("JSON.stringify("+expression+")||''"))
	if err != nil {
		w.t.Fatalf("%s: %v", expression, err)
	}
	return text
}

// until waits for an expression to be true of a page that has loaded to its end,
// over navigations too: what is pressed earlier may move away, or do nothing yet.
func (w *window) until(expression string) {
	w.t.Helper()
	eventually(w.t, expression, func() bool {
		ctx, cancel := context.WithTimeout(w.ctx, patience)
		defer cancel()
		is, err := chromedp.Run(ctx, chromedp.EvaluateAsDevTools[bool]("document.readyState === 'complete' && !!("+expression+")"))
		return err == nil && is
	})
}

// order begins a ticket at the shop.
func (w *window) order(s *shop, names ...string) {
	w.t.Helper()
	w.do(chromedp.Navigate(s.origin + "/"))
	w.until(`document.querySelectorAll("[name=traveller]").length === 3`)
	for i, name := range names {
		w.do(chromedp.SendKeys(chromedp.CSS(fmt.Sprintf("label:nth-of-type(%d) [name=traveller]", i+1)), name))
	}
	w.do(chromedp.Click(chromedp.CSS("form button")))
	w.at("/order/")
	w.until(`document.querySelector("#traveller-1")`)
}

// keepsCookie shows that the authority may keep a cookie as first party, so
// that a frame of the authority's without one is a blocked third party.
func (w *window) keepsCookie(s *shop) {
	w.t.Helper()
	w.do(chromedp.Navigate(s.home + "/embed.js"))
	if got := w.eval(`(() => { document.cookie = "first=1"; return document.cookie })()`); got != `"first=1"` {
		w.t.Errorf("the authority, as first party, keeps no cookie: %s", got)
	}
}

// byFrame asks the n-th traveller of an order in the shop's frame, to the code.
func (w *window) byFrame(s *shop, n int, who person) {
	w.t.Helper()
	w.do(chromedp.Click(chromedp.CSS(fmt.Sprintf("#frame-%d", n))))
	f := w.frame(s.home + "/embed/")
	f.until(`document.querySelector("#consent:not([hidden])")`)
	if got := f.eval("document.cookie"); got != `""` {
		w.t.Errorf("third-party cookies are not blocked, so the test shows nothing: the frame sees %s", got)
	}
	f.do(chromedp.SendKeys(chromedp.CSS("#mobile_number"), who.mobile), chromedp.SendKeys(chromedp.CSS("#full_name"), who.name),
		chromedp.Click(chromedp.CSS("#tick")))
	w.shot("frame")
	f.do(chromedp.Click(chromedp.CSS("[data-do=ask] button")))
	f.until(`document.querySelector("#code:not([hidden])")`)
	m := s.sms.next(w.t, who.mobile)
	if want := "@127.0.0.1 #" + m.Code + " %localhost"; !strings.HasSuffix(m.Message, "\n"+want) {
		w.t.Errorf("the message ends with %q, want %q", m.Message, want)
	}
	w.shot("frame-code")
	f.do(chromedp.SendKeys(chromedp.CSS("#otp"), m.Code), chromedp.Click(chromedp.CSS("[data-do=verify] button")))
}

// byRedirect asks the n-th traveller of an order on the authority's own pages,
// to the shop's.
func (w *window) byRedirect(s *shop, n int, who person) {
	w.t.Helper()
	order := w.at(s.origin + "/order/")
	w.do(chromedp.Click(chromedp.CSS(fmt.Sprintf("#redirect-%d", n))))
	w.at(s.home + "/.kycvs/?")
	w.pages(s.sms, "localhost", who)
	if back := w.at(s.origin + "/order/"); back != order {
		w.t.Errorf("the redirect came back to %s", back)
	}
}

// byAPI asks the n-th traveller of an order by calls of the shop's server.
func (w *window) byAPI(s *shop, n int, who person) {
	w.t.Helper()
	api, row := fmt.Sprintf("#api-%d", n), fmt.Sprintf("#traveller-%d", n)
	w.do(chromedp.Click(chromedp.CSS(api+" summary")), chromedp.SendKeys(chromedp.CSS(api+" [name=mobile_number]"), who.mobile),
		chromedp.Click(chromedp.CSS(api+" [name=consent]")), chromedp.Click(chromedp.CSS(api+" button")))
	w.until(fmt.Sprintf("document.querySelector(%q)", row+" [name=otp]"))
	w.do(chromedp.SendKeys(chromedp.CSS(row+" [name=otp]"), s.sms.next(w.t, who.mobile).Code), chromedp.Click(chromedp.CSS(row+" button")))
}

// no is the link of whoever wants no check, on each page of a redirect.
const no = "main a[href^='/start/cancel?s=']"

// A ticket for three: one asked in the frame, one by redirect, one by API, each
// with third-party cookies blocked; the ticket is booked with the last answer.
func TestShopInChromium(t *testing.T) {
	chromium(t)
	t.Parallel()
	s := openShop(t, "")
	w := openStrict(t, "shop")

	w.keepsCookie(s)
	w.order(s, asha.name, joseph.name, gita.name)
	order := w.at(s.origin + "/order/")
	w.shot("order")

	w.byFrame(s, 1, asha)
	w.until(`document.querySelector("#traveller-1 .status")`)
	w.shot("one-of-three")

	// by redirect: first "no", then the whole way
	w.do(chromedp.Click(chromedp.CSS("#redirect-2")))
	pages := w.at(s.home + "/.kycvs/?")
	if u, _ := url.Parse(pages); u.Query().Get("for") != "rail" || !strings.HasPrefix(u.Query().Get("return"), "/start/finish?s=") {
		t.Errorf("the redirect leads to %s", pages)
	}
	w.do(chromedp.Click(chromedp.CSS(no)))
	if u, _ := url.Parse(w.at(s.origin + "/checked?")); u.Query().Get("error") != "access_denied" || u.Query().Get("state") == "" || u.Query().Has("code") {
		t.Errorf("no leads to %s", u)
	}
	w.until(`document.querySelector("#trouble")`)
	w.do(chromedp.Navigate(order))
	w.byRedirect(s, 2, joseph)
	w.until(`document.querySelector("#traveller-2 .status")`)
	w.shot("two-of-three")

	w.byAPI(s, 3, gita)
	w.until(`document.querySelector("#booked")`)
	w.shot("booked")
}

// Whoever is not fully vaccinated gets an answer and no ticket, and one person
// is not two travellers.
func TestShopRefusesInChromium(t *testing.T) {
	chromium(t)
	t.Parallel()
	s := openShop(t, "")
	w := openStrict(t, "shop-refused")
	w.order(s, vikram.name)
	w.byFrame(s, 1, vikram)
	w.until(`document.querySelector("#refused")`)
	w.shot("refused")
}

// A page of an origin that is not registered gets neither frame nor answer,
// whatever origin it names.
func TestForeignPageInChromium(t *testing.T) {
	chromium(t)
	t.Parallel()
	s := openShop(t, "")
	w := openStrict(t, "foreign")
	evil := &http.Server{Addr: "127.0.0.1:" + strconv.Itoa(freePort(t)), ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(rw, `<!DOCTYPE html><title>evil</title><h1>Evil</h1><div id="here"></div><script>
			window.heard = []; addEventListener("message", (e) => heard.push(e.data));</script><script src="%s/embed.js"></script><script>
			KYCVS.open({partner: "rail", container: "#here", timeout: 2000, onanswer() { window.answered = true }, onerror(e) { window.failed = e.code }});
			for (const origin of [%q, location.origin, "*", "null"]) {
				const f = document.createElement("iframe");
				f.src = "%s/embed/?" + new URLSearchParams({partner: "rail", nonce: "n", origin});
				f.onload = () => { window.loads = (window.loads || 0) + 1 };
				document.body.append(f);
			}</script>`, s.home, s.origin, s.home)
	})}
	go func() { _ = evil.ListenAndServe() }()
	t.Cleanup(func() { _ = evil.Close() })
	eventually(t, "the foreign page is served", func() bool {
		resp, err := http.Get("http://" + evil.Addr)
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	w.do(chromedp.Navigate("http://" + evil.Addr + "/"))
	w.until("window.failed && window.loads >= 4")
	if got := w.eval("[failed, heard, !!window.answered]"); got != `["frame_blocked",[],false]` {
		t.Error(got)
	}
	w.shot("foreign")
	f := w.frame(s.home + "/embed/?partner=rail&nonce=n&origin=" + url.QueryEscape(s.origin))
	if got := f.eval("[location.protocol, document.body.dataset.session]"); got != `["chrome-error:",null]` {
		t.Errorf("the frame holds %s", got)
	}
}

// The redirect against the binary: foreign return addresses lead nowhere, and a
// code is good once, for its partner alone.
func TestRedirectCodes(t *testing.T) {
	t.Parallel()
	k, o := authflow.NewPartnerKey(), authflow.NewPartnerKey()
	in := start(t, setup{
		kycvs: plenty + fmt.Sprintf(`
		partner mall {
			purpose "Entry to the mall"
			key_hash %s
			origin https://mall.example
			return https://mall.example/checked
		}
		partner cinema {
			purpose "A film"
			key_hash %s
			return https://cinema.example/checked
		}`, authflow.HashKey(k), authflow.HashKey(o)),
		sites: "https://kyc.example {\n\tkycvs_authority\n}",
	})
	b := in.browse(t, "https://kyc.example")
	begin := func(ret string) *answer {
		return b.navigate("/start?" + url.Values{"partner": {"mall"}, "state": {"st 1"}, "return": {ret}}.Encode())
	}
	for name, ret := range map[string]string{
		"foreign": "https://evil.example/checked", "another partner's": "https://cinema.example/checked", "suffix": "https://mall.example/checked/x",
		"upper case": "https://mall.example/CHECKED", "percent-encoded": "https://mall.example/%63hecked", "none": "",
	} {
		if a := begin(ret); a.StatusCode != 400 || a.Header.Get("Location") != "" || a.Header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %v", name, a)
		}
	}
	begun := begin("https://mall.example/checked")
	if begun.StatusCode != 303 {
		t.Fatalf("got %v", begun)
	}
	consent := b.navigate(begun.Header.Get("Location"))
	asked := b.submit(consent.formWith(t, "mobile_number"), "mobile_number", asha.mobile, "full_name", asha.name, "consent", "Y")
	// whoever says no, on either page, is back at once
	for name, page := range map[string]*answer{"consent": consent, "code": asked} {
		link := regexp.MustCompile(`href="(/start/cancel\?s=[\w-]+)"`).FindSubmatch(page.body)
		if link == nil {
			t.Fatalf("the page for the %s has no link to say no: %v", name, page)
		}
		if a := b.navigate(string(link[1])); a.StatusCode != 303 || a.Header.Get("Location") != "https://mall.example/checked?error=access_denied&state=st+1" {
			t.Errorf("no, on the page for the %s: %v", name, a)
		}
	}
	done := b.submit(asked.formWith(t, "otp"), "otp", in.sms.next(t, asha.mobile).Code)
	finish := b.navigate(done.Header.Get("Location"))
	to, err := finish.Location()
	if err != nil || !strings.HasPrefix(to.String(), "https://mall.example/checked?code=") || to.Query().Get("state") != "st 1" {
		t.Fatalf("got %v", finish)
	}
	redeem := func(key, code string) *answer {
		body, _ := json.Marshal(map[string]string{"code": code})
		return b.do("POST", "/api/v3/vaccination/redeem", "application/json", string(body), "x-api-key", key)
	}
	code := to.Query().Get("code")
	foreign, made := redeem(o, code), redeem(k, strings.Repeat("A", 43))
	if foreign.StatusCode != 401 || string(foreign.body) != string(made.body) {
		t.Errorf("another partner's code: %v, a made-up one: %v", foreign, made)
	}
	good := redeem(k, code)
	if good.StatusCode != 200 || good.object(t).num(t, "vaccination_status") != 2 {
		t.Fatalf("got %v", good)
	}
	check(t, b.keys(), good.object(t).str("assertion"), "mall")
	if again := redeem(k, code); again.StatusCode != 401 || string(again.body) != string(made.body) {
		t.Errorf("a code was good twice: %v", again)
	}

	// the frame's page, and nobody else's, can be framed
	framed := b.navigate("/embed/?" + url.Values{"partner": {"mall"}, "origin": {"https://mall.example"}, "nonce": {"n"}}.Encode())
	if csp := framed.Header.Get("Content-Security-Policy"); framed.StatusCode != 200 || !strings.HasSuffix(csp, "frame-ancestors https://mall.example") || framed.Header.Get("X-Frame-Options") != "" || len(framed.Header["Set-Cookie"]) > 0 {
		t.Errorf("got %v", framed)
	}
	for _, path := range []string{"/.kycvs/?for=mall", "/embed/?partner=mall&origin=https://evil.example&nonce=n", "/embed/?partner=cinema&origin=https://mall.example&nonce=n"} {
		if a := b.navigate(path); a.Header.Get("X-Frame-Options") != "DENY" || !strings.Contains(a.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s can be framed: %v", path, a)
		}
	}
}
