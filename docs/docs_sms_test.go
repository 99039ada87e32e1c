package docs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
	"github.com/kycvs/caddy-kycvs/authflow/sms"
	"github.com/kycvs/caddy-kycvs/caddymodule"
)

// recipe is a page of sms/ and a fake of the provider that it is for, which
// does as the provider's documentation says.
type recipe struct {
	page string
	host string            // as it stands in the page
	env  map[string]string // what the page's snippet takes from the environment
	// wrong is a variable of env with a value that the provider does not know.
	wrong [2]string
	// right returns what is wrong with a request, beyond the credentials.
	right func(r *http.Request, body []byte, m sms.Message) error
	// known returns whether the credentials are right.
	known func(r *http.Request, body []byte) bool
	// The documented answers: accepted, of unknown credentials, to a number that it
	// does not take, and, where one is documented, that it is too much for now.
	sent, unknown, refused, busy answer
	// unclear says that the answer to unknown credentials may as well be about the
	// message.
	unclear bool
}

type answer struct {
	status int
	body   string // with number and message, which must not come out in errors
}

// notTaken is a number that the fakes refuse.
const notTaken = "+919000000000"

func smsMessage(lang, to string) sms.Message {
	a := &authflow.Audience{Partner: authflow.Partner{Name: "Phoenix Mall & Sons", Purpose: "Entry + \"more\""}, Host: "mall.example"}
	return sms.Message{
		To: to, Text: portal.SMS(lang, a, "263665"), Code: "263665", Lang: lang,
		TxnID: "680a300f-3d85-4906-a080-3efc1b91d6f2", ID: "680a300f-3d85-4906-a080-3efc1b91d6f2-1",
	}
}

// isForm compares a form with what the provider's documentation asks for.
func isForm(r *http.Request, body []byte, want map[string]string) error {
	if got := r.Header.Get("Content-Type"); got != "application/x-www-form-urlencoded" {
		return fmt.Errorf("content type %q", got)
	}
	got, err := url.ParseQuery(string(body))
	if err != nil {
		return err
	}
	form := url.Values{}
	for name, value := range want {
		form.Set(name, value)
	}
	if !reflect.DeepEqual(got, form) {
		return fmt.Errorf("the form is\n%q\nwant\n%q", got, form)
	}
	return nil
}

func isRequest(r *http.Request, method, path string) error {
	if r.Method != method || r.URL.Path != path || r.URL.RawQuery != "" {
		return fmt.Errorf("%s %s, want %s %s", r.Method, r.URL, method, path)
	}
	return nil
}

// byLanguage is the value for a message in English, or in Hindi.
func byLanguage(m sms.Message, english, hindi string) string {
	if m.Lang == "hi" {
		return hindi
	}
	return english
}

