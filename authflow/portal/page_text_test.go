package portal

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// contractCodes is the table of the contract, section 4.
var contractCodes = []string{
	"consent_required", "mobile_invalid", "name_invalid", "otp_missing", "bad_request",
	"otp_invalid", "otp_expired", "otp_attempts", "txn_unknown",
	"cross_origin", "no_record", "ambiguous", "too_large", "status_too_low",
	"too_many_requests", "unavailable", "locked", "at_authority", "withdrawn_partly", "self_partly",
}

var refusalKinds = []RefusalKind{
	RefusalSignIn, RefusalTooLow, RefusalAmbiguousPath, RefusalMethod,
	RefusalUnavailable, RefusalNotFound, RefusalInternal,
}

var placeholder = regexp.MustCompile(`\{([^{}]*)\}`)

func placeholders(text string) []string {
	var names []string
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func allLanguages(t testing.TB) []*language {
	t.Helper()
	c, err := texts()
	if err != nil {
		t.Fatal(err)
	}
	return c.languages
}

// Every language has English's keys, placeholders and numbers of list items,
// no more and no fewer.
func TestLanguagesAgree(t *testing.T) {
	languages := allLanguages(t)
	english := languages[0].texts
	for _, l := range languages[1:] {
		for key, want := range english {
			got, ok := l.texts[key]
			if !ok {
				t.Errorf("lang/%s.json lacks %q", l.tag, key)
				continue
			}
			if a, b := placeholders(got), placeholders(want); !slices.Equal(a, b) {
				t.Errorf("lang/%s.json: %q has the placeholders %q, want %q", l.tag, key, a, b)
			}
			if a, b := strings.Count(got, "\n"), strings.Count(want, "\n"); a != b {
				t.Errorf("lang/%s.json: %q has %d lines, want %d", l.tag, key, a+1, b+1)
			}
		}
		for key := range l.texts {
			if _, ok := english[key]; !ok {
				t.Errorf("lang/%s.json has %q, which English has not", l.tag, key)
			}
		}
	}
}

// encoding/json takes the last of two members of one name in silence.
func TestNoKeyStandsTwice(t *testing.T) {
	names, err := fs.Glob(languageFiles, "lang/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		content, err := fs.ReadFile(languageFiles, name)
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(content))
		seen := map[string]bool{}
		for i := -1; ; i++ { // -1 is the brace, then key and value in turn
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if key, ok := token.(string); ok && i%2 == 0 {
				if seen[key] {
					t.Errorf("%s has %q twice", name, key)
				}
				seen[key] = true
			}
		}
	}
}

// wrongInAnyText is what no text may contain.
var wrongInAnyText = []struct {
	name string
	re   *regexp.Regexp
}{
	{"markup", regexp.MustCompile(`[<>]|&[a-z#]`)},
	{"space at an end or doubled", regexp.MustCompile(`^\s|\s$|  |\n\s|[ \t]\n|\t|\r`)},
	{"a brace that is no placeholder", regexp.MustCompile(`\{[^{}]*(\{|$)|\{\}|\{[^a-z}]|(^|\})[^{]*\}`)},
	{"jargon", regexp.MustCompile(`(?i)\b(otp|txn|txnid|token|jwt|jws|hash|cookie jar|session|assertion|beneficiary|authenticat\w*|authoriz\w*|authoris\w*|credential\w*|invalid|http|url|api)\b`)},
}

func TestTextsAreText(t *testing.T) {
	for _, l := range allLanguages(t) {
		for key, text := range l.texts {
			for _, w := range wrongInAnyText {
				if w.re.MatchString(text) {
					t.Errorf("lang/%s.json: %q has %s: %q", l.tag, key, w.name, text)
				}
			}
			if !strings.ContainsFunc(placeholder.ReplaceAllString(text, ""), unicode.IsLetter) {
				t.Errorf("lang/%s.json: %q says nothing: %q", l.tag, key, text)
			}
			if !norm.NFC.IsNormalString(text) {
				t.Errorf("lang/%s.json: %q is not in normal form C", l.tag, key)
			}
			if strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d' }) {
				t.Errorf("lang/%s.json: %q has an invisible character other than a joiner", l.tag, key)
			}
		}
	}
}

// Whoever translates by copying forgets some.
func TestTextsAreTranslated(t *testing.T) {
	languages := allLanguages(t)
	english := languages[0].texts
	for _, l := range languages[1:] {
		for key, text := range l.texts {
			if text == english[key] && key != "lang.dir" {
				t.Errorf("lang/%s.json: %q is still in English", l.tag, key)
			}
		}
	}
}

// Sentences are short: at most 20 English words.
func TestSentencesAreShort(t *testing.T) {
	for key, text := range allLanguages(t)[0].texts {
		if key == "consent.tick" { // one act, one sentence
			continue
		}
		for _, sentence := range regexp.MustCompile(`[.?!:]\s|\n`).Split(text, -1) {
			if n := len(strings.Fields(sentence)); n > 20 {
				t.Errorf("%q has a sentence of %d words: %q", key, n, sentence)
			}
		}
	}
}

