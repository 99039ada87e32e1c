package caddymodule

import (
	"context"
	"errors"
	"fmt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "kycvs",
		Usage: "<command>",
		Short: "Loads the registry of doses, asks it and changes it",
		Long: `
Loads the registry of doses, asks it and changes it.

Exit status: 0 done, 1 refused or not valid, 2 wrong usage.
`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.RunE = command(func(_ context.Context, cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					_ = cmd.Usage()
					return usage("which command? Write one of those above")
				}
				return usage("unknown command %q: `caddy kycvs --help` lists them", args[0])
			})
			cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
				return leave(cmd, usage("%w: `%s --help` lists the flags", err, cmd.CommandPath()))
			})
			cmd.AddCommand(importCommand(), sampleCommand(), lookupCommand(), eraseCommand(), keysCommand(), verifyCommand(), partnerKeyCommand(), ledgerCommand())
		},
	})
}

// The exit statuses (contract, section 8).
const (
	exitRefused = 1
	exitUsage   = 2
)

// usageError is what is wrong with how a command was called.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// command makes a cobra function of one that returns an error.
func command(run func(ctx context.Context, cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return leave(cmd, run(cmd.Context(), cmd, args))
	}
}

// leave says on standard error what went wrong and has Caddy exit with its status.
func leave(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	cmd.SilenceErrors = true // said here, plainly
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", cmd.CommandPath(), err)
	status := exitRefused
	if _, wrong := errors.AsType[usageError](err); wrong {
		status = exitUsage
	}
	if status == exitRefused {
		return err // Caddy exits with 1 for any error
	}
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return status, nil })(cmd, nil)
}
