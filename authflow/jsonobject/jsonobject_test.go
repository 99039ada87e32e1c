package jsonobject

import (
	"encoding/json"
	"errors"
	"testing"
)

var errStop = errors.New("stop")

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, body string
		members    int
		want       error
	}{
		{"empty", `{}`, 0, nil},
		{"members of all kinds", ` {"a":"x","b":1,"c":null,"d":{"a":1},"e":[1]} `, 5, nil},
		{"doubled", `{"a":1,"a":1}`, 1, ErrDoubled},
		{"doubled, once escaped", `{"a":1,"\u0061":1}`, 1, ErrDoubled},
		{"nothing", ``, 0, ErrNone},
		{"an array", `[]`, 0, ErrNone},
		{"a string", `"a"`, 0, ErrNone},
		{"cut short", `{"a":1`, 1, ErrNone},
		{"cut short in a value", `{"a":"x`, 0, ErrNone},
		{"two objects", `{}{}`, 0, ErrNone},
		{"something behind", `{} x`, 0, ErrNone},
		{"a trailing comma", `{"a":1,}`, 1, ErrNone},
		{"not UTF-8", "{\"a\":\"\xff\"}", 0, ErrNone},
		{"stopped", `{"stop":1,"b":2}`, 1, errStop},
	} {
		n := 0
		err := Read([]byte(c.body), func(name string, _ json.RawMessage) error {
			n++
			if name == "stop" {
				return errStop
			}
			return nil
		})
		if err != c.want || n != c.members {
			t.Errorf("%s: %v after %d members, want %v after %d", c.name, err, n, c.want, c.members)
		}
	}
}

func TestString(t *testing.T) {
	for raw, want := range map[string]string{`"x"`: "x", `"\u0061"`: "a", `1`: "", `null`: "", ``: "", `{}`: ""} {
		if s, ok := String(json.RawMessage(raw)); s != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", raw, s, ok)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":"x","b":[{}]}`, `{"a":1,"a":2}`, `{} {}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if Read(body, func(string, json.RawMessage) error { return nil }) == nil && !json.Valid(body) {
			t.Errorf("read what is no JSON: %q", body)
		}
	})
}
