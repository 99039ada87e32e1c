package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state/redis/redistest"
)

// The partners of the tests' authority, and the keys of their programs.
const (
	railKey   = "kp_rail-rail-rail-rail-rail-rail-rail-rail-rail-r"
	railKey2  = "kp_RAIL-rail-rail-rail-rail-rail-rail-rail-rail-r"
	mallKey   = "kp_mall-mall-mall-mall-mall-mall-mall-mall-mall-m"
	endedKey  = "kp_past-past-past-past-past-past-past-past-past-p"
	cowinKey  = "kp_cowi-cowi-cowi-cowi-cowi-cowi-cowi-cowi-cowi-c"
	tightKey  = "kp_tigh-tigh-tigh-tigh-tigh-tigh-tigh-tigh-tigh-t"
	authority = "http://kyc.example"

	generateOTP = "/api/v3/vaccination/generateOTP"
	confirmOTP  = "/api/v3/vaccination/confirmOTP"
	statusCall  = "/api/v3/vaccination/status"
	orderCall   = "/api/v3/vaccination/order"
)

func keyHash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// partners is the kycvs block's part about partners.
var partners = `
partner rail {
	name "Indian Railways"
	purpose "Booking a seat"
	key_hash ` + keyHash(railKey) + `
	key_hash ` + keyHash(railKey2) + `
	sub_partner yatra "Yatra Travels"
	codes 1000 1h
}
partner mall {
	name "Phoenix Mall"
	purpose "Entry to the mall"
	key_hash ` + keyHash(mallKey) + `
	name_match partial 50
}
partner past {
	purpose "Entry to the fair of 2021"
	key_hash ` + keyHash(endedKey) + `
	expires 2021-12-31
}
partner cowin {
	name "Old Airline"
	purpose "Boarding"
	key_hash ` + keyHash(cowinKey) + `
	consent by_code
}
partner tight {
	purpose "Being refused"
	key_hash ` + keyHash(tightKey) + `
	codes 2 1h
}
`

const authoritySite = authority + " {\n kycvs_authority\n respond \"not the authority's\"\n}\n"

// program is a partner's program.
type program struct {
	*browser
	key string
}

func (in *instance) program(t testing.TB, key string) *program {
	t.Helper()
	return &program{in.browse(t, authority), key}
}

func (p *program) post(path string, f fields) *answer {
	p.t.Helper()
	return p.do("POST", path, "application/json", js(f), "x-api-key", p.key)
}

func (p *program) get(path string) *answer {
	p.t.Helper()
	return p.do("GET", path, "", "", "x-api-key", p.key)
}

// begin begins a handshake and returns its txnId and the code.
func (p *program) begin(who person, over ...string) (txn, code string) {
	p.t.Helper()
	f := fields{"mobile_number": who.mobile, "full_name": who.name, "consent": "Y"}
	for i := 0; i < len(over); i += 2 {
		f[over[i]] = over[i+1]
	}
	a := p.post(generateOTP, f)
	if a.StatusCode != 200 {
		p.t.Fatalf("generateOTP: %v", a)
	}
	return a.object(p.t).str("txnId"), p.in.sms.next(p.t, who.mobile).Code
}

// token runs a handshake.
func (p *program) token(who person, over ...string) string {
	p.t.Helper()
	txn, code := p.begin(who, over...)
	a := p.post(confirmOTP, fields{"txnId": txn, "otp": code})
	if a.StatusCode != 200 {
		p.t.Fatalf("confirmOTP: %v", a)
	}
	return a.object(p.t).str("token")
}

func (p *program) status(token string) *answer {
	p.t.Helper()
	return p.do("GET", statusCall, "", "", "Authorization", "Bearer "+token)
}

// wants checks an error of the API's.
func (a *answer) wants(t testing.TB, status int, errorCode, code string) fields {
	t.Helper()
	m := a.object(t)
	if a.StatusCode != status || m.str("errorCode") != errorCode || m.str("code") != code || m.str("error") == "" {
		t.Errorf("got %v, want %d %s %s", a, status, errorCode, code)
	}
	if (status == 429 || status == 503) && a.Header.Get("Retry-After") == "" {
		t.Errorf("%d without Retry-After", status)
	}
	return m
}

