package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/ledgertest"
)

// database returns the DSN of the server for tests, in a schema of its own that
// goes when t ends. The test is skipped where there is no server, unless
// KYCVS_TEST_REQUIRE names postgres.
func database(t testing.TB) string {
	t.Helper()
	dsn := os.Getenv("KYCVS_TEST_POSTGRES")
	if dsn == "" {
		const why = "KYCVS_TEST_POSTGRES is not set: give the DSN, a URL, of a PostgreSQL server for tests"
		if slices.Contains(strings.Split(os.Getenv("KYCVS_TEST_REQUIRE"), ","), "postgres") {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	var random [6]byte
	rand.Read(random[:])
	schema := "kycvs_test_" + hex.EncodeToString(random[:])
	execute(t, dsn, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { execute(t, dsn, "DROP SCHEMA "+schema+" CASCADE") })
	return with(t, dsn, "search_path", schema)
}

// with returns the DSN, a URL, with a parameter more.
func with(t testing.TB, dsn, parameter, value string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal("KYCVS_TEST_POSTGRES is no URL")
	}
	q := u.Query()
	q.Set(parameter, value)
	u.RawQuery = q.Encode()
	return u.String()
}

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func execute(t testing.TB, dsn, sql string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, sql, args...); err != nil {
		t.Fatal(err)
	}
}

func config(dsn string) Config {
	return Config{DSN: dsn, Logger: slog.New(slog.DiscardHandler)}
}

func mustOpen(t testing.TB, c Config) *Ledger {
	t.Helper()
	l, err := Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestLedger(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) ledgertest.Opener {
		dsn := database(t)
		return func() ledger.Ledger { return mustOpen(t, config(dsn)) }
	})
}

func TestChain(t *testing.T) {
	ledgertest.RunChain(t, func(t *testing.T) ledgertest.Engine {
		dsn := database(t)
		return ledgertest.Engine{
			Open:      func() ledger.Ledger { return mustOpen(t, config(dsn)) },
			Verify:    func(want chain.Head) (chain.Report, error) { return Verify(t.Context(), config(dsn), want) },
			KeepsHead: true,
			Prune: func(before, now time.Time) (*chain.Pruned, error) {
				l := mustOpen(t, config(dsn))
				defer l.Close()
				return l.prune(t.Context(), before, now, pruneMost)
			},
			Lines: func() [][]byte {
				rows, err := connect(t, dsn).Query(t.Context(), `SELECT line FROM kycvs_ledger ORDER BY seq`)
				if err != nil {
					t.Fatal(err)
				}
				lines, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
				if err != nil {
					t.Fatal(err)
				}
				return lines
			},
			SetLines: func(lines [][]byte) {
				execute(t, dsn, `DELETE FROM kycvs_ledger`)
				for i, line := range lines {
					seq := int64(i + 1)
					if l, err := chain.Read(lines[0]); err == nil {
						seq += int64(l.Seq) - 1
					}
					execute(t, dsn, `INSERT INTO kycvs_ledger (seq, batch, phone, line) VALUES ($1, '', (convert_from($2::bytea, 'UTF8')::json)->>'phone', $2)`, seq, line)
				}
			},
		}
	})
}
