package memory

import (
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// record is a Handshake as it is kept: 128 bytes and the sealed part, in two
// allocations, with one pointer for the garbage collector to follow.
type record struct {
	scope, mobile, client state.Key
	code                  [32]byte
	codeExpires, nextSend int64 // Unix nanoseconds, 0 for the zero time
	sends, tries          int32
	proved, spent         bool
	sealed                string
}

const (
	// weightUnit is how much memory one unit of Config.MaxHandshakes stands for.
	weightUnit = 1024
	// weightFixed is what a handshake takes besides its sealed part, rounded up:
	// the record, its key, and its place in a map that may be half empty.
	weightFixed = 320
)

func newRecord(h state.Handshake) *record {
	return &record{
		scope:       h.Scope,
		mobile:      h.Mobile,
		client:      h.Client,
		code:        h.Code,
		codeExpires: toNano(h.CodeExpires),
		nextSend:    toNano(h.NextSend),
		sends:       int32(h.Sends),
		tries:       int32(h.Tries),
		proved:      h.Proved,
		spent:       h.Spent,
		sealed:      string(h.Sealed),
	}
}

// handshake returns a copy that the caller may change.
func (r *record) handshake() state.Handshake {
	return state.Handshake{
		Scope:       r.scope,
		Mobile:      r.mobile,
		Client:      r.client,
		Code:        r.code,
		CodeExpires: fromNano(r.codeExpires),
		NextSend:    fromNano(r.nextSend),
		Sends:       int(r.sends),
		Tries:       int(r.tries),
		Proved:      r.proved,
		Spent:       r.spent,
		Sealed:      []byte(r.sealed),
	}
}

// weight returns how many units of Config.MaxHandshakes the record takes.
func (r *record) weight() int64 {
	return int64(weightFixed+len(r.sealed)+weightUnit-1) / weightUnit
}

func toNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
