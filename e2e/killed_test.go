package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestKilledAgainAndAgain kills an instance with -9 at any moment, while people
// consent and take consent back, and starts it again: 200 times with
// KYCVS_TEST_LONG=1. Each time every consent whose pass was handed out is in the
// ledger, no pass opens anything whose withdrawal was answered, the others do,
// and the chain is whole.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	rounds := 6
	if long() {
		rounds = 200
	}
	in := start(t, setup{
		kycvs:  "ledger file %DIR%/consents\nlimits {\n codes_per_mobile 100000 24h\n codes_per_ip 1000000 1h\n codes_total 1000000 1m\n}",
		people: fleetPeople, sites: "https://work.example {\n kycvs /ward/* 2\n reverse_proxy %UP%\n}\n",
	})
	var mu sync.Mutex
	consents := map[string]bool{} // whose pass was handed out
	cookies := map[string]string{}
	withdrawn := map[string]bool{} // and that was answered
	unsure := map[string]bool{}    // and that was not answered
	for round := range rounds {
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for w := range 8 {
			wg.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					b := in.browse(t, "https://work.example")
					id, ok := b.tryToSignIn(in, somebody((w*5+n)%40))
					b.c.CloseIdleConnections()
					if !ok {
						continue
					}
					mu.Lock()
					consents[id], cookies[id] = true, b.cookies()
					mu.Unlock()
					if n%2 == 1 {
						continue
					}
					mu.Lock()
					unsure[id] = true
					mu.Unlock()
					a, err := b.try("POST", "/.kycvs/withdraw", "application/json", "{}", "Accept", "application/json")
					mu.Lock()
					if err == nil && a.StatusCode == http.StatusNoContent {
						withdrawn[id] = true
					}
					mu.Unlock()
				}
			})
		}
		time.Sleep(time.Duration(100+rand.IntN(400)) * time.Millisecond) // no matter when
		in.kill()
		close(stop)
		wg.Wait()

		book, err := os.ReadFile(filepath.Join(in.home.dir, "consents"))
		if err != nil {
			t.Fatal(err)
		}
		given, taken := entriesOf(t, book)
		for id := range consents {
			if !given[id] {
				t.Fatalf("round %d: a pass was handed out whose consent is not in the ledger", round)
			}
		}
		for id := range withdrawn {
			if !taken[id] {
				t.Fatalf("round %d: a withdrawal was answered that is not in the ledger", round)
			}
		}
		in.run()
		if out, err := in.command("kycvs", "ledger", "verify", "--ledger", "file:"+filepath.Join(in.home.dir, "consents")).CombinedOutput(); err != nil {
			t.Fatalf("round %d: %v: %s", round, err, out)
		}
		looked := 0
		for id, cookie := range cookies {
			if looked++; looked > 60 && round < rounds-1 { // all of them at the end
				break
			}
			a := in.send(t, http1, request{host: "work.example", path: "/ward/x", cookie: cookie})
			switch {
			case withdrawn[id] && a.status != 401:
				t.Fatalf("round %d: a withdrawn pass gets %d", round, a.status)
			case !unsure[id] && a.status != 200:
				t.Fatalf("round %d: a pass that was never withdrawn gets %d", round, a.status)
			}
		}
	}
	if len(withdrawn) < rounds || len(consents) < 2*rounds {
		t.Errorf("%d consents, %d withdrawn in %d rounds: too few to say anything", len(consents), len(withdrawn), rounds)
	}
	t.Logf("%d rounds: %d passes handed out, %d withdrawals answered, %d not", rounds, len(consents), len(withdrawn), len(unsure)-len(withdrawn))
}

// tryToSignIn makes a handshake with an instance that may be killed at any
// moment, and returns the consent if a pass was handed out.
func (b *browser) tryToSignIn(in *instance, p person) (consent string, ok bool) {
	post := func(path string, v any) (fields, bool) {
		body, err := json.Marshal(v)
		if err != nil {
			return nil, false
		}
		a, err := b.try("POST", path, "application/json", string(body), "Accept", "application/json")
		if err != nil || a.StatusCode != http.StatusOK {
			return nil, false
		}
		var f fields
		return f, json.Unmarshal(a.body, &f) == nil
	}
	asked, ok := post("/.kycvs/otp", p.typed())
	if !ok {
		return "", false
	}
	txn, _ := asked["txnId"].(string)
	code := in.sms.codeOf(txn)
	got, ok := post("/.kycvs/verify", fields{"txnId": txn, "otp": code})
	if !ok {
		return "", false
	}
	token, _ := got["assertion"].(string)
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", false
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var c claims
	if err != nil || json.Unmarshal(raw, &c) != nil {
		return "", false
	}
	return c.Consent, c.Consent != ""
}

// codeOf is the code of a handshake's message, "" if there is none.
func (p *phones) codeOf(txn string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range slices.Backward(p.messages) {
		if m.TxnID == txn {
			return m.Code
		}
	}
	return ""
}

// entriesOf reads which consents a ledger's file has, and which of them were
// withdrawn. Half a line at its end is what a crash may leave.
func entriesOf(t testing.TB, book []byte) (given, withdrawn map[string]bool) {
	t.Helper()
	given, withdrawn = map[string]bool{}, map[string]bool{}
	whole := book[:bytes.LastIndexByte(book, '\n')+1]
	for line := range bytes.Lines(whole) {
		var e struct{ Event, Consent string }
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("a line of the ledger is no JSON: %v", err)
		}
		switch e.Event {
		case "given":
			given[e.Consent] = true
		case "withdrawn":
			withdrawn[e.Consent] = true
		}
	}
	return given, withdrawn
}
