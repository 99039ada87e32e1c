package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/authflow/state/redis/redistest"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// logBuffer is a log to look into.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// steps is each step by its name, to see what each says.
func steps(s *Store) map[string]func(context.Context) error {
	id, now := numbered(1), time.Now()
	return map[string]func(context.Context) error{
		"Create":      func(ctx context.Context) error { return s.Create(ctx, numbered(2), state.Handshake{}, time.Minute) },
		"Load":        func(ctx context.Context) error { _, err := s.Load(ctx, id); return err },
		"Count":       func(ctx context.Context) error { _, err := s.Count(ctx, id, state.Key{}); return err },
		"Uncount":     func(ctx context.Context) error { return s.Uncount(ctx, id) },
		"Resend":      func(ctx context.Context) error { return s.Resend(ctx, id, 1, [32]byte{}, now, now, time.Minute) },
		"Spend":       func(ctx context.Context) error { _, err := s.Spend(ctx, id, [32]byte{}); return err },
		"SpendProved": func(ctx context.Context) error { return s.SpendProved(ctx, id) },
		"Reopen":      func(ctx context.Context) error { return s.Reopen(ctx, id, false, time.Minute) },
		"Delete":      func(ctx context.Context) error { return s.Delete(ctx, id) },
		"Take": func(ctx context.Context) error {
			_, err := s.Take(ctx, state.Budget{Name: "b", Key: id, Limit: 9, Window: time.Minute})
			return err
		},
		"GiveBack": func(ctx context.Context) error { return s.GiveBack(ctx, state.Return{Key: id}) },
		"Ready":    s.Ready,
		"Post":     func(ctx context.Context) error { return s.Post(ctx, []withdrawals.Withdrawal{{}}) },
		"Read":     func(ctx context.Context) error { _, _, _, err := s.Read(ctx, ""); return err },
	}
}

// numbered returns a key for n.
func numbered(n int) (k state.Key) {
	copy(k[:], fmt.Sprint(n))
	return k
}

// wantSilence fails the test unless each step says in time that Redis does not
// answer, in words that hold part.
func wantSilence(t *testing.T, s *Store, within time.Duration, part string) {
	t.Helper()
	for name, step := range steps(s) {
		start := time.Now()
		err := step(t.Context())
		if took := time.Since(start); took > within {
			t.Errorf("%s took %v, want at most %v", name, took, within)
		}
		for _, known := range []error{nil, state.ErrNotFound, state.ErrExists, state.ErrConflict, state.ErrFull} {
			if errors.Is(err, known) {
				t.Errorf("%s: got %v, want another error", name, err)
			}
		}
		if err != nil && !strings.Contains(err.Error(), part) {
			t.Errorf("%s: got %q, want %q in it", name, err, part)
		}
	}
}

// slack is what a busy machine may add to a step's time.
const slack = 300 * time.Millisecond

func TestGone(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, Config{URLs: []string{server.URL()}, Timeout: 200 * time.Millisecond})
	awaitReady(t, s, 5*time.Second)
	server.Kill()
	wantSilence(t, s, 200*time.Millisecond+slack, "state redis: ")
	server.Restart()
	awaitReady(t, s, 5*time.Second)
}

// TestNeverThere opens a store whose server comes later.
func TestNeverThere(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	s := open(t, Config{URLs: []string{server.URL()}, Timeout: 200 * time.Millisecond})
	wantSilence(t, s, 200*time.Millisecond+slack, "127.0.0.1")
	server.Restart()
	awaitReady(t, s, 5*time.Second)
}

func TestHangs(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, Config{URLs: []string{server.URL()}, Timeout: 100 * time.Millisecond})
	awaitReady(t, s, 5*time.Second)
	server.Pause()
	wantSilence(t, s, 100*time.Millisecond+slack, "did not answer in time")
	server.Resume()
	awaitReady(t, s, 5*time.Second)
}

func awaitReady(t *testing.T, s *Store, within time.Duration) {
	t.Helper()
	redistest.Eventually(t, within, func() error { return s.Ready(t.Context()) })
}

func TestRestartedEmpty(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, Config{URLs: []string{server.URL()}})
	id := numbered(1)
	if err := s.Create(t.Context(), id, state.Handshake{}, time.Minute); err != nil {
		t.Fatal(err)
	}
	post(t, s, withdrawal(1), withdrawal(2))
	mark := wantRead(t, s, "", false, 1, 2)
	server.Restart()
	awaitReady(t, s, 5*time.Second)
	if _, err := s.Load(t.Context(), id); err != state.ErrNotFound {
		t.Errorf("Load: got %v, want ErrNotFound", err)
	}
	next := wantRead(t, s, mark, true)
	post(t, s, withdrawal(3))
	wantRead(t, s, next, false, 3)
	wantRead(t, s, mark, true, 3)
}

