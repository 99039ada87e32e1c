package redis

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// How often the watcher looks whether a server evicts: seldom while none does,
// often while one does or none answers, so that the mended one is used at once.
const (
	lookEvery     = time.Minute
	lookAgainSoon = time.Second
)

// lookSoon wakes the watcher.
func (s *Store) lookSoon() {
	select {
	case s.look <- struct{}{}:
	default:
	}
}

// watch looks at the start, after each new connection, and now and then whether
// a server evicts.
func (s *Store) watch(ctx context.Context) {
	defer close(s.done)
	for {
		looking, cancel := context.WithTimeout(ctx, s.timeout)
		err := s.checkEviction(looking)
		cancel()
		wait := time.NewTimer(lookEvery)
		if err != nil || s.refused.Load() != nil {
			wait.Reset(lookAgainSoon)
			// Not woken by the connections that these looks make.
			select {
			case <-ctx.Done():
				return
			case <-wait.C:
				continue
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		case <-s.look:
			// New connections come in flocks, and looking makes one of its own.
			select {
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			select {
			case <-s.look:
			default:
			}
		}
		wait.Stop()
	}
}

// checkEviction asks the servers whether they evict, and notes what they say. Its
// error is that they could not be asked; not that they do, nor that they may not
// say.
func (s *Store) checkEviction(ctx context.Context) error {
	var mu sync.Mutex
	var found *EvictionError
	var asked bool
	ask := func(ctx context.Context, c redis.Cmdable, address string) error {
		text, err := c.Info(ctx, "memory").Result()
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		asked = true
		if policy := evicts(text); policy != "" {
			found = &EvictionError{address, policy}
		}
		return nil
	}
	var err error
	switch c := s.client.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return ask(ctx, c, c.Options().Addr) })
	case *redis.Client:
		address := c.Options().Addr
		if address == "FailoverClient" {
			address = "the primary server"
		}
		err = ask(ctx, c, address)
	}
	if said, ok := errors.AsType[redis.Error](err); ok && strings.HasPrefix(said.Error(), "NOPERM") || ok && strings.HasPrefix(said.Error(), "ERR unknown command") {
		if !s.mayNot.Swap(true) {
			s.log.Warn("Redis does not say whether it forgets entries when its memory is full, as INFO is not permitted: make sure of `maxmemory-policy noeviction`")
		}
		err = nil
	}
	switch {
	case found != nil:
		if s.refused.Swap(found) == nil {
			s.log.Error("the shared state is not used", "error", found)
		}
	case asked && err == nil:
		if s.refused.Swap(nil) != nil {
			s.log.Info("the shared state is used: its servers do not forget entries any more")
		}
	}
	return err
}

// evicts reads what INFO memory says, and returns the policy by which entries are
// forgotten, "" if none are.
func evicts(info string) string {
	limited, policy := false, ""
	for line := range strings.SplitSeq(info, "\n") {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "maxmemory":
			limited = value != "0"
		case "maxmemory_policy":
			policy = value
		}
	}
	if !limited || policy == "noeviction" {
		return ""
	}
	return policy
}
