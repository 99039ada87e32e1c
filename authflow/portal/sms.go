package portal

import (
	"strings"
	"unicode"

	"github.com/kycvs/caddy-kycvs/authflow"
)

// maxVariable is how many characters a variable part of a text message may
// have: in India, each message must match a registered template, whose variables
// hold at most so many (TRAI).
const maxVariable = 40

// SMS is the text message for a code. It names the partner and the purpose, so
// that the code is not given away for something else, and ends with the
// origin-bound line, by which a phone offers the code at that host alone
// (https://wicg.github.io/sms-one-time-codes/). Name and purpose are cut where
// they are long; the host never is.
func SMS(lang string, a *authflow.Audience, code string) string {
	purpose := a.Purpose
	if a.ID == authflow.SelfID { // by the same template: operators register no other
		purpose = Text(lang, "sms.self")
	}
	text := Text(lang, "sms.text", "code", code, "partner", shorten(a.Name), "purpose", shorten(purpose))
	return text + "\n\n@" + a.Host + " #" + code
}

// shorten returns s, or its beginning and "...", in at most maxVariable
// characters: not "…", which is not in the alphabet of GSM and would make every
// message longer. It cuts between words where it can, and never before a
// combining character, which belongs to the one before it.
func shorten(s string) string {
	const mark = "..."
	runes := []rune(strings.Join(strings.Fields(s), " "))
	if len(runes) <= maxVariable {
		return string(runes)
	}
	end := maxVariable - len(mark)
	for end > 0 && joins(runes[end-1], runes[end]) {
		end--
	}
	cut := string(runes[:end])
	if i := strings.LastIndexByte(cut, ' '); runes[end] != ' ' && i > len(cut)/2 {
		cut = cut[:i]
	}
	return strings.TrimSpace(cut) + mark
}

// joins tells whether two characters are shown as one.
func joins(before, after rune) bool {
	const zwj = '\u200d'
	return unicode.Is(unicode.M, after) || after == zwj || before == zwj
}
