package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/kycvs/caddy-kycvs/registry"
)

// storeFlags are the flags that say which registry a command is about, and where
// its secret is.
type storeFlags struct {
	registry  string
	config    string
	adapter   string
	countries []int
}

func (f *storeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.registry, "registry", "", "which registry: file:DIRECTORY or postgres:DSN; without it, the one of --config")
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "the configuration that Caddy runs with, for the secret, the registry, the countries and the vaccines")
	cmd.Flags().StringVarP(&f.adapter, "adapter", "a", "", "the config adapter of --config, where its name does not tell")
	cmd.Flags().IntSliceVar(&f.countries, "countries", nil, "country calling codes allowed, the first that of numbers without one (default that of --config, else 91)")
}

const storeFlagsHelp = `
The registry is --registry, file:DIRECTORY or postgres:DSN, else the one that
--config names. Placeholders such as {env.KYCVS_DSN} may be in it: a password on
a command line can be read by anybody on that machine.

The secret is that of the gates: with --config what stands there behind
'secret', else the one in the storage of that configuration; without --config
what KYCVS_SECRET holds, else the one in Caddy's default storage.
`

// sealedStore is a registry that a command is about, and what it takes to open it.
type sealedStore struct {
	module    StoreModule
	options   OpenOptions
	nameMatch registry.NameMatch
}

// find finds the store.
func (f *storeFlags) find(ctx context.Context, cmd *cobra.Command, none noSecret) (*sealedStore, error) {
	if f.adapter != "" && f.config == "" {
		return nil, usage("--adapter without --config: write the configuration that it is to read")
	}
	if f.registry == "" && f.config == "" {
		return nil, usage("which registry? Write --registry file:DIRECTORY or --registry postgres:DSN, or --config FILE of one that has it")
	}
	if err := checkCountries(f.countries); err != nil {
		return nil, usage("%w", err)
	}
	s := &sealedStore{options: OpenOptions{
		Logger:    slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Countries: f.countries,
		DataDir:   caddy.AppDataDir(),
	}}
	var conf *fileConfig
	if f.config != "" {
		var err error
		if conf, err = loadFileConfig(ctx, f.config, f.adapter); err != nil {
			return nil, err
		}
		defer conf.close()
		s.nameMatch = registry.NameMatch{Partial: conf.app.NameMatch.Partial}
		if s.options.Schedule, err = conf.schedule(); err != nil {
			return nil, err
		}
		if len(s.options.Countries) == 0 {
			s.options.Countries = conf.app.Limits.readCountries()
		}
	}
	if len(s.options.Countries) == 0 {
		s.options.Countries = []int{91}
	}
	var err error
	if f.registry != "" {
		s.module, err = storeOfFlag(f.registry)
	} else {
		s.module, err = conf.store()
	}
	if err != nil {
		return nil, err
	}
	if conf != nil {
		s.options.Secrets, err = conf.secrets(ctx, cmd.ErrOrStderr(), none)
	} else {
		s.options.Secrets, err = secretsWithoutConfig(ctx)
	}
	return s, err
}

// storeOfFlag reads --registry. No error holds it: there may be a password in it.
func storeOfFlag(value string) (StoreModule, error) {
	engine, rest, _ := strings.Cut(value, ":")
	var m interface {
		StoreModule
		caddy.Provisioner
	}
	switch {
	case rest == "" && (engine == "file" || engine == "postgres"):
		return nil, usage("--registry %s: has nothing behind it: write file:DIRECTORY or postgres:DSN", engine)
	case engine == "file":
		m = &FileRegistry{Directory: rest}
	case engine == "postgres" || engine == "postgresql":
		if strings.HasPrefix(rest, "//") { // a URL as it is
			rest = value
		}
		m = &PostgresRegistry{DSN: rest}
	case engine == "csv":
		return nil, usage("--registry csv: such a registry is what its file says: change the file")
	default:
		return nil, usage("--registry names no engine that can be imported into: write file:DIRECTORY or postgres:DSN")
	}
	if err := m.Provision(caddy.Context{}); err != nil {
		return nil, usage("--registry: %w", err)
	}
	return m, nil
}

// secretsWithoutConfig returns the secret in KYCVS_SECRET, else the one in Caddy's
// default storage. It makes none: the gates would not have it.
func secretsWithoutConfig(ctx context.Context) ([][]byte, error) {
	if s := os.Getenv("KYCVS_SECRET"); s != "" {
		if err := checkSecret(s); err != nil {
			return nil, usage("KYCVS_SECRET: %w", err)
		}
		return [][]byte{[]byte(s)}, nil
	}
	value, err := kept(ctx, caddy.DefaultStorage, secretKey)
	if isNotExist(err) {
		return nil, usage("no secret: write --config with the configuration that Caddy runs with, or put its secret into KYCVS_SECRET")
	}
	if err != nil {
		return nil, err
	}
	return [][]byte{value}, nil
}

// open opens the store for reading. Whoever opened it closes it.
func (s *sealedStore) open() (registry.Registry, func(), error) {
	r, err := s.module.Open(s.options)
	if err != nil {
		return nil, nil, err
	}
	return r, func() { _ = pooledValue{r}.Destruct() }, nil
}

// person is who a command is about.
type person struct {
	registry.Query
	schedule registry.Schedule
	match    registry.NameMatch
}

// fits says that the record could be the person's.
func (p person) fits(r registry.Record) bool {
	_, err := registry.Decide([]registry.Record{r}, p.Query, p.match, p.schedule)
	return err == nil
}

// among returns the records that could be the person's, and their status if there
// is one such record.
func (p person) among(records []registry.Record) ([]registry.Record, registry.Status, error) {
	fitting := slices.DeleteFunc(slices.Clone(records), func(r registry.Record) bool { return !p.fits(r) })
	answer, err := registry.Decide(records, p.Query, p.match, p.schedule)
	return fitting, answer.Status, err
}

// explain says what to do about an answer that is none.
func explain(err error, more string) error {
	if ambiguous, ok := errors.AsType[*registry.AmbiguousError](err); ok {
		if ambiguous.BirthYear {
			return errors.New("more than one record fits: write the year of birth behind the name, number,name,1983")
		}
		return errors.New("more than one record fits" + more)
	}
	if errors.Is(err, registry.ErrNoRecord) {
		return errors.New("no such record")
	}
	return err
}

// plural writes a number and its noun.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
