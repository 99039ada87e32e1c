package portal

import (
	"slices"
	"strings"
	"testing"
)

func TestNegotiate(t *testing.T) {
	for _, tt := range []struct{ name, accept, chosen, want string }{
		{"nothing", "", "", "en"},
		{"exact", "hi", "", "hi"},
		{"with a region", "hi-IN,hi;q=0.9,en-US;q=0.8", "", "hi"},
		{"English first", "en-IN,hi;q=0.5", "", "en"},
		{"first is not here", "fr-FR,hi;q=0.5,en;q=0.4", "", "hi"},
		{"none is here", "fr-FR,de;q=0.5", "", "en"},
		{"anything", "*", "", "en"},
		{"refused by weight", "en;q=0.1,hi;q=0.9", "", "hi"},
		{"chosen", "en", "hi", "hi"},
		{"chosen with a region", "en", "hi-IN", "hi"},
		{"chosen in capitals", "en", "HI", "hi"},
		{"chosen is not here", "hi", "fr", "hi"},
		{"chosen is no tag", "hi", "../en.json", "hi"},
		{"chosen is too long", "hi", "en-" + strings.Repeat("x-aaaaaaaa-", 100), "hi"},
		{"garbage", "\x00;;;q=,,", "", "en"},
		{"too long, cut at a comma", strings.Repeat("fr;q=0.1,", 56) + "hi", "", "hi"},
		{"too long, what counts is behind the cut", strings.Repeat("fr;q=0.1,", 100) + "hi", "", "en"},
		{"too long, no comma", strings.Repeat("h", 600), "", "en"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Negotiate(tt.accept, tt.chosen); got != tt.want {
				t.Errorf("Negotiate(%q, %q) = %q, want %q", tt.accept, tt.chosen, got, tt.want)
			}
		})
	}
}

func FuzzNegotiate(f *testing.F) {
	f.Add("hi-IN,hi;q=0.9,en;q=0.8", "")
	f.Add("", "hi_IN.UTF-8")
	f.Add(strings.Repeat("a-", 4000), strings.Repeat("en-", 12))
	languages := Languages()
	f.Fuzz(func(t *testing.T, accept, chosen string) {
		if got := Negotiate(accept, chosen); !slices.Contains(languages, got) {
			t.Errorf("Negotiate(%q, %q) = %q, which is not there", accept, chosen, got)
		}
	})
}
