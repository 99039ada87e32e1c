package assertion

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func allKeys(t testing.TB) []jose.JSONWebKey {
	return []jose.JSONWebKey{parseKey(t, rfcES256), parseKey(t, rfcEdDSA), rsaKey()}
}

func TestKeyIDIsTheThumbprint(t *testing.T) {
	id, err := KeyID(parseKey(t, rfcEdDSA))
	if want := "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; err != nil || id != want { // RFC 8037, A.3
		t.Errorf("got %s, %v, want %s", id, err, want)
	}
	for name, key := range map[string]any{"nothing": nil, "short": ed25519.PrivateKey{1}, "secret": []byte("secret")} {
		if id, err := KeyID(jose.JSONWebKey{Key: key}); err == nil {
			t.Errorf("%s: got %s", name, id)
		}
	}
}

func TestSigner(t *testing.T) {
	for _, key := range allKeys(t) {
		t.Run(key.Algorithm, func(t *testing.T) {
			s := newSigner(t, key)
			id, _ := KeyID(key)
			header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"kycvs+jwt"}`, key.Algorithm, id)
			if want := base64.RawURLEncoding.EncodeToString([]byte(header)); s.Header() != want {
				t.Errorf("Header: got %s, want %s", s.Header(), want)
			}
			if s.KeyID() != id || string(s.Algorithm()) != key.Algorithm {
				t.Errorf("got %s, %s", s.KeyID(), s.Algorithm())
			}
			claims := plain()
			payload := claims.AppendJSON(nil)
			signature, err := s.Sign(payload)
			if err != nil || len(signature) != s.SignatureSize() {
				t.Fatalf("%d bytes, %v, want %d", len(signature), err, s.SignatureSize())
			}

			// What go-jose writes is what we put together ourselves.
			jws, err := s.jose.Sign(payload)
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := jws.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			ours := string(appendCompact(nil, s.Header(), payload, jws.Signatures[0].Signature))
			if ours != theirs {
				t.Errorf("\nours   %s\ntheirs %s", ours, theirs)
			}
		})
	}
}

// Ed25519 signs the same each time, so a whole assertion can be pinned.
func TestGoldenAssertion(t *testing.T) {
	const file = "testdata/plain.eddsa.jws"
	got, err := newSigner(t, parseKey(t, rfcEdDSA)).Compact(plain())
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got+"\n" != string(want) {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestNewSignerRefuses(t *testing.T) {
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	otherEC, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, otherEd, _ := ed25519.GenerateKey(rand.Reader)
	t.Setenv("GODEBUG", "rsa1024min=0")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	change := func(key jose.JSONWebKey, f func(*jose.JSONWebKey)) jose.JSONWebKey {
		f(&key)
		return key
	}
	es, ed := parseKey(t, rfcES256), parseKey(t, rfcEdDSA)
	halves := *es.Key.(*ecdsa.PrivateKey)
	halves.PublicKey = otherEC.PublicKey

	for name, key := range map[string]jose.JSONWebKey{
		"nothing":              {},
		"public":               es.Public(),
		"no alg":               change(es, func(k *jose.JSONWebKey) { k.Algorithm = "" }),
		"another's alg":        change(es, func(k *jose.JSONWebKey) { k.Algorithm = "EdDSA" }),
		"none":                 change(es, func(k *jose.JSONWebKey) { k.Algorithm = "none" }),
		"ES384":                {Key: p384, Algorithm: "ES384"},
		"P-384 as ES256":       {Key: p384, Algorithm: "ES256"},
		"PS256":                change(rsaKey(), func(k *jose.JSONWebKey) { k.Algorithm = "PS256" }),
		"RSA of 1024 bits":     {Key: small, Algorithm: "RS256"},
		"secret":               {Key: bytes.Repeat([]byte{1}, 32), Algorithm: "HS256"},
		"a kid of its own":     change(es, func(k *jose.JSONWebKey) { k.KeyID = "mine" }),
		"for encryption":       change(es, func(k *jose.JSONWebKey) { k.Use = "enc" }),
		"short Ed25519":        {Key: ed25519.PrivateKey{1, 2}, Algorithm: "EdDSA"},
		"two EC keys' halves":  {Key: &halves, Algorithm: "ES256"},
		"two Ed25519s' halves": {Key: append(ed.Key.(ed25519.PrivateKey)[:32:32], otherEd[32:]...), Algorithm: "EdDSA"},
	} {
		if s, err := NewSigner(key); err == nil {
			t.Errorf("%s: made %v", name, s)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

func TestCompactSize(t *testing.T) {
	s := newSigner(t, parseKey(t, rfcES256))
	claims := plain()
	for claims.Purpose = "p"; ; claims.Purpose += "p" {
		compact, err := s.Compact(claims)
		if err == nil && len(compact) > MaxSize {
			t.Fatalf("made %d bytes", len(compact))
		}
		if err != nil {
			if n := len(claims.Purpose); n < 200 {
				t.Errorf("refused a purpose of %d bytes: %v", n, err)
			}
			break
		}
	}
}

func TestSignerPrintsNoKey(t *testing.T) {
	key := parseKey(t, rfcEdDSA)
	s := newSigner(t, key)
	want := "assertion.Signer(EdDSA kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k)"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, s); got != want {
			t.Errorf("%s: %s", verb, got)
		}
	}
}

func TestSignerConcurrently(t *testing.T) {
	key := parseKey(t, rfcES256)
	s, v := newSigner(t, key), newVerifier(t, publicKeys(t, key))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				compact, err := s.Compact(plain())
				if err == nil {
					_, err = v.Verify(compact)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkSign(b *testing.B) {
	for _, key := range allKeys(b) {
		b.Run(strings.ToLower(key.Algorithm), func(b *testing.B) {
			s, claims := newSigner(b, key), plain()
			payload := claims.AppendJSON(nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Sign(payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
