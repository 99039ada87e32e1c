package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// long tells whether the long versions are asked for.
func long() bool { return os.Getenv("KYCVS_TEST_LONG") == "1" }

// "Passes survive a config reload, a restart and a move to another instance
// that shares keys." "A handshake under way survives a reload."
func TestPassSurvives(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	in := start(t, setup{home: h, sites: gateSites})
	b := in.browse(t, "https://work.example")
	b.signIn(asha)
	keys := b.keys()
	holds := func(when string, in *instance) {
		t.Helper()
		at := *b
		at.in, at.base = in, in.origin("https://work.example")
		fresh := in.browse(t, "https://work.example")
		fresh.jar = b.jar
		fresh.c.Jar = b.jar
		if a := fresh.fetch("/ward/x"); a.StatusCode != 200 {
			t.Errorf("%s: %v", when, a)
			in.up.take()
			return
		}
		check(t, keys, in.attached(t), "work.example")
	}
	in.up.take()
	holds("at once", in)

	other := in.browse(t, "https://work.example")
	txn, code := other.ask(vikram)
	other.verify(txn, wrong(code)).refuses(t, 401, "otp_invalid")
	changed := in.setup
	changed.sites += "\nhttps://more.example {\n kycvs 1\n reverse_proxy %UP%\n}\n"
	changed.kycvs = "otp {\n attempts 4\n}"
	in.reload(changed)
	in.up.take()
	holds("after a reload", in)
	if m := other.verify(txn, wrong(code)).refuses(t, 401, "otp_invalid"); m.num(t, "attempts_left") != 2 {
		t.Errorf("a handshake's tries after a reload (of 4 now, 2 used): %v", m)
	}
	if a := other.verify(txn, code); a.StatusCode != 200 {
		t.Errorf("a handshake under way, after a reload: %v", a)
	}

	in.stop()
	in.run()
	in.up.take()
	holds("after a restart", in)

	second := start(t, setup{home: &home{t.TempDir(), h.data, t.TempDir()}, second: true, sites: gateSites})
	holds("at another instance that shares storage", second)

	in.kill()
	in.run()
	in.up.take()
	holds("after kill -9", in)

	stranger := start(t, setup{second: true, sites: gateSites})
	fresh := stranger.browse(t, "https://work.example")
	fresh.c.Jar = b.jar
	fresh.fetch("/ward/x").refuses(t, 401, "")
}

// "The ledger: the record of it survives a crash."
func TestWithdrawnStaysWithdrawn(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: gateSites})
	b, kept := in.browse(t, "https://work.example"), in.browse(t, "https://work.example")
	b.signIn(asha)
	kept.signIn(asha)
	cookie := b.cookies()
	with := func() *wireAnswer {
		return in.send(t, http1, request{host: "work.example", path: "/ward/x", cookie: cookie})
	}
	if a := with(); a.status != 200 {
		t.Fatalf("before: %v", a)
	}
	if a := b.json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
		t.Fatalf("got %v", a)
	}
	in.kill() // at once
	in.run()
	in.up.take()
	for _, when := range []string{"kill -9", "a reload", "a restart"} {
		switch when {
		case "a reload":
			in.reload(in.setup)
		case "a restart":
			in.stop()
			in.run()
		}
		if a := with(); a.status != 401 {
			t.Errorf("the old cookie after %s: %v, want 401", when, a)
		}
		if a := kept.fetch("/ward/x"); a.StatusCode != 200 {
			t.Errorf("somebody else's after %s: %v", when, a)
		}
	}
	// Withdrawing again what is withdrawn is no server error.
	a := in.send(t, http1, request{method: "POST", host: "work.example", path: "/.kycvs/withdraw", cookie: cookie, body: "{}",
		fields: []field{{"Content-Type", "application/json"}, {"Accept", "application/json"}}})
	if a.status != 204 && a.status != 401 {
		t.Errorf("withdrawing twice: %v", a)
	}
}

