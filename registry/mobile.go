package registry

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
)

// Mobile is a mobile number in the one form that is kept and compared: E.164,
// e.g. "+919876543210". Make one with ParseMobile.
type Mobile string

// What ParseMobile refuses. Neither error ever holds the number.
var (
	// ErrMobileInvalid says that the text is no mobile number.
	ErrMobileInvalid = errors.New("not a mobile number: write its digits, after + and the country code if it is not a local one")
	// ErrCountryNotAllowed says that it is a number of a country that is not
	// allowed here. It is also an ErrMobileInvalid.
	ErrCountryNotAllowed = fmt.Errorf("%w (this country's numbers are not accepted here)", ErrMobileInvalid)
)

// AnyCountry, among the countries given to ParseMobile, allows those that are
// not named.
const AnyCountry = 0

const (
	// maxMobileBytes bounds what ParseMobile looks at. The longest number of E.164
	// has 15 digits, of 4 bytes each in some scripts.
	maxMobileBytes = 96
	india          = 91
)

// ParseMobile reads a mobile number however it was typed, in the digits of any
// script, with or without country code, trunk zero, spaces and punctuation:
// `9876543210`, `+91 98765-43210`, `09876543210`, `00919876543210` and
// `९८७६५४३२१०` are one number.
//
// countries are the country calling codes that are allowed; a number without a
// country code is one of the first. With none, every number is refused.
//
// For India (91) every ten digits that start with 6 to 9 are a mobile number,
// the plan of the Department of Telecommunications; elsewhere libphonenumber's
// metadata decide, where they can tell mobile numbers from others.
func ParseMobile(s string, countries []int) (Mobile, error) {
	if len(countries) == 0 {
		return "", ErrCountryNotAllowed
	}
	// As nearly everybody writes it.
	if countries[0] == india && indianMobile(s) {
		return Mobile("+91" + s), nil
	}
	if len(s) > maxMobileBytes {
		return "", ErrMobileInvalid
	}
	var room [maxMobileBytes]byte
	digits, international, ok := cleanDigits(room[:0], s)
	if !ok {
		return "", ErrMobileInvalid
	}
	if rest, found := strings.CutPrefix(string(digits), "00"); found && !international {
		digits, international = []byte(rest), true
	}
	if len(digits) == 0 || len(digits) > 20 {
		return "", ErrMobileInvalid
	}

	// Nearly every number is one of these, and they need no metadata.
	d := string(digits)
	if local := strings.TrimPrefix(d, "0"); countries[0] == india && !international && indianMobile(local) {
		return Mobile("+91" + local), nil
	}
	if strings.HasPrefix(d, "91") && indianMobile(d[2:]) && (countries[0] == india || international && slices.Contains(countries, india)) {
		return Mobile("+" + d), nil // with the code, and no number in India is of twelve digits without it
	}

	text, region := d, phonenumbers.GetRegionCodeForCountryCode(countries[0])
	if international {
		text, region = "+"+text, phonenumbers.UNKNOWN_REGION
	}
	n, err := phonenumbers.Parse(text, region)
	if err != nil || n.GetExtension() != "" {
		return "", ErrMobileInvalid
	}
	m := Mobile(phonenumbers.Format(n, phonenumbers.E164))
	if !wellFormed(string(m)) {
		return "", ErrMobileInvalid
	}
	if !slices.Contains(countries, int(n.GetCountryCode())) && !slices.Contains(countries, AnyCountry) {
		return "", ErrCountryNotAllowed
	}
	if n.GetCountryCode() == india {
		if !indianMobile(phonenumbers.GetNationalSignificantNumber(n)) {
			return "", ErrMobileInvalid
		}
		return m, nil
	}
	if !phonenumbers.IsValidNumber(n) {
		return "", ErrMobileInvalid
	}
	if typeOf(n) == "" {
		return "", ErrMobileInvalid
	}
	return m, nil
}

// NumberType is what is known of a number that ParseMobile takes.
type NumberType string

// The types of numbers that can be mobile, by libphonenumber's metadata.
const (
	TypeMobile            NumberType = "mobile"
	TypeFixedLineOrMobile NumberType = "fixed_line_or_mobile" // no telling, as in North America
	TypeUnknown           NumberType = "unknown"
)

