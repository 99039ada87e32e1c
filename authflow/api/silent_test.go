package api

import (
	"context"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// mute is a board that does not answer.
type mute struct{}

func (mute) Post(context.Context, []withdrawals.Withdrawal) error { return errAway }
func (mute) Read(_ context.Context, m withdrawals.Mark) ([]withdrawals.Withdrawal, withdrawals.Mark, bool, error) {
	return nil, m, false, errAway
}

// silent is a set that has heard of nobody for longer than it may.
func silent(t testing.TB) *withdrawals.Set {
	t.Helper()
	x, err := withdrawals.Open(withdrawals.Config{Board: mute{}, Grace: time.Nanosecond}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	return &x.Set
}
