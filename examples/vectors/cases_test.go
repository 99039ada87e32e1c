package vectors

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// build makes all vectors, in the order in which they stand in the file.
func (b *builder) build() []Vector {
	b.goodOnes()
	b.forms()
	b.headers()
	b.algorithms()
	b.keyNames()
	b.signatures()
	b.payloads()
	b.claimTypes()
	b.statuses()
	b.parties()
	b.times()
	return b.all
}

func (b *builder) goodOnes() {
	b.good("good: ES256", b.es(b.esHeader(), goodPayload), "as a gate makes it")
	in := input(header("EdDSA", b.keys.ED.KeyID), goodPayload)
	b.good("good: EdDSA", signed(in, eddsa(b.keys.ED.Key, in)), "as a gate with `signing EdDSA` makes it")
	in = input(header("RS256", b.keys.RS.KeyID), goodPayload)
	b.good("good: RS256", signed(in, rsaPKCS1(crypto.SHA256, b.keys.RS.Key, in)), "as a gate with `signing RS256` makes it")

	in = input(b.esHeader(), goodPayload)
	p := ecdsaPair(b.keys.ES.Key, in)
	n := elliptic.P256().Params().N
	other := pair{p.r, new(big.Int).Sub(n, p.s)}
	low := "the smaller of the two s"
	if other.s.Cmp(p.s) > 0 {
		low = "the larger of the two s"
	}
	b.good("good: ES256 with the other s", signed(in, other.bytes(32)),
		"r, n-s is a signature as good as r, s ("+low+"): RFC 7518 asks for neither, and signers make either")

	b.good("good: status 0", b.es(b.esHeader(), b.claim("vaccination_status", "0")), "0 is an answer: the person has had no dose. Whether that is enough is yours to say, after the check")
	b.good("good: status 1", b.es(b.esHeader(), b.claim("vaccination_status", "1")), "1 is an answer: the person is partly vaccinated")
	b.good("good: an authority's answer", b.es(b.esHeader(), with(goodPayload, `"authority":"https://kyc.example"`)), "a gate that asks an authority says whose answer it is")
	b.good("good: a claim that is new", b.es(b.esHeader(), with(goodPayload, `"lane":"north"`)), "claims that one does not know are ignored (RFC 7519, section 4)")
	b.good("good: a header member that is new", b.es(with(b.esHeader(), `"gate":"north"`), goodPayload), "header members that one does not know are ignored unless crit names them (RFC 7515, section 4)")
	b.good("good: a purpose in another script", b.es(b.esHeader(), b.claim("purpose", `"मॉल में प्रवेश \"A & B\""`)), "texts are UTF-8, with the usual escapes")
	b.good("good: no purpose", b.es(b.esHeader(), b.claim("purpose", `""`)), "the purpose may be empty: a gate need not be given one")

	b.good("good: the second it is issued", b.es(b.esHeader(), goodPayload), "iat and nbf are now")
	b.at(issued, 0)
	b.good("good: the last second", b.es(b.esHeader(), goodPayload), "now is one second before exp")
	b.at(issued+59, 0)
	b.good("good: the last second with skew", b.es(b.esHeader(), goodPayload), "now is past exp by one second less than the skew")
	b.at(issued+60+skew-1, skew)
	b.good("good: ahead by the skew", b.es(b.esHeader(), goodPayload), "iat and nbf lie ahead of a clock that is slow by the skew")
	b.at(issued-skew, skew)
	b.good("good: an hour", b.es(b.esHeader(), b.claim("exp", "1767229200")), "an hour is the longest assertion_ttl that a gate can be given")
}

