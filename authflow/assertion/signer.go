package assertion

import (
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Signer signs with one private key. It is safe for concurrent use, and prints
// as its algorithm and key id, never as the key.
type Signer struct {
	jose   jose.Signer
	key    jose.SigningKey // for SignAs
	public jose.JSONWebKey
	alg    jose.SignatureAlgorithm
	keyID  string
	header string
	size   int
}

// NewSigner takes a private key with its alg: ES256 (P-256), EdDSA (Ed25519) or
// RS256 (2048 bits or more). Its kid must be its RFC 7638 thumbprint; without
// one it gets that. The key is tried once, so that one whose two halves do not
// belong together is refused here and not by every verifier.
func NewSigner(key jose.JSONWebKey) (*Signer, error) {
	if !key.Valid() || key.IsPublic() {
		return nil, errors.New("assertion: signing takes a private key")
	}
	alg := jose.SignatureAlgorithm(key.Algorithm)
	public := key.Public()
	if err := fits(public.Key, alg); err != nil {
		return nil, fmt.Errorf("assertion: cannot sign with this key: %w", err)
	}
	id, err := KeyID(key)
	if err != nil {
		return nil, err
	}
	if key.KeyID != "" && key.KeyID != id {
		return nil, fmt.Errorf("assertion: the key's kid is not its RFC 7638 thumbprint, %s", id)
	}
	if key.Use != "" && key.Use != "sig" {
		return nil, errors.New(`assertion: the key's use is not "sig"`)
	}

	s := &Signer{
		key:    jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key.Key, KeyID: id}},
		public: jose.JSONWebKey{Key: public.Key, KeyID: id, Algorithm: key.Algorithm, Use: "sig"},
		alg:    alg, keyID: id, size: 64,
	}
	if k, ok := public.Key.(*rsa.PublicKey); ok {
		s.size = k.Size()
	}
	// Only the key and its id go in: go-jose puts nothing else of a JWK into the
	// header, but then nothing else can come to be in it either.
	s.jose, err = jose.NewSigner(s.key, (&jose.SignerOptions{}).WithType(Type))
	if err != nil {
		return nil, errors.New("assertion: the JOSE library does not take this key")
	}
	return s, s.try(public)
}

// try signs once, learns the header from it and checks the signature.
func (s *Signer) try(public jose.JSONWebKey) error {
	unusable := errors.New("assertion: a signature made with this key does not verify: it is damaged, make a new one")
	jws, err := s.jose.Sign([]byte("{}"))
	if err != nil {
		return unusable
	}
	if _, err := jws.Verify(public.Key); err != nil {
		return unusable
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		return unusable
	}
	s.header, _, _ = strings.Cut(compact, ".")
	return nil
}

// Header returns the first segment of every assertion of this signer: the
// base64url of {"alg":…,"kid":…,"typ":"kycvs+jwt"}, without a dot.
func (s *Signer) Header() string { return s.header }

// KeyID returns the key's RFC 7638 thumbprint.
func (s *Signer) KeyID() string { return s.keyID }

// Algorithm returns ES256, EdDSA or RS256.
func (s *Signer) Algorithm() jose.SignatureAlgorithm { return s.alg }

// SignatureSize returns how many bytes each signature has: 64 for ES256 and
// EdDSA, the size of the modulus for RS256.
func (s *Signer) SignatureSize() int { return s.size }

// String keeps the key out of whatever prints a Signer.
func (s *Signer) String() string { return "assertion.Signer(" + string(s.alg) + " " + s.keyID + ")" }

// GoString is String, for %#v.
func (s *Signer) GoString() string { return s.String() }

// Sign returns the raw signature over Header()+"."+base64url(payload), of
// SignatureSize bytes: what RFC 7515 calls the JWS Signature.
func (s *Signer) Sign(payload []byte) ([]byte, error) {
	jws, err := s.jose.Sign(payload)
	if err != nil {
		return nil, fmt.Errorf("assertion: sign: %w", err)
	}
	signature := jws.Signatures[0].Signature
	if len(signature) != s.size {
		return nil, fmt.Errorf("assertion: sign: %d bytes, not the %d that %s has", len(signature), s.size, s.alg)
	}
	return signature, nil
}

// Compact returns the whole assertion. It is an error if that is larger than
// MaxSize: texts in the claims must then become shorter, or the key smaller.
func (s *Signer) Compact(claims Claims) (string, error) {
	payload := claims.AppendJSON(make([]byte, 0, payloadRoom))
	if n := compactSize(len(s.header), len(payload), s.size); n > MaxSize {
		return "", fmt.Errorf("assertion: %d bytes with %s, more than the %d allowed: shorten issuer or purpose, or sign with ES256", n, s.alg, MaxSize)
	}
	signature, err := s.Sign(payload)
	if err != nil {
		return "", err
	}
	return string(appendCompact(nil, s.header, payload, signature)), nil
}

// payloadRoom holds the payload of any assertion within MaxSize.
const payloadRoom = 768

// compactSize is the length of a compact assertion, from the length of its
// encoded header and of its payload and signature before encoding.
func compactSize(header, payload, signature int) int {
	return header + 1 + base64.RawURLEncoding.EncodedLen(payload) + 1 + base64.RawURLEncoding.EncodedLen(signature)
}

// appendCompact appends header.payload.signature (RFC 7515, section 7.1).
func appendCompact(dst []byte, header string, payload, signature []byte) []byte {
	dst = append(dst, header...)
	dst = append(dst, '.')
	dst = base64.RawURLEncoding.AppendEncode(dst, payload)
	dst = append(dst, '.')
	return base64.RawURLEncoding.AppendEncode(dst, signature)
}