func (a *answer) isForbidden(t testing.TB) {
	t.Helper()
	if a.StatusCode != 403 || strings.TrimSpace(string(a.body)) != `{"message":"Forbidden"}` {
		t.Errorf("got %v %s, want 403 and CoWIN's message", a, a.body)
	}
}

// A client as CoWIN's were: JSON in, SHA-256 in hex of the code, no consent,
// three calls; only its address and its key are new.
func cowinClient(base, key string, code func() string, c *http.Client) func(mobile, name string) (int, error) {
	post := func(path string, body string) (map[string]any, error) {
		return cowinCall(c, "POST", base+path, body, "x-api-key", key)
	}
	return func(mobile, name string) (int, error) {
		m, err := post("/api/v3/vaccination/generateOTP", fmt.Sprintf(`{"mobile_number":%q,"full_name":%q}`, mobile, name))
		if err != nil {
			return 0, err
		}
		txn, _ := m["txnId"].(string)
		sum := sha256.Sum256([]byte(code()))
		if m, err = post("/api/v3/vaccination/confirmOTP", fmt.Sprintf(`{"otp":%q,"txnId":%q}`, hex.EncodeToString(sum[:]), txn)); err != nil {
			return 0, err
		}
		token, _ := m["token"].(string)
		if m, err = cowinCall(c, "GET", base+"/api/v3/vaccination/status", "", "Authorization", "Bearer "+token); err != nil {
			return 0, err
		}
		status, ok := m["vaccination_status"].(float64)
		if !ok {
			return 0, fmt.Errorf("no status in %v", m)
		}
		return int(status), nil
	}
}

func TestAuthorityForACoWINClient(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: partners, sites: authoritySite})
	b := in.browse(t, authority)
	for _, who := range []person{meera, vikram, asha} {
		ask := cowinClient(b.base, cowinKey, func() string {
			m := in.sms.next(t, who.mobile)
			if !strings.Contains(m.Message, "Old Airline") || !strings.Contains(m.Message, "Boarding") {
				t.Errorf("the message does not name partner and purpose: %q", m.Message)
			}
			return m.Code
		}, b.c)
		got, err := ask(who.mobile, who.name)
		if err != nil || got != who.status {
			t.Errorf("%s: status %d, %v, want %d", who.name, got, err, who.status)
		}
	}
	// Without `consent by_code` the same client is told that consent is missing.
	p := in.program(t, railKey)
	p.post(generateOTP, fields{"mobile_number": asha.mobile, "full_name": asha.name}).wants(t, 400, "USRAUT0018", "consent_required")
	book, err := os.ReadFile(filepath.Join(in.home.data, "caddy", "kycvs", "ledger.jsonl"))
	if err == nil && !strings.Contains(string(book), `"how":"api"`) {
		t.Error("the ledger does not say how the answers were given")
	}
}

