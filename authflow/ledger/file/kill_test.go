package file

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/ledgertest"
)

// childPath and childName make the test binary a process that appends until
// it is killed; with childPrunes it also removes old entries.
const (
	childPath   = "KYCVS_TEST_LEDGER_PATH"
	childName   = "KYCVS_TEST_LEDGER_NAME"
	childPrunes = "KYCVS_TEST_LEDGER_PRUNES"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		fmt.Fprintln(os.Stderr, appendForever(path, os.Getenv(childName)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// childWriters is how many goroutines of the child append.
const childWriters = 8

// appendForever appends entries and prints the consent of each once it is
// acknowledged.
func appendForever(path, name string) error {
	l, err := Open(Config{Path: path, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	failed := make(chan error)
	entry := ledgertest.Sample
	if os.Getenv(childPrunes) != "" {
		entry = lasting
		go func() { failed <- pruneForever(l, path) }()
	}
	for w := range childWriters {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d/%d", name, w, i)
				err := l.Append(context.Background(), entry(id))
				if err == nil {
					// One write, so that a line is there or not.
					_, err = os.Stdout.WriteString(id + "\n")
				}
				if err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// lasting is a Sample that retention carries over, however old it is.
func lasting(consent string) ledger.Entry {
	e := ledgertest.Sample(consent)
	e.Until = time.Time{}
	return e
}

// pruneForever adds entries that have ended, and removes them: every line there is
// goes, and those that last are written again.
func pruneForever(l *Ledger, path string) error {
	e := ledgertest.Sample("ended")
	before, now := e.At.AddDate(0, 0, 2), e.At.AddDate(0, 0, 1)
	for {
		if err := l.Append(context.Background(), e); err != nil {
			return err
		}
		if _, err := prune(context.Background(), path, before, now); err != nil && !errors.Is(err, ErrPruning) {
			return err
		}
	}
}

// child is a process that appends.
type child struct {
	cmd   *exec.Cmd
	acked chan string // closed when the process is gone
}

func startChild(t *testing.T, path, name string, env ...string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), append(env, childPath+"="+path, childName+"="+name)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: cmd, acked: make(chan string)}
	go func() {
		defer close(c.acked)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.acked <- lines.Text()
		}
	}()
	return c
}

// killAfter kills the child once it has had n entries acknowledged and returns
// those, and what it still said.
func (c *child) killAfter(t *testing.T, n int) (acked []string) {
	for id := range c.acked {
		acked = append(acked, id)
		if len(acked) == n {
			if err := c.cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = c.cmd.Wait() // "signal: killed"
	if len(acked) < n {
		t.Errorf("the child ended by itself after %d entries", len(acked))
	}
	return acked
}

// TestKill kills processes that append, with SIGKILL: every entry that was
// acknowledged is there, in its writer's order, and nothing is broken.
func TestKill(t *testing.T) {
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	var all []string
	for round := range rounds {
		c := startChild(t, path, fmt.Sprint(round))
		all = append(all, c.killAfter(t, 1+rand.IntN(300))...)
		checkAcked(t, path, all, (round+1)*childWriters)
	}
	t.Logf("%d entries acknowledged over %d kills", len(all), rounds)
}

// TestKillOneOfTwo kills one of two processes that share the file; the other
// goes on, over whatever the first left behind.
func TestKillOneOfTwo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	var all []string
	for round := range 3 {
		long := startChild(t, path, fmt.Sprint("long", round))
		short := startChild(t, path, fmt.Sprint("short", round))
		var wg sync.WaitGroup
		var a, b []string
		wg.Go(func() { a = long.killAfter(t, 400) })
		wg.Go(func() { b = short.killAfter(t, 1+rand.IntN(100)) })
		wg.Wait()
		all = append(append(all, a...), b...)
		checkAcked(t, path, all, (round+1)*2*childWriters)
	}
}

// TestKillPruning kills one of two processes that share the file, while both
// append and remove old entries: nothing that had to stay is lost or doubled.
func TestKillPruning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	rounds := 4
	if testing.Short() {
		rounds = 1
	}
	var acked []string
	pruned := false
	// on a busy machine, until something was removed before the kill came
	for round := 0; round < rounds || !pruned && round < 50; round++ {
		a := startChild(t, path, fmt.Sprint("a", round), childPrunes+"=1")
		b := startChild(t, path, fmt.Sprint("b", round), childPrunes+"=1")
		var wg sync.WaitGroup
		var ofA, ofB []string
		wg.Go(func() { ofA = a.killAfter(t, 200) })
		wg.Go(func() { ofB = b.killAfter(t, 1+rand.IntN(100)) })
		wg.Wait()
		acked = append(append(acked, ofA...), ofB...)

		r, err := Verify(t.Context(), path, chain.Head{})
		if err != nil || !r.Whole() {
			t.Fatalf("the chain is broken: %v, %v", r.Problems, err)
		}
		pruned = pruned || r.Pruned != nil
		there := map[string]int{}
		l := open(t, path)
		for _, e := range ledgertest.Collect(t, l) {
			if e.Consent != "ended" {
				there[e.Consent]++
			}
		}
		l.Close()
		for _, id := range acked {
			if there[id] != 1 {
				t.Fatalf("%s was acknowledged and is there %d times", id, there[id])
			}
		}
	}
	if !pruned {
		t.Error("nothing was removed")
	}
}

// checkAcked fails the test unless the ledger has all of acked, and at most
// unacked entries besides.
func checkAcked(t *testing.T, path string, acked []string, unacked int) {
	t.Helper()
	if r, err := Verify(t.Context(), path, chain.Head{}); err != nil || !r.Whole() {
		t.Fatalf("the chain is broken: %v, %v", r.Problems, err)
	}
	l := open(t, path)
	defer l.Close()
	next := map[string]int{}
	there := map[string]bool{}
	for _, e := range ledgertest.Collect(t, l) {
		var writer string
		var number int
		writer, number = split(t, e)
		if number != next[writer] {
			t.Fatalf("%s came where number %d was due", e.Consent, next[writer])
		}
		next[writer]++
		there[e.Consent] = true
	}
	for _, id := range acked {
		if !there[id] {
			t.Fatalf("%s was acknowledged and is not there", id)
		}
	}
	if extra := len(there) - len(acked); extra > unacked {
		t.Errorf("%d entries were never acknowledged, want at most %d", extra, unacked)
	}
}

func split(t *testing.T, e ledger.Entry) (writer string, number int) {
	t.Helper()
	dir, file := filepath.Split(e.Consent)
	if _, err := fmt.Sscan(file, &number); err != nil {
		t.Fatalf("consent %q: %v", e.Consent, err)
	}
	return dir, number
}
