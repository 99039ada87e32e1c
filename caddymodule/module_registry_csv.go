package caddymodule

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/csvfile"
)

func init() {
	caddy.RegisterModule((*CSVRegistry)(nil))
}

// CSVRegistry is a registry that is an operator's own list: a CSV file with one
// dose a row, held in memory and read again when it changes.
type CSVRegistry struct {
	// Path is the file, from the directory that Caddy is started in unless it is
	// absolute. It is required; there is no default.
	Path string `json:"path,omitempty"`

	path string // absolute, placeholders resolved
}

// CaddyModule returns the Caddy module information.
func (*CSVRegistry) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "kycvs.registry.csv", New: func() caddy.Module { return new(CSVRegistry) }}
}

// UnmarshalCaddyfile reads
//
//	registry csv PATH
func (c *CSVRegistry) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return readGuestLine(d, "registry csv", "registry csv people.csv", oneArg, func(args []string) { c.Path = args[0] })
}

// Provision finds the file, so that a wrong path shows before anybody is asked
// for a code. It opens nothing for good.
func (c *CSVRegistry) Provision(caddy.Context) (err error) {
	if c.Path == "" {
		return errors.New("path is missing: write the CSV file's path")
	}
	if c.path, err = absolute("path", c.Path); err != nil {
		return err
	}
	f, err := os.Open(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no file %s: put it there, or write its absolute path", c.path)
	}
	if err != nil {
		return fmt.Errorf("the file %s cannot be read (%w): let the user that Caddy runs as read it", c.path, withoutPath(err))
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file: write the path of a CSV file", c.path)
	}
	return nil
}

// PoolKey implements RegistryModule.
func (c *CSVRegistry) PoolKey() string { return c.path }

// Open implements RegistryModule.
func (c *CSVRegistry) Open(o OpenOptions) (registry.Registry, error) {
	r, err := csvfile.Open(csvfile.Config{Path: c.path, Countries: o.Countries, Schedule: o.Schedule, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Interface guards.
var (
	_ caddy.Provisioner     = (*CSVRegistry)(nil)
	_ caddyfile.Unmarshaler = (*CSVRegistry)(nil)
	_ RegistryModule        = (*CSVRegistry)(nil)
)
