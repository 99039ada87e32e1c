package statetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

func list(t *testing.T, s state.Store, k state.Key) []string {
	t.Helper()
	entries, err := s.List(t.Context(), k)
	want(t, "List", err, nil)
	var all []string
	for _, e := range entries {
		all = append(all, string(e))
	}
	return all
}

func testList(t *testing.T, s state.Store) {
	k, other := key(), key()
	if got := list(t, s, k); len(got) != 0 {
		t.Errorf("a list that nobody began has %q", got)
	}
	all := []string{"one \x00\xff", "", "three"}
	for _, e := range all {
		want(t, "Append", s.Append(t.Context(), k, []byte(e), 3, lasting), nil)
	}
	want(t, "Append beyond the most", s.Append(t.Context(), k, []byte("four"), 3, lasting), state.ErrFull)
	if got := list(t, s, k); !slices.Equal(got, all) {
		t.Errorf("got %q, want %q", got, all)
	}
	want(t, "Append where more are allowed", s.Append(t.Context(), k, []byte("four"), 4, lasting), nil)
	want(t, "Append to another list", s.Append(t.Context(), other, []byte("one"), 1, lasting), nil)
	if got := list(t, s, other); !slices.Equal(got, []string{"one"}) {
		t.Errorf("another list has %q", got)
	}
	for _, ttl := range []time.Duration{0, -time.Second} {
		if err := s.Append(t.Context(), key(), nil, 1, ttl); err == nil {
			t.Errorf("Append for %v: no error", ttl)
		}
	}
	_, err := s.Load(t.Context(), k)
	want(t, "Load of a list", err, state.ErrNotFound)
}

func testListCopy(t *testing.T, s state.Store) {
	k, entry := key(), []byte("entry")
	want(t, "Append", s.Append(t.Context(), k, entry, 1, lasting), nil)
	entry[0]++
	got, err := s.List(t.Context(), k)
	want(t, "List", err, nil)
	if len(got) != 1 || !bytes.Equal(got[0], []byte("entry")) {
		t.Fatalf("a change after Append changed what is kept: %q", got)
	}
	got[0][0]++
	if got := list(t, s, k); got[0] != "entry" {
		t.Error("a change of what List returned changed what is kept")
	}
}

func testListExpiry(t *testing.T, s state.Store) {
	k, kept := key(), key()
	want(t, "Append", s.Append(t.Context(), k, []byte("one"), 2, life), nil)
	start := time.Now()
	want(t, "Append", s.Append(t.Context(), kept, []byte("one"), 2, life), nil)
	time.Sleep(life / 2)
	inTime(t, start, life)
	want(t, "Append that extends", s.Append(t.Context(), kept, []byte("two"), 2, lasting), nil)
	expire()
	if got := list(t, s, k); len(got) != 0 {
		t.Errorf("after its life the list has %q", got)
	}
	if got := list(t, s, kept); len(got) != 2 {
		t.Errorf("a list that was extended has %q", got)
	}
	want(t, "Append to one that is over", s.Append(t.Context(), k, []byte("new"), 1, lasting), nil)
	if got := list(t, s, k); !slices.Equal(got, []string{"new"}) {
		t.Errorf("begun again it has %q", got)
	}
}

func testListParallel(t *testing.T, s state.Store) {
	k := key()
	const most = 20
	n := make(chan int, 50)
	for i := range 50 {
		n <- i
	}
	outcomes := parallel(50, func() error {
		return s.Append(context.Background(), k, fmt.Appendf(nil, "%d", <-n), most, lasting)
	})
	wantOutcomes(t, outcomes, most, state.ErrFull)
	got := list(t, s, k)
	slices.Sort(got)
	if len(slices.Compact(got)) != most {
		t.Errorf("%d entries are kept, want %d", len(got), most)
	}
}
