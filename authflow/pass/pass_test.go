package pass

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func keyOf(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

var mall = Scope{Site: "mall.example", Partner: "mall", Purpose: "Entry to the mall"}

var whole = NewWhole([][]byte{keyOf(9)})

func sample() Pass {
	return Pass{Subject: [16]byte{1, 2}, Consent: [16]byte{3, 4}, TxnID: [16]byte{5, 6}, Status: 2, AuthTime: 1_700_000_000, Expires: 1_700_043_200}
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	s := NewSealer([][]byte{keyOf(1)}, mall)
	token := s.Seal(sample())
	if len(token) != TokenSize {
		t.Errorf("the token has %d characters, TokenSize says %d", len(token), TokenSize)
	}
	got, err := s.Open(token)
	if err != nil || got != sample() {
		t.Errorf("Open = %+v, %v", got, err)
	}
	if token == s.Seal(sample()) {
		t.Error("two seals of one pass are equal")
	}
}

func TestOpenRefuses(t *testing.T) {
	s := NewSealer([][]byte{keyOf(1)}, mall)
	token := s.Seal(sample())
	flip := func(i int) string {
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			t.Fatal(err)
		}
		raw[i] ^= 1
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	tooHigh := sample()
	tooHigh.Status = 3
	for name, bad := range map[string]string{
		"nothing":          "",
		"cut short":        token[:len(token)-1],
		"longer":           token + "A",
		"doubled":          token + token,
		"garbled tag":      flip(0),
		"garbled nonce":    flip(tagSize),
		"garbled body":     flip(tagSize + nonceSize),
		"garbled mac":      flip(rawSize - 1),
		"another alphabet": strings.Repeat("+", TokenSize),
		"another site":     NewSealer([][]byte{keyOf(1)}, Scope{"other.example", mall.Partner, mall.Purpose}).Seal(sample()),
		"another partner":  NewSealer([][]byte{keyOf(1)}, Scope{mall.Site, "ward", mall.Purpose}).Seal(sample()),
		"another purpose":  NewSealer([][]byte{keyOf(1)}, Scope{mall.Site, mall.Partner, "Something else"}).Seal(sample()),
		"another secret":   NewSealer([][]byte{keyOf(2)}, mall).Seal(sample()),
		"no such status":   s.Seal(tooHigh),
	} {
		if p, err := s.Open(bad); err != ErrInvalid || p != (Pass{}) {
			t.Errorf("%s: Open = %+v, %v", name, p, err)
		}
	}
}

// Two scopes whose parts run together to the same text must not share keys.
func TestScopesDoNotRunTogether(t *testing.T) {
	a := NewSealer([][]byte{keyOf(1)}, Scope{"a", "bc", "d"})
	b := NewSealer([][]byte{keyOf(1)}, Scope{"ab", "c", "d"})
	if a.ID() == b.ID() {
		t.Error("the scopes share a key")
	}
}

func TestChangingTheSecret(t *testing.T) {
	old := NewSealer([][]byte{keyOf(1)}, mall)
	both := NewSealer([][]byte{keyOf(2), keyOf(1)}, mall)
	changed := NewSealer([][]byte{keyOf(2)}, mall)
	if _, err := both.Open(old.Seal(sample())); err != nil {
		t.Error("a pass made with the old secret is not good while it is being changed")
	}
	if _, err := changed.Open(both.Seal(sample())); err != nil {
		t.Error("a pass made meanwhile is not good afterwards")
	}
	if _, err := changed.Open(old.Seal(sample())); err == nil {
		t.Error("a pass made with a secret that is no more is good")
	}
	if old.ID() == both.ID() || both.ID() == changed.ID() {
		t.Error("sealers that open different tokens have one ID")
	}
}

func TestJarHoldsABoundedNumberOfPasses(t *testing.T) {
	var j Jar
	j.NewBrowser()
	var sealers []*Sealer
	for i := range maxTokens + 3 {
		s := NewSealer([][]byte{keyOf(1)}, Scope{mall.Site, string(rune('a' + i)), "x"})
		sealers = append(sealers, s)
		j.Put(s, s.Seal(sample()))
		j.Put(s, s.Seal(sample())) // in the place of the one before
	}
	c := j.Cookie(whole, true, time.Hour)
	if c.Name != CookieName || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("the cookie is %+v", c)
	}
	if len(c.Value) > maxCookieSize {
		t.Errorf("the cookie has %d bytes", len(c.Value))
	}
	back := ParseJar(whole, c.Value)
	if back.Browser != j.Browser || !slices.Equal(back.Tokens, j.Tokens) {
		t.Error("the jar does not come back from its cookie")
	}
	if len(back.Tokens) != maxTokens {
		t.Errorf("%d passes are kept", len(back.Tokens))
	}
	if _, _, err := back.Find(sealers[0]); err == nil {
		t.Error("the oldest is still there")
	}
	last := sealers[len(sealers)-1]
	if _, _, err := back.Find(last); err != nil {
		t.Error("the newest is not there")
	}
	back.Remove(last)
	if _, _, err := back.Find(last); err == nil {
		t.Error("what was removed is still there")
	}
}

