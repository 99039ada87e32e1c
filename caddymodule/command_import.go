package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/kycvs/caddy-kycvs/registry/doses"
	"github.com/kycvs/caddy-kycvs/registry/loading"
)

// importFlags are the flags of `caddy kycvs import`.
type importFlags struct {
	storeFlags
	dryRun  bool
	strict  bool
	workers int
	format  string
	tempDir string
}

func importCommand() *cobra.Command {
	var flags importFlags
	cmd := &cobra.Command{
		Use:   "import [--registry file:DIRECTORY|postgres:DSN] [--config FILE [--adapter NAME]] [--dry-run] [--strict] FILE…|-",
		Short: "Imports files of doses into a registry",
		Long: `Imports files of doses into a registry: CSV or FHIR R4 as NDJSON, plain or
compressed by gzip, - for standard input. It merges: the same dose again changes
nothing, entered-in-error takes one back, a later file corrects an earlier one.
A running gate goes on, and answers from the new content once all of it is there;
interrupted at any moment, an import leaves what was there before.

A row that makes no sense is set aside, into FILE.rejects.csv beside the file
(FILE.rejects.ndjson for FHIR; stdin.rejects.… for standard input), with its line
and the reason.
` + storeFlagsHelp,
		Example: `  caddy kycvs import --config /etc/caddy/Caddyfile doses.csv
  zcat doses.csv.gz | caddy kycvs import --registry file:/var/lib/kycvs/doses -`,
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "read, check and count, and change nothing")
	cmd.Flags().BoolVar(&flags.strict, "strict", false, "change nothing if a row of any file makes no sense")
	cmd.Flags().IntVar(&flags.workers, "workers", 0, "how many rows are worked on at once (default the number of cores)")
	cmd.Flags().StringVar(&flags.format, "format", "", "csv or fhir, where the files do not tell")
	cmd.Flags().StringVar(&flags.tempDir, "temp-dir", "", "where what does not fit in memory lies meanwhile, encrypted (default the system's)")
	cmd.RunE = command(func(ctx context.Context, cmd *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // another interrupt ends the process there and then, and does no harm
		config, err := flags.check(ctx, cmd, args)
		if err != nil {
			return err
		}
		none := makeOne
		if flags.dryRun {
			none = pretend
		}
		store, err := flags.find(ctx, cmd, none)
		if err != nil {
			return err
		}
		err = store.load(ctx, cmd, config)
		if err != nil && ctx.Err() != nil {
			return errors.New("interrupted: nothing was imported")
		}
		return err
	})
	return cmd
}

// check returns what the flags and files mean, but for the store.
func (f *importFlags) check(ctx context.Context, cmd *cobra.Command, files []string) (loading.Config, error) {
	c := loading.Config{Workers: f.workers, TempDir: f.tempDir, Dry: f.dryRun, Strict: f.strict}
	format := doses.Format(f.format)
	switch {
	case len(files) == 0:
		return c, usage("which file? Write its path, or - for standard input")
	case !slices.Contains([]doses.Format{doses.Auto, doses.CSV, doses.FHIR}, format):
		return c, usage("--format %q is unknown: write csv or fhir", f.format)
	case f.workers < 0 || f.workers > 1024:
		return c, usage("--workers %d is out of bounds: write a number from 1 to 1024", f.workers)
	}
	for i, name := range files {
		if slices.Contains(files[:i], name) {
			return c, usage("%s is given twice: write it once", name)
		}
		file := loading.File{Name: name, Format: format}
		if name == "-" {
			file.Open = func() (io.ReadCloser, error) { return interruptible(ctx, cmd.InOrStdin()), nil }
		} else {
			info, err := os.Stat(name)
			switch {
			case err != nil:
				return c, fmt.Errorf("%s: %w", name, withoutPath(err))
			case info.IsDir():
				return c, fmt.Errorf("%s is a directory: write its files, e.g. %s/*.csv", name, name)
			case info.Mode().IsRegular():
				file.Size = info.Size()
			}
		}
		c.Files = append(c.Files, file)
	}
	return c, nil
}

// interruptible is r, but a Read that waits ends when the context does.
func interruptible(ctx context.Context, r io.Reader) io.ReadCloser {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { in.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.CopyBuffer(in, r, make([]byte, 256<<10))
		in.CloseWithError(err) // nil is the end
	}()
	return out
}

