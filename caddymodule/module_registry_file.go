package caddymodule

import (
	"errors"
	"fmt"
	"os"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

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

	// Cache is how many bytes of the registry are kept in memory at most, from 1 MiB to
	// 1 TiB, beside what the operating system keeps of the files. A lookup that finds
	// what it needs there takes half the time. The default is 1 GiB; less is taken
	// where the registry is smaller.
	Cache int64 `json:"cache,omitempty"`

	directory string // absolute, placeholders resolved
}

// cacheExample is how the option is written.
const cacheExample = "cache 1GiB"

// readCache reads a size such as 512MiB.
func readCache(size string) (int64, error) {
	n, err := humanize.ParseBytes(size)
	if err != nil || n > 1<<40 {
		return 0, fmt.Errorf("cache %q is no size from 1MiB to 1TiB: write e.g. `%s`", size, cacheExample)
	}
	return int64(n), checkCache(int64(n))
}

func checkCache(bytes int64) error {
	if bytes < 1<<20 || bytes > 1<<40 {
		return fmt.Errorf("cache is %d bytes, which is not from 1MiB to 1TiB: write e.g. `%s`", bytes, cacheExample)
	}
	return nil
}

// CaddyModule returns the Caddy module information.
func (*FileRegistry) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "kycvs.registry.file", New: func() caddy.Module { return new(FileRegistry) }}
}

// UnmarshalCaddyfile reads
//
//	registry file DIRECTORY {
//		cache SIZE
//	}
func (f *FileRegistry) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the guest's name
	args, err := arguments(d, "registry file", "registry file /var/lib/kycvs/doses", oneArg)
	if err != nil {
		return err
	}
	f.Directory = args[0]
	_, err = readBlock(d, "registry file", []option{
		{name: "cache", example: cacheExample, args: oneArg, read: func(_ *caddyfile.Dispenser, args []string) (err error) {
			f.Cache, err = readCache(args[0])
			return err
		}},
	})
	return err
}

// Provision settles where the registry is. That there is none yet is no error: an
// import may come later.
func (f *FileRegistry) Provision(caddy.Context) (err error) {
	if f.Directory == "" {
		return errors.New("directory is missing: write the directory that `caddy kycvs import` fills, e.g. /var/lib/kycvs/doses")
	}
	if f.Cache != 0 {
		if err := checkCache(f.Cache); err != nil {
			return err
		}
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
func (f *FileRegistry) PoolKey() string { return fmt.Sprint(f.directory, " ", f.Cache) }

func (f *FileRegistry) config(o OpenOptions) embedded.Config {
	return embedded.Config{Dir: f.directory, Cache: f.Cache, Secrets: o.Secrets, Logger: o.Logger}
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
