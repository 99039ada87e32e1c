package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/certmagic"

	"github.com/kycvs/caddy-kycvs/registry"
)

// fileConfig is a configuration that is read and not run.
type fileConfig struct {
	path   string
	config caddy.Config
	app    *App
	ctx    caddy.Context
	close  context.CancelFunc
}

// loadFileConfig reads a configuration file as Caddy would. Close it.
func loadFileConfig(ctx context.Context, path, adapter string) (*fileConfig, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--config %s: %w: write the path of a configuration file", path, withoutPath(err))
	}
	if adapter == "" && isCaddyfile(path) {
		adapter = "caddyfile"
	}
	if adapter != "" {
		a := caddyconfig.GetAdapter(adapter)
		if a == nil {
			return nil, usage("--adapter %s: this build has no such config adapter: write caddyfile, or leave it out for JSON", adapter)
		}
		if body, _, err = a.Adapt(body, map[string]any{"filename": path}); err != nil {
			return nil, fmt.Errorf("--config %s: %w", path, err)
		}
	}
	c := &fileConfig{path: path, app: new(App)}
	if err := caddy.StrictUnmarshalJSON(body, &c.config); err != nil {
		return nil, fmt.Errorf("--config %s is not JSON as Caddy has it: %w; if it is something else, name its --adapter, e.g. caddyfile", path, err)
	}
	raw, ok := c.config.AppsRaw["kycvs"]
	if !ok {
		return nil, fmt.Errorf("--config %s has no kycvs in it: write the configuration of the gates", path)
	}
	if err := caddy.StrictUnmarshalJSON(raw, c.app); err != nil {
		return nil, fmt.Errorf("--config %s: kycvs: %w", path, err)
	}
	if err := c.app.validate(); err != nil {
		return nil, fmt.Errorf("--config %s: kycvs: %w", path, err)
	}
	c.ctx, c.close = caddy.NewContext(caddy.Context{Context: ctx})
	return c, nil
}

// isCaddyfile says that a file is taken for a Caddyfile by its name, as `caddy
// run` does it.
func isCaddyfile(path string) bool {
	base := strings.ToLower(filepath.Base(path))
	return filepath.Ext(base) != ".json" && (strings.HasPrefix(base, "caddyfile") || strings.HasSuffix(base, ".caddyfile"))
}

// store returns the configuration's registry.
func (c *fileConfig) store() (StoreModule, error) {
	if c.app.RegistryRaw == nil {
		return nil, usage("--config %s names no registry: write --registry file:DIRECTORY or --registry postgres:DSN", c.path)
	}
	var named struct{ Engine string }
	_ = json.Unmarshal(c.app.RegistryRaw, &named) // if that is no object, loadGuest says so
	if err := loadGuest(c.ctx, c.app, registryGuest, "RegistryRaw", c.app.RegistryRaw, &c.app.registry); err != nil {
		return nil, fmt.Errorf("--config %s: %w", c.path, err)
	}
	store, ok := c.app.registry.(StoreModule)
	if !ok {
		return nil, usage("--config %s has `registry %s`, which is not imported into: write --registry file:DIRECTORY or --registry postgres:DSN", c.path, named.Engine)
	}
	return store, nil
}

// schedule returns the vaccines that the configuration knows.
func (c *fileConfig) schedule() (registry.Schedule, error) {
	r := resolver{repl: caddy.NewReplacer()}
	vaccines := r.vaccines(c.app.Vaccines)
	if err := r.err(); err != nil {
		return registry.Schedule{}, fmt.Errorf("--config %s: %w", c.path, err)
	}
	conf := &App{Vaccines: vaccines, resolved: true}
	if err := conf.validateVaccines(); err != nil {
		return registry.Schedule{}, fmt.Errorf("--config %s: %w", c.path, err)
	}
	return scheduleOf(vaccines)
}

// noSecret says what to do where the storage of a configuration has no secret yet.
type noSecret int

const (
	refuse  noSecret = iota // what it would open was made with one
	makeOne                 // as Caddy itself does when it starts
	pretend                 // nothing will be kept
)

// secrets returns the configuration's secrets, newest first, or the one in its
// storage.
func (c *fileConfig) secrets(ctx context.Context, tell io.Writer, none noSecret) ([][]byte, error) {
	if len(c.app.Secret) > 0 {
		r := resolver{repl: caddy.NewReplacer()}
		var all [][]byte
		for _, s := range r.all("secret", c.app.Secret) {
			if r.err() == nil {
				if err := checkSecret(s); err != nil {
					return nil, fmt.Errorf("--config %s: %w", c.path, err)
				}
			}
			all = append(all, []byte(s))
		}
		if err := r.err(); err != nil {
			return nil, fmt.Errorf("--config %s: %w", c.path, err)
		}
		return all, nil
	}
	storage, err := c.storage()
	if err != nil {
		return nil, fmt.Errorf("--config %s: storage: %w", c.path, err)
	}
	value, err := kept(ctx, storage, secretKey)
	if isNotExist(err) {
		switch none {
		case refuse:
			return nil, fmt.Errorf("--config %s has no secret, and there is none in its storage (%s): run this as the user that Caddy runs as", c.path, storageName(storage))
		case makeOne:
			fmt.Fprintf(tell, "There is no secret yet: making one in Caddy's storage (%s), where the gates must find it.\n", storageName(storage))
			value, err = keep(ctx, storage, secretKey, newSecret)
		case pretend:
			value, err = newSecret(), nil
		}
	}
	if err != nil {
		return nil, err
	}
	return [][]byte{value}, nil
}

// storage returns the configuration's storage.
func (c *fileConfig) storage() (certmagic.Storage, error) {
	if c.config.StorageRaw == nil {
		return caddy.DefaultStorage, nil
	}
	loaded, err := c.ctx.LoadModule(&c.config, "StorageRaw")
	if err != nil {
		return nil, err
	}
	converter, ok := loaded.(caddy.StorageConverter)
	if !ok {
		return nil, fmt.Errorf("%T is no storage", loaded)
	}
	return converter.CertMagicStorage()
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
