package caddymodule

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/file"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/retain"
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

	// Keep is how long entries are kept, at least 365d: what is older, and no longer
	// counts, is removed once a day. The default is for ever.
	Keep caddy.Duration `json:"keep,omitempty"`

	path string // absolute, placeholders resolved
}

const fileLedgerExample = "ledger file /var/lib/kycvs/ledger.jsonl"

// ledgerKeepBounds say how long a ledger may be kept, if not for ever.
var ledgerKeepBounds = durationBounds{retain.Least, 36_500 * day}

// CaddyModule returns the Caddy module information.
func (*FileLedger) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "kycvs.ledger.file", New: func() caddy.Module { return new(FileLedger) }}
}

// UnmarshalCaddyfile reads
//
//	ledger file [PATH] {
//		keep DURATION
//	}
func (l *FileLedger) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the guest's name
	args, err := arguments(d, "ledger file", fileLedgerExample, argCount{0, 1})
	if err != nil {
		return err
	}
	if len(args) == 1 {
		l.Path = args[0]
	}
	return readLedgerBlock(d, "ledger file", &l.Keep)
}

// readLedgerBlock reads what every ledger has in its block.
func readLedgerBlock(d *caddyfile.Dispenser, where string, keep *caddy.Duration) error {
	_, err := readBlock(d, where, []option{
		duration("keep", "keep 400d", where+" keep", ledgerKeepBounds, keep),
	})
	return err
}

func checkLedgerKeep(keep caddy.Duration) error {
	if keep == 0 {
		return nil
	}
	return ledgerKeepBounds.check("keep", keep)
}

// Provision settles where the ledger is. It creates nothing.
func (l *FileLedger) Provision(caddy.Context) (err error) {
	if err := checkLedgerKeep(l.Keep); err != nil {
		return err
	}
	if l.Path == "" {
		l.path = filepath.Join(caddy.AppDataDir(), "kycvs", "ledger.jsonl")
		return nil
	}
	l.path, err = absolute("path", l.Path)
	return err
}

// PoolKey implements LedgerModule.
func (l *FileLedger) PoolKey() string { return fmt.Sprint(l.path, " ", l.Keep) }

// Open implements LedgerModule.
func (l *FileLedger) Open(o OpenOptions) (ledger.Ledger, error) {
	opened, err := file.Open(file.Config{Path: l.path, Keep: time.Duration(l.Keep), Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// Verify implements KeptLedger.
func (l *FileLedger) Verify(ctx context.Context, want chain.Head) (chain.Report, error) {
	return file.Verify(ctx, l.path, want)
}

// Export implements KeptLedger.
func (l *FileLedger) Export(ctx context.Context, f func(chain.Line) error) error {
	return file.Export(ctx, l.path, f)
}

// Prune implements KeptLedger.
func (l *FileLedger) Prune(ctx context.Context, before time.Time) (*chain.Pruned, error) {
	return file.Prune(ctx, l.path, before)
}

// Kept implements KeptLedger.
func (l *FileLedger) Kept() time.Duration { return time.Duration(l.Keep) }

// Interface guards.
var (
	_ caddy.Provisioner     = (*FileLedger)(nil)
	_ caddyfile.Unmarshaler = (*FileLedger)(nil)
	_ LedgerModule          = (*FileLedger)(nil)
	_ KeptLedger            = (*FileLedger)(nil)
)
