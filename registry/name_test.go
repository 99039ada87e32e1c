package registry

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"plain", "Asha Rao", "asha rao"},
		{"case and spaces", "  ASHA\u00a0 rao ", "asha rao"},
		{"fullwidth", "Ａｓｈａ　Ｒａｏ", "asha rao"},
		{"ligature", "ﬁroz", "firoz"},
		{"full folding", "STRAẞE Weiß", "strasse weiss"},
		{"dotted capital I", "İsmail", "ismail"},
		{"Latin marks, composed", "José Núñez", "jose nunez"},
		{"Latin marks, decomposed", "Jose\u0301 Nun\u0303ez", "jose nunez"},
		{"apostrophes", "D'Souza O’Brien", "dsouza obrien"},
		{"acute as apostrophe", "D´Souza", "dsouza"},
		{"initials with dots", "S.K. Rao", "s k rao"},
		{"hyphen and comma", "Rao, Anne-Marie", "rao anne marie"},
		{"salutation", "Mr Ravi Kumar", "ravi kumar"},
		{"salutation with a dot", "Dr.Ravi Kumar", "ravi kumar"},
		{"salutation, fullwidth", "ＭＲ. Ravi", "ravi"},
		{"several salutations", "Shri Dr. Ravi Kumar", "ravi kumar"},
		{"Smt", "Smt. Meena Iyer", "meena iyer"},
		{"श्री", "श्री राम कुमार", "राम कुमार"},
		{"श्रीमती", "श्रीमती आशा राव", "आशा राव"},
		{"डॉ with a dot", "डॉ. आशा राव", "आशा राव"},
		{"not within a name", "Ravi Dr Kumar", "ravi dr kumar"},
		{"not a whole name", "Miss", "miss"},
		{"Kumari before a name", "Kumari Meena Devi", "meena devi"},
		{"Kumari as a name", "Kumari Meena", "kumari meena"},
		{"Sri as a name", "Sri Harsha", "sri harsha"},
		{"Sri before a name", "Sri. Ravi Kumar", "ravi kumar"},
		{"Md is a name", "Md. Rafi", "md rafi"},
		{"starts like a salutation", "Mrinal Sen", "mrinal sen"},
		{"vowel signs stay", "कमला", "कमला"},
		{"nukta, either way", "फ़रीद", "फ़रीद"},
		{"joiners", "क्\u200dष\u200cमा", "क्षमा"},
		{"Tamil", "மீனா ஐயர்", "மீனா ஐயர்"},
		{"Malayalam, old chillu", "രാമന്\u200d", "രാമന്"},
		{"Malayalam, new chillu", "രാമൻ", "രാമന്"},
		{"direction marks", "\u202bعلی\u202c", "علی"},
		{"Hangul", "김철수", "김철수"},
		{"nothing but marks on nothing", "\u0301 Asha", "asha"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := ParseName(c.in); err != nil || string(got) != c.want {
				t.Fatalf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
	for name, in := range map[string]string{
		"empty":        "",
		"space":        " \u00a0",
		"no letter":    "12345 -",
		"only marks":   "\u0301\u093e",
		"control":      "Asha\x00Rao",
		"line feed":    "Asha\nRao",
		"not UTF-8":    "Asha\xff",
		"too long":     strings.Repeat("a", 101),
		"grows":        strings.Repeat("ﷺ", 50),
		"very long":    strings.Repeat("a", 1<<20),
		"emoji":        "🙂",
		"only joiners": "\u200d\u200c",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ParseName(in); !errors.Is(err, ErrNameInvalid) {
				t.Fatalf("got %q, %v", got, err)
			}
		})
	}
	if _, err := ParseName(strings.Repeat("ക", 100)); err != nil {
		t.Errorf("100 letters: %v", err)
	}
}

func TestNameMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, registered, typed string
		partial                 int
		want                    bool
	}{
		{"same", "Asha Rao", "asha  RAO", 0, true},
		{"salutation on one side", "Mrs. Asha Rao", "Asha Rao", 0, true},
		{"order counts", "Asha Rao", "Rao Asha", 0, false},
		{"spaces do not", "Ram Kumar", "Ramkumar", 0, true},
		{"nor between initials", "S.K. Rao", "SK Rao", 0, true},
		{"nor an apostrophe", "D Souza", "D'Souza", 0, true},
		{"Sri as a name", "Sri Harsha", "Sriharsha", 0, true},
		{"initial is no name", "Ravi Kumar", "R Kumar", 0, false},
		{"part", "Ravi Kumar", "Ravi", 0, false},
		{"longer", "Ravi", "Ravi Kumar", 0, false},
		{"other vowel", "कमल", "कमला", 0, false},
		{"other script", "Asha", "आशा", 0, false},
		{"accents", "José", "Jose", 0, true},

		{"any order", "Asha Rao", "Rao Asha", 100, true},
		{"exact is partial", "Ram Kumar", "Ramkumar", 100, true},
		{"two of three", "Ravi Kumar Sharma", "Sharma Ravi", 66, true},
		{"two of three, 67", "Ravi Kumar Sharma", "Sharma Ravi", 67, false},
		{"one of three", "Ravi Kumar Sharma", "Ravi", 60, false},
		{"one of two", "Ravi Kumar", "Ravi Sharma", 60, false},
		{"one of two, 50", "Ravi Kumar", "Ravi Sharma", 50, true},
		{"added words count against it", "Ravi Kumar", "Ravi Kumar Sharma Gupta", 60, false},
		{"an initial is no whole word", "Ravi Kumar", "R Kumar", 60, false},
		{"initials match initials", "S Ramanujan", "Ramanujan S.", 100, true},
		{"each word once", "Ravi Kumar", "Ravi Ravi", 60, false},
		{"whole words", "Ravindra Kumar", "Ravi Kumar", 60, false},
		{"nothing in common", "Ravi", "Asha", 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err1 := ParseName(c.registered)
			n, err2 := ParseName(c.typed)
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			if got := (NameMatch{c.partial}).Match(r, n); got != c.want {
				t.Errorf("got %v", got)
			}
			if got := (NameMatch{c.partial}).Match(n, r); got != c.want {
				t.Errorf("the other way round: %v", got)
			}
		})
	}
	if (NameMatch{1}).Match("", "") || (NameMatch{}).Match("", "") {
		t.Error("an empty name matches")
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"Shri Dr. Ravi Kumar", "श्रीमती आशा राव", "D´Souza", "İ", "രാമൻ", "ﷺ", "ŉ", "ᾳ\u0345", "Kumari Sri Asha Rao"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			if n != "" {
				t.Fatalf("%q and an error", n)
			}
			return
		}
		if !utf8.ValidString(string(n)) || n == "" || strings.Contains(string(n), "  ") || strings.TrimSpace(string(n)) != string(n) {
			t.Fatalf("%q", n)
		}
		if again, err := ParseName(string(n)); again != n || err != nil {
			t.Fatalf("%q, then %q, %v", n, again, err)
		}
		for _, m := range []NameMatch{{}, {1}, {60}, {100}} {
			if !m.Match(n, n) {
				t.Fatalf("%q does not match itself by %v", n, m)
			}
		}
	})
}

func BenchmarkParseName(b *testing.B) {
	for _, s := range []string{"Dr. Asha Rao", "श्रीमती आशा राव"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseName(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
