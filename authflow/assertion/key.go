package assertion

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// minRSABits is the least modulus RS256 may have (RFC 7518, section 3.3).
const minRSABits = 2048

// algorithms are those an assertion may be signed with (contract, section 3).
// There is no HMAC among them and never will be: a public key must not double
// as a secret (RFC 8725, section 2.1).
var algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.RS256}

// Algorithms returns the algorithms an assertion may be signed with, the
// default first.
func Algorithms() []jose.SignatureAlgorithm { return slices.Clone(algorithms) }

// KeyID returns the name a key has in this product: its RFC 7638 thumbprint
// with SHA-256 in base64url without padding, 43 characters, the same for the
// private key and its public part.
func KeyID(key jose.JSONWebKey) (string, error) {
	// Valid keeps go-jose from reading past the end of a key that is too short.
	if !key.Valid() {
		return "", errors.New("assertion: cannot name this key: it is empty or of a kind JSON Web Key does not know")
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		// go-jose's own words are left out: they are about the inside of a key.
		return "", errors.New("assertion: cannot name this key: it has no RFC 7638 thumbprint")
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// fits says why a public key cannot be used with an algorithm, nil if it can.
// Asking the key, not only the header, is what stops one algorithm's key from
// being used as another's (RFC 8725, section 3.1).
func fits(public any, alg jose.SignatureAlgorithm) error {
	switch alg {
	case jose.ES256:
		if k, ok := public.(*ecdsa.PublicKey); ok && k.Curve == elliptic.P256() {
			return nil
		}
		return errors.New("ES256 takes a P-256 key")
	case jose.EdDSA:
		if k, ok := public.(ed25519.PublicKey); ok && len(k) == ed25519.PublicKeySize {
			return nil
		}
		return errors.New("EdDSA takes an Ed25519 key")
	case jose.RS256:
		if k, ok := public.(*rsa.PublicKey); ok && k.N != nil && k.N.BitLen() >= minRSABits {
			return nil
		}
		return fmt.Errorf("RS256 takes an RSA key of at least %d bits", minRSABits)
	}
	return fmt.Errorf("algorithm %q is not one of ES256, EdDSA and RS256", alg)
}
