package redis

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// The board is three keys: a sorted set of consents by their place, a second one
// by their Until in seconds, and a hash of the board's generation, a random word,
// and of the last place given.
//
// A place is the server's clock in microseconds, or one more than the place
// before where that is more. So a server that came back with what it had a while
// ago, or was a replica and lacks the last of it, gives no place again that a
// reader has passed.
const (
	atOnce = 2000 // the most that one Read returns
	// endedFor is how long a withdrawal stays after its Until, in seconds, so that
	// instances whose clocks differ agree that it may be gone.
	endedFor = 600
	// sweepAtOnce is the most that one Post removes, beyond what it adds.
	sweepAtOnce = 100
	// never is the Until of what never ends: beyond the year 9999, and exact in Lua.
	never = 1 << 42
)

// postBoard is told a word, for a board that is new, how many to remove at most, and
// consents and their Untils in turn. Removing comes first, so that what ended
// before it was put up can still be read by whoever awaits that.
var postBoard = newScript(`
local t = redis.call('TIME')
local head, log, till = KEYS[1], KEYS[2], KEYS[3]
redis.call('ZREM', till, '') -- as makeRoom does, for a key that need not be there
local ended = redis.call('ZRANGEBYSCORE', till, '-inf', '(' .. (t[1] - ` + strconv.Itoa(endedFor) + `), 'LIMIT', 0, ARGV[2])
for _, consent in ipairs(ended) do
	redis.call('ZREM', till, consent)
	redis.call('ZREM', log, consent)
end
redis.call('HSETNX', head, 'generation', ARGV[1])
local last = tonumber(redis.call('HGET', head, 'last') or 0)
local place = math.max(last, t[1] * 1000000 + t[2])
for i = 3, #ARGV, 2 do
	if not redis.call('ZSCORE', log, ARGV[i]) then
		place = place + 1
		last = place
		redis.call('ZADD', log, string.format('%.0f', place), ARGV[i])
		redis.call('ZADD', till, ARGV[i + 1], ARGV[i])
	end
end
redis.call('HSET', head, 'last', string.format('%.0f', last))
return 1`)

// Post implements withdrawals.Board.
func (s *Store) Post(ctx context.Context, list []withdrawals.Withdrawal) error {
	if len(list) == 0 {
		return nil
	}
	var word [8]byte
	rand.Read(word[:])
	args := make([]any, 0, 2+2*len(list))
	args = append(args, base64.RawURLEncoding.EncodeToString(word[:]), sweepAtOnce+len(list))
	for _, w := range list {
		until := int64(never)
		if !w.Until.IsZero() {
			until = max(0, min(w.Until.Unix(), never-1))
		}
		args = append(args, base64.RawURLEncoding.EncodeToString(w.Consent[:]), until)
	}
	return s.run(ctx, postBoard, s.keys.board, args...).Err()
}

// readBoard is told a mark in parts, the generation being "" where there is none.
// It answers with whether the mark is unknown, the generation, and a list of
// consents, their places and their Untils.
//
// A mark is known if the last consent read stands where it stood, or has ended
// since and may be gone.
var readBoard = newScript(`
local head, log, till = KEYS[1], KEYS[2], KEYS[3]
local generation, last = ARGV[1], tonumber(ARGV[2])
local have = redis.call('HMGET', head, 'generation', 'last')
local lost = 0
if generation ~= '' then
	local place = redis.call('ZSCORE', log, ARGV[3])
	local known = have[1] == generation
	if place then
		known = known and tonumber(place) == last
	else
		known = known and tonumber(ARGV[4]) < tonumber(redis.call('TIME')[1])
	end
	if not known then lost, last = 1, 0 end
end
local answer = {lost, have[1] or ''}
if not have[1] or last >= tonumber(have[2]) then return answer end
local found = redis.call('ZRANGEBYSCORE', log, '(' .. string.format('%.0f', last), '+inf', 'WITHSCORES', 'LIMIT', 0, ` + strconv.Itoa(atOnce) + `)
for i = 1, #found, 2 do
	answer[#answer + 1] = found[i]
	answer[#answer + 1] = found[i + 1]
	answer[#answer + 1] = redis.call('ZSCORE', till, found[i]) or '0'
end
return answer`)

// Read implements withdrawals.Board.
func (s *Store) Read(ctx context.Context, since withdrawals.Mark) (posted []withdrawals.Withdrawal, next withdrawals.Mark, lost bool, err error) {
	m, ok := readMark(since)
	unreadable := !ok && since != ""
	var consent string
	if m.generation != "" {
		consent = base64.RawURLEncoding.EncodeToString(m.consent[:])
	}
	answer, err := s.run(ctx, readBoard, s.keys.board, m.generation, m.place, consent, m.until).Slice()
	if err != nil {
		return nil, since, false, err
	}
	if len(answer) < 2 || (len(answer)-2)%3 != 0 {
		return nil, since, false, errAnswer
	}
	unknown, isInt := answer[0].(int64)
	generation, isText := answer[1].(string)
	if !isInt || !isText {
		return nil, since, false, errAnswer
	}
	if unknown != 0 {
		m = mark{}
	}
	for i := 2; i < len(answer); i += 3 {
		w, place, until, ok := readPosted(answer[i : i+3])
		if !ok {
			return nil, since, false, errAnswer
		}
		posted = append(posted, w)
		m = mark{generation: generation, place: place, consent: w.Consent, until: until}
	}
	return posted, m.format(), unknown != 0 || unreadable, nil
}

func readPosted(answer []any) (w withdrawals.Withdrawal, place, until int64, ok bool) {
	consent, _ := answer[0].(string)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(consent)
	if err != nil || len(raw) != len(w.Consent) {
		return w, 0, 0, false
	}
	w.Consent = [16]byte(raw)
	if place, ok = readScore(answer[1]); !ok {
		return w, 0, 0, false
	}
	if until, ok = readScore(answer[2]); !ok {
		return w, 0, 0, false
	}
	if until != never {
		w.Until = time.Unix(until, 0).UTC()
	}
	return w, place, until, true
}

// readScore reads a sorted set's number, which some versions write as 1.7e+15.
func readScore(v any) (int64, bool) {
	s, _ := v.(string)
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || f > 1<<53 || f != math.Trunc(f) {
		return 0, false
	}
	return int64(f), true
}

// mark is a withdrawals.Mark: which board was read, up to which place, which
// consent stood there, and when that one ends. The zero mark has read nothing.
type mark struct {
	generation   string
	place, until int64
	consent      [16]byte
}

const (
	markVersion = 1
	markFixed   = 1 + 8 + 8 + 16
	maxWord     = 32
)

func (m mark) format() withdrawals.Mark {
	if m.generation == "" {
		return ""
	}
	b := make([]byte, 0, markFixed+len(m.generation))
	b = append(b, markVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(m.place))
	b = binary.BigEndian.AppendUint64(b, uint64(m.until))
	b = append(b, m.consent[:]...)
	b = append(b, m.generation...)
	return withdrawals.Mark(b)
}

// readMark is the contrary of format; ok is false for the first mark, too.
func readMark(text withdrawals.Mark) (m mark, ok bool) {
	if len(text) <= markFixed || len(text) > markFixed+maxWord || text[0] != markVersion {
		return mark{}, false
	}
	b := []byte(text[1:])
	place, until := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	if place > 1<<53 || until > never {
		return mark{}, false
	}
	m.place, m.until = int64(place), int64(until)
	m.consent = [16]byte(b[16:])
	m.generation = string(b[32:])
	return m, true
}
