package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The walk of a newcomer with Caddyfile.example as it stands, on other ports:
// the code appears in the log, the upstream shows its headers and the assertion
// checked.
func TestExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "Caddyfile.example"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(filepath.Join("..", "examples", "people.csv"))
	if err != nil {
		t.Fatal(err)
	}
	site, app := freePort(t), freePort(t)
	whole := strings.NewReplacer("8080", fmt.Sprint(site), "8081", fmt.Sprint(app)).Replace(string(text))
	in := start(t, setup{whole: whole, files: map[string]string{"examples/people.csv": string(list)}})
	in.httpPort = site
	b := in.browse(t, "http://localhost")
	eventually(t, "the example serves", func() bool { _, err := b.try("GET", "/.kycvs/", "", ""); return err == nil })
	in.log.wait(t, "sms log is for trying things out")

	refused := b.navigate("/welcome?a=b")
	if refused.StatusCode != http.StatusSeeOther {
		t.Fatalf("got %v", refused)
	}
	page := b.navigate(refused.Header.Get("Location"))
	f := page.formWith(t, "mobile_number")
	code := func() string {
		t.Helper()
		var last string
		eventually(t, "a code in the log", func() bool {
			all := regexp.MustCompile(`@localhost #(\d{6})`).FindAllStringSubmatch(in.log.String(), -1)
			if len(all) > 0 {
				last = all[len(all)-1][1]
			}
			return last != ""
		})
		return last
	}
	asked := b.submit(f, "mobile_number", "98765 43210", "full_name", "Asha Rao", "consent", "Y")
	back := b.submit(asked.formWith(t, "otp"), "otp", code())
	if back.Header.Get("Location") != "/welcome?a=b" {
		t.Fatalf("got %v", back)
	}
	shown := b.fetch("/welcome?a=b", "Kycvs-Assertion", marker)
	var echo struct {
		Headers   []struct{ Name, Value string }
		Assertion struct {
			Verified bool
			Claims   claims
		}
	}
	if err := json.Unmarshal(shown.body, &echo); err != nil || !echo.Assertion.Verified || *echo.Assertion.Claims.Status != 2 {
		t.Errorf("the upstream shows %s", shown.body)
	}
	if html := b.navigate("/welcome?a=b"); !strings.Contains(string(html.body), "erified") || !strings.Contains(string(html.body), "Kycvs-Assertion") {
		t.Errorf("the upstream's page: %v", html)
	}
	// the upstream, asked past the gate, believes nothing
	past := *b
	past.base = fmt.Sprint("http://localhost:", app)
	if a := past.fetch("/", "Kycvs-Assertion", marker); strings.Contains(string(a.body), `"verified":true`) {
		t.Errorf("past the gate: %v", a)
	}
	if s := in.log.String(); strings.Contains(s, `"level":"error"`) {
		t.Errorf("an error in the log of the example: %s", in.log.around(`"level":"error"`, 500))
	}
}
