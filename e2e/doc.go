// Package e2e holds the contract's promises against the built binary, from
// outside: over raw sockets where a polite client would correct the attack,
// through a real browser where a person would sit. It imports nothing of this
// module but what starts Redis (redistest), so that a test can only know what an
// outsider knows.
//
// The binary is built once per run (with the race detector if the tests have
// it). KYCVS_TEST_BINARY names a ready one instead, KYCVS_TEST_LONG=1 runs the
// long versions, KYCVS_TEST_REQUIRE=chromium,redis turns skipped tests into
// failed ones, KYCVS_TEST_SHOTS is a directory for the browser's screenshots.
package e2e