var recipes = []recipe{
	{
		page: "exotel.md", host: "https://api.in.exotel.com",
		env:   map[string]string{"EXOTEL_SID": "phoenix1", "EXOTEL_KEY": "key", "EXOTEL_TOKEN": "tok:en+&"},
		wrong: [2]string{"EXOTEL_TOKEN", "another"},
		known: func(r *http.Request, _ []byte) bool {
			user, password, _ := r.BasicAuth()
			return user == "key" && password == "tok:en+&"
		},
		right: func(r *http.Request, body []byte, m sms.Message) error {
			return errors.Join(isRequest(r, "POST", "/v1/Accounts/phoenix1/Sms/send"), isForm(r, body, map[string]string{
				"From": "PHXMAL", "To": m.To, "Body": m.Text, "Priority": "high", "CustomField": m.ID,
				"EncodingType": byLanguage(m, "plain", "unicode"), "DltEntityId": "1101456780000012345",
				"DltTemplateId": byLanguage(m, "1107160000000000001", "1107160000000000002"),
			}))
		},
		sent:    answer{202, `{"SMSMessage":{"Sid":"s1","To":"+919876543210","Body":"263665 is your code","Status":"queued"}}`},
		unknown: answer{401, `{"RestException":{"Status":401,"Message":"Authentication failed. Invalid API Key or Token.","Code":"UNAUTHORIZED"}}`},
		refused: answer{400, `<TwilioResponse><RestException><Status>400</Status><Message>Invalid Recipient [+919000000000]</Message></RestException></TwilioResponse>`},
		busy:    answer{429, `{"RestException":{"Status":429,"Message":"Too Many Requests"}}`},
	},
	{
		page: "gupshup.md", host: "https://enterprise.smsgupshup.com",
		env:   map[string]string{"GUPSHUP_USER": "2000123456", "GUPSHUP_PASSWORD": "p&s=s+w%rd"},
		wrong: [2]string{"GUPSHUP_PASSWORD", "another"},
		known: func(_ *http.Request, body []byte) bool {
			form, err := url.ParseQuery(string(body))
			return err == nil && form.Get("userid") == "2000123456" && form.Get("password") == "p&s=s+w%rd"
		},
		right: func(r *http.Request, body []byte, m sms.Message) error {
			return errors.Join(isRequest(r, "POST", "/GatewayAPI/rest"), isForm(r, body, map[string]string{
				"userid": "2000123456", "password": "p&s=s+w%rd", "method": "SendMessage", "auth_scheme": "plain", "v": "1.1", "format": "text",
				"send_to": strings.TrimPrefix(m.To, "+"), "msg": m.Text, "msg_type": byLanguage(m, "TEXT", "Unicode_text"),
				"mask": "PHXMAL", "principalEntityId": "1101456780000012345",
				"dltTemplateId": byLanguage(m, "1107160000000000001", "1107160000000000002"),
			}))
		},
		sent:    answer{200, "success | 919876543210 | 728014710863298817-1234567890"},
		unknown: answer{200, "error | 102 | Authentication failed due to invalid userId or password."}, unclear: true,
		refused: answer{200, "error | 105 | The phone number 919000000000 is not valid."},
	},
	{
		page: "msg91.md", host: "https://control.msg91.com",
		env:   map[string]string{"MSG91_AUTHKEY": "1234aBcD"},
		wrong: [2]string{"MSG91_AUTHKEY", "another"},
		known: func(r *http.Request, _ []byte) bool { return r.Header.Get("authkey") == "1234aBcD" },
		right: func(r *http.Request, body []byte, m sms.Message) error {
			var got, want any
			if err := json.Unmarshal(body, &got); err != nil {
				return err
			}
			if got := r.Header.Get("Content-Type"); got != "application/json" {
				return fmt.Errorf("content type %q", got)
			}
			want = map[string]any{
				"template_id": byLanguage(m, "5f1a2b3c4d5e6f7a8b9c0d1e", "5f1a2b3c4d5e6f7a8b9c0d1f"), "short_url": "0",
				"recipients": []any{map[string]any{"mobiles": strings.TrimPrefix(m.To, "+"), "code": m.Code}},
			}
			if !reflect.DeepEqual(got, want) {
				return fmt.Errorf("the body is %v, want %v", got, want)
			}
			return isRequest(r, "POST", "/api/v5/flow")
		},
		sent:    answer{200, `{"message":"5762846b4f8d285d378b4567","type":"success"}`},
		unknown: answer{200, `{"type":"error","message":"Missing Authentication Key","code":"106"}`}, unclear: true,
		refused: answer{200, `{"message":"mobile 919000000000 is not valid","type":"error"}`},
	},
	{
		page: "twilio.md", host: "https://api.twilio.com",
		env:   map[string]string{"TWILIO_ACCOUNT_SID": "AC0123", "TWILIO_AUTH_TOKEN": "token", "TWILIO_SERVICE_SID": "MG0123"},
		wrong: [2]string{"TWILIO_AUTH_TOKEN", "another"},
		known: func(r *http.Request, _ []byte) bool {
			user, password, _ := r.BasicAuth()
			return user == "AC0123" && password == "token"
		},
		right: func(r *http.Request, body []byte, m sms.Message) error {
			return errors.Join(isRequest(r, "POST", "/2010-04-01/Accounts/AC0123/Messages.json"), isForm(r, body, map[string]string{
				"To": m.To, "MessagingServiceSid": "MG0123", "Body": m.Text, "ValidityPeriod": "180",
			}))
		},
		sent:    answer{201, `{"sid":"SM1","status":"accepted","to":"+919876543210","body":"263665 is your code","error_code":null}`},
		unknown: answer{401, `{"code":20003,"message":"Authenticate","more_info":"https://www.twilio.com/docs/errors/20003","status":401}`},
		refused: answer{400, `{"code":21211,"message":"The 'To' number +919000000000 is not a valid phone number.","more_info":"https://www.twilio.com/docs/errors/21211","status":400}`},
		busy:    answer{429, `{"code":20429,"message":"Too many requests.","more_info":"https://www.twilio.com/docs/errors/20429","status":429}`},
	},
}

