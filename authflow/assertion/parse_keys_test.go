package assertion

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// publicEd is the RFC's Ed25519 key as it is published.
const publicEd = `{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"` + edKid + `","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`

func TestParseKeySet(t *testing.T) {
	swap := func(from, to string) string {
		if !strings.Contains(publicEd, from) {
			t.Fatalf("no %s in %s", from, publicEd)
		}
		return strings.Replace(publicEd, from, to, 1)
	}
	add := func(member string) string { return strings.TrimSuffix(publicEd, "}") + "," + member + "}" }
	p384, _ := json.Marshal(map[string]string{"kty": "EC", "crv": "P-384", "alg": "ES256", "kid": edKid,
		"x": strings.Repeat("A", 64), "y": strings.Repeat("A", 64)})
	for _, c := range []struct {
		name, key string
		taken     bool
	}{
		{"as published", publicEd, true},
		{"without use", swap(`"use":"sig",`, ""), true},
		{"with key_ops", add(`"key_ops":["verify"]`), true},
		{"with something new", add(`"iat":1`), true},
		{"with an address of a certificate", add(`"x5u":"https://evil.example/"`), true},
		{"without kid", swap(`"kid":"`+edKid+`",`, ""), false},
		{"kid empty", swap(edKid, ""), false},
		{"kid a number", swap(`"`+edKid+`"`, "1"), false},
		{"kid too long", swap(edKid, strings.Repeat("k", maxKid+1)), false},
		{"without alg", swap(`"alg":"EdDSA",`, ""), false},
		{"another alg", swap(`"EdDSA"`, `"ES256"`), false},
		{"HMAC", swap(`"EdDSA"`, `"HS256"`), false},
		{"for encryption", swap(`"sig"`, `"enc"`), false},
		{"use null", swap(`"sig"`, `null`), false},
		{"key_ops to sign", add(`"key_ops":["sign"]`), false},
		{"key_ops no list", add(`"key_ops":"verify"`), false},
		{"with its private part", add(`"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"`), false},
		{"with an empty private part", add(`"d":""`), false},
		{"with a prime", add(`"p":"AA"`), false},
		{"a secret", `{"kty":"oct","alg":"HS256","kid":"` + edKid + `","k":"MDEyMzQ1Njc4OWFiY2RlZg"}`, false},
		{"of a new kind", `{"kty":"AKP","alg":"ML-DSA-44","kid":"` + edKid + `","pub":"AA"}`, false},
		{"of a curve too large", string(p384), false},
		{"X25519", swap("Ed25519", "X25519"), false},
		{"a point not on the curve", `{"kty":"EC","crv":"P-256","alg":"ES256","kid":"` + edKid + `","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"}`, false},
		{"RSA too small", `{"kty":"RSA","alg":"RS256","kid":"` + edKid + `","e":"AQAB","n":"` + strings.Repeat("_", 170) + `8"}`, false},
		{"cut short", swap("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "11qY"), false},
		{"twice under one kid", publicEd + "," + publicEd, false},
		{"a number", "1", false},
		{"null", "null", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, err := ParseKeySet([]byte(`{"keys":[` + c.key + `]}`))
			if (err == nil) != c.taken {
				t.Fatalf("taken: %v, want %v (%v)", err == nil, c.taken, err)
			}
			if err == nil {
				key, err := keys(t.Context(), edKid)
				if err != nil || !key.IsPublic() || key.CertificatesURL != nil {
					t.Errorf("%+v, %v", key, err)
				}
			}
			// Beside a good one it is passed over.
			good := strings.Replace(publicEd, edKid, "good", 1)
			keys, err = ParseKeySet(fmt.Appendf(nil, `{"keys":[%s,%s]}`, c.key, good))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := keys(t.Context(), "good"); err != nil {
				t.Error(err)
			}
		})
	}
}

// FuzzParseKeySet: whatever comes, no panic, and only public keys are taken,
// under the kid that they have.
func FuzzParseKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[` + publicEd + `]}`))
	f.Add([]byte(setText(f, parseKey(f, rfcES256), parseKey(f, rfcEdDSA), rsaKey())))
	f.Add([]byte(`{"keys":[` + rfcES256 + `]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"}],"x":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeySet(text)
		if err != nil {
			return
		}
		for kid, key := range keys {
			if !key.IsPublic() || key.KeyID != kid || kid == "" || key.Algorithm == "" {
				t.Errorf("%s: took %+v", text, key)
			}
		}
	})
}
