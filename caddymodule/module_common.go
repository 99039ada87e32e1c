package caddymodule

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// readGuestLine reads a guest that is one line without a block. d holds the line
// from the guest's name on.
func readGuestLine(d *caddyfile.Dispenser, name, example string, count argCount, take func(args []string)) error {
	d.Next() // the guest's name
	args, err := arguments(d, name, example, count)
	if err != nil {
		return err
	}
	take(args)
	if d.NextBlock(d.Nesting()) {
		return errf(d, "%s takes no block: write e.g. `%s`", name, example)
	}
	return nil
}

// absolute resolves the placeholders of a path and makes it absolute.
func absolute(option, path string) (string, error) {
	r := resolver{repl: caddy.NewReplacer()}
	resolved := r.one(option, path)
	if err := r.err(); err != nil {
		return "", err
	}
	abs, err := filepath.Abs(resolved)
	if err != nil {
		return "", fmt.Errorf("%s %q: %w: write an absolute path", option, path, err)
	}
	return abs, nil
}

// withoutPath is why a file operation failed, without the path, which the
// message around it has.
func withoutPath(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
