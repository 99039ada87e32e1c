// Command go is an application behind a gate that lets in who is fully
// vaccinated, with this module's own package.
package main

import (
	"fmt"
	"log"
	"net/http"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

func main() {
	keys, err := assertion.NewKeySet(assertion.KeySetConfig{URL: "https://mall.example/.kycvs/jwks.json"})
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := assertion.NewVerifier(assertion.VerifierConfig{Keys: keys.Key, Issuer: "https://mall.example", Audience: "mall"})
	if err != nil {
		log.Fatal(err)
	}
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := assertion.FromContext(r.Context())
		fmt.Fprintf(w, "welcome, %s\n", claims.Subject)
	})
	log.Fatal(http.ListenAndServe("localhost:3000", verifier.Middleware(assertion.Required{Status: 2}, app)))
}
