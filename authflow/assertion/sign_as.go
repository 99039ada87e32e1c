package assertion

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// SignAs returns a JWS in compact form over the payload, of another kind than an
// assertion: typ says which, and keeps one from being taken for the other (RFC
// 8725, section 3.11). It is an error if typ is empty or an assertion's.
func (s *Signer) SignAs(typ string, payload []byte) (string, error) {
	// a verifier of media types reads "application/x" and "x" alike, in any case
	// (RFC 7515, section 4.1.9)
	if typ == "" || strings.EqualFold(strings.TrimPrefix(strings.ToLower(typ), "application/"), Type) {
		return "", errors.New("assertion: SignAs is for what is no assertion, and needs a typ that says so")
	}
	signer, err := jose.NewSigner(s.key, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return "", errors.New("assertion: the JOSE library does not take this key")
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("assertion: sign: %w", err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("assertion: sign: %w", err)
	}
	return compact, nil
}

// PublicKey returns the public part of the key, with its kid, alg and use.
func (s *Signer) PublicKey() jose.JSONWebKey { return s.public }
