package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/authflow/state/redis/redistest"
	"github.com/kycvs/caddy-kycvs/authflow/state/statetest"
)

// testURL returns the URL of the server for tests.
func testURL(t testing.TB) string {
	t.Helper()
	url := os.Getenv("KYCVS_TEST_REDIS")
	if url == "" {
		redistest.Skip(t, "KYCVS_TEST_REDIS is not set: give the URL of a Redis server for tests, e.g. redis://localhost:6379")
	}
	return url
}

// open returns a Store that is closed, and whose keys are removed, when t ends,
// unless it has a prefix.
func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second // a busy machine's
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	own := cfg.Prefix == ""
	if own {
		cfg.Prefix = newPrefix()
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if own && os.Getenv("KYCVS_TEST_REDIS") != "" && cfg.URLs[0] == os.Getenv("KYCVS_TEST_REDIS") {
			removeKeys(t, s, cfg.Prefix)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newPrefix() string {
	var random [4]byte
	rand.Read(random[:])
	return "test-" + hex.EncodeToString(random[:])
}

// removeKeys leaves the server for tests, which may be anybody's, as it was.
func removeKeys(t testing.TB, s *Store, prefix string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	keys := s.client.Scan(ctx, 0, prefix+":*", 1000).Iterator()
	for keys.Next(ctx) {
		if err := s.client.Del(ctx, keys.Val()).Err(); err != nil {
			t.Error(err)
		}
	}
	if err := keys.Err(); err != nil {
		t.Error(err)
	}
}

func TestStore(t *testing.T) {
	url := testURL(t)
	statetest.Run(t, func(t *testing.T) state.Store { return open(t, Config{URLs: []string{url}}) })
}

func TestStoreOwnServer(t *testing.T) {
	t.Parallel()
	s := open(t, Config{URLs: []string{redistest.Start(t).URL()}})
	statetest.Run(t, func(*testing.T) state.Store { return s })
}

func TestStoreCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3)
	s := open(t, Config{URLs: c.URLs()})
	statetest.Run(t, func(*testing.T) state.Store { return s })
	t.Run("spread", func(t *testing.T) {
		for range 100 {
			var id state.Key
			rand.Read(id[:])
			if err := s.Create(t.Context(), id, state.Handshake{}, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		for _, server := range c.Servers {
			if n := server.Do("DBSIZE").(int64); n < 10 {
				t.Errorf("%d keys at %s: handshakes are not spread", n, server.Address())
			}
		}
	})
	t.Run("least rights", func(t *testing.T) {
		for _, server := range c.Servers {
			server.Do(leastRights("+cluster|slots", "+asking")...)
		}
		s := open(t, Config{URLs: c.URLs(), Prefix: "kycvs", Username: "kycvs", Password: "sesame"})
		handshake(t, s, 7, nil)
		if err := s.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("one URL", func(t *testing.T) {
		s := open(t, Config{URLs: c.URLs()[1:2], Cluster: true})
		if err := s.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		var id state.Key
		rand.Read(id[:])
		if err := s.Create(t.Context(), id, state.Handshake{}, time.Minute); err != nil {
			t.Fatal(err)
		}
	})
}
