package httpsender

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"github.com/kycvs/caddy-kycvs/authflow/sms"
)

// opening begins a placeholder; "}" ends it. Other braces are text.
const opening = "{sms."

// placeholders are what they stand for by what stands between opening and "}".
type placeholders map[string]func(sms.Message) string

// common are the placeholders that every Sender has.
var common = placeholders{
	"to":          func(m sms.Message) string { return m.To },
	"to_digits":   func(m sms.Message) string { return strings.TrimPrefix(m.To, "+") },
	"to_national": func(m sms.Message) string { return national(m.To) },
	"message":     func(m sms.Message) string { return m.Text },
	"code":        func(m sms.Message) string { return m.Code },
	"txnId":       func(m sms.Message) string { return m.TxnID },
	"id":          func(m sms.Message) string { return m.ID },
	"lang":        func(m sms.Message) string { return m.Lang },
}

// national returns the number without its country code, as it stands behind
// it, or all its digits if that cannot be told.
func national(number string) string {
	n, err := phonenumbers.Parse(number, phonenumbers.UNKNOWN_REGION)
	if err != nil {
		return strings.TrimPrefix(number, "+")
	}
	return phonenumbers.GetNationalSignificantNumber(n)
}

// unknown returns the error for a placeholder that is none.
func (p placeholders) unknown(name string) error {
	switch {
	case strings.HasPrefix(name, "dlt_"):
		if p["dlt_entity"] == nil {
			return fmt.Errorf("%s%.32s} needs what is registered: write a block `dlt`", opening, name)
		}
	case name == "unicode":
		return fmt.Errorf("%s%s} needs the provider's words: write e.g. `unicode 1 0`", opening, name)
	}
	names := slices.Sorted(maps.Keys(p))
	for i, n := range names {
		names[i] = opening + n + "}"
	}
	last := len(names) - 1
	return fmt.Errorf("%s%.32s} is not known: write %s or %s", opening, name, strings.Join(names[:last], ", "), names[last])
}

// template is text with placeholders, taken apart once: what is filled in is
// not looked at again.
type template struct{ parts []part }

// part is fixed text or, with a value, a placeholder.
type part struct {
	text   string
	name   string
	value  func(sms.Message) string
	escape func(string) string
}

// parse returns a template for text, in which what placeholders yield is
// escaped by escape.
func (p placeholders) parse(text string, escape func(string) string) (template, error) {
	var t template
	for {
		before, rest, found := strings.Cut(text, opening)
		t = t.then(before)
		if !found {
			return t, nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return template{}, fmt.Errorf("a placeholder begins with %s and has no } at its end", opening)
		}
		value, ok := p[name]
		if !ok {
			return template{}, p.unknown(name)
		}
		t.parts = append(t.parts, part{name: name, value: value, escape: escape})
		text = after
	}
}

// then returns t with fixed text behind it.
func (t template) then(text string) template {
	if text != "" {
		t.parts = append(t.parts, part{text: text})
	}
	return t
}

// join returns t with u behind it.
func (t template) join(u template) template {
	t.parts = append(t.parts, u.parts...)
	return t
}

// dynamic returns whether t has a placeholder.
func (t template) dynamic() bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.value != nil })
}

// note adds the names of t's placeholders to used.
func (t template) note(used map[string]bool) {
	for _, p := range t.parts {
		if p.value != nil {
			used[p.name] = true
		}
	}
}

// fill returns the text for m.
func (t template) fill(m sms.Message) string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.value == nil {
			b.WriteString(p.text)
		} else {
			b.WriteString(p.escape(p.value(m)))
		}
	}
	return b.String()
}
