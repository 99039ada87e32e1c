package redis

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// A counter is a number under a key that expires with its window, which the first
// charge sets and no later one changes. There is none that is 0: what has no
// charge has no window either.

// take looks at all counters before it writes any. Of each budget it is told
// the number of its key, the number of the key that a share is of, or 0, the
// limit, the window, the share, and whether it is RecordOnly. It answers with the
// number of the budget that is used up, or 0, how long, and which RecordOnly ones
// are.
//
// New counters are made first: if there is no room for the first of them nothing
// was written yet, and once one was written Redis refuses no other.
var take = newScript(`
local have = redis.call('MGET', unpack(KEYS))
local at, add, window = {}, {}, {}
for i = 1, #KEYS do at[i], add[i] = tonumber(have[i] or 0), 0 end
local function charge(i, w)
	at[i], add[i], window[i] = at[i] + 1, add[i] + 1, window[i] or w
end

local answer, longest = {0, 0}, 0
for b = 0, #ARGV / 6 - 1 do
	local key, of = tonumber(ARGV[b * 6 + 1]), tonumber(ARGV[b * 6 + 2])
	local limit, w, share = tonumber(ARGV[b * 6 + 3]), tonumber(ARGV[b * 6 + 4]), tonumber(ARGV[b * 6 + 5])
	local of_or_key, used = key, at[key] >= limit
	if of > 0 then
		of_or_key, used = of, at[of] >= limit and at[key] * 100 >= share * at[of]
	end
	if used and ARGV[b * 6 + 6] == '1' then
		answer[#answer + 1] = b + 1
	elseif used then
		local wait = w
		if have[of_or_key] then wait = math.max(1, redis.call('PTTL', KEYS[of_or_key])) end
		if wait > longest then
			answer[1], answer[2], longest = b + 1, wait, wait
		end
	end
	charge(key, w)
	if of > 0 then charge(of, w) end
end
if answer[1] > 0 then return answer end

local made = false
for i = 1, #KEYS do
	if not have[i] then
		redis.call('SET', KEYS[i], add[i], 'PX', window[i])
		made = true
	end
end
if not made then makeRoom(KEYS[1]) end
for i = 1, #KEYS do
	if have[i] then redis.call('INCRBY', KEYS[i], add[i]) end
end
return answer`)

// Take implements state.Store.
func (s *Store) Take(ctx context.Context, budgets ...state.Budget) (exceeded []string, err error) {
	for _, b := range budgets {
		if b.Window <= 0 {
			return nil, fmt.Errorf("state: limit %s has a window of %v: give a time above 0", b.Name, b.Window)
		}
	}
	if len(budgets) == 0 {
		return nil, nil
	}
	var named naming
	args := make([]any, 0, 6*len(budgets))
	for _, b := range budgets {
		of := 0
		key := named.number(s, b.Key)
		if b.Share > 0 {
			of = named.number(s, b.Of)
		}
		args = append(args, key, of, b.Limit, milliseconds(b.Window), b.Share, b.RecordOnly)
	}
	answer, err := s.run(ctx, take, named.names, args...).Int64Slice()
	if err != nil {
		return nil, err
	}
	if len(answer) < 2 || answer[0] < 0 || answer[0] > int64(len(budgets)) {
		return nil, errAnswer
	}
	if answer[0] > 0 {
		wait := time.Duration(min(answer[1], math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
		return nil, &state.LimitError{Budget: budgets[answer[0]-1].Name, RetryAfter: max(wait, time.Millisecond)}
	}
	for _, n := range answer[2:] {
		if n < 1 || n > int64(len(budgets)) {
			return nil, errAnswer
		}
		exceeded = append(exceeded, budgets[n-1].Name)
	}
	return exceeded, nil
}

// naming numbers counters from 1, each once.
type naming struct {
	keys  []state.Key
	names []string
}

func (n *naming) number(s *Store, key state.Key) int {
	for i, k := range n.keys { // a handful
		if k == key {
			return i + 1
		}
	}
	n.keys = append(n.keys, key)
	n.names = append(n.names, s.keys.ofCounter(key))
	return len(n.keys)
}

var giveBack = newScript(`
for i = 1, #KEYS do
	local have = redis.call('GET', KEYS[i])
	if have then
		if ARGV[i] == 'all' or tonumber(have) <= tonumber(ARGV[i]) then
			redis.call('DEL', KEYS[i])
		else
			makeRoom(KEYS[i])
			redis.call('DECRBY', KEYS[i], ARGV[i])
		end
	end
end
return 1`)

// GiveBack implements state.Store.
func (s *Store) GiveBack(ctx context.Context, returned ...state.Return) error {
	if len(returned) == 0 {
		return nil
	}
	var named naming
	var args []any
	for _, r := range returned {
		i := named.number(s, r.Key) - 1
		if i == len(args) {
			args = append(args, 0)
		}
		if r.All {
			args[i] = "all"
		} else if n, ok := args[i].(int); ok {
			args[i] = n + 1
		}
	}
	return s.run(ctx, giveBack, named.names, args...).Err()
}
