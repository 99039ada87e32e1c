package gate

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// twoReadings tells whether an address's path could be read as another path by
// somebody else: a proxy, a framework, a file system. Where gates treat paths
// differently, such a request could be let through as one path and answered as
// another. raw is the path as it was sent, before any decoding.
//
// What counts: a slash or backslash that is encoded, or a backslash; a segment
// "." or ".."; ";" (path parameters, which some servers drop before they look);
// what is encoded twice; control characters; anything that is not UTF-8; a
// path that does not begin with a slash.
func twoReadings(raw string) bool {
	if raw == "" || raw[0] != '/' {
		return true
	}
	plain := true
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '%', c == '.', c == ';', c == '\\', c < 0x20, c >= 0x7f:
			plain = false
		}
		if !plain {
			break
		}
	}
	if plain {
		return false
	}
	path, err := url.PathUnescape(raw)
	if err != nil || !utf8.ValidString(path) {
		return true
	}
	if strings.Count(path, "/") != strings.Count(raw, "/") {
		return true // a slash was encoded
	}
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\', c == ';', c < 0x20, c == 0x7f:
			return true
		case c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]):
			return true
		}
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// rawPath is the path of u as it was sent or would be sent on.
func rawPath(u *url.URL) string {
	if u.RawPath != "" {
		return u.RawPath
	}
	if u.Path == "" && u.Opaque != "" {
		return u.Opaque
	}
	return u.EscapedPath()
}
