package portal

import "github.com/kycvs/caddy-kycvs/authflow"

// SMS is the text message for a code. It names the partner and the purpose, so
// that the code is not given away for something else, and ends with the
// origin-bound line, by which a phone offers the code at that host alone
// (https://wicg.github.io/sms-one-time-codes/).
func SMS(lang string, a *authflow.Audience, code string) string {
	text := Text(lang, "sms.text", "code", code, "partner", a.Name, "purpose", a.Purpose)
	return text + "\n\n@" + a.Host + " #" + code
}