func TestClosed(t *testing.T) {
	s, err := Open(Config{URLs: []string{"redis://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, step := range steps(s) {
		if err := step(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", name, err)
		}
	}
}

// TestEvicts has a server that forgets, which is mended while it runs.
func TestEvicts(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	var log logBuffer
	s := open(t, Config{URLs: []string{server.URL()}, Logger: log.logger()})
	redistest.Eventually(t, 5*time.Second, func() error {
		if s.refused.Load() == nil {
			return errors.New("nobody looked")
		}
		return nil
	})
	wantSilence(t, s, time.Second, "`maxmemory-policy noeviction`")
	var evicts *EvictionError
	if err := s.Ready(t.Context()); !errors.As(err, &evicts) || evicts.Policy != "allkeys-lru" {
		t.Errorf("Ready: got %v", err)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d errors logged, want 1:\n%s", n, log.String())
	}
	server.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	awaitReady(t, s, 5*time.Second)
	if err := s.Create(t.Context(), numbered(1), state.Handshake{}, time.Minute); err != nil {
		t.Error(err)
	}
}

func TestInfoNotPermitted(t *testing.T) {
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "kycvs", "on", ">sesame", "~kycvs:*", "+@all", "-info")
	var log logBuffer
	s := open(t, Config{URLs: []string{"redis://kycvs:sesame@" + server.Address()}, Prefix: "kycvs", Logger: log.logger()})
	awaitReady(t, s, 5*time.Second)
	for range 3 {
		if err := s.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings, want 1:\n%s", n, log.String())
	}
}

// leastRights is the command in docs/state-redis.md.
func leastRights(more ...any) []any {
	return append([]any{
		"ACL", "SETUSER", "kycvs", "on", ">sesame", "~kycvs:*", "-@all", "+ping", "+info", "+eval", "+evalsha",
		"+time", "+get", "+set", "+setrange", "+del", "+pexpire", "+pttl", "+mget", "+renamenx", "+incrby", "+decrby",
		"+hmget", "+hget", "+hset", "+hsetnx", "+zadd", "+zrem", "+zscore", "+zrangebyscore",
	}, more...)
}

// TestLeastRights holds what docs/state-redis.md says that the user needs.
func TestLeastRights(t *testing.T) {
	server := redistest.Start(t)
	server.Do(leastRights()...)
	s := open(t, Config{URLs: []string{"redis://kycvs:sesame@" + server.Address()}, Prefix: "kycvs"})
	for name, step := range steps(s) {
		if err := step(t.Context()); err != nil && !errors.Is(err, state.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	handshake(t, s, 7, nil)
}

// handshake runs through a whole one.
func handshake(t testing.TB, s *Store, n int, after func()) {
	t.Helper()
	ctx := t.Context()
	id, h := numbered(n), state.Handshake{Sends: 1, Sealed: make([]byte, 200)}
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	check("Create", s.Create(ctx, id, h, time.Minute))
	if after != nil {
		after()
	}
	_, err := s.Take(ctx, state.Budget{Name: "b", Key: id, Limit: 9, Window: time.Minute})
	if after == nil {
		check("Take", err)
	}
	_, err = s.Count(ctx, id, h.Scope)
	check("Count", err)
	check("Uncount", s.Uncount(ctx, id))
	check("Resend", s.Resend(ctx, id, 1, [32]byte{1}, time.Now(), time.Now(), time.Minute))
	right, err := s.Spend(ctx, id, [32]byte{1})
	check("Spend", err)
	if !right {
		t.Fatal("the right code is wrong")
	}
	check("Reopen", s.Reopen(ctx, id, true, time.Minute))
	check("SpendProved", s.SpendProved(ctx, id))
	check("GiveBack", s.GiveBack(ctx, state.Return{Key: id}))
	check("Delete", s.Delete(ctx, id))
}

// TestFull fills the server while a handshake is under way: new ones are
// refused, this one comes to its end, and what is counted goes on counting.
func TestFull(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "10mb", "--maxmemory-policy", "noeviction")
	s := open(t, Config{URLs: []string{server.URL()}})
	ctx := t.Context()
	counter := state.Budget{Name: "b", Key: numbered(3), Limit: 3, Window: time.Minute}
	if _, err := s.Take(ctx, counter); err != nil {
		t.Fatal(err)
	}
	handshake(t, s, 4, func() {
		server.Do("CONFIG", "SET", "maxmemory", "1")
		if err := s.Create(ctx, numbered(5), state.Handshake{}, time.Minute); err != state.ErrFull {
			t.Errorf("Create: got %v, want ErrFull", err)
		}
		other := counter
		other.Key = numbered(6)
		if _, err := s.Take(ctx, counter, other); err != state.ErrFull {
			t.Errorf("Take with a new counter: got %v, want ErrFull", err)
		}
		for range 2 { // the refused Take charged nothing
			if _, err := s.Take(ctx, counter); err != nil {
				t.Errorf("Take: %v", err)
			}
		}
		var limit *state.LimitError
		if _, err := s.Take(ctx, counter); !errors.As(err, &limit) {
			t.Errorf("Take: got %v, want a LimitError", err)
		}
		post(t, s, withdrawal(1))
		wantRead(t, s, "", false, 1)
		if err := s.Ready(ctx); err != nil {
			t.Errorf("Ready: %v", err)
		}
	})
}

func TestWrongPassword(t *testing.T) {
	const right, wrong = "open-sesame", "close-sesame"
	server := redistest.Start(t, "--requirepass", right)
	for _, c := range []struct{ name, url, password, want string }{
		{"in the URL", "redis://:" + wrong + "@" + server.Address(), "", "check username and password"},
		{"in the option", server.URL(), wrong, "check username and password"},
		{"none", "redis://" + server.Address(), "", "give its password"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log logBuffer
			s := open(t, Config{URLs: []string{c.url}, Password: c.password, Logger: log.logger()})
			err := s.Ready(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q in it", err, c.want)
			}
			if said := err.Error() + log.String(); strings.Contains(said, wrong) || strings.Contains(said, right) {
				t.Errorf("says the password: %s", said)
			}
		})
	}
	t.Run("right", func(t *testing.T) {
		s := open(t, Config{URLs: []string{"redis://" + server.Address()}, Password: right})
		if err := s.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	servers := redistest.StartSentinel(t)
	s := open(t, Config{URLs: servers.URLs(), Sentinel: servers.Name, Timeout: 500 * time.Millisecond})
	awaitReady(t, s, 5*time.Second)
	id := numbered(1)
	if err := s.Create(t.Context(), id, state.Handshake{}, time.Minute); err != nil {
		t.Fatal(err)
	}
	post(t, s, withdrawal(1))
	mark := wantRead(t, s, "", false, 1)
	servers.Primary.Do("WAIT", 1, 5000)
	servers.Primary.Kill()
	start := time.Now()
	redistest.Eventually(t, 15*time.Second, func() error { return s.Uncount(t.Context(), id) })
	t.Logf("answers again after %v", time.Since(start).Round(time.Millisecond))
	if _, err := s.Load(t.Context(), id); err != nil {
		t.Error(err)
	}
	post(t, s, withdrawal(2))
	wantRead(t, s, mark, false, 2)
}

// TestSentinelLosesTheLast fails over to a replica that lacks a withdrawal.
func TestSentinelLosesTheLast(t *testing.T) {
	// What a failover does to the board is done here by hand: a second server gets
	// what the first had a while ago.
	first, second := redistest.Start(t), redistest.Start(t)
	url := []string{first.URL()}
	s := open(t, Config{URLs: url, Prefix: "kycvs"})
	post(t, s, withdrawal(1), withdrawal(2))
	mark := wantRead(t, s, "", false, 1, 2)
	copyBoard(t, first, second)
	post(t, s, withdrawal(3))
	later := wantRead(t, s, mark, false, 3)

	over := open(t, Config{URLs: []string{second.URL()}, Prefix: "kycvs"})
	wantRead(t, over, mark, false) // who has not seen the third misses nothing
	post(t, over, withdrawal(4))
	wantRead(t, over, mark, false, 4)
	next := wantRead(t, over, later, true, 1, 2, 4)
	post(t, over, withdrawal(3))
	wantRead(t, over, next, false, 3)
}

func copyBoard(t *testing.T, from, to *redistest.Server) {
	t.Helper()
	for _, key := range newKeys("kycvs").board {
		dump, err := from.Client().Dump(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		if err := to.Client().RestoreReplace(t.Context(), key, 0, dump).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClusterMoves moves a handshake's place to another server of the cluster
// while steps go on.
func TestClusterMoves(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3)
	s := open(t, Config{URLs: c.URLs()[:2]})
	id := numbered(1)
	if err := s.Create(t.Context(), id, state.Handshake{}, time.Minute); err != nil {
		t.Fatal(err)
	}
	key := s.keys.ofHandshake(id)
	slot := c.Servers[0].Do("CLUSTER", "KEYSLOT", key).(int64)
	var from, to *redistest.Server
	for _, server := range c.Servers {
		if n := server.Do("CLUSTER", "COUNTKEYSINSLOT", slot).(int64); n == 1 {
			from = server
		} else {
			to = server
		}
	}
	fromID, toID := from.Do("CLUSTER", "MYID"), to.Do("CLUSTER", "MYID")
	count := func(want int) {
		t.Helper()
		if h, err := s.Count(t.Context(), id, state.Key{}); err != nil || h.Tries != want {
			t.Fatalf("got try %d, %v; want try %d", h.Tries, err, want)
		}
	}
	count(1)
	to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	count(2)
	from.Do("MIGRATE", "127.0.0.1", to.Port, key, 0, 5000)
	count(3) // ASK
	for _, server := range []*redistest.Server{to, from} {
		server.Do("CLUSTER", "SETSLOT", slot, "NODE", toID)
	}
	count(4) // MOVED
	count(5)
}

// TestLostAnswer cuts connections while a cluster's client waits for the answer
// to a Count: whatever it says, no try is counted twice.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3)
	s := open(t, Config{URLs: c.URLs()})
	id := numbered(1)
	if err := s.Create(t.Context(), id, state.Handshake{}, time.Minute); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				asked.Add(1)
				s.Count(context.Background(), id, state.Key{})
			}
		})
	}
	for range 30 {
		for _, server := range c.Servers {
			server.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		}
	}
	cancel()
	wg.Wait()
	var h state.Handshake
	redistest.Eventually(t, 5*time.Second, func() (err error) {
		h, err = s.Load(t.Context(), id)
		return err
	})
	if int64(h.Tries) > asked.Load() {
		t.Errorf("%d tries were counted of %d", h.Tries, asked.Load())
	}
}

