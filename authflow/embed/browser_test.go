package embed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/kycvs/caddy-kycvs/authflow/embed"
)

// tab is a page in a real browser that blocks third-party cookies.
type tab struct {
	t   *testing.T
	ctx context.Context
	n   int
}

func openTab(t *testing.T) *tab {
	t.Helper()
	var path string
	for _, name := range []string{os.Getenv("KYCVS_TEST_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); name != "" && err == nil && path == "" {
			path = p
		}
	}
	if path == "" {
		if strings.Contains(","+os.Getenv("KYCVS_TEST_REQUIRE")+",", ",chromium,") {
			t.Fatal("KYCVS_TEST_REQUIRE names chromium, but it is not found: install it or set KYCVS_TEST_CHROMIUM")
		}
		t.Skip("no chromium here; KYCVS_TEST_CHROMIUM may name it")
	}
	profile := t.TempDir()
	if err := os.MkdirAll(filepath.Join(profile, "Default"), 0o700); err != nil {
		t.Fatal(err)
	}
	prefs := `{"profile":{"block_third_party_cookies":true,"cookie_controls_mode":1}}`
	if err := os.WriteFile(filepath.Join(profile, "Default", "Preferences"), []byte(prefs), 0o600); err != nil {
		t.Fatal(err)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(profile),
		chromedp.Flag("site-per-process", true), chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("lang", "en"), chromedp.Flag("window-size", "420,1000"))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal("starting chromium: ", err)
	}
	return &tab{t: t, ctx: ctx}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		where, _ := chromedp.Run(b.ctx, chromedp.Location())
		b.t.Fatalf("at %s: %v", where, err)
	}
}

// frame waits for a frame whose address begins so, and attaches to it.
func (b *tab) frame(prefix string) *tab {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		infos, err := chromedp.Targets(b.ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, info := range infos {
			if info.Type == "iframe" && strings.HasPrefix(info.URL, prefix) {
				ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithTargetID(info.TargetID))
				b.t.Cleanup(cancel)
				if err := chromedp.Do(ctx); err != nil { // attaches, for as long as ctx lives
					b.t.Fatal("attaching to the frame: ", err)
				}
				return &tab{t: b.t, ctx: ctx}
			}
		}
	}
	b.t.Fatal("no frame at ", prefix)
	return nil
}

// eval returns what an expression is, as JSON.
func (b *tab) eval(expression string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.EvaluateAsDevTools[json.RawMessage]("JSON.stringify("+expression+")||null"))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	var text string
	_ = json.Unmarshal(got, &text)
	return text
}

// until waits for an expression to be true.
func (b *tab) until(expression string) {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if b.eval("!!("+expression+")") == "true" {
			return
		}
	}
	b.t.Fatalf("never: %s; the page says %s", expression, b.eval("document.body?.innerText"))
}

// shot keeps a picture where KYCVS_TEST_SHOTS says.
func (b *tab) shot(name string) {
	dir := os.Getenv("KYCVS_TEST_SHOTS")
	if dir == "" {
		return
	}
	b.n++
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal("a screenshot: ", err)
	}
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("embed-%d-%s.png", b.n, name)), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// hostPage is a partner's page, or somebody's who would like to be one.
const hostPage = `<!DOCTYPE html><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>shop</title>
<h1>Shop</h1><div id="here"></div>
<script src="%s/embed.js"></script><script>
window.heard = [];
addEventListener("message", (e) => heard.push(e.data && e.data.type));
window.check = (more) => KYCVS.open({ partner: "mall", nonce: "n-1", container: "#here", timeout: 3000,
	onanswer: (a) => { window.answer = a; }, onerror: (e) => { window.error = e; }, ...more });
</script>`