// load imports.
func (s *sealedStore) load(ctx context.Context, cmd *cobra.Command, c loading.Config) error {
	engine, err := s.module.Engine(s.options)
	if err != nil {
		return err
	}
	rejects := new(rejectFiles)
	meter := newMeter(cmd.ErrOrStderr())
	c.Countries, c.Schedule = s.options.Countries, s.options.Schedule
	if c.Patients, err = patientsOf(ctx, c); err != nil {
		return err
	}
	c.Rejects, c.Progress = rejects.open, meter.show
	summary, err := loading.Run(ctx, engine, c)
	meter.done()
	if err != nil && !errors.Is(err, loading.ErrRejected) {
		return err
	}
	if printErr := printSummary(cmd.OutOrStdout(), summary, rejects.paths, err != nil); printErr != nil {
		return printErr
	}
	return err
}

// patientsOf collects the FHIR Patients of all files first, because a bulk export has
// them in another file than the Immunizations, and one file may have them behind.
// It is nil where there is no FHIR, and where a file cannot be read twice: then a
// Patient must stand before its Immunizations.
func patientsOf(ctx context.Context, c loading.Config) (*doses.Patients, error) {
	again := func(f loading.File) bool { return f.Open == nil && f.Size > 0 }
	fhir := func(f loading.File) bool { return f.Format != doses.CSV }
	if !slices.ContainsFunc(c.Files, fhir) || slices.ContainsFunc(c.Files, func(f loading.File) bool { return !again(f) }) {
		return nil, nil
	}
	patients := doses.NewPatients(0)
	for _, f := range c.Files {
		file, err := os.Open(f.Name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, withoutPath(err))
		}
		err = patients.Collect(ctx, file, doses.Config{Countries: c.Countries, Schedule: c.Schedule, Format: f.Format}, c.Workers)
		_ = file.Close() // it was only read
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return patients, nil
}

// rejectFiles are the files that take the rows that were set aside.
type rejectFiles struct{ paths []string }

// open makes the file for a source's rejected rows, anew: it holds people's rows,
// so nobody else may read it, whoever could read an older one of that name.
func (f *rejectFiles) open(source string, format doses.Format) (io.WriteCloser, error) {
	if source == "-" {
		source = "stdin"
	}
	path := source + ".rejects.csv"
	if format == doses.FHIR {
		path = source + ".rejects.ndjson"
	}
	if err := os.Remove(path); err != nil && !isNotExist(err) {
		return nil, fmt.Errorf("%s: %w: make room for the rows that are set aside", path, withoutPath(err))
	}
	opened, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: make room for the rows that are set aside", path, withoutPath(err))
	}
	f.paths = append(f.paths, path)
	return opened, nil
}

// maxReasons is how many reasons a summary lists.
const maxReasons = 12

// printSummary says what an import did. It names columns and reasons, nobody.
func printSummary(out io.Writer, s loading.Summary, rejects []string, refused bool) error {
	english := message.NewPrinter(language.English)
	var err error
	line := func(format string, args ...any) {
		if err == nil {
			_, err = english.Fprintf(out, format+"\n", args...)
		}
	}
	done, does := "imported", "changes"
	switch {
	case refused:
		done = "read, and not imported:"
	case s.Dry:
		done, does = "read, and not imported:", "would change"
	}
	rate := float64(s.Rows) / max(s.Elapsed.Seconds(), 1e-3)
	line("%s %d rows, %d of them doses, in %s (%.0f rows a second)", done, s.Rows, s.Doses, round(s.Elapsed), rate)
	if s.Rejected > 0 {
		line("set aside: %d rows, in %s", s.Rejected, joined(rejects))
		reasons := slices.SortedFunc(maps.Keys(s.Reasons), func(a, b string) int {
			if n := s.Reasons[b] - s.Reasons[a]; n != 0 {
				return int(max(-1, min(n, 1)))
			}
			if a < b {
				return -1
			}
			return 1
		})
		for _, reason := range reasons[:min(len(reasons), maxReasons)] {
			line("  %d: %s", s.Reasons[reason], reason)
		}
		if more := len(reasons) - maxReasons; more > 0 {
			line("  and %d other reasons", more)
		}
	}
	if !refused {
		line("people: %d new, %d changed, %d gone, %d as they were; %d of %d numbers changed",
			s.Added, s.Changed, s.Removed, s.Unchanged, s.NumbersChanged, s.Numbers)
		line("the registry %s by %+d people, %+d doses", does, s.Change.People, s.Change.Doses)
	}
	return err
}

func joined(paths []string) string {
	switch len(paths) {
	case 0:
		return "no file"
	case 1:
		return paths[0]
	}
	return fmt.Sprintf("%s and %d more *.rejects.csv", paths[0], len(paths)-1)
}

// round makes a duration one that is read.
func round(d time.Duration) time.Duration {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond)
	case d < time.Minute:
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}
