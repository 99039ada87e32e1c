package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

func verifyCommand() *cobra.Command {
	var flags verifyFlags
	cmd := &cobra.Command{
		Use:   "verify --jwks URL|FILE --audience PARTNER [--issuer ISSUER] [--at TIME]",
		Short: "Checks an assertion",
		Long: `Checks an assertion, the value of a Kycvs-Assertion field, which it reads from
standard input. Prints the claims as JSON if it is valid, and otherwise why it is
not; never the assertion, which is good for whoever has it.`,
		Example: `  caddy kycvs verify --jwks https://mall.example/.kycvs/jwks.json --audience mall < assertion`,
	}
	cmd.Flags().StringVar(&flags.jwks, "jwks", "", "where the issuer's keys are: an address (https, or http on this machine) or a file")
	cmd.Flags().StringVar(&flags.audience, "audience", "", "the partner's id, what aud must be")
	cmd.Flags().StringVar(&flags.issuer, "issuer", "", "what iss must be (default: the origin of --jwks, if that is an address)")
	cmd.Flags().StringVar(&flags.at, "at", "", "check as if it were this time, e.g. 2026-01-01T00:00:10Z (default: now)")
	cmd.RunE = command(func(ctx context.Context, cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage("too many words: the assertion is read from standard input, so that no shell and no process list keeps it")
		}
		verifier, err := flags.verifier()
		if err != nil {
			return err
		}
		compact, err := readAssertion(cmd.InOrStdin())
		if err != nil {
			return err
		}
		claims, err := verifier.VerifyContext(ctx, compact)
		if err != nil {
			return adviceOn(err)
		}
		out := json.NewEncoder(cmd.OutOrStdout())
		out.SetEscapeHTML(false)
		out.SetIndent("", "  ")
		return out.Encode(claims)
	})
	return cmd
}

type verifyFlags struct{ jwks, audience, issuer, at string }

// verifier returns what the flags ask for. With a key set at an address it has
// fetched nothing yet.
func (f *verifyFlags) verifier() (*assertion.Verifier, error) {
	switch {
	case f.jwks == "":
		return nil, usage("which keys? Write --jwks https://mall.example/.kycvs/jwks.json, or a file with what is there")
	case f.audience == "":
		return nil, usage("made for whom? Write --audience with the partner's id; without a `partner` line that is the site's host")
	}
	cfg := assertion.VerifierConfig{Issuer: f.issuer, Audience: f.audience}
	if f.at != "" {
		at, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			return nil, usage("--at %s is no time: write it like 2026-01-01T00:00:10Z", f.at)
		}
		cfg.Now = func() time.Time { return at }
	}
	if !strings.Contains(f.jwks, "://") {
		if f.issuer == "" {
			return nil, usage("a file does not say whose keys it has: write --issuer, e.g. --issuer https://mall.example")
		}
		text, err := os.ReadFile(f.jwks)
		if err != nil {
			return nil, fmt.Errorf("--jwks %s: %w: write the path of a key set, or its address with https://", f.jwks, withoutPath(err))
		}
		if cfg.Keys, err = assertion.ParseKeySet(text); err != nil {
			return nil, fmt.Errorf("--jwks %s: %w", f.jwks, withoutPackage(err))
		}
		return assertion.NewVerifier(cfg)
	}
	keys, err := assertion.NewKeySet(assertion.KeySetConfig{URL: f.jwks})
	if err != nil {
		return nil, usage("--jwks: %w", withoutPackage(err))
	}
	cfg.Keys = keys.Key
	if cfg.Issuer == "" {
		u, err := url.Parse(f.jwks)
		if err != nil {
			return nil, usage("--jwks is no address: write it like https://mall.example/.kycvs/jwks.json")
		}
		cfg.Issuer = strings.ToLower(u.Scheme) + "://" + strings.ToLower(u.Host)
	}
	return assertion.NewVerifier(cfg)
}

// readAssertion reads one assertion; spaces and line breaks around it are the
// shell's.
func readAssertion(r io.Reader) (string, error) {
	const room = 64 // for those
	body, err := io.ReadAll(io.LimitReader(r, assertion.MaxSize+room+1))
	if err != nil {
		return "", fmt.Errorf("reading standard input: %w", err)
	}
	compact := strings.TrimSpace(string(body))
	if compact == "" {
		return "", usage("there is nothing on standard input: write the value of a %s field there", assertion.HeaderName)
	}
	return compact, nil
}

// advice is what to do about each thing that can be wrong with an assertion.
var advice = []struct {
	is   error
	then string
}{
	{assertion.ErrSize, "write the value of one field, and nothing else"},
	{assertion.ErrMalformed, "write the value of the field as it came, and nothing else"},
	{assertion.ErrType, "this is another kind of token; do not take it for an assertion"},
	{assertion.ErrHeader, "no gate made this; do not trust it"},
	{assertion.ErrAlgorithm, "no gate made this with that key; do not trust it"},
	{assertion.ErrKeyUnknown, "fetch the key set anew, and see whether --jwks is that of the gate that made it"},
	{assertion.ErrKeysUnavailable, "see whether the address of --jwks answers from here"},
	{assertion.ErrSignature, "it was changed on its way, or somebody else made it; do not trust it"},
	{assertion.ErrClaims, "no gate made this; do not trust it"},
	{assertion.ErrStatus, "no gate made this; do not trust it"},
	{assertion.ErrIssuer, "if you trust another issuer than that of --jwks, write --issuer"},
	{assertion.ErrAudience, "if that is you, write your id behind --audience; otherwise it was not meant for you"},
	{assertion.ErrLifetime, "no gate made this; do not trust it"},
	{assertion.ErrIssuedInFuture, "set both clocks, or write --at with the time at which it came"},
	{assertion.ErrNotYetValid, "set both clocks, or write --at with the time at which it came"},
	{assertion.ErrExpired, "ask the gate for a new one, or write --at with the time at which it came"},
}

// adviceOn says in one line what is wrong with an assertion, and what to do.
func adviceOn(err error) error {
	for _, a := range advice {
		if errors.Is(err, a.is) {
			return fmt.Errorf("refused: %w: %s", withoutPackage(err), a.then)
		}
	}
	return fmt.Errorf("refused: %w", err)
}

// withoutPackage takes the name of the package from the front of an error.
func withoutPackage(err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), "assertion: "))
}
