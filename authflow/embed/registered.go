package embed

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// serialised is an origin as browsers write it (HTML, section 7.1.1): lower
// case, no path. It also keeps anything out of a header that does not belong
// there.
var serialised = regexp.MustCompile(`^https?://(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:[1-9][0-9]{0,4})?$`)

// CheckOrigin returns why an origin cannot be registered. Origins are compared
// as browsers write them: scheme and host in lower case and ASCII, the port
// where it is not the usual one, nothing behind.
func CheckOrigin(origin string) error {
	if !serialised.MatchString(origin) ||
		strings.HasPrefix(origin, "https:") && strings.HasSuffix(origin, ":443") ||
		strings.HasPrefix(origin, "http:") && strings.HasSuffix(origin, ":80") {
		return fmt.Errorf("origin %q is not one as browsers write it: write scheme and host in lower case and ASCII, the port only where it is not the usual one, and no path: https://mall.example", origin)
	}
	return nil
}

// maxReturn is the longest return address: with a state, browsers and servers
// still take it.
const maxReturn = 1024

// CheckReturn returns why a return address cannot be registered. It is whole,
// without a fragment (RFC 6749, section 3.1.2), and says nothing that we will
// say.
func CheckReturn(ret string) error {
	u, err := url.Parse(ret)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Opaque != "":
		return fmt.Errorf("return %q is no address in the web: write e.g. https://mall.example/checked", ret)
	case len(ret) > maxReturn:
		return fmt.Errorf("return %.40q… is longer than %d characters: write a shorter one", ret, maxReturn)
	case strings.Contains(ret, "#"):
		return fmt.Errorf("return %q has a fragment, which servers never see: write it without", ret)
	case u.User != nil:
		return fmt.Errorf("return %q names a user: write it without", u.Redacted())
	case strings.ContainsFunc(ret, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"<>\^`+"`{|}", r) }):
		return fmt.Errorf("return %q has characters that stand in no address: write them percent-encoded", ret)
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fmt.Errorf("return %q has a query that cannot be read: write it as name=value", ret)
	}
	for _, name := range []string{"state", "code", "error"} {
		if values.Has(name) {
			return fmt.Errorf("return %q has a parameter %q, which is added to it: write it without", ret, name)
		}
	}
	return nil
}

// origin returns the registered origin that was asked for, as it was
// registered.
func (h *Handler) origin(partner, asked string) (string, bool) {
	list := h.Partners[partner].Origins
	if i := slices.Index(list, asked); i >= 0 {
		return list[i], true
	}
	return "", false
}

// returnTo returns the registered return address that was asked for, byte for
// byte.
func (h *Handler) returnTo(partner, asked string) (string, bool) {
	list := h.Partners[partner].Returns
	if i := slices.Index(list, asked); i >= 0 {
		return list[i], true
	}
	return "", false
}

// hostOf is an origin's host, as it stands in a text message: without scheme and
// port.
func hostOf(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
