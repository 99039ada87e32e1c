package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/authflowtest"
)

// example is a call that ends with one of the answers that the document has for
// it.
type example struct {
	call   string
	status int
	name   string
	// make sets up what is needed and returns the request: its body or, of a GET, its
	// query, and its header fields.
	make func(s *service) (text string, header []string)
	// loose requests are meant to be against the schema.
	loose bool
	// after undoes what make did.
	after func(s *service)
}

func keyOf(s *service, partner string) []string { return []string{"x-api-key", s.keys[partner]} }

func jsonText(m object) string {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

var asha = object{"mobile_number": authflowtest.Asha, "full_name": "Asha Rao", "consent": "Y"}

// with returns m with more members.
func with(m object, more object) object {
	all := maps.Clone(m)
	maps.Copy(all, more)
	return all
}

func away(s *service) { s.state.away = true }
func back(s *service) { s.state.away = false }

// a request by rail, made of nothing else
func just(m object) func(*service) (string, []string) {
	return func(s *service) (string, []string) { return jsonText(m), keyOf(s, "rail") }
}

func nobodys(m object) func(*service) (string, []string) {
	return func(*service) (string, []string) { return jsonText(m), []string{"x-api-key", "kp_nobody"} }
}

var large = object{"mobile_number": strings.Repeat("9", maxBody)}

// underWay is a request about a handshake.
func underWay(mobile, name string, f func(txn, code string) object) func(*service) (string, []string) {
	return func(s *service) (string, []string) {
		txn, code := s.begin("rail", mobile, name)
		return jsonText(f(txn, code)), keyOf(s, "rail")
	}
}

const someTxn = "680a300f-3d85-4906-a080-3efc1b91d6f2"

var examples = []example{
	{call: "generateOTP", status: 200, name: "begins", make: just(asha)},
	{call: "generateOTP", status: 200, name: "all members", make: just(with(asha, object{"txn": "PNR1", "sa": "yatra", "lang": "hi", "client_ip": "2001:db8::1", "session": 43200, "unknown": []int{1}}))},
	{call: "generateOTP", status: 200, name: "consent by code", make: func(s *service) (string, []string) {
		return jsonText(object{"mobile_number": authflowtest.Asha, "full_name": "Asha Rao"}), keyOf(s, "bycode")
	}},
	{call: "generateOTP", status: 200, name: "another code", make: func(s *service) (string, []string) {
		txn, _ := s.begin("rail", authflowtest.Asha, "Asha Rao", "txn", "PNR2")
		s.Pass(6 * time.Second)
		return jsonText(object{"txnId": txn, "txn": "PNR2"}), keyOf(s, "rail")
	}},
	{call: "generateOTP", status: 400, name: "no consent", make: just(object{"mobile_number": authflowtest.Asha, "full_name": "Asha Rao"})},
	{call: "generateOTP", status: 400, name: "a wrong type", make: just(with(asha, object{"full_name": 1})), loose: true},
	{call: "generateOTP", status: 401, name: "unknown", make: just(object{"txnId": someTxn})},
	{call: "generateOTP", status: 403, name: "no key", make: nobodys(asha)},
	{call: "generateOTP", status: 413, name: "large", make: just(large), loose: true},
	{call: "generateOTP", status: 429, name: "a limit", make: func(s *service) (string, []string) {
		s.begin("tight", authflowtest.Away, "A B")
		return jsonText(with(asha, object{"mobile_number": authflowtest.Ravi})), keyOf(s, "tight")
	}},
	{call: "generateOTP", status: 503, name: "state away", make: func(s *service) (string, []string) { away(s); return jsonText(asha), keyOf(s, "rail") }, after: back},

	{call: "confirmOTP", status: 200, name: "the code", make: underWay(authflowtest.Asha, "Asha Rao", func(txn, code string) object { return object{"txnId": txn, "otp": code} })},
	{call: "confirmOTP", status: 200, name: "a birth year", make: func(s *service) (string, []string) {
		txn, code := s.begin("rail", authflowtest.Twins, "Arun Das", "txn", "PNR3")
		s.post(pathConfirm, "rail", object{"txnId": txn, "otp": code})
		return jsonText(object{"txnId": txn, "birth_year": 1980, "txn": "PNR3"}), keyOf(s, "rail")
	}},
	{call: "confirmOTP", status: 400, name: "a wrong code", make: underWay(authflowtest.Asha, "Asha Rao", func(txn, code string) object { return object{"txnId": txn, "otp": wrong(code)} })},
	{call: "confirmOTP", status: 400, name: "no code", make: just(object{"txnId": someTxn})},
	{call: "confirmOTP", status: 400, name: "nobody", make: underWay(authflowtest.Away, "A B", func(txn, code string) object { return object{"txnId": txn, "otp": code} })},
	{call: "confirmOTP", status: 400, name: "several", make: underWay(authflowtest.Twins, "Arun Das", func(txn, code string) object { return object{"txnId": txn, "otp": code} })},
	{call: "confirmOTP", status: 400, name: "no txnId", make: just(object{"otp": "123456"}), loose: true},
	{call: "confirmOTP", status: 401, name: "unknown", make: just(object{"txnId": someTxn, "otp": "123456"})},
	{call: "confirmOTP", status: 403, name: "no key", make: nobodys(object{"txnId": someTxn, "otp": "123456"})},
	{call: "confirmOTP", status: 413, name: "large", make: just(large), loose: true},
	{call: "confirmOTP", status: 429, name: "too many wrong codes", make: func(s *service) (string, []string) {
		for range 5 {
			txn, code := s.begin("rail", authflowtest.Meena, "Meena Iyer")
			for range 3 {
				s.post(pathConfirm, "rail", object{"txnId": txn, "otp": wrong(code)})
			}
			s.Phone.FailLater() // so that asking again is not what is limited
		}
		txn, code := s.begin("rail", authflowtest.Meena, "Meena Iyer")
		return jsonText(object{"txnId": txn, "otp": code}), keyOf(s, "rail")
	}},
	{call: "confirmOTP", status: 503, name: "registry away", make: func(s *service) (string, []string) {
		txn, code := s.begin("rail", authflowtest.Asha, "Asha Rao")
		s.Registry.Fail(true)
		return jsonText(object{"txnId": txn, "otp": code}), keyOf(s, "rail")
	}, after: func(s *service) { s.Registry.Fail(false) }},

	{call: "status", status: 200, name: "the answer", make: func(s *service) (string, []string) {
		return "", []string{"Authorization", "Bearer " + s.token("rail", authflowtest.Ravi, "Ravi Kumar")}
	}},
	{call: "status", status: 200, name: "for a sub-partner, under a txn", make: func(s *service) (string, []string) {
		return "txn=PNR4", []string{"Authorization", "Bearer " + s.token("rail", authflowtest.Ravi, "Ravi Kumar", "txn", "PNR4", "sa", "yatra")}
	}},
	{call: "status", status: 400, name: "a parameter twice", make: func(s *service) (string, []string) {
		return "txn=PNR4&txn=PNR4", []string{"Authorization", "Bearer " + s.token("rail", authflowtest.Ravi, "Ravi Kumar")}
	}, loose: true},
	{call: "status", status: 401, name: "no token", make: func(*service) (string, []string) { return "", nil }},
	{call: "status", status: 503, name: "keys away", make: func(s *service) (string, []string) {
		token := s.token("rail", authflowtest.Ravi, "Ravi Kumar")
		s.Keys.Fail(true)
		return "", []string{"Authorization", "Bearer " + token}
	}, after: func(s *service) { s.Keys.Fail(false) }},

	{call: "order", status: 200, name: "every state", make: func(s *service) (string, []string) {
		s.begin("rail", authflowtest.Meena, "Meena Iyer", "txn", "PNR5")
		s.token("rail", authflowtest.Asha, "Asha Rao", "txn", "PNR5", "sa", "yatra")
		txn, code := s.begin("rail", authflowtest.Away, "A B", "txn", "PNR5")
		s.post(pathConfirm, "rail", object{"txnId": txn, "otp": code})
		txn, code = s.begin("rail", authflowtest.Twins, "Arun Das", "txn", "PNR5")
		s.post(pathConfirm, "rail", object{"txnId": txn, "otp": code})
		return "txn=PNR5", keyOf(s, "rail")
	}},
	{call: "order", status: 400, name: "no txn", make: func(s *service) (string, []string) { return "", keyOf(s, "rail") }, loose: true},
	{call: "order", status: 401, name: "unknown", make: func(s *service) (string, []string) { return "txn=PNR9", keyOf(s, "rail") }},
	{call: "order", status: 403, name: "no key", make: func(*service) (string, []string) { return "txn=PNR5", nil }},
	{call: "order", status: 503, name: "state away", make: func(s *service) (string, []string) { away(s); return "txn=PNR5", keyOf(s, "rail") }, after: back},

	{call: "redeem", status: 200, name: "the answer", make: func(s *service) (string, []string) {
		token := s.token("rail", authflowtest.Asha, "Asha Rao")
		s.redeems(token, nil)
		return jsonText(object{"code": "good"}), keyOf(s, "rail")
	}},
	{call: "redeem", status: 200, name: "the answer, of a sealed pass", make: func(s *service) (string, []string) {
		token := strings.TrimPrefix(s.token("rail", authflowtest.Asha, "Asha Rao"), "rail.")
		s.redeems(token, nil)
		return jsonText(object{"code": "good"}), keyOf(s, "rail")
	}},
	{call: "redeem", status: 400, name: "no code", make: just(object{}), loose: true},
	{call: "redeem", status: 401, name: "unknown", make: func(s *service) (string, []string) {
		s.redeems("", &authflow.Error{Code: authflow.TxnUnknown})
		return jsonText(object{"code": "bad"}), keyOf(s, "rail")
	}},
	{call: "redeem", status: 403, name: "no key", make: nobodys(object{"code": "good"})},
	{call: "redeem", status: 413, name: "large", make: just(large), loose: true},
	{call: "redeem", status: 503, name: "state away", make: func(s *service) (string, []string) {
		s.redeems("", errAway)
		return jsonText(object{"code": "good"}), keyOf(s, "rail")
	}},

	{call: "withdraw", status: 204, name: "ends it", make: func(s *service) (string, []string) {
		txn, code := s.begin("rail", authflowtest.Asha, "Asha Rao")
		_, m := s.post(pathConfirm, "rail", object{"txnId": txn, "otp": code})
		return jsonText(object{"consent": m["consent"]}), keyOf(s, "rail")
	}},
	{call: "withdraw", status: 400, name: "nobody's", make: just(object{"consent": "AAAAAAAAAAAAAAAAAAAAAA"})},
	{call: "withdraw", status: 403, name: "no key", make: nobodys(object{"consent": "AAAAAAAAAAAAAAAAAAAAAA"})},
	{call: "withdraw", status: 413, name: "large", make: just(large), loose: true},
	{call: "withdraw", status: 503, name: "ledger away", make: func(s *service) (string, []string) {
		txn, code := s.begin("rail", authflowtest.Asha, "Asha Rao")
		_, m := s.post(pathConfirm, "rail", object{"txnId": txn, "otp": code})
		s.Ledger.Fail(true)
		return jsonText(object{"consent": m["consent"]}), keyOf(s, "rail")
	}, after: func(s *service) { s.Ledger.Fail(false) }},

	{call: "withdrawn", status: 200, name: "all", make: func(s *service) (string, []string) {
		txn, code := s.begin("rail", authflowtest.Asha, "Asha Rao")
		_, m := s.post(pathConfirm, "rail", object{"txnId": txn, "otp": code})
		s.post(pathWithdraw, "rail", object{"consent": m["consent"]})
		return "", keyOf(s, "rail")
	}},
	{call: "withdrawn", status: 200, name: "since", make: func(s *service) (string, []string) {
		return "since=2026-11-21T17:30:00%2B05:30", keyOf(s, "rail")
	}},
	{call: "withdrawn", status: 400, name: "no time", make: func(s *service) (string, []string) { return "since=yesterday", keyOf(s, "rail") }, loose: true},
	{call: "withdrawn", status: 403, name: "no key", make: func(*service) (string, []string) { return "", nil }},
	{call: "withdrawn", status: 503, name: "state silent", make: func(s *service) (string, []string) {
		s.h.Withdrawals, s.h.Now = silent(s.t), func() time.Time { return time.Now().Add(time.Hour) }
		return "", keyOf(s, "rail")
	}, after: func(s *service) { s.h.Withdrawals, s.h.Now = &s.World.Withdrawals.Set, s.Now }},
}

func (s *service) redeems(token string, err error) {
	s.h.Redeem = func(context.Context, *authflow.Audience, string) (string, error) { return token, err }
}

// TestDocument drives every call of the document to every answer that it has, and
// holds what was sent and what came back to its schemas.
func TestDocument(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(document, &root); err != nil {
		t.Fatal(err)
	}
	if v, _ := root["openapi"].(string); !strings.HasPrefix(v, "3.1.") {
		t.Errorf("openapi is %q", v)
	}
	s := newService(t)
	s.redeems("", &authflow.Error{Code: authflow.TxnUnknown})
	check := schemas{t, root}
	seen := map[string]bool{}
	calls := map[string]bool{}
	for path, item := range root["paths"].(map[string]any) {
		for method, operation := range item.(map[string]any) {
			op := operation.(map[string]any)
			name := op["operationId"].(string)
			calls[name] = true
			if o := operations[path]; o.name != name || !strings.EqualFold(o.method, method) {
				t.Errorf("%s %s is not %s", method, path, name)
			}
			answers := op["responses"].(map[string]any)
			for _, e := range examples {
				if e.call != name {
					continue
				}
				status := fmt.Sprint(e.status)
				seen[name+" "+status] = true
				t.Run(name+" "+status+" "+e.name, func(t *testing.T) {
					s.t = t
					w := e.run(s, strings.ToUpper(method), path, op, check)
					if w.Code != e.status {
						t.Fatalf("got %d %s", w.Code, w.Body)
					}
					checkAnswer(t, check, answers[status], w)
				})
			}
			for status := range answers {
				if !seen[name+" "+status] {
					t.Errorf("%s has the answer %s, which no example leads to", name, status)
				}
			}
		}
	}
	if got := slices.Sorted(maps.Keys(calls)); !slices.Equal(got, slices.Sorted(slices.Values(Calls))) {
		t.Errorf("the document has %v, there are %v", got, Calls)
	}
	for what := range s.outcomes {
		call, outcome, _ := strings.Cut(what, " ")
		if !slices.Contains(Calls, call) || !slices.Contains(Outcomes, outcome) {
			t.Errorf("the metric has %s", what)
		}
	}
	for _, secret := range []string{"kp_", "Asha", "9876543210"} {
		if strings.Contains(s.logged.String(), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
}

func (e *example) run(s *service, method, path string, op map[string]any, check schemas) *httptest.ResponseRecorder {
	s.t.Helper()
	sent, header := e.make(s)
	if e.after != nil {
		defer e.after(s)
	}
	target, body := path, sent
	if method == http.MethodGet {
		target, body = path+"?"+sent, ""
	} else if !e.loose {
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			s.t.Fatal(err)
		}
		media := op["requestBody"].(map[string]any)["content"].(map[string]any)["application/json"].(map[string]any)
		for _, wrong := range check.check(media["schema"].(map[string]any), v, "request") {
			s.t.Error(wrong)
		}
	}
	return s.send(method, target, body, header...)
}

func checkAnswer(t *testing.T, check schemas, described any, w *httptest.ResponseRecorder) {
	t.Helper()
	d, ok := described.(map[string]any)
	if !ok {
		t.Fatalf("the document has no answer %d", w.Code)
	}
	if ref, ok := d["$ref"].(string); ok {
		d = check.resolve(ref)
	}
	if headers, ok := d["headers"].(map[string]any); ok {
		for name := range headers {
			if w.Header().Get(name) == "" {
				t.Errorf("no %s", name)
			}
		}
	}
	content, ok := d["content"].(map[string]any)
	if !ok {
		if w.Body.Len() > 0 {
			t.Errorf("there should be no body: %s", w.Body)
		}
		return
	}
	if w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("the header is %v", w.Header())
	}
	var v any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range check.check(content["application/json"].(map[string]any)["schema"].(map[string]any), v, "answer") {
		t.Error(wrong)
	}
}

// TestDocumentMembers holds the members that requests have in the document to
// those that are read.
func TestDocumentMembers(t *testing.T) {
	var d described
	if err := json.Unmarshal(document, &d); err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for _, methods := range d.Paths {
		for _, c := range methods {
			for _, m := range c.RequestBody.Content {
				for _, one := range d.members(m.Schema) {
					described[one.Name] = true
				}
			}
		}
	}
	if got, want := slices.Sorted(maps.Keys(described)), slices.Sorted(maps.Keys(members)); !slices.Equal(got, want) {
		t.Errorf("the document has %v, read are %v", got, want)
	}
}

func TestDocumentAndPageAreServed(t *testing.T) {
	s := newService(t)
	for path, kind := range map[string]string{OpenAPIPath: "application/json", PagePath: "text/html; charset=utf-8"} {
		w := s.send("GET", path, "")
		if w.Code != 200 || w.Header().Get("Content-Type") != kind || w.Body.Len() == 0 {
			t.Errorf("%s: %d %s", path, w.Code, w.Header())
		}
		if w := s.send("POST", path, ""); w.Code != 405 {
			t.Errorf("POST %s: %d", path, w.Code)
		}
	}
	if w := s.send("GET", OpenAPIPath, "", "If-None-Match", documentTag()); w.Code != 304 {
		t.Errorf("with its ETag: %d", w.Code)
	}
	if w := s.send("GET", "/api", ""); w.Code != 308 {
		t.Errorf("/api: %d", w.Code)
	}
	text := s.send("GET", PagePath, "").Body.String()
	for _, call := range Calls {
		if !strings.Contains(text, `<h2 id="`+call+`">`) {
			t.Errorf("the page does not show %s", call)
		}
	}
	for _, not := range []string{"<script", "http://", "https://", "ZgotmplZ"} {
		if strings.Contains(text, not) {
			t.Errorf("the page has %s", not)
		}
	}
}

func wrong(code string) string {
	b := []byte(code)
	b[0] = '0' + (b[0]-'0'+1)%10
	return string(b)
}