// "Consent is on disk before the pass goes out."
func TestConsentIsOnDisk(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: "ledger file %DIR%/consents", sites: gateSites})
	b := in.browse(t, "https://work.example")
	set := b.keys()
	c := check(t, set, b.signIn(asha).str("assertion"), "work.example")
	in.kill()
	book, err := os.ReadFile(filepath.Join(in.home.dir, "consents"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{c.Consent, c.TxnID, "work.example", `"given"`} {
		if !strings.Contains(string(book), want) {
			t.Errorf("the ledger does not say %q: %s", want, book)
		}
	}
	// half a line, as a crash in the middle of a write leaves it, is no obstacle
	f, err := os.OpenFile(filepath.Join(in.home.dir, "consents"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(book)), "\n")
	last := lines[len(lines)-1]
	f.WriteString(last[:len(last)/2])
	f.Close()
	in.run()
	if a := b.fetch("/ward/x"); a.StatusCode != 200 {
		t.Errorf("after a crash in the middle of a write: %v", a)
	}
	if a := b.json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
		t.Errorf("withdrawing after it: %v", a)
	}
	in.kill()
	in.run()
	b.fetch("/ward/x").refuses(t, 401, "")
}

// `secret NEW OLD…` while changing it.
func TestSecretChanges(t *testing.T) {
	t.Parallel()
	old, fresh := strings.Repeat("old-secret-", 4), strings.Repeat("new-secret-", 4)
	in := start(t, setup{kycvs: "secret {env.OLD}", env: []string{"OLD=" + old, "NEW=" + fresh}, sites: gateSites})
	b := in.browse(t, "https://work.example")
	sub := check(t, b.keys(), b.signIn(asha).str("assertion"), "work.example").Sub
	other := in.browse(t, "https://work.example")
	txn, code := other.ask(vikram)

	both := in.setup
	both.kycvs = "secret {env.NEW} {env.OLD}"
	in.reload(both)
	if a := b.fetch("/ward/x"); a.StatusCode != 200 {
		t.Errorf("a pass of before, while both count: %v", a)
	}
	if a := other.verify(txn, code); a.StatusCode != 200 {
		t.Errorf("a handshake of before, while both count: %v", a)
	}
	late := in.browse(t, "https://work.example")
	if c := check(t, late.keys(), late.signIn(asha).str("assertion"), "work.example"); c.Sub != sub {
		t.Error("`sub` is the same at each visit, but changed with the secret")
	}
	only := in.setup
	only.kycvs = "secret {env.NEW}"
	in.reload(only)
	b.fetch("/ward/x").refuses(t, 401, "")
	if a := late.fetch("/ward/x"); a.StatusCode != 200 {
		t.Errorf("a pass made under the new secret: %v", a)
	}
	if _, config := in.adminGet("/config/"); strings.Contains(config, "secret-") {
		t.Error("the configuration dump shows the secret")
	}
	if s := in.log.String(); strings.Contains(s, "new-secret-") || strings.Contains(s, "old-secret-") {
		t.Error("the log shows the secret")
	}
}

// "`caddy validate` and `caddy adapt` create nothing."
func TestValidateCreatesNothing(t *testing.T) {
	t.Parallel()
	in := prepare(t, setup{kycvs: "ledger file %DIR%/consents/ledger", sites: "http://work.example {\n kycvs 2\n reverse_proxy %UP%\n}"})
	before := append(append(filesOf(t, in.home.data), filesOf(t, in.home.config)...), filesOf(t, in.home.dir)...)
	for _, what := range []string{"adapt", "validate"} {
		out, err := in.command(what, "--config", in.caddyfile, "--adapter", "caddyfile").CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
		after := append(append(filesOf(t, in.home.data), filesOf(t, in.home.config)...), filesOf(t, in.home.dir)...)
		if !slices.Equal(before, after) {
			t.Errorf("%s created files: %v, before %v", what, after, before)
		}
	}
}

// A configuration that is refused leaves the running one as it is.
func TestRefusedReload(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: gateSites})
	b := in.browse(t, "https://work.example")
	b.signIn(asha)
	for name, s := range map[string]setup{
		"unknown option": {kycvs: "nonsense 1", sites: gateSites},
		"no registry":    {registry: "registry csv %DIR%/none.csv", sites: gateSites},
		"level 3":        {sites: strings.Replace(gateSites, "/ward/* 2", "/ward/* 3", 1)},
		"no host":        {sites: "http:// {\n kycvs 2\n reverse_proxy %UP%\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			code, body := in.load(in.config(s))
			if code == 200 {
				t.Errorf("it was taken")
				in.reload(in.setup)
			}
			if len(body) < 20 {
				t.Errorf("refused with %q only", body)
			}
			if a := b.as(t).fetch("/ward/x"); a.StatusCode != 200 {
				t.Errorf("after it was refused: %v", a)
			}
		})
	}
}

