package caddymodule

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/kycvs/caddy-kycvs/authflow/sms"
)

// TestHTTPSenderPlaceholders holds that what Caddy's placeholders yield stands in
// a body as the body's type asks for, and as it is elsewhere.
func TestHTTPSenderPlaceholders(t *testing.T) {
	const secret = `a&b=c+d%"e" {x}`
	t.Setenv("SMS_KEY", secret)
	t.Setenv("SMS_BODY", `{"to":"{sms.to}"}`)
	form := http.Header{"content-type": {"application/x-www-form-urlencoded"}}
	for _, tt := range []struct {
		name string
		s    HTTPSender
		want string // the body; "" is not compared
		auth string
	}{
		{"JSON", HTTPSender{Body: `{"k":"{env.SMS_KEY}","to":"{sms.to}"}`}, `{"k":"a\u0026b=c+d%\"e\" {x}","to":"+919876543210"}`, ""},
		{"form", HTTPSender{Body: "k={env.SMS_KEY}&to={sms.to}", Header: form}, "k=a%26b%3Dc%2Bd%25%22e%22+%7Bx%7D&to=%2B919876543210", ""},
		{"XML", HTTPSender{Body: "<k>{env.SMS_KEY}</k>", Header: http.Header{"Content-Type": {"text/xml"}}}, "<k>a&amp;b=c+d%&#34;e&#34; {x}</k>", ""},
		{"a body from the environment", HTTPSender{Body: " {env.SMS_BODY}\n"}, ` {"to":"+919876543210"}` + "\n", ""},
		{"header", HTTPSender{Header: http.Header{"Authorization": {"Bearer {env.SMS_KEY}"}}}, "", "Bearer " + secret},
		{"basic_auth", HTTPSender{BasicAuth: &BasicAuth{User: "u", Password: "{env.SMS_KEY}"}}, "", "Basic dTphJmI9YytkJSJlIiB7eH0="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var body, auth string
			p := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				body, auth = string(b), r.Header.Get("Authorization")
			}))
			defer p.Close()
			tt.s.URL = p.URL
			if err := tt.s.Provision(caddy.Context{}); err != nil {
				t.Fatal(err)
			}
			sender, err := tt.s.Sender(OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := sender.Send(t.Context(), sms.Message{To: "+919876543210", Text: "x", Code: "123456"}); err != nil {
				t.Fatal(err)
			}
			if tt.want != "" && body != tt.want {
				t.Errorf("the body is\n%s\nwant\n%s", body, tt.want)
			}
			if auth != tt.auth {
				t.Errorf("Authorization is %q, want %q", auth, tt.auth)
			}
		})
	}
}

// TestHTTPSenderJSON holds that the JSON form is checked as the Caddyfile is.
func TestHTTPSenderJSON(t *testing.T) {
	for _, tt := range []struct{ name, config, says string }{
		{"everything", `{"url":"https://sms.example","body":"{\"t\":\"{sms.dlt_template}\",\"u\":\"{sms.unicode}\"}","basic_auth":{"user":"u","password":"p"},
			"expect":"^success","unicode":["1","0"],"dlt":{"entity":"1101456780000012345","header":"PHXMAL","template":"1","templates":{"hi":"2"}}}`, ""},
		{"no url", `{}`, "url is missing"},
		{"no password", `{"url":"https://sms.example","basic_auth":{"user":"u"}}`, "lacks its user or its password"},
		{"no account", `{"url":"https://sms.example","basic_auth":{}}`, "lacks its user or its password"},
		{"one word", `{"url":"https://sms.example","unicode":["1"]}`, "write two"},
		{"empty words", `{"url":"https://sms.example","unicode":["",""]}`, "write two"},
		{"empty dlt", `{"url":"https://sms.example","dlt":{}}`, "no entity"},
		{"language", `{"url":"https://sms.example","dlt":{"entity":"1","header":"PHXMAL","template":"1","templates":{"tlh":"2"}}}`, "write one of en, hi"},
		{"expect", `{"url":"https://sms.example","expect":"("}`, "RE2"},
		{"method", `{"url":"https://sms.example","method":"FETCH"}`, "write one of POST, PUT, GET"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s HTTPSender
			if err := json.Unmarshal([]byte(tt.config), &s); err != nil {
				t.Fatal(err)
			}
			err := s.Provision(caddy.Context{})
			if tt.says == "" {
				if err != nil {
					t.Error(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want one that says %q", err, tt.says)
			}
		})
	}
}
