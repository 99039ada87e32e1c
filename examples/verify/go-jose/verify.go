// Package gojose checks a Kycvs-Assertion with go-jose alone, for a program that
// would rather not import authflow/assertion.
package gojose

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Verify returns what an assertion says. keys are those of
// https://mall.example/.kycvs/jwks.json; expected has Issuer
// "https://mall.example", AnyAudience {"mall"} and Time, now.
func Verify(assertion string, keys jose.JSONWebKeySet, expected jwt.Expected, skew time.Duration) (*Claims, error) {
	header, err := open(assertion)
	if err != nil {
		return nil, err
	}
	token, err := jwt.ParseSigned(assertion, []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.RS256})
	if err != nil {
		return nil, err
	}
	key := keys.Key(token.Headers[0].KeyID)
	if len(key) != 1 || key[0].Algorithm != token.Headers[0].Algorithm || string(header["typ"]) != `"kycvs+jwt"` {
		return nil, errors.New("not an assertion, or not by a key of this set")
	}
	var registered jwt.Claims
	claims := new(Claims)
	if err := token.Claims(key[0].Key, &registered, claims); err != nil {
		return nil, err
	}
	if err := registered.ValidateWithLeeway(expected, skew); err != nil {
		return nil, err
	}
	if err := claims.check(); err != nil {
		return nil, err
	}
	// go-jose lets the very second of exp pass (RFC 7519, section 4.1.4).
	if !expected.Time.Add(-skew).Before(time.Unix(*claims.Expires, 0)) {
		return nil, jwt.ErrExpired
	}
	return claims, nil
}

// Claims are those of an assertion. A pointer tells what is missing from what is
// 0 or empty.
type Claims struct {
	Issuer            string   `json:"iss"`
	Audience          string   `json:"aud"`
	Subject           string   `json:"sub"`
	IssuedAt          *int64   `json:"iat"`
	NotBefore         *int64   `json:"nbf"`
	Expires           *int64   `json:"exp"`
	ID                string   `json:"jti"`
	VaccinationStatus *int     `json:"vaccination_status"`
	AuthTime          *int64   `json:"auth_time"`
	Methods           []string `json:"amr"`
	TxnID             string   `json:"txnId"`
	Consent           string   `json:"consent"`
	Purpose           *string  `json:"purpose"`

	Authority json.RawMessage `json:"authority"`
}

// What go-jose leaves to you.

// open returns the header. Header and payload have one spelling, and each name
// once, which go-jose's own JSON sees to.
func open(assertion string) (map[string]json.RawMessage, error) {
	parts := strings.Split(assertion, ".")
	if len(assertion) > 1024 || len(parts) != 3 || strings.ContainsAny(assertion, "\r\n") {
		return nil, errors.New("not three parts of at most 1024 bytes")
	}
	var header map[string]json.RawMessage
	for i, part := range parts {
		text, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil {
			return nil, err
		}
		var whole any
		if i == 2 {
			continue
		}
		if err := josejson.Unmarshal(text, &whole); err != nil || !utf8.Valid(text) {
			return nil, errors.New("not JSON with each name once")
		}
		if _, ok := whole.(map[string]any); !ok {
			return nil, errors.New("not an object")
		}
		if i == 0 {
			if err := josejson.Unmarshal(text, &header); err != nil {
				return nil, err
			}
		}
	}
	for _, never := range []string{"crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256"} {
		if _, ok := header[never]; ok {
			return nil, errors.New("a header member that an assertion never has: " + never)
		}
	}
	return header, nil
}

// check says that a claim is missing or makes no sense; those of a wrong type
// did not get here.
func (c *Claims) check() error {
	for _, at := range []*int64{c.IssuedAt, c.NotBefore, c.Expires, c.AuthTime} {
		if at == nil || *at < 0 {
			return errors.New("a time is missing")
		}
	}
	switch {
	case slices.Contains([]string{c.Issuer, c.Audience, c.Subject, c.ID, c.TxnID, c.Consent}, ""), c.Purpose == nil,
		len(c.Methods) == 0, slices.Contains(c.Methods, ""), c.Authority != nil && !strings.HasPrefix(string(c.Authority), `"`):
		return errors.New("a claim is missing or of the wrong type")
	case c.VaccinationStatus == nil || *c.VaccinationStatus < 0 || *c.VaccinationStatus > 2:
		return errors.New("vaccination_status is not 0, 1 or 2")
	case *c.Expires <= *c.IssuedAt || *c.Expires <= *c.NotBefore || *c.Expires-*c.IssuedAt > 3600:
		return errors.New("a lifetime that no assertion has")
	}
	return nil
}
