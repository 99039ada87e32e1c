package caddymodule

import (
	"errors"
	"fmt"
	"os"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/embedded"
	"github.com/kycvs/caddy-kycvs/registry/loading"
)

func init() {
	caddy.RegisterModule((*FileRegistry)(nil))
}

// FileRegistry is a registry in a directory on this machine's disk, sealed, for as
// many people as a nation has. `caddy kycvs import` makes it and fills it, and a
// running gate answers from the new content once it is whole.
type FileRegistry struct {
	// Directory is where it is, from the directory that Caddy is started in unless it
	// is absolute. It is required; there is no default.
	Directory string `json:"directory,omitempty"`

	directory string // absolute, placeholders resolved
}

// CaddyModule returns the Caddy module information.
func (*FileRegistry) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "kycvs.registry.file", New: func() caddy.Module { return new(FileRegistry) }}
}

// UnmarshalCaddyfile reads
//
//	registry file DIRECTORY
func (f *FileRegistry) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return readGuestLine(d, "registry file", "registry file /var/lib/kycvs/doses", oneArg, func(args []string) { f.Directory = args[0] })
}

// Provision settles where the registry is. That there is none yet is no error: an
// import may come later.
func (f *FileRegistry) Provision(caddy.Context) (err error) {
	if f.Directory == "" {
		return errors.New("directory is missing: write the directory that `caddy kycvs import` fills, e.g. /var/lib/kycvs/doses")
	}
	if f.directory, err = absolute("directory", f.Directory); err != nil {
		return err
	}
	info, err := os.Stat(f.directory)
	switch {
	case isNotExist(err):
		return nil
	case err != nil:
		return fmt.Errorf("the directory %s cannot be read (%w): let the user that Caddy runs as read it", f.directory, withoutPath(err))
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory: write the directory that `caddy kycvs import` fills; a CSV file is `registry csv`", f.directory)
	}
	return nil
}

// PoolKey implements RegistryModule.
func (f *FileRegistry) PoolKey() string { return f.directory }

func (f *FileRegistry) config(o OpenOptions) embedded.Config {
	return embedded.Config{Dir: f.directory, Secrets: o.Secrets, Logger: o.Logger}
}

// Open implements RegistryModule. A directory without a registry is an error, so
// that one that is misspelt shows before anybody is asked for a code.
func (f *FileRegistry) Open(o OpenOptions) (registry.Registry, error) {
	r, err := embedded.Open(f.config(o))
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Engine implements StoreModule.
func (f *FileRegistry) Engine(o OpenOptions) (loading.Engine, error) {
	return embedded.NewWriter(f.config(o)), nil
}

// Interface guards.
var (
	_ caddy.Provisioner     = (*FileRegistry)(nil)
	_ caddyfile.Unmarshaler = (*FileRegistry)(nil)
	_ StoreModule           = (*FileRegistry)(nil)
)
