package withdrawals

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
)

func TestSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set
		began := time.Now()
		err := s.Learn(t.Context(), lines{entries: []ledger.Entry{
			{Event: ledger.Withdrawn, Consent: idOf(1), At: began.Add(-time.Hour), Until: began.Add(time.Hour)},
			{Event: ledger.Withdrawn, Consent: idOf(2), At: began.Add(-time.Hour), Until: began.Add(time.Hour)},
			{Event: ledger.Withdrawn, Consent: idOf(3), At: began.Add(time.Hour), Until: began.Add(time.Hour)},
		}}, began)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		s.Add(withdrawal(4))
		s.Add(withdrawal(5))
		s.Add(withdrawal(4))
		all := func([16]byte) bool { return true }
		for _, c := range []struct {
			name  string
			since time.Time
			most  int
			mine  func([16]byte) bool
			want  int
			more  bool
		}{
			{"all", time.Time{}, 10, all, 5, false},
			{"two of them", time.Time{}, 2, all, 2, true},
			{"just as many", time.Time{}, 5, all, 5, false},
			{"from the start on", began, 10, all, 3, false},
			{"the last minute's", began.Add(time.Second), 10, all, 2, false},
			{"one partner's", time.Time{}, 10, func(c [16]byte) bool { return c == [16]byte{5} }, 1, false},
			{"none is newer", time.Now().Add(time.Second), 10, all, 0, false},
		} {
			list, more := s.Since(c.since, c.most, c.mine)
			if len(list) != c.want || more != c.more {
				t.Errorf("%s: %d and %v, want %d and %v", c.name, len(list), more, c.want, c.more)
			}
			for i := 1; i < len(list); i++ {
				if !list[i].At.After(list[i-1].At) {
					t.Errorf("%s: %d is not after the one before", c.name, i)
				}
			}
		}
	})
}
