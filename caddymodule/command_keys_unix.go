//go:build unix

package caddymodule

import (
	"errors"
	"os"
	"syscall"

	"github.com/caddyserver/certmagic"

	"github.com/kycvs/caddy-kycvs/authflow/keyring"
)

// checkOwner refuses to write keys in files as somebody else than who reads
// them: Caddy could not open what root wrote, and would go on with the revoked
// key that it has in memory.
func checkOwner(s certmagic.Storage) error {
	files, ok := s.(*certmagic.FileStorage)
	if !ok {
		return nil
	}
	info, err := os.Stat(files.Filename(keyring.StorageKey))
	if err != nil {
		return nil // whoever reads it says what is wrong
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return errors.New("the keys belong to another user, who could not read them if they were changed by this one; nothing is revoked: run this as the user that Caddy runs as, e.g. with sudo -u caddy")
	}
	return nil
}
