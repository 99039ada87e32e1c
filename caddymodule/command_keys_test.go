//go:build unix

package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/certmagic"

	"github.com/kycvs/caddy-kycvs/authflow/keyring"
)

// Root could revoke, but Caddy could not read what root wrote and would go on
// with the revoked key.
func TestKeysOfAnotherUser(t *testing.T) {
	s := &certmagic.FileStorage{Path: t.TempDir()}
	if err := checkOwner(s); err != nil {
		t.Errorf("no keys: %v", err)
	}
	file := s.Filename(keyring.StorageKey)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkOwner(s); err != nil {
		t.Errorf("one's own: %v", err)
	}
	if err := os.Chown(file, os.Geteuid()+1, -1); err != nil {
		t.Skip("only root can give a file away:", err)
	}
	if err := checkOwner(s); err == nil || !strings.Contains(err.Error(), "sudo -u caddy") {
		t.Errorf("another's: %v", err)
	}
}
