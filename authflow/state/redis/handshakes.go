package redis

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// What a script answers, where that is a number.
const (
	answerNotFound = 0
	answerDone     = 1
	answerWrong    = 2 // another code
	answerConflict = 2
)

var create = newScript(luaRecord + `
local n = now()
local h = ARGV[1] .. at(n, ARGV[2]) .. at(n, ARGV[3]) .. ARGV[4]
if redis.call('SET', KEYS[1], h, 'PX', ARGV[5], 'NX') then return 1 end
return 0`)

// Create implements state.Store.
func (s *Store) Create(ctx context.Context, id state.Key, h state.Handshake, ttl time.Duration) error {
	if err := checkTTL(ttl); err != nil {
		return err
	}
	before, after := pack(h)
	now := s.now()
	answer, err := s.run(ctx, create, []string{s.keys.ofHandshake(id)},
		before, relative(h.CodeExpires, now), relative(h.NextSend, now), after, milliseconds(ttl)).Int()
	if err == nil && answer == 0 {
		return state.ErrExists
	}
	return err
}

var load = newScript(luaRecord + `
local h = get()
if not h then return false end
return {h, now()}`)

// Load implements state.Store.
func (s *Store) Load(ctx context.Context, id state.Key) (state.Handshake, error) {
	now := s.now()
	return read(s.run(ctx, load, []string{s.keys.ofHandshake(id)}), now)
}

var count = newScript(luaRecord + `
local h, flags, tries = get()
if not h or isSpent(flags) or string.sub(h, 59, 74) ~= ARGV[1] then return false end
if not isProved(flags) then
	local counted = struct.pack('>I4', tries + 1)
	makeRoom(KEYS[1])
	redis.call('SETRANGE', KEYS[1], 2, counted)
	h = string.sub(h, 1, 2) .. counted .. string.sub(h, 7)
end
return {h, now()}`)

// Count implements state.Store.
func (s *Store) Count(ctx context.Context, id, scope state.Key) (state.Handshake, error) {
	now := s.now()
	return read(s.run(ctx, count, []string{s.keys.ofHandshake(id)}, scope[:]), now)
}

// read takes a record and the server's clock out of an answer. now is this
// instance's clock when it asked: the answer took a while, and so a code expires
// rather too early than too late.
func read(cmd *redis.Cmd, now time.Time) (h state.Handshake, err error) {
	answer, err := cmd.Slice()
	if err == redis.Nil {
		return h, state.ErrNotFound
	}
	if err != nil {
		return h, err
	}
	if len(answer) != 2 {
		return h, errAnswer
	}
	record, ok := answer[0].(string)
	server, isInt := answer[1].(int64)
	if !ok || !isInt {
		return h, errAnswer
	}
	return unpack(record, server, now)
}

var uncount = newScript(luaRecord + `
local h, _, tries = get()
if h and tries > 0 then
	makeRoom(KEYS[1])
	redis.call('SETRANGE', KEYS[1], 2, struct.pack('>I4', tries - 1))
end
return 1`)

// Uncount implements state.Store.
func (s *Store) Uncount(ctx context.Context, id state.Key) error {
	return s.run(ctx, uncount, []string{s.keys.ofHandshake(id)}).Err()
}

var resend = newScript(luaRecord + `
local h, flags = get()
if not h or isSpent(flags) then return 0 end
local sends = struct.unpack('>I4', h, 7)
if sends ~= tonumber(ARGV[1]) then return 2 end
local n = now()
makeRoom(KEYS[1])
redis.call('SETRANGE', KEYS[1], 6, struct.pack('>I4', sends + 1) .. at(n, ARGV[3]) .. at(n, ARGV[4]) .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1`)

// Resend implements state.Store.
func (s *Store) Resend(ctx context.Context, id state.Key, sends int, code [32]byte, codeExpires, nextSend time.Time, ttl time.Duration) error {
	if err := checkTTL(ttl); err != nil {
		return err
	}
	now := s.now()
	answer, err := s.run(ctx, resend, []string{s.keys.ofHandshake(id)},
		sends, code[:], relative(codeExpires, now), relative(nextSend, now), milliseconds(ttl)).Int()
	if err == nil && answer == answerConflict {
		return state.ErrConflict
	}
	return done(answer, err)
}

// spendCode compares what it must not tell anybody without taking constant time,
// which Lua cannot. Both sides are keyed hashes: how many of their bytes are equal
// says nothing about the code, and nobody can choose them one by one.
var spendCode = newScript(luaRecord + `
local h, flags = get()
if not h or isSpent(flags) then return 0 end
if string.sub(h, 27, 58) ~= ARGV[1] then return 2 end
makeRoom(KEYS[1])
redis.call('SETRANGE', KEYS[1], 1, string.char(flags + 2))
return 1`)

// Spend implements state.Store.
func (s *Store) Spend(ctx context.Context, id state.Key, code [32]byte) (bool, error) {
	answer, err := s.run(ctx, spendCode, []string{s.keys.ofHandshake(id)}, code[:]).Int()
	if err == nil && answer == answerWrong {
		return false, nil
	}
	err = done(answer, err)
	return err == nil, err
}

var spendProved = newScript(luaRecord + `
local h, flags = get()
if not h or isSpent(flags) or not isProved(flags) then return 0 end
makeRoom(KEYS[1])
redis.call('SETRANGE', KEYS[1], 1, string.char(flags + 2))
return 1`)

// SpendProved implements state.Store.
func (s *Store) SpendProved(ctx context.Context, id state.Key) error {
	return done(s.run(ctx, spendProved, []string{s.keys.ofHandshake(id)}).Int())
}

var reopen = newScript(luaRecord + `
local h, flags, tries = get()
if not h or not isSpent(flags) then return 0 end
flags = flags - 2
if ARGV[1] == '1' and not isProved(flags) then flags = flags + 1 end
if not isProved(flags) then tries = math.max(tries - 1, 0) end
makeRoom(KEYS[1])
redis.call('SETRANGE', KEYS[1], 1, string.char(flags) .. struct.pack('>I4', tries))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`)

// Reopen implements state.Store. A handshake that was proved before it was
// spent stays proved, as in state/memory.
func (s *Store) Reopen(ctx context.Context, id state.Key, proved bool, ttl time.Duration) error {
	if err := checkTTL(ttl); err != nil {
		return err
	}
	return done(s.run(ctx, reopen, []string{s.keys.ofHandshake(id)}, proved, milliseconds(ttl)).Int())
}

var remove = newScript(`return redis.call('DEL', KEYS[1])`)

// Delete implements state.Store.
func (s *Store) Delete(ctx context.Context, id state.Key) error {
	return s.run(ctx, remove, []string{s.keys.ofHandshake(id)}).Err()
}

// done makes an error of a script's answer.
func done(answer int, err error) error {
	switch {
	case err != nil:
		return err
	case answer == answerNotFound:
		return state.ErrNotFound
	case answer != answerDone:
		return errAnswer
	}
	return nil
}
