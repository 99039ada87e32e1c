package httpsender

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/kycvs/caddy-kycvs/authflow/sms"
)

var registered = DLT{Entity: "1101456780000012345", Header: "PHXMAL", Templates: map[string]string{"": "1107160000000000001", "hi": "1107160000000000002"}}

// TestPlaceholders fills in each placeholder.
func TestPlaceholders(t *testing.T) {
	m := message
	m.ID, m.Lang = m.TxnID+"-2", "en"
	hindi := m
	hindi.Text, hindi.Lang = "123456 आपका कोड है", "hi"
	for _, test := range []struct {
		placeholder string
		m           sms.Message
		want        string
	}{
		{"to", m, "+919876543210"},
		{"to_digits", m, "919876543210"},
		{"to_national", m, "9876543210"},
		{"to_national", sms.Message{To: "+12025550123"}, "2025550123"},
		{"to_national", sms.Message{To: "+390612345678"}, "0612345678"}, // the 0 belongs to it
		{"to_national", sms.Message{To: "+0"}, "0"},
		{"message", m, m.Text},
		{"code", m, "123456"},
		{"txnId", m, m.TxnID},
		{"id", m, m.TxnID + "-2"},
		{"lang", hindi, "hi"},
		{"dlt_entity", m, "1101456780000012345"},
		{"dlt_header", m, "PHXMAL"},
		{"dlt_template", m, "1107160000000000001"},
		{"dlt_template", hindi, "1107160000000000002"},
		{"dlt_template", sms.Message{Lang: "HI-Deva-IN"}, "1107160000000000002"},
		{"dlt_template", sms.Message{Lang: "mr"}, "1107160000000000001"},
		{"dlt_template", sms.Message{}, "1107160000000000001"},
		{"unicode", m, "TEXT"},
		{"unicode", hindi, "Unicode_text"},
		{"unicode", sms.Message{Text: "Ä € [x] @ # _ ^ \n"}, "TEXT"},
		{"unicode", sms.Message{Text: "Phoenix’s"}, "Unicode_text"},
		{"unicode", sms.Message{Text: "`"}, "Unicode_text"},
	} {
		s := mustNew(t, Config{URL: "http://x/", Body: "{sms." + test.placeholder + "}{sms.dlt_entity}{sms.unicode}", ContentType: "text/plain",
			DLT: registered, Unicode: "Unicode_text", Plain: "TEXT"})
		s.body.parts = s.body.parts[:1]
		if got := s.body.fill(test.m); got != test.want {
			t.Errorf("{sms.%s} of %+v is %q, want %q", test.placeholder, test.m, got, test.want)
		}
	}
	for name := range common {
		if !strings.Contains(common.unknown("x").Error(), "{sms."+name+"}") {
			t.Errorf("what is not known is not told of {sms.%s}", name)
		}
	}
}

func TestIdempotencyKey(t *testing.T) {
	m := message
	m.ID = m.TxnID + "-1"
	for _, test := range []struct {
		name string
		cfg  Config
		id   string
		want []string
	}{
		{"by default", Config{}, m.ID, []string{m.ID}},
		{"PUT", Config{Method: "PUT"}, m.ID, []string{m.ID}},
		{"without an id", Config{}, "", nil},
		{"own body", Config{Body: `{"to":"{sms.to}"}`}, m.ID, nil},
		{"own body and header", Config{Body: `{"to":"{sms.to}"}`, Header: http.Header{"idempotency-key": {"{sms.id}"}}}, m.ID, []string{m.ID}},
		{"own header", Config{Header: http.Header{"Idempotency-Key": {`"{sms.id}"`}}}, m.ID, []string{`"` + m.ID + `"`}},
		{"GET", Config{Method: "GET"}, m.ID, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProvider(t, 200)
			test.cfg.URL, m.ID = p.URL, test.id
			s := mustNew(t, test.cfg)
			for range 2 { // a retry is the same
				if err := s.Send(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			for _, r := range p.requests() {
				if got := r.header["Idempotency-Key"]; !slices.Equal(got, test.want) {
					t.Errorf("it is %q, want %q", got, test.want)
				}
			}
		})
	}
}

func TestBasicAuth(t *testing.T) {
	p := newProvider(t, 200)
	s := mustNew(t, Config{URL: p.URL, User: "AC1", Password: "p:ä{x}"})
	if err := s.Send(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	r := &http.Request{Header: p.requests()[0].header}
	if user, password, ok := r.BasicAuth(); !ok || user != "AC1" || password != "p:ä{x}" {
		t.Errorf("got %q, %q", user, password)
	}
}

func TestNewRefusesOptions(t *testing.T) {
	const u, body = "https://sms.example/send", `{"t":"{sms.dlt_template}","u":"{sms.unicode}"}`
	with := func(change func(*DLT)) DLT {
		d := registered
		d.Templates = map[string]string{"": "1", "hi": "2"}
		change(&d)
		return d
	}
	for _, test := range []struct {
		name string
		cfg  Config
		says string
	}{
		{"no dlt", Config{URL: u, Body: `{"t":"{sms.dlt_template}"}`}, "write a block `dlt`"},
		{"dlt nowhere", Config{URL: u, DLT: registered}, "{sms.dlt_template} stands nowhere"},
		{"no entity", Config{URL: u, Body: body, DLT: with(func(d *DLT) { d.Entity = "" })}, "no entity"},
		{"entity", Config{URL: u, Body: body, DLT: with(func(d *DLT) { d.Entity = "PHX" })}, "entity must be digits"},
		{"no header", Config{URL: u, Body: body, DLT: with(func(d *DLT) { d.Header = "" })}, "no header"},
		{"header", Config{URL: u, Body: body, DLT: with(func(d *DLT) { d.Header = "PHX MAL" })}, "header must be"},
		{"no template", Config{URL: u, Body: body, DLT: with(func(d *DLT) { d.Templates = nil })}, "no template"},
		{"template for one language only", Config{URL: u, Body: body, DLT: with(func(d *DLT) { delete(d.Templates, "") })}, "no template"},
		{"template", Config{URL: u, Body: body, DLT: with(func(d *DLT) { d.Templates["hi"] = "1 2" })}, "template must be"},
		{"no unicode", Config{URL: u, Body: `{"u":"{sms.unicode}"}`}, "write e.g. `unicode 1 0`"},
		{"half a unicode", Config{URL: u, Body: body, DLT: registered, Unicode: "1"}, "two words"},
		{"unicode nowhere", Config{URL: u, Unicode: "1", Plain: "0"}, "{sms.unicode} stands nowhere"},
		{"no password", Config{URL: u, User: "s3cret"}, "needs a user and a password"},
		{"no user", Config{URL: u, Password: "s3cret"}, "needs a user and a password"},
		{"colon", Config{URL: u, User: "s3cret:", Password: "p"}, "colon"},
		{"placeholder", Config{URL: u, User: "u", Password: "s3cret{sms.to}"}, "placeholder of the message"},
		{"and a header", Config{URL: u, User: "u", Password: "s3cret", Header: http.Header{"Authorization": {"Bearer s3cret"}}}, "one of them"},
		{"and in the URL", Config{URL: "https://u:s3cret@sms.example/", User: "u", Password: "s3cret"}, "one of them"},
		{"expect", Config{URL: u, Expect: "("}, "RE2"},
		{"expect anything", Config{URL: u, Expect: "x*"}, "says nothing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(test.cfg)
			if err == nil {
				t.Fatal("it was taken")
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q does not say %q", err, test.says)
			}
			wantPrivate(t, err.Error())
		})
	}
}
