package redis

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// script is a Lua script with the name that Redis knows it by.
type script struct{ source, sha string }

// late begins the error of a step that came too late, and before the server's
// time; see serverClock.
const late = "KYCVSLATE"

// lua is what begins every script.
const lua = `
-- now is the server's time in milliseconds: the one clock that all instances share.
local function now()
	local t = redis.call('TIME')
	return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- The first argument is the latest time at which the step is of use to whoever takes
-- it. What was sent to a server that hung may come long after that, when they have
-- been told that it failed: then nothing is done.
do
	local latest, t = tonumber(table.remove(ARGV, 1)), now()
	if t > latest then
		return redis.error_reply('` + late + ` ' .. string.format('%.0f', t))
	end
end

-- makeRoom goes before the first write of a script that adds nothing, or what must
-- not be lost. A full Redis refuses writes that may need memory, but never between
-- the writes of one script; and renaming an existing key to what it is called
-- already is a write that needs none. So whoever fills Redis with new handshakes
-- keeps nobody from finishing an old one.
local function makeRoom(key)
	redis.call('RENAMENX', key, key)
end
`

func newScript(body string) *script {
	source := lua + body
	sum := sha1.Sum([]byte(source)) // the name that EVALSHA goes by
	return &script{source, hex.EncodeToString(sum[:])}
}

// once is a command that go-redis must not send a second time. The client of a
// single server does not, having no retries; a cluster's would, and be told so by
// this alone. Redirections, after which the first server has done nothing, it
// follows all the same.
type once struct{ *redis.Cmd }

// NoRetry implements redis.Cmder.
func (once) NoRetry() bool { return true }

// run takes a step: it runs a script within the time there is.
func (s *Store) run(ctx context.Context, sc *script, keys []string, args ...any) *redis.Cmd {
	all := make([]any, 0, 4+len(keys)+len(args))
	all = append(all, "evalsha", sc.sha, len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	latest := len(all)
	all = append(all, int64(0))
	all = append(all, args...)
	cmd := redis.NewCmd(ctx, all...)
	switch refused := s.refused.Load(); {
	case s.closed.Load():
		cmd.SetErr(ErrClosed)
		return cmd
	case refused != nil:
		cmd.SetErr(refused)
		return cmd
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var err error
	for tries := 0; tries < 3; tries++ {
		all[latest] = s.clock.at(ctx)
		cmd = redis.NewCmd(ctx, slices.Clone(all)...)
		err = s.client.Process(ctx, once{cmd})
		switch {
		case redis.HasErrorPrefix(err, "NOSCRIPT"): // nothing was run
			all[0], all[1] = "eval", sc.source
			continue
		case redis.HasErrorPrefix(err, late) && s.clock.learn(err.Error()): // nothing was run
			continue
		}
		break
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		s.lookAround(ctx, err)
		cmd.SetErr(s.failed(err))
	}
	return cmd
}

// lookAround has a cluster's client find out where the servers are now, which it
// would do by itself only where it may retry.
func (s *Store) lookAround(ctx context.Context, err error) {
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		if _, said := errors.AsType[redis.Error](err); !said || redis.IsClusterDownError(err) || redis.IsTryAgainError(err) {
			cluster.ReloadState(context.WithoutCancel(ctx))
		}
	}
}

// milliseconds rounds up, so that nothing that is above 0 becomes 0.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

func checkTTL(ttl time.Duration) error {
	if ttl <= 0 {
		return fmt.Errorf("state: a handshake cannot be kept for %v: give a time above 0", ttl)
	}
	return nil
}

// errAnswer says that a script answered otherwise than it is written.
var errAnswer = errors.New("state redis: the answer is not one of our script's: is this Redis, with nothing in between?")
