package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/spf13/cobra"

	"github.com/kycvs/caddy-kycvs/authflow/keyring"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys list|revoke",
		Short: "Lists the keys that sign assertions, or revokes them",
		Long: `Lists the keys that sign assertions, or revokes them: those in the storage of a
configuration, whether Caddy runs with it or not.`,
	}
	cmd.RunE = command(func(_ context.Context, cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage("what about the keys? Write `caddy kycvs keys list` or `caddy kycvs keys revoke`")
		}
		return usage("unknown command %q: write `caddy kycvs keys list` or `caddy kycvs keys revoke`", args[0])
	})
	cmd.AddCommand(keysListCommand(), keysRevokeCommand())
	return cmd
}

// keysFlags are the flags that say where the keys are.
type keysFlags struct {
	config  string
	adapter string
}

func (f *keysFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "the configuration that Caddy runs with: the keys are in its storage")
	cmd.Flags().StringVarP(&f.adapter, "adapter", "a", "", "the config adapter of --config, where its name does not tell")
}

// storage returns the storage that the keys are in, and what ends its use.
func (f *keysFlags) storage(ctx context.Context) (certmagic.Storage, func(), error) {
	if f.config == "" {
		return nil, nil, usage("which keys? Write --config FILE with the configuration that Caddy runs with: they are in its storage")
	}
	conf, err := loadFileConfig(ctx, f.config, f.adapter)
	if err != nil {
		return nil, nil, err
	}
	storage, err := conf.storage()
	if err != nil {
		conf.close()
		return nil, nil, fmt.Errorf("--config %s: storage: %w", f.config, err)
	}
	return storage, conf.close, nil
}

// explainKeys says where there are no keys, and what to do.
func explainKeys(err error, storage certmagic.Storage) error {
	if errors.Is(err, keyring.ErrNoKeys) {
		return fmt.Errorf("there are no keys in the storage of that configuration (%s): Caddy makes them when it starts; run this as the user that Caddy runs as", storageName(storage))
	}
	return err
}

func keysListCommand() *cobra.Command {
	var flags keysFlags
	cmd := &cobra.Command{
		Use:   "list --config FILE [--adapter NAME]",
		Short: "Lists the keys that sign assertions",
		Long: `Lists the keys that sign assertions, in the order in which they sign, and those
that were revoked. Nothing of what it prints is secret. It changes nothing.

  waiting   published, so that everybody knows it when it signs
  signing   signs
  retired   published for as long as something that it signed is valid
  revoked   gone, and never used again`,
		Example: `  caddy kycvs keys list --config /etc/caddy/Caddyfile`,
	}
	flags.add(cmd)
	cmd.RunE = command(func(ctx context.Context, cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage("%q is too much: list shows all keys", args[0])
		}
		storage, done, err := flags.storage(ctx)
		if err != nil {
			return err
		}
		defer done()
		all, err := keyring.List(ctx, storage, time.Now())
		if err != nil {
			return explainKeys(err, storage)
		}
		return printKeys(cmd.OutOrStdout(), all)
	})
	return cmd
}

func printKeys(out io.Writer, all []keyring.Listed) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KID\tALGORITHM\tSTATE\tSIGNS FROM\tUNTIL\tGONE")
	for _, k := range all {
		algorithm := string(k.Algorithm)
		if algorithm == "" {
			algorithm = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", k.KeyID, algorithm, k.State, keyTime(k.SignsFrom), keyTime(k.SignsUntil), keyTime(k.Gone))
	}
	return w.Flush()
}

// keyTime writes a time as it stands in the storage.
func keyTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func keysRevokeCommand() *cobra.Command {
	var flags keysFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "revoke [KID… | --all] --config FILE [--adapter NAME]",
		Short: "Takes keys that sign assertions out of use, at once and for good",
		Long: `Takes keys that sign assertions out of use, at once and for good: for when somebody
else may have them. Without a KID it is all of them, because they lie in one file
of the storage: who could read one could read them all.

If the key that signs is among them, the next in line signs at once, or a new one
does. Running instances that share the storage follow within 3 seconds, without a
restart; what they signed with a revoked key before is not sent any more. Passes
stay good.

Verifiers meet a key that they have not seen and fetch the public set again. One
that keeps its set without asking goes by it until that runs out: for a quarter of
an hour at most. Tell partners to fetch it now.

A KID that begins with a hyphen stands behind two of them: revoke --config FILE -- -KID`,
		Example: `  caddy kycvs keys revoke --config /etc/caddy/Caddyfile
  caddy kycvs keys revoke --config /etc/caddy/Caddyfile eOVWc-BlHtMMq4wyng6XO4PJei4ApUZszP5sFR3TrZ4`,
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all of them; the same as naming none")
	cmd.RunE = command(func(ctx context.Context, cmd *cobra.Command, args []string) error {
		if all && len(args) > 0 {
			return usage("--all and a KID: write one of them")
		}
		storage, done, err := flags.storage(ctx)
		if err != nil {
			return err
		}
		defer done()
		if err := checkOwner(storage); err != nil {
			return err
		}
		revoked, err := keyring.Revoke(ctx, storage, time.Now, args...)
		if err != nil {
			return explainKeys(err, storage)
		}
		return printRevocation(cmd.OutOrStdout(), revoked)
	})
	return cmd
}

func printRevocation(out io.Writer, r keyring.Revocation) error {
	if len(r.Revoked) == 0 {
		_, err := fmt.Fprintln(out, "revoked already; nothing is changed")
		return err
	}
	for _, id := range r.Revoked {
		fmt.Fprintln(out, "revoked", id)
	}
	was := "made for this"
	if r.Waited {
		was = "public before"
	}
	fmt.Fprintf(out, "signs   %s (%s, %s)\n", r.Signing.KeyID, r.Signing.Algorithm, was)
	_, err := fmt.Fprintf(out, "running instances follow within 3 seconds; verifiers may keep the set that they have for up to %s\n", formatDuration(r.MaxAge))
	return err
}