// forms are about the compact form, before anything in it is read.
func (b *builder) forms() {
	good := b.es(b.esHeader(), goodPayload)
	segments := strings.Split(good, ".")
	h, p, s := segments[0], segments[1], segments[2]
	form := func(name, compact, why string) { b.bad("form", name, compact, why) }

	form("empty", "", "there is nothing")
	form("two dots", "..", "all three parts are empty")
	form("no signature part", h+"."+p, "a compact JWS has three parts (RFC 7515, section 7.1)")
	form("no header", "."+p+"."+s, "without a header nobody knows what was signed")
	form("no payload", h+".."+s, "that is a JWS with its payload elsewhere (RFC 7515, appendix F); an assertion has it in it")
	form("four parts", good+"."+s, "what comes behind the third part is not signed")
	form("five parts", good+"."+s+"."+s, "five parts are an encrypted JWT; an assertion is only signed")
	form("JSON form", `{"payload":"`+p+`","protected":"`+h+`","signature":"`+s+`"}`, "the JSON serialization (RFC 7515, section 7.2) has an unprotected header too; an assertion is compact")
	form("JSON form, general", `{"payload":"`+p+`","signatures":[{"protected":"`+h+`","signature":"`+s+`"}]}`, "with several signatures, which of them must be right?")
	form("Bearer", "Bearer "+good, "the field has the assertion and nothing else")
	b.bad("size", "two in one field", good+", "+good, "a field that came twice and was joined: a gate sends one")
	form("space before", " "+good, "one assertion has one spelling")
	form("line break after", good+"\n", "one assertion has one spelling")
	form("line break within", h+"."+p[:20]+"\r\n"+p[20:]+"."+s, "base64url has no line breaks (RFC 7515, section 2), though decoders skip them")
	form("line break in the signature", h+"."+p+"."+s[:20]+"\n"+s[20:], "the signature's own spelling is not signed: only a strict decoder sees this")
	form("padding", h+"."+p+"."+s+"==", "base64url here has no padding (RFC 7515, section 2)")
	form("the standard alphabet", h+"."+p+"."+base64.RawStdEncoding.EncodeToString(b.withSlash(h+"."+p)), "+ and / are not base64url")
	form("a character that is none", h+"."+p+"."+s[:20]+"!"+s[20:], "decoders that skip what they do not know take two spellings for one signature")
	form("stray bits", h+"."+p+"."+stray(s), "the last character has bits that mean nothing; they must be zero (RFC 4648, section 3.5)")
	form("NUL behind it", good+"\x00", "some languages end a text at NUL, others do not")
	b.bad("size", "oversize", b.es(b.esHeader(), b.claim("purpose", `"`+strings.Repeat("Entry to the mall ", 40)+`"`)), "an assertion has at most 1024 bytes; refuse before anything is decoded")
}

// withSlash makes a good signature whose standard base64 differs from base64url.
func (b *builder) withSlash(in string) []byte {
	p := ecdsaPair(b.keys.ES.Key, in)
	other := pair{p.r, new(big.Int).Sub(elliptic.P256().Params().N, p.s)}
	for _, p := range []pair{p, other} {
		if strings.ContainsAny(base64.RawStdEncoding.EncodeToString(p.bytes(32)), "+/") {
			return p.bytes(32)
		}
	}
	b.t.Fatal("neither signature has a + or / in it")
	return nil
}

// stray is another spelling of the last character of 64 bytes in base64url.
func stray(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(s) - 1
	return s[:last] + string(alphabet[strings.IndexByte(alphabet, s[last])|1])
}

