package assertion

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Keys that everybody knows: RFC 7515, appendix A.3, and RFC 8037, appendix A.
const (
	rfcES256 = `{"kty":"EC","crv":"P-256","alg":"ES256",
		"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
		"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
		"d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`
	rfcEdDSA = `{"kty":"OKP","crv":"Ed25519","alg":"EdDSA",
		"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
		"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
)

func parseKey(t testing.TB, text string) jose.JSONWebKey {
	t.Helper()
	var key jose.JSONWebKey
	if err := json.Unmarshal([]byte(text), &key); err != nil {
		t.Fatal(err)
	}
	return key
}

var rsaKey = sync.OnceValue(func() jose.JSONWebKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return jose.JSONWebKey{Key: key, Algorithm: "RS256"}
})

func newSigner(t testing.TB, key jose.JSONWebKey) *Signer {
	t.Helper()
	s, err := NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// publicKeys is the key set of some private keys, as a ring publishes it.
func publicKeys(t testing.TB, keys ...jose.JSONWebKey) jose.JSONWebKeySet {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, key := range keys {
		id, err := KeyID(key)
		if err != nil {
			t.Fatal(err)
		}
		public := key.Public()
		public.KeyID, public.Use = id, "sig"
		set.Keys = append(set.Keys, public)
	}
	return set
}

const issuedAt = 1767225600 // 2026-01-01T00:00:00Z

func at(seconds int64) func() time.Time {
	return func() time.Time { return time.Unix(seconds, 0) }
}

// plain are the claims of a usual assertion.
func plain() Claims {
	return Claims{
		Issuer: "https://mall.example", Audience: "mall", Subject: "AAECAwQFBgcICQoLDA0ODw",
		IssuedAt: issuedAt, NotBefore: issuedAt, Expires: issuedAt + 60,
		ID:                "EBESExQVFhcYGRobHB0eHw",
		VaccinationStatus: 2, AuthTime: issuedAt - 300, Methods: []string{"otp", "sms"},
		TxnID:   "30313233-3435-3637-3839-3a3b3c3d3e3f",
		Consent: "ICEiIyQlJicoKSorLC0uLw", Purpose: "Entry to the mall",
	}
}

// sequence is 16 bytes that count up from first.
func sequence(first byte) (b [16]byte) {
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

// variable is what plain has of its own.
func variable() *Variable {
	return &Variable{
		Subject: sequence(0x00), ID: sequence(0x10), Consent: sequence(0x20), TxnID: sequence(0x30),
		IssuedAt: issuedAt, Expires: issuedAt + 60, AuthTime: issuedAt - 300, Status: 2,
	}
}

func newVerifier(t testing.TB, set jose.JSONWebKeySet) *Verifier {
	t.Helper()
	keys, err := StaticKeys(set)
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier(VerifierConfig{
		Keys: keys, Issuer: "https://mall.example", Audience: "mall",
		Skew: 5 * time.Second, Now: at(issuedAt + 10),
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// segment returns one of the three parts of a compact assertion.
func segment(compact string, i int) string { return strings.Split(compact, ".")[i] }