func TestInChromium(t *testing.T) {
	au := newAuthority(t)
	kyc := httptest.NewTLSServer(au)
	defer kyc.Close()
	home := strings.Replace(kyc.URL, "127.0.0.1", "localhost", 1) // another site than 127.0.0.1
	serve := func(policy string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			if policy != "" {
				w.Header().Set("Content-Security-Policy", strings.ReplaceAll(policy, "KYC", home))
			}
			fmt.Fprintf(w, hostPage, home)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	mall, evil := serve("script-src KYC 'unsafe-inline'; frame-src KYC"), serve("")
	shut := serve("script-src KYC 'unsafe-inline'; frame-src 'none'")
	au.embed.Partners["mall"] = embed.Registered{Origins: []string{mall, shut}, Returns: []string{shut + "/checked"}}

	t.Run("the whole check in the frame", func(t *testing.T) {
		b := openTab(t)
		b.do(chromedp.Navigate(home + "/embed.js"))
		if got := b.eval(`(() => { document.cookie = "first=1; SameSite=None; Secure"; return document.cookie })()`); got != `"first=1"` {
			t.Errorf("the authority, as first party, keeps no cookie: %s", got)
		}
		b.do(chromedp.Navigate(mall + "/"))
		b.eval("check().nonce")
		f := b.frame(home + "/embed/")
		f.until(`document.querySelector("#consent:not([hidden])")`)
		if got := f.eval("document.cookie"); got != `""` {
			t.Errorf("third-party cookies are not blocked, so the test shows nothing: the frame sees %s", got)
		}
		if f.eval(`document.getElementById("tick").checked`) != "false" {
			t.Error("consent is ticked")
		}
		b.until(`parseInt(document.querySelector("iframe").style.height) > 700`)
		b.shot("consent")
		press := func(what string) { f.do(chromedp.Click(chromedp.CSS(`[data-do=` + what + `] button`))) }
		press("ask")
		f.until(`document.querySelector("#consent-error:not([hidden])")`)
		b.shot("nothing-typed")
		f.do(chromedp.SendKeys(chromedp.CSS("#mobile_number"), "98765 43210"), chromedp.SendKeys(chromedp.CSS("#full_name"), "Asha Rao"), chromedp.Click(chromedp.CSS("#tick")))
		press("ask")
		f.until(`document.querySelector("#code:not([hidden])")`)
		b.shot("code")
		code := au.Phone.Last().Code
		wrong := "000000"
		if code == wrong {
			wrong = "000001"
		}
		f.do(chromedp.SendKeys(chromedp.CSS("#otp"), wrong))
		press("verify")
		f.until(`document.querySelector("#trouble:not([hidden])")`)
		b.shot("wrong-code")
		f.do(chromedp.Clear(chromedp.CSS("#otp")), chromedp.SendKeys(chromedp.CSS("#otp"), code))
		press("verify")
		b.until("window.answer")
		f.until(`document.querySelector("#result:not([hidden])")`)
		b.shot("result")
		if got := b.eval("[answer.nonce, answer.vaccination_status, answer.assertion.split('.').length, typeof answer.txnId, answer.pass]"); got != `["n-1",2,3,"string",null]` {
			t.Errorf("the page got %s", got)
		}
		press("withdraw")
		f.until(`document.querySelector("#withdrawn:not([hidden])")`)
		b.shot("withdrawn")
	})
	t.Run("no", func(t *testing.T) {
		b := openTab(t)
		b.do(chromedp.Navigate(mall + "/"))
		b.eval("check({lang: 'hi'}).nonce")
		f := b.frame(home + "/embed/")
		f.until(`document.querySelector("#consent:not([hidden])")`)
		b.shot("hindi")
		f.do(chromedp.Click(chromedp.CSS(`[data-do=no] button`)))
		b.until("window.error")
		if got := b.eval("[error.code, !!document.querySelector('iframe')]"); got != `["access_denied",false]` {
			t.Error(got)
		}
	})
	t.Run("a foreign origin's page", func(t *testing.T) {
		b := openTab(t)
		b.do(chromedp.Navigate(evil + "/"))
		b.eval("check().nonce")
		b.until("window.error")
		// nor by naming another's origin
		b.eval(`(() => { const f = document.createElement("iframe"); f.id = "stolen"; f.onload = () => { window.loaded = true; };
			f.src = "` + home + frameAt("mall", mall, "n-1") + `"; document.body.append(f); return 1; })()`)
		b.until("window.loaded")
		if got := b.eval("[error.code, error.reason, heard, !!window.answer]"); got != `["frame_blocked","no_answer",[],false]` {
			t.Error(got)
		}
		b.shot("foreign")
	})
	t.Run("where frames are forbidden", func(t *testing.T) {
		b := openTab(t)
		b.do(chromedp.Navigate(shut + "/"))
		b.eval("check().nonce")
		b.until("window.error")
		if got := b.eval("[error.code, error.reason]"); got != `["frame_blocked","csp"]` {
			t.Error(got)
		}
		b.eval(`check({redirect: {state: "st", return: "` + shut + `/checked"}}).nonce`)
		b.until(`location.pathname === "/.kycvs/"`)
		b.shot("elsewhere")
	})
	t.Run("at 320 pixels", func(t *testing.T) {
		b := openTab(t)
		b.do(chromedp.EmulateViewport(320, 900), chromedp.Navigate(mall+"/"))
		b.eval("check().nonce")
		f := b.frame(home + "/embed/")
		f.until(`document.querySelector("#consent:not([hidden])")`)
		if got := f.eval("document.documentElement.scrollWidth <= innerWidth"); got != "true" {
			t.Errorf("it is %s wide in %s", f.eval("document.documentElement.scrollWidth"), f.eval("innerWidth"))
		}
		b.shot("320")
	})
}
