package embedded

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/loading"
	"github.com/kycvs/caddy-kycvs/registry/registrytest"
	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

var secret = [][]byte{[]byte("the operator's secret")}

func now() time.Time { return time.Date(2023, 1, 2, 12, 0, 0, 0, time.UTC) }

// text is a file of doses.
func text(s string) loading.File {
	return loading.File{Name: "doses.csv", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }}
}

func load(t testing.TB, c Config, files ...string) loading.Summary {
	t.Helper()
	config := loading.Config{Now: now}
	for _, f := range files {
		config.Files = append(config.Files, text(f))
	}
	s, err := loading.Run(t.Context(), NewWriter(c), config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t testing.TB, c Config) *Registry {
	t.Helper()
	r, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestRegistry(t *testing.T) {
	registrytest.Run(t, func(t *testing.T, file string) registrytest.Engine {
		c := Config{Dir: t.TempDir(), Secrets: secret}
		load(t, c, file)
		r := open(t, c)
		return registrytest.Engine{Registry: r, Load: func(t *testing.T, file string) {
			load(t, c, file)
			if err := r.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
		}}
	})
}

const header = registrytest.Header + "\n"

// people are rows of n people on n numbers, so many doses each.
func people(n, doses int, status string) string {
	var b strings.Builder
	b.WriteString(header)
	for dose := range doses {
		for i := range n {
			fmt.Fprintf(&b, "98765%05d,Person Number%c,COVISHIELD,%d,2,2021-0%d-01,%d,%d,%s\n", i, 'A'+i%26, dose+1, 3+3*dose, 1950+i%50, 70000+i, status)
		}
	}
	return b.String()
}

func mobile(i int) registry.Mobile { return registry.Mobile(fmt.Sprintf("+9198765%05d", i)) }

// status is the status of person i, -1 for nobody.
func status(t testing.TB, r *Registry, i int) int {
	t.Helper()
	records, err := r.Lookup(t.Context(), mobile(i))
	if err != nil {
		t.Fatal(err)
	}
	a, err := registry.Decide(records, registry.Query{Mobile: mobile(i), Name: fmt.Sprintf("Person Number%c", 'A'+i%26)}, registry.NameMatch{}, registry.Schedule{})
	if errors.Is(err, registry.ErrNoRecord) {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	return int(a.Status)
}

// Many imports, small and large, leave what they should, in few levels.
func TestManyImports(t *testing.T) {
	t.Parallel()
	const n = 2000
	c := Config{Dir: t.TempDir(), Secrets: secret}
	load(t, c, people(n, 1, ""))
	r := open(t, c)
	want := make([]int, n)
	for i := range want {
		want[i] = 1
	}
	for round := range 12 {
		var b strings.Builder
		b.WriteString(header)
		for i := round; i < n; i += 7 + round*13 {
			given := ""
			if want[i]++; want[i] == 3 {
				want[i], given = 1, "entered-in-error"
			}
			fmt.Fprintf(&b, "98765%05d,Person Number%c,COVISHIELD,2,2,2021-06-01,,%d,%s\n", i, 'A'+i%26, 70000+i, given)
		}
		load(t, c, b.String())
		if err := r.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if got := status(t, r, i); got != want[i] {
				t.Fatalf("round %d: person %d: %d, want %d", round, i, got, want[i])
			}
		}
		if r.People() != n {
			t.Fatalf("%d people", r.People())
		}
	}
	levels, err := r.current.Load().db.SSTables()
	if err != nil {
		t.Fatal(err)
	}
	asked := len(levels[0])
	for _, level := range levels[1:] {
		asked += min(len(level), 1)
	}
	if asked < 1 || asked > mostLevels {
		t.Errorf("a lookup asks %d tables", asked)
	}
	if found := generations(t, c.Dir); len(found) != 1 {
		t.Errorf("%v", found)
	}
}

func generations(t testing.TB, dir string) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			found = append(found, e.Name())
		}
	}
	return found
}

func TestNothingChanges(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), Secrets: secret}
	load(t, c, people(100, 2, ""))
	before := generations(t, c.Dir)
	if s := load(t, c, people(100, 2, "")); s.NumbersChanged != 0 || !slices.Equal(generations(t, c.Dir), before) {
		t.Errorf("%+v, %v", s, generations(t, c.Dir))
	}
}

