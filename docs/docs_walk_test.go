package docs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/format"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// TestWalk runs the Caddyfile of privacy.md, at DEBUG, with the Go program of
// README.md and assertion.md behind it, and lets a person through. The program
// must let her in, and the log must have nothing about her in it; without the
// filters it must, or the test would prove nothing.
func TestWalk(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program and runs Caddy")
	}
	caddyfile := fenceWith(t, "privacy.md", "caddyfile", "format filter")
	site, app := freeAddress(t), freeAddress(t)
	program := buildProgram(t, site, app)
	for _, filtered := range []bool{true, false} {
		t.Run(fmt.Sprintf("filtered=%v", filtered), func(t *testing.T) {
			inOperatorsPlace(t)
			// Each run has files of its own: Caddy may still have the default log open.
			defaultLog, accessLog := absolute(t, "default.log"), absolute(t, "access.log")
			start(t, program, app)
			p := phone(t)
			text := strings.NewReplacer(
				"https://sms.example/send", p.URL,
				"mall.example {", "http://"+site+" {",
				"localhost:3000", app,
			).Replace(caddyfile)
			text = strings.Replace(text, "{\n", "{\n\tadmin off\n\tpersist_config off\n\tstorage file_system data\n", 1)
			text = strings.Replace(text, "kycvs {\n", "kycvs {\n\t\tledger file ledger.jsonl\n", 1)
			if !filtered {
				text = withoutFilters(text)
			}
			text = strings.Replace(text, "log default {\n", "log default {\n\t\tlevel DEBUG\n\t\toutput file "+defaultLog+"\n", 1)
			text = strings.Replace(text, "\tlog {\n", "\tlog {\n\t\toutput file "+accessLog+"\n", 1)
			var config caddy.Config
			if err := caddy.StrictUnmarshalJSON(adapt(t, text), &config); err != nil {
				t.Fatal(err)
			}
			if err := caddy.Run(&config); err != nil {
				t.Fatalf("%v\nin\n%s", err, text)
			}
			secrets := walk(t, "http://"+site, p)
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}

			log := read(t, defaultLog) + read(t, accessLog)
			if !strings.Contains(log, "upstream roundtrip") || !strings.Contains(log, "handled request") {
				t.Fatal("the log has nothing about the requests in it")
			}
			for what, secret := range secrets {
				if filtered && strings.Contains(log, secret) {
					t.Errorf("the log has the %s in it", what)
				}
			}
			if !filtered && !strings.Contains(log, "eyJ") {
				t.Error("without the filters there is no assertion in the log either, so what do they do?")
			}
			if warned := strings.Contains(log, "`format filter` lines"); warned == filtered {
				t.Errorf("start-up warned that filters are missing: %v", warned)
			}
		})
	}
}

// walk takes Asha Rao through the handshake to the application and returns what
// nobody may find in a log.
func walk(t *testing.T, site string, p *phoneServer) map[string]string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Timeout: 30 * time.Second}
	ask := func(method, path, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, site+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/json")
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s answered %s: %s (%v)", method, path, resp.Status, answer, err)
		}
		return string(answer)
	}

	const private = "/tests/of-asha?result=positive"
	ask("GET", "/.kycvs/?return="+url.QueryEscape(private), "")
	var asked struct{ TxnID string }
	if err := json.Unmarshal([]byte(ask("POST", "/.kycvs/otp", `{"mobile_number":"98765 43210","full_name":"asha rao","consent":"Y"}`)), &asked); err != nil {
		t.Fatal(err)
	}
	code := p.code(t)
	ask("POST", "/.kycvs/verify", fmt.Sprintf(`{"txnId":%q,"otp":%q}`, asked.TxnID, code))
	if got := ask("GET", "/", ""); !strings.HasPrefix(got, "welcome, ") {
		t.Errorf("the application answered %q, want a welcome", got)
	}
	address, err := url.Parse(site)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"assertion": "eyJ", "number": "9876543210", "name": "sha rao", "registered name": "Asha Rao", "code": `"` + code + `"`,
		"pass": jar.Cookies(address)[0].Value, "page she wanted": "positive",
	}
}

// phoneServer is a provider of text messages, and the phone they get to.
type phoneServer struct {
	*httptest.Server
	codes chan string
}

func phone(t *testing.T) *phoneServer {
	p := &phoneServer{codes: make(chan string, 10)}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct{ To, Message, Code, TxnID string }
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil || m.To != "+919876543210" || !strings.HasSuffix(m.Message, "\n\n@localhost #"+m.Code) {
			t.Errorf("the provider got %+v (%v)", m, err)
		}
		p.codes <- m.Code
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *phoneServer) code(t *testing.T) string {
	t.Helper()
	select {
	case code := <-p.codes:
		return code
	case <-time.After(30 * time.Second):
		t.Fatal("no text message came")
		return ""
	}
}

// withoutFilters replaces each `format filter` by one that filters nothing.
func withoutFilters(text string) string {
	var kept []string
	depth, skip := 0, -1
	for line := range strings.Lines(text) {
		closes := strings.TrimSpace(line) == "}"
		if closes {
			depth--
		}
		if skip >= 0 {
			if closes && depth == skip {
				skip = -1
			}
		} else if strings.Contains(line, "format filter {") {
			kept = append(kept, "format json\n")
			skip = depth
		} else {
			kept = append(kept, line)
		}
		if strings.HasSuffix(strings.TrimSpace(line), "{") {
			depth++
		}
	}
	return strings.Join(kept, "")
}

// buildProgram builds the Go program of the pages for these addresses.
func buildProgram(t *testing.T, site, app string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.go": fenceWith(t, "../README.md", "go", "func main()"),
		"keys.go": fenceWith(t, "assertion.md", "go", "func keysOf("),
	} {
		if formatted, err := format.Source([]byte(text)); err != nil || !bytes.Equal(formatted, []byte(text)) {
			t.Errorf("%s is not as gofmt has it (%v)", name, err)
		}
		text = strings.NewReplacer(
			"https://mall.example", "http://"+site,
			`"mall.example"`, `"localhost"`,
			"localhost:3000", app,
		).Replace(text)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "app.exe")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, filepath.Join(dir, "main.go"), filepath.Join(dir, "keys.go"))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// start runs the program until the test ends, and waits until it listens.
func start(t *testing.T, program, address string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
	for range 300 {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the program does not listen")
}

// fenceWith returns the one block of this kind on a page that has the text.
func fenceWith(t *testing.T, path, kind, text string) string {
	t.Helper()
	var all []string
	_, blocks := split(page{path, read(t, path)})
	for _, f := range blocks {
		if f.kind == kind && strings.Contains(f.text, text) {
			all = append(all, f.text)
		}
	}
	if len(all) != 1 {
		t.Fatalf("%s has %d blocks of %s with %q, want one", path, len(all), kind, text)
	}
	return all[0]
}

// freeAddress returns an address of this machine that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "localhost:" + port
}
