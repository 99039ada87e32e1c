package redis

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/authflow/state/redis/redistest"
)

func randomKey() (k state.Key) {
	rand.Read(k[:])
	return k
}

// TestClocks asks for a code at one instance and enters it at another, whose
// clock is half a minute off: both give it the same life.
func TestClocks(t *testing.T) {
	url := []string{redistest.Start(t).URL()}
	const life, tolerance = 3 * time.Minute, 200 * time.Millisecond
	clock := func(off time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(off) } }
	for _, off := range []time.Duration{0, 30 * time.Second, -30 * time.Second} {
		asked := open(t, Config{URLs: url, Prefix: "kycvs", Now: clock(off)})
		for _, other := range []time.Duration{0, 30 * time.Second, -30 * time.Second} {
			entered := open(t, Config{URLs: url, Prefix: "kycvs", Now: clock(other)})
			id := randomKey()
			wantLife := func(what string, life time.Duration) {
				t.Helper()
				h, err := entered.Count(t.Context(), id, state.Key{})
				if err != nil {
					t.Fatal(err)
				}
				if left := h.CodeExpires.Sub(entered.now()); left > life || left < life-tolerance {
					t.Errorf("%v, %v: %s: the code lives for %v more, want %v", off, other, what, left, life)
				}
				if left := h.NextSend.Sub(entered.now()); left > life/2 || left < life/2-tolerance {
					t.Errorf("%v, %v: %s: the next may be sent after %v, want %v", off, other, what, left, life/2)
				}
			}
			err := asked.Create(t.Context(), id, state.Handshake{Sends: 1, CodeExpires: asked.now().Add(life), NextSend: asked.now().Add(life / 2)}, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			wantLife("Create", life)
			if err := asked.Resend(t.Context(), id, 1, [32]byte{}, asked.now().Add(life*2), asked.now().Add(life), time.Minute); err != nil {
				t.Fatal(err)
			}
			wantLife("Resend", life*2)
		}
	}
}

// TestOldTimes keeps times that have passed, and some that are far off.
func TestOldTimes(t *testing.T) {
	s := open(t, Config{URLs: []string{redistest.Start(t).URL()}})
	for _, d := range []time.Duration{-time.Nanosecond, -time.Hour, -100 * 365 * 24 * time.Hour, 100 * 365 * 24 * time.Hour} {
		want := time.Now().Add(d)
		id := randomKey()
		if err := s.Create(t.Context(), id, state.Handshake{CodeExpires: want}, time.Minute); err != nil {
			t.Fatal(err)
		}
		h, err := s.Load(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if off := h.CodeExpires.Sub(want).Abs(); off > time.Second && (d > -50*365*24*time.Hour || h.CodeExpires.After(time.Now())) {
			t.Errorf("%v: %v became %v", d, want, h.CodeExpires)
		}
		if h.CodeExpires.IsZero() {
			t.Errorf("%v became no time", want)
		}
	}
}

// TestCountParallelStores guesses a thousand times at two instances.
func TestCountParallelStores(t *testing.T) {
	url := []string{redistest.Start(t).URL()}
	stores := []*Store{open(t, Config{URLs: url, Prefix: "kycvs"}), open(t, Config{URLs: url, Prefix: "kycvs"})}
	id := randomKey()
	if err := stores[0].Create(t.Context(), id, state.Handshake{}, time.Minute); err != nil {
		t.Fatal(err)
	}
	const guesses = 1000
	var mu sync.Mutex
	seen := map[int]int{}
	var wg sync.WaitGroup
	for i := range guesses {
		wg.Go(func() {
			h, err := stores[i%2].Count(context.Background(), id, state.Key{})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			seen[h.Tries]++
		})
	}
	wg.Wait()
	for i := range guesses {
		if seen[i+1] != 1 {
			t.Fatalf("%d were told that theirs was try %d", seen[i+1], i+1)
		}
	}
}

// TestExpiryExact holds that nothing lives longer than asked for by more than a
// millisecond, and that nothing lives for ever.
func TestExpiryExact(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, Config{URLs: []string{server.URL()}, Prefix: "kycvs"})
	ctx := t.Context()
	for _, ttl := range []time.Duration{1, time.Millisecond, 1500 * time.Microsecond, time.Minute, 31 * 24 * time.Hour} {
		id := randomKey()
		if err := s.Create(ctx, id, state.Handshake{}, ttl); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Take(ctx, state.Budget{Key: id, Limit: 1, Window: ttl}); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{s.keys.ofHandshake(id), s.keys.ofCounter(id)} {
			// -2 if it has expired by now, -1 if it never does
			if left := server.Do("PTTL", key).(int64); left == -1 || time.Duration(left)*time.Millisecond > ttl+time.Millisecond {
				t.Errorf("%v: %s has %d ms left", ttl, key, left)
			}
		}
	}
}

