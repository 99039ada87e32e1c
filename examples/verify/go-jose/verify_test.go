package gojose

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/kycvs/caddy-kycvs/examples/vectors"
)

func TestVectors(t *testing.T) {
	all, err := vectors.All()
	if err != nil {
		t.Fatal(err)
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(vectors.JWKS, &keys); err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		t.Run(v.Name, func(t *testing.T) {
			_, err := Verify(v.Assertion, keys, jwt.Expected{
				Issuer: v.Issuer, AnyAudience: jwt.Audience{v.Audience}, Time: v.Clock(),
			}, time.Duration(v.Skew)*time.Second)
			if (err == nil) != v.Good() {
				t.Errorf("%v; want %s %s, because %s", err, v.Expect, v.Check, v.Why)
			}
		})
	}
}
