package api

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/authflowtest"
	"github.com/kycvs/caddy-kycvs/authflow/ledger"
)

func TestLedger(t *testing.T) {
	s := newService(t)
	token := s.token("rail", authflowtest.Asha, "Asha Rao", "sa", "yatra", "session", "43200", "lang", "hi")
	for range 3 { // one use, however often it is asked for
		if status, m := s.status(token); status != 200 {
			t.Fatal(status, m)
		}
	}
	s.token("bycode", authflowtest.Ravi, "Ravi Kumar")
	txn, code := s.begin("rail", authflowtest.Away, "A B", "sa", "yatra")
	s.post(pathConfirm, "rail", object{"txnId": txn, "otp": code})
	var got []string
	for _, e := range s.Ledger.Entries(t) {
		got = append(got, fmt.Sprint(e.Event, " ", e.How, " ", e.Partner, " ", e.Acting, " ", e.Notice, " ", e.Lang))
		if e.Event == ledger.Given && e.Acting == "yatra" && e.Until.Sub(e.At) != 12*time.Hour {
			t.Errorf("the consent runs until %v, want 12h: as long as the partner relies on it", e.Until)
		}
	}
	want := []string{"given api rail yatra partner hi", "used api rail yatra  ", "given api bycode  by_code en", "refused api rail yatra partner en"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the ledger has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestConsent(t *testing.T) {
	s := newService(t)
	for _, c := range []struct {
		partner string
		consent any
		want    int
	}{
		{"rail", "Y", 200}, {"rail", "N", 400}, {"rail", "", 400}, {"rail", nil, 400}, {"rail", true, 400},
		{"bycode", "Y", 200}, {"bycode", "N", 400}, {"bycode", "", 400}, {"bycode", nil, 400},
	} {
		if status, m := s.post(pathGenerate, c.partner, with(asha, object{"consent": c.consent})); status != c.want {
			t.Errorf("%s with the consent %v: %d %v", c.partner, c.consent, status, m)
		}
	}
}

// The text message is where people read who asks, and for whom.
func TestMessageNamesBoth(t *testing.T) {
	s := newService(t)
	s.begin("rail", authflowtest.Asha, "Asha Rao", "sa", "yatra")
	if m := s.Phone.Last(); !strings.Contains(m.Text, "Yatra Travels (RAIL)") {
		t.Errorf("the message is %q", m.Text)
	}
	s.begin("rail", authflowtest.Asha, "Asha Rao")
	if m := s.Phone.Last(); strings.Contains(m.Text, "Yatra") {
		t.Errorf("the message is %q", m.Text)
	}
}

func TestHashedCode(t *testing.T) {
	s := newService(t)
	txn, code := s.begin("rail", authflowtest.Asha, "Asha Rao")
	hash := func(code string) string { sum := sha256.Sum256([]byte(code)); return hex.EncodeToString(sum[:]) }
	if status, m := s.post(pathConfirm, "rail", object{"txnId": txn, "otp": hash(wrong(code))}); status != 400 || m["attempts_left"] != 2.0 {
		t.Errorf("a wrong code's hash: %d %v", status, m)
	}
	if status, m := s.post(pathConfirm, "rail", object{"txnId": strings.ToUpper(txn), "otp": hash(code)}); status != 200 {
		t.Errorf("the right code's: %d %v", status, m)
	}
}

func TestTokenEnds(t *testing.T) {
	s := newService(t)
	token := s.token("rail", authflowtest.Asha, "Asha Rao", "txn", "PNR1")
	s.Pass(15*time.Minute - time.Second)
	if status, m := s.status(token); status != 200 {
		t.Fatal(status, m)
	}
	s.Pass(time.Second)
	if status, m := s.status(token); status != 401 || m["code"] != "token_unknown" {
		t.Error(status, m)
	}
	status, m := decode(t, s.send("GET", pathOrder+"?txn=PNR1", "", keyOf(s, "rail")...))
	if status != 200 || m["travellers"].([]any)[0].(object)["state"] != "expired" {
		t.Error(status, m)
	}
}

// A partner that has ended, or whose sub-partner is no longer registered.
func TestRegistrationEnds(t *testing.T) {
	s := newService(t)
	txn, code := s.begin("rail", authflowtest.Asha, "Asha Rao", "sa", "yatra")
	token := s.token("rail", authflowtest.Ravi, "Ravi Kumar")
	old := s.audiences
	s.audiences, s.keys = nil, map[string]string{"old": s.keys["rail"]}
	s.add("rail", authflow.Partner{Until: s.Now().Add(time.Hour), Programs: old[0].Programs})
	s.audiences[0].Purpose = old[0].Purpose
	s.audiences[0].Seal(s.Secret.Keys("pass"), "kyc.example")
	if status, m := s.post(pathConfirm, "rail", object{"txnId": txn, "otp": code}); status != 401 {
		t.Errorf("for a sub-partner that is no more: %d %v", status, m)
	}
	if status, m := s.status(token); status != 200 {
		t.Error(status, m)
	}
	s.Pass(time.Hour)
	if status, _ := s.post(pathGenerate, "rail", asha); status != 403 {
		t.Errorf("after its end: %d", status)
	}
	if status, _ := s.status(token); status != 401 {
		t.Errorf("after its end: %d", status)
	}
}

// What a program asks for counts for its partner, and within that for the
// address it names; it uses up nobody else's.
func TestWhoseLimit(t *testing.T) {
	s := newService(t)
	ask := func(partner, client string) int {
		t.Helper()
		status, _ := s.post(pathGenerate, partner, with(asha, object{"client_ip": client}))
		return status
	}
	for range s.Limits.CodesPerIP.Count {
		if status := ask("rail", "203.0.113.1"); status != 200 {
			t.Fatal(status)
		}
	}
	if status := ask("rail", "203.0.113.1"); status != 429 {
		t.Errorf("beyond the limit of an address: %d", status)
	}
	if status := ask("rail", "203.0.113.2"); status != 200 {
		t.Errorf("another address: %d", status)
	}
	if status, _ := s.post(pathGenerate, "rail", asha); status != 200 {
		t.Errorf("no address: %d", status)
	}
	if status := ask("bycode", "203.0.113.1"); status != 200 {
		t.Errorf("the same address, named by another partner: %d", status)
	}
	// a code that is entered is given back
	txn, code := s.begin("tight", authflowtest.Ravi, "Ravi Kumar")
	if status, _ := s.post(pathGenerate, "tight", asha); status != 429 {
		t.Errorf("beyond the partner's own limit: %d", status)
	}
	if status, m := s.post(pathConfirm, "tight", object{"txnId": txn, "otp": code}); status != 200 {
		t.Fatal(status, m)
	}
	if status, m := s.post(pathGenerate, "tight", asha); status != 200 {
		t.Errorf("after the code was entered: %d %v", status, m)
	}
	if s.Counts.Of("codes_per_partner") == 0 {
		t.Error("the metric does not know of it")
	}
}

func TestLocked(t *testing.T) {
	s := newService(t)
	token := s.token("rail", authflowtest.Asha, "Asha Rao")
	_, p, _, err := s.OpenToken(s.audiences, token)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Lock(t.Context(), p, true); err != nil {
		t.Fatal(err)
	}
	if status, _ := s.status(token); status != 401 {
		t.Errorf("the status of a locked number: %d", status)
	}
	txn, code := s.begin("rail", authflowtest.Asha, "Asha Rao")
	if status, m := s.post(pathConfirm, "rail", object{"txnId": txn, "otp": code}); status != 400 || m["errorCode"] != "USRAUT0024" || m["code"] != "locked" {
		t.Error(status, m)
	}
}

func TestOrderIsBounded(t *testing.T) {
	s := newService(t)
	for range authflow.MaxTravellers {
		s.begin("rail", authflowtest.Asha, "Asha Rao", "txn", "PNR1")
	}
	sent := s.Phone.Sent()
	if status, m := s.post(pathGenerate, "rail", with(asha, object{"txn": "PNR1"})); status != 429 || s.Phone.Sent() != sent {
		t.Error(status, m)
	}
	if status, m := s.post(pathGenerate, "rail", with(asha, object{"txn": "PNR2"})); status != 200 {
		t.Error(status, m)
	}
}

func TestOrderOfWhatWasNotSent(t *testing.T) {
	s := newService(t)
	s.Phone.Fail(true)
	if status, m := s.post(pathGenerate, "rail", with(asha, object{"txn": "PNR1"})); status != 503 || m["errorCode"] != "USRAUT0018" {
		t.Fatal(status, m)
	}
	status, m := decode(t, s.send("GET", pathOrder+"?txn=PNR1", "", keyOf(s, "rail")...))
	one := m["travellers"].([]any)[0].(object)
	if status != 200 || one["state"] != "refused" || one["code"] != "unavailable" {
		t.Error(status, m)
	}
}

func TestAnswersAreKeptByNobody(t *testing.T) {
	s := newService(t)
	for _, w := range []interface{ Header() http.Header }{
		s.send("GET", pathStatus, ""), s.send("GET", pathOrder, ""), s.send("POST", pathGenerate, ""), s.send("GET", Prefix+"x", ""),
	} {
		if h := w.Header(); h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("the header is %v", h)
		}
	}
	for path, want := range map[string]bool{
		pathStatus: true, "/api/v3/": true, "/api/": true, "/api": true, OpenAPIPath: true,
		"/": false, "/api/v2/x": false, "/api/v3": false, "/openapi.jsonx": false, "/apix": false,
	} {
		if Serves(path) != want {
			t.Errorf("Serves(%s) is %v", path, !want)
		}
	}
}

func FuzzFields(f *testing.F) {
	for _, seed := range []string{
		`{"mobile_number":"9876543210","full_name":"Asha Rao","consent":"Y"}`, `{"session":43200,"birth_year":"1980"}`, `{"otp":null}`,
		`{"a":1,"a":2}`, `{"x":{"y":[1,{"z":"}"}]}}`, `[]`, `{} {}`, `{"session":1e9}`, "{\"full_name\":\"\xff\"}", `{"txnId":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		fields, err := parseFields(body)
		if (err == nil) != (fields != nil) {
			t.Fatal("fields and an error, or neither")
		}
		for name, value := range fields {
			k, known := members[name]
			if !known || k == number && strings.Trim(value, "0123456789") != "" && !strings.Contains(string(body), `"`) {
				t.Fatalf("%q is read as %q", name, value)
			}
		}
	})
}

