package assertion_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

// jwks is what https://mall.example/.kycvs/jwks.json answers. A program that
// runs for long fetches it again as its Cache-Control says, and when it meets a
// kid that it does not know.
const jwks = `{"keys":[{"use":"sig","kty":"OKP","crv":"Ed25519","alg":"EdDSA",
	"kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
	"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`

// An application behind the gate checks the header, and only then looks at the
// status.
func ExampleVerifier_Verify() {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(jwks), &set); err != nil {
		panic(err)
	}
	keys, err := assertion.StaticKeys(set)
	if err != nil {
		panic(err)
	}
	verifier, err := assertion.NewVerifier(assertion.VerifierConfig{
		Keys:     keys,
		Issuer:   "https://mall.example",
		Audience: "mall",
		Skew:     5 * time.Second,
		Now:      func() time.Time { return time.Unix(1767225610, 0) }, // leave this out
	})
	if err != nil {
		panic(err)
	}

	handler := func(w http.ResponseWriter, r *http.Request) {
		claims, err := verifier.Verify(r.Header.Get(assertion.HeaderName))
		if err != nil {
			http.Error(w, "no valid assertion", http.StatusUnauthorized)
			return
		}
		if claims.VaccinationStatus < 2 {
			http.Error(w, "fully vaccinated visitors only", http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, "welcome, status %d", claims.VaccinationStatus)
	}

	request := httptest.NewRequest("GET", "/", nil)
	request.Header.Set(assertion.HeaderName, exampleAssertion)
	answer := httptest.NewRecorder()
	handler(answer, request)
	fmt.Println(answer.Code, answer.Body)
	// Output: 200 welcome, status 2
}

// exampleAssertion is what the gate sent, at the first second of 2026.
const exampleAssertion = "eyJhbGciOiJFZERTQSIsImtpZCI6ImtQcktfcW14VldhWVZBOXd3QkY2SXVvM3ZWeno3VHhIQ1R3WEJ5Z3JTNGsiLCJ0eXAiOiJreWN2cytqd3QifQ." +
	"eyJpc3MiOiJodHRwczovL21hbGwuZXhhbXBsZSIsImF1ZCI6Im1hbGwiLCJzdWIiOiJBQUVDQXdRRkJnY0lDUW9MREEwT0R3" +
	"IiwiaWF0IjoxNzY3MjI1NjAwLCJuYmYiOjE3NjcyMjU2MDAsImV4cCI6MTc2NzIyNTY2MCwianRpIjoiRUJFU0V4UVZGaGNZ" +
	"R1JvYkhCMGVIdyIsInZhY2NpbmF0aW9uX3N0YXR1cyI6MiwiYXV0aF90aW1lIjoxNzY3MjI1MzAwLCJhbXIiOlsib3RwIiwi" +
	"c21zIl0sInR4bklkIjoiMzAzMTMyMzMtMzQzNS0zNjM3LTM4MzktM2EzYjNjM2QzZTNmIiwiY29uc2VudCI6IklDRWlJeVFs" +
	"Smljb0tTb3JMQzB1THciLCJwdXJwb3NlIjoiRW50cnkgdG8gdGhlIG1hbGwifQ." +
	"7HtbR5mZdL45nHW3qzJpHcujUNcdQ0wirPWcaTdFXTg_SQvi3o5hW1_CD2Du795OWq9D8fysjmzUr2hGJEvgAw"

// An application that runs for long lets a KeySet fetch the keys, and a
// Middleware answer those that may not come in.
func ExampleVerifier_Middleware() {
	// What the gate serves; yours is https://mall.example/.kycvs/jwks.json.
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=900")
		fmt.Fprint(w, jwks)
	}))
	defer gate.Close()

	keys, err := assertion.NewKeySet(assertion.KeySetConfig{URL: gate.URL})
	if err != nil {
		panic(err)
	}
	verifier, err := assertion.NewVerifier(assertion.VerifierConfig{
		Keys:     keys.Key,
		Issuer:   "https://mall.example",
		Audience: "mall",
		Now:      func() time.Time { return time.Unix(1767225610, 0) }, // leave this out
	})
	if err != nil {
		panic(err)
	}
	app := verifier.Middleware(assertion.Required{Status: 2}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := assertion.FromContext(r.Context())
		fmt.Fprintf(w, "welcome, %s", claims.Subject)
	}))

	ask := func(fields ...string) {
		request := httptest.NewRequest("GET", "/", nil)
		for _, value := range fields {
			request.Header.Add(assertion.HeaderName, value)
		}
		answer := httptest.NewRecorder()
		app.ServeHTTP(answer, request)
		fmt.Println(answer.Code, answer.Body)
	}
	ask(exampleAssertion)
	ask(exampleAssertion, exampleAssertion)
	// Output:
	// 200 welcome, AAECAwQFBgcICQoLDA0ODw
	// 401 {"type":"about:blank","title":"Unauthorized","status":401,"detail":"The Kycvs-Assertion field stands more than once. A gate sends one.","code":"assertion_doubled","required":2}
}

// Keys can also be kept in a file.
func ExampleParseKeySet() {
	keys, err := assertion.ParseKeySet([]byte(jwks))
	if err != nil {
		panic(err)
	}
	verifier, err := assertion.NewVerifier(assertion.VerifierConfig{
		Keys:     keys,
		Issuer:   "https://mall.example",
		Audience: "ward", // somebody else
		Now:      func() time.Time { return time.Unix(1767225610, 0) },
	})
	if err != nil {
		panic(err)
	}
	_, err = verifier.Verify(exampleAssertion)
	fmt.Println(errors.Is(err, assertion.ErrAudience), err)
	// Output: true assertion: made for another audience
}
