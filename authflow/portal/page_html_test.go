package portal

import (
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// element is one element of a page.
type element struct {
	name  string
	attrs map[string]string
	text  string // of everything inside it
}

// elements reads a page as a browser does and returns its elements in order.
func elements(t testing.TB, page string) []element {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var all []element
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		e := element{name: n.Data, attrs: map[string]string{}}
		for _, a := range n.Attr {
			if _, doubled := e.attrs[a.Key]; doubled {
				t.Errorf("<%s> has %s twice", n.Data, a.Key)
			}
			e.attrs[a.Key] = a.Val
		}
		var b strings.Builder
		for c := range n.Descendants() {
			if c.Type == html.TextNode {
				b.WriteString(c.Data)
			}
		}
		e.text = strings.TrimSpace(b.String())
		all = append(all, e)
	}
	return all
}

// What a screen reader, a keyboard and a browser's autofill need of every
// page.
func TestPagesAreAccessible(t *testing.T) {
	p := newPages(t)
	autocomplete := map[string]string{
		"mobile_number": "tel", "full_name": "name", "otp": "one-time-code", "birth_year": "bday-year",
	}
	for _, lang := range Languages() {
		for _, s := range samples() {
			t.Run(s.name+"."+lang, func(t *testing.T) {
				all := elements(t, write(t, p, s.status, lang, s.view).Body.String())
				ids, labels := map[string]element{}, map[string]element{}
				count := map[string]int{}
				for _, e := range all {
					count[e.name]++
					if id, ok := e.attrs["id"]; ok {
						if _, doubled := ids[id]; doubled || id == "" {
							t.Errorf("the id %q stands twice or is empty", id)
						}
						ids[id] = e
					}
					if e.name == "label" {
						labels[e.attrs["for"]] = e
					}
				}
				for _, once := range []string{"h1", "title", "main", "header", "footer"} {
					if count[once] != 1 {
						t.Errorf("%d <%s>, want 1", count[once], once)
					}
				}
				for _, never := range []string{"script", "img", "link", "iframe", "object", "base", "svg"} {
					if count[never] != 0 {
						t.Errorf("the page has <%s>", never)
					}
				}
				level := 0
				for _, e := range all {
					for attr := range e.attrs {
						if strings.HasPrefix(attr, "on") || attr == "style" {
							t.Errorf("<%s> has %s, which the policy forbids", e.name, attr)
						}
					}
					for _, id := range strings.Fields(e.attrs["aria-describedby"] + " " + e.attrs["aria-labelledby"]) {
						if d, ok := ids[id]; !ok || d.text == "" {
							t.Errorf("<%s %s> is described by %q, which is not there or empty", e.name, e.attrs["id"], id)
						}
					}
					switch e.name {
					case "html":
						if e.attrs["lang"] != lang || e.attrs["dir"] == "" {
							t.Errorf("<html> is in %q %q", e.attrs["lang"], e.attrs["dir"])
						}
					case "input":
						if e.attrs["type"] == "hidden" {
							continue
						}
						if l, ok := labels[e.attrs["id"]]; !ok || l.text == "" {
							t.Errorf("the field %q has no label", e.attrs["name"])
						}
						if want := autocomplete[e.attrs["name"]]; e.attrs["autocomplete"] != want {
							t.Errorf("the field %q has autocomplete %q, want %q", e.attrs["name"], e.attrs["autocomplete"], want)
						}
						if _, bad := e.attrs["aria-invalid"]; bad && e.attrs["aria-describedby"] == "" {
							t.Errorf("the field %q is wrong and nothing says why", e.attrs["name"])
						}
					case "a", "button", "h1", "h2", "h3", "summary", "title", "dt", "dd", "li", "p":
						if e.text == "" {
							t.Errorf("a <%s> is empty", e.name)
						}
						if e.attrs["target"] == "_blank" && !strings.Contains(e.text, Text(lang, "common.new_tab")) {
							t.Errorf("the link %q opens a tab and does not say so", e.text)
						}
						if target, ok := strings.CutPrefix(e.attrs["href"], "#"); ok {
							if _, there := ids[target]; !there {
								t.Errorf("a link leads to %q, which is not there", target)
							}
						}
					case "form":
						if a := e.attrs["action"]; !strings.HasPrefix(a, "/.kycvs/") {
							t.Errorf("a form goes to %q", a)
						}
						if m := e.attrs["method"]; m != "post" && (m != "" || e.attrs["class"] != "lang") {
							t.Errorf("a form has the method %q", m)
						}
					}
					if len(e.name) == 2 && e.name[0] == 'h' && e.name[1] <= '6' {
						if n := int(e.name[1] - '0'); n > level+1 && level > 0 {
							t.Errorf("<%s> follows h%d", e.name, level)
						} else {
							level = n
						}
					}
				}
			})
		}
	}
}

