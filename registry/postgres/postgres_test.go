package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/loading"
	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

const home, other = registry.Mobile("+919876500001"), registry.Mobile("+919876500002")

func TestBeforeTheFirstImport(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	r := open(t, dsn)
	if _, err := r.Lookup(t.Context(), home); !errors.Is(err, ErrNoStore) {
		t.Errorf("no tables: %v", err)
	}
	if err := r.Ready(t.Context()); !errors.Is(err, ErrNoStore) {
		t.Errorf("ready: %v", err)
	}
	e := writer(t, dsn)
	b := begin(t, e)
	if _, err := r.Lookup(t.Context(), home); !errors.Is(err, ErrNoStore) {
		t.Errorf("empty tables: %v", err)
	}
	if err := b.Commit(t.Context(), loading.Change{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lookup(t.Context(), home); !errors.Is(err, ErrNoStore) {
		t.Errorf("after an import of nothing: %v", err)
	}
	put(t, e, home, asha())
	if got := names(r, home); got != "Asha Rao" {
		t.Errorf("after an import: %q", got)
	}
	if got := names(r, other); got != "" {
		t.Errorf("nobody's number: %q", got)
	}
	if err := r.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	e := writer(t, dsn)
	put(t, e, home, asha())
	r := open(t, dsn)

	b := begin(t, e)
	changed, c1 := rowOf(t, b, home, asha(), ravi())
	added, c2 := rowOf(t, b, other, ravi())
	change := loading.Change{Numbers: c1.Numbers + c2.Numbers, People: c1.People + c2.People}
	if err := b.Put(t.Context(), loading.Part{Rows: []loading.Row{changed}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), loading.Part{Number: 1, Last: true, Rows: []loading.Row{added}}); err != nil {
		t.Fatal(err)
	}
	if names(r, home) != "Asha Rao" || names(r, other) != "" {
		t.Error("what was put is seen before it is committed")
	}
	if err := b.Commit(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	if names(r, home) != "Asha Rao, Ravi Kumar" || names(r, other) != "Ravi Kumar" {
		t.Errorf("committed: %s; %s", names(r, home), names(r, other))
	}
	if n, err := r.People(t.Context()); n != 3 || err != nil {
		t.Errorf("%d people, %v", n, err)
	}
	if err := b.Put(t.Context(), loading.Part{Rows: []loading.Row{changed}}); err == nil {
		t.Error("a Put after Commit")
	}

	// Abort, and a Batch that is forgotten.
	b = begin(t, e)
	row, _ := rowOf(t, b, home)
	if err := b.Put(t.Context(), loading.Part{Last: true, Rows: []loading.Row{row}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Abort(); err != nil {
		t.Fatal(err)
	}
	if names(r, home) != "Asha Rao, Ravi Kumar" {
		t.Errorf("aborted: %s", names(r, home))
	}

	put(t, e, home)
	if names(r, home) != "" || names(r, other) != "Ravi Kumar" {
		t.Errorf("erased: %s; %s", names(r, home), names(r, other))
	}
	if n, err := r.People(t.Context()); n != 1 || err != nil {
		t.Errorf("%d people, %v", n, err)
	}
}

func TestErase(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	e := writer(t, dsn)
	put(t, e, home, asha(), ravi())
	r := open(t, dsn)
	is := func(name string) func(registry.Record) bool {
		return func(r registry.Record) bool { return r.Name == name }
	}
	for _, c := range []struct {
		name  string
		gone  int
		after string
	}{
		{"Nobody", 0, "Asha Rao, Ravi Kumar"},
		{"Asha Rao", 1, "Ravi Kumar"},
		{"Asha Rao", 0, "Ravi Kumar"},
		{"Ravi Kumar", 1, ""},
		{"Ravi Kumar", 0, ""},
	} {
		if n, err := loading.Erase(t.Context(), e, home, is(c.name)); n != c.gone || err != nil {
			t.Errorf("%s: %d erased, %v", c.name, n, err)
		}
		if got := names(r, home); got != c.after {
			t.Errorf("%s erased: %q is left", c.name, got)
		}
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	e := writer(t, dsn)
	begin(t, e)
	e.wait = 100 * time.Millisecond
	if _, err := e.Begin(t.Context(), false); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
	if b, err := e.Begin(t.Context(), true); err != nil {
		t.Errorf("a dry run waits for nobody: %v", err)
	} else {
		b.Abort()
	}
}

func TestDryRunMakesNothing(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	b, err := writer(t, dsn).Begin(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Abort()
	boxes := make([][]byte, 1)
	if err := b.Fetch(t.Context(), []sealed.Index{b.Keys().Index(home)}, boxes); err != nil || boxes[0] != nil {
		t.Errorf("%x, %v", boxes[0], err)
	}
	var tables int
	if err := connect(t, dsn).QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()").Scan(&tables); err != nil || tables != 0 {
		t.Errorf("%d tables, %v", tables, err)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	newer := []byte("the next secret")
	put(t, writer(t, dsn), home, asha())
	running := open(t, dsn)

	if _, err := Open(t.Context(), Config{DSN: dsn, Secrets: [][]byte{newer}}); !errors.Is(err, sealed.ErrWrongSecret) {
		t.Errorf("read with another secret: %v", err)
	}
	if _, err := writer(t, dsn, newer).Begin(t.Context(), false); !errors.Is(err, sealed.ErrWrongSecret) {
		t.Errorf("written with another secret: %v", err)
	}
	if _, err := Open(t.Context(), Config{DSN: dsn}); !errors.Is(err, sealed.ErrNoSecret) {
		t.Errorf("no secret: %v", err)
	}

	// Opened for writing with both, the store's key is wrapped by the newer.
	b := begin(t, writer(t, dsn, newer, secret))
	if err := b.Commit(t.Context(), loading.Change{}); err != nil {
		t.Fatal(err)
	}
	if got := names(open(t, dsn, newer), home); got != "Asha Rao" {
		t.Errorf("with the newer secret: %s", got)
	}
	if _, err := Open(t.Context(), Config{DSN: dsn, Secrets: [][]byte{secret}}); !errors.Is(err, sealed.ErrWrongSecret) {
		t.Errorf("with the older secret: %v", err)
	}
	if names(running, home) != "Asha Rao" || names(running, other) != "" {
		t.Errorf("an instance that has the store open: %s; %s", names(running, home), names(running, other))
	}
}

// An index that was made with the key of a store that is gone finds nothing, and
// that must not be taken for an answer.
func TestStoreReplaced(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	put(t, writer(t, dsn), home, asha())
	r := open(t, dsn)
	if got := names(r, home); got != "Asha Rao" {
		t.Fatal(got)
	}
	execute(t, dsn, "DROP TABLE kycvs_boxes; DROP TABLE kycvs_store")
	if _, err := r.Lookup(t.Context(), home); !errors.Is(err, ErrNoStore) {
		t.Errorf("dropped: %v", err)
	}
	put(t, writer(t, dsn), home, ravi())
	if got := names(r, home); got != "Ravi Kumar" {
		t.Errorf("made anew: %s", got)
	}
	execute(t, dsn, "DROP TABLE kycvs_boxes; DROP TABLE kycvs_store")
	put(t, writer(t, dsn, []byte("another")), home, asha())
	if _, err := r.Lookup(t.Context(), home); !errors.Is(err, sealed.ErrWrongSecret) {
		t.Errorf("made anew with another secret: %v", err)
	}
}

func TestDamaged(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	put(t, writer(t, dsn), home, asha())
	r := open(t, dsn)
	execute(t, dsn, `UPDATE kycvs_boxes SET box = set_byte(box, 20, get_byte(box, 20) # 1)`)
	if records, err := r.Lookup(t.Context(), home); !errors.Is(err, sealed.ErrDamaged) || len(records) != 0 {
		t.Errorf("%d records, %v", len(records), err)
	}
}

func TestLaterVersion(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	put(t, writer(t, dsn), home, asha())
	execute(t, dsn, "UPDATE kycvs_store SET version = 99")
	if _, err := Open(t.Context(), Config{DSN: dsn, Secrets: [][]byte{secret}}); !errors.Is(err, ErrNewer) {
		t.Errorf("read: %v", err)
	}
	if _, err := writer(t, dsn).Begin(t.Context(), false); !errors.Is(err, ErrNewer) {
		t.Errorf("written: %v", err)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	put(t, writer(t, dsn), home, asha())
	r := open(t, dsn)
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Lookup(t.Context(), home); !errors.Is(err, ErrClosed) {
		t.Errorf("lookup: %v", err)
	}
	if err := r.Ready(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("ready: %v", err)
	}
}
