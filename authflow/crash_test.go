//go:build unix

package authflow_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	test "github.com/kycvs/caddy-kycvs/authflow/authflowtest"
	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/file"
	"github.com/kycvs/caddy-kycvs/authflow/sms"
	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/authflow/state/redis"
	"github.com/kycvs/caddy-kycvs/authflow/state/redis/redistest"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
	"github.com/kycvs/caddy-kycvs/registry"
)

// What the parent tells the child that is to be killed.
const (
	crashAt     = "KYCVS_TEST_CRASH_AT" // the step before or after which it is killed
	crashRedis  = "KYCVS_TEST_CRASH_REDIS"
	crashLedger = "KYCVS_TEST_CRASH_LEDGER"
)

// TestKilledBetweenSteps kills an instance, with SIGKILL, before and after each
// step of a handshake and a withdrawal, and finishes on another instance what
// the first has begun. No step is left out: what an instance does is what its
// store, its ledger, its board, its messenger and its registry are asked.
func TestKilledBetweenSteps(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process for each step")
	}
	server := redistest.Start(t)
	steps := 0
	for at := 1; ; at++ {
		if at > 100 {
			t.Fatal("the child never ends by itself")
		}
		server.Do("FLUSHALL")
		path := filepath.Join(t.TempDir(), "ledger.jsonl")
		said, ended := crashChild(t, at, server.URL(), path)
		if !t.Run(fmt.Sprintf("before call %d, after %s", at, last(said)), func(t *testing.T) { afterCrash(t, server.URL(), path, said) }) {
			return
		}
		if ended {
			break
		}
		steps = at
	}
	t.Logf("killed at %d points", steps)
	if steps < 20 {
		t.Errorf("killed at %d points only: are steps no longer seen?", steps)
	}
}

func last(said []string) string {
	if len(said) == 0 {
		return "nothing"
	}
	word, _, _ := strings.Cut(said[len(said)-1], " ")
	return word
}

// crashChild runs the child and returns what it said before it was killed.
func crashChild(t *testing.T, at int, url, path string) (said []string, ended bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, self, "-test.run=^TestCrashChild$")
	c.Env = append(os.Environ(), crashAt+"="+strconv.Itoa(at), crashRedis+"="+url, crashLedger+"="+path)
	var out, stderr bytes.Buffer
	c.Stdout, c.Stderr = &out, &stderr
	err = c.Run()
	if ctx.Err() != nil {
		t.Fatalf("the child hangs: %s", out.Bytes())
	}
	for s := bufio.NewScanner(&out); s.Scan(); {
		if line, ok := strings.CutPrefix(s.Text(), "> "); ok {
			said = append(said, line)
		}
	}
	if err == nil {
		return said, true
	}
	if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		t.Fatalf("the child failed: %v\n%s%s", err, out.Bytes(), stderr.Bytes())
	}
	return said, false
}

// TestCrashChild is the child: a handshake with a wrong and a right code, and a
// withdrawal. It says what a person or a browser was given.
func TestCrashChild(t *testing.T) {
	at, err := strconv.Atoi(os.Getenv(crashAt))
	if err != nil {
		t.Skip("started by TestKilledBetweenSteps")
	}
	say := func(format string, args ...any) {
		// One write, so that a line is there or not.
		if _, err := os.Stdout.WriteString(fmt.Sprintf("> "+format+"\n", args...)); err != nil {
			t.Fatal(err)
		}
	}
	k := &killer{at: int64(at), say: say}
	w := crashWorld(t, os.Getenv(crashRedis), os.Getenv(crashLedger), k)
	a := w.Audience("mall.example", "mall", "Entry")
	asked, err := w.Ask(t.Context(), a, by, person(test.Asha, "Asha Rao"), "/")
	if err != nil {
		t.Fatal(err)
	}
	say("asked %s", authflow.FormatTxnID(asked.TxnID))
	code := w.Phone.Last().Code
	if _, err = w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: other(code)}); codeOf(err) != authflow.OTPInvalid {
		t.Fatal(err)
	}
	say("wrong")
	g, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: code})
	if err != nil {
		t.Fatal(err)
	}
	say("pass %s", g.Token)
	if err := w.Withdraw(t.Context(), a, g.Pass); err != nil {
		t.Fatal(err)
	}
	say("withdrawn")
}

