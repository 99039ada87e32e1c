package caddymodule

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the scripts run this binary as caddy.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"caddy": caddycmd.Main})
}

// TestScripts runs the command line as it is typed: testdata/script/*.txtar. Beside
// testscript's own commands there are
//
//	exits N PROGRAM ARG…    runs a program that must exit with status N
//	mode OCTAL FILE         a file's permissions
//	awaits FILE REGEXP      waits until a line of a file matches
//	address NAME            sets NAME to an address of this machine that nobody listens at
//	database NAME           sets NAME to the DSN of a PostgreSQL schema of the script's own
//
// and the condition [postgres].
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_DATA_HOME", filepath.Join(env.WorkDir, "data"))
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "postgres" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			have := os.Getenv("KYCVS_TEST_POSTGRES") != ""
			if !have && slices.Contains(strings.Split(os.Getenv("KYCVS_TEST_REQUIRE"), ","), "postgres") {
				return false, errors.New("KYCVS_TEST_POSTGRES is not set: give the DSN, a URL, of a PostgreSQL server for tests")
			}
			return have, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    scriptExits,
			"mode":     scriptMode,
			"awaits":   scriptAwaits,
			"address":  scriptAddress,
			"database": scriptDatabase,
		},
	})
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N PROGRAM ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func scriptMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode OCTAL FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has the mode %s, want %s", args[1], got, args[0])
	}
}

func scriptAwaits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: awaits FILE REGEXP")
	}
	want := regexp.MustCompile(args[1])
	var text []byte
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		var err error
		if text, err = os.ReadFile(ts.MkAbs(args[0])); err == nil && want.Match(text) {
			return
		}
	}
	ts.Fatalf("no match for %s in %s after half a minute:\n%s", args[1], args[0], text)
}

func scriptAddress(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: address NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

func scriptDatabase(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: database NAME")
	}
	dsn, err := url.Parse(os.Getenv("KYCVS_TEST_POSTGRES"))
	ts.Check(err)
	ctx := context.Background()
	c, err := pgx.Connect(ctx, dsn.String())
	ts.Check(err)
	var random [6]byte
	rand.Read(random[:])
	schema := "kycvs_script_" + hex.EncodeToString(random[:])
	_, err = c.Exec(ctx, "CREATE SCHEMA "+schema)
	ts.Check(err)
	ts.Defer(func() {
		_, err := c.Exec(ctx, "DROP SCHEMA "+schema+" CASCADE")
		if err := errors.Join(err, c.Close(ctx)); err != nil {
			ts.Logf("%v", err)
		}
	})
	query := dsn.Query()
	query.Set("search_path", schema)
	dsn.RawQuery = query.Encode()
	ts.Setenv(args[0], dsn.String())
}
