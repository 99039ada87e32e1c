package portal

import (
	"net/url"
	"strings"

	"github.com/kycvs/caddy-kycvs/authflow"
)

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
