package keyring

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

// rsaBits is what RS256 keys are made with: a larger modulus makes a larger
// signature, and an assertion has to stay within assertion.MaxSize.
const rsaBits = 2048

var errTooMany = errors.New("keyring: too many keys are still public to make another: raise rotate_every, or lower the assertions' time to live")

// makeKey makes a private key with its kid.
func makeKey(algorithm jose.SignatureAlgorithm) (jose.JSONWebKey, error) {
	key := jose.JSONWebKey{Algorithm: string(algorithm), Use: "sig"}
	var err error
	switch algorithm {
	case jose.ES256:
		key.Key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, key.Key, err = ed25519.GenerateKey(rand.Reader)
	case jose.RS256:
		key.Key, err = rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		err = errors.New("no such algorithm")
	}
	if err == nil {
		key.KeyID, err = assertion.KeyID(key)
	}
	if err != nil {
		return jose.JSONWebKey{}, fmt.Errorf("keyring: make a key for %q: %w", algorithm, err)
	}
	return key, nil
}
