package assertion

import (
	"errors"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func TestSignAs(t *testing.T) {
	for _, key := range []jose.JSONWebKey{parseKey(t, rfcES256), parseKey(t, rfcEdDSA), rsaKey()} {
		s := newSigner(t, key)
		public := s.PublicKey()
		if !public.IsPublic() || public.KeyID != s.KeyID() || public.Algorithm != string(s.Algorithm()) || public.Use != "sig" {
			t.Errorf("the public key is %q, %q, %q", public.KeyID, public.Algorithm, public.Use)
		}
		claims := plain()
		payload := claims.AppendJSON(nil)
		compact, err := s.SignAs("other+jwt", payload)
		if err != nil {
			t.Fatal(err)
		}
		jws, err := jose.ParseSignedCompact(compact, algorithms)
		if err != nil {
			t.Fatal(err)
		}
		got, err := jws.Verify(public)
		if err != nil || string(got) != string(payload) || jws.Signatures[0].Protected.ExtraHeaders[jose.HeaderType] != "other+jwt" {
			t.Errorf("got %q, %v", got, err)
		}
		// the very claims of an assertion are none under another typ
		if _, err := newVerifier(t, publicKeys(t, key)).Verify(compact); !errors.Is(err, ErrType) {
			t.Errorf("taken for an assertion: %v", err)
		}
		for _, typ := range []string{"", Type, "KYCVS+JWT", "application/kycvs+jwt", "Application/" + Type} {
			if _, err := s.SignAs(typ, payload); err == nil {
				t.Errorf("signed with the typ %q", typ)
			}
		}
	}
}
