package caddymodule

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/loading"
)

func lookupCommand() *cobra.Command {
	var flags storeFlags
	cmd := &cobra.Command{
		Use:   "lookup [--registry file:DIRECTORY|postgres:DSN] [--config FILE [--adapter NAME]]",
		Short: "Looks one person up",
		Long: `Looks one person up: "number,name" on standard input, or "number,name,birth year"
where two of one name have one number. Prints the status and how many doses.
` + storeFlagsHelp,
		Example: `  echo '98765 43210,Asha Rao' | caddy kycvs lookup --registry file:/var/lib/kycvs/doses`,
	}
	flags.add(cmd)
	cmd.RunE = command(func(ctx context.Context, cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage("too many words: the person is read from standard input, so that no shell and no process list keeps them")
		}
		store, err := flags.find(ctx, cmd, refuse)
		if err != nil {
			return err
		}
		p, err := store.readPerson(cmd.InOrStdin())
		if err != nil {
			return err
		}
		fitting, status, err := store.ask(ctx, p)
		if err != nil {
			return explain(err, ", and nothing tells them apart")
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "status %d (%s)\ndoses %d\n", status, statusWords[status], len(fitting[0].Doses))
		return err
	})
	return cmd
}

var statusWords = map[registry.Status]string{
	registry.NotVaccinated: "registered, no dose",
	registry.Partly:        "partly vaccinated",
	registry.Fully:         "fully vaccinated",
}

func eraseCommand() *cobra.Command {
	var flags storeFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "erase [--registry file:DIRECTORY|postgres:DSN] [--config FILE [--adapter NAME]] [--all]",
		Short: "Erases one person",
		Long: `Erases one person from a registry: "number,name" on standard input, or
"number,name,birth year" where two of one name have one number. Asks nothing,
and says what it removed. A running gate knows within a second.

Whoever is erased comes back with the next import of a file that has them.
` + storeFlagsHelp,
		Example: `  echo '98765 43210,Asha Rao' | caddy kycvs erase --registry file:/var/lib/kycvs/doses`,
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "erase every record that fits, where nothing tells them apart")
	cmd.RunE = command(func(ctx context.Context, cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage("too many words: the person is read from standard input, so that no shell and no process list keeps them")
		}
		store, err := flags.find(ctx, cmd, refuse)
		if err != nil {
			return err
		}
		p, err := store.readPerson(cmd.InOrStdin())
		if err != nil {
			return err
		}
		return store.erase(ctx, cmd.OutOrStdout(), p, all)
	})
	return cmd
}

// maxPerson is how much is read of standard input: a number, a name and a year
// are less.
const maxPerson = 4096

// readPerson reads "number,name" or "number,name,birth year". No error holds any
// of it.
func (s *sealedStore) readPerson(r io.Reader) (person, error) {
	p := person{schedule: s.options.Schedule, match: s.nameMatch}
	body, err := io.ReadAll(io.LimitReader(r, maxPerson+1))
	if err != nil {
		return p, fmt.Errorf("reading standard input: %w", err)
	}
	const write = `write one line "number,name" on standard input, or "number,name,birth year"; a name with a comma in double quotes`
	lines := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(body), "\ufeff")))
	lines.FieldsPerRecord = -1
	lines.TrimLeadingSpace = true
	all, err := lines.ReadAll()
	if err != nil || len(all) != 1 || len(body) > maxPerson {
		return p, usage("not one person: %s", write)
	}
	fields := all[0]
	if len(fields) < 2 || len(fields) > 3 {
		return p, usage("%s instead of two or three: %s", plural(len(fields), "value", "values"), write)
	}
	if p.Mobile, err = registry.ParseMobile(fields[0], s.options.Countries); err != nil {
		return p, err
	}
	p.Name = strings.TrimSpace(fields[1])
	if _, err := registry.ParseName(p.Name); err != nil {
		return p, err
	}
	if len(fields) == 3 {
		if p.BirthYear, err = strconv.Atoi(strings.TrimSpace(fields[2])); err != nil || p.BirthYear < 1850 || p.BirthYear > 2100 {
			return p, usage("the third value is no year of birth: %s", write)
		}
	}
	return p, nil
}

// ask looks the person up: the records that could be theirs, and their status.
func (s *sealedStore) ask(ctx context.Context, p person) ([]registry.Record, registry.Status, error) {
	r, done, err := s.open()
	if err != nil {
		return nil, 0, err
	}
	defer done()
	records, err := r.Lookup(ctx, p.Mobile)
	if err != nil {
		return nil, 0, err
	}
	return p.among(records)
}

// erase forgets the person, and says what that was.
func (s *sealedStore) erase(ctx context.Context, out io.Writer, p person, all bool) error {
	fitting, _, err := s.ask(ctx, p)
	if _, ambiguous := errors.AsType[*registry.AmbiguousError](err); err != nil && !(ambiguous && all) {
		return explain(err, ", and nothing tells them apart: --all erases them all")
	}
	engine, err := s.module.Engine(s.options)
	if err != nil {
		return err
	}
	doses, left := 0, 0
	n, err := loading.Erase(ctx, engine, p.Mobile, func(r registry.Record) bool {
		for _, f := range fitting {
			if f.ID == r.ID && f.Name == r.Name && f.BirthYear == r.BirthYear {
				doses += len(r.Doses)
				return true
			}
		}
		left++
		return false
	})
	if err != nil {
		return err
	}
	if n == 0 {
		return errors.New("no such record any more")
	}
	_, err = fmt.Fprintf(out, "erased %s with %s; %s under this number\n", plural(n, "person", "people"), plural(doses, "dose", "doses"),
		map[bool]string{true: "nobody is left", false: plural(left, "other is", "others are") + " left"}[left == 0])
	return err
}
