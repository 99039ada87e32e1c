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
// instances. Where a bound is reached nothing is forgotten to make room: whoever
// comes then is told to come again later.
type MemoryState struct {
	// MaxHandshakes is how many handshakes may be under way, and, in KiB, how much
	// memory they take at most, from 100 to 100000000. The default is 200000.
	MaxHandshakes int `json:"max_handshakes,omitempty"`

	// MaxCounters is how many counters of the limits may be kept, about 150 bytes
	// each, from 100 to 100000000. The default is 2000000.
	MaxCounters int `json:"max_counters,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*MemoryState) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "kycvs.state.memory", New: func() caddy.Module { return new(MemoryState) }}
}

// UnmarshalCaddyfile reads
//
//	state memory {
//		max_handshakes N
//		max_counters N
//	}
func (m *MemoryState) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the guest's name
	if _, err := arguments(d, "state memory", "state memory", noArg); err != nil {
		return err
	}
	_, err := readBlock(d, "state memory", []option{
		integer("max_handshakes", "max_handshakes 200000", "state memory max_handshakes", stateCountBounds, &m.MaxHandshakes),
		integer("max_counters", "max_counters 2000000", "state memory max_counters", stateCountBounds, &m.MaxCounters),
	})
	return err
}

// Validate checks the bounds, which in JSON nobody has checked yet.
func (m *MemoryState) Validate() error {
	if m.MaxHandshakes != 0 {
		if err := stateCountBounds.check("max_handshakes", m.MaxHandshakes); err != nil {
			return err
		}
	}
	if m.MaxCounters != 0 {
		return stateCountBounds.check("max_counters", m.MaxCounters)
	}
	return nil
}

// PoolKey implements StateModule: there is one memory, whatever its bounds, so
// that changing them loses nothing.
func (*MemoryState) PoolKey() string { return "" }

// Open implements StateModule.
func (m *MemoryState) Open(OpenOptions) (state.Store, error) {
	return memory.Open(m.config()), nil
}

// Adjust implements adjuster: the bounds of this configuration count from now on.
func (m *MemoryState) Adjust(s state.Store) {
	if s, ok := s.(*memory.Store); ok {
		s.SetBounds(m.config())
	}
}

func (m *MemoryState) config() memory.Config {
	return memory.Config{MaxHandshakes: m.MaxHandshakes, MaxCounters: m.MaxCounters}
}

// Interface guards.
var (
	_ caddy.Validator       = (*MemoryState)(nil)
	_ caddyfile.Unmarshaler = (*MemoryState)(nil)
	_ StateModule           = (*MemoryState)(nil)
	_ adjuster              = (*MemoryState)(nil)
)
