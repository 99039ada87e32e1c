package portal

import (
	"net/url"
	"strings"

	"github.com/kycvs/caddy-kycvs/authflow"
)

// A redirect from a partner's site leads through our pages to FinishPath, or to
// CancelPath if the person says no, each with the same sealed text as s.
const (
	FinishPath = "/start/finish"
	CancelPath = "/start/cancel"
)

// declineLink is where the person says no, empty if ret is not the end of a
// redirect, exactly as we write it: its sealed text is base64url (RFC 4648,
// section 5) and nothing stands around it.
func declineLink(ret string) string {
	sealed, ok := strings.CutPrefix(ret, FinishPath+"?s=")
	if !ok || sealed == "" || len(ret) > authflow.MaxReturn || strings.ContainsFunc(sealed, notBase64URL) {
		return ""
	}
	return CancelPath + "?s=" + sealed
}

func notBase64URL(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// SafeReturn returns the address if it is a path on this site and nothing
// else, however a browser reads it; otherwise "/".
//
// Browsers take "\" for "/", and drop tabs and line breaks wherever they stand
// (WHATWG URL, section 4.4), so what looks like a path to a parser may be
// another site's address to them: anything with such a character is refused.
func SafeReturn(s string) string {
	const home = "/"
	if s == "" || len(s) > authflow.MaxReturn || s[0] != '/' || strings.HasPrefix(s, "//") {
		return home
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= 0x20 || c == 0x7f || c == '\\' {
			return home
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return home
	}
	return s
}
