package httpsender

import "strings"

// gsm is what a text message may have in it and still be sent in seven bits a
// character: 160 of them, where Unicode leaves 70 (3GPP TS 23.038, the default
// alphabet and its extension table). Some providers must be told which it is.
const gsm = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà" +
	"\f^{}\\[~]|€"

// needsUnicode returns whether text has characters beyond that.
func needsUnicode(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune(gsm, r) })
}
