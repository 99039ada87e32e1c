package assertion

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"
)

var strictBase64 = base64.RawURLEncoding.Strict()

// decodeSegment decodes base64url without padding; false for stray bits in the
// last character, and for line breaks, which Go's decoder skips.
func decodeSegment(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	b, err := strictBase64.DecodeString(s)
	return b, err == nil
}

// members are those of a JSON object, undecoded.
type members map[string]json.RawMessage

// parseObject reads one JSON object, false if it is none or a member stands
// twice. go-jose's decoder is encoding/json made strict: it compares names as
// they are and refuses a second one. Into a map of raw members it looks only at
// the outermost object, so that it reads once more, all the way down.
func parseObject(b []byte) (members, bool) {
	var all any
	if !utf8.Valid(b) || josejson.Unmarshal(b, &all) != nil {
		return nil, false
	}
	var m members
	err := josejson.Unmarshal(b, &m)
	return m, err == nil && m != nil
}

// header is the protected header of an assertion.
type header struct {
	alg jose.SignatureAlgorithm
	kid string
}

// forbidden header members: those by which an assertion would choose the key
// it is checked with, and those that change how it is read (RFC 8725, section
// 3.10; RFC 7797). Others are ignored, as RFC 7515, section 4, asks.
var forbidden = []string{"crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256"}

// parseHeader reads the protected header. Whether alg is one that is accepted
// is the caller's to say.
func parseHeader(b []byte) (header, error) {
	m, ok := parseObject(b)
	if !ok {
		return header{}, fmt.Errorf("%w: the header is not one JSON object with each member once", ErrMalformed)
	}
	if typ, ok := m.text("typ"); !ok || typ != Type {
		return header{}, ErrType
	}
	for _, name := range forbidden {
		if _, ok := m[name]; ok {
			return header{}, fmt.Errorf("%w: %s", ErrHeader, name)
		}
	}
	alg, ok := m.text("alg")
	if !ok {
		return header{}, fmt.Errorf("%w: the header has none", ErrAlgorithm)
	}
	kid, ok := m.text("kid")
	if !ok || kid == "" {
		return header{}, fmt.Errorf("%w: the header has none", ErrKeyUnknown)
	}
	return header{jose.SignatureAlgorithm(alg), kid}, nil
}

// parseClaims reads a payload, every claim by its one type. Members it does not
// know are ignored (RFC 7519, section 4).
func parseClaims(b []byte) (Claims, error) {
	m, ok := parseObject(b)
	if !ok {
		return Claims{}, fmt.Errorf("%w: the payload is not one JSON object with each member once", ErrMalformed)
	}
	var c Claims
	for _, f := range []struct {
		name string
		to   *string
	}{
		{"iss", &c.Issuer}, {"aud", &c.Audience}, {"sub", &c.Subject}, {"jti", &c.ID},
		{"txnId", &c.TxnID}, {"consent", &c.Consent}, {"purpose", &c.Purpose}, {"authority", &c.Authority},
	} {
		if _, there := m[f.name]; !there && f.name == "authority" {
			continue
		}
		if *f.to, ok = m.text(f.name); !ok || *f.to == "" && f.name != "purpose" {
			return Claims{}, fmt.Errorf("%w: %s must be a text", ErrClaims, f.name)
		}
	}
	for _, f := range []struct {
		name string
		to   *int64
	}{
		{"iat", &c.IssuedAt}, {"nbf", &c.NotBefore}, {"exp", &c.Expires}, {"auth_time", &c.AuthTime},
	} {
		if *f.to, ok = m.whole(f.name); !ok || *f.to < 0 || *f.to > maxTime {
			return Claims{}, fmt.Errorf("%w: %s must be whole seconds since the epoch", ErrClaims, f.name)
		}
	}
	status, ok := m.whole("vaccination_status")
	if !ok {
		return Claims{}, fmt.Errorf("%w: vaccination_status must be a whole number", ErrClaims)
	}
	if status < 0 || status > 2 {
		return Claims{}, ErrStatus
	}
	c.VaccinationStatus = int(status)
	if c.Methods, ok = m.texts("amr"); !ok {
		return Claims{}, fmt.Errorf("%w: amr must be a list of texts", ErrClaims)
	}
	return c, nil
}

// maxTime is the last second of the year 9999, the last one RFC 3339 can write.
const maxTime = 253402300799

// text returns a member that is a string, and false for anything else: null
// and a missing one too.
func (m members) text(name string) (string, bool) {
	raw := m[name]
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// whole returns a member that is a number written in digits alone: no fraction
// and no exponent, which other languages read as they like.
func (m members) whole(name string) (int64, bool) {
	n, err := strconv.ParseInt(string(m[name]), 10, 64)
	return n, err == nil && string(m[name]) != "-0"
}

// texts returns a member that is an array of at least one string.
func (m members) texts(name string) ([]string, bool) {
	var list []*string // a pointer tells null from ""
	if err := json.Unmarshal(m[name], &list); err != nil || len(list) == 0 || slices.Contains(list, nil) {
		return nil, false
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = *s
	}
	return out, true
}
