package e2e

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kycvs/caddy-kycvs/authflow/state/redis/redistest"
)

// The disk of one instance's ledger is full: no pass is made there without a
// record, no consent is taken back there without one, and both can be done at
// another instance, with the same code and the same pass.
func TestLedgerOfOneInstanceFull(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := startFleet(t, 2, "state redis "+server.URL(), nil)
	v, holder := f.visitor(t), f.visitor(t)
	holder.signIn(somebody(0), 0, 1)
	gone := holder.twin()
	txn, code := v.at(0).ask(asha)
	limit := func(n uint64) {
		t.Helper()
		if err := unix.Prlimit(f.all[0].cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: unix.RLIM_INFINITY}, nil); err != nil {
			t.Skip("no limit of file sizes can be set here:", err)
		}
	}
	limit(1)
	refusedSoon(t, "entering the code", func() *answer { return v.at(0).verify(txn, code) })
	f.all[0].notReady(t, "ledger")
	v.at(0).fetch("/ward/x").refuses(t, 401, "")
	refusedSoon(t, "withdrawing", func() *answer { return holder.at(0).json("/.kycvs/withdraw", fields{}) })
	for i := range f.all {
		if !gone.getsIn(i) {
			t.Errorf("a withdrawal that is recorded nowhere counts at instance %d", i)
		}
	}
	if a := v.at(1).verify(txn, code); a.StatusCode != 200 {
		t.Errorf("the same code at the other instance: %v", a)
	}
	if !v.getsIn(0) {
		t.Error("the pass does not count where the disk is full")
	}
	if a := holder.at(1).json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
		t.Errorf("withdrawing at the other instance: %v", a)
	}
	within(t, time.Second, "the first knows", func() bool { return !gone.getsIn(0) })
	limit(unix.RLIM_INFINITY)
	within(t, 2*time.Second, "ready", f.all[0].isReady)
	f.visitor(t).signIn(somebody(1), 1, 0)
}
