package vectors

import (
	"fmt"
	"strings"
	"testing"
)

// What the vectors have in common: an assertion of the first minute of 2026 for
// the partner "mall".
const (
	issuer   = "https://mall.example"
	audience = "mall"
	issued   = 1767225600
	skew     = 5

	goodPayload = `{"iss":"https://mall.example","aud":"mall","sub":"AAECAwQFBgcICQoLDA0ODw",` +
		`"iat":1767225600,"nbf":1767225600,"exp":1767225660,"jti":"EBESExQVFhcYGRobHB0eHw",` +
		`"vaccination_status":2,"auth_time":1767225300,"amr":["otp","sms"],` +
		`"txnId":"30313233-3435-3637-3839-3a3b3c3d3e3f","consent":"ICEiIyQlJicoKSorLC0uLw","purpose":"Entry to the mall"}`
)

// builder makes the vectors. Each is signed with a key of jwks.json, and as it
// should be, unless that is the point.
type builder struct {
	t    *testing.T
	keys *keys
	all  []Vector
}

func (b *builder) good(name, compact, why string) {
	b.all = append(b.all, Vector{name, compact, issuer, audience, issued + 10, skew, "good", "", why})
}

func (b *builder) bad(check, name, compact, why string) {
	b.all = append(b.all, Vector{name, compact, issuer, audience, issued + 10, skew, "bad", check, why})
}

// at has the last vector checked at another time, with another skew.
func (b *builder) at(now, skew int64) {
	b.all[len(b.all)-1].Now, b.all[len(b.all)-1].Skew = now, skew
}

// header is the protected header that a gate writes.
func header(alg, kid string) string {
	return `{"alg":"` + alg + `","kid":"` + kid + `","typ":"kycvs+jwt"}`
}

func (b *builder) esHeader() string { return header("ES256", b.keys.ES.KeyID) }

// input is what is signed.
func input(header, payload string) string {
	return encode([]byte(header)) + "." + encode([]byte(payload))
}

// es signs any header and payload with the ES256 key.
func (b *builder) es(header, payload string) string {
	in := input(header, payload)
	return in + "." + encode(es256(b.keys.ES.Key, in))
}

// signed joins an input and a signature.
func signed(input string, signature []byte) string { return input + "." + encode(signature) }

// with adds members to the end of a JSON object.
func with(object, members string) string {
	return strings.TrimSuffix(object, "}") + "," + members + "}"
}

// swap replaces what must stand in a text once.
func swap(t *testing.T, text, from, to string) string {
	t.Helper()
	if strings.Count(text, from) != 1 {
		t.Fatalf("%q does not stand once in %s", from, text)
	}
	return strings.Replace(text, from, to, 1)
}

// claim is the good payload with another value for one claim, "" to leave it out.
func (b *builder) claim(name, value string) string {
	b.t.Helper()
	start := strings.Index(goodPayload, `"`+name+`":`)
	if start < 0 {
		b.t.Fatalf("no claim %s", name)
	}
	end := start + len(name) + 3
	for depth, quoted := 0, false; ; end++ {
		c := goodPayload[end]
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[':
			depth++
		case c == ']':
			depth--
		}
		if !quoted && depth == 0 && (c == ',' || c == '}') {
			break
		}
	}
	if value == "" {
		before, after := goodPayload[:start], goodPayload[end:]
		if after != "}" {
			return before + after[1:]
		}
		return strings.TrimSuffix(before, ",") + after
	}
	return goodPayload[:start] + fmt.Sprintf("%q:%s", name, value) + goodPayload[end:]
}
