package redis

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// appendEntry is told the entry, how many there may be, and how long the list is
// kept. A full Redis refuses the first write, and then the second is not made.
var appendEntry = newScript(`
if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`)

// Append implements state.Store.
func (s *Store) Append(ctx context.Context, key state.Key, entry []byte, most int, ttl time.Duration) error {
	if err := checkTTL(ttl); err != nil {
		return err
	}
	answer, err := s.run(ctx, appendEntry, []string{s.keys.ofList(key)}, entry, most, milliseconds(ttl)).Int()
	if err == nil && answer == 0 {
		return state.ErrFull
	}
	return err
}

var listEntries = newScript(`return redis.call('LRANGE', KEYS[1], 0, -1)`)

// List implements state.Store.
func (s *Store) List(ctx context.Context, key state.Key) ([][]byte, error) {
	answer, err := s.run(ctx, listEntries, []string{s.keys.ofList(key)}).Slice()
	if err == redis.Nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for _, v := range answer {
		text, ok := v.(string)
		if !ok {
			return nil, errAnswer
		}
		entries = append(entries, []byte(text))
	}
	return entries, nil
}
