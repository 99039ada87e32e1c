package vectors

import (
	"errors"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

// checks says by which error this module's Verifier refuses a vector.
var checks = map[string]error{
	"size": assertion.ErrSize, "form": assertion.ErrMalformed, "type": assertion.ErrType, "header": assertion.ErrHeader,
	"algorithm": assertion.ErrAlgorithm, "key": assertion.ErrKeyUnknown, "signature": assertion.ErrSignature,
	"claims": assertion.ErrClaims, "status": assertion.ErrStatus, "issuer": assertion.ErrIssuer, "audience": assertion.ErrAudience,
	"lifetime": assertion.ErrLifetime, "future": assertion.ErrIssuedInFuture, "early": assertion.ErrNotYetValid, "expired": assertion.ErrExpired,
}

// TestVerifier runs this module's own verifier.
func TestVerifier(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := assertion.ParseKeySet(JWKS)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		t.Run(v.Name, func(t *testing.T) {
			skew := time.Duration(v.Skew) * time.Second
			if skew == 0 {
				skew = -1
			}
			verifier, err := assertion.NewVerifier(assertion.VerifierConfig{
				Keys: keys, Issuer: v.Issuer, Audience: v.Audience, Skew: skew, Now: v.Clock,
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = verifier.Verify(v.Assertion)
			if v.Good() && err != nil || !v.Good() && (checks[v.Check] == nil || !errors.Is(err, checks[v.Check])) {
				t.Errorf("%v; want %s %s, because %s", err, v.Expect, v.Check, v.Why)
			}
		})
	}
}