func (b *builder) headers() {
	es := b.esHeader()
	hdr := func(check, name, header, why string) { b.bad(check, name, b.es(header, goodPayload), why) }

	hdr("form", "header: no JSON", es[:len(es)-1], "the header must be a JSON object")
	hdr("form", "header: an array", "["+es+"]", "the header must be a JSON object")
	hdr("form", "header: null", "null", "the header must be a JSON object")
	hdr("form", "header: two objects", es+es, "which of them holds?")
	hdr("form", "header: BOM", "\ufeff"+es, "JSON on the wire begins with no byte order mark (RFC 8259, section 8.1)")
	hdr("form", "header: not UTF-8", with(es, "\"gate\":\"\xff\""), "the header is UTF-8 (RFC 7515, section 4)")
	hdr("form", "header: alg twice", with(es, `"alg":"none"`), "one reader takes the first, another the last: names must be unique (RFC 7515, section 4)")
	hdr("form", "header: alg twice, once escaped", with(es, `"\u0061lg":"none"`), "an escaped name is the same name")
	hdr("form", "header: kid twice", with(es, `"kid":"`+b.keys.RS.KeyID+`"`), "one reader checks with one key, another with another")
	hdr("form", "header: typ twice", `{"typ":"JWT",`+es[1:], "one reader takes it for another kind of token")

	hdr("type", "typ: missing", swap(b.t, es, `,"typ":"kycvs+jwt"`, ""), "without it any JWT of the same issuer would do (RFC 8725, section 3.11)")
	for _, c := range [][3]string{
		{"JWT", `"JWT"`, "it is another kind of token"},
		{"at+jwt", `"at+jwt"`, "an access token is no assertion"},
		{"capitals", `"KYCVS+JWT"`, "a gate writes it in one way"},
		{"application/", `"application/kycvs+jwt"`, "a gate writes it in one way"},
		{"space behind it", `"kycvs+jwt "`, "a gate writes it in one way"},
		{"a list", `["kycvs+jwt"]`, "it is a text"},
		{"null", `null`, "it is a text"},
		{"empty", `""`, "it says nothing"},
	} {
		hdr("type", "typ: "+c[0], swap(b.t, es, `"kycvs+jwt"`, c[1]), c[2])
	}

	const choosing = "the assertion would choose the key that it is checked with"
	jwk := string(jwkOf(b.keys.Strange))
	in := input(with(header("ES256", b.keys.Strange.KeyID), `"jwk":`+jwk), goodPayload)
	b.bad("header", "jwk: the signer's own", signed(in, es256(b.keys.Strange.Key, in)), choosing+" (RFC 8725, section 3.10): anybody can sign with a key of their own")
	in = input(with(es, `"jwk":`+jwk), goodPayload)
	b.bad("header", "jwk: the signer's own under a known kid", signed(in, es256(b.keys.Strange.Key, in)), choosing+"; that it names a known kid changes nothing")
	hdr("header", "jwk: even a right one", with(es, `"jwk":`+string(jwkOf(b.keys.ES))), "a gate never sends one, and a verifier that reads it can be made to use another")
	in = input(with(header("ES256", b.keys.Strange.KeyID), `"jku":"https://evil.example/jwks.json"`), goodPayload)
	b.bad("header", "jku", signed(in, es256(b.keys.Strange.Key, in)), choosing+", and where you send requests to")
	hdr("header", "jku: beside a known kid", with(es, `"jku":"https://evil.example/jwks.json"`), "who fetches it has been made to call somebody, whatever comes back")
	in = input(with(header("ES256", b.keys.Strange.KeyID), `"x5u":"https://evil.example/cert.pem"`), goodPayload)
	b.bad("header", "x5u", signed(in, es256(b.keys.Strange.Key, in)), choosing+", and where you send requests to")
	hdr("header", "x5u: beside a known kid", with(es, `"x5u":"https://evil.example/cert.pem"`), "who fetches it has been made to call somebody")
	hdr("header", "x5c", with(es, `"x5c":["MIIB"]`), choosing+": a certificate that nobody vouched for")
	hdr("header", "x5t", with(es, `"x5t":"dGhpcyBpcyBhIFNIQTEgdGVzdA"`), "keys are named by kid alone")
	hdr("header", "x5t#S256", with(es, `"x5t#S256":"AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8"`), "keys are named by kid alone")

	hdr("header", "crit: something unknown", with(es, `"crit":["gate"],"gate":"north"`), "who does not understand what crit names must refuse (RFC 7515, section 4.1.11)")
	hdr("header", "crit: exp", with(es, `"crit":["exp"],"exp":1767225660`), "no extension is understood here, this one neither")
	hdr("header", "crit: names what is not there", with(es, `"crit":["gate"]`), "it must name members of the header (RFC 7515, section 4.1.11)")
	hdr("header", "crit: empty", with(es, `"crit":[]`), "it must not be empty (RFC 7515, section 4.1.11)")
	hdr("header", "crit: null", with(es, `"crit":null`), "it is a list")
	hdr("header", "b64: false", with(es, `"b64":false`), "the payload would then be read as it stands, not decoded (RFC 7797)")
	head := encode([]byte(with(es, `"b64":false,"crit":["b64"]`)))
	b.bad("header", "b64: false, as RFC 7797 has it", signed(head+"."+encode([]byte(goodPayload)), es256(b.keys.ES.Key, head+"."+goodPayload)),
		"signed over the payload as it is: RFC 7797, section 7, forbids that in a JWT")
	hdr("header", "zip: DEF", with(es, `"zip":"DEF"`), "a JWS has no zip (RFC 7516 does), and who inflates can be made to run out of memory")
	b.bad("header", "zip: DEF, deflated", b.es(with(es, `"zip":"DEF"`), deflated(goodPayload)), "a JWS has no zip, and who inflates can be made to run out of memory")
	hdr("header", "enc", with(es, `"enc":"A256GCM"`), "that is the header of something encrypted")
	inner := b.es(b.esHeader(), `{"vaccination_status":2}`)
	b.bad("form", "cty: JWT, one in another", b.es(with(es, `"cty":"JWT"`), inner), "the payload must be the claims, not another token to be opened")
	b.bad("form", "a token as the payload", b.es(es, `"`+inner+`"`), "the payload must be a JSON object")
}

func deflated(text string) string {
	var out bytes.Buffer
	w := must(flate.NewWriter(&out, flate.BestCompression))
	must(w.Write([]byte(text)))
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.String()
}

