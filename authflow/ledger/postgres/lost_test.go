package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/ledgertest"
)

// proxy hands connections on to the server, and cuts each off after as many bytes,
// in one direction, as cut says: what was sent by then arrives, so that a
// transaction may be committed and nobody hears of it. cut is asked for each
// connection; 0 means never.
func proxy(t *testing.T, dsn string, cut func() (toServer, toClient int64)) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	copyOrCut := func(to, from net.Conn, limit int64) {
		if limit > 0 {
			_, _ = io.CopyN(to, from, limit)
		} else {
			_, _ = io.Copy(to, from)
		}
		to.Close()
		from.Close()
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", server)
			if err != nil {
				c.Close()
				continue
			}
			toServer, toClient := cut()
			go copyOrCut(s, c, toServer)
			go copyOrCut(c, s, toClient)
		}
	}()
	u.Host = l.Addr().String()
	return u.String()
}

// TestLostConnections cuts connections at every point of a transaction: what was
// acknowledged is there, once, and nothing is there twice.
func TestLostConnections(t *testing.T) {
	dsn := database(t)
	mustOpen(t, config(dsn)) // makes the tables
	var cuts atomic.Int32
	through := proxy(t, dsn, func() (toServer, toClient int64) {
		cuts.Add(1)
		// A connection begins with about 400 bytes to the server and 500 back.
		if mrand.IntN(2) == 0 {
			return 0, 500 + mrand.Int64N(2500)
		}
		return 400 + mrand.Int64N(12_000), 0
	})
	l := mustOpen(t, Config{DSN: through, Timeout: 20 * time.Second, Logger: slog.New(slog.DiscardHandler)})
	const callers, each = 4, 40
	var wg sync.WaitGroup
	for w := range callers {
		wg.Go(func() {
			for i := range each {
				if err := l.Append(t.Context(), ledgertest.Sample(fmt.Sprintf("%d/%d", w, i))); err != nil {
					t.Errorf("Append: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	there := map[string]int{}
	for _, e := range ledgertest.Collect(t, mustOpen(t, config(dsn))) {
		there[e.Consent]++
	}
	for w := range callers {
		for i := range each {
			if id := fmt.Sprintf("%d/%d", w, i); there[id] != 1 {
				t.Errorf("%s is there %d times", id, there[id])
			}
		}
	}
	if r, err := Verify(t.Context(), config(dsn), chain.Head{}); err != nil || !r.Whole() || r.Lines != callers*each {
		t.Errorf("%d lines, %v, %v", r.Lines, r.Problems, err)
	}
	if cuts.Load() < 5 {
		t.Errorf("only %d connections were cut", cuts.Load())
	}
	t.Logf("%d connections", cuts.Load())
}

// TestDown starts before the database does.
func TestDown(t *testing.T) {
	dsn := database(t)
	var up atomic.Bool
	through := proxy(t, dsn, func() (int64, int64) {
		if up.Load() {
			return 0, 0
		}
		return 1, 0
	})
	l := mustOpen(t, Config{DSN: through, Timeout: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err := l.Append(t.Context(), ledgertest.Sample("a")); err == nil {
		t.Error("Append: no error")
	}
	if err := l.Ready(t.Context()); err == nil {
		t.Error("Ready: no error")
	}
	if err := l.Replay(t.Context(), nothing); err == nil {
		t.Error("Replay: no error")
	}
	up.Store(true)
	if err := l.Ready(t.Context()); err != nil {
		t.Errorf("Ready: %v", err)
	}
	if err := l.Append(t.Context(), ledgertest.Sample("b")); err != nil {
		t.Errorf("Append: %v", err)
	}
}

func nothing(ledger.Entry) error { return nil }

// TestHanging has a server that takes the batch and says nothing: the caller is
// told within the time, and nothing is there twice.
func TestHanging(t *testing.T) {
	dsn := database(t)
	l := mustOpen(t, Config{DSN: dsn, Timeout: 200 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	c := connect(t, dsn)
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), sqlHead); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), ledgertest.Sample("a")); err == nil || !strings.Contains(err.Error(), "in time") {
		t.Errorf("Append while another holds the head: got %v, want that it did not answer in time", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), ledgertest.Sample("b")); err != nil {
		t.Error(err)
	}
	if got := ledgertest.Collect(t, l); len(got) != 1 || got[0].Consent != "b" {
		t.Errorf("got %d entries", len(got))
	}
}

// TestGrants has a role that can append and read, and change nothing: what the
// package comment says it needs is enough.
func TestGrants(t *testing.T) {
	dsn := database(t)
	owner := mustOpen(t, config(dsn))
	var random [6]byte
	rand.Read(random[:])
	role := "kycvs_test_" + hex.EncodeToString(random[:])
	c := connect(t, dsn)
	do := func(sql string) {
		t.Helper()
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN PASSWORD 'test'"); err != nil {
		t.Skip("the user of KYCVS_TEST_POSTGRES may not make roles")
	}
	t.Cleanup(func() { execute(t, dsn, "DROP OWNED BY "+role); execute(t, dsn, "DROP ROLE "+role) })
	do("GRANT USAGE ON SCHEMA " + schemaOf(t, dsn) + " TO " + role)
	do("GRANT SELECT, INSERT ON kycvs_ledger TO " + role)
	do("GRANT SELECT, UPDATE ON kycvs_ledger_head TO " + role)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "test")
	l := mustOpen(t, config(u.String()))
	for _, e := range []ledger.Ledger{l, owner, l} {
		if err := e.Append(t.Context(), ledgertest.Sample("a")); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if got := ledgertest.Collect(t, l); len(got) != 3 {
		t.Errorf("%d entries, want 3", len(got))
	}
	if r, err := Verify(t.Context(), config(u.String()), chain.Head{}); err != nil || !r.Whole() {
		t.Error(r.Problems, err)
	}
	_, err = l.Prune(t.Context(), ledgertest.Sample("").At.AddDate(0, 0, 1))
	if err == nil || !strings.Contains(err.Error(), "DELETE on kycvs_ledger") {
		t.Errorf("Prune: got %v, want an error that says what is needed", err)
	}
	for _, sql := range []string{`UPDATE kycvs_ledger SET line = ''`, `DELETE FROM kycvs_ledger`, `TRUNCATE kycvs_ledger`, `DELETE FROM kycvs_ledger_head`} {
		if _, err := l.pool.Exec(t.Context(), sql); err == nil {
			t.Errorf("%s: no error", sql)
		}
	}
	if done, err := owner.Prune(t.Context(), ledgertest.Sample("").At.AddDate(0, 0, 1)); err != nil || done == nil || done.Removed != 3 {
		t.Errorf("Prune by the owner: %+v, %v", done, err)
	}
}

func schemaOf(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("search_path")
}

// TestTables has tables that are not as this version makes them.
func TestTables(t *testing.T) {
	dsn := database(t)
	if _, err := Verify(t.Context(), config(dsn), chain.Head{}); !errors.Is(err, ErrNone) {
		t.Errorf("Verify: got %v, want ErrNone", err)
	}
	if err := Export(t.Context(), config(dsn), nil); !errors.Is(err, ErrNone) {
		t.Errorf("Export: got %v, want ErrNone", err)
	}
	if _, err := Prune(t.Context(), config(dsn), time.Now()); !errors.Is(err, ErrNone) {
		t.Errorf("Prune: got %v, want ErrNone", err)
	}
	l := mustOpen(t, config(dsn))
	if err := l.Append(t.Context(), ledgertest.Sample("a")); err != nil {
		t.Fatal(err)
	}
	execute(t, dsn, `UPDATE kycvs_ledger SET phone = 'another'`)
	if r, err := Verify(t.Context(), config(dsn), chain.Head{}); err != nil || r.Whole() || !strings.Contains(r.Err().Error(), "another phone") {
		t.Errorf("another phone: %v, %v", r.Problems, err)
	}
	execute(t, dsn, `UPDATE kycvs_ledger_head SET version = 2`)
	if other, err := Open(t.Context(), config(dsn)); !errors.Is(err, ErrNewer) {
		t.Errorf("Open: got %v, want ErrNewer", err)
		if err == nil {
			other.Close()
		}
	}
	execute(t, dsn, `DELETE FROM kycvs_ledger_head`)
	for range 2 { // it is not begun anew over the lines that there are
		if err := l.Append(t.Context(), ledgertest.Sample("b")); err == nil || !strings.Contains(err.Error(), "restore it") {
			t.Errorf("Append without a head: got %v, want an error that says what to do", err)
		}
		other := mustOpen(t, config(dsn))
		if err := other.Append(t.Context(), ledgertest.Sample("b")); err == nil || !strings.Contains(err.Error(), "restore it") {
			t.Errorf("Append of another: got %v, want an error that says what to do", err)
		}
	}
}

// TestDSN has what makes no sense, and what must not be said about it.
func TestDSN(t *testing.T) {
	for _, dsn := range []string{"", " ", "postgres://kycvs:hun/ter2@db1:port/kycvs", "host=db1 password=hunter2 port=x", "postgres://kycvs:hunter2@db1/kycvs@x",
		"postgres://kycvs:hunter2@db1/kycvs?sslmode=maybe", "postgres://kycvs:hunter2@db1/kycvs?sslrootcert=/nowhere/at/all&sslmode=verify-full"} {
		err := CheckDSN(dsn)
		if err == nil {
			t.Errorf("%q: no error", dsn)
		} else if strings.Contains(err.Error(), "ter2") {
			t.Errorf("%q: the error holds the password: %v", dsn, err)
		}
	}
	for dsn, conns := range map[string]int32{
		"postgres://db1/kycvs":                    DefaultMaxConns,
		"postgres://db1,db2/kycvs":                DefaultMaxConns,
		"postgres://db1/kycvs?pool_max_conns=1":   2,
		"host=db1 dbname=kycvs pool_max_conns=17": 17,
	} {
		if c, err := parseDSN(dsn, 0); err != nil || c.MaxConns != conns {
			t.Errorf("%s: %v", dsn, err)
		}
	}
	if _, err := Open(t.Context(), Config{DSN: "postgres://db1/kycvs", Keep: time.Hour}); err == nil {
		t.Error("kept for an hour: no error")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	l, err := Open(ctx, config("postgres://kycvs:hunter2@127.0.0.1:1/kycvs"))
	if err != nil {
		t.Fatalf("Open of a server that is down: %v", err)
	}
	defer l.Close()
	if err := l.Ready(ctx); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "127.0.0.1:1: connection refused") {
		t.Errorf("Ready: %v", err)
	}
}

// TestPruneInParts removes more than one transaction may.
func TestPruneInParts(t *testing.T) {
	l := mustOpen(t, config(database(t)))
	for i := range 10 {
		if err := l.Append(t.Context(), ledgertest.Sample(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	at := ledgertest.Sample("").At
	for _, want := range []uint64{4, 4, 2, 0} {
		done, err := l.prune(t.Context(), at.Add(time.Hour), at.AddDate(1, 0, 0), 4)
		if err != nil || want == 0 && done != nil || want > 0 && (done == nil || done.Removed != want) {
			t.Fatalf("got %+v, %v; want %d removed", done, err, want)
		}
	}
	if got := ledgertest.Collect(t, l); len(got) != 0 {
		t.Errorf("%d entries are left", len(got))
	}
}

// BenchmarkAppend appends from one caller and from many.
func BenchmarkAppend(b *testing.B) {
	e := ledgertest.Sample("3fa85f64-5717-4562-b3fc-2c963f66afa6")
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint("chained/", callers), func(b *testing.B) {
			l := mustOpen(b, config(database(b)))
			ledgertest.Appends(b, callers, func() error { return l.Append(b.Context(), e) })
		})
	}
	// One row and one COMMIT a caller at a time, without a chain.
	b.Run("plain/1", func(b *testing.B) {
		dsn := database(b)
		execute(b, dsn, "CREATE TABLE plain (seq bigserial PRIMARY KEY, line bytea)")
		c := connect(b, dsn)
		body, err := chain.BodyOf(e)
		if err != nil {
			b.Fatal(err)
		}
		line, _ := chain.Append(nil, chain.Genesis(), body)
		ledgertest.Appends(b, 1, func() error {
			_, err := c.Exec(context.Background(), "INSERT INTO plain (line) VALUES ($1)", line)
			return err
		})
	})
}
