package caddymodule

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/net/idna"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/assertion"
	"github.com/kycvs/caddy-kycvs/authflow/embed"
	"github.com/kycvs/caddy-kycvs/authflow/portal"
)

// The checks of single values. Each takes the option's name, for the message,
// and a value whose placeholders are resolved, and says what to write instead.

var algorithms = []string{"ES256", "EdDSA", "RS256"}

func checkAlgorithm(alg string) error {
	if !slices.Contains(algorithms, alg) {
		return fmt.Errorf("signing algorithm %q is unknown: write one of %s", alg, strings.Join(algorithms, ", "))
	}
	return nil
}

// minSecret is 128 bits, the least that NIST SP 800-131A allows a key for HMAC
// to have.
const minSecret = 16

// checkSecret never shows the secret.
func checkSecret(secret string) error {
	if len(secret) < minSecret {
		return fmt.Errorf("secret has %d bytes, which can be guessed: write at least %d random ones, such as `openssl rand -base64 32` prints", len(secret), minSecret)
	}
	return nil
}

func checkSMSLanguage(lang string) error {
	if known := portal.Languages(); !slices.Contains(known, lang) {
		return fmt.Errorf("sms_languages %q is none that there are texts in: write one or more of %s", lang, strings.Join(known, ", "))
	}
	return nil
}

// checkOrigin accepts an origin as a browser serialises it (RFC 6454, section
// 6.2), because it is compared byte for byte.
func checkOrigin(option, s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return fmt.Errorf("%s %q is not an origin: write https://host or https://host:port", option, s)
	}
	if want := originOf(u); s != want {
		return fmt.Errorf("%s %q is more than an origin, or not as browsers write it: write %s", option, s, want)
	}
	return nil
}

// originOf writes the origin of an address as a browser does.
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if ascii, err := idna.ToASCII(host); err == nil {
		host = ascii
	}
	switch u.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + strings.TrimSuffix(host, ":")
}

func checkReturn(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil {
		return fmt.Errorf("return %q is not an absolute address: write https://host/path", s)
	}
	if strings.Contains(s, "#") {
		return fmt.Errorf("return %q has a fragment, which no server sees: write %s", s, s[:strings.Index(s, "#")])
	}
	return embed.CheckReturn(s)
}

func checkContact(option, s string) error {
	if u, err := url.Parse(s); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" {
		return nil
	}
	if a, err := mail.ParseAddress(s); err == nil && a.Address == s {
		return nil
	}
	return fmt.Errorf("%s %q is neither an e-mail address nor a URL: write privacy@example.org or https://example.org/privacy", option, s)
}

var partnerID = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func checkPartnerID(id string) error {
	if !partnerID.MatchString(id) {
		return fmt.Errorf("partner %q is no id: write at most 64 of a-z, 0-9, \".\", \"_\" and \"-\", the first a letter or digit, e.g. mall", id)
	}
	return nil
}

func checkKeyHash(s string) error {
	_, err := authflow.ParseKeyHash(s)
	return err
}

func checkExpires(s string) error {
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return fmt.Errorf("expires %q is not a date: write YYYY-MM-DD, e.g. 2027-03-31", s)
	}
	return nil
}

func checkConsent(s string) error {
	if s != "by_code" {
		return fmt.Errorf("consent %q is unknown: write by_code, or leave the line out", s)
	}
	return nil
}

// maxShown is how much a name or a purpose may be, in characters: it has to be
// read on a phone, and to fit into a text message.
const maxShown = 100

// checkShown checks what people are shown.
func checkShown(option, s string) error {
	if strings.TrimSpace(s) == "" {
		return fmt.Errorf("%s is empty: write what people are to read", option)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control) }) {
		return fmt.Errorf("%s has characters that cannot be shown: write one line of plain text", option)
	}
	if n := utf8.RuneCountInString(s); n > maxShown {
		return fmt.Errorf("%s has %d characters: write at most %d", option, n, maxShown)
	}
	return nil
}

func checkCountry(code int) error {
	if !phonenumbers.GetSupportedCallingCodes()[code] {
		return fmt.Errorf("countries %d is no country calling code: write numbers such as 91 for India or 44 for the United Kingdom", code)
	}
	return nil
}

func checkCountries(codes []int) error {
	seen := map[int]bool{}
	for _, code := range codes {
		if err := checkCountry(code); err != nil {
			return err
		}
		if seen[code] {
			return fmt.Errorf("countries has %d twice: write it once", code)
		}
		seen[code] = true
	}
	return nil
}

// checkAssertionFits returns an error if an assertion with these members could
// come out larger than the contract allows, which would otherwise show only when
// the first person wants in.
func checkAssertionFits(algorithm, issuer string, p Partner) error {
	signature := map[string]int{"ES256": 64, "EdDSA": 64, "RS256": 256}[algorithm]
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"` + strings.Repeat("x", 43) + `","typ":"` + assertion.Type + `"}`))
	size := assertion.NewTemplateOf(header, assertion.Claims{
		Issuer: issuer, Audience: p.ID, Purpose: p.Purpose, Authority: p.authority, ActingFor: p.longestSub(),
	}).Size(signature)
	if size <= assertion.MaxSize {
		return nil
	}
	return fmt.Errorf("the purpose of partner %q makes assertions of %d bytes, where %d is the most: shorten the purpose by %d bytes, or sign with ES256",
		p.ID, size, assertion.MaxSize, (size-assertion.MaxSize)*3/4+1)
}

// words joins names for a message, in order.
func words[V any](m map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}