// "`caddy reload` 200 times under load: no pass, handshake or counter lost, no
// goroutine left over."
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	times := 200
	switch {
	case long():
		times = 2000
	case raceDetector:
		times = 50
	}
	in := start(t, setup{kycvs: "limits {\n codes_per_mobile 4 24h\n codes_per_ip 100000 1h\n codes_total 100000 1m\n}", sites: gateSites})
	holder := in.browse(t, "https://work.example")
	holder.signIn(asha)
	b := in.browse(t, "https://work.example")
	txn, code := b.ask(vikram)
	b.verify(txn, wrong(code)).refuses(t, 401, "otp_invalid")
	in.reload(in.setup)
	idle, idleOurs := in.goroutines()

	var requests, handshakes, resets atomic.Int64
	var mu sync.Mutex
	failures := map[string]int{}
	failed := func(format string, args ...any) {
		mu.Lock()
		failures[fmt.Sprintf(format, args...)]++
		mu.Unlock()
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { // people who are in
			for {
				select {
				case <-done:
					return
				default:
				}
				a, err := holder.try("GET", "/ward/x", "", "", "Accept", "application/json")
				if errors.Is(err, syscall.ECONNRESET) { // of a new connection; see below
					resets.Add(1)
					a, err = holder.try("GET", "/ward/x", "", "", "Accept", "application/json")
				}
				if err != nil {
					failed("a request with a pass: %v", err)
				} else if a.StatusCode != 200 {
					failed("a request with a pass: %.200s", a)
				}
				requests.Add(1)
				time.Sleep(time.Millisecond)
			}
		})
	}
	wg.Go(func() { // people who come
		for {
			select {
			case <-done:
				return
			default:
			}
			b := in.browse(t, "https://work.example")
			// Caddy's old listener resets what it has not accepted yet when it closes:
			// a new connection may need a second try, a request never.
			for {
				_, err := b.try("GET", "/.kycvs/", "", "")
				if err == nil {
					break
				}
				if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
					failed("the consent page: %v", err)
					return
				}
				resets.Add(1)
			}
			a, err := b.try("POST", "/.kycvs/otp", "application/json", js(gita.typed()), "Accept", "application/json")
			if err != nil || a.StatusCode != 200 {
				failed("asking for a code: %v %.200v", err, a)
				return
			}
			a2, err := b.try("POST", "/.kycvs/verify", "application/json", js(fields{"txnId": a.object(t).str("txnId"), "otp": in.sms.next(t, gita.mobile).Code}), "Accept", "application/json")
			if err != nil || a2.StatusCode != 200 {
				failed("entering a code: %v %.200v", err, a2)
				return
			}
			handshakes.Add(1)
			b.c.CloseIdleConnections()
		}
	})
	for i := range times {
		s := in.setup
		if i%2 == 0 {
			s.sites += "\nhttps://more.example {\n kycvs 1\n reverse_proxy %UP%\n}\n"
		}
		if code, body := in.load(in.config(s)); code != 200 {
			t.Fatalf("reload %d: %d %s", i, code, body)
		}
		time.Sleep(15 * time.Millisecond) // for some traffic between two of them
	}
	in.reload(in.setup)
	close(done)
	wg.Wait()
	t.Logf("%d reloads, %d requests, %d handshakes, %d connections reset before a request", times, requests.Load(), handshakes.Load(), resets.Load())
	for what, n := range failures {
		t.Errorf("%d times: %s", n, what)
	}
	if handshakes.Load() < 3 {
		t.Errorf("only %d handshakes came through", handshakes.Load())
	}
	// the handshake of before has its counter still
	if m := b.verify(txn, wrong(code)).refuses(t, 401, "otp_invalid"); m.num(t, "attempts_left") != 1 {
		t.Errorf("after %d reloads: %v, want 1 attempt left", times, m)
	}
	if a := b.verify(txn, code); a.StatusCode != 200 {
		t.Errorf("the code of before %d reloads: %v", times, a)
	}
	holder.c.CloseIdleConnections()
	b.c.CloseIdleConnections()
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		n, ours := in.goroutines()
		if n <= idle+5 && ours <= idleOurs {
			t.Logf("goroutines: %d before (%d ours), %d after (%d ours)", idle, idleOurs, n, ours)
			break
		}
		if time.Now().After(deadline) {
			_, profile := in.adminGet("/debug/pprof/goroutine?debug=1")
			t.Errorf("%d goroutines (%d ours), %d (%d ours) before %d reloads:\n%.9000s", n, ours, idle, idleOurs, times, profile)
			break
		}
	}
}
