package docs

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/kycvs/caddy-kycvs/authflow/sms"
	"github.com/kycvs/caddy-kycvs/caddymodule"
)

// people is what the snippets' people.csv has in it.
const people = `mobile_number,full_name,vaccine,dose,total_doses,date
+919876543210,Asha Rao,COVISHIELD,1,2,2021-03-15
+919876543210,Asha Rao,COVISHIELD,2,2,2021-06-14
`

// inOperatorsPlace changes to a folder and an environment like those that the
// snippets speak of.
func inOperatorsPlace(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("people.csv", []byte(people), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KYCVS_SECRET", "a secret of the operator's, new")
	t.Setenv("KYCVS_SECRET_OLD", "a secret of the operator's, old")
	t.Setenv("KYCVS_DSN", "postgres://kycvs@db1.example/kycvs")
	t.Setenv("KYCVS_REDIS", "redis://:password@redis.example")
	t.Setenv("REDIS_PASSWORD", "password")
	t.Setenv("SENTINEL_PASSWORD", "password")
	t.Setenv("SMS_KEY", "key")
	t.Setenv("KYCVS_KEY", "kp_the-key-of-a-partner")
	t.Setenv("WARD_KEY", "kp_the-key-of-another")
}

// whole makes a whole Caddyfile of a snippet:
//
//   - caddyfile: one already, but for the global block if it begins with a site.
//   - caddyfile-site: what stands in a site.
//   - caddyfile-kycvs: what stands in the global option kycvs, but for the
//     registry and a sender where they are of no interest.
func whole(f fence) string {
	site := "mall.example {\n\tkycvs 2\n\trespond ok\n}\n"
	global := func(options string) string {
		for option, line := range map[string]string{"registry": "registry csv people.csv\n", "sms": "sms log\n"} {
			if !hasOption(options, option) {
				options += line
			}
		}
		return "{\n\tkycvs {\n" + options + "}\n}\n\n"
	}
	switch f.kind {
	case "caddyfile-site":
		return global("") + "mall.example {\n" + f.text + "}\n"
	case "caddyfile-kycvs":
		return global(f.text) + site
	}
	if strings.HasPrefix(f.text, "{") {
		return f.text
	}
	return global("") + f.text
}

func hasOption(options, name string) bool {
	for line := range strings.Lines(options) {
		if strings.HasPrefix(line, name+" ") {
			return true
		}
	}
	return false
}

func adapt(t *testing.T, text string) []byte {
	t.Helper()
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return config
}

// validate does what `caddy validate` does.
func validate(t *testing.T, config []byte) {
	t.Helper()
	var c caddy.Config
	if err := caddy.StrictUnmarshalJSON(config, &c); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&c); err != nil {
		t.Fatal(err)
	}
}

// TestCaddyfiles holds that what stands in the pages can be written into a
// Caddyfile as it is.
func TestCaddyfiles(t *testing.T) {
	all := fences(t, "caddyfile", "caddyfile-site", "caddyfile-kycvs")
	inOperatorsPlace(t)
	for _, f := range all {
		t.Run(fmt.Sprintf("%s:%d", filepath.Base(f.path), f.line), func(t *testing.T) {
			if strings.Contains(f.text, "    ") && !strings.Contains(f.text, "\t") {
				t.Error("is indented by spaces")
			}
			validate(t, adapt(t, whole(f)))
		})
	}
	if made, err := filepath.Glob("*"); err != nil || len(made) != 1 {
		t.Errorf("validating left %v behind (%v)", made, err)
	}
}

// TestSenders sends a message through each sender of sms.md.
func TestSenders(t *testing.T) {
	m := sms.Message{
		To:    "+919876543210",
		Text:  "263665 is \"your\" code & more.\n\n@mall.example #263665",
		Code:  "263665",
		TxnID: "680a300f-3d85-4906-a080-3efc1b91d6f2",
	}
	all := fences(t, "caddyfile-kycvs")
	inOperatorsPlace(t)
	sent := 0
	for _, f := range all {
		if !hasOption(f.text, "sms") {
			continue
		}
		t.Run(fmt.Sprintf("%s:%d", filepath.Base(f.path), f.line), func(t *testing.T) {
			var got []string // what each request says, however it says it
			provider := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				said := string(body)
				if form, err := url.ParseQuery(r.URL.RawQuery + "&" + said); err == nil && !json.Valid(body) {
					said = fmt.Sprintf("%q", form)
				}
				got = append(got, said)
			}))
			defer provider.Close()
			text := regexp.MustCompile(`https://\w+\.example`).ReplaceAllString(f.text, provider.URL)
			d := caddyfile.NewTestDispenser(text)
			for d.Next() && d.NextArg() { // sms, and which
				s := new(caddymodule.HTTPSender)
				if err := s.UnmarshalCaddyfile(d.NewFromNextSegment()); err != nil {
					t.Fatal(err)
				}
				if err := s.Provision(caddy.Context{}); err != nil {
					t.Fatal(err)
				}
				sender, err := s.Sender(caddymodule.OpenOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if err := sender.Send(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				said := got[len(got)-1]
				if !strings.Contains(said, m.To) || !strings.Contains(said, `is \"your\" code`) || strings.Contains(said, "{sms.") {
					t.Errorf("the provider got %s", said)
				}
				sent++
			}
		})
	}
	if sent < 5 {
		t.Errorf("%d senders were tried, want at least 5", sent)
	}
}

func TestJSONConfigs(t *testing.T) {
	all := fences(t, "json")
	inOperatorsPlace(t)
	for _, f := range all {
		t.Run(fmt.Sprintf("%s:%d", filepath.Base(f.path), f.line), func(t *testing.T) {
			if !json.Valid([]byte(f.text)) {
				t.Fatal("is no JSON")
			}
			validate(t, []byte(f.text))
		})
	}
}
