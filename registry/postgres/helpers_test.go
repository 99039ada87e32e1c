package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/loading"
	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

var secret = []byte("a secret of the operator's, for tests")

// database returns the DSN of the server for tests, in a schema of its own that
// goes when t ends. The test is skipped where there is no server, unless
// KYCVS_TEST_REQUIRE names postgres.
func database(t testing.TB) string {
	t.Helper()
	dsn := os.Getenv("KYCVS_TEST_POSTGRES")
	if dsn == "" {
		skip(t, "KYCVS_TEST_POSTGRES is not set: give the DSN, a URL, of a PostgreSQL server for tests")
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
	if !strings.HasPrefix(dsn, "postgres") {
		t.Fatal("KYCVS_TEST_POSTGRES is no URL")
	}
	separator := "?"
	if strings.Contains(dsn, "?") {
		separator = "&"
	}
	return dsn + separator + parameter + "=" + url.QueryEscape(value)
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

func writer(t testing.TB, dsn string, secrets ...[]byte) *Writer {
	t.Helper()
	if len(secrets) == 0 {
		secrets = [][]byte{secret}
	}
	e, err := NewWriter(Config{DSN: dsn, Secrets: secrets})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func open(t testing.TB, dsn string, secrets ...[]byte) *Registry {
	t.Helper()
	if len(secrets) == 0 {
		secrets = [][]byte{secret}
	}
	r, err := Open(t.Context(), Config{DSN: dsn, Secrets: secrets})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// put makes the records of one number those, by way of a Batch.
func put(t testing.TB, e *Writer, mobile registry.Mobile, records ...registry.Record) {
	t.Helper()
	b := begin(t, e)
	defer b.Abort()
	row, change := rowOf(t, b, mobile, records...)
	if err := b.Put(t.Context(), loading.Part{Last: true, Rows: []loading.Row{row}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}

func begin(t testing.TB, e *Writer) loading.Batch {
	t.Helper()
	b, err := e.Begin(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Abort() })
	return b
}

// rowOf returns what makes the records of a number those, and by how much.
func rowOf(t testing.TB, b loading.Batch, mobile registry.Mobile, records ...registry.Record) (loading.Row, loading.Change) {
	t.Helper()
	row, boxes := loading.Row{Index: b.Keys().Index(mobile)}, make([][]byte, 1)
	if err := b.Fetch(t.Context(), []sealed.Index{row.Index}, boxes); err != nil {
		t.Fatal(err)
	}
	row.New = boxes[0] == nil
	change := loading.Change{People: int64(len(records))}
	for i := range records {
		records[i].Mobile = mobile
	}
	if row.New {
		change.Numbers = 1
	} else {
		old, err := b.Keys().Unseal(mobile, boxes[0])
		if err != nil {
			t.Fatal(err)
		}
		change.People -= int64(len(old))
	}
	if len(records) == 0 {
		change.Numbers--
		return row, change
	}
	var err error
	if row.Box, err = b.Keys().Seal(nil, mobile, records); err != nil {
		t.Fatal(err)
	}
	return row, change
}

func asha() registry.Record {
	return registry.Record{ID: "1001", Name: "Asha Rao", BirthYear: 1960, Doses: []registry.Dose{
		{Vaccine: "COVISHIELD", Number: 1, Total: 2, Date: time.Date(2021, 3, 1, 0, 0, 0, 0, time.UTC)},
	}}
}

func ravi() registry.Record { return registry.Record{Name: "Ravi Kumar"} }

// names returns the names of the records under a number, or the error.
func names(r *Registry, mobile registry.Mobile) string {
	records, err := r.Lookup(context.Background(), mobile)
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, r := range records {
		all = append(all, r.Name)
	}
	return strings.Join(all, ", ")
}