func (b *builder) algorithms() {
	es, rs, ed := b.keys.ES, b.keys.RS, b.keys.ED
	for _, alg := range []string{"none", "None", "NONE", "nOnE"} {
		in := input(header(alg, es.KeyID), goodPayload)
		b.bad("algorithm", "alg "+alg, in+".", "nobody signed it")
		b.bad("algorithm", "alg "+alg+", with a signature", signed(in, es256(es.Key, in)), "the header says that nothing has to be checked; a verifier has its own list of algorithms")
	}
	in := input(`{"alg":"none"}`, goodPayload)
	b.bad("type", "alg none, nothing else", in+".", "nobody signed it")

	// A key that everybody has must never be a secret.
	for _, c := range []struct {
		name   string
		kid    string
		secret []byte
	}{
		{"the public key as PEM", es.KeyID, pemOf(es)},
		{"the public key as PEM, without the last line break", es.KeyID, bytes.TrimSpace(pemOf(es))},
		{"the public key as DER", es.KeyID, der(es)},
		{"the public key as JWK", es.KeyID, jwkOf(es)},
		{"the public point", es.KeyID, must(es.Public().Key.(*ecdsa.PublicKey).Bytes())},
		{"the RSA public key as PEM", rs.KeyID, pemOf(rs)},
		{"the RSA public key as DER", rs.KeyID, der(rs)},
		{"the Ed25519 public key's bytes", ed.KeyID, der(ed)[12:]},
		{"the kid", es.KeyID, []byte(es.KeyID)},
		{"nothing", es.KeyID, nil},
	} {
		in := input(header("HS256", c.kid), goodPayload)
		b.bad("algorithm", "HS256 with "+c.name, signed(in, hs256(c.secret, in)), "a public key used as a secret: anybody could have made it (RFC 8725, section 2.1)")
	}
	in = input(header("ES256", es.KeyID), goodPayload)
	b.bad("signature", "ES256 in the header, an HMAC behind it", signed(in, hs256(pemOf(es), in)), "what the header says and what was done differ")

	const only = "a good signature of its kind, but not of a kind that a gate makes"
	for _, c := range []struct {
		alg       string
		signature func(string) []byte
	}{
		{"RS384", func(in string) []byte { return rsaPKCS1(crypto.SHA384, rs.Key, in) }},
		{"RS512", func(in string) []byte { return rsaPKCS1(crypto.SHA512, rs.Key, in) }},
		{"PS256", func(in string) []byte { return ps256(rs.Key, in) }},
	} {
		in := input(header(c.alg, rs.KeyID), goodPayload)
		b.bad("algorithm", c.alg+" with the RSA key", signed(in, c.signature(in)), only+", and the key is for RS256")
	}
	in = input(header("Ed25519", ed.KeyID), goodPayload)
	b.bad("algorithm", "Ed25519 as a name for EdDSA", signed(in, eddsa(ed.Key, in)), "RFC 9864's later name for it: a gate writes EdDSA, and the key set says EdDSA")
	in = input(header("ES384", b.keys.P384.KeyID), goodPayload)
	b.bad("algorithm", "ES384 with a key that is nowhere", signed(in, es384(b.keys.P384.Key, in)), only+", by a key that is not in the set")
	in = input(header("ES384", es.KeyID), goodPayload)
	b.bad("algorithm", "ES384 with the P-256 key's kid", signed(in, es384(b.keys.P384.Key, in)), "the key is for ES256")
	in = input(header("ES256K", es.KeyID), goodPayload)
	b.bad("algorithm", "ES256K", signed(in, es256(es.Key, in)), "that is another curve (RFC 8812)")
	for _, alg := range []string{"es256", "ES256 ", "", "ES256\x00"} {
		escaped := strings.ReplaceAll(alg, "\x00", `\u0000`)
		b.bad("algorithm", fmt.Sprintf("alg %q", alg), b.es(header(escaped, es.KeyID), goodPayload), "names of algorithms are compared byte for byte (RFC 7515, section 4.1.1)")
	}
	b.bad("algorithm", "alg missing", b.es(`{"kid":"`+es.KeyID+`","typ":"kycvs+jwt"}`, goodPayload), "alg must be there (RFC 7515, section 4.1.1)")
	b.bad("algorithm", "alg null", b.es(swap(b.t, b.esHeader(), `"ES256"`, "null"), goodPayload), "alg is a text")
	b.bad("algorithm", "alg a list", b.es(swap(b.t, b.esHeader(), `"ES256"`, `["ES256"]`), goodPayload), "alg is a text")
	b.bad("algorithm", "alg in capitals only as a name", b.es(swap(b.t, b.esHeader(), `"alg"`, `"ALG"`), goodPayload), "names of members are compared byte for byte")

	// One key's kid with another's algorithm.
	in = input(header("RS256", es.KeyID), goodPayload)
	b.bad("algorithm", "RS256 with the ES256 key's kid", signed(in, rsaPKCS1(crypto.SHA256, rs.Key, in)), "the key with this kid is for ES256 (RFC 8725, section 3.1)")
	b.bad("algorithm", "ES256 with the RSA key's kid", b.es(header("ES256", rs.KeyID), goodPayload), "the key with this kid is for RS256")
	b.bad("algorithm", "ES256 with the Ed25519 key's kid", b.es(header("ES256", ed.KeyID), goodPayload), "the key with this kid is for EdDSA")
	in = input(header("EdDSA", es.KeyID), goodPayload)
	b.bad("algorithm", "EdDSA with the ES256 key's kid", signed(in, eddsa(ed.Key, in)), "the key with this kid is for ES256")
}