// TestRecipes sends messages by the snippet of each page of sms/, as it
// stands there but for the host, to a fake of the provider.
func TestRecipes(t *testing.T) {
	paths, err := filepath.Glob("sms/*.md")
	if err != nil || len(paths) != len(recipes) {
		t.Fatalf("sms/ has %d pages, and there are recipes for %d (%v)", len(paths), len(recipes), err)
	}
	snippets := map[string]string{}
	for _, r := range recipes {
		snippets[r.page] = fenceWith(t, "sms/"+r.page, "caddyfile-kycvs", "sms http "+r.host+"/")
	}
	inOperatorsPlace(t)
	for _, r := range recipes {
		t.Run(r.page, func(t *testing.T) {
			for name, value := range r.env {
				t.Setenv(name, value)
			}
			validate(t, adapt(t, whole(fence{kind: "caddyfile-kycvs", text: snippets[r.page]})))

			var m sms.Message // that is sent
			var busy bool
			provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				body, err := io.ReadAll(req.Body)
				if err != nil {
					t.Error(err)
				}
				a := r.sent
				switch {
				case busy:
					a = r.busy
				case !r.known(req, body):
					a = r.unknown
				case m.To == notTaken:
					a = r.refused
				}
				if err := r.right(req, body, m); err != nil && r.known(req, body) {
					t.Errorf("the provider got a request that it does not take: %v", err)
					a = answer{status: 400}
				}
				w.WriteHeader(a.status)
				io.WriteString(w, a.body)
			}))
			defer provider.Close()
			send := func(message sms.Message) error {
				t.Helper()
				m = message
				sender := senderOf(t, strings.Replace(snippets[r.page], r.host+"/", provider.URL+"/", 1))
				err := sender.Send(t.Context(), m)
				if err != nil {
					for _, secret := range []string{strings.TrimPrefix(m.To, "+"), m.Code, "number", "Authenticat"} {
						if strings.Contains(err.Error(), secret) {
							t.Errorf("the error has something of the answer: %v", err)
						}
					}
				}
				return err
			}

			for _, lang := range portal.Languages() {
				if err := send(smsMessage(lang, "+919876543210")); err != nil {
					t.Errorf("%s: %v", lang, err)
				}
			}
			if err := send(smsMessage("en", notTaken)); !errors.Is(err, sms.ErrPermanent) || !errors.Is(err, sms.ErrMessage) {
				t.Errorf("a number that is not taken: %v, want a refusal of the message", err)
			}
			if r.busy.status != 0 {
				busy = true
				if err := send(smsMessage("en", "+919876543210")); err == nil || errors.Is(err, sms.ErrPermanent) {
					t.Errorf("too much for now: %v, want a failure that is tried again", err)
				}
				busy = false
			}
			t.Setenv(r.wrong[0], r.wrong[1])
			if err := send(smsMessage("en", "+919876543210")); !errors.Is(err, sms.ErrPermanent) || errors.Is(err, sms.ErrMessage) != r.unclear {
				t.Errorf("with unknown credentials: %v, want a failure of the sender", err)
			}
		})
	}
}

