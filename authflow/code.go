package authflow

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// newCode makes a one-time code of the given number of digits, each code as
// likely as any other.
func newCode(length int) (string, error) {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(length)), nil)
	n, err := rand.Int(rand.Reader, limit)
	if err != nil {
		return "", err
	}
	s := n.String()
	return strings.Repeat("0", length-len(s)) + s, nil
}

// maxTypedCode bounds what is looked at: digits may be three bytes each, with
// marks between them.
const maxTypedCode = 64

// ReadCode returns the code in ASCII digits however it was typed: in the digits
// of any script, with spaces, hyphens or invisible marks between them. It
// returns false for anything that is not a code of that length, which is then
// no guess either.
func ReadCode(typed string, length int) (string, bool) {
	if len(typed) > maxTypedCode {
		return "", false
	}
	var b strings.Builder
	for _, r := range norm.NFKC.String(typed) {
		switch {
		case unicode.IsDigit(r):
			b.WriteByte('0' + digitValue(r))
		case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), unicode.Is(unicode.Cf, r), r == '.':
		default:
			return "", false
		}
	}
	return b.String(), b.Len() == length
}

// digitValue is the value of a decimal digit: every script's ten digits are
// consecutive, from zero (Unicode Standard, section 4.6).
func digitValue(r rune) byte {
	for _, t := range unicode.Digit.R16 {
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return byte((r - rune(t.Lo)) % 10)
		}
	}
	for _, t := range unicode.Digit.R32 {
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return byte((r - rune(t.Lo)) % 10)
		}
	}
	return 0
}

// hashed begins a code that is given as its hash.
const hashed = "sha256:"

// HashedCode is a Proof's Code where a program has sent the code's SHA-256 in
// lower-case hex, as CoWIN's clients do, in place of the code; false if it is
// none.
func HashedCode(hexed string) (code string, ok bool) {
	if len(hexed) != 2*sha256.Size || strings.Trim(hexed, "0123456789abcdef") != "" {
		return "", false
	}
	return hashed + hexed, true
}

// wireOf returns the wire form of a code that was typed, or given as its hash;
// false if it is no code of that length, and then no guess either.
func wireOf(entered string, length int) (wire string, ok bool) {
	if hexed, given := strings.CutPrefix(entered, hashed); given {
		_, ok = HashedCode(hexed)
		return hexed, ok
	}
	code, ok := ReadCode(entered, length)
	if !ok {
		return "", false
	}
	return wireHash(code), true
}

// wireHash is the form in which CoWIN's clients send a code: SHA-256 in
// lower-case hex. It protects nothing (six digits are found in half a second)
// and is never kept; the keyed hash that is kept is made from it, so that both
// forms of a code lead to the same.
func wireHash(code string) string {
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}
