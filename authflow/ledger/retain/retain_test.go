package retain_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/ledgertest"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/retain"
)

// What is carried over is in ledgertest, with an engine underneath.

func TestCheckKeep(t *testing.T) {
	for keep, good := range map[time.Duration]bool{0: true, 365 * 24 * time.Hour: true, 365*24*time.Hour - 1: false, -1: false, time.Hour: false} {
		if err := retain.CheckKeep(keep); (err == nil) != good {
			t.Errorf("%v: %v", keep, err)
		}
	}
}

// TestUnknownEvent stops before an event that only a later version knows: nobody
// can say whether it still counts.
func TestUnknownEvent(t *testing.T) {
	sample, err := chain.BodyOf(ledgertest.Sample("c"))
	if err != nil {
		t.Fatal(err)
	}
	at := ledgertest.Sample("c").At
	p := retain.NewPlan(at.Add(time.Hour), at.AddDate(1, 0, 0))
	head := chain.Genesis()
	for i, body := range []chain.Body{sample, chain.Body(`"event":"shredded","at":"2020-01-01T00:00:00Z"`), sample} {
		var raw []byte
		raw, head = chain.Append(nil, head, body)
		l, err := chain.Read(raw)
		if err != nil {
			t.Fatal(err)
		}
		if goes, err := p.Add(l); err != nil || goes != (i == 0) {
			t.Errorf("line %d goes: %v, %v", i+1, goes, err)
		}
	}
	if got := p.Cut().Seq; got != 1 {
		t.Errorf("cut behind entry %d, want 1", got)
	}
}

func TestMost(t *testing.T) {
	body, err := chain.BodyOf(ledgertest.Sample("c"))
	if err != nil {
		t.Fatal(err)
	}
	p := retain.NewPlan(time.Now().AddDate(10, 0, 0), time.Now().AddDate(10, 0, 0))
	p.Most = 2
	head := chain.Genesis()
	for range 5 {
		var raw []byte
		raw, head = chain.Append(nil, head, body)
		l, err := chain.Read(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Add(l); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.Cut().Seq; got != 2 {
		t.Errorf("cut behind entry %d, want 2", got)
	}
}

func TestDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		var at []time.Duration
		go retain.Daily(ctx, retain.Least, slog.New(slog.DiscardHandler), func(_ context.Context, before time.Time) (*chain.Pruned, error) {
			if got := time.Since(before); got != retain.Least {
				t.Errorf("before %v ago, want %v", got, retain.Least)
			}
			at = append(at, time.Since(start))
			switch len(at) {
			case 1:
				return nil, errors.New("the disk is full")
			case 2:
				return &chain.Pruned{Removed: 3}, nil
			}
			return nil, nil
		})
		time.Sleep(49 * time.Hour)
		cancel()
		synctest.Wait()
		const day = 24 * time.Hour
		want := []time.Duration{time.Minute, day + time.Minute, 2*day + time.Minute}
		if len(at) != 3 || at[0] != want[0] || at[1] != want[1] || at[2] != want[2] {
			t.Errorf("ran after %v, want %v", at, want)
		}
	})
}
