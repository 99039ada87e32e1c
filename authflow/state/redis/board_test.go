package redis

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state/redis/redistest"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// soon is when the withdrawals of these tests end.
var soon = time.Now().Add(time.Hour).Truncate(time.Second).UTC()

func withdrawal(n int) (w withdrawals.Withdrawal) {
	binary.BigEndian.PutUint32(w.Consent[:], uint32(n))
	w.Until = soon
	return w
}

func post(t *testing.T, s *Store, list ...withdrawals.Withdrawal) {
	t.Helper()
	if err := s.Post(t.Context(), list); err != nil {
		t.Fatal(err)
	}
}

// wantRead fails the test unless a Read returns those withdrawals in that order.
func wantRead(t *testing.T, s *Store, since withdrawals.Mark, wantLost bool, want ...int) withdrawals.Mark {
	t.Helper()
	posted, next, lost, err := s.Read(t.Context(), since)
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, w := range posted {
		got = append(got, int(binary.BigEndian.Uint32(w.Consent[:])))
	}
	if lost != wantLost {
		t.Errorf("lost is %v, want %v", lost, wantLost)
	}
	if len(got) != len(want) {
		t.Fatalf("read %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("read %v, want %v", got, want)
		}
	}
	return next
}

func TestBoard(t *testing.T) {
	s := open(t, Config{URLs: []string{redistest.Start(t).URL()}})
	mark := wantRead(t, s, "", false)
	mark = wantRead(t, s, mark, false)
	post(t, s)
	post(t, s, withdrawal(1), withdrawal(2), withdrawal(1))
	mark = wantRead(t, s, mark, false, 1, 2)
	mark = wantRead(t, s, mark, false)
	post(t, s, withdrawal(2), withdrawal(3)) // what is there stays as it is
	mark = wantRead(t, s, mark, false, 3)
	wantRead(t, s, "", false, 1, 2, 3)
	wantRead(t, s, "somebody's", true, 1, 2, 3)
	forged := mark[:len(mark)-1] + "x"
	wantRead(t, s, forged, true, 1, 2, 3)

	for name, until := range map[string]time.Time{"never": {}, "later": soon, "gone": time.Unix(-5, 0), "far": time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		w := withdrawal(100)
		w.Consent[15] = name[0]
		w.Until = until
		post(t, s, w)
		posted, next, _, err := s.Read(t.Context(), mark)
		if err != nil || len(posted) != 1 || posted[0].Consent != w.Consent {
			t.Fatalf("%s: read %v, %v", name, posted, err)
		}
		if got := posted[0].Until; !got.Equal(until) && until.Unix() != -5 {
			t.Errorf("%s: Until is %v, want %v", name, got, until)
		}
		mark = next
	}
}

// TestBoardPages posts more than a Read returns, in one step and several.
func TestBoardPages(t *testing.T) {
	s := open(t, Config{URLs: []string{redistest.Start(t).URL()}})
	const n = 2*atOnce + 5
	var list []withdrawals.Withdrawal
	for i := range n {
		list = append(list, withdrawal(i))
	}
	post(t, s, list[:n-7]...)
	post(t, s, list[n-7:]...)
	var mark withdrawals.Mark
	seen := 0
	for _, want := range []int{atOnce, atOnce, 5, 0} {
		posted, next, lost, err := s.Read(t.Context(), mark)
		if err != nil || lost || len(posted) != want {
			t.Fatalf("read %d, %v, %v, want %d", len(posted), lost, err, want)
		}
		for _, w := range posted {
			if w != list[seen] {
				t.Fatalf("%d is %v, want %v", seen, w, list[seen])
			}
			seen++
		}
		mark = next
	}
}

// TestBoardForgets has withdrawals end: they are removed, and whoever had read
// up to one of them goes on as if it were there.
func TestBoardForgets(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, Config{URLs: []string{server.URL()}, Prefix: "kycvs"})
	ended := func(n int) withdrawals.Withdrawal {
		w := withdrawal(n)
		w.Until = time.Now().Add(-2 * endedFor * time.Second)
		return w
	}
	post(t, s, withdrawal(1), ended(2))
	mark := wantRead(t, s, "", false, 1, 2) // the poster sees it before it goes
	post(t, s, withdrawal(3))
	wantRead(t, s, "", false, 1, 3)
	mark = wantRead(t, s, mark, false, 3)
	for i := range 300 {
		post(t, s, ended(1000+i))
	}
	post(t, s, withdrawal(4))
	wantRead(t, s, "", false, 1, 3, 4)
	wantRead(t, s, mark, false, 4)
	for _, key := range s.keys.board[1:] {
		if n := server.Do("ZCARD", key).(int64); n != 3 {
			t.Errorf("%s has %d, want 3", key, n)
		}
	}
}

// TestBoardOlder restores what a board was a while ago, onto which more is
// posted than was lost.
func TestBoardOlder(t *testing.T) {
	server := redistest.Start(t)
	old := redistest.Start(t)
	s := open(t, Config{URLs: []string{server.URL()}, Prefix: "kycvs"})
	ends := withdrawal(2)
	ends.Until = time.Now().Add(-time.Second) // so that its absence alone says nothing
	post(t, s, withdrawal(1))
	copyBoard(t, server, old)
	post(t, s, ends)
	mark := wantRead(t, s, "", false, 1, 2)
	copyBoard(t, old, server)
	post(t, s, withdrawal(3), withdrawal(4))
	wantRead(t, s, mark, false, 3, 4)
}

// TestBoardParallel has many post while one reads on: it sees each once.
func TestBoardParallel(t *testing.T) {
	s := open(t, Config{URLs: []string{redistest.Start(t).URL()}})
	const posters, each = 8, 100
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for i := range each {
				if err := s.Post(t.Context(), []withdrawals.Withdrawal{withdrawal(p*each + i)}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	seen := map[[16]byte]bool{}
	var mark withdrawals.Mark
	deadline := time.Now().Add(20 * time.Second)
	for len(seen) < posters*each && !t.Failed() && time.Now().Before(deadline) {
		posted, next, lost, err := s.Read(t.Context(), mark)
		if err != nil || lost {
			t.Fatal(lost, err)
		}
		for _, w := range posted {
			if seen[w.Consent] {
				t.Fatal("was read twice")
			}
			seen[w.Consent] = true
		}
		mark = next
	}
	wg.Wait()
	if len(seen) != posters*each {
		t.Errorf("%d were read, want %d", len(seen), posters*each)
	}
}

func FuzzMark(f *testing.F) {
	f.Add("")
	f.Add(string(mark{generation: "kfmD0_VqHh3", place: 1 << 50, until: never}.format()))
	f.Fuzz(func(t *testing.T, text string) {
		m, ok := readMark(withdrawals.Mark(text))
		if !ok && m != (mark{}) {
			t.Fatal("an unreadable mark says something")
		}
		if ok && string(m.format()) != text {
			t.Fatalf("%q is written as %q", text, m.format())
		}
	})
}
