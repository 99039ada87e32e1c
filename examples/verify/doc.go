// Package verify holds short programs that check an assertion with the JOSE
// library that each language usually has, one folder for each, and runs those
// that can be run here over the vectors of examples/vectors.
package verify