func (b *builder) keyNames() {
	es := b.esHeader()
	kid := `"` + b.keys.ES.KeyID + `"`
	key := func(name, header, why string) { b.bad("key", name, b.es(header, goodPayload), why) }
	in := input(header("ES256", b.keys.Strange.KeyID), goodPayload)
	b.bad("key", "kid: unknown", signed(in, es256(b.keys.Strange.Key, in)), "a key that is not in the set")
	key("kid: missing", swap(b.t, es, `"kid":`+kid+`,`, ""), "trying every key lets whoever sends it choose, and costs you the time")
	key("kid: empty", swap(b.t, es, kid, `""`), "it names no key")
	key("kid: null", swap(b.t, es, kid, "null"), "it is a text")
	key("kid: a number", swap(b.t, es, kid, "0"), "it is a name, not a place in the set")
	key("kid: a list", swap(b.t, es, kid, "["+kid+"]"), "it is a text")
	key("kid: another case", swap(b.t, es, kid, strings.ToLower(kid)), "names of keys are compared byte for byte")
	key("kid: a path", swap(b.t, es, kid, `"../../../../dev/null"`), "who opens files by kid opens this one")
	key("kid: a query", swap(b.t, es, kid, `"x' OR '1'='1"`), "who asks a database by kid asks this")
	key("kid: a name that every object has", swap(b.t, es, kid, `"__proto__"`), "who looks it up in a plain object finds something")
}

