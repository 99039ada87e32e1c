package portal

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// sheet is what a template sees: the View as V, and around it the words and
// the small decisions that are not worth a template's logic.
type sheet struct {
	V         View
	Lang, Dir string
	frame     frame
	words     *language
	all       *catalogue

	Name, Site   string
	Return, For  string
	InForm       bool
	HasProblem   bool
	LanguagePage string
	NoticeLink   string
	PassLink     string
	ConsentsLink string
	ReceiptLink  string
	StartLink    string
}

func newSheet(all *catalogue, words *language, v View) *sheet {
	f := v.frame()
	s := &sheet{
		V: v, Lang: words.tag, Dir: words.dir, frame: f, words: words, all: all,
		Name: f.name, Site: f.site, Return: f.ret, For: f.partFor, InForm: f.inForm,
		HasProblem: f.problem, LanguagePage: f.languagePage,
	}
	s.NoticeLink = f.noticeURL
	if !isElsewhere(f.noticeURL) {
		s.NoticeLink = s.link("/.kycvs/notice", "", f.partFor)
	}
	s.PassLink = s.link("/.kycvs/pass", "", f.partFor)
	s.ConsentsLink = s.link(Prefix+consentsPage, "", "")
	s.ReceiptLink = s.link(Prefix+"receipt", "", f.partFor)
	s.StartLink = s.link("/.kycvs/", f.ret, f.partFor)
	if f.own {
		s.StartLink = s.ConsentsLink
	}
	return s
}

// isElsewhere says whether address is a notice that the operator keeps: a path
// on this site or an address in the web, and not our own page.
func isElsewhere(address string) bool {
	if strings.HasPrefix(address, "/.kycvs/notice") {
		return false
	}
	return localPath(address) != "" || isWeb(address)
}

// isWeb says whether address is one in the web, written as it should be.
func isWeb(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && isPlain(address)
}

// isPlain says whether address has none of the characters that stand in no
// address unescaped (RFC 3986, section 2), letters of any script apart.
func isPlain(address string) bool {
	return !strings.ContainsFunc(address, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune("\"<>\\^`{|}", r)
	})
}

// link is the address of one of our pages. It carries the language, so that
// one who chose it keeps it without a cookie.
func (s *sheet) link(page, ret, partner string) string {
	q := url.Values{"lang": {s.Lang}}
	if ret != "" {
		q.Set("return", ret)
	}
	if partner != "" {
		q.Set("for", partner)
	}
	return page + "?" + q.Encode()
}

// ShowNotice says whether the bottom of the page leads to the notice: not on
// the notice, and not on the consent page, where the text does.
func (s *sheet) ShowNotice() bool { return s.Name != "notice" && s.Name != "consent" }

// PassLinkFor is the address of the pass for another partner of this site.
func (s *sheet) PassLinkFor(partner string) string { return s.link("/.kycvs/pass", "", partner) }

// ReturnLink is where the person was going, empty where that is not a path on
// this site. The caller checked it already; a link that leads elsewhere under
// our name is worth a second look.
func (s *sheet) ReturnLink() string { return localPath(s.frame.ret) }

// DeclineLink is how a person says no in a redirect that a partner began: the
// same sealed text as in what the page leads back to, at the address that takes
// them back without an answer. Empty elsewhere.
func (s *sheet) DeclineLink() string {
	switch s.Name {
	case "consent", "code", "error":
	default:
		return ""
	}
	if s.frame.own {
		return ""
	}
	return declineLink(s.frame.ret)
}

// localPath returns path if a browser takes it for one on the same site, else
// "": not "//host", and nothing with a backslash or a control character, which
// browsers read as a slash or drop (WHATWG URL, section 4.4).
func localPath(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") ||
		strings.ContainsFunc(path, func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }) {
		return ""
	}
	return path
}

// T is the text under key with its placeholders filled from pairs of name and
// value. A key that is missing is an error: half a sentence is no notice.
func (s *sheet) T(key string, args ...any) (string, error) {
	text, ok := s.words.texts[key]
	if !ok {
		return "", fmt.Errorf("portal: %s has no text %q", s.Lang, key)
	}
	return expand(text, s.Dir == "rtl", args), nil
}

// languageChoice is another language to read the page in.
type languageChoice struct{ Tag, Dir, Name string }

// Languages are the others that this page can be read in.
func (s *sheet) Languages() []languageChoice {
	if s.LanguagePage == "" {
		return nil
	}
	var others []languageChoice
	for _, l := range s.all.languages {
		if l.tag != s.Lang {
			others = append(others, languageChoice{l.tag, l.dir, l.texts["lang.name"]})
		}
	}
	return others
}

// ManyLanguages says that the choice is folded away behind one line.
func (s *sheet) ManyLanguages() bool { return len(s.all.languages) > 4 }

// consentFields are the consent page's fields from top to bottom.
var consentFields = []string{"mobile_number", "full_name", "consent"}

// IsField says whether the consent page has a field of that name to jump to.
func (s *sheet) IsField(name string) bool { return slices.Contains(consentFields, name) }

// Problems are what is wrong with the form, from top to bottom; what is wrong
// with the whole of it comes first.
func (s *sheet) Problems() []FieldProblem {
	return slices.SortedStableFunc(slices.Values(s.frame.fields), func(a, b FieldProblem) int {
		return slices.Index(consentFields, a.Field) - slices.Index(consentFields, b.Field)
	})
}

