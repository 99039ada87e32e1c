package redis

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// A handshake is one string, so that what it takes in Redis is little more than
// what it says, and scripts change it in place. Numbers are big-endian.
//
//	 0  version, 1
//	 1  flags: 1 proved, 2 spent
//	 2  tries, 4 bytes
//	 6  sends, 4 bytes
//	10  code expires, 8 bytes: the server's clock, in milliseconds; 0 for the zero time
//	18  next send, 8 bytes: likewise
//	26  code, 32 bytes
//	58  scope, 16 bytes
//	74  mobile, 16 bytes
//	90  client, 16 bytes
//	106 sealed
const (
	recordVersion = 1
	recordFixed   = 106

	flagProved = 1
	flagSpent  = 2
)

// errRecord says that what is kept under a handshake's key is none that this
// version knows.
var errRecord = errors.New("state redis: a handshake was kept by another version of this program: run the same on all instances, or give each its own prefix")

// luaRecord reads a record in a script. Offsets are one more than above in
// string functions, and the same in SETRANGE.
const luaRecord = `
-- get returns the record, its flags and its tries, or nothing if there is none.
local function get()
	local h = redis.call('GET', KEYS[1])
	if not h then return end
	if string.byte(h, 1) ~= 1 or #h < 106 then error('KYCVSRECORD') end
	return h, string.byte(h, 2), struct.unpack('>I4', h, 3)
end

local function isProved(flags) return flags % 2 == 1 end
local function isSpent(flags) return flags >= 2 end

-- at makes of milliseconds from now, '' for never, a time as a record has it.
local function at(now, wait)
	if wait == '' then return struct.pack('>I8', 0) end
	return struct.pack('>I8', math.max(1, now + tonumber(wait)))
end
`

// relative says how long it is until t, in whole milliseconds, rounded down, for
// the script to add to the server's clock. The instances' clocks may differ by
// half a minute, and a code must live as long wherever it is entered.
func relative(t, now time.Time) any {
	if t.IsZero() {
		return ""
	}
	d := t.Sub(now) // saturates
	ms := int64(d / time.Millisecond)
	if d < 0 && d%time.Millisecond != 0 {
		ms--
	}
	return ms
}

// absolute is the contrary: the time by this instance's clock.
func absolute(kept uint64, server int64, now time.Time) time.Time {
	if kept == 0 {
		return time.Time{}
	}
	ms := int64(min(kept, math.MaxInt64)) - server
	// as far as a Duration goes
	const most = int64(math.MaxInt64 / time.Millisecond)
	ms = max(-most, min(ms, most))
	return now.Add(time.Duration(ms) * time.Millisecond)
}

// pack returns the record but for the times, which only the server can tell:
// what stands before them and what stands after them.
func pack(h state.Handshake) (before, after []byte) {
	before = make([]byte, 0, 10)
	before = append(before, recordVersion, flags(h))
	before = binary.BigEndian.AppendUint32(before, uint32(h.Tries))
	before = binary.BigEndian.AppendUint32(before, uint32(h.Sends))
	after = make([]byte, 0, recordFixed-26+len(h.Sealed))
	after = append(after, h.Code[:]...)
	after = append(after, h.Scope[:]...)
	after = append(after, h.Mobile[:]...)
	after = append(after, h.Client[:]...)
	after = append(after, h.Sealed...)
	return before, after
}

func flags(h state.Handshake) (f byte) {
	if h.Proved {
		f |= flagProved
	}
	if h.Spent {
		f |= flagSpent
	}
	return f
}

// unpack reads a record, given the server's clock, in milliseconds, and this
// instance's. What it returns shares no memory with r.
func unpack(r string, server int64, now time.Time) (h state.Handshake, err error) {
	if len(r) < recordFixed || r[0] != recordVersion || r[1] > flagProved|flagSpent {
		return h, errRecord
	}
	b := []byte(r)
	h.Proved, h.Spent = b[1]&flagProved != 0, b[1]&flagSpent != 0
	h.Tries = int(binary.BigEndian.Uint32(b[2:]))
	h.Sends = int(binary.BigEndian.Uint32(b[6:]))
	h.CodeExpires = absolute(binary.BigEndian.Uint64(b[10:]), server, now)
	h.NextSend = absolute(binary.BigEndian.Uint64(b[18:]), server, now)
	copy(h.Code[:], b[26:])
	copy(h.Scope[:], b[58:])
	copy(h.Mobile[:], b[74:])
	copy(h.Client[:], b[90:])
	h.Sealed = b[recordFixed:]
	return h, nil
}