// crashWorld is an instance over a Redis and a ledger; k, if not nil, sees each
// of its steps.
func crashWorld(t *testing.T, url, path string, k *killer) *test.World {
	t.Helper()
	store, err := redis.Open(redis.Config{URLs: []string{url}, Timeout: 5 * time.Second, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	record, err := file.Open(file.Config{Path: path, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = record.Close() })
	var board withdrawals.Board = store
	if k != nil {
		board = &steppedBoard{store, k}
	}
	x, err := withdrawals.Open(withdrawals.Config{Board: board, Grace: time.Minute, Logger: slog.New(slog.DiscardHandler)}, func(s *withdrawals.Set) error {
		return s.Learn(t.Context(), record, time.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	w := test.New(t, func(c *authflow.Config) {
		c.State, c.Withdrawals, c.Now = store, x, time.Now
		c.Ledger = record
		if k != nil {
			c.State = &steppedStore{c.State, k}
			c.Ledger = &steppedLedger{record, k}
			c.Messenger = &steppedMessenger{c.Messenger, k}
			c.Registry = &steppedRegistry{c.Registry, k}
		}
	})
	w.Withdrawals = x
	return w
}

// afterCrash looks at what the killed instance has left, from another one.
func afterCrash(t *testing.T, url, path string, said []string) {
	w := crashWorld(t, url, path, nil)
	a := w.Audience("mall.example", "mall", "Entry")
	var txn, code, token string
	wrong, withdrawn := 0, false
	for _, line := range said {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "message":
			code = rest
		case "asked":
			txn = rest
		case "wrong":
			wrong++
		case "pass":
			token = rest
		case "withdrawn":
			withdrawn = true
		}
	}
	given, taken := 0, 0
	if err := ledgerOf(w).Replay(t.Context(), func(e ledger.Entry) error {
		switch e.Event {
		case ledger.Given:
			given++
		case ledger.Withdrawn:
			taken++
		}
		return nil
	}); err != nil {
		t.Fatalf("the ledger cannot be read: %v", err)
	}

	if token != "" {
		p, err := a.Sealer.Open(token)
		if err != nil {
			t.Fatal("the pass that was handed out does not open")
		}
		if given != 1 {
			t.Errorf("a pass was handed out, and the ledger has %d consents", given)
		}
		if withdrawn && (!w.Withdrawals.Has(p.Consent) || taken != 1) {
			t.Error("a consent was taken back, and the next instance does not know")
		}
		if w.Withdrawals.Has(p.Consent) != (taken == 1) {
			t.Error("ledger and withdrawals disagree")
		}
	}
	if given > 1 || taken > given {
		t.Errorf("the ledger has %d consents and %d withdrawals", given, taken)
	}

	// The person goes on where they are, at another instance.
	if txn != "" && token == "" {
		id, _ := authflow.ParseTxnID(txn)
		asked, err := w.Look(t.Context(), a, by, id)
		switch {
		case err == nil:
			if asked.AttemptsLeft > 3-wrong {
				t.Errorf("%d wrong codes were told of, and %d tries are left", wrong, asked.AttemptsLeft)
			}
		case codeOf(err) != authflow.TxnUnknown: // the right code was spent: it is not good again
			t.Fatal(err)
		}
		g, err := w.Confirm(t.Context(), a, browser, id, authflow.Proof{Code: code})
		if err == nil && given > 0 {
			t.Error("the code was good twice: the ledger had the consent already")
		}
		if err == nil {
			if _, err := a.Sealer.Open(g.Token); err != nil {
				t.Error("the pass does not open")
			}
			return
		}
		if codeOf(err) != authflow.TxnUnknown {
			t.Fatalf("going on: %v", err)
		}
	}
	// Or begins again, which works at once.
	asked, err := w.Ask(t.Context(), a, by, person(test.Asha, "Asha Rao"), "/")
	if err != nil {
		t.Fatalf("beginning again: %v", err)
	}
	if _, err := w.Confirm(t.Context(), a, browser, asked.TxnID, authflow.Proof{Code: w.Phone.Last().Code}); err != nil {
		t.Fatalf("beginning again: %v", err)
	}
}

func ledgerOf(w *test.World) ledger.Ledger { return w.Config.Ledger }

// killer kills this process when it has counted to at.
type killer struct {
	n   atomic.Int64
	at  int64
	say func(string, ...any)
}

func (k *killer) step() {
	if k.n.Add(1) == k.at {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing more happens here
	}
}

// around calls f with a step before and after it.
func around[T any](k *killer, f func() (T, error)) (T, error) {
	k.step()
	v, err := f()
	k.step()
	return v, err
}

func (k *killer) around(f func() error) error {
	_, err := around(k, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

type steppedStore struct {
	state.Store
	k *killer
}

func (s *steppedStore) Create(ctx context.Context, id state.Key, h state.Handshake, ttl time.Duration) error {
	return s.k.around(func() error { return s.Store.Create(ctx, id, h, ttl) })
}

func (s *steppedStore) Count(ctx context.Context, id, scope state.Key) (state.Handshake, error) {
	return around(s.k, func() (state.Handshake, error) { return s.Store.Count(ctx, id, scope) })
}

func (s *steppedStore) Spend(ctx context.Context, id state.Key, code [32]byte) (bool, error) {
	return around(s.k, func() (bool, error) { return s.Store.Spend(ctx, id, code) })
}

func (s *steppedStore) Delete(ctx context.Context, id state.Key) error {
	return s.k.around(func() error { return s.Store.Delete(ctx, id) })
}

func (s *steppedStore) Take(ctx context.Context, b ...state.Budget) ([]string, error) {
	return around(s.k, func() ([]string, error) { return s.Store.Take(ctx, b...) })
}

func (s *steppedStore) GiveBack(ctx context.Context, r ...state.Return) error {
	return s.k.around(func() error { return s.Store.GiveBack(ctx, r...) })
}

type steppedLedger struct {
	ledger.Ledger
	k *killer
}

func (s *steppedLedger) Append(ctx context.Context, e ledger.Entry) error {
	return s.k.around(func() error { return s.Ledger.Append(ctx, e) })
}

// steppedBoard has steps where something is posted; reading comes at any time.
type steppedBoard struct {
	withdrawals.Board
	k *killer
}

func (s *steppedBoard) Post(ctx context.Context, list []withdrawals.Withdrawal) error {
	return s.k.around(func() error { return s.Board.Post(ctx, list) })
}

type steppedMessenger struct {
	authflow.Messenger
	k *killer
}

func (s *steppedMessenger) Send(ctx context.Context, m sms.Message, failed func()) error {
	return s.k.around(func() error {
		err := s.Messenger.Send(ctx, m, failed)
		s.k.say("message %s", m.Code)
		return err
	})
}

type steppedRegistry struct {
	registry.Registry
	k *killer
}

func (s *steppedRegistry) Lookup(ctx context.Context, m registry.Mobile) ([]registry.Record, error) {
	return around(s.k, func() ([]registry.Record, error) { return s.Registry.Lookup(ctx, m) })
}
