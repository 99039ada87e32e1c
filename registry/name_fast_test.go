package registry

import (
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// foldSlowly is foldName without its short cuts.
func foldSlowly(s string) string {
	for range 2 {
		s = foldWords(norm.NFKD.String(joinedLetters.Replace(s)))
		s = norm.NFKC.String(cases.Fold().String(s))
	}
	return s
}

var trickyNames = []string{
	"Dr. Asha Rao", "Smt", "Mr. 7", "O'Brien", "a`b", "--", "S.K. Rao", "x\u0301", "José", "Shri Dr 12",
	"श्रीमती आशा राव", "डॉ. क़मर", "क\u093cमर", "a\u093e", "1\u093e", " \u093eआ", "ে'া", "ক\u09c7\u09be", "ক\u09cb", "क\u094d\u093c",
	"மீனா", "ம\u0bc6\u0bbeழி", "మీనా", "ಮೀನಾ", "മീന", "ൻ", "ന്\u200d", "મીના", "ਮੀਨਾ", "ਸ਼੍ਰੀ", "محمد علی", "ا\u0653حمد", "آحمد", "٣", "ﷺ", "ৎ", "।", "क।ख", "Asha राव",
	"Å", "ß", "Ω", "ſ", "İ", "ﬁ",
}

func TestFoldFast(t *testing.T) {
	t.Parallel()
	for r := rune(0x20); r < 0x1000; r++ {
		for _, s := range []string{string(r), "क" + string(r), "a" + string(r) + "आ", "ব" + string(r) + "\u09be", string(r) + "\u093c", "آ " + string(r)} {
			if got, want := foldName(s), foldSlowly(s); got != want && !isASCII(s) {
				t.Fatalf("%+q: got %+q, want %+q", s, got, want)
			}
		}
	}
}

func FuzzFoldFast(f *testing.F) {
	for _, s := range trickyNames {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "")
		if n, ok := parseASCII(s); ok {
			want := dropSalutations(foldWords(s))
			if string(n) != want || !isASCII(s) || strings.ContainsFunc(s, unicode.IsControl) {
				t.Fatalf("%+q: got %+q, want %+q", s, n, want)
			}
		}
		if n, ok := foldPlain(s); ok && n != foldSlowly(s) {
			t.Fatalf("%+q: got %+q, want %+q", s, n, foldSlowly(s))
		}
	})
}