// NumberTypes lists them all.
var NumberTypes = []NumberType{TypeMobile, TypeFixedLineOrMobile, TypeUnknown}

func typeOf(n *phonenumbers.PhoneNumber) NumberType {
	switch phonenumbers.GetNumberType(n) {
	case phonenumbers.MOBILE:
		return TypeMobile
	case phonenumbers.FIXED_LINE_OR_MOBILE:
		return TypeFixedLineOrMobile
	case phonenumbers.UNKNOWN:
		return TypeUnknown
	}
	return ""
}

// Describe returns the country calling code and the type of the number.
func (m Mobile) Describe() (country int, t NumberType) {
	if strings.HasPrefix(string(m), "+91") && indianMobile(string(m[3:])) {
		return india, TypeMobile
	}
	n, err := phonenumbers.Parse(string(m), phonenumbers.UNKNOWN_REGION)
	if err != nil {
		return 0, TypeUnknown
	}
	return int(n.GetCountryCode()), typeOf(n)
}

// Block is the number without its last four digits: what numbers that were
// bought together have in common.
func (m Mobile) Block() string { return string(m[:max(0, len(m)-4)]) }

// Masked is the number as it may be shown to the person who typed it: the
// country code and at most the last four digits, e.g. "+91 ••••••3210".
func (m Mobile) Masked() string {
	if !wellFormed(string(m)) {
		return "••••"
	}
	d := string(m[1:])
	code := 1
	for codes := phonenumbers.GetSupportedCallingCodes(); code < 3; code++ {
		if codes[atoi(d[:code])] {
			break
		}
	}
	national := d[code:]
	shown := min(4, len(national)/2)
	return "+" + d[:code] + " " + strings.Repeat("•", len(national)-shown) + national[len(national)-shown:]
}

// LogValue masks a number that ends up in a log record after all.
func (m Mobile) LogValue() slog.Value { return slog.StringValue(m.Masked()) }

// cleanDigits appends the digits of s to b, as ASCII, and says whether a plus
// stood before them. It is not ok if s holds anything but digits, one plus and
// what people put between digits.
func cleanDigits(b []byte, s string) (digits []byte, plus, ok bool) {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			return nil, false, false
		}
		i += n
		switch {
		case r >= '0' && r <= '9':
			b = append(b, byte(r))
		case r == '+' || r == '＋' || r == '﹢':
			if plus || len(b) > 0 {
				return nil, false, false
			}
			plus = true
		case separatesDigits(r):
		default:
			v, isDigit := digitValue(r)
			if !isDigit {
				return nil, false, false
			}
			b = append(b, '0'+v)
		}
	}
	return b, plus, true
}

// separatesDigits reports whether people, or the programs they copy from, put r
// between the digits of a number: spaces, dashes, dots, brackets, and the
// characters that cannot be seen (zero-width, direction marks).
func separatesDigits(r rune) bool {
	switch r {
	case ' ', '-', '.', '(', ')', '\t', '\r', '\n', '/', '（', '）', '．', '·', '−':
		return true
	}
	return r >= utf8.RuneSelf && (unicode.IsSpace(r) || unicode.In(r, unicode.Zs, unicode.Pd, unicode.Cf))
}

// digitValue returns the value of a decimal digit of any script. Unicode keeps
// the ten of a script together and in order, so that within a range of the
// table of decimal digits every tenth is a zero.
func digitValue(r rune) (byte, bool) {
	for _, t := range unicode.Nd.R16 {
		if r >= rune(t.Lo) && r <= rune(t.Hi) {
			return byte((r - rune(t.Lo)) % 10), true
		}
	}
	for _, t := range unicode.Nd.R32 {
		if r >= rune(t.Lo) && r <= rune(t.Hi) {
			return byte((r - rune(t.Lo)) % 10), true
		}
	}
	return 0, false
}

func indianMobile(d string) bool {
	return len(d) == 10 && d[0] >= '6' && allDigits(d)
}

// wellFormed reports whether s is a plus and 7 to 15 digits, the first not 0.
func wellFormed(s string) bool {
	return len(s) >= 8 && len(s) <= 16 && s[0] == '+' && s[1] != '0' && allDigits(s[1:])
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func atoi(digits string) (n int) {
	for i := range len(digits) {
		n = n*10 + int(digits[i]-'0')
	}
	return n
}
