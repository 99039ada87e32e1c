package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A ledger that cannot be written is "not answering": no pass without a record
// of the consent, no code spent for nothing, and whoever holds a pass still
// gets through. (The process is forbidden to make files longer, as by a disk
// that is full.)
func TestLedgerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: plenty, sites: gateSites})
	holder := in.browse(t, "https://work.example")
	holder.signIn(asha)
	b := in.browse(t, "https://work.example")
	txn, code := b.ask(asha)
	limit := func(n uint64) {
		t.Helper()
		if err := unix.Prlimit(in.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: unix.RLIM_INFINITY}, nil); err != nil {
			t.Skip("no limit of file sizes can be set here:", err)
		}
	}
	limit(1)
	b.verify(txn, code).refuses(t, 503, "unavailable")
	b.fetch("/ward/x").refuses(t, 401, "")
	b.verify(txn, code).refuses(t, 503, "unavailable")
	if a := holder.fetch("/ward/x"); a.StatusCode != 200 {
		t.Errorf("whoever holds a pass: %v", a)
	}
	holder.json("/.kycvs/withdraw", fields{}).refuses(t, 503, "unavailable")
	if a := holder.fetch("/ward/x"); a.StatusCode != 200 {
		t.Errorf("after a withdrawal that could not be: %v", a)
	}
	limit(unix.RLIM_INFINITY)
	if a := b.verify(txn, code); a.StatusCode != 200 {
		t.Errorf("the same code once the ledger answers again: %v", a)
	}
	if a := holder.json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
		t.Errorf("withdrawing once the ledger answers again: %v", a)
	}
	holder.fetch("/ward/x").refuses(t, 401, "")
	// and what is on disk is whole
	in.kill()
	in.run()
	if a := b.fetch("/ward/x"); a.StatusCode != 200 {
		t.Errorf("after kill -9: %v", a)
	}
	holder.fetch("/ward/x").refuses(t, 401, "")
}

// filesOf lists what is below a directory.
func filesOf(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return names
}