func (b *builder) signatures() {
	es, goodInput := b.esHeader(), input(b.esHeader(), goodPayload)
	n := elliptic.P256().Params().N
	p := ecdsaPair(b.keys.ES.Key, goodInput)
	raw := p.bytes(32)
	zero, one, all := new(big.Int), big.NewInt(1), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	sig := func(name string, signature []byte, why string) {
		b.bad("signature", name, signed(goodInput, signature), why)
	}

	sig("ES256: none at all", nil, "nobody signed it, whatever alg says")
	sig("ES256: DER", derECDSA(b.keys.ES.Key, goodInput), "JWS has r and s in 32 bytes each, not ASN.1 (RFC 7518, section 3.4)")
	sig("ES256: r and s zero", pair{zero, zero}.bytes(32), "the signature that fits every message where 0 is let through (CVE-2022-21449)")
	sig("ES256: r zero", pair{zero, p.s}.bytes(32), "r is from 1 to n-1")
	sig("ES256: s zero", pair{p.r, zero}.bytes(32), "s is from 1 to n-1")
	sig("ES256: r and s are n", pair{n, n}.bytes(32), "n is 0 in disguise")
	sig("ES256: r is n", pair{n, p.s}.bytes(32), "r is from 1 to n-1")
	sig("ES256: s is n", pair{p.r, n}.bytes(32), "s is from 1 to n-1")
	sig("ES256: r and s one", pair{one, one}.bytes(32), "in range, and wrong")
	sig("ES256: all ones", pair{all, all}.bytes(32), "r and s are from 1 to n-1")
	sig("ES256: r and s exchanged", pair{p.s, p.r}.bytes(32), "it is r, then s")
	sig("ES256: little endian", append(reversed(raw[:32]), reversed(raw[32:])...), "it is the most significant byte first")
	sig("ES256: the last byte missing", raw[:63], "64 bytes, no fewer")
	sig("ES256: half of it", raw[:32], "64 bytes, no fewer")
	sig("ES256: one byte more", append(slices.Clone(raw), 0), "64 bytes, no more")
	sig("ES256: a zero before each", append(append([]byte{0}, raw[:32]...), append([]byte{0}, raw[32:]...)...), "64 bytes, no more")
	sig("ES256: one bit changed", append([]byte{raw[0] ^ 1}, raw[1:]...), "it is not the signature")
	sig("ES256: another key", es256(b.keys.Strange.Key, goodInput), "signed by somebody else, under a kid that is known")
	sig("ES256: P-384 under a P-256 kid", es384(b.keys.P384.Key, goodInput), "another curve's signature")
	sig("ES256: Ed25519 under an ES256 kid", eddsa(b.keys.ED.Key, goodInput), "another key's signature, which has 64 bytes too")

	edInput := input(header("EdDSA", b.keys.ED.KeyID), goodPayload)
	ed := eddsa(b.keys.ED.Key, edInput)
	b.bad("signature", "EdDSA: zero", signed(edInput, make([]byte, 64)), "it is not the signature")
	b.bad("signature", "EdDSA: S plus the order", signed(edInput, beyondOrder(ed)), "S must be less than the order, or each signature would have a twin (RFC 8032, section 5.1.7)")
	b.bad("signature", "EdDSA: one byte more", signed(edInput, append(slices.Clone(ed), 0)), "64 bytes, no more")
	b.bad("signature", "EdDSA: cut short", signed(edInput, ed[:63]), "64 bytes, no fewer")
	b.bad("signature", "EdDSA: ES256 under an Ed25519 kid", signed(edInput, es256(b.keys.ES.Key, edInput)), "another key's signature, which has 64 bytes too")

	rsInput := input(header("RS256", b.keys.RS.KeyID), goodPayload)
	rs := rsaPKCS1(crypto.SHA256, b.keys.RS.Key, rsInput)
	b.bad("signature", "RS256: zero", signed(rsInput, make([]byte, 256)), "it is not the signature")
	b.bad("signature", "RS256: one", signed(rsInput, append(make([]byte, 255), 1)), "1 stays 1 under every public key")
	b.bad("signature", "RS256: one byte less", signed(rsInput, rs[1:]), "as long as the modulus, no shorter (RFC 8017, section 8.2.2)")
	b.bad("signature", "RS256: PSS behind it", signed(rsInput, ps256(b.keys.RS.Key, rsInput)), "PSS is PS256, another algorithm")
	b.bad("signature", "RS256: SHA-512 behind it", signed(rsInput, rsaPKCS1(crypto.SHA512, b.keys.RS.Key, rsInput)), "SHA-512 is RS512, another algorithm")

	good := b.es(es, goodPayload)
	last := good[strings.LastIndex(good, "."):]
	b.bad("signature", "another payload", input(es, b.claim("sub", `"BBECAwQFBgcICQoLDA0ODw"`))+last, "the signature is that of another payload")
	b.bad("signature", "another header", input(with(es, `"gate":"north"`), goodPayload)+last, "the header is signed too")
	b.bad("signature", "the same header with a space", input(" "+es, goodPayload)+last, "what is signed are the bytes, not what they mean")
}

func reversed(b []byte) []byte {
	out := slices.Clone(b)
	slices.Reverse(out)
	return out
}

// beyondOrder adds the order of Ed25519 to S.
func beyondOrder(signature []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := new(big.Int).SetBytes(reversed(signature[32:]))
	return append(slices.Clone(signature[:32]), reversed(s.Add(s, order).FillBytes(make([]byte, 32)))...)
}

func (b *builder) payloads() {
	form := func(name, payload, why string) { b.bad("form", "payload: "+name, b.es(b.esHeader(), payload), why) }
	form("no JSON", goodPayload[:len(goodPayload)-1], "the payload must be a JSON object")
	form("an array", "["+goodPayload+"]", "the payload must be a JSON object")
	form("null", "null", "the payload must be a JSON object")
	form("a number", "2", "the payload must be a JSON object")
	form("two objects", goodPayload+`{"vaccination_status":0}`, "which of them holds?")
	form("a comma too many", goodPayload[:len(goodPayload)-1]+",}", "that is not JSON")
	form("BOM", "\ufeff"+goodPayload, "JSON on the wire begins with no byte order mark (RFC 8259, section 8.1)")
	form("not UTF-8", b.claim("purpose", "\"Entry\xff\""), "JSON is UTF-8 (RFC 8259, section 8.1)")
	form("an overlong character", b.claim("purpose", "\"Entry\xc0\xaf\""), "that is a / in bytes that are not UTF-8")
	form("NaN", b.claim("vaccination_status", "NaN"), "that is not JSON")
	form("a number in hexadecimal", b.claim("vaccination_status", "0x2"), "that is not JSON")
	form("a comment", goodPayload[:len(goodPayload)-1]+"/*2*/}", "that is not JSON")

	const twice = "one reader takes the first, another the last: names must be unique (RFC 7519, section 4)"
	form("vaccination_status twice", b.claim("vaccination_status", `0,"vaccination_status":2`), twice)
	form("vaccination_status twice, once escaped", b.claim("vaccination_status", `0,"vaccination_\u0073tatus":2`), "an escaped name is the same name")
	form("aud twice", b.claim("aud", `"ward","aud":"mall"`), twice)
	form("exp twice", b.claim("exp", `1767225601,"exp":1767225660`), twice)
	form("iss twice", b.claim("iss", `"https://evil.example","iss":"https://mall.example"`), twice)
	form("twice, in an object within", with(goodPayload, `"lane":{"to":1,"to":2}`), twice)
}