func TestAuthority(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: partners + plenty, sites: authoritySite})
	rail := in.program(t, railKey)

	t.Run("three calls", func(t *testing.T) {
		a := rail.post(generateOTP, fields{"mobile_number": asha.mobile, "full_name": "asha  RAO", "consent": "Y", "unknown": fields{"x": 1}})
		m := a.object(t)
		if a.StatusCode != 200 || m.num(t, "attempts_left") != 3 || m.num(t, "expires_in") != 180 || m.num(t, "resend_after") != 30 || !strings.HasSuffix(m.str("masked_mobile"), "3210") {
			t.Fatalf("generateOTP: %v", a)
		}
		code := in.sms.next(t, asha.mobile).Code
		txn := m.str("txnId")
		left := rail.post(confirmOTP, fields{"txnId": txn, "otp": wrong(code)}).wants(t, 400, "USRAUT0014", "otp_invalid")
		if left.num(t, "attempts_left") != 2 {
			t.Errorf("after a wrong code: %v", left)
		}
		a = rail.post(confirmOTP, fields{"txnId": txn, "otp": code})
		if a.StatusCode != 200 {
			t.Fatalf("confirmOTP: %v", a)
		}
		token := a.object(t).str("token")
		var subjects = map[string]bool{}
		for range 2 { // any number of times
			a := rail.status(token)
			if a.StatusCode != 200 || a.object(t).num(t, "vaccination_status") != 2 {
				t.Fatalf("status: %v", a)
			}
			c := check(t, rail.keys(), a.object(t).str("assertion"), "rail")
			if c.TxnID != txn || c.Iss != rail.base {
				t.Errorf("the assertion says %+v", c)
			}
			subjects[c.Sub] = true
		}
		if len(subjects) != 1 {
			t.Errorf("the person has %d names", len(subjects))
		}
	})
	t.Run("replayed code", func(t *testing.T) {
		txn, code := rail.begin(vikram)
		if a := rail.post(confirmOTP, fields{"txnId": txn, "otp": code}); a.StatusCode != 200 {
			t.Fatal(a)
		}
		rail.post(confirmOTP, fields{"txnId": txn, "otp": code}).wants(t, 401, "USRAUT0013", "txn_unknown")
	})
	t.Run("wrong key", func(t *testing.T) {
		sent := in.sms.count()
		body := js(fields{"mobile_number": asha.mobile, "full_name": asha.name, "consent": "Y"})
		for _, header := range [][]string{nil, {"x-api-key", ""}, {"x-api-key", railKey + "x"}, {"x-api-key", keyHash(railKey)}, {"x-api-key", railKey, "x-api-key", railKey}, {"Authorization", "Bearer " + railKey}} {
			rail.do("POST", generateOTP, "application/json", body, header...).isForbidden(t)
		}
		for _, path := range []string{confirmOTP, "/api/v3/consent/withdraw"} {
			in.program(t, "kp_nobody").post(path, fields{}).isForbidden(t)
		}
		in.program(t, "").get("/api/v3/consent/withdrawn").isForbidden(t)
		in.program(t, "kp_nobody").get(orderCall + "?txn=PNR1").isForbidden(t)
		if in.sms.count() != sent {
			t.Error("a message was sent")
		}
	})
	t.Run("a key while it is replaced", func(t *testing.T) {
		txn, code := rail.begin(joseph)
		a := in.program(t, railKey2).post(confirmOTP, fields{"txnId": txn, "otp": code})
		if a.StatusCode != 200 {
			t.Errorf("begun with one key, confirmed with the other: %v", a)
		}
	})
	t.Run("expired partner", func(t *testing.T) {
		in.program(t, endedKey).post(generateOTP, fields{"mobile_number": asha.mobile, "full_name": asha.name, "consent": "Y"}).isForbidden(t)
	})
	t.Run("another partner's handshake", func(t *testing.T) {
		txn, code := rail.begin(gita)
		mall := in.program(t, mallKey)
		mall.post(confirmOTP, fields{"txnId": txn, "otp": code}).wants(t, 401, "USRAUT0013", "txn_unknown")
		mall.post(generateOTP, fields{"txnId": txn}).wants(t, 401, "USRAUT0013", "txn_unknown")
		a := rail.post(confirmOTP, fields{"txnId": txn, "otp": code})
		if a.StatusCode != 200 {
			t.Fatalf("its own, after another's tries: %v", a)
		}
		token := a.object(t).str("token")
		stolen := "mall" + strings.TrimPrefix(token, "rail")
		mall.status(stolen).wants(t, 401, "KYCVS401", "token_unknown")
		var consent = a.object(t).str("consent")
		mall.post("/api/v3/consent/withdraw", fields{"consent": consent}).wants(t, 400, "KYCVS400", "bad_request")
		if a := rail.status(token); a.StatusCode != 200 {
			t.Errorf("another partner ended the consent: %v", a)
		}
	})
	t.Run("altered body", func(t *testing.T) {
		sent := in.sms.count()
		for name, body := range map[string]string{
			"a member twice":          `{"mobile_number":"9876543210","full_name":"Asha Rao","consent":"Y","mobile_number":"9876501001"}`,
			"an unknown member twice": `{"mobile_number":"9876543210","full_name":"Asha Rao","consent":"Y","x":1,"x":2}`,
			"a number for a text":     `{"mobile_number":9876543210,"full_name":"Asha Rao","consent":"Y"}`,
			"null":                    `{"mobile_number":null,"full_name":"Asha Rao","consent":"Y"}`,
			"cut short":               `{"mobile_number":"9876543210","full_name":"Asha Rao","consent":"Y"`,
			"something behind":        `{"mobile_number":"9876543210","full_name":"Asha Rao","consent":"Y"}{}`,
			"a list":                  `["9876543210"]`,
			"not UTF-8":               "{\"mobile_number\":\"9876543210\",\"full_name\":\"Asha \xff\",\"consent\":\"Y\"}",
			"an address that is none": `{"mobile_number":"9876543210","full_name":"Asha Rao","consent":"Y","client_ip":"here"}`,
			"a txn with a space":      `{"mobile_number":"9876543210","full_name":"Asha Rao","consent":"Y","txn":"PNR 1"}`,
			"an unknown sub-partner":  `{"mobile_number":"9876543210","full_name":"Asha Rao","consent":"Y","sa":"other"}`,
			"a session without end":   `{"mobile_number":"9876543210","full_name":"Asha Rao","consent":"Y","session":99999999}`,
		} {
			a := rail.do("POST", generateOTP, "application/json", body, "x-api-key", railKey)
			if a.StatusCode != 400 || a.object(t).str("code") != "bad_request" {
				t.Errorf("%s: %v", name, a)
			}
		}
		for code, f := range map[string]fields{
			"mobile_invalid":   {"mobile_number": "12", "full_name": asha.name, "consent": "Y"},
			"name_invalid":     {"mobile_number": asha.mobile, "full_name": " ", "consent": "Y"},
			"consent_required": {"mobile_number": asha.mobile, "full_name": asha.name, "consent": "y"},
		} {
			rail.post(generateOTP, f).wants(t, 400, "USRAUT0018", code)
		}
		rail.do("POST", generateOTP, "application/json", `{"x":"`+strings.Repeat("x", 9000)+`"}`, "x-api-key", railKey).wants(t, 413, "KYCVS413", "too_large")
		rail.do("POST", generateOTP, "application/x-www-form-urlencoded", "mobile_number=9876543210", "x-api-key", railKey).wants(t, 400, "USRAUT0018", "bad_request")
		if in.sms.count() != sent {
			t.Error("a message was sent")
		}
	})
	t.Run("codes that are none", func(t *testing.T) {
		txn, code := rail.begin(lata)
		rail.post(confirmOTP, fields{"txnId": txn}).wants(t, 400, "USRAUT0012", "otp_missing")
		rail.post(confirmOTP, fields{"otp": code}).wants(t, 400, "USRAUT0013", "bad_request")
		sum := sha256.Sum256([]byte(code))
		for _, otp := range []string{code[:5], code + "0", "abcdef", strings.ToUpper(hex.EncodeToString(sum[:])), hex.EncodeToString(sum[:])[1:], "sha256:" + hex.EncodeToString(sum[:])} {
			rail.post(confirmOTP, fields{"txnId": txn, "otp": otp}).wants(t, 400, "USRAUT0014", "otp_missing")
		}
		rail.post(confirmOTP, fields{"txnId": "x", "otp": code}).wants(t, 401, "USRAUT0013", "txn_unknown")
		a := rail.post(confirmOTP, fields{"txnId": txn, "otp": hex.EncodeToString(sum[:])})
		if a.StatusCode != 200 {
			t.Errorf("none of these was a guess: %v", a)
		}
	})
	t.Run("nobody, and several", func(t *testing.T) {
		txn, code := rail.begin(nobody)
		rail.post(confirmOTP, fields{"txnId": txn, "otp": code}).wants(t, 400, "USRAUT0024", "no_record")
		rail.post(confirmOTP, fields{"txnId": txn, "otp": code}).wants(t, 401, "USRAUT0013", "txn_unknown")
		txn, code = rail.begin(elder)
		m := rail.post(confirmOTP, fields{"txnId": txn, "otp": code}).wants(t, 400, "USRAUT0024", "ambiguous")
		if m.str("need") != "birth_year" {
			t.Errorf("got %v", m)
		}
		a := rail.do("POST", confirmOTP, "application/json", `{"txnId":"`+txn+`","birth_year":1950}`, "x-api-key", railKey)
		if a.StatusCode != 200 || rail.status(a.object(t).str("token")).object(t).num(t, "vaccination_status") != 2 {
			t.Errorf("with the year of birth: %v", a)
		}
		txn, code = rail.begin(twin)
		rail.post(confirmOTP, fields{"txnId": txn, "otp": code}).wants(t, 400, "USRAUT0024", "ambiguous")
	})
	t.Run("one answer per person", func(t *testing.T) {
		gitas, ravis := rail.token(gita), rail.token(ravi)
		g, r := rail.status(gitas).object(t), rail.status(ravis).object(t)
		if g.num(t, "vaccination_status") != 2 || r.num(t, "vaccination_status") != 1 {
			t.Errorf("two people on one number: %v, %v", g, r)
		}
		if check(t, rail.keys(), g.str("assertion"), "rail").Sub == check(t, rail.keys(), r.str("assertion"), "rail").Sub {
			t.Error("they have one name")
		}
	})
	t.Run("a name-match strategy of its own", func(t *testing.T) {
		other := person{asha.mobile, "Asha Something", 2}
		if a := in.program(t, mallKey).status(in.program(t, mallKey).token(other)); a.StatusCode != 200 {
			t.Errorf("half of the words agree: %v", a)
		}
		txn, code := rail.begin(other)
		rail.post(confirmOTP, fields{"txnId": txn, "otp": code}).wants(t, 400, "USRAUT0024", "no_record")
	})
	t.Run("tokens that are none", func(t *testing.T) {
		token := rail.token(asha)
		for _, bad := range []string{"", "x", token[1:], token[:len(token)-1], token + "x", token + ".x", "rail." + token, strings.Replace(token, "rail.", "rail~yatra.", 1), strings.TrimPrefix(token, "rail.")} {
			rail.status(bad).wants(t, 401, "KYCVS401", "token_unknown")
		}
		rail.do("GET", statusCall, "", "").wants(t, 401, "KYCVS401", "token_unknown")
		rail.do("GET", statusCall, "", "", "Authorization", "Bearer "+token, "Authorization", "Bearer "+token).wants(t, 401, "KYCVS401", "token_unknown")
		rail.get(statusCall+"?token="+token).wants(t, 401, "KYCVS401", "token_unknown")
	})
	t.Run("withdrawn consent", func(t *testing.T) {
		began := time.Now()
		txn, code := rail.begin(asha)
		m := rail.post(confirmOTP, fields{"txnId": txn, "otp": code}).object(t)
		token := m.str("token")
		if a := rail.post("/api/v3/consent/withdraw", fields{"consent": m.str("consent")}); a.StatusCode != 204 {
			t.Fatal(a)
		}
		rail.status(token).wants(t, 401, "KYCVS401", "token_unknown")
		since := url.QueryEscape(began.Add(-time.Minute).Format(time.RFC3339))
		listed := rail.get("/api/v3/consent/withdrawn?since=" + since)
		if listed.StatusCode != 200 || !strings.Contains(string(listed.body), m.str("consent")) || listed.object(t).str("next") == "" {
			t.Errorf("withdrawn: %v %s", listed, listed.body)
		}
		if a := in.program(t, mallKey).get("/api/v3/consent/withdrawn?since=" + since); a.StatusCode != 200 || strings.Contains(string(a.body), m.str("consent")) {
			t.Errorf("another partner's: %v %s", a, a.body)
		}
		rail.get("/api/v3/consent/withdrawn?since=yesterday").wants(t, 400, "KYCVS400", "bad_request")
		if a := rail.post("/api/v3/consent/withdraw", fields{"consent": m.str("consent")}); a.StatusCode != 204 {
			t.Errorf("withdrawing again: %v", a)
		}
		in.stop()
		in.run()
		rail = in.program(t, railKey)
		rail.status(token).wants(t, 401, "KYCVS401", "token_unknown")
		if a := rail.get("/api/v3/consent/withdrawn"); !strings.Contains(string(a.body), m.str("consent")) {
			t.Errorf("after a restart: %s", a.body)
		}
	})
	t.Run("limits 429", func(t *testing.T) {
		tight := in.program(t, tightKey)
		tight.begin(person{"9876511111", "A B", 0}, "client_ip", "203.0.113.7")
		tight.begin(person{"9876511112", "A B", 0}, "client_ip", "203.0.113.8")
		tight.post(generateOTP, fields{"mobile_number": "9876511113", "full_name": "A B", "consent": "Y", "client_ip": "203.0.113.9"}).wants(t, 429, "USRAUT0018", "too_many_requests")
		if a := rail.post(generateOTP, fields{"mobile_number": "9876511113", "full_name": "A B", "consent": "Y"}); a.StatusCode != 200 {
			t.Errorf("another partner: %v", a)
		}
	})
	t.Run("resend", func(t *testing.T) {
		txn, _ := rail.begin(kiran, "txn", "R1")
		rail.post(generateOTP, fields{"txnId": txn, "txn": "R2"}).wants(t, 401, "USRAUT0013", "txn_unknown")
		m := rail.post(generateOTP, fields{"txnId": txn, "txn": "R1"}).wants(t, 429, "USRAUT0018", "too_many_requests")
		if m.num(t, "retry_after") < 1 {
			t.Errorf("got %v", m)
		}
	})
	t.Run("several travellers under one txn", func(t *testing.T) {
		const pnr = "PNR-2718281828"
		order := func() []any {
			t.Helper()
			a := rail.get(orderCall + "?txn=" + pnr)
			if a.StatusCode != 200 {
				t.Fatalf("order: %v", a)
			}
			list, _ := a.object(t)["travellers"].([]any)
			return list
		}
		rail.get(orderCall+"?txn="+pnr).wants(t, 401, "USRAUT0013", "txn_unknown")
		txn1, code1 := rail.begin(asha, "txn", pnr)
		txn2, code2 := rail.begin(meera, "txn", pnr)
		txn3, code3 := rail.begin(nobody, "txn", pnr)
		txn4, code4 := rail.begin(ravi, "txn", pnr)
		rail.begin(joseph, "txn", pnr)
		rail.post(confirmOTP, fields{"txnId": txn1, "otp": code1, "txn": "PNR-31415"}).wants(t, 401, "USRAUT0013", "txn_unknown")
		a := rail.post(confirmOTP, fields{"txnId": txn1, "otp": code1, "txn": pnr})
		if a.StatusCode != 200 || a.object(t).str("txn") != pnr {
			t.Fatalf("got %v", a)
		}
		token := a.object(t).str("token")
		if m := rail.status(token).object(t); m.str("txn") != pnr {
			t.Errorf("the status does not echo the txn: %v", m)
		}
		rail.do("GET", statusCall+"?txn=other", "", "", "Authorization", "Bearer "+token).wants(t, 401, "KYCVS401", "token_unknown")
		rail.post(confirmOTP, fields{"txnId": txn2, "otp": code2})
		rail.post(confirmOTP, fields{"txnId": txn3, "otp": code3}).wants(t, 400, "USRAUT0024", "no_record")
		m := rail.post(confirmOTP, fields{"txnId": txn4, "otp": code4}).object(t)
		rail.post("/api/v3/consent/withdraw", fields{"consent": m.str("consent")})
		var got []string
		for _, one := range order() {
			f := fields(one.(map[string]any))
			line := f.str("state") + " " + f.str("code")
			if f.str("assertion") != "" {
				c := check(t, rail.keys(), f.str("assertion"), "rail")
				line += fmt.Sprint(*c.Status, " ", f.num(t, "vaccination_status"))
			}
			got = append(got, line)
		}
		if want := []string{"confirmed 2 2", "confirmed 0 0", "refused no_record", "withdrawn ", "asked "}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the order is %q, want %q", got, want)
		}
		in.program(t, mallKey).get(orderCall+"?txn="+pnr).wants(t, 401, "USRAUT0013", "txn_unknown")
	})
	t.Run("a sub-partner", func(t *testing.T) {
		a := rail.post(generateOTP, fields{"mobile_number": vikram.mobile, "full_name": vikram.name, "consent": "Y", "sa": "yatra"})
		if a.StatusCode != 200 {
			t.Fatal(a)
		}
		var m message
		for m = in.sms.next(t, vikram.mobile); m.TxnID != a.object(t).str("txnId"); m = in.sms.next(t, vikram.mobile) {
		}
		if !strings.Contains(m.Message, "Yatra Travels") || !strings.Contains(m.Message, "Indian Railways") {
			t.Errorf("the message does not name both: %q", m.Message)
		}
		token := rail.post(confirmOTP, fields{"txnId": m.TxnID, "otp": m.Code}).object(t).str("token")
		compact := rail.status(token).object(t).str("assertion")
		check(t, rail.keys(), compact, "rail")
		payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(compact, ".")[1])
		if !strings.Contains(string(payload), `"sa":"yatra"`) {
			t.Errorf("the assertion does not name the sub-partner: %s", payload)
		}
	})
	t.Run("what is not the authority's goes on", func(t *testing.T) {
		if a := rail.fetch("/"); string(a.body) != "not the authority's" {
			t.Errorf("got %v %s", a, a.body)
		}
		for path, want := range map[string]int{"/openapi.json": 200, "/api/": 200, "/.kycvs/jwks.json": 200, "/.kycvs/?for=mall": 200, "/.kycvs/?for=none": 404, "/api/v3/vaccination/other": 404, statusCall + "/": 404} {
			if a := rail.fetch(path); a.StatusCode != want {
				t.Errorf("%s: %v, want %d", path, a, want)
			}
		}
		if a := rail.fetch(generateOTP); a.StatusCode != 405 || a.Header.Get("Allow") != "POST" {
			t.Errorf("GET generateOTP: %v", a)
		}
	})
	if log := in.log.String(); strings.Contains(log, railKey) || strings.Contains(log, "Asha") {
		t.Error("the log has a key or a name")
	}
}