// FieldProblem is the sentence about one field, empty where all is well.
func (s *sheet) FieldProblem(field string) string {
	for _, p := range s.frame.fields {
		if p.Field == field {
			return s.Message(p.Code)
		}
	}
	return ""
}

// Country is the code of the country that a number without one is taken for.
func (s *sheet) Country() string { return s.frame.country }

// known returns code, or "internal" where there is no text for it.
func (l *language) known(code string) string {
	if _, ok := l.texts["error."+code+".title"]; !ok {
		return "internal"
	}
	return code
}

// Message is the sentence that explains an error code.
func (s *sheet) Message(code string) string {
	return s.words.texts["error."+s.words.known(code)]
}

// ErrorCode is the code that the page is about.
func (s *sheet) ErrorCode() string { return s.words.known(s.frame.code) }

// ErrorTitle is its heading.
func (s *sheet) ErrorTitle() (string, error) { return s.T("error." + s.ErrorCode() + ".title") }

// Help is what the person can do about it, a sentence or a few each.
func (s *sheet) Help(code string) ([]string, error) {
	partner := s.frame.partner
	if partner == "" {
		partner = s.words.texts["common.this_site"]
	}
	text, err := s.T("error."+s.words.known(code)+".help", "partner", partner)
	return strings.Split(text, "\n"), err
}

// Trouble is the sentence about what was just sent, empty where all is well.
func (s *sheet) Trouble() (string, error) {
	switch {
	case !s.frame.problem:
		return "", nil
	case s.frame.problemKey != "":
		return s.T(s.frame.problemKey)
	}
	return s.Message(s.frame.code), nil
}

// IsTyped says whether the trouble is with what was typed, not with when.
func (s *sheet) IsTyped() bool {
	return s.frame.problem && (s.frame.problemKey != "" || strings.HasPrefix(s.frame.code, "otp_"))
}

// CodeTitle is the heading of the page that asks for the code.
func (s *sheet) CodeTitle() (string, error) {
	if s.frame.inForm {
		return s.T(s.frame.titleKey)
	}
	return s.ErrorTitle()
}

// LooseLength is the longest code that can be typed or pasted: one with
// spaces or hyphens between its digits, and some of either around it.
func (s *sheet) LooseLength() int {
	return max(16, 4*s.frame.codeLength)
}

// Wait asks for patience, where trying again at once is of no use.
func (s *sheet) Wait() (string, error) {
	if s.frame.wait <= 0 {
		return "", nil
	}
	return s.T("common.wait", "time", s.WaitTime(s.frame.wait))
}

// Status is a vaccination status in words. One that does not exist is an
// error: no answer is not 0.
func (s *sheet) Status(status int) (string, error) {
	return s.T(fmt.Sprintf("status.%d", status))
}

// StatusMore explains a status.
func (s *sheet) StatusMore(status int) (string, error) {
	return s.T(fmt.Sprintf("status.%d.more", status))
}

// labelled is a line of a list of terms.
type labelled struct{ Label, Text string }

// Levels are the statuses that a refusal compares.
func (s *sheet) Levels() ([]labelled, error) {
	var lines []labelled
	for _, l := range s.frame.levels {
		label, err := s.T(l.label)
		if err != nil {
			return nil, err
		}
		text, err := s.T(fmt.Sprintf("%s%d", l.prefix, l.status))
		if err != nil {
			return nil, err
		}
		lines = append(lines, labelled{label, text})
	}
	return lines, nil
}

// target is a link.
type target struct{ Link, Text string }

// Onward is the button that leads on, nil where there is nowhere to go.
func (s *sheet) Onward() (*target, error) {
	path := localPath(s.frame.onward)
	if path == "" {
		return nil, nil
	}
	text, err := s.T(s.frame.onwardKey)
	return &target{path, text}, err
}

// Controller is who answers for the data.
func (s *sheet) Controller() string { return s.frame.controller }

// Reach makes a link of an email or web address, and leaves anything else as
// it is.
func (s *sheet) Reach(address string) target {
	mail := strings.TrimPrefix(address, "mailto:")
	switch {
	case isWeb(address):
		return target{address, address}
	case isPlain(mail) && strings.Count(mail, "@") == 1 && !strings.ContainsAny(mail, ":/?#%&,;"):
		return target{"mailto:" + mail, mail}
	}
	return target{Text: address}
}

// NoticeVersion is what the notice says of itself.
func (s *sheet) NoticeVersion() string {
	return cmp.Or(s.frame.version, NoticeVersion(s.Lang))
}

// Lasts says how long something lasts, rounded down: it must not promise more
// than there is.
func (s *sheet) Lasts(d time.Duration) string { return s.words.duration(d, false) }

// WaitTime says how long to wait, rounded up: whoever waits that long has
// waited long enough.
func (s *sheet) WaitTime(d time.Duration) string { return s.words.duration(d, true) }

// stamp is a point in time for a program and for a person.
type stamp struct{ RFC3339, Text string }

// ist is India's time, which has no summer time and needs no zone file.
var ist = time.FixedZone("IST", 5*60*60+30*60)

// Time writes day, month and year as in India, in the time's own zone; one
// that is in UTC, as on most servers, is shown as Indian time.
func (s *sheet) Time(t time.Time) stamp {
	t = s.inZone(t)
	return stamp{t.Format(time.RFC3339), t.Format("02-01-2006, 15:04 MST")}
}

func (s *sheet) inZone(t time.Time) time.Time {
	if name, offset := t.Zone(); name == "UTC" && offset == 0 {
		return t.In(ist)
	}
	return t
}
