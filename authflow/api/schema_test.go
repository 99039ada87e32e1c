package api

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// schemas checks JSON values against the part of JSON Schema 2020-12 that the
// document uses. A keyword that it does not know fails the test, so that nothing
// is said in the document that nobody looks at.
type schemas struct {
	t    testing.TB
	root map[string]any // the document
}

func (s schemas) resolve(ref string) map[string]any {
	s.t.Helper()
	var at any = s.root
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		m, _ := at.(map[string]any)
		at = m[part]
	}
	m, ok := at.(map[string]any)
	if !ok {
		s.t.Fatalf("%s leads nowhere", ref)
	}
	return m
}

// check returns what is wrong with a value.
func (s schemas) check(schema map[string]any, v any, where string) (wrong []string) {
	s.t.Helper()
	say := func(format string, args ...any) { wrong = append(wrong, where+": "+fmt.Sprintf(format, args...)) }
	if ref, ok := schema["$ref"].(string); ok {
		return s.check(s.resolve(ref), v, where)
	}
	for _, keyword := range slices.Sorted(maps.Keys(schema)) {
		arg := schema[keyword]
		switch keyword {
		case "description":
		case "type":
			types, ok := arg.([]any)
			if !ok {
				types = []any{arg}
			}
			if !slices.Contains(types, any(typeOf(v))) {
				say("is %s, not %v", typeOf(v), arg)
			}
		case "enum":
			if !slices.Contains(arg.([]any), v) {
				say("%v is none of %v", v, arg)
			}
		case "pattern":
			if text, ok := v.(string); ok && !regexp.MustCompile(arg.(string)).MatchString(text) {
				say("%q does not match %s", text, arg)
			}
		case "format":
			if arg != "date-time" {
				s.t.Fatalf("the format %v is not looked at", arg)
			}
			if text, ok := v.(string); ok {
				if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
					say("%q is no time", text)
				}
			}
		case "minLength", "maxLength":
			if text, ok := v.(string); ok {
				n := float64(utf8.RuneCountInString(text))
				if keyword == "minLength" && n < arg.(float64) || keyword == "maxLength" && n > arg.(float64) {
					say("has %v characters, against %s %v", n, keyword, arg)
				}
			}
		case "minimum", "maximum":
			if n, ok := v.(float64); ok && (keyword == "minimum" && n < arg.(float64) || keyword == "maximum" && n > arg.(float64)) {
				say("%v is against %s %v", n, keyword, arg)
			}
		case "minItems", "maxItems":
			if list, ok := v.([]any); ok && (keyword == "minItems" && len(list) < int(arg.(float64)) || keyword == "maxItems" && len(list) > int(arg.(float64))) {
				say("has %d members, against %s %v", len(list), keyword, arg)
			}
		case "items":
			list, _ := v.([]any)
			for i, one := range list {
				wrong = append(wrong, s.check(arg.(map[string]any), one, fmt.Sprint(where, "[", i, "]"))...)
			}
		case "required":
			m, _ := v.(map[string]any)
			for _, name := range arg.([]any) {
				if _, ok := m[name.(string)]; !ok {
					say("has no %s", name)
				}
			}
		case "properties":
			m, _ := v.(map[string]any)
			for name, inner := range arg.(map[string]any) {
				if value, ok := m[name]; ok {
					wrong = append(wrong, s.check(inner.(map[string]any), value, where+"."+name)...)
				}
			}
		case "additionalProperties":
			if arg != false {
				s.t.Fatalf("additionalProperties %v is not looked at", arg)
			}
			known, _ := schema["properties"].(map[string]any)
			m, _ := v.(map[string]any)
			for name := range m {
				if _, ok := known[name]; !ok {
					say("has %s, which is not described", name)
				}
			}
		default:
			s.t.Fatalf("the keyword %s is not looked at", keyword)
		}
	}
	return wrong
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}
