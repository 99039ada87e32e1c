package httpsender

import (
	"fmt"
	"strings"

	"github.com/kycvs/caddy-kycvs/authflow/sms"
)

// opening begins a placeholder; "}" ends it. Other braces are text.
const opening = "{sms."

// values are the placeholders by what stands between opening and "}".
var values = map[string]func(sms.Message) string{
	"to":      func(m sms.Message) string { return m.To },
	"message": func(m sms.Message) string { return m.Text },
	"code":    func(m sms.Message) string { return m.Code },
	"txnId":   func(m sms.Message) string { return m.TxnID },
}

// template is text with placeholders, taken apart once: what is filled in is
// not looked at again.
type template struct{ parts []part }

// part is fixed text or, with a value, a placeholder.
type part struct {
	text   string
	value  func(sms.Message) string
	escape func(string) string
}

// parse returns a template for text, in which what placeholders yield is
// escaped by escape.
func parse(text string, escape func(string) string) (template, error) {
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
		value, ok := values[name]
		if !ok {
			return template{}, fmt.Errorf("%s%.32s} is not known: write {sms.to}, {sms.message}, {sms.code} or {sms.txnId}", opening, name)
		}
		t.parts = append(t.parts, part{value: value, escape: escape})
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
	for _, p := range t.parts {
		if p.value != nil {
			return true
		}
	}
	return false
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
