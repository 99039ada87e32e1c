package gate

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// BenchmarkStream is what a request costs more for being watched. Where a proxy
// waits for its context, a context of the standard library comes to it.
func BenchmarkStream(b *testing.B) {
	for _, proxied := range []bool{false, true} {
		b.Run(map[bool]string{false: "never waited for", true: "waited for"}[proxied], func(b *testing.B) {
			set := new(withdrawals.Set)
			s := NewStreams(time.Minute, set)
			defer s.Close()
			r := httptest.NewRequest("GET", "/", nil).WithContext(b.Context())
			h := hold{gate: new(Gate), ends: time.Now().Add(time.Hour).Unix()}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					v := new(Visit)
					r := v.stream.enter(s, r, &v.writer, h, set, 0)
					if proxied {
						_ = r.Context().Done()
					}
					v.stream.leave()
				}
			})
		})
	}
}
