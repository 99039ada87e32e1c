package assertion

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func TestVerify(t *testing.T) {
	for _, key := range allKeys(t) {
		t.Run(key.Algorithm, func(t *testing.T) {
			for name, claims := range golden {
				compact, err := newSigner(t, key).Compact(claims)
				if err != nil {
					t.Fatal(err)
				}
				got, err := newVerifier(t, publicKeys(t, key)).Verify(compact)
				if err != nil || !reflect.DeepEqual(got, claims) {
					t.Errorf("%s: %+v, %v", name, got, err)
				}
			}
		})
	}
}

// forge signs any header and payload with the RFC's keys, as somebody could
// who has them: by the header's alg, HS256 with the public key included.
func forge(t testing.TB, alg, header, payload string) string {
	t.Helper()
	input := encode(header) + "." + encode(payload)
	sum := sha256.Sum256([]byte(input))
	var signature []byte
	switch es, ed := parseKey(t, rfcES256).Key.(*ecdsa.PrivateKey), parseKey(t, rfcEdDSA).Key.(ed25519.PrivateKey); alg {
	case "ES256", "DER":
		der, err := es.Sign(rand.Reader, sum[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if signature = der; alg == "ES256" {
			signature = rawECDSA(t, input)
		}
	case "EdDSA":
		signature = ed25519.Sign(ed, []byte(input))
	case "HS256":
		public, err := x509.MarshalPKIXPublicKey(es.Public())
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(input))
		signature = mac.Sum(nil)
	case "zero":
		signature = make([]byte, 64)
	case "none":
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// rawECDSA is r and s in 32 bytes each, by way of go-jose.
func rawECDSA(t testing.TB, input string) []byte {
	t.Helper()
	head, payload, _ := strings.Cut(input, ".")
	var members map[jose.HeaderKey]any
	text, _ := base64.RawURLEncoding.DecodeString(head)
	// A header that go-jose would write otherwise has to be signed by hand; the
	// tests that need one use EdDSA.
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	delete(members, "alg")
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: parseKey(t, rfcES256).Key}, &jose.SignerOptions{ExtraHeaders: members})
	if err != nil {
		t.Fatal(err)
	}
	body, _ := base64.RawURLEncoding.DecodeString(payload)
	jws, err := s.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	return jws.Signatures[0].Signature
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

const (
	edKid = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
	edHdr = `{"alg":"EdDSA","kid":"` + edKid + `","typ":"kycvs+jwt"}`
)

// badCases are assertions to refuse and the reason for it. All are signed with
// a key that the verifier trusts, unless the signature is the point.
func badCases(t testing.TB) []badCase {
	esKid, err := KeyID(parseKey(t, rfcES256))
	if err != nil {
		t.Fatal(err)
	}
	claims := plain()
	good := string(claims.AppendJSON(nil))
	goodJWS := forge(t, "EdDSA", edHdr, good)
	var cases []badCase
	add := func(name string, want error, compact string) { cases = append(cases, badCase{name, want, compact}) }

	// hdr signs the good payload under another header, payload another payload.
	hdr := func(name string, want error, header string) { add(name, want, forge(t, "EdDSA", header, good)) }
	member := func(extra string) string { return strings.TrimSuffix(edHdr, "}") + "," + extra + "}" }
	payload := func(name string, want error, body string) { add(name, want, forge(t, "EdDSA", edHdr, body)) }
	swap := func(from, to string) string {
		if strings.Count(good, from) != 1 {
			t.Fatalf("%q does not stand once in %s", from, good)
		}
		return strings.Replace(good, from, to, 1)
	}
	changed := func(change func(*Claims)) string {
		c := with(change)
		return string(c.AppendJSON(nil))
	}

	add("empty", ErrMalformed, "")
	add("two dots", ErrMalformed, "..")
	add("a kilobyte and one", ErrSize, goodJWS+strings.Repeat("A", MaxSize+1-len(goodJWS)))
	add("two parts", ErrMalformed, segment(goodJWS, 0)+"."+segment(goodJWS, 1))
	add("four parts", ErrMalformed, goodJWS+".AA")
	add("five parts, encrypted", ErrMalformed, goodJWS+".AA.AA")
	add("detached payload", ErrMalformed, segment(goodJWS, 0)+".."+segment(goodJWS, 2))
	add("padding", ErrMalformed, goodJWS+"==")
	add("space before", ErrMalformed, " "+goodJWS)
	add("line break after", ErrMalformed, goodJWS+"\n")
	add("line break within", ErrMalformed, goodJWS[:10]+"\n"+goodJWS[10:])
	add("carriage return within the signature", ErrMalformed, goodJWS[:len(goodJWS)-10]+"\r"+goodJWS[len(goodJWS)-10:])
	add("NUL", ErrMalformed, goodJWS+"\x00")
	add("the plain base64 alphabet", ErrMalformed, segment(goodJWS, 0)+"."+segment(goodJWS, 1)+".+/"+segment(goodJWS, 2)[2:])
	add("stray bits in the last character", ErrMalformed, strayBits(t, goodJWS))
	add("JSON serialization", ErrMalformed, `{"protected":"`+segment(goodJWS, 0)+`","payload":"`+segment(goodJWS, 1)+`","signature":"`+segment(goodJWS, 2)+`"}`)
	add("Bearer before it", ErrMalformed, "Bearer "+goodJWS)

	hdr("header not JSON", ErrMalformed, `{"alg"`)
	hdr("header an array", ErrMalformed, `["EdDSA"]`)
	hdr("header null", ErrMalformed, `null`)
	hdr("header twice", ErrMalformed, edHdr+edHdr)
	hdr("header not UTF-8", ErrMalformed, member("\"x\":\"\xff\""))
	hdr("doubled alg", ErrMalformed, member(`"alg":"EdDSA"`))
	hdr("doubled by escape", ErrMalformed, member(`"\u0061lg":"EdDSA"`))
	hdr("doubled within a member", ErrMalformed, member(`"x":{"a":1,"a":2}`))
	hdr("no typ", ErrType, `{"alg":"EdDSA","kid":"`+edKid+`"}`)
	hdr("typ JWT", ErrType, strings.Replace(edHdr, "kycvs+jwt", "JWT", 1))
	hdr("typ in capitals", ErrType, strings.Replace(edHdr, "kycvs+jwt", "KYCVS+JWT", 1))
	hdr("typ of application/", ErrType, strings.Replace(edHdr, "kycvs+jwt", "application/kycvs+jwt", 1))
	hdr("typ a list", ErrType, strings.Replace(edHdr, `"kycvs+jwt"`, `["kycvs+jwt"]`, 1))
	hdr("Typ", ErrType, strings.Replace(edHdr, `"typ"`, `"Typ"`, 1))
	hdr("injected jwk", ErrHeader, member(`"jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`))
	hdr("jku", ErrHeader, member(`"jku":"https://evil.example/jwks.json"`))
	hdr("x5u", ErrHeader, member(`"x5u":"https://evil.example/cert.pem"`))
	hdr("x5c", ErrHeader, member(`"x5c":["AA"]`))
	hdr("x5t", ErrHeader, member(`"x5t":"AA"`))
	hdr("x5t#S256", ErrHeader, member(`"x5t#S256":"AA"`))
	hdr("crit", ErrHeader, member(`"crit":["exp"],"exp":1`))
	hdr("crit null", ErrHeader, member(`"crit":null`))
	hdr("b64 false", ErrHeader, member(`"b64":false`))
	hdr("b64 true", ErrHeader, member(`"b64":true`))
	hdr("zip", ErrHeader, member(`"zip":"DEF"`))
	hdr("no alg", ErrAlgorithm, `{"kid":"`+edKid+`","typ":"kycvs+jwt"}`)
	hdr("alg null", ErrAlgorithm, strings.Replace(edHdr, `"EdDSA"`, `null`, 1))
	hdr("alg a list", ErrAlgorithm, strings.Replace(edHdr, `"EdDSA"`, `["EdDSA"]`, 1))
	hdr("no kid", ErrKeyUnknown, `{"alg":"EdDSA","typ":"kycvs+jwt"}`)
	hdr("kid a number", ErrKeyUnknown, `{"alg":"EdDSA","kid":1,"typ":"kycvs+jwt"}`)
	hdr("kid empty", ErrKeyUnknown, `{"alg":"EdDSA","kid":"","typ":"kycvs+jwt"}`)
	hdr("kid unknown", ErrKeyUnknown, `{"alg":"EdDSA","kid":"nobody","typ":"kycvs+jwt"}`)
	hdr("kid a path", ErrKeyUnknown, `{"alg":"EdDSA","kid":"../../dev/null","typ":"kycvs+jwt"}`)

	for _, alg := range []string{"none", "None", "nOnE", "NONE", "HS256", "HS512", "PS256", "RS512", "ES384", "ES512", "ML-DSA-65", "eddsa", ""} {
		sign := "EdDSA"
		if alg == "HS256" || strings.EqualFold(alg, "none") {
			sign = alg
		}
		header := strings.Replace(edHdr, "EdDSA", alg, 1)
		compact := forge(t, sign, header, good)
		add("alg "+alg, ErrAlgorithm, compact)
		if strings.EqualFold(alg, "none") {
			add("alg "+alg+" with a signature", ErrAlgorithm, compact+segment(goodJWS, 2))
		}
	}
	add("HMAC with the public key", ErrAlgorithm, forge(t, "HS256", `{"alg":"HS256","kid":"`+esKid+`","typ":"kycvs+jwt"}`, good))
	hdr("an Ed25519 key as ES256", ErrAlgorithm, strings.Replace(edHdr, "EdDSA", "ES256", 1))
	hdr("an Ed25519 key as RS256", ErrAlgorithm, strings.Replace(edHdr, "EdDSA", "RS256", 1))
	hdr("another's kid", ErrAlgorithm, strings.Replace(edHdr, edKid, esKid, 1))

	esHdr := `{"alg":"ES256","kid":"` + esKid + `","typ":"kycvs+jwt"}`
	add("DER signature", ErrSignature, forge(t, "DER", esHdr, good))
	add("r and s zero", ErrSignature, forge(t, "zero", esHdr, good))
	add("r and s the order", ErrSignature, encode(esHdr)+"."+encode(good)+"."+encode(strings.Repeat(string(elliptic.P256().Params().N.Bytes()), 2)))
	add("r and s all ones", ErrSignature, encode(esHdr)+"."+encode(good)+"."+encode(strings.Repeat("\xff", 64)))
	add("Ed25519 signature zero", ErrSignature, forge(t, "zero", edHdr, good))
	add("no signature", ErrSignature, segment(goodJWS, 0)+"."+segment(goodJWS, 1)+".")
	add("a signature cut short", ErrSignature, goodJWS[:len(goodJWS)-2])
	add("a signature made longer", ErrSignature, goodJWS[:len(goodJWS)-2]+encode("\x00\x00\x00"))
	add("a signature of another payload", ErrSignature, segment(goodJWS, 0)+"."+encode(swap(`"vaccination_status":2`, `"vaccination_status":1`))+"."+segment(goodJWS, 2))
	add("a signature of another header", ErrSignature, encode(member(`"x":1`))+"."+segment(goodJWS, 1)+"."+segment(goodJWS, 2))
	add("another spelling of the same header", ErrSignature, encode(" "+edHdr)+"."+segment(goodJWS, 1)+"."+segment(goodJWS, 2))

	payload("payload not JSON", ErrMalformed, "2")
	payload("payload an array", ErrMalformed, "["+good+"]")
	payload("payload null", ErrMalformed, "null")
	payload("payload twice", ErrMalformed, "{}"+good)
	payload("payload not UTF-8", ErrMalformed, swap("Entry", "\xff"))
	payload("doubled vaccination_status", ErrMalformed, swap(`"vaccination_status":2`, `"vaccination_status":0,"vaccination_status":2`))
	payload("doubled by escape", ErrMalformed, swap(`"vaccination_status":2`, `"vaccination_status":2,"vaccination_\u0073tatus":0`))
	payload("doubled deep inside", ErrMalformed, swap(`"amr"`, `"x":[{"y":{"a":1,"a":1}}],"amr"`))
	payload("an empty object", ErrClaims, "{}")
	for _, name := range []string{"iss", "aud", "sub", "iat", "nbf", "exp", "jti", "vaccination_status", "auth_time", "amr", "txnId", "consent", "purpose"} {
		payload("no "+name, ErrClaims, swap(`"`+name+`":`, `"x":`))
		payload(name+" with a capital", ErrClaims, swap(`"`+name+`":`, `"`+strings.ToUpper(name)+`":`))
		for _, wrong := range []string{"null", "true", `{}`, `[]`} {
			payload(name+" "+wrong, ErrClaims, swap(`"`+name+`":`, `"`+name+`":`+wrong+`,"x":`))
		}
	}
	payload("several audiences", ErrClaims, swap(`"aud":"mall"`, `"aud":["mall","ward"]`))
	payload("one audience in a list", ErrClaims, swap(`"aud":"mall"`, `"aud":["mall"]`))
	payload("sub a number", ErrClaims, swap(`"sub":"AAECAwQFBgcICQoLDA0ODw"`, `"sub":1`))
	payload("sub empty", ErrClaims, swap(`"AAECAwQFBgcICQoLDA0ODw"`, `""`))
	payload("authority null", ErrClaims, swap(`"amr"`, `"authority":null,"amr"`))
	payload("authority empty", ErrClaims, swap(`"amr"`, `"authority":"","amr"`))
	payload("amr a text", ErrClaims, swap(`["otp","sms"]`, `"otp"`))
	payload("amr with null", ErrClaims, swap(`["otp","sms"]`, `["otp",null]`))
	payload("amr with a number", ErrClaims, swap(`["otp","sms"]`, `["otp",1]`))
	for _, wrong := range []string{`"2"`, "2.0", "2e0", "20e-1", "-0"} {
		payload("vaccination_status "+wrong, ErrClaims, swap(`"vaccination_status":2`, `"vaccination_status":`+wrong))
	}
	for _, wrong := range []string{"3", "-1", "22", "9223372036854775807"} {
		payload("vaccination_status "+wrong, ErrStatus, swap(`"vaccination_status":2`, `"vaccination_status":`+wrong))
	}
	for _, wrong := range []string{`"1767225660"`, "1767225660.5", "1.76722566e9", "9223372036854775807", "9223372036854775808", "253402300800", "-1"} {
		payload("exp "+wrong, ErrClaims, swap(`"exp":1767225660`, `"exp":`+wrong))
	}

	payload("another issuer", ErrIssuer, changed(func(c *Claims) { c.Issuer = "https://evil.example" }))
	payload("an issuer with a slash", ErrIssuer, changed(func(c *Claims) { c.Issuer += "/" }))
	payload("another audience", ErrAudience, changed(func(c *Claims) { c.Audience = "ward" }))
	payload("an audience in capitals", ErrAudience, changed(func(c *Claims) { c.Audience = "Mall" }))
	payload("exp at iat", ErrLifetime, changed(func(c *Claims) { c.Expires = c.IssuedAt }))
	payload("exp before iat", ErrLifetime, changed(func(c *Claims) { c.Expires = c.IssuedAt - 1 }))
	payload("exp before nbf", ErrLifetime, changed(func(c *Claims) { c.NotBefore = c.Expires + 1 }))
	return cases
}

type badCase struct {
	name    string
	want    error
	compact string
}

// strayBits finds another spelling of the last character that a lenient
// decoder takes for the same signature.
func strayBits(t testing.TB, compact string) string {
	t.Helper()
	last := len(compact) - 1
	want, _ := base64.RawURLEncoding.DecodeString(segment(compact, 2))
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		other := compact[:last] + string(c)
		if got, err := base64.RawURLEncoding.DecodeString(segment(other, 2)); other != compact && err == nil && slices.Equal(got, want) {
			return other
		}
	}
	t.Fatal("no other spelling")
	return ""
}

func TestVerifyRefuses(t *testing.T) {
	v := newVerifier(t, publicKeys(t, allKeys(t)...))
	if _, err := v.Verify(forge(t, "EdDSA", edHdr, string(plainJSON()))); err != nil {
		t.Fatalf("what the cases start from: %v", err)
	}
	for _, c := range badCases(t) {
		t.Run(c.name, func(t *testing.T) {
			got, err := v.Verify(c.compact)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if !reflect.DeepEqual(got, Claims{}) {
				t.Errorf("with claims: %+v", got)
			}
			if err != nil && strings.Contains(err.Error(), "AAECAwQFBgcICQoLDA0ODw") {
				t.Errorf("shows the subject: %v", err)
			}
		})
	}
}

func plainJSON() []byte {
	c := plain()
	return c.AppendJSON(nil)
}

func TestVerifyTakes(t *testing.T) {
	v := newVerifier(t, publicKeys(t, allKeys(t)...))
	for name, parts := range map[string][2]string{
		"other header members": {strings.TrimSuffix(edHdr, "}") + `,"cty":"x","new":1}`, string(plainJSON())},
		"other claims":         {edHdr, strings.TrimSuffix(string(plainJSON()), "}") + `,"new":{"a":[1]}}`},
		"white space":          {" " + edHdr + "\n", "\t" + string(plainJSON())},
		"no purpose":           {edHdr, strings.Replace(string(plainJSON()), "Entry to the mall", "", 1)},
	} {
		if _, err := v.Verify(forge(t, "EdDSA", parts[0], parts[1])); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifyTimes(t *testing.T) {
	key := parseKey(t, rfcEdDSA)
	s := newSigner(t, key)
	keys, _ := StaticKeys(publicKeys(t, key))
	const skew = 5
	late := func(by int64) func(*Claims) {
		return func(c *Claims) { c.IssuedAt, c.NotBefore = c.IssuedAt+by, c.NotBefore+by }
	}
	for _, c := range []struct {
		name   string
		now    time.Time
		change func(*Claims)
		want   error
	}{
		{"just issued", time.Unix(issuedAt, 0), nil, nil},
		{"issued ahead by the skew", time.Unix(issuedAt-skew, 0), nil, nil},
		{"issued ahead by more", time.Unix(issuedAt-skew, -1), nil, ErrIssuedInFuture},
		{"not before, by the skew", time.Unix(issuedAt, 0), func(c *Claims) { c.NotBefore += skew }, nil},
		{"not before, by more", time.Unix(issuedAt, 0), func(c *Claims) { c.NotBefore += skew + 1 }, ErrNotYetValid},
		{"both", time.Unix(issuedAt, 0), late(skew + 1), ErrIssuedInFuture},
		{"the last moment", time.Unix(issuedAt+60+skew, -1), nil, nil},
		{"on exp and the skew", time.Unix(issuedAt+60+skew, 0), nil, ErrExpired},
		{"long ago", time.Unix(issuedAt*2, 0), nil, ErrExpired},
		{"an hour long", time.Unix(issuedAt, 0), func(c *Claims) { c.Expires = c.IssuedAt + 3600 }, nil},
		{"longer", time.Unix(issuedAt, 0), func(c *Claims) { c.Expires = c.IssuedAt + 3601 }, ErrLifetime},
		{"until the year 9999", time.Unix(issuedAt, 0), func(c *Claims) { c.Expires = maxTime }, ErrLifetime},
	} {
		t.Run(c.name, func(t *testing.T) {
			claims := plain()
			if c.change != nil {
				c.change(&claims)
			}
			compact, err := s.Compact(claims)
			if err != nil {
				t.Fatal(err)
			}
			v, err := NewVerifier(VerifierConfig{
				Keys: keys, Issuer: claims.Issuer, Audience: claims.Audience,
				Skew: skew * time.Second, Now: func() time.Time { return c.now },
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Verify(compact); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestVerifyAsksForKeys(t *testing.T) {
	es, ed := parseKey(t, rfcES256), parseKey(t, rfcEdDSA)
	compact, err := newSigner(t, ed).Compact(plain())
	if err != nil {
		t.Fatal(err)
	}
	right := publicKeys(t, ed).Keys[0]
	change := func(f func(*jose.JSONWebKey)) jose.JSONWebKey {
		key := right
		f(&key)
		return key
	}
	down := errors.New("no route to host")
	for _, c := range []struct {
		name string
		key  jose.JSONWebKey
		err  error
		want error
	}{
		{"the right one", right, nil, nil},
		{"without alg and use", change(func(k *jose.JSONWebKey) { k.Algorithm, k.Use = "", "" }), nil, nil},
		{"the private one", change(func(k *jose.JSONWebKey) { k.Key = ed.Key }), nil, nil},
		{"none", jose.JSONWebKey{}, fmt.Errorf("looked everywhere: %w", ErrKeyUnknown), ErrKeyUnknown},
		{"nobody to ask", jose.JSONWebKey{}, down, ErrKeysUnavailable},
		{"nobody to ask, and why", jose.JSONWebKey{}, down, down},
		{"another's", publicKeys(t, es).Keys[0], nil, ErrKeyUnknown},
		{"another's under this kid", change(func(k *jose.JSONWebKey) { k.Key = es.Public().Key }), nil, ErrAlgorithm},
		{"a secret", change(func(k *jose.JSONWebKey) { k.Key = []byte("0123456789abcdef0123456789abcdef") }), nil, ErrKeysUnavailable},
		{"for another algorithm", change(func(k *jose.JSONWebKey) { k.Algorithm = "ES256" }), nil, ErrAlgorithm},
		{"for encryption", change(func(k *jose.JSONWebKey) { k.Use = "enc" }), nil, ErrAlgorithm},
		{"empty", change(func(k *jose.JSONWebKey) { k.Key = nil }), nil, ErrKeysUnavailable},
		{"cut short", change(func(k *jose.JSONWebKey) { k.Key = ed25519.PublicKey{1} }), nil, ErrKeysUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			type mark struct{}
			v, err := NewVerifier(VerifierConfig{
				Keys: func(ctx context.Context, kid string) (jose.JSONWebKey, error) {
					if kid != edKid || ctx.Value(mark{}) == nil {
						t.Errorf("asked for %s with %v", kid, ctx)
					}
					return c.key, c.err
				},
				Issuer: "https://mall.example", Audience: "mall", Now: at(issuedAt),
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx := context.WithValue(t.Context(), mark{}, true)
			if _, err := v.VerifyContext(ctx, compact); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestVerifierTakesOnlyItsAlgorithms(t *testing.T) {
	keys := allKeys(t)
	find, _ := StaticKeys(publicKeys(t, keys...))
	for _, alg := range Algorithms() {
		v, err := NewVerifier(VerifierConfig{
			Keys: find, Issuer: "https://mall.example", Audience: "mall", Now: at(issuedAt),
			Algorithms: []jose.SignatureAlgorithm{alg},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			compact, _ := newSigner(t, key).Compact(plain())
			_, err := v.Verify(compact)
			if own := key.Algorithm == string(alg); own != (err == nil) || !own && !errors.Is(err, ErrAlgorithm) {
				t.Errorf("%s by a verifier of %s: %v", key.Algorithm, alg, err)
			}
		}
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	keys, _ := StaticKeys(jose.JSONWebKeySet{})
	full := VerifierConfig{Keys: keys, Issuer: "i", Audience: "a"}
	for name, change := range map[string]func(*VerifierConfig){
		"no keys":       func(c *VerifierConfig) { c.Keys = nil },
		"no issuer":     func(c *VerifierConfig) { c.Issuer = "" },
		"no audience":   func(c *VerifierConfig) { c.Audience = "" },
		"skew too much": func(c *VerifierConfig) { c.Skew = MaxSkew + 1 },
		"an hour more":  func(c *VerifierConfig) { c.Lifetime = MaxLifetime + 1 },
		"no lifetime":   func(c *VerifierConfig) { c.Lifetime = -1 },
		"none":          func(c *VerifierConfig) { c.Algorithms = []jose.SignatureAlgorithm{"none"} },
		"HS256":         func(c *VerifierConfig) { c.Algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.HS256} },
	} {
		cfg := full
		change(&cfg)
		if _, err := NewVerifier(cfg); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	twice := publicKeys(t, parseKey(t, rfcES256), parseKey(t, rfcES256))
	if _, err := StaticKeys(twice); err == nil {
		t.Error("a set with one kid twice: taken")
	}
}

// TestVerifierDefaults holds what a VerifierConfig means that says nothing.
func TestVerifierDefaults(t *testing.T) {
	key := parseKey(t, rfcEdDSA)
	keys, _ := StaticKeys(publicKeys(t, key))
	compact, err := newSigner(t, key).Compact(plain())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		skew     time.Duration
		lifetime time.Duration
		now      int64
		want     error
	}{
		{"five seconds late", 0, 0, issuedAt + 64, nil},
		{"and one more", 0, 0, issuedAt + 65, ErrExpired},
		{"no skew", -1, 0, issuedAt + 59, nil},
		{"no skew, on exp", -1, 0, issuedAt + 60, ErrExpired},
		{"the most", MaxSkew, 0, issuedAt + 89, nil},
		{"the issuer's minute", 0, time.Minute, issuedAt, nil},
		{"less than it has", 0, 59 * time.Second, issuedAt, ErrLifetime},
	} {
		v, err := NewVerifier(VerifierConfig{
			Keys: keys, Issuer: "https://mall.example", Audience: "mall", Skew: c.skew, Lifetime: c.lifetime, Now: at(c.now),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(compact); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// FuzzVerify: whatever comes, no panic, and nothing is taken but what was
// signed, in the one spelling it was signed in.
func FuzzVerify(f *testing.F) {
	key := parseKey(f, rfcEdDSA)
	v := newVerifier(f, publicKeys(f, key, parseKey(f, rfcES256)))
	good := forge(f, "EdDSA", edHdr, string(plainJSON()))
	f.Add(good)
	for _, c := range badCases(f) {
		f.Add(c.compact)
	}
	f.Fuzz(func(t *testing.T, compact string) {
		if _, err := v.Verify(compact); err == nil && compact != good {
			t.Errorf("taken: %q", compact)
		}
	})
}

// FuzzVerifySigned: header and payload as they come, but signed. What is taken
// means the same when it is written down again.
func FuzzVerifySigned(f *testing.F) {
	v := newVerifier(f, publicKeys(f, parseKey(f, rfcEdDSA)))
	f.Add(edHdr, string(plainJSON()))
	for _, c := range badCases(f) {
		if p, err := split(c.compact); err == nil {
			f.Add(string(p.header), string(p.payload))
		}
	}
	f.Fuzz(func(t *testing.T, header, payload string) {
		c, err := v.Verify(forge(t, "EdDSA", header, payload))
		if err != nil {
			return
		}
		again, err := v.Verify(forge(t, "EdDSA", edHdr, string(c.AppendJSON(nil))))
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%s\nread as %+v,\nthen as %+v, %v", payload, c, again, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, key := range allKeys(b) {
		b.Run(strings.ToLower(key.Algorithm), func(b *testing.B) {
			v := newVerifier(b, publicKeys(b, key))
			compact, err := newSigner(b, key).Compact(plain())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(compact); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