func field(t testing.TB, all []element, name string) element {
	t.Helper()
	for _, e := range all {
		if e.name == "input" && e.attrs["name"] == name {
			return e
		}
	}
	return element{}
}

func TestConsentForm(t *testing.T) {
	p := newPages(t)
	page := func(v View) []element { return elements(t, write(t, p, 200, "hi", v).Body.String()) }

	all := page(ConsentView{Partner: "Mall", Purpose: "Entry", Return: "/a?b=c&d=\"", For: "mall"})
	for name, want := range map[string]string{
		"return": "/a?b=c&d=\"", "for": "mall", "lang": "hi", "consent": "Y", "mobile_number": "", "full_name": "",
	} {
		if got := field(t, all, name); got.name == "" || got.attrs["value"] != want {
			t.Errorf("the field %q is %q, want %q", name, got.attrs["value"], want)
		}
	}
	if _, ticked := field(t, all, "consent").attrs["checked"]; ticked {
		t.Error("the box is ticked before the person ticks it")
	}
	all = page(ConsentView{Partner: "Mall", Purpose: "Entry", Ticked: true, Mobile: "+91 98765", Name: "O'Neil <b>"})
	if _, ticked := field(t, all, "consent").attrs["checked"]; !ticked {
		t.Error("the box is not ticked again")
	}
	if got := field(t, all, "for"); got.name != "" {
		t.Error("an empty for is sent")
	}
	if got := field(t, all, "mobile_number").attrs["value"]; got != "+91 98765" {
		t.Errorf("the number is %q", got)
	}
	if got := field(t, all, "full_name").attrs["value"]; got != "O'Neil <b>" {
		t.Errorf("the name is %q", got)
	}
}

func TestCodeForms(t *testing.T) {
	p := newPages(t)
	for _, tt := range []struct {
		name  string
		view  CodeView
		forms string
		typed string
	}{
		{"code", CodeView{CodeLength: 6}, "/.kycvs/verify /.kycvs/otp", "otp"},
		{"birth year", CodeView{NeedBirthYear: true}, "/.kycvs/verify", "birth_year"},
		{"dead", CodeView{Dead: true}, "", ""},
		{"dead with birth year", CodeView{Dead: true, NeedBirthYear: true}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.view.Partner, tt.view.Purpose, tt.view.TxnID, tt.view.Return = "Mall", "Entry", "the-txn", "/back"
			all := elements(t, write(t, p, 200, "en", tt.view).Body.String())
			var forms, typed []string
			txns, start := 0, false
			for _, e := range all {
				switch {
				case e.name == "form":
					forms = append(forms, e.attrs["action"])
				case e.name == "input" && e.attrs["type"] != "hidden":
					typed = append(typed, e.attrs["name"])
				case e.name == "input" && e.attrs["name"] == "txnId" && e.attrs["value"] == "the-txn":
					txns++
				case e.name == "a" && e.attrs["href"] == "/.kycvs/?lang=en&return=%2Fback":
					start = true
				}
			}
			if got := strings.Join(forms, " "); got != tt.forms {
				t.Errorf("forms %q, want %q", got, tt.forms)
			}
			if got := strings.Join(typed, " "); got != tt.typed {
				t.Errorf("fields %q, want %q", got, tt.typed)
			}
			if txns != len(forms) {
				t.Errorf("%d of %d forms have the txnId", txns, len(forms))
			}
			if !start {
				t.Error("no link to start again")
			}
		})
	}
	all := elements(t, write(t, p, 200, "en", CodeView{Partner: "M", Purpose: "E", CodeLength: 6}).Body.String())
	if n := field(t, all, "otp").attrs["maxlength"]; n != "24" {
		t.Errorf("maxlength %s: a code pasted as \"1 2 3 - 4 5 6\" must fit", n)
	}
}

// hostile are values that would do harm where they are not escaped for the
// place they stand in.
var hostile = []string{
	`"><script>alert(1)</script>`, `' onfocus='alert(1)' autofocus='`, `</title><script>alert(1)</script>`,
	`</style><script>alert(1)</script>`, `javascript:alert(1)`, `//evil.example/`, `/\evil.example/`, "/\t/evil.example/",
	`https://evil.example/`, `data:text/html,<script>alert(1)</script>`, `{{.V}}{partner}{code}`, "\x00\xff\ufeff", `<!--`, `&lt;b&gt;`,
	"\u202e\u2066", strings.Repeat("x", 5000),
}

