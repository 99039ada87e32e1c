package caddymodule

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/authflow/state/memory"
	"github.com/kycvs/caddy-kycvs/registry"
)

// TestLimitsReachTheHandshake holds that no limit is forgotten on the way.
func TestLimitsReachTheHandshake(t *testing.T) {
	l := new(Limits)
	fill(reflect.ValueOf(l).Elem(), "Raw")
	l.WrongPerMobile = Limit{Count: 8, Window: 9}
	got := reflect.ValueOf(l.flow())
	for i := range got.NumField() {
		if got.Field(i).IsZero() {
			t.Errorf("%s is not handed on", got.Type().Field(i).Name)
		}
	}
	if got := l.flow(); got.CodesPerIP != (authflow.Limit{Count: 7, Window: 7, RecordOnly: true}) ||
		got.WrongPerMobile != (authflow.Limit{Count: 8, Window: 9}) ||
		got.UnenteredPerIP != (authflow.Share{Percent: 7, Least: 7, Window: 7, RecordOnly: true}) {
		t.Errorf("got %+v", got)
	}
}

// Where countries record only, a registry is asked about all of them; a number
// without a code stays one of the first.
func TestReadCountries(t *testing.T) {
	for _, c := range []struct {
		name string
		l    Limits
		want []int
	}{
		{"none", Limits{}, nil},
		{"two", Limits{Countries: []int{44, 91}}, []int{44, 91}},
		{"recorded", Limits{Countries: []int{44, 91}, CountriesRecordOnly: true}, []int{44, 91, registry.AnyCountry}},
		{"the default, recorded", Limits{CountriesRecordOnly: true}, []int{91, registry.AnyCountry}},
	} {
		if got := c.l.readCountries(); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// TestMemoryBoundsChange holds that other bounds are the same store with other
// bounds.
func TestMemoryBoundsChange(t *testing.T) {
	small, large := &MemoryState{MaxCounters: 100}, &MemoryState{}
	if small.PoolKey() != large.PoolKey() {
		t.Fatal("a reload with another bound would open another store")
	}
	s, err := small.Open(OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.(*memory.Store).Close() })
	take := func(i int) error {
		_, err := s.Take(t.Context(), state.Budget{Name: "codes_per_mobile", Key: state.Key{byte(i), byte(i >> 8)}, Limit: 1, Window: time.Hour})
		return err
	}
	for i := range 100 {
		if err := take(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := take(100); !errors.Is(err, state.ErrFull) {
		t.Fatalf("beyond the bound: %v", err)
	}
	large.Adjust(s)
	if err := take(100); err != nil {
		t.Errorf("with a larger bound: %v", err)
	}
	for _, bounds := range []*MemoryState{large, small} {
		bounds.Adjust(s)
		for i := range 101 {
			if limit, ok := errors.AsType[*state.LimitError](take(i)); !ok || limit.Budget != "codes_per_mobile" {
				t.Fatalf("counter %d is forgotten", i)
			}
		}
	}
	if err := take(101); !errors.Is(err, state.ErrFull) {
		t.Errorf("beyond the smaller bound: %v", err)
	}
}

// TestLimitMetric holds that what was refused is told from what was recorded.
func TestLimitMetric(t *testing.T) {
	r := prometheus.NewRegistry()
	if err := metrics().register(r); err != nil {
		t.Fatal(err)
	}
	count := func(limit, action string) float64 {
		t.Helper()
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() != "caddy_kycvs_limits_total" {
				continue
			}
			for _, m := range f.GetMetric() {
				labels := map[string]string{}
				for _, l := range m.GetLabel() {
					labels[l.GetName()] = l.GetValue()
				}
				if len(labels) == 2 && labels["limit"] == limit && labels["action"] == action {
					return m.GetCounter().GetValue()
				}
			}
		}
		return 0
	}
	for _, limit := range authflow.LimitNames {
		refused, recorded := count(limit, "refused"), count(limit, "recorded")
		metrics().Limit(limit, true)
		metrics().Limit(limit, false)
		metrics().Limit(limit, false)
		if count(limit, "refused") != refused+1 || count(limit, "recorded") != recorded+2 {
			t.Errorf("%s: got %v refused, %v recorded", limit, count(limit, "refused")-refused, count(limit, "recorded")-recorded)
		}
	}
}
