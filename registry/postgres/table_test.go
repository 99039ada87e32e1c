package postgres

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/loading"
)

// An administrator may spread the table by its key before the first import.
func TestPartitioned(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	execute(t, dsn, "CREATE TABLE kycvs_boxes (idx bytea PRIMARY KEY, box bytea NOT NULL) PARTITION BY HASH (idx)")
	for _, part := range []string{"0", "1", "2"} {
		execute(t, dsn, "CREATE TABLE kycvs_boxes_"+part+" PARTITION OF kycvs_boxes FOR VALUES WITH (MODULUS 3, REMAINDER "+part+")")
	}
	exercise(t, dsn)
}

// Behind a pooler that cannot prepare statements, the DSN says so to pgx.
func TestExecModes(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			exercise(t, with(t, database(t), "default_query_exec_mode", mode))
		})
	}
}

// exercise does everything there is to do.
func exercise(t *testing.T, dsn string) {
	t.Helper()
	e := writer(t, dsn)
	importText(t, e, people(0, 2000, 1))
	importText(t, e, people(1000, 2000, 2))
	if s := importText(t, e, people(1000, 2000, 2)); s.Unchanged != 2000 {
		t.Errorf("again: %d unchanged", s.Unchanged)
	}
	if n, err := loading.Erase(t.Context(), e, number(5), func(registry.Record) bool { return true }); n != 1 || err != nil {
		t.Errorf("%d erased, %v", n, err)
	}
	r := open(t, dsn)
	for i, want := range map[int]int{0: 1, 5: -1, 999: 1, 1000: 2, 2999: 2, 3000: -1} {
		records, err := r.Lookup(t.Context(), number(i))
		got := -1
		if len(records) == 1 {
			got = len(records[0].Doses)
		}
		if err != nil || got != want {
			t.Errorf("%d: %d doses, %v", i, got, err)
		}
	}
	if n, err := r.People(t.Context()); n != 2999 || err != nil {
		t.Errorf("%d people, %v", n, err)
	}
}

// A gate's role need not be able to change anything, and says what it lacks.
func TestRoles(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	put(t, writer(t, dsn), home, asha())
	var random [6]byte
	rand.Read(random[:])
	role := "kycvs_gate_" + hex.EncodeToString(random[:])
	execute(t, dsn, "CREATE ROLE "+role+" LOGIN PASSWORD 'gate'")
	t.Cleanup(func() { execute(t, dsn, "DROP OWNED BY "+role+"; DROP ROLE "+role) })
	scheme, rest, _ := strings.Cut(dsn, "://")
	_, rest, _ = strings.Cut(rest, "@")
	gate := scheme + "://" + role + ":gate@" + rest
	schema := dsn[strings.LastIndex(dsn, "=")+1:]

	execute(t, dsn, "GRANT USAGE ON SCHEMA "+schema+" TO "+role)
	if _, err := Open(t.Context(), Config{DSN: gate, Secrets: [][]byte{secret}}); err == nil || !strings.Contains(err.Error(), "needs SELECT") {
		t.Errorf("a role that may do nothing: %v", err)
	}
	execute(t, dsn, "GRANT SELECT ON kycvs_store, kycvs_boxes TO "+role)
	r := open(t, gate)
	if names(r, home) != "Asha Rao" || names(r, other) != "" {
		t.Errorf("%s; %s", names(r, home), names(r, other))
	}
	if _, err := writer(t, gate).Begin(t.Context(), false); err == nil || !strings.Contains(err.Error(), "INSERT, UPDATE") {
		t.Errorf("an import by a role that may read: %v", err)
	}
}
