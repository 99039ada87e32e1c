package embedded

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/registry/loading"
)

// The test binary imports a file and ends if it is told so by the environment.
const importEnv = "KYCVS_TEST_IMPORT_INTO"

func TestMain(m *testing.M) {
	if dir := os.Getenv(importEnv); dir != "" {
		_, err := loading.Run(context.Background(), NewWriter(Config{Dir: dir, Secrets: secret}),
			loading.Config{Files: []loading.File{{Name: os.Args[1]}}, Now: now, TempDir: os.Getenv("KYCVS_TEST_TMP")})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestKilled kills imports at random moments: there is the old state or the new, for
// who reads all the time and for who opens the store then, and running again
// finishes. KYCVS_TEST_LONG=1 does so a hundred times.
func TestKilled(t *testing.T) {
	rounds := 10
	if os.Getenv("KYCVS_TEST_LONG") != "" {
		rounds = 100
	}
	const n = 2000
	files := t.TempDir()
	for status, text := range map[int]string{
		1: header + people(n, 2, "entered-in-error")[len(people(n, 1, "entered-in-error")):],
		2: people(n, 2, ""),
	} {
		if err := os.WriteFile(filepath.Join(files, fmt.Sprint(status)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, tmp := Config{Dir: t.TempDir(), Secrets: secret, PollEvery: time.Millisecond}, t.TempDir()
	load(t, c, people(n, 1, ""))
	serving := open(t, c)

	start := func(status int) *exec.Cmd {
		cmd := exec.Command(os.Args[0], filepath.Join(files, fmt.Sprint(status)))
		cmd.Env = append(os.Environ(), importEnv+"="+c.Dir, "KYCVS_TEST_TMP="+tmp)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	finish := func(status int) time.Duration {
		began := time.Now()
		if err := start(status).Wait(); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	whole := func(r *Registry) int {
		first := status(t, r, 0)
		for i := range n {
			if got := status(t, r, i); got != first {
				t.Fatalf("half a state: person 0 has %d, person %d has %d", first, i, got)
			}
		}
		return first
	}

	took := max(finish(2), finish(1))
	was, stopped, done := 1, 0, 0
	for round := range rounds {
		next := 3 - was
		cmd := start(next)
		time.Sleep(rand.N(took))
		killed := cmd.Process.Kill() == nil
		cmd.Wait()
		if !killed {
			t.Error("not killed")
		}
		r, err := Open(c)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		is := whole(r)
		r.Close()
		if is == was {
			stopped++
		} else {
			done++
		}
		finish(next)
		if err := serving.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if is = whole(serving); is != next {
			t.Fatalf("round %d: run again it is %d, want %d", round, is, next)
		}
		if found := generations(t, c.Dir); len(found) != 1 {
			t.Errorf("left: %v", found)
		}
		was = next
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
	t.Logf("%d stopped, %d done", stopped, done)
}