// usedElsewhere are keys that no template names: they are put together in
// code, or for other packages.
var usedElsewhere = regexp.MustCompile(`^(lang\.|time\.|sms\.|purpose\.default$|status\.[012](\.more)?$|need\.[012]$|error\.|common\.(wait|this_site|start|start_again|check_again|back)$|(code|birth)\.title$|birth\.wrong$|record\.(how|reason)\.|common\.consents$)`)

func TestTemplatesAndTextsAgree(t *testing.T) {
	english := allLanguages(t)[0].texts
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	call := regexp.MustCompile(`\.T "([^"]+)"((?: "[a-z]+" (?:\([^)]*\)|[^\s()}]+))*)`)
	argument := regexp.MustCompile(`"([a-z]+)" `)
	for _, name := range names {
		content, err := fs.ReadFile(templateFiles, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllStringSubmatch(string(content), -1) {
			used[m[1]] = true
			given := map[string]bool{}
			for _, a := range argument.FindAllStringSubmatch(m[2], -1) {
				given[a[1]] = true
			}
			for _, p := range placeholders(english[m[1]]) {
				if !given[p] {
					t.Errorf("%s uses %q without {%s}", path.Base(name), m[1], p)
				}
			}
			if _, ok := english[m[1]]; !ok {
				t.Errorf("%s uses %q, which is not in the catalogue", path.Base(name), m[1])
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(english)) {
		if !used[key] && !usedElsewhere.MatchString(key) {
			t.Errorf("nothing uses %q", key)
		}
	}
}

func TestEveryCodeHasTexts(t *testing.T) {
	codes := slices.Clone(contractCodes)
	for _, k := range refusalKinds {
		codes = append(codes, k.code())
	}
	for _, l := range allLanguages(t) {
		for _, code := range codes {
			for _, part := range []string{"", ".title", ".help"} {
				if l.texts["error."+code+part] == "" {
					t.Errorf("lang/%s.json lacks %q", l.tag, "error."+code+part)
				}
			}
			internal := Message(l.tag, "internal")
			if m := Message(l.tag, code); m == "" || m == internal && code != "internal" {
				t.Errorf("Message(%q, %q) = %q", l.tag, code, m)
			}
		}
	}
}

func TestMessage(t *testing.T) {
	for _, tt := range []struct{ name, lang, code, want string }{
		{"of the contract", "en", "otp_invalid", "This is not the right code. Use the newest message."},
		{"a refusal", "en", "too_low", "More is needed here than your pass shows."},
		{"unknown code", "en", "no_such_code", "Something went wrong on our side. This is not about you."},
		{"part of a key", "en", "otp_invalid.title", "Something went wrong on our side. This is not about you."},
		{"empty", "en", "", "Something went wrong on our side. This is not about you."},
		{"unknown language", "xx", "otp_missing", "Enter the code from the text message."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Message(tt.lang, tt.code); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestExpand(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		args       []any
		want       string
	}{
		{"nothing to fill", "plain", nil, "plain"},
		{"two", "{a} and {b}", []any{"a", "x", "b", 2}, "x and 2"},
		{"the same twice", "{a}{a}", []any{"a", "x"}, "xx"},
		{"a value is never filled again", "{a} {b}", []any{"a", "{b}", "b", "{a}"}, "{b} {a}"},
		{"a value is taken as it is", "{a}", []any{"a", "<b>&\n{"}, "<b>&\n{"},
		{"not given", "{a} {b}", []any{"a", "x"}, "x {b}"},
		{"open brace", "{a} {", []any{"a", "x"}, "x {"},
		{"brace in brace", "{{a}}", []any{"a", "x"}, "{x}"},
		{"name without a value", "{a}", []any{"a"}, "{a}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := expand(tt.text, false, tt.args); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if got, want := expand("{a}!", true, []any{"a", "x"}), "\u2068x\u2069!"; got != want {
		t.Errorf("isolated: got %q, want %q", got, want)
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("{a} is {b}", "x", "{a}")
	f.Add("{{a}", "{", "}")
	f.Fuzz(func(t *testing.T, text, a, b string) {
		got := expand(text, false, []any{"a", a, "b", b})
		want := strings.NewReplacer("{a}", a, "{b}", b).Replace(text)
		if got != want {
			t.Errorf("expand(%q, %q, %q) = %q, want %q", text, a, b, got, want)
		}
	})
}

func TestDuration(t *testing.T) {
	for _, tt := range []struct {
		d        time.Duration
		down, up string
	}{
		{0, "1 second", "1 second"},
		{time.Second, "1 second", "1 second"},
		{1100 * time.Millisecond, "1 second", "2 seconds"},
		{30 * time.Second, "30 seconds", "30 seconds"},
		{time.Minute, "1 minute", "1 minute"},
		{90 * time.Second, "90 seconds", "90 seconds"},
		{2 * time.Minute, "2 minutes", "2 minutes"},
		{3*time.Minute - 200*time.Millisecond, "3 minutes", "3 minutes"},
		{3*time.Minute - 2*time.Second, "2 minutes", "3 minutes"},
		{time.Hour, "1 hour", "1 hour"},
		{61 * time.Minute, "61 minutes", "61 minutes"},
		{11*time.Hour + time.Minute, "11 hours", "12 hours"},
		{24 * time.Hour, "1 day", "1 day"},
		{36 * time.Hour, "36 hours", "36 hours"},
		{30 * 24 * time.Hour, "30 days", "30 days"},
	} {
		l := allLanguages(t)[0]
		if got := l.duration(tt.d, false); got != tt.down {
			t.Errorf("%v rounded down: %q, want %q", tt.d, got, tt.down)
		}
		if got := l.duration(tt.d, true); got != tt.up {
			t.Errorf("%v rounded up: %q, want %q", tt.d, got, tt.up)
		}
	}
}

// A text message of 160 characters of the GSM alphabet is one message; a
// longer one is two, and paid for as two.
func TestSMSTextIsShort(t *testing.T) {
	text := Text("en", "sms.text", "code", "123456", "partner", "Phoenix Mall", "purpose", "Entry to the mall")
	const lastLine = "\n\n@mall.example #123456"
	if n := len(text + lastLine); n > 160 {
		t.Errorf("%d characters with the origin-bound line, want at most 160: %q", n, text)
	}
	for _, l := range allLanguages(t) {
		template := l.texts["sms.text"]
		if !strings.HasPrefix(template, "{code}") {
			t.Errorf("lang/%s.json: the text message begins with %q; a lock screen must show the code first", l.tag, template)
		}
		if want := []string{"code", "partner", "purpose"}; !slices.Equal(placeholders(template), want) {
			t.Errorf("lang/%s.json: the text message has %q, want %q", l.tag, placeholders(template), want)
		}
		if strings.Contains(template, "\n") {
			t.Errorf("lang/%s.json: the text message has more than one line; the last is the origin-bound one", l.tag)
		}
	}
}

// One more file is one more language, and nothing else: one that is written
// from right to left shows it.
func TestAnotherLanguageIsOneFile(t *testing.T) {
	files := fstest.MapFS{}
	for _, l := range allLanguages(t) {
		content, err := fs.ReadFile(languageFiles, "lang/"+l.tag+".json")
		if err != nil {
			t.Fatal(err)
		}
		files["lang/"+l.tag+".json"] = &fstest.MapFile{Data: content}
		if l.tag == "en" {
			for _, tag := range []string{"bn", "ta", "ur"} {
				dir := "ltr"
				if tag == "ur" {
					dir = "rtl"
				}
				other := strings.NewReplacer(`"lang.dir": "ltr"`, `"lang.dir": "`+dir+`"`, `"English"`, `"name of `+tag+`"`).Replace(string(content))
				files["lang/"+tag+".json"] = &fstest.MapFile{Data: []byte(other)}
			}
		}
	}
	c, err := readCatalogue(files)
	if err != nil {
		t.Fatal(err)
	}
	p := newPages(t)
	p.catalogue = c
	page := write(t, p, 200, "ur", samples()[0].view).Body.String()
	for _, want := range []string{
		`<html lang="ur" dir="rtl">`, "\u2068Phoenix Mall\u2069", "<details>", `lang="ta" dir="ltr">name of ta</button>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestBrokenCatalogues(t *testing.T) {
	const good = `{"lang.name":"English","lang.dir":"ltr"}`
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"no English", map[string]string{"hi": good}, "lang/en.json is missing"},
		{"not JSON", map[string]string{"en": `{`}, "lang/en.json"},
		{"nested", map[string]string{"en": `{"a":{}}`}, "lang/en.json"},
		{"no direction", map[string]string{"en": `{}`}, "lang.dir"},
		{"not a tag", map[string]string{"en": good, "deutsch-oder-so": good}, "BCP 47"},
		{"not canonical", map[string]string{"en": good, "HI": good}, "BCP 47"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := fstest.MapFS{}
			for tag, content := range tt.files {
				files["lang/"+tag+".json"] = &fstest.MapFile{Data: []byte(content)}
			}
			_, err := readCatalogue(files)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestNoticeVersion(t *testing.T) {
	en, hi := NoticeVersion("en"), NoticeVersion("hi")
	if !regexp.MustCompile(`^2-[0-9a-f]{12}$`).MatchString(en) {
		t.Errorf("version %q", en)
	}
	if en == hi {
		t.Error("two languages have one version, but not one text")
	}
	if NoticeVersion("xx") != en {
		t.Error("an unknown language is shown in English and must be recorded so")
	}
}