func TestDry(t *testing.T) {
	t.Parallel()
	c := Config{Dir: filepath.Join(t.TempDir(), "store"), Secrets: secret}
	dry := loading.Config{Files: []loading.File{text(people(10, 1, ""))}, Now: now, Dry: true}
	if s, err := loading.Run(t.Context(), NewWriter(c), dry); err != nil || s.Added != 10 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := os.Stat(c.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a dry run made the directory: %v", err)
	}
	load(t, c, people(5, 1, ""))
	before := listing(t, c.Dir)
	if s, err := loading.Run(t.Context(), NewWriter(c), dry); err != nil || s.Added != 5 || s.Unchanged != 5 {
		t.Errorf("%+v, %v", s, err)
	}
	if after := listing(t, c.Dir); after != before {
		t.Errorf("a dry run changed the directory:\n%s\n%s", before, after)
	}
}

func listing(t *testing.T, dir string) string {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		fmt.Fprintln(&b, path, info.Size(), info.ModTime())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	older, newer := []byte("older"), []byte("newer")
	c := Config{Dir: t.TempDir(), Secrets: [][]byte{older}}
	load(t, c, people(10, 1, ""))
	with := func(secrets ...[]byte) Config { return Config{Dir: c.Dir, Secrets: secrets} }
	wrong := func(secrets ...[]byte) {
		t.Helper()
		if r, err := Open(with(secrets...)); !errors.Is(err, sealed.ErrWrongSecret) {
			t.Errorf("%v, %v", r, err)
		}
		if _, err := NewWriter(with(secrets...)).Begin(t.Context(), false); !errors.Is(err, sealed.ErrWrongSecret) {
			t.Errorf("writing: %v", err)
		}
		if _, err := NewWriter(with(secrets...)).Begin(t.Context(), true); !errors.Is(err, sealed.ErrWrongSecret) {
			t.Errorf("dry: %v", err)
		}
	}
	wrong(newer)
	if r := open(t, with(newer, older)); status(t, r, 3) != 1 {
		t.Error("by the older secret")
	}
	wrong(newer) // who reads changes nothing
	load(t, with(newer, older), people(10, 1, ""))
	wrong(older) // who writes does
	if r := open(t, with(newer)); status(t, r, 3) != 1 {
		t.Error("by the newer secret")
	}
	if _, err := Open(with()); !errors.Is(err, sealed.ErrNoSecret) {
		t.Error(err)
	}
	if _, err := NewWriter(with()).Begin(t.Context(), false); !errors.Is(err, sealed.ErrNoSecret) {
		t.Error(err)
	}
}

func TestNoStore(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "nowhere")} {
		if _, err := Open(Config{Dir: dir, Secrets: secret}); !errors.Is(err, ErrNoStore) {
			t.Error(err)
		}
	}
}

// Damage is an error, never an answer.
func TestDamaged(t *testing.T) {
	t.Parallel()
	made := Config{Dir: t.TempDir(), Secrets: secret}
	load(t, made, people(2000, 2, ""))
	for name, damage := range map[string]func(dir string) error{
		"no keys":        func(dir string) error { return os.Remove(filepath.Join(dir, keysName)) },
		"keys cut short": func(dir string) error { return os.Truncate(filepath.Join(dir, keysName), 20) },
		"another's keys": func(dir string) error {
			_, w, _ := sealed.New(secret[0])
			return os.WriteFile(filepath.Join(dir, keysName), w, 0o600)
		},
		"CURRENT empty":     func(dir string) error { return os.Truncate(filepath.Join(dir, currentName), 0) },
		"no generation":     func(dir string) error { return os.RemoveAll(generationDir(dir, 1)) },
		"a table gone":      func(dir string) error { return os.Remove(table(t, dir)) },
		"a table cut short": func(dir string) error { return os.Truncate(table(t, dir), 1000) },
		"a table changed": func(dir string) error {
			text, err := os.ReadFile(table(t, dir))
			if err != nil {
				return err
			}
			for i := 0; i < len(text)/2; i += 512 {
				text[i] ^= 1
			}
			return os.WriteFile(table(t, dir), text, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := Config{Dir: t.TempDir(), Secrets: secret}
			if err := os.CopyFS(c.Dir, os.DirFS(made.Dir)); err != nil {
				t.Fatal(err)
			}
			if err := damage(c.Dir); err != nil {
				t.Fatal(err)
			}
			r, err := Open(c)
			if err != nil {
				return
			}
			defer r.Close()
			failed := 0
			for i := range 2000 {
				records, err := r.Lookup(t.Context(), mobile(i))
				if err != nil {
					failed++
				} else if len(records) != 1 {
					t.Fatalf("person %d: %d records", i, len(records))
				}
			}
			if failed == 0 {
				t.Error("nobody noticed")
			}
		})
	}
}