func (b *builder) claimTypes() {
	bad := func(name, payload, why string) { b.bad("claims", name, b.es(b.esHeader(), payload), why) }
	bad("payload: an empty object", "{}", "every claim is missing")
	texts := []string{"iss", "aud", "sub", "jti", "txnId", "consent", "purpose"}
	numbers := []string{"iat", "nbf", "exp", "auth_time"}
	for _, name := range append(append(slices.Clone(texts), numbers...), "vaccination_status", "amr") {
		bad(name+" missing", b.claim(name, ""), "a gate always says it")
		bad(name+" null", b.claim(name, "null"), "null is not a value for it")
	}
	for _, name := range texts {
		bad(name+" a number", b.claim(name, "1"), "it is a text")
	}
	for _, name := range []string{"iss", "aud", "sub", "jti", "txnId", "consent"} {
		bad(name+" empty", b.claim(name, `""`), "it says nothing")
	}
	bad("sub a list", b.claim("sub", `["AAECAwQFBgcICQoLDA0ODw"]`), "it is a text")
	bad("iss a list", b.claim("iss", `["https://mall.example"]`), "it is a text; a list that has the right one in it has others too")
	bad("authority null", with(goodPayload, `"authority":null`), "it is a text, or not there")
	bad("authority a number", with(goodPayload, `"authority":1`), "it is a text, or not there")
	for _, name := range numbers {
		value := map[string]string{"iat": "1767225600", "nbf": "1767225600", "exp": "1767225660", "auth_time": "1767225300"}[name]
		bad(name+" a text", b.claim(name, `"`+value+`"`), "it is a number (RFC 7519, section 2: NumericDate)")
		bad(name+" a fraction", b.claim(name, value+".5"), "a gate writes whole seconds")
		bad(name+" true", b.claim(name, "true"), "it is a number; some languages take true for 1")
		bad(name+" a list", b.claim(name, "["+value+"]"), "it is a number")
		bad(name+" negative", b.claim(name, "-"+value), "there were no assertions before 1970")
	}
	bad("exp beyond all time", b.claim("exp", "9223372036854775808"), "it does not fit where times are kept, and may come out negative")
	b.bad("form", "exp too large for a number", b.es(b.esHeader(), b.claim("exp", "1e400")), "some languages make it infinite")
	bad("amr a text", b.claim("amr", `"otp"`), "it is a list")
	bad("amr empty", b.claim("amr", `[]`), "it says nothing")
	bad("amr with a number", b.claim("amr", `["otp",1]`), "it is a list of texts")
}

func (b *builder) statuses() {
	for _, c := range [][3]string{
		{"claims", `"2"`, "it is a number, and \"2\" >= 2 only in some languages"},
		{"claims", `true`, "it is a number; some languages take true for 1"},
		{"claims", `1.5`, "it is a whole number; who rounds it makes 2 of it"},
		{"claims", `[2]`, "it is a number; some languages take [2] for 2"},
		{"claims", `{}`, "it is a number"},
		{"claims", `""`, "it is a number; some languages take \"\" for 0"},
		{"status", `3`, "there are 0, 1 and 2; 3 >= 2 all the same"},
		{"status", `-1`, "there are 0, 1 and 2"},
		{"status", `258`, "there are 0, 1 and 2; in one byte this is 2"},
		{"status", `4294967298`, "there are 0, 1 and 2; in four bytes this is 2"},
	} {
		b.bad(c[0], "vaccination_status "+c[1], b.es(b.esHeader(), b.claim("vaccination_status", c[1])), c[2])
	}
	b.bad("claims", "vaccination_status in capitals", b.es(b.esHeader(), swap(b.t, goodPayload, `"vaccination_status"`, `"Vaccination_Status"`)), "names are compared byte for byte: this one is missing")
}

