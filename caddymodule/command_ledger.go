package caddymodule

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/export"
)

// KeptLedger is a LedgerModule that `caddy kycvs ledger` can look after. Provision
// comes before; instances may be appending all the while.
type KeptLedger interface {
	LedgerModule
	// Verify reports whether the chain is whole, and whether want, unless it is zero, is
	// in it.
	Verify(ctx context.Context, want chain.Head) (chain.Report, error)
	// Export calls f with each line, oldest first.
	Export(ctx context.Context, f func(chain.Line) error) error
	// Prune removes entries from before that time, but for those that still count. It
	// returns nil if there was nothing to do.
	Prune(ctx context.Context, before time.Time) (*chain.Pruned, error)
	// Kept is how long the configuration keeps entries, 0 for ever.
	Kept() time.Duration
}

func ledgerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ledger <command>",
		Short: "Checks the record of consents, writes it out and removes what is old",
		Long: `Checks the record of consents, writes it out, and removes what is older than it is
kept. Instances may be running meanwhile.
`,
	}
	cmd.RunE = command(func(_ context.Context, cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			_ = cmd.Usage()
			return usage("which command? Write one of those above")
		}
		return usage("unknown command %q: `caddy kycvs ledger --help` lists them", args[0])
	})
	cmd.AddCommand(ledgerVerifyCommand(), ledgerExportCommand(), ledgerPruneCommand())
	return cmd
}

// ledgerFlags say which ledger a command is about.
type ledgerFlags struct {
	ledger  string
	config  string
	adapter string
}

func (f *ledgerFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.ledger, "ledger", "", "which ledger: file:PATH or postgres:DSN; without it, the one of --config")
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "the configuration that Caddy runs with, for its ledger and how long it is kept")
	cmd.Flags().StringVarP(&f.adapter, "adapter", "a", "", "the config adapter of --config, where its name does not tell")
}

const ledgerFlagsHelp = `
The ledger is --ledger, file:PATH or postgres:DSN, else the one of --config.
Placeholders such as {env.KYCVS_DSN} may be in it: a password on a command line can
be read by anybody on that machine.
`

// find finds the ledger.
func (f *ledgerFlags) find(ctx context.Context, args []string) (KeptLedger, error) {
	switch {
	case len(args) > 0:
		return nil, usage("too many words: the ledger is named by --ledger file:PATH or --ledger postgres:DSN")
	case f.adapter != "" && f.config == "":
		return nil, usage("--adapter without --config: write the configuration that it is to read")
	case f.ledger == "" && f.config == "":
		return nil, usage("which ledger? Write --ledger file:PATH or --ledger postgres:DSN, or --config FILE of one that has it")
	}
	var ofConfig KeptLedger
	if f.config != "" {
		conf, err := loadFileConfig(ctx, f.config, f.adapter)
		if err != nil {
			return nil, err
		}
		defer conf.close()
		if ofConfig, err = conf.ledger(); err != nil && f.ledger == "" {
			return nil, err
		}
	}
	if f.ledger == "" {
		return ofConfig, nil
	}
	var keep time.Duration
	if ofConfig != nil {
		keep = ofConfig.Kept()
	}
	return ledgerOfFlag(f.ledger, caddy.Duration(keep))
}

// ledgerOfFlag reads --ledger. No error holds it: there may be a password in it.
func ledgerOfFlag(value string, keep caddy.Duration) (KeptLedger, error) {
	engine, rest, _ := strings.Cut(value, ":")
	var m interface {
		KeptLedger
		caddy.Provisioner
	}
	switch {
	case rest == "" && (engine == "file" || engine == "postgres"):
		return nil, usage("--ledger %s: has nothing behind it: write file:PATH or postgres:DSN", engine)
	case engine == "file":
		m = &FileLedger{Path: rest, Keep: keep}
	case engine == "postgres" || engine == "postgresql":
		if strings.HasPrefix(rest, "//") { // a URL as it is
			rest = value
		}
		m = &PostgresLedger{DSN: rest, Keep: keep}
	default:
		return nil, usage("--ledger names no engine of this build: write file:PATH or postgres:DSN")
	}
	if err := m.Provision(caddy.Context{}); err != nil {
		return nil, usage("--ledger: %w", err)
	}
	return m, nil
}

// ledger returns the configuration's ledger.
func (c *fileConfig) ledger() (KeptLedger, error) {
	if c.app.LedgerRaw == nil {
		c.app.LedgerRaw = json.RawMessage(`{"engine":"file"}`)
	}
	var m LedgerModule
	if err := loadGuest(c.ctx, c.app, ledgerGuest, "LedgerRaw", c.app.LedgerRaw, &m); err != nil {
		return nil, fmt.Errorf("--config %s: %w", c.path, err)
	}
	kept, ok := m.(KeptLedger)
	if !ok {
		return nil, usage("--config %s has a ledger that this command does not know: write --ledger file:PATH or --ledger postgres:DSN", c.path)
	}
	return kept, nil
}