func table(t *testing.T, dir string) string {
	found, err := filepath.Glob(filepath.Join(dir, "gen-*", "*.sst"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	return found[0]
}

func TestBusy(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), Secrets: secret}
	b, err := NewWriter(c).Begin(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewWriter(c).Begin(t.Context(), false); !errors.Is(err, ErrBusy) {
		t.Errorf("twice: %v", err)
	}
	if err := b.Abort(); err != nil {
		t.Fatal(err)
	}
	load(t, c, people(10, 1, ""))
}

func TestErase(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), Secrets: secret}
	load(t, c, people(1000, 2, ""))
	r := open(t, c)
	g := r.current.Load()
	index := g.keys.Index(mobile(7))
	box, done, err := g.db.Get(index[:])
	if err != nil {
		t.Fatal(err)
	}
	box = slices.Clone(box)
	done.Close()
	there := func() (n int) {
		for _, text := range files(t, c.Dir) {
			if strings.Contains(string(text), string(box[:16])) {
				n++
			}
		}
		return n
	}
	if there() != 1 {
		t.Fatal("the box is not there")
	}
	n, err := loading.Erase(t.Context(), NewWriter(c), mobile(7), func(registry.Record) bool { return true })
	if err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := status(t, r, 7); got != -1 || r.People() != 999 || status(t, r, 8) != 2 {
		t.Errorf("%d, %d people", got, r.People())
	}
	if n := there(); n > 0 {
		t.Error("the box is still on the disk")
	}
	if n, err := loading.Erase(t.Context(), NewWriter(c), mobile(7), func(registry.Record) bool { return true }); err != nil || n != 0 {
		t.Error(n, err)
	}
}

// A running registry sees imports by itself, and no lookup fails meanwhile.
func TestServing(t *testing.T) {
	t.Parallel()
	const n = 500
	c := Config{Dir: t.TempDir(), Secrets: secret, PollEvery: 2 * time.Millisecond}
	load(t, c, people(n, 1, ""))
	r := open(t, c)
	stop := make(chan struct{})
	var asking sync.WaitGroup
	for worker := range 2 {
		asking.Go(func() {
			for i := worker; ; i = (i + 7) % n {
				select {
				case <-stop:
					return
				default:
				}
				if records, err := r.Lookup(t.Context(), mobile(i)); err != nil || len(records) != 1 {
					t.Errorf("%d records, %v", len(records), err)
					return
				}
			}
		})
	}
	for round := range 6 {
		if round%2 == 0 {
			load(t, c, people(n, 2, ""))
		} else {
			load(t, c, header+strings.TrimPrefix(people(n, 2, "entered-in-error"), people(n, 1, "entered-in-error")))
		}
		for deadline := time.Now().Add(20 * time.Second); status(t, r, 3) != 2-round%2; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("round %d: not seen", round)
			}
		}
	}
	close(stop)
	asking.Wait()
	if err := r.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Lookup(t.Context(), mobile(1)); err == nil {
		t.Error("answers when closed")
	}
	if err := r.Ready(t.Context()); err == nil {
		t.Error("ready when closed")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// files are all files of a directory.
func files(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			all[path], err = os.ReadFile(path)
		}
		if errors.Is(err, fs.ErrNotExist) { // gone since
			err = nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func FuzzCurrent(f *testing.F) {
	f.Add([]byte(`{"Generation":3,"Store":"000102030405060708090a0b0c0d0e0f","Numbers":1,"People":2,"Doses":3}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var c current
		if err := parseCurrent(text, &c); err == nil && c.Generation < 1 {
			t.Errorf("%+v", c)
		}
	})
}
