package postgres

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/loading"
	"github.com/kycvs/caddy-kycvs/registry/registrytest"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv("KYCVS_TEST_IMPORTER"); dsn != "" { // TestKilled's
		os.Exit(importer(dsn, os.Args[1]))
	}
	os.Exit(m.Run())
}

func importer(dsn, file string) int {
	e, err := NewWriter(Config{DSN: dsn, Secrets: [][]byte{secret}})
	if err == nil {
		_, err = loading.Run(context.Background(), e, loading.Config{Files: []loading.File{{Name: file}}})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// importText imports a file.
func importText(t testing.TB, e *Writer, text string) loading.Summary {
	t.Helper()
	s, err := loading.Run(t.Context(), e, loading.Config{Files: []loading.File{{
		Name: "doses.csv",
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
		Size: int64(len(text)),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	registrytest.Run(t, func(t *testing.T, file string) registrytest.Engine {
		dsn := database(t)
		e := writer(t, dsn)
		importText(t, e, file)
		return registrytest.Engine{
			Registry: open(t, dsn),
			Load:     func(t *testing.T, file string) { importText(t, e, file) },
		}
	})
}

// people returns a file: dose 1, or 1 and 2, of n numbers from a first one on.
func people(first, n, doses int) string {
	var b strings.Builder
	b.WriteString(registrytest.Header + "\n")
	for i := first; i < first+n; i++ {
		for d := 1; d <= doses; d++ {
			fmt.Fprintf(&b, "%s,Asha Rao,COVISHIELD,%d,2,2021-%02d-01,1960,%d,\n", number(i)[3:], d, 3*d, 10_000_000+i)
		}
	}
	return b.String()
}

func TestImport(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	e := writer(t, dsn)
	r := open(t, dsn)
	const n = 5000
	for _, c := range []struct {
		name                      string
		file                      string
		added, changed, unchanged int64
		people                    int64
	}{
		{"first", people(0, n, 1), n, 0, 0, n},
		{"again", people(0, n, 1), 0, 0, n, n},
		{"second doses, and more people", people(n/2, n, 2), n / 2, n / 2, 0, n + n/2},
		{"again", people(n/2, n, 2), 0, 0, n, n + n/2},
	} {
		before := digest(t, dsn)
		s := importText(t, e, c.file)
		if s.Added != c.added || s.Changed != c.changed || s.Unchanged != c.unchanged {
			t.Errorf("%s: %d added, %d changed, %d unchanged", c.name, s.Added, s.Changed, s.Unchanged)
		}
		if got, err := r.People(t.Context()); got != c.people || err != nil {
			t.Errorf("%s: %d people, %v", c.name, got, err)
		}
		if same := digest(t, dsn) == before; same != (c.added+c.changed == 0) {
			t.Errorf("%s: the table is the same: %v", c.name, same)
		}
	}
	for i, want := range map[int]int{0: 1, n/2 - 1: 1, n / 2: 2, n - 1: 2, n + n/2 - 1: 2} {
		records, err := r.Lookup(t.Context(), number(i))
		if err != nil || len(records) != 1 || len(records[0].Doses) != want {
			t.Errorf("%d: %v, %v", i, records, err)
		}
	}
}

// A query that was planned while the table was small must not read a large one
// from end to end.
func TestPlannedBefore(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	e := writer(t, dsn)
	put(t, e, number(0), asha())
	execute(t, dsn, "ANALYZE kycvs_boxes") // as autovacuum does
	c := connect(t, dsn)
	lookup := func() (read int64) {
		var box []byte
		for range 10 { // PostgreSQL plans five times before it keeps a plan
			if err := c.QueryRow(t.Context(), selectBox, []byte("nobody's index 1")).Scan(&box); err != pgx.ErrNoRows {
				t.Fatal(err)
			}
		}
		if err := c.QueryRow(t.Context(), `SELECT pg_stat_force_next_flush()`).Scan(nil); err != nil {
			t.Fatal(err)
		}
		if err := c.QueryRow(t.Context(), `SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'kycvs_boxes' AND schemaname = current_schema()`).Scan(&read); err != nil {
			t.Fatal(err)
		}
		return read
	}
	lookup()
	fillFrom(t, e, 1, 20_000)
	before := lookup()
	lookup()
	if read := lookup() - before; read > 1000 {
		t.Errorf("20 lookups read %d rows", read)
	}
}

// digest is what a database holds.
func digest(t testing.TB, dsn string) (d string) {
	t.Helper()
	ctx := context.Background()
	err := connect(t, dsn).QueryRow(ctx, `SELECT concat_ws(' ', (SELECT concat_ws(' ', numbers, people, doses) FROM kycvs_store), count(*),
		md5(string_agg(idx || box, '' ORDER BY idx))) FROM kycvs_boxes`).Scan(&d)
	if code, _ := sqlState(err); err != nil && code != undefinedTable {
		t.Fatal(err)
	}
	return d
}

// An import that is killed leaves the old state or the new, and running it again
// finishes it. KYCVS_TEST_LONG=1 kills a hundred instead of eight.
func TestKilled(t *testing.T) {
	dsn := database(t)
	e := writer(t, dsn)
	dir := t.TempDir()
	file := filepath.Join(dir, "doses.csv")
	if err := os.WriteFile(file, []byte(people(2_000, 6_000, 2)), 0o600); err != nil {
		t.Fatal(err)
	}
	importText(t, e, people(0, 6_000, 1))
	old := digest(t, dsn)
	execute(t, dsn, "CREATE TABLE saved_boxes AS TABLE kycvs_boxes; CREATE TABLE saved_store AS TABLE kycvs_store")

	start := func() *exec.Cmd {
		c := exec.Command(os.Args[0], file)
		c.Env = append(os.Environ(), "KYCVS_TEST_IMPORTER="+dsn)
		c.Stderr = os.Stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	begin := time.Now()
	if err := start().Wait(); err != nil {
		t.Fatal(err)
	}
	whole := time.Since(begin)
	finished := digest(t, dsn)
	if finished == old {
		t.Fatal("the import changed nothing")
	}

	rounds := 8
	if os.Getenv("KYCVS_TEST_LONG") == "1" {
		rounds = 100
	}
	olds, news := 0, 0
	for range rounds {
		execute(t, dsn, `TRUNCATE kycvs_boxes, kycvs_store; INSERT INTO kycvs_boxes SELECT * FROM saved_boxes; INSERT INTO kycvs_store SELECT * FROM saved_store`)
		c := start()
		time.Sleep(time.Duration(rand.Int64N(int64(whole + whole/10))))
		c.Process.Signal(syscall.SIGKILL)
		c.Wait()
		switch digest(t, dsn) {
		case old:
			olds++
		case finished:
			news++
		default:
			t.Fatal("neither the old state nor the new")
		}
	}
	t.Logf("an import takes %v; killed %d times: %d times the old state, %d times the new", whole, rounds, olds, news)
	if err := start().Wait(); err != nil {
		t.Fatal(err)
	}
	if digest(t, dsn) != finished {
		t.Error("running it again does not finish it")
	}
}

// Nothing that the server keeps, tables, log of changes, statistics or its own
// log of statements, tells a number, a name or a date.
func TestNothingInTheClear(t *testing.T) {
	t.Parallel()
	p := primary(t)
	dsn := dsnOf(p)
	execute(t, dsn, "ALTER SYSTEM SET log_statement = 'all'")
	execute(t, dsn, "ALTER SYSTEM SET log_min_duration_statement = 0")
	execute(t, dsn, "SELECT pg_reload_conf()")
	e := writer(t, dsn)
	var b strings.Builder
	b.WriteString(registrytest.Header + "\n")
	for i := range 3000 {
		fmt.Fprintf(&b, "%s,Parvathi Subramaniam,COVISHIELD,1,2,2021-03-01,1960,31415926535%d,\n", number(i)[3:], i)
		fmt.Fprintf(&b, "%s,பார்வதி,COVAXIN,1,2,2021-04-02,,,\n", number(i)[3:])
	}
	importText(t, e, b.String())
	importText(t, e, strings.ReplaceAll(b.String(), ",1,2,", ",2,2,"))
	r := open(t, dsn)
	for i := range 100 {
		if got := names(r, number(i)); !strings.Contains(got, "Parvathi Subramaniam") {
			t.Fatal(got)
		}
	}
	if n, err := loading.Erase(t.Context(), e, number(7), func(registry.Record) bool { return true }); n != 2 || err != nil {
		t.Fatalf("%d erased, %v", n, err)
	}
	r.Close()
	execute(t, dsn, "CHECKPOINT")
	p.kill()

	clear := [][]byte{[]byte("Parvathi"), []byte("parvathi"), []byte("PARVATHI"), []byte("Subramaniam"), []byte("பார்வதி"),
		[]byte("COVISHIELD"), []byte("COVAXIN"), []byte("2021-03-01"), []byte("2021-04-02"), []byte("20210301"), []byte("31415926535"), secret}
	for _, i := range []int{0, 1, 7, 1234, 2999} {
		clear = append(clear, []byte(number(i)[3:]))
	}
	files, found := 0, 0
	err := filepath.WalkDir(p.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for _, c := range clear {
			if bytes.Contains(content, c) {
				found++
				t.Errorf("%s holds %q", path, c)
			}
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Errorf("%d files, %v", files, err)
	}
	log, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil || !bytes.Contains(log, []byte("SELECT box FROM kycvs_boxes")) {
		t.Errorf("the server's log has no statements: %v", err)
	}
}
