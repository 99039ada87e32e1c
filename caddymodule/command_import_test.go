package caddymodule

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kycvs/caddy-kycvs/registry/doses"
)

// TestInterruptible holds that what comes by standard input is whole, and that
// waiting for it ends with the context.
func TestInterruptible(t *testing.T) {
	want := strings.Repeat("a row\n", 1_000_000)
	got, err := io.ReadAll(interruptible(t.Context(), strings.NewReader(want)))
	if err != nil || string(got) != want {
		t.Fatalf("%d bytes of %d came (%v)", len(got), len(want), err)
	}
	broken := errors.New("broken")
	if _, err := io.ReadAll(interruptible(t.Context(), io.MultiReader(strings.NewReader("a"), brokenReader{broken}))); !errors.Is(err, broken) {
		t.Fatalf("got %v, want what the source said", err)
	}

	never, keep := io.Pipe()
	defer keep.Close()
	ctx, cancel := context.WithCancel(t.Context())
	r := interruptible(ctx, never)
	cancel()
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the context's", err)
	}
}

type brokenReader struct{ err error }

func (b brokenReader) Read([]byte) (int, error) { return 0, b.err }

// TestRejectFiles holds that a file of rejected rows is nobody else's to read, also
// where there was one, or a link, of that name.
func TestRejectFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("other", []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, before := range []func() error{
		func() error { return nil },
		func() error { return os.WriteFile("doses.csv.rejects.csv", []byte("old rows, many of them"), 0o644) },
		func() error { return os.Symlink("other", "doses.csv.rejects.csv") },
	} {
		_ = os.Remove("doses.csv.rejects.csv")
		if err := before(); err != nil {
			t.Fatal(err)
		}
		var files rejectFiles
		f, err := files.open("doses.csv", doses.CSV)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(f, "new")
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(files.paths[0])
		if err != nil || info.Mode().Perm() != 0o600 || !info.Mode().IsRegular() || info.Size() != 3 {
			t.Errorf("%v (%v)", info, err)
		}
	}
	if text, err := os.ReadFile("other"); err != nil || string(text) != "other" {
		t.Errorf("another file was written: %q (%v)", text, err)
	}
	var files rejectFiles
	if _, err := files.open(filepath.Join("nowhere", "doses.csv"), doses.CSV); err == nil || !strings.Contains(err.Error(), "make room for the rows") {
		t.Errorf("got %v", err)
	}
	for _, c := range []struct {
		source string
		format doses.Format
		want   string
	}{
		{"-", doses.CSV, "stdin.rejects.csv"},
		{"-", doses.FHIR, "stdin.rejects.ndjson"},
		{"Immunization.ndjson", doses.FHIR, "Immunization.ndjson.rejects.ndjson"},
	} {
		f, err := files.open(c.source, c.format)
		if err != nil || files.paths[len(files.paths)-1] != c.want {
			t.Errorf("%v (%v), want %s", files.paths, err, c.want)
			continue
		}
		f.Close()
	}
}
