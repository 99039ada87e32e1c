package vectors

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// keys are those of private-keys.json.
type keys struct {
	ES, ED, RS, Strange, P384 jose.JSONWebKey
}

func readKeys(t *testing.T) *keys {
	t.Helper()
	text, err := os.ReadFile("private-keys.json")
	if err != nil {
		t.Fatal(err)
	}
	k := new(keys)
	if err := json.Unmarshal(text, k); err != nil {
		t.Fatal(err)
	}
	for _, key := range []*jose.JSONWebKey{&k.ES, &k.ED, &k.RS, &k.Strange, &k.P384} {
		sum, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		key.KeyID, key.Use = encode(sum), "sig"
	}
	return k
}

// public is the key set, as a gate publishes it.
func (k *keys) public(t *testing.T) []byte {
	t.Helper()
	text, err := json.MarshalIndent(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k.ES.Public(), k.ED.Public(), k.RS.Public()}}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// must is for what fails only if the keys are not what they are.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// All signatures are the same each time: ECDSA's by RFC 6979, which Go does when
// it is given no source of randomness.

// derECDSA signs with SHA-256 and returns ASN.1.
func derECDSA(key any, input string) []byte {
	sum := sha256.Sum256([]byte(input))
	return must(key.(*ecdsa.PrivateKey).Sign(nil, sum[:], crypto.SHA256))
}

// pair is r and s of an ECDSA signature.
type pair struct{ r, s *big.Int }

// bytes writes r and s as JWS has them, in size bytes each.
func (p pair) bytes(size int) []byte {
	return append(p.r.FillBytes(make([]byte, size)), p.s.FillBytes(make([]byte, size))...)
}

func ecdsaPair(key any, input string) pair { return readPair(derECDSA(key, input)) }

// readPair takes r and s out of the ASN.1 of a short signature.
func readPair(der []byte) pair {
	r := der[4 : 4+der[3]]
	s := der[4+len(r)+2:]
	return pair{new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)}
}

func es256(key any, input string) []byte { return ecdsaPair(key, input).bytes(32) }

func es384(key any, input string) []byte {
	sum := sha512.Sum384([]byte(input))
	return readPair(must(key.(*ecdsa.PrivateKey).Sign(nil, sum[:], crypto.SHA384))).bytes(48)
}

func eddsa(key any, input string) []byte {
	return ed25519.Sign(key.(ed25519.PrivateKey), []byte(input))
}

// rsaPKCS1 is RS256, RS384 or RS512.
func rsaPKCS1(hash crypto.Hash, key any, input string) []byte {
	h := hash.New()
	h.Write([]byte(input))
	return must(rsa.SignPKCS1v15(nil, key.(*rsa.PrivateKey), hash, h.Sum(nil)))
}

// ps256 is RSASSA-PSS with SHA-256 (RFC 8017, section 9.1.1), with a salt of
// zeros so that it is the same each time.
func ps256(key any, input string) []byte {
	k := key.(*rsa.PrivateKey)
	size := k.Size()
	salt := make([]byte, sha256.Size)
	sum := sha256.Sum256([]byte(input))
	hash := sha256.Sum256(append(append(make([]byte, 8), sum[:]...), salt...))
	em := make([]byte, size)
	db := em[:size-sha256.Size-1]
	db[len(db)-len(salt)-1] = 1
	for i, counter := 0, uint32(0); i < len(db); counter++ { // MGF1
		block := sha256.Sum256(binary.BigEndian.AppendUint32(hash[:], counter))
		for _, b := range block[:min(len(block), len(db)-i)] {
			db[i] ^= b
			i++
		}
	}
	db[0] &= 0x7f
	copy(em[len(db):], hash[:])
	em[size-1] = 0xbc
	return new(big.Int).Exp(new(big.Int).SetBytes(em), k.D, k.N).FillBytes(make([]byte, size))
}

func hs256(secret []byte, input string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return mac.Sum(nil)
}

// der is a public key as SubjectPublicKeyInfo, which a PEM file has in it.
func der(key jose.JSONWebKey) []byte { return must(x509.MarshalPKIXPublicKey(key.Public().Key)) }

func pemOf(key jose.JSONWebKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der(key)})
}

func jwkOf(key jose.JSONWebKey) []byte { return must(json.Marshal(key.Public())) }
