package registry

import (
	"bytes"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// What is in this file changes no answer. A nation's worth of names is brought
// into its form at each import, and a family's at each lookup, and the general way
// takes a hundred times as long for a name in an Indian script as for one in ASCII.

// parseASCII is ParseName for a name in ASCII. It is not ok for any other, nor
// for one that is to be refused.
func parseASCII(s string) (Name, bool) {
	if len(s) > maxNameRunes {
		return "", false
	}
	var room [maxNameRunes]byte
	n, space, letter := room[:0], false, false
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z':
			letter = true
		case 'A' <= c && c <= 'Z':
			letter = true
			c += 'a' - 'A'
		case '0' <= c && c <= '9':
		case c < ' ' || c >= 0x7f:
			return "", false
		case c == '\'' || c == '`':
			continue
		default:
			space = true
			continue
		}
		if space && len(n) > 0 {
			n = append(n, ' ')
		}
		space = false
		n = append(n, c)
	}
	if !letter {
		return "", false
	}
	if i := bytes.IndexByte(n, ' '); i > 0 && salutations[string(n[:i])] > 0 {
		short := dropSalutations(string(n))
		return Name(short), strings.ContainsFunc(short, unicode.IsLetter)
	}
	return Name(n), true
}

// plainFrom and plainTo are the scripts, from Arabic to Malayalam, in whose
// letters India's names are written. They know no capitals.
const (
	plainFrom = 0x0600
	plainTo   = 0x0d7f
)

type plainKind uint8

const (
	notPlain   plainKind = iota // needs the general way
	plainLabel                  // a letter or number
	plainMark
	plainSpace // anything that separates words
)

// plainKinds tells of each character from plainFrom to plainTo how foldWords
// takes it. Not plain is what foldName changes before or after that: what has a
// decomposition, what cannot be seen, joinedLetters.
var plainKinds = sync.OnceValue(func() *[plainTo - plainFrom + 1]plainKind {
	kinds := new([plainTo - plainFrom + 1]plainKind)
	for i := range kinds {
		r := rune(plainFrom + i)
		text := string(r)
		switch {
		case norm.NFKD.String(text) != text && norm.NFKC.String(text) != text,
			joinedLetters.Replace(text) != text, apostrophe(r), invisible(r), unicode.IsUpper(r), unicode.IsTitle(r):
		case unicode.IsMark(r):
			kinds[i] = plainMark
		case unicode.IsLetter(r), unicode.IsNumber(r):
			kinds[i] = plainLabel
		default:
			kinds[i] = plainSpace
		}
	}
	return kinds
})

// foldPlain is foldName for a name in ASCII and those scripts, if it is normal
// (NFKC) as it stands, so that nothing but words and small letters are left to
// see to. It is not ok for any other.
func foldPlain(s string) (string, bool) {
	kinds := plainKinds()
	var room [4 * maxNameRunes]byte
	if len(s) > len(room) {
		return "", false
	}
	n, space, base := room[:0], false, rune(0)
	for at, r := range s {
		size := 1
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		case r == '\'' || r == '`': // what it stood between could join
			return "", false
		case r < 0x80:
			space, base = true, 0
			continue
		case r < plainFrom || r > plainTo:
			return "", false
		default:
			switch kinds[r-plainFrom] {
			case notPlain:
				return "", false
			case plainSpace:
				space, base = true, 0
				continue
			case plainMark:
				if base >= 0x80 || '0' <= base && base <= '9' { // on a Latin letter or none it is dropped
					n = append(n, s[at:at+runeLen(r)]...)
				}
				continue
			}
			size = runeLen(r)
		}
		if space && len(n) > 0 {
			n = append(n, ' ')
		}
		space, base = false, r
		if size == 1 {
			n = append(n, byte(r))
		} else {
			n = append(n, s[at:at+size]...)
		}
	}
	plain := string(n)
	return plain, norm.NFKC.IsNormalString(plain)
}

// runeLen is how many bytes of UTF-8 a character from plainFrom to plainTo has.
func runeLen(r rune) int {
	if r < 0x800 {
		return 2
	}
	return 3
}
