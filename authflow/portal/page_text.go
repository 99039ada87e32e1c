package portal

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	xlanguage "golang.org/x/text/language"
)

// A language is one file of lang, named by its BCP 47 tag: flat keys, texts
// with {name} for what is filled in. "lang.name" is the language's own name
// and "lang.dir" the direction it is written in. The texts are plain: no
// markup, since templates escape them like everything else. A text that stands
// for a list has a line for each of its items.
//
//go:embed lang/*.json
var languageFiles embed.FS

// fallback is the language for whoever asks for none that is here.
const fallback = "en"

// language is the texts of one language.
type language struct {
	tag   string
	dir   string // "ltr" or "rtl"
	texts map[string]string
}

// catalogue is all languages, English first, then by tag.
type catalogue struct {
	languages []*language
	byTag     map[string]*language
	matcher   xlanguage.Matcher
}

// texts reads the built-in catalogue, once.
var texts = sync.OnceValues(func() (*catalogue, error) { return readCatalogue(languageFiles) })

func readCatalogue(files fs.FS) (*catalogue, error) {
	names, err := fs.Glob(files, "lang/*.json")
	if err != nil {
		return nil, fmt.Errorf("portal: listing the languages: %w", err)
	}
	c := &catalogue{byTag: make(map[string]*language, len(names))}
	for _, name := range names {
		l, err := readLanguage(files, name)
		if err != nil {
			return nil, fmt.Errorf("portal: reading %s: %w", name, err)
		}
		c.languages = append(c.languages, l)
		c.byTag[l.tag] = l
	}
	if c.byTag[fallback] == nil {
		return nil, fmt.Errorf("portal: lang/%s.json is missing: it is the language for whoever speaks no other", fallback)
	}
	slices.SortFunc(c.languages, func(a, b *language) int {
		switch {
		case a.tag == fallback:
			return -1
		case b.tag == fallback:
			return 1
		}
		return strings.Compare(a.tag, b.tag)
	})
	tags := make([]xlanguage.Tag, len(c.languages))
	for i, l := range c.languages {
		tags[i] = xlanguage.MustParse(l.tag) // readLanguage parsed it
	}
	c.matcher = xlanguage.NewMatcher(tags)
	return c, nil
}

func readLanguage(files fs.FS, name string) (*language, error) {
	tag := strings.TrimSuffix(strings.TrimPrefix(name, "lang/"), ".json")
	if parsed, err := xlanguage.Parse(tag); err != nil || parsed.String() != tag {
		return nil, fmt.Errorf("%q is not a language tag in its canonical form (BCP 47)", tag)
	}
	content, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	l := &language{tag: tag}
	if err := json.Unmarshal(content, &l.texts); err != nil {
		return nil, err
	}
	if l.dir = l.texts["lang.dir"]; l.dir != "ltr" && l.dir != "rtl" {
		return nil, fmt.Errorf(`lang.dir is %q; write "ltr" or "rtl"`, l.dir)
	}
	return l, nil
}

// language returns the texts for tag, English where there are none.
func (c *catalogue) language(tag string) *language {
	if l := c.byTag[tag]; l != nil {
		return l
	}
	return c.byTag[fallback]
}

// Languages are the tags of the languages there are, English first.
func Languages() []string {
	c, err := texts()
	if err != nil {
		return []string{fallback}
	}
	tags := make([]string, len(c.languages))
	for i, l := range c.languages {
		tags[i] = l.tag
	}
	return tags
}

// Text returns the text under key in lang, in English where lang is not known,
// with its placeholders filled from args: pairs of name and value, as in
// Text("en", "sms.text", "code", "123456", …). Values are put in as they are,
// so the text is plain text, not HTML. A key that is not known is returned
// itself.
func Text(lang, key string, args ...any) string {
	c, err := texts()
	if err != nil {
		return key
	}
	text, ok := c.language(lang).texts[key]
	if !ok {
		return key
	}
	return expand(text, false, args)
}

// Message explains an error code of the contract, or a RefusalKind, in one or
// two sentences, as problem+json's detail (RFC 9457) and as a page show it.
// For a code that is not known it says that something went wrong on our side.
func Message(lang, code string) string {
	c, err := texts()
	if err != nil {
		return code
	}
	l := c.language(lang)
	return l.texts["error."+l.known(RefusalKind(code).code())]
}

// waitText asks for patience, in plain words, where trying again at once is of no
// use; it is empty where there is nothing to wait for.
func waitText(lang string, d time.Duration) string {
	c, err := texts()
	if err != nil || d <= 0 {
		return ""
	}
	l := c.language(lang)
	return expand(l.texts["common.wait"], false, []any{"time", l.duration(d, true)})
}

// expand fills the {name}s of text from args, pairs of name and value, in one
// pass: what is put in is never looked at again, whatever it contains. With
// isolate each value stands between FIRST STRONG ISOLATE and POP DIRECTIONAL
// ISOLATE (Unicode UAX 9), so that a Latin name or a number inside
// right-to-left text does not reorder what is around it.
func expand(text string, isolate bool, args []any) string {
	if len(args) == 0 {
		return text
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, after, ok := strings.Cut(rest, "}")
		value, found := argument(args, name)
		if !ok || !found {
			b.WriteByte('{')
			text = rest
			continue
		}
		if isolate {
			value = "\u2068" + value + "\u2069"
		}
		b.WriteString(value)
		text = after
	}
}

// argument finds the value that follows name in args.
func argument(args []any, name string) (string, bool) {
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] == name {
			return fmt.Sprint(args[i+1]), true
		}
	}
	return "", false
}

// duration says d in one unit. Nobody is helped by "1 minute 3 seconds", so a
// unit is used from twice its length on, or where it fits exactly.
func (l *language) duration(d time.Duration, up bool) string {
	if !up {
		// What is left of three minutes when the page is made is still three.
		d = d.Round(time.Second)
	}
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		if unit.length > time.Second && d < 2*unit.length && d != unit.length {
			continue
		}
		n := d / unit.length
		if up && d%unit.length > 0 {
			n++
		}
		if n = max(n, 1); n == 1 {
			return l.texts["time."+unit.name]
		}
		return expand(l.texts["time."+unit.name+"s"], false, []any{"n", int64(n)})
	}
	return "" // not reached: the last unit takes what is left
}