// Whatever becomes of a cookie on its way, it is whole or it is nothing.
func TestACookieThatIsNotWholeIsNothing(t *testing.T) {
	var j Jar
	j.NewBrowser()
	s := NewSealer([][]byte{keyOf(1)}, mall)
	j.Put(s, s.Seal(sample()))
	value := j.Cookie(whole, true, time.Hour).Value
	for i := range value {
		bad := []byte(value)
		bad[i] ^= 1
		for _, v := range []string{string(bad), value[:i], value[i+1:], value[:i] + value[i+1:], value[:i] + "A" + value[i:]} {
			if got := ParseJar(whole, v); v != value && (got.Browser != [16]byte{} || len(got.Tokens) > 0) {
				t.Fatalf("changed at %d it still holds something", i)
			}
		}
	}
	if got := ParseJar(NewWhole([][]byte{keyOf(8)}), value); len(got.Tokens) > 0 {
		t.Error("another secret's cookie holds something")
	}
	if got := ParseJar(NewWhole([][]byte{keyOf(8), keyOf(9)}), value); len(got.Tokens) != 1 {
		t.Error("while the secret is changed, the old one's cookie holds nothing")
	}
}

func TestValue(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"one", []string{"kycvs=v"}, "v"},
		{"among others", []string{"a=1; kycvs=v; b=2"}, "v"},
		{"in a second field", []string{"a=1", "kycvs=v"}, "v"},
		{"without a space", []string{"a=1;kycvs=v"}, "v"},
		{"none", []string{"a=1"}, ""},
		{"doubled", []string{"kycvs=v; kycvs=w"}, ""},
		{"doubled alike", []string{"kycvs=v; kycvs=v"}, ""},
		{"doubled over two fields", []string{"kycvs=v", "kycvs=w"}, ""},
		{"the other name", []string{"__Host-kycvs=v"}, ""},
		{"a longer name", []string{"xkycvs=v; kycvsx=w"}, ""},
		{"without a value", []string{"kycvs"}, ""},
		{"too long", []string{"kycvs=" + strings.Repeat("x", 8<<10)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Value(http.Header{"Cookie": c.lines}, CookieNamePlain); got != c.want {
				t.Errorf("Value = %q, want %q", got, c.want)
			}
		})
	}
}

func TestStrip(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []string
		want []string
	}{
		{"nothing of ours", []string{"a=1;  b = 2;c"}, []string{"a=1;  b = 2;c"}},
		{"alone", []string{"kycvs=v"}, nil},
		{"alone over TLS", []string{"__Host-kycvs=v"}, nil},
		{"both names", []string{"kycvs=v; __Host-kycvs=w"}, nil},
		{"first", []string{"kycvs=v; a=1; b=2"}, []string{"a=1; b=2"}},
		{"in the middle", []string{"a=1; kycvs=v; b=2"}, []string{"a=1; b=2"}},
		{"last", []string{"a=1; kycvs=v"}, []string{"a=1"}},
		{"odd spacing stays", []string{"a = 1 ;kycvs=v;  b=\"x y\";;c"}, []string{"a = 1 ;  b=\"x y\";;c"}},
		{"other case", []string{"KYCVS=v; a=1"}, []string{"a=1"}},
		{"blanks around the name", []string{"a=1; \tkycvs =v"}, []string{"a=1"}},
		{"without a value", []string{"kycvs; a=1"}, []string{"a=1"}},
		{"the name inside another", []string{"mykycvs=1; kycvs2=2"}, []string{"mykycvs=1; kycvs2=2"}},
		{"the name in a value", []string{"a=kycvs"}, []string{"a=kycvs"}},
		{"two fields", []string{"kycvs=v", "a=1"}, []string{"a=1"}},
		{"three fields", []string{"a=1", "kycvs=v", "b=2; kycvs=w"}, []string{"a=1", "b=2"}},
		{"empty", []string{""}, []string{""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{"Cookie": slices.Clone(c.in)}
			Strip(h)
			if !slices.Equal(h["Cookie"], c.want) {
				t.Errorf("%q became %q, want %q", c.in, h["Cookie"], c.want)
			}
			if _, there := h["Cookie"]; there != (c.want != nil) {
				t.Error("an empty field was left")
			}
		})
	}
}