// FuzzToken changes a token, in which every character counts.
func FuzzToken(f *testing.F) {
	s := newService(f)
	good := s.token("rail", authflowtest.Asha, "Asha Rao", "txn", "PNR1", "sa", "yatra")
	for _, seed := range []string{"", ".", "rail.", "~", "rail~yatra.", strings.Repeat(".", 1000)} {
		for _, at := range []int{0, 4, 5, 10, len(good) - 1} {
			f.Add(at, 1, seed)
		}
	}
	f.Fuzz(func(t *testing.T, at, less int, put string) {
		at = min(max(at, 0), len(good))
		less = min(max(less, 0), len(good)-at)
		for _, token := range []string{put, good[:at] + put + good[at+less:]} {
			a, p, txn, err := s.OpenToken(s.audiences, token)
			if token == good {
				if err != nil || a.Acting.ID != "yatra" || txn != "PNR1" || p.Status != 2 {
					t.Fatal("the token itself is not taken")
				}
			} else if err == nil {
				t.Fatalf("%q is taken", token)
			}
		}
	})
}

// A client may leave the key out where it sends the code, and may not send a
// wrong one, or another partner's.
func TestConfirmWithoutAKey(t *testing.T) {
	s := newService(t)
	for _, c := range []struct {
		name   string
		header []string
		want   int
	}{
		{"none", nil, 200},
		{"the partner's", []string{"x-api-key", s.keys["rail"]}, 200},
		{"unknown", []string{"x-api-key", "kp_" + strings.Repeat("A", 43)}, 403},
		{"empty", []string{"x-api-key", ""}, 403},
		{"doubled", []string{"x-api-key", s.keys["rail"], "x-api-key", s.keys["rail"]}, 403},
		{"another partner's", []string{"x-api-key", s.keys["bycode"]}, 401},
	} {
		txn, code := s.begin("rail", authflowtest.Asha, "Asha Rao")
		w := s.send("POST", pathConfirm, `{"txnId":"`+txn+`","otp":"`+code+`"}`, c.header...)
		if w.Code != c.want {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
	}
	// a handshake of a browser's is none of the API's
	asked, err := s.Ask(t.Context(), s.audiences[0], authflow.Asker{Browser: authflow.ID128{7}}, authflow.Person{Mobile: authflowtest.Asha, Name: "Asha Rao", Consent: "Y"}, "")
	if err != nil {
		t.Fatal(err)
	}
	w := s.send("POST", pathConfirm, `{"txnId":"`+authflow.FormatTxnID(asked.TxnID)+`","otp":"`+s.Phone.Last().Code+`"}`)
	if w.Code != 401 {
		t.Errorf("a browser's handshake: %d %s", w.Code, w.Body)
	}
}