func ledgerVerifyCommand() *cobra.Command {
	var flags ledgerFlags
	var noted string
	cmd := &cobra.Command{
		Use:   "verify [--ledger file:PATH|postgres:DSN] [--config FILE [--adapter NAME]] [--head SEQ:HASH]",
		Short: "Says whether the record is whole",
		Long: `Says whether the record of consents is whole: no entry changed, missing, moved,
doubled or put in. Prints the head, the number and the hash of the last entry.

The last entries of a file can be cut off without a trace, and whoever can write to
the ledger can write another one that is whole. So note the head where they cannot
write, and have it looked for the next time with --head.
` + ledgerFlagsHelp,
		Example: `  caddy kycvs ledger verify --ledger file:/var/lib/kycvs/ledger.jsonl`,
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&noted, "head", "", "a head that was printed before, SEQ:HASH: it must still be in the record")
	cmd.RunE = command(func(ctx context.Context, cmd *cobra.Command, args []string) error {
		var want chain.Head
		if noted != "" {
			var err error
			if want, err = chain.ParseHead(noted); err != nil {
				return usage("--head: %w", err)
			}
		}
		l, err := flags.find(ctx, args)
		if err != nil {
			return err
		}
		report, err := l.Verify(ctx, want)
		if err != nil {
			return err
		}
		if !report.Whole() {
			for _, p := range report.Problems {
				fmt.Fprintln(cmd.ErrOrStderr(), p.Error())
			}
			more := ""
			if n := report.Found - len(report.Problems); n > 0 {
				more = fmt.Sprintf(" and %d more", n)
			}
			return fmt.Errorf("the record is not whole: the %s above%s. Keep it as it is, and compare it with a copy",
				plural(len(report.Problems), "problem", "problems"), more)
		}
		return sayWhole(cmd, report)
	})
	return cmd
}

func sayWhole(cmd *cobra.Command, r chain.Report) error {
	out := bufio.NewWriter(cmd.OutOrStdout())
	if p := r.Pruned; p != nil {
		fmt.Fprintf(out, "entries 1 to %d were removed on %s, as they were from before %s\n",
			p.Through, p.At.Format(time.DateOnly), p.Before.Format(time.DateOnly))
	}
	if r.Lines == 0 {
		fmt.Fprintln(out, "whole: there is no entry yet")
	} else {
		fmt.Fprintf(out, "whole: %s, %d to %d\nhead %s\n", plural(int(r.Lines), "entry", "entries"), r.First, r.Head.Seq, r.Head)
	}
	return out.Flush()
}

func ledgerExportCommand() *cobra.Command {
	var flags ledgerFlags
	var since, until string
	var filter export.Filter
	cmd := &cobra.Command{
		Use:   "export [--ledger file:PATH|postgres:DSN] [--config FILE [--adapter NAME]] [--since TIME] [--until TIME] [--partner ID]",
		Short: "Writes the record out as JSON lines, in the terms of ISO/IEC TS 27560",
		Long: `Writes the record of consents out as JSON lines, one an event, in the terms of
ISO/IEC TS 27560:2023. Nobody is named in it: people and numbers are keyed hashes.

TIME is a day, 2026-01-31, which begins at midnight UTC, or a time as RFC 3339 has it.
` + ledgerFlagsHelp,
		Example: `  caddy kycvs ledger export --ledger file:/var/lib/kycvs/ledger.jsonl --since 2026-01-01 --partner mall`,
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&since, "since", "", "only what happened at that time or later")
	cmd.Flags().StringVar(&until, "until", "", "only what happened before that time")
	cmd.Flags().StringVar(&filter.Partner, "partner", "", "only what is about this partner")
	cmd.RunE = command(func(ctx context.Context, cmd *cobra.Command, args []string) error {
		var err error
		if filter.Since, err = timeOfFlag("--since", since); err != nil {
			return err
		}
		if filter.Until, err = timeOfFlag("--until", until); err != nil {
			return err
		}
		l, err := flags.find(ctx, args)
		if err != nil {
			return err
		}
		out := bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10)
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		err = l.Export(ctx, func(line chain.Line) error {
			e, known, err := line.Entry()
			if err != nil {
				return fmt.Errorf("entry %d: %w; run `caddy kycvs ledger verify`", line.Seq, err)
			}
			if !known || !filter.Wants(e) {
				return nil
			}
			return lines.Encode(export.Of(line, e))
		})
		return errors.Join(err, out.Flush())
	})
	return cmd
}

// timeOfFlag reads a time or a day; an empty one is the zero Time.
func timeOfFlag(flag, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, value); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage("%s %q is no time: write a day, 2026-01-31, or a time, 2026-01-31T18:30:00+05:30", flag, value)
}

func ledgerPruneCommand() *cobra.Command {
	var flags ledgerFlags
	var keep string
	cmd := &cobra.Command{
		Use:   "prune [--ledger file:PATH|postgres:DSN] [--config FILE [--adapter NAME]] [--keep DURATION]",
		Short: "Removes entries that are older than they are kept",
		Long: `Removes entries that are older than --keep, or than the ledger of --config is kept, at
least 365d. An instance whose ledger has a 'keep' does the same once a day.

What still counts stays: consents given or taken back on which something rests, and
numbers that are locked. The record says what was removed, and verifies as before.
` + ledgerFlagsHelp,
		Example: `  caddy kycvs ledger prune --ledger file:/var/lib/kycvs/ledger.jsonl --keep 400d`,
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&keep, "keep", "", "how long entries are kept, e.g. 400d (default that of --config)")
	cmd.RunE = command(func(ctx context.Context, cmd *cobra.Command, args []string) error {
		l, err := flags.find(ctx, args)
		if err != nil {
			return err
		}
		kept := l.Kept()
		if keep != "" {
			d, err := ledgerKeepBounds.parse("--keep", keep)
			if err != nil {
				return usage("%w", err)
			}
			kept = time.Duration(d)
		}
		if kept == 0 {
			return usage("how long are entries kept? Write e.g. --keep 400d, or --config with a ledger that has a `keep`")
		}
		done, err := l.Prune(ctx, time.Now().Add(-kept))
		if err != nil {
			return err
		}
		if done == nil {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "nothing to remove")
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "removed %s, from before %s; %s that still count stay, written again at the end\n",
			plural(int(done.Removed-done.Carried), "entry", "entries"), done.Before.Format(time.DateOnly), plural(int(done.Carried), "entry", "entries"))
		return err
	})
	return cmd
}