func TestSetsPass(t *testing.T) {
	for in, want := range map[string]bool{
		"kycvs=x":                        true,
		"__Host-kycvs=x; Path=/; Secure": true,
		" KYCVS = x":                     true,
		"=kycvs=x":                       true,
		"kycvs":                          true,
		"a=kycvs=x":                      false,
		"session=1; Path=/kycvs":         false,
		"kycvs2=x":                       false,
	} {
		if got := SetsPass(in); got != want {
			t.Errorf("SetsPass(%q) = %v", in, got)
		}
	}
}

func FuzzStrip(f *testing.F) {
	for _, s := range []string{"", "kycvs=v", "a=1; kycvs=v;b", "kycvs;;__Host-kycvs=", " kycvs\t=1;a"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		h := http.Header{"Cookie": {one, two}}
		Strip(h)
		for _, line := range h["Cookie"] {
			for part := range strings.SplitSeq(line, ";") {
				name, _, _ := strings.Cut(part, "=")
				if ours(trim(name)) {
					t.Fatalf("%q, %q still has %q", one, two, part)
				}
			}
		}
		if v := Value(h, CookieName) + Value(h, CookieNamePlain); v != "" {
			t.Fatalf("a pass is left in %q", h["Cookie"])
		}
		if !mentions(one) && !mentions(two) && !slices.Equal(h["Cookie"], []string{one, two}) {
			t.Fatalf("%q, %q became %q", one, two, h["Cookie"])
		}
	})
}

func FuzzParseJar(f *testing.F) {
	var j Jar
	j.NewBrowser()
	s := NewSealer([][]byte{keyOf(1)}, mall)
	j.Put(s, s.Seal(sample()))
	f.Add(j.Cookie(whole, false, time.Hour).Value)
	f.Add("b.." + strings.Repeat("A", TokenSize))
	f.Fuzz(func(t *testing.T, value string) {
		jar := ParseJar(whole, value)
		if len(jar.Tokens) > maxTokens {
			t.Fatalf("%d tokens", len(jar.Tokens))
		}
		again := ParseJar(whole, jar.Cookie(whole, false, 0).Value)
		if again.Browser != jar.Browser || !slices.Equal(again.Tokens, jar.Tokens) {
			t.Fatalf("%q does not come back", value)
		}
	})
}

func FuzzOpen(f *testing.F) {
	s := NewSealer([][]byte{keyOf(1), keyOf(2)}, mall)
	f.Add(s.Seal(sample()))
	f.Fuzz(func(t *testing.T, token string) {
		if p, err := s.Open(token); err == nil && p != sample() {
			t.Fatalf("a token nobody sealed opens: %q", token)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	s := NewSealer([][]byte{keyOf(1)}, mall)
	token := s.Seal(sample())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Open(token); err != nil {
			b.Fatal(err)
		}
	}
}

func TestJarKnowsNumbersThatWereProven(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	w := NewWhole([][]byte{make([]byte, 32)})
	var j Jar
	j.NewBrowser()
	for i := range byte(6) {
		j.AddPhone([16]byte{i}, now.Add(time.Duration(i)*24*time.Hour))
	}
	j.AddPhone([16]byte{3}, now.Add(6*24*time.Hour)) // again
	j = ParseJar(w, j.Cookie(w, true, time.Hour).Value)
	for _, c := range []struct {
		name  string
		after time.Duration
		want  []byte
	}{
		{"at once", 6 * 24 * time.Hour, []byte{3, 5, 4, 2}},
		{"an earlier clock", 5*24*time.Hour + 23*time.Hour, []byte{3, 5, 4, 2}},
		{"a much earlier clock", 5 * 24 * time.Hour, []byte{5, 4, 2}},
		{"the oldest has ended", KeepPhone + 2*24*time.Hour + time.Hour, []byte{3, 5, 4}},
		{"all have ended", KeepPhone + 7*24*time.Hour, nil},
	} {
		var got []byte
		for _, m := range j.Proven(now.Add(c.after)) {
			got = append(got, m[0])
		}
		if string(got) != string(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	j.ForgetPhones()
	if len(j.Proven(now)) != 0 {
		t.Error("not forgotten")
	}
}
