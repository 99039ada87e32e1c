package portal

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/kycvs/caddy-kycvs/authflow"
)

func TestShorten(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"Phoenix Mall", "Phoenix Mall"},
		{"  Phoenix\n Mall ", "Phoenix Mall"},
		{strings.Repeat("a", 40), strings.Repeat("a", 40)},
		{strings.Repeat("a", 41), strings.Repeat("a", 37) + "..."},
		{"The Municipal Corporation of Greater Mumbai", "The Municipal Corporation of Greater..."},
		{"Access to the wards of the hospital annex", "Access to the wards of the hospital..."},
		{strings.Repeat("क", 36) + "कि" + strings.Repeat("क", 5), strings.Repeat("क", 36) + "..."},
		{strings.Repeat("\u0301", 60), "..."},
	} {
		got := shorten(tt.in)
		if got != tt.want {
			t.Errorf("%q is cut to %q, want %q", tt.in, got, tt.want)
		}
		if n := utf8.RuneCountInString(got); n > maxVariable {
			t.Errorf("%q has %d characters, want at most %d", got, n, maxVariable)
		}
	}
}

// TestSMSVariables holds that each variable part is cut, and that the last line is
// never.
func TestSMSVariables(t *testing.T) {
	long := strings.Repeat("word ", 30)
	host := strings.Repeat("a", 60) + ".example"
	a := &authflow.Audience{Partner: authflow.Partner{Name: long, Purpose: long}, Host: host}
	for _, lang := range Languages() {
		got := SMS(lang, a, "123456")
		want := Text(lang, "sms.text", "code", "123456", "partner", shorten(long), "purpose", shorten(long)) + "\n\n@" + host + " #123456"
		if got != want {
			t.Errorf("%s: got %q, want %q", lang, got, want)
		}
	}
}

func FuzzShorten(f *testing.F) {
	f.Add("The Municipal Corporation of Greater Mumbai")
	f.Add(strings.Repeat("कि", 40))
	f.Fuzz(func(t *testing.T, s string) {
		got := shorten(s)
		if n := utf8.RuneCountInString(got); n > maxVariable {
			t.Fatalf("%q has %d characters", got, n)
		}
		if shorten(got) != got {
			t.Fatalf("%q is cut again to %q", got, shorten(got))
		}
	})
}
