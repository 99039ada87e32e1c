package redis

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/authflow/state/redis/redistest"
)

// benchmarkStep runs a step at many at once, as requests come.
func benchmarkStep(b *testing.B, step func(s *Store, n int64) error) {
	s := open(b, Config{URLs: []string{redistest.Start(b).URL()}})
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := step(s, n.Add(1)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func benchBudgets(n int64) []state.Budget {
	const limit = 1 << 30
	total := state.Budget{Name: "total", Key: numbered(0), Limit: limit, Window: time.Minute}
	var list []state.Budget
	for i := range int64(2) {
		list = append(list, state.Budget{Name: "own", Key: numbered(int(n*3 + i + 1)), Limit: limit, Window: time.Hour})
	}
	return append(list, total)
}

func benchHandshake() state.Handshake {
	now := time.Now()
	return state.Handshake{Sends: 1, CodeExpires: now.Add(time.Minute), NextSend: now.Add(time.Second), Sealed: make([]byte, 200)}
}

func BenchmarkCreate(b *testing.B) {
	h := benchHandshake()
	benchmarkStep(b, func(s *Store, n int64) error { return s.Create(b.Context(), numbered(int(n)), h, time.Minute) })
}

func BenchmarkCount(b *testing.B) {
	h := benchHandshake()
	benchmarkStep(b, func(s *Store, n int64) error {
		if n == 1 {
			if err := s.Create(b.Context(), numbered(1), h, time.Hour); err != nil {
				return err
			}
		}
		if _, err := s.Count(b.Context(), numbered(1), h.Scope); err != state.ErrNotFound {
			return err
		}
		return nil
	})
}

func BenchmarkTake3(b *testing.B) {
	benchmarkStep(b, func(s *Store, n int64) error {
		_, err := s.Take(b.Context(), benchBudgets(n)...)
		return err
	})
}

func BenchmarkGiveBack3(b *testing.B) {
	benchmarkStep(b, func(s *Store, n int64) error {
		return s.GiveBack(b.Context(), state.Return{Key: numbered(1)}, state.Return{Key: numbered(2)}, state.Return{Key: numbered(3)})
	})
}

func BenchmarkReadBoard(b *testing.B) {
	benchmarkStep(b, func(s *Store, n int64) error {
		_, _, _, err := s.Read(b.Context(), "")
		return err
	})
}

// BenchmarkHandshakeSteps is what one handshake asks of the state.
func BenchmarkHandshakeSteps(b *testing.B) {
	h := benchHandshake()
	benchmarkStep(b, func(s *Store, n int64) error {
		ctx, id := b.Context(), numbered(int(n))
		if _, err := s.Take(ctx, benchBudgets(n)...); err != nil {
			return err
		}
		if err := s.Create(ctx, id, h, time.Minute); err != nil {
			return err
		}
		if _, err := s.Count(ctx, id, h.Scope); err != nil {
			return err
		}
		if _, err := s.Take(ctx, state.Budget{Name: "wrong", Key: id, Limit: 15, Window: time.Hour}); err != nil {
			return err
		}
		if _, err := s.Spend(ctx, id, h.Code); err != nil {
			return err
		}
		if err := s.GiveBack(ctx, state.Return{Key: id, All: true}, state.Return{Key: numbered(int(n*3 + 1)), All: true}); err != nil {
			return err
		}
		return s.Delete(ctx, id)
	})
}