// senderOf returns the sender that a line of the global option kycvs makes.
func senderOf(t *testing.T, text string) sms.Sender {
	t.Helper()
	d := caddyfile.NewTestDispenser(text)
	if !d.Next() || !d.NextArg() { // sms, and which
		t.Fatalf("there is no sender in %s", text)
	}
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
	return sender
}

// TestTemplates holds that the templates to register are what is sent.
func TestTemplates(t *testing.T) {
	page := read(t, "sms.md")
	a := &authflow.Audience{Partner: authflow.Partner{Name: "{#alphanumeric#}", Purpose: "{#alphanumeric#}"}, Host: "mall.example"}
	for _, lang := range portal.Languages() {
		if want := "\n```\n" + portal.SMS(lang, a, "{#numeric#}") + "\n```\n"; !strings.Contains(page, want) {
			t.Errorf("sms.md has not the template in %s, which is%s", lang, want)
		}
	}
	a = &authflow.Audience{Partner: authflow.Partner{Name: "Phoenix Mall", Purpose: "Entry to the mall"}, Host: "mall.example"}
	if want := "\n```\n" + portal.SMS("en", a, "##code##") + "\n```\n"; !strings.Contains(read(t, "sms/msg91.md"), want) {
		t.Errorf("sms/msg91.md has not the template, which is%s", want)
	}
}

// TestSMSPages holds the pages of sms/ to what the others are held to.
func TestSMSPages(t *testing.T) {
	paths, err := filepath.Glob("sms/*.md")
	if err != nil {
		t.Fatal(err)
	}
	anchors := anchorsOf(page{"sms.md", read(t, "sms.md")})
	for _, path := range paths {
		p := page{path, read(t, path)}
		prose, _ := split(p)
		for _, line := range prose {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				target, anchor, _ := strings.Cut(m[1], "#")
				if strings.Contains(target, "://") {
					continue
				}
				read(t, filepath.Join("sms", target))
				if anchor != "" && !anchors[anchor] {
					t.Errorf("%s: the link %s names no heading there", path, m[1])
				}
			}
		}
		for i, line := range strings.Split(p.text, "\n") {
			if strings.TrimRight(line, " \t") != line {
				t.Errorf("%s:%d: ends in space", path, i+1)
			}
		}
		if !strings.Contains(p.text, "| idempotency |") || !strings.Contains(p.text, "Not confirmed") {
			t.Errorf("%s does not say whether there is idempotency, and what is not confirmed", path)
		}
		if !strings.Contains(read(t, "sms.md"), "("+path+")") {
			t.Errorf("sms.md has no link to %s", path)
		}
	}
}

// TestSMSNames holds that every option, member, placeholder and outcome of the
// senders is described.
func TestSMSNames(t *testing.T) {
	mentioned(t, "option", found(t, "../caddymodule/module_sms_http.go", 7, `\btext\("([a-z_]+)"`, `\bname: "([a-z_]+)"`), "sms.md")
	mentioned(t, "JSON name", found(t, "../caddymodule/module_sms_http.go", 10, "json:\"([a-z_]+),"), "sms.md")
	for _, name := range append(found(t, "../authflow/sms/httpsender/template.go", 8, `(?m)^\t"(\w+)": +func`),
		append(found(t, "../authflow/sms/httpsender/dlt.go", 3, `(?m)^\t\t"(dlt_\w+)": +func`), "unicode")...) {
		if !strings.Contains(read(t, "sms.md"), "`{sms."+name+"}`") {
			t.Errorf("sms.md does not mention the placeholder {sms.%s}", name)
		}
	}
	mentioned(t, "outcome", found(t, "../authflow/sms/dispatch.go", 4, `(?m)^\t(?:Sent|Failed|Timeout|Skipped) += "([a-z]+)"`), "sms.md")
}