// checkHarmless fails if a page made of hostile values has anything but our
// own elements and addresses.
func checkHarmless(t *testing.T, page string, outside bool) {
	t.Helper()
	if !utf8.ValidString(page) {
		t.Error("the page is not UTF-8")
	}
	for _, e := range elements(t, page) {
		switch e.name {
		case "html", "head", "body", "meta", "title", "style", "header", "main", "footer", "p", "b", "br", "h1", "h2",
			"ul", "li", "dl", "dt", "dd", "a", "form", "input", "button", "label", "div", "span", "code", "time", "details", "summary", "section", "h3":
		default:
			t.Errorf("the page has <%s>", e.name)
		}
		for attr, value := range e.attrs {
			if strings.HasPrefix(attr, "on") || attr == "style" || attr == "src" || attr == "formaction" {
				t.Errorf("<%s> has %s", e.name, attr)
			}
			if attr == "autofocus" && e.name != "input" {
				t.Errorf("<%s> has autofocus", e.name)
			}
			if attr != "href" && attr != "action" {
				continue
			}
			u, err := url.Parse(value)
			if err != nil {
				t.Errorf("%s=%.60q: %.60v", attr, value, err)
				continue
			}
			switch {
			case outside && (u.Scheme == "https" || u.Scheme == "http" || u.Scheme == "mailto"): // the operator's own addresses
			case strings.HasPrefix(value, "#"):
			case u.Scheme != "" || u.Host != "" || !strings.HasPrefix(value, "/") || strings.HasPrefix(value, "//") || strings.HasPrefix(value, `/\`):
				t.Errorf("%s=%.60q leads off this site", attr, value)
			}
		}
	}
}

// operators says whether a View carries addresses that the operator writes,
// which may lead elsewhere.
func operators(v View) bool {
	switch v.(type) {
	case NoticeView, ConsentView, PassView:
		return true
	}
	return false
}

func TestHostileValues(t *testing.T) {
	p := newPages(t)
	for _, s := range samples() {
		for _, value := range hostile {
			v := fill(s.view, func(_, _ string) string {
				return value
			})
			checkHarmless(t, write(t, p, 200, "en", v).Body.String(), operators(v))
		}
	}
}

func FuzzPages(f *testing.F) {
	for i, value := range hostile {
		f.Add(i, value)
	}
	p := newPages(f)
	all := samples()
	f.Fuzz(func(t *testing.T, i int, value string) {
		s := all[uint(i)%uint(len(all))]
		v := fill(s.view, func(_, _ string) string { return value })
		checkHarmless(t, write(t, p, 200, "hi", v).Body.String(), operators(v))
	})
}

func TestLocalPath(t *testing.T) {
	for _, tt := range []struct{ path, want string }{
		{"/", "/"}, {"/a?b=//c", "/a?b=//c"}, {"/.kycvs/?return=%2Fx", "/.kycvs/?return=%2Fx"},
		{"", ""}, {"a", ""}, {"//evil", ""}, {`/\evil`, ""}, {"/\t/evil", ""}, {"https://evil", ""}, {`/a\b`, ""}, {"/a\nb", ""},
	} {
		if got := localPath(tt.path); got != tt.want {
			t.Errorf("localPath(%q) = %q, want %q", tt.path, got, tt.want)
		}
	}
}

func TestReach(t *testing.T) {
	s := &sheet{}
	for _, tt := range []struct{ name, address, link, text string }{
		{"email", "privacy@phoenix.example", "mailto:privacy@phoenix.example", "privacy@phoenix.example"},
		{"mailto", "mailto:privacy@phoenix.example", "mailto:privacy@phoenix.example", "privacy@phoenix.example"},
		{"web", "https://phoenix.example/g", "https://phoenix.example/g", "https://phoenix.example/g"},
		{"telephone", "+91 22 1234 5678", "", "+91 22 1234 5678"},
		{"words", "The desk on the ground floor", "", "The desk on the ground floor"},
		{"script", "javascript:alert(1)", "", "javascript:alert(1)"},
		{"web without a host", "https:evil", "", "https:evil"},
		{"two at signs", "a@b@c", "", "a@b@c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.Reach(tt.address); got.Link != tt.link || got.Text != tt.text {
				t.Errorf("got %+v, want %q %q", got, tt.link, tt.text)
			}
		})
	}
}

// A wrong code is told at the field; one asked for too early, or a record that
// needs a second question, is no mistake of what was typed.
func TestCodeProblems(t *testing.T) {
	p := newPages(t)
	for _, tt := range []struct {
		name           string
		view           CodeView
		alert, invalid bool
		says           string
	}{
		{"none", CodeView{}, false, false, ""},
		{"wrong code", CodeView{Problem: &CodeProblem{Code: "otp_invalid"}}, true, true, "This is not the right code."},
		{"too early", CodeView{Problem: &CodeProblem{Code: "too_many_requests", RetryAfter: 20 * time.Second}}, true, false, "Please wait 20 seconds."},
		{"year asked for", CodeView{NeedBirthYear: true, Problem: &CodeProblem{Code: "ambiguous"}}, false, false, "Your year of birth shows"},
		{"year unreadable", CodeView{NeedBirthYear: true, Problem: &CodeProblem{Code: "bad_request"}}, true, true, "Enter your year of birth"},
		{"last wrong code", CodeView{Dead: true, Problem: &CodeProblem{Code: "otp_invalid"}}, true, false, "A wrong code was entered too often."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.view.Partner, tt.view.Purpose = "Mall", "Entry"
			page := write(t, p, 200, "en", tt.view).Body.String()
			alert, invalid, problem := false, false, false
			for _, e := range elements(t, page) {
				alert = alert || e.attrs["role"] == "alert"
				invalid = invalid || e.attrs["aria-invalid"] == "true"
				problem = problem || e.name == "title" && strings.HasPrefix(e.text, "Problem: ")
			}
			if alert != tt.alert || problem != tt.alert || invalid != tt.invalid {
				t.Errorf("alert %v, problem in the title %v, field wrong %v; want %v, %v, %v", alert, problem, invalid, tt.alert, tt.alert, tt.invalid)
			}
			if !strings.Contains(page, tt.says) {
				t.Errorf("the page does not say %q:\n%s", tt.says, page)
			}
		})
	}
}

func TestTime(t *testing.T) {
	s := &sheet{}
	at := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		at   time.Time
		want stamp
	}{
		{"UTC is shown as Indian time", at, stamp{"2026-11-22T01:30:00+05:30", "22-11-2026, 01:30 IST"}},
		{"so is a server's local UTC", at.In(time.FixedZone("UTC", 0)), stamp{"2026-11-22T01:30:00+05:30", "22-11-2026, 01:30 IST"}},
		{"another zone stays", at.In(time.FixedZone("NPT", 5*3600+45*60)), stamp{"2026-11-22T01:45:00+05:45", "22-11-2026, 01:45 NPT"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.Time(tt.at); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNoticeLink(t *testing.T) {
	p := newPages(t)
	for _, tt := range []struct{ name, url, want string }{
		{"our own", "", "/.kycvs/notice?for=mall&lang=hi"},
		{"our own by name", "/.kycvs/notice?for=mall", "/.kycvs/notice?for=mall&lang=hi"},
		{"a page of the site", "/privacy", "/privacy"},
		{"a page elsewhere", "https://phoenix.example/privacy", "https://phoenix.example/privacy"},
		{"a script", "javascript:alert(1)", "/.kycvs/notice?for=mall&lang=hi"},
		{"no scheme", "//phoenix.example/", "/.kycvs/notice?for=mall&lang=hi"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := ConsentView{Partner: "Mall", Purpose: "Entry", For: "mall", NoticeURL: tt.url}
			for _, e := range elements(t, write(t, p, 200, "hi", v).Body.String()) {
				if e.name == "a" && strings.HasPrefix(e.text, Text("hi", "consent.full")) {
					if e.attrs["href"] != tt.want {
						t.Errorf("the link leads to %q, want %q", e.attrs["href"], tt.want)
					}
					return
				}
			}
			t.Error("no link to the notice")
		})
	}
}

func TestProblemsStandInTheOrderOfTheForm(t *testing.T) {
	v := ConsentView{Partner: "Mall", Purpose: "Entry", Problems: []FieldProblem{
		{"consent", "consent_required"}, {"full_name", "name_invalid"}, {"mobile_number", "mobile_invalid"}, {"", "bad_request"},
	}}
	page := write(t, newPages(t), 400, "en", v).Body.String()
	at := -1
	for _, code := range []string{"bad_request", "mobile_invalid", "name_invalid", "consent_required"} {
		i := strings.Index(page, Message("en", code))
		if i <= at {
			t.Errorf("%s is missing or stands too early", code)
		}
		at = i
	}
	if v.Problems[0].Field != "consent" {
		t.Error("the caller's list was changed")
	}
}
