// Package vectors holds assertions to test a verifier with, in any language:
// some that it must take and many that it must refuse, each with the reason.
// vectors.json and jwks.json are made for programs to read as they are; this
// package is for those written in Go.
package vectors

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"time"
)

//go:generate go test -run ^TestCurrent$ -update .

//go:embed vectors.json
var vectorsJSON []byte

// JWKS is the key set to check the vectors with, as a gate publishes it.
//
//go:embed jwks.json
var JWKS []byte

// Vector is one assertion, and what a verifier must make of it.
type Vector struct {
	Name      string `json:"name"`
	Assertion string `json:"assertion"`
	// Issuer and Audience are what the verifier expects iss and aud to be.
	Issuer   string `json:"issuer"`
	Audience string `json:"audience"`
	// Now is the verifier's clock, in seconds since the epoch.
	Now int64 `json:"now"`
	// Skew is how many seconds the verifier allows the clocks to differ.
	Skew int64 `json:"skew"`
	// Expect is "good" or "bad".
	Expect string `json:"expect"`
	// Check names what a verifier has to look at to refuse it, e.g. "signature"; it
	// is empty for a good one.
	Check string `json:"check,omitempty"`
	// Why says in a sentence why it must be refused, or taken.
	Why string `json:"why"`
}

// Good says whether a verifier must take it.
func (v Vector) Good() bool { return v.Expect == "good" }

// Clock is Now for a verifier that wants a function.
func (v Vector) Clock() time.Time { return time.Unix(v.Now, 0) }

// All returns the vectors in the order of the file.
func All() ([]Vector, error) {
	var file file
	if err := json.Unmarshal(vectorsJSON, &file); err != nil {
		return nil, fmt.Errorf("vectors: vectors.json: %w", err)
	}
	return file.Vectors, nil
}

// file is vectors.json.
type file struct {
	Comment string   `json:"comment"`
	Vectors []Vector `json:"vectors"`
}