func (b *builder) parties() {
	bad := func(check, name, payload, why string) { b.bad(check, name, b.es(b.esHeader(), payload), why) }
	bad("audience", "aud: another partner", b.claim("aud", `"ward"`), "made for somebody else: who got it could show it to you")
	bad("audience", "aud: another case", b.claim("aud", `"Mall"`), "it is compared byte for byte")
	bad("audience", "aud: longer", b.claim("aud", `"mall.example"`), "it is compared whole")
	bad("audience", "aud: shorter", b.claim("aud", `"mal"`), "it is compared whole")
	bad("audience", "aud: a pattern", b.claim("aud", `"*"`), "it is compared byte for byte")
	bad("claims", "aud: a list with one", b.claim("aud", `["mall"]`), "an assertion is for one partner, written as a text")
	bad("claims", "aud: a list with two", b.claim("aud", `["mall","ward"]`), "an assertion is for one partner: the other one could show it to you")
	bad("claims", "aud: an empty list", b.claim("aud", `[]`), "it is for nobody")
	b.bad("audience", "aud: you are somebody else", b.es(b.esHeader(), goodPayload), "made for mall, checked by ward")
	b.all[len(b.all)-1].Audience = "ward"
	bad("issuer", "iss: another", b.claim("iss", `"https://evil.example"`), "who says so is not whom you trust")
	bad("issuer", "iss: with a slash", b.claim("iss", `"https://mall.example/"`), "it is compared byte for byte")
	bad("issuer", "iss: http", b.claim("iss", `"http://mall.example"`), "it is compared byte for byte")
	bad("issuer", "iss: longer", b.claim("iss", `"https://mall.example.evil.example"`), "it is compared whole")
	bad("issuer", "iss: capitals", b.claim("iss", `"HTTPS://MALL.EXAMPLE"`), "it is compared byte for byte")
	b.bad("issuer", "iss: you trust somebody else", b.es(b.esHeader(), goodPayload), "issued by mall.example, where another issuer is expected")
	b.all[len(b.all)-1].Issuer = "https://kyc.example"
}

func (b *builder) times() {
	good := b.es(b.esHeader(), goodPayload)
	at := func(check, name, compact string, now, skew int64, why string) {
		b.bad(check, name, compact, why)
		b.at(now, skew)
	}
	claims := func(name, value string) string { return b.es(b.esHeader(), b.claim(name, value)) }
	at("expired", "exp is now", good, issued+60, 0, "on or after exp it must not be accepted (RFC 7519, section 4.1.4)")
	at("expired", "exp and the skew is now", good, issued+60+skew, skew, "the skew moves the end, it does not soften it")
	at("expired", "expired long ago", good, issued+86400, skew, "it is a day old")
	at("expired", "expired, the skew at its most", good, issued+90, 30, "half a minute is the most that clocks may be said to differ")
	at("early", "nbf ahead by more than the skew", claims("nbf", "1767225616"), issued+10, skew, "not yet valid (RFC 7519, section 4.1.5)")
	at("early", "nbf ahead, no skew", claims("nbf", "1767225611"), issued+10, 0, "not yet valid (RFC 7519, section 4.1.5)")
	at("future", "iat ahead by more than the skew", claims("iat", "1767225616"), issued+10, skew, "issued in the future: one of the clocks is wrong, and exp cannot be trusted")
	at("future", "iat ahead, no skew", claims("iat", "1767225611"), issued+10, 0, "issued in the future")
	at("future", "a clock that is slow", good, issued-skew-1, skew, "iat and nbf lie ahead of it by more than the skew")
	at("lifetime", "exp is iat", claims("exp", "1767225600"), issued, skew, "it was never valid; the skew would make it so")
	at("lifetime", "exp before iat", claims("exp", "1767225599"), issued, skew, "it was never valid; the skew would make it so")
	at("lifetime", "exp before nbf", claims("nbf", "1767225661"), issued+58, skew, "it was never valid; the skew would make it so")
	at("lifetime", "an hour and a second", claims("exp", "1767229201"), issued+10, skew, "no gate gives an assertion more than an hour")
	at("lifetime", "a year", claims("exp", "1798761600"), issued+10, skew, "no gate gives an assertion more than an hour")
	at("claims", "exp in milliseconds", claims("exp", "1767225660000"), issued+10, skew, "milliseconds where seconds should be: good for 56,000 years")
	at("claims", "exp behind the year 9999", claims("exp", "253402300800"), issued+10, skew, "that no calendar writes, and no gate")
	at("lifetime", "exp 0", claims("exp", "0"), 0, skew, "a clock at zero, and an assertion that ends there")
}
