package registry

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Name is a name in the form in which names are compared: words of folded
// letters with one space between them. Make one with ParseName.
type Name string

// ErrNameInvalid says that a text is no name. It never holds the text.
var ErrNameInvalid = errors.New("not a name: write it as it was registered, in letters of any script, at most 100 of them")

// maxNameRunes bounds a name, before and after normalisation. CoWIN's forms took
// 100 characters.
const maxNameRunes = 100

// ParseName brings a name into the form in which names are compared.
//
//   - Unicode NFKC and full case folding: "ＡＳＨＡ" is "asha".
//   - Marks on Latin letters are dropped, because half the keyboards a name passes
//     through do not have them: "José" is "Jose". Marks of every other script are
//     kept: they are the vowels of the Indic scripts, and "कमल" is not "कमला".
//   - What cannot be seen (joiners, direction marks) is dropped, and the letters
//     that older encodings wrote with a joiner (Malayalam's chillus, Bengali's
//     khanda ta) are one with those that replaced them.
//   - An apostrophe is dropped, "O'Brien" is "OBrien"; any other punctuation
//     separates words, "S.K. Rao" is "S K Rao".
//   - Salutations before a name are dropped (see salutation).
//
// Initials and scripts stay as they are: "R Kumar" is not "Ravi Kumar", and
// "आशा" is not "Asha".
//
// ErrNameInvalid is returned for a text without a letter, of more than 100
// characters, with control characters or that is not UTF-8.
func ParseName(s string) (Name, error) {
	if n, ok := parseASCII(s); ok {
		return n, nil
	}
	if len(s) > maxNameRunes*utf8.UTFMax || !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxNameRunes ||
		strings.ContainsFunc(s, unicode.IsControl) {
		return "", ErrNameInvalid
	}
	n := dropSalutations(foldName(s))
	if !strings.ContainsFunc(n, unicode.IsLetter) || utf8.RuneCountInString(n) > maxNameRunes {
		return "", ErrNameInvalid
	}
	return Name(n), nil
}

// Key is the name without its spaces, which people put as they please:
// "Ram Kumar" and "Ramkumar", "D'Souza" and "D Souza" have one Key.
func (n Name) Key() string { return strings.ReplaceAll(string(n), " ", "") }

// foldName does everything ParseName promises but the salutations.
func foldName(s string) string {
	if isASCII(s) {
		return foldWords(s)
	}
	if n, ok := foldPlain(s); ok {
		return n
	}
	// Decomposed, so that marks can be told from letters; twice, because folding a
	// letter can bring forth one that decomposes.
	for range 2 {
		s = foldWords(norm.NFKD.String(joinedLetters.Replace(s)))
		s = norm.NFKC.String(cases.Fold().String(s))
	}
	return s
}

// joinedLetters undoes what later decompositions would do wrongly (an acute
// accent standing alone, used as an apostrophe, becomes a space) or not at all
// (letters that were once written with a joiner).
var joinedLetters = strings.NewReplacer(
	"´", "", "`", "",
	"ൺ", "ണ്", "ൻ", "ന്", "ർ", "ര്", "ൽ", "ല്", "ൾ", "ള്", "ൿ", "ക്", // chillus
	"ৎ", "ত্", // khanda ta
)

// foldWords keeps letters, marks and digits, in lower case as far as ASCII goes,
// and makes one space of everything between words.
func foldWords(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	space, base := false, rune(0) // base is the letter that a mark would stand on
	for _, r := range s {
		switch {
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
		case apostrophe(r), invisible(r):
			continue
		case r < utf8.RuneSelf:
			space, base = true, 0
			continue
		case unicode.IsMark(r):
			if base == 0 || unicode.Is(unicode.Latin, base) {
				continue
			}
			b.WriteRune(r)
			continue
		case !unicode.IsLetter(r) && !unicode.IsNumber(r):
			space, base = true, 0
			continue
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space, base = false, r
		b.WriteRune(r)
	}
	return b.String()
}

func apostrophe(r rune) bool {
	switch r {
	case '\'', '`', '‘', '’', '‛', '′', 'ʻ', 'ʼ', 'ʹ', '＇':
		return true
	}
	return false
}

// invisible reports whether r shows nothing by itself: format characters such as
// joiners and direction marks, and the variation selectors.
func invisible(r rune) bool {
	return r >= utf8.RuneSelf && (unicode.In(r, unicode.Cf, unicode.Variation_Selector) || r == '\u034f')
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
