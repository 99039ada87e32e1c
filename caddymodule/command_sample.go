package caddymodule

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kycvs/caddy-kycvs/registry/sample"
)

func sampleCommand() *cobra.Command {
	var c sample.Config
	cmd := &cobra.Command{
		Use:   "sample --people N [--seed N] [--noise F]",
		Short: "Makes up people and their doses",
		Long: `Makes up people and their doses, and writes them as CSV on standard output: in
about the proportions of India's campaign, families on one number, names in Latin
letters and in Indian scripts. The same for the same --people, --seed and --noise.
Nobody in it is anybody; a number that is somebody's is so by chance.`,
		Example: `  caddy kycvs sample --people 1000000 > doses.csv`,
	}
	cmd.Flags().IntVar(&c.People, "people", 0, "how many people, from 1 to 1000000000")
	cmd.Flags().Uint64Var(&c.Seed, "seed", 0, "another number, other people")
	cmd.Flags().Float64Var(&c.Noise, "noise", 0, "the share of rows, from 0 to 1, that are written as people type")
	cmd.RunE = command(func(_ context.Context, cmd *cobra.Command, args []string) error {
		const most = 1_000_000_000
		switch {
		case len(args) > 0:
			return usage("%q is too much: write e.g. --people 1000 > doses.csv", args[0])
		case !cmd.Flags().Changed("people"):
			return usage("how many? Write --people N")
		case c.People < 1 || c.People > most:
			return usage("--people %d is out of bounds: write a number from 1 to %d", c.People, most)
		case !(c.Noise >= 0 && c.Noise <= 1):
			return usage("--noise %v is out of bounds: write a number from 0 to 1", c.Noise)
		}
		return sample.Write(cmd.OutOrStdout(), c)
	})
	return cmd
}
