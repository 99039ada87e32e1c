package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/authflow/state/memory"
)

func init() {
	caddy.RegisterModule((*MemoryState)(nil))
}

// MemoryState keeps handshakes and counters in this process, bounded. They
// survive a configuration load, not a restart, and are not shared with other
// instances.
type MemoryState struct{}

// CaddyModule returns the Caddy module information.
func (*MemoryState) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "kycvs.state.memory", New: func() caddy.Module { return new(MemoryState) }}
}

// UnmarshalCaddyfile reads
//
//	state memory
func (*MemoryState) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return readGuestLine(d, "state memory", "state memory", noArg, func([]string) {})
}

// PoolKey implements StateModule: there is one memory.
func (*MemoryState) PoolKey() string { return "" }

// Open implements StateModule.
func (*MemoryState) Open(OpenOptions) (state.Store, error) {
	return memory.Open(memory.Config{}), nil
}

// Interface guards.
var (
	_ caddyfile.Unmarshaler = (*MemoryState)(nil)
	_ StateModule           = (*MemoryState)(nil)
)