// What was sent to a server that hangs comes to nothing when it goes on: whoever
// sent it was told that it failed.
func TestStepsThatComeLate(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, Config{URLs: []string{server.URL()}, Timeout: 300 * time.Millisecond})
	ctx := context.Background()
	h := state.Handshake{Scope: state.Key{1}, Code: [32]byte{2}, Sends: 1}
	if err := s.Create(ctx, state.Key{3}, h, time.Hour); err != nil {
		t.Fatal(err)
	}
	b := state.Budget{Name: "mobile", Key: state.Key{4}, Limit: 1, Window: time.Hour}
	other := b
	other.Key = state.Key{5}
	_, err1 := s.Take(ctx, other)
	_, err2 := s.Count(ctx, state.Key{6}, h.Scope)
	_, err3 := s.Spend(ctx, state.Key{6}, h.Code)
	if err1 != nil || err2 != state.ErrNotFound || err3 != state.ErrNotFound {
		t.Fatal(err1, err2, err3)
	}
	for _, c := range []struct {
		name string
		take func() error
	}{
		{"Take", func() error { _, err := s.Take(ctx, b); return err }},
		{"Count", func() error { _, err := s.Count(ctx, state.Key{3}, h.Scope); return err }},
		{"Spend", func() error { _, err := s.Spend(ctx, state.Key{3}, h.Code); return err }},
	} {
		// over a connection that is open, so that the step lies in wait there, and
		// of a script that the server has
		if _, err := s.Load(ctx, state.Key{3}); err != nil {
			t.Fatal(err)
		}
		server.Pause()
		if err := c.take(); err == nil {
			t.Fatalf("%s was answered by a server that hangs", c.name)
		}
		time.Sleep(300 * time.Millisecond) // longer than the step is of use
		server.Resume()
		redistest.Eventually(t, 5*time.Second, func() error { return s.Ready(ctx) })
		time.Sleep(200 * time.Millisecond) // all that was sent has come
	}
	if _, err := s.Take(ctx, b); err != nil {
		t.Errorf("a charge that whoever made it was told to have failed stands: %v", err)
	}
	if got, err := s.Load(ctx, state.Key{3}); err != nil || got.Tries != 0 || got.Spent {
		t.Errorf("the handshake: %v, %d tries, spent %v", err, got.Tries, got.Spent)
	}
}

func TestServerClock(t *testing.T) {
	c := serverClock{opened: time.Now()}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if c.at(ctx) != 1 {
		t.Error("a clock that was never learned tells the time")
	}
	for _, said := range []string{"", late, late + " ", late + " x", late + " -5", late + " 99999999999999999999"} {
		if c.learn(said) {
			t.Errorf("learned from %q", said)
		}
	}
	if !c.learn(late + " 1795300292181") {
		t.Fatal("not learned")
	}
	if ahead := c.at(ctx) - 1795300292181; ahead < 900 || ahead > 1200 {
		t.Errorf("the end of a second is %d ms ahead", ahead)
	}
}
