package caddymodule

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kycvs/caddy-kycvs/authflow"
)

func partnerKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "partner-key",
		Short: "Makes a key for a partner's programs",
		Long: `Makes a key for a partner's programs and prints it, and its hash:

  key kp_…            for the partner: sent as x-api-key, and kept as a password is
  key_hash sha256:…   for the configuration: a line of the partner's block

Nothing of it is kept here. While a key is replaced, both lines of key_hash stand
in the partner's block, until the partner's programs use the new key.`,
	}
	cmd.RunE = command(func(_ context.Context, cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage("%q is too much: write `caddy kycvs partner-key`; a key is not made for a name, but by putting its key_hash into that partner's block", args[0])
		}
		key := authflow.NewPartnerKey()
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "key %s\nkey_hash %s\n", key, authflow.HashKey(key))
		return err
	})
	return cmd
}