// TestMemory holds the figures of docs/state-redis.md.
func TestMemory(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, Config{URLs: []string{server.URL()}, Prefix: "kycvs"})
	ctx := t.Context()
	const sealed = 300 // a long name, a long return address
	id := randomKey()
	if err := s.Create(ctx, id, state.Handshake{Sealed: make([]byte, sealed)}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Take(ctx, state.Budget{Key: id, Limit: 1, Window: time.Hour}); err != nil {
		t.Fatal(err)
	}
	for key, most := range map[string]int64{s.keys.ofHandshake(id): 640, s.keys.ofCounter(id): 128} {
		n := server.Do("MEMORY", "USAGE", key).(int64)
		t.Logf("%s takes %d bytes", key, n)
		if n > most {
			t.Errorf("%s takes %d bytes, want at most %d", key, n, most)
		}
	}

	// What the server itself says, with all that keeping so many costs.
	server.Do("FLUSHALL")
	const n = 20_000
	used := func() (bytes int64) {
		for line := range strings.Lines(fmt.Sprint(server.Do("INFO", "memory"))) {
			fmt.Sscanf(line, "used_memory:%d", &bytes)
		}
		return bytes
	}
	before := used()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range n / 8 {
				if err := s.Create(ctx, randomKey(), state.Handshake{Sealed: make([]byte, sealed)}, time.Hour); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	handshake := (used() - before) / n
	before = used()
	for range 8 {
		wg.Go(func() {
			for range n / 8 {
				if _, err := s.Take(ctx, state.Budget{Key: randomKey(), Limit: 1, Window: time.Hour}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	counter := (used() - before) / n
	t.Logf("%d bytes a handshake with %d sealed, %d bytes a counter", handshake, sealed, counter)
	if handshake > 768 || counter > 192 {
		t.Errorf("%d bytes a handshake, %d a counter; want at most 768, 192", handshake, counter)
	}
}

// TestOtherVersion has a record of a version to come.
func TestOtherVersion(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, Config{URLs: []string{server.URL()}})
	id := randomKey()
	for _, record := range []string{"", "x", strings.Repeat("\x02", 300)} {
		server.Do("SET", s.keys.ofHandshake(id), record)
		if _, err := s.Load(t.Context(), id); !errors.Is(err, errRecord) {
			t.Errorf("Load: got %v, want %v", err, errRecord)
		}
		if _, err := s.Spend(t.Context(), id, [32]byte{}); !errors.Is(err, errRecord) {
			t.Errorf("Spend: got %v, want %v", err, errRecord)
		}
	}
}

// TestNothingReadable looks at all that is in the server after a handshake.
func TestNothingReadable(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, Config{URLs: []string{server.URL()}, Prefix: "kycvs"})
	handshake(t, s, 1, nil)
	post(t, s, withdrawal(1))
	for _, key := range server.Do("KEYS", "*").([]any) {
		if !strings.HasPrefix(key.(string), "kycvs:{") {
			t.Errorf("the key %q has not the prefix", key)
		}
	}
	if n := len(server.Do("KEYS", "*").([]any)); n != 3 {
		t.Errorf("%d keys are left, want the board's 3", n)
	}
}

func FuzzUnpack(f *testing.F) {
	before, after := pack(state.Handshake{Sends: 1, Tries: 2, Proved: true, Sealed: []byte("sealed")})
	f.Add(bytes.Join([][]byte{before, make([]byte, 16), after}, nil), int64(1e12))
	f.Add([]byte{}, int64(0))
	f.Fuzz(func(t *testing.T, record []byte, server int64) {
		now := time.Unix(1e9, 0)
		h, err := unpack(string(record), server, now)
		if err != nil {
			return
		}
		before, after := pack(h)
		if !bytes.HasPrefix(record, before) || !bytes.HasSuffix(record, after) || len(before)+16+len(after) != len(record) {
			t.Fatalf("%x is packed as %x…%x", record, before, after)
		}
		if zero := binary.BigEndian.Uint64(record[10:]) == 0; zero != h.CodeExpires.IsZero() {
			t.Fatal("the zero time did not stay so, or another became it")
		}
	})
}
