package caddymodule

import (
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/file"
)

func init() {
	caddy.RegisterModule((*FileLedger)(nil))
}

// FileLedger is a ledger on this machine's disk: each entry is durable before
// what rests on it goes out.
type FileLedger struct {
	// Path is the ledger's file, from the directory that Caddy is started in unless it
	// is absolute. It is made when the configuration starts, readable for nobody but
	// the user that Caddy runs as. The default is `kycvs/ledger.jsonl` in Caddy's data
	// directory.
	Path string `json:"path,omitempty"`

	path string // absolute, placeholders resolved
}

// CaddyModule returns the Caddy module information.
func (*FileLedger) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "kycvs.ledger.file", New: func() caddy.Module { return new(FileLedger) }}
}

// UnmarshalCaddyfile reads
//
//	ledger file [PATH]
func (l *FileLedger) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return readGuestLine(d, "ledger file", "ledger file /var/lib/kycvs/ledger.jsonl", argCount{0, 1}, func(args []string) {
		if len(args) == 1 {
			l.Path = args[0]
		}
	})
}

// Provision settles where the ledger is. It creates nothing.
func (l *FileLedger) Provision(caddy.Context) (err error) {
	if l.Path == "" {
		l.path = filepath.Join(caddy.AppDataDir(), "kycvs", "ledger.jsonl")
		return nil
	}
	l.path, err = absolute("path", l.Path)
	return err
}

// PoolKey implements LedgerModule.
func (l *FileLedger) PoolKey() string { return l.path }

// Open implements LedgerModule.
func (l *FileLedger) Open(o OpenOptions) (ledger.Ledger, error) {
	opened, err := file.Open(file.Config{Path: l.path, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// Interface guards.
var (
	_ caddy.Provisioner     = (*FileLedger)(nil)
	_ caddyfile.Unmarshaler = (*FileLedger)(nil)
	_ LedgerModule          = (*FileLedger)(nil)
)
