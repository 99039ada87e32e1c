package e2e

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// claims are section 3's, as a partner's program reads them.
type claims struct {
	Iss       string   `json:"iss"`
	Aud       string   `json:"aud"`
	Sub       string   `json:"sub"`
	Iat       int64    `json:"iat"`
	Nbf       int64    `json:"nbf"`
	Exp       int64    `json:"exp"`
	Jti       string   `json:"jti"`
	Status    *int     `json:"vaccination_status"`
	AuthTime  int64    `json:"auth_time"`
	Amr       []string `json:"amr"`
	TxnID     string   `json:"txnId"`
	Consent   string   `json:"consent"`
	Purpose   string   `json:"purpose"`
	Authority string   `json:"authority"`
	Sa        string   `json:"sa"` // of a partner that acts for another
}

// keys fetches a site's public keys.
func (b *browser) keys() *jose.JSONWebKeySet {
	b.t.Helper()
	a := b.fetch("/.kycvs/jwks.json")
	if a.StatusCode != 200 {
		b.t.Fatalf("the keys: %v", a)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(a.body, &set); err != nil {
		b.t.Fatalf("the keys: %v in %s", err, a.body)
	}
	if len(set.Keys) == 0 {
		b.t.Fatalf("the key set is empty: %s", a.body)
	}
	for _, k := range set.Keys {
		if !k.IsPublic() {
			b.t.Fatal("the key set shows a private key")
		}
		sum, err := k.Thumbprint(crypto.SHA256)
		if err != nil {
			b.t.Fatal(err)
		}
		if want := base64.RawURLEncoding.EncodeToString(sum); k.KeyID != want {
			b.t.Errorf("kid %q, want the RFC 7638 thumbprint %q", k.KeyID, want)
		}
	}
	return &set
}

// check verifies an assertion as section 3 tells a partner to and returns its
// claims.
func check(t testing.TB, set *jose.JSONWebKeySet, token, aud string) claims {
	t.Helper()
	c, err := verifyAssertion(set, token, aud)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func verifyAssertion(set *jose.JSONWebKeySet, token, aud string) (claims, error) {
	var c claims
	if len(token) > 1024 {
		return c, fmt.Errorf("the assertion has %d bytes, more than 1 KiB", len(token))
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.RS256})
	if err != nil {
		return c, fmt.Errorf("no JWS: %w", err)
	}
	head := jws.Signatures[0].Protected
	if typ := head.ExtraHeaders["typ"]; typ != "kycvs+jwt" {
		return c, fmt.Errorf("typ %v, want kycvs+jwt", typ)
	}
	if set == nil {
		return c, errors.New("there must be none")
	}
	keys := set.Key(head.KeyID)
	if len(keys) != 1 {
		return c, fmt.Errorf("%d keys with kid %q", len(keys), head.KeyID)
	}
	if keys[0].Algorithm != "" && keys[0].Algorithm != head.Algorithm {
		return c, fmt.Errorf("alg %s, but the key says %s", head.Algorithm, keys[0].Algorithm)
	}
	payload, err := jws.Verify(keys[0])
	if err != nil {
		return c, fmt.Errorf("the signature: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields() // nothing in it says who the person is
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("the claims: %w in %s", err, payload)
	}
	now := time.Now().Unix()
	switch {
	case c.Aud != aud:
		return c, fmt.Errorf("aud %q, want %q", c.Aud, aud)
	case c.Status == nil:
		return c, fmt.Errorf("no vaccination_status in %s", payload)
	case c.Iat > now+1 || c.Nbf > now+1 || c.Exp <= now:
		return c, fmt.Errorf("not valid now (%d): %s", now, payload)
	case c.Iss == "" || c.Sub == "" || c.Jti == "" || c.TxnID == "" || c.Consent == "" || c.Purpose == "" || c.AuthTime == 0:
		return c, fmt.Errorf("a claim is missing: %s", payload)
	case fmt.Sprint(c.Amr) != "[otp sms]":
		return c, fmt.Errorf("amr %v", c.Amr)
	}
	return c, nil
}