// Two instances are as good as one: asked at one, confirmed at the other, the
// status at either.
func TestAuthorityOverTwoInstances(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 2, "state redis "+redistest.Start(t).URL()+"\n"+partners+plenty, func(_ int, s *setup) { s.sites += authoritySite })
	at := func(i int, key string) *program { return f.all[i].program(t, key) }
	for i := range 2 {
		who := somebody(i)
		txn, code := at(i, railKey).begin(who, "txn", "PNR"+strconv.Itoa(i))
		a := at(1-i, railKey).post(confirmOTP, fields{"txnId": txn, "otp": code})
		if a.StatusCode != 200 {
			t.Fatalf("asked at %d, confirmed at the other: %v", i, a)
		}
		token, consent := a.object(t).str("token"), a.object(t).str("consent")
		for j := range 2 {
			if a := at(j, railKey).status(token); a.StatusCode != 200 {
				t.Errorf("the status at %d: %v", j, a)
			}
			if a := at(j, railKey).get(orderCall + "?txn=PNR" + strconv.Itoa(i)); !strings.Contains(string(a.body), `"confirmed"`) {
				t.Errorf("the order at %d: %v", j, a)
			}
		}
		if a := at(i, railKey).post("/api/v3/consent/withdraw", fields{"consent": consent}); a.StatusCode != 204 {
			t.Fatal(a)
		}
		within(t, time.Second, "withdrawn at one, refused at the other", func() bool { return at(1-i, railKey).status(token).StatusCode == 401 })
		within(t, time.Second, "listed at the other", func() bool {
			return strings.Contains(string(at(1-i, railKey).get("/api/v3/consent/withdrawn").body), consent)
		})
	}
	// the partner's limit is one for both
	at(0, tightKey).begin(somebody(20))
	at(1, tightKey).begin(somebody(21))
	for i := range 2 {
		at(i, tightKey).post(generateOTP, fields{"mobile_number": number(22), "full_name": "Some Body", "consent": "Y"}).wants(t, 429, "USRAUT0018", "too_many_requests")
	}
}
