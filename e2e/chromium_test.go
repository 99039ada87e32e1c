package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// chromium finds the browser, or skips the test where there is none.
func chromium(t *testing.T) string {
	t.Helper()
	names := []string{os.Getenv("KYCVS_TEST_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"}
	for _, name := range names {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	if strings.Contains(","+os.Getenv("KYCVS_TEST_REQUIRE")+",", ",chromium,") {
		t.Fatal("KYCVS_TEST_REQUIRE names chromium, but it is not found: install it or set KYCVS_TEST_CHROMIUM")
	}
	t.Skip("no chromium here; KYCVS_TEST_CHROMIUM may name it")
	return ""
}

// window is a tab of a real browser.
type window struct {
	t     *testing.T
	ctx   context.Context
	shots string
	n     int
}

// openChromium starts a browser of its own for which every host is this
// machine.
func openChromium(t *testing.T, name string, script bool) *window {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)),
		chromedp.NoSandbox,
		chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("host-resolver-rules", "MAP *.example 127.0.0.1"),
		chromedp.Flag("lang", "en"),
		chromedp.Flag("window-size", "420,900"),
	)
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
	w := &window{t: t, ctx: ctx, shots: filepath.Join(shots, name)}
	w.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !script})
		return err
	}))
	return w
}

func (w *window) do(steps ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 2*patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		where, _ := chromedp.Run(w.ctx, chromedp.Location())
		w.t.Fatalf("at %s: %v", where, err)
	}
}

// at waits until the browser is at an address that holds what.
func (w *window) at(what string) string {
	w.t.Helper()
	var where string
	eventually(w.t, "the browser comes to "+what, func() bool {
		where, _ = chromedp.Run(w.ctx, chromedp.Location())
		return strings.Contains(where, what)
	})
	return where
}

// says waits until a page that was answered with the status shows what.
func (w *window) says(status int, what string) {
	w.t.Helper()
	var page string
	eventually(w.t, fmt.Sprintf("a page with status %d that says %q", status, what), func() bool {
		ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
		defer cancel()
		page, _ = chromedp.Run(ctx, chromedp.EvaluateAsDevTools[string](
			`document.readyState + " " + performance.getEntriesByType("navigation")[0].responseStatus + " " + document.body.innerText`))
		return strings.HasPrefix(page, fmt.Sprintf("complete %d ", status)) && strings.Contains(page, what)
	})
}

// shot keeps a picture of the page.
func (w *window) shot(name string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		w.t.Fatal("a screenshot: ", err)
	}
	w.n++
	if err := os.MkdirAll(w.shots, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.shots, fmt.Sprintf("%d-%s.png", w.n, name)), png, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// pages has somebody walk through the pages under /.kycvs/, from the consent to
// the code, whose message must be bound to the host.
func (w *window) pages(p *phones, host string, who person) message {
	w.t.Helper()
	w.until(`document.querySelector("[name=mobile_number]")`)
	w.do(chromedp.SendKeys(chromedp.CSS("[name=mobile_number]"), who.mobile), chromedp.SendKeys(chromedp.CSS("[name=full_name]"), who.name),
		chromedp.Click(chromedp.CSS("[name=consent]")), chromedp.Click(submit))
	w.until(`document.querySelector("[name=otp]")`)
	m := p.next(w.t, who.mobile)
	if want := "\n@" + host + " #" + m.Code; !strings.HasSuffix(m.Message, want) {
		w.t.Errorf("the message ends with %q, want %q", m.Message, want)
	}
	w.do(chromedp.SendKeys(chromedp.CSS("[name=otp]"), m.Code), chromedp.Click(chromedp.CSS("form:has([name=otp]) button")))
	return m
}

// cookies are the domains and names of all that the browser keeps.
func (w *window) cookies() []string {
	w.t.Helper()
	var all []string
	w.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		kept, err := cdp.Call(ctx, tab, storage.GetCookies, storage.GetCookiesParams{})
		for _, c := range kept.Cookies {
			all = append(all, c.Domain+" "+c.Name)
		}
		return err
	}))
	slices.Sort(all)
	return all
}

const submit = chromedp.CSS(`form:has([name=mobile_number]) button`)

// A newcomer's walk through a real browser, with JavaScript and without: the
// site, the consent page, a wrong code, the right one, and back where they
// were going, which is an application that has checked the assertion.
func TestNewcomerInChromium(t *testing.T) {
	chromium(t)
	t.Parallel()
	in := start(t, setup{sites: `
http://mall.example, https://mall.example {
	kycvs 2
	reverse_proxy %UP%
}`})
	for _, script := range []bool{true, false} {
		name := map[bool]string{true: "with JavaScript", false: "without JavaScript"}[script]
		for _, site := range []string{"http://mall.example", "https://mall.example"} {
			scheme, _, _ := strings.Cut(site, ":")
			t.Run(name+" over "+scheme, func(t *testing.T) {
				w := openChromium(t, strings.ReplaceAll(name, " ", "-")+"-"+scheme, script)
				base := in.origin(site)
				w.do(chromedp.Navigate(base + "/shop/shoes?size=42&colour=red"))
				where := w.at("/.kycvs/?")
				if u, _ := url.Parse(where); u.Query().Get("return") != "/shop/shoes?size=42&colour=red" {
					t.Errorf("at %s", where)
				}
				w.says(200, "mall.example")
				w.shot("consent")
				sent := in.sms.count()
				// without the tick the browser or the page says so
				w.do(chromedp.SendKeys(chromedp.CSS(`[name=mobile_number]`), "98765 43210"),
					chromedp.SendKeys(chromedp.CSS(`[name=full_name]`), "asha rao"),
					chromedp.Click(submit))
				time.Sleep(200 * time.Millisecond)
				if in.sms.count() > sent {
					t.Fatal("a code was sent without consent")
				}
				w.says(200, "") // the browser itself asks for the tick
				w.shot("not-ticked")
				w.do(chromedp.Click(chromedp.CSS(`[name=consent]`)), chromedp.Click(submit), chromedp.WaitVisible(chromedp.CSS(`[name=otp]`)))
				w.says(200, "3210")
				w.shot("code")
				code := in.sms.next(t, asha.mobile).Code
				w.do(chromedp.SendKeys(chromedp.CSS(`[name=otp]`), wrong(code)), chromedp.Click(chromedp.CSS(`form:has([name=otp]) button`)))
				w.says(401, "2")
				w.shot("wrong-code")
				w.do(chromedp.WaitVisible(chromedp.CSS(`[name=otp]`)), chromedp.Clear(chromedp.CSS(`[name=otp]`)),
					chromedp.SendKeys(chromedp.CSS(`[name=otp]`), code), chromedp.Click(chromedp.CSS(`form:has([name=otp]) button`)))
				if where := w.at("/shop/shoes"); where != base+"/shop/shoes?size=42&colour=red" {
					t.Errorf("back at %s", where)
				}
				w.says(200, "upstream /shop/shoes?size=42&colour=red")
				w.shot("upstream")
				w.do(chromedp.Navigate(base+"/.kycvs/pass"), chromedp.WaitVisible(chromedp.CSS(`form button`)))
				w.shot("pass")
				w.do(chromedp.Click(chromedp.CSS(`form[action$="withdraw"] button`)))
				w.at("/.kycvs/withdraw")
				w.says(200, "")
				w.shot("withdrawn")
				w.do(chromedp.Navigate(base + "/shop/shoes"))
				w.at("/.kycvs/?")
				w.do(chromedp.Navigate(base + "/.kycvs/notice"))
				w.shot("notice")
			})
		}
	}
}
