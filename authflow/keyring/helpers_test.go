package keyring

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// memory is a Storage whose troubles a test chooses.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	locked map[string]bool
	stores int
	locks  int

	slow    time.Duration // each Load and Store takes this long
	knock   time.Duration // a Lock that is taken is tried again after this long
	loading error
	storing error
	locking error
	// lose: a Store that fails with storing has written all the same.
	lose bool
}

func newMemory() *memory {
	return &memory{values: map[string][]byte{}, locked: map[string]bool{}, knock: 10 * time.Millisecond}
}

func (m *memory) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func (m *memory) Lock(ctx context.Context, name string) error {
	for {
		m.mu.Lock()
		err, got := m.locking, !m.locked[name]
		if err == nil && got {
			m.locked[name] = true
			m.locks++
		}
		m.mu.Unlock()
		if err != nil || got {
			return err
		}
		if err := pause(ctx, m.knock); err != nil {
			return err
		}
	}
}

func (m *memory) Unlock(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.locked[name] {
		return errors.New("not locked")
	}
	delete(m.locked, name)
	return nil
}

func (m *memory) Load(ctx context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	value, ok := m.values[key]
	err, slow := m.loading, m.slow
	m.mu.Unlock()
	if e := pause(ctx, slow); e != nil {
		return nil, e
	}
	if err == nil && !ok {
		err = fmt.Errorf("open %s: %w", key, fs.ErrNotExist)
	}
	return bytes.Clone(value), err
}

func (m *memory) Store(ctx context.Context, key string, value []byte) error {
	m.mu.Lock()
	slow := m.slow
	m.mu.Unlock()
	if err := pause(ctx, slow); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stores++
	if m.storing == nil || m.lose {
		m.values[key] = bytes.Clone(value)
	}
	return m.storing
}

func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func (m *memory) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.values[storageKey])
}

func (m *memory) plan(t testing.TB) plan {
	t.Helper()
	d, err := parse([]byte(m.text()), nil)
	if err != nil {
		t.Fatal(err)
	}
	return d.Plan
}

func (m *memory) keys(t testing.TB) []entry {
	t.Helper()
	d, err := parse([]byte(m.text()), nil)
	if err != nil {
		t.Fatal(err)
	}
	return d.Keys
}

// journal is a logger's output.
type journal struct {
	mu sync.Mutex
	b  strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// start opens and starts a ring that is closed at the end of the test.
func start(t testing.TB, cfg Config) *Ring {
	t.Helper()
	r := Open(cfg)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func kid(t testing.TB, r *Ring) string {
	t.Helper()
	s, err := r.Signer()
	if err != nil {
		t.Fatal(err)
	}
	return s.KeyID()
}

// public is the set of a ring: its kids in order, and for how long.
func public(t testing.TB, r *Ring) ([]string, time.Duration) {
	t.Helper()
	body, _, maxAge, err := r.PublicSet()
	if err != nil {
		t.Fatal(err)
	}
	if kids, ok := parsed.Load(string(body)); ok {
		return kids.([]string), maxAge
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	var kids []string
	for _, key := range set.Keys {
		if !key.IsPublic() || key.Use != "sig" {
			t.Fatalf("published: %s", body)
		}
		kids = append(kids, key.KeyID)
	}
	parsed.Store(string(body), kids)
	return kids, maxAge
}

// parsed is what public has parsed already: many thousand times the same.
var parsed sync.Map
