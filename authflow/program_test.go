package authflow

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPartnerKey(t *testing.T) {
	key := NewPartnerKey()
	if len(key) != 46 || !strings.HasPrefix(key, "kp_") || key == NewPartnerKey() {
		t.Fatalf("a key of %d characters", len(key))
	}
	text := HashKey(key).String()
	h, err := ParseKeyHash(text)
	if err != nil || h != HashKey(key) {
		t.Fatalf("%q: %v", text, err)
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"a key":           {key, ErrKeyForHash},
		"nothing":         {"", ErrKeyHash},
		"hex":             {strings.Repeat("0", 64), ErrKeyHash},
		"cut short":       {text[:len(text)-1], ErrKeyHash},
		"longer":          {text + "A", ErrKeyHash},
		"padded":          {text + "=", ErrKeyHash},
		"another hash":    {strings.Replace(text, "sha256", "sha512", 1), ErrKeyHash},
		"no word before":  {strings.TrimPrefix(text, "sha256:"), ErrKeyHash},
		"a line break":    {text[:20] + "\n" + text[20:], ErrKeyHash},
		"the hash's key?": {"sha256:" + key, ErrKeyHash},
	} {
		if _, err := ParseKeyHash(c.text); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		} else if len(c.text) > 20 && strings.Contains(err.Error(), c.text[10:20]) {
			t.Errorf("%s: the error shows what was written", name)
		}
	}
}

func TestWhoseKey(t *testing.T) {
	one, two := NewPartnerKey(), NewPartnerKey()
	list := []*Audience{
		{Partner: Partner{ID: "none"}},
		{Partner: Partner{ID: "one", Programs: Programs{Keys: []KeyHash{HashKey(one)}}}},
		{Partner: Partner{ID: "two", Programs: Programs{Keys: []KeyHash{HashKey(NewPartnerKey()), HashKey(two)}}}},
	}
	for key, want := range map[string]string{one: "one", two: "two", NewPartnerKey(): "", "": "", HashKey(one).String(): ""} {
		a := WhoseKey(list, key)
		if got := func() string {
			if a == nil {
				return ""
			}
			return a.ID
		}(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestCodesAsTheyAreSent(t *testing.T) {
	const hexed = "8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92" // of 123456
	hashed, ok := HashedCode(hexed)
	if !ok {
		t.Fatal("a hash is not taken for one")
	}
	for _, entered := range []string{"123456", "123 456", "१२३४५६", hashed} {
		if wire, ok := wireOf(entered, 6); !ok || wire != hexed {
			t.Errorf("%q: %q, %v", entered, wire, ok)
		}
	}
	for _, entered := range []string{"", "12345", "1234567", "12345a", hexed, strings.ToUpper(hexed), hashed[1:], hashed + "0", hashed[:len(hashed)-1], strings.ToUpper(hashed)} {
		if _, ok := wireOf(entered, 6); ok {
			t.Errorf("%q is taken for a code", entered)
		}
	}
}

func TestNameBoth(t *testing.T) {
	for _, c := range []struct{ sub, partner, want string }{
		{"Yatra", "Railways", "Yatra (Railways)"},
		{"Yatra Travels and Tours Private Limited", "Railways", "Yatra Travels and Tours P... (Railways)"},
		{"Yatra", "The Railways of the whole Republic of India", "Yatra (The Railways of the whole Repu...)"},
		{"Yatra Travels and Tours Private Limited", "The Railways of the whole Republic of India", "Yatra Travels an... (The Railways of ...)"},
		{"भारतीय रेल", "यात्रा", "भारतीय रेल (यात्रा)"},
	} {
		got := nameBoth(c.sub, c.partner)
		if utf8.RuneCountInString(got) > maxBoth || !utf8.ValidString(got) {
			t.Errorf("%q is too long", got)
		}
		if got != c.want && len(c.sub) < 30 && len(c.partner) < 30 {
			t.Errorf("got %q, want %q", got, c.want)
		}
		if !strings.HasPrefix(got, c.sub[:5]) || !strings.Contains(got, "("+c.partner[:6]) {
			t.Errorf("%q does not name both", got)
		}
	}
}

func TestConsentIDs(t *testing.T) {
	f := New(Config{Secret: NewSecret([]byte("a secret of the test, long enough")), SubjectKey: make([]byte, 32)})
	id := f.newConsent("mall")
	if !f.GivenTo(id, "mall") || f.GivenTo(id, "rail") || f.GivenTo(newID(), "mall") || id == f.newConsent("mall") {
		t.Error("a consent does not say whose it is")
	}
	for i := range id {
		other := id
		other[i] ^= 1
		if f.GivenTo(other, "mall") {
			t.Errorf("with byte %d changed it is still mall's", i)
		}
	}
}

func TestCheckTxn(t *testing.T) {
	for txn, want := range map[string]bool{"PNR-1": true, strings.Repeat("x", 64): true, "": false, strings.Repeat("x", 65): false, "a b": false, "a\n": false, "é": false, "a\x7f": false} {
		if CheckTxn(txn) != want {
			t.Errorf("%q: %v", txn, !want)
		}
	}
}
