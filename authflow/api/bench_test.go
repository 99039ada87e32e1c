package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/authflowtest"
	"github.com/kycvs/caddy-kycvs/authflow/sms"
	"github.com/kycvs/caddy-kycvs/authflow/state/memory"
	"github.com/kycvs/caddy-kycvs/registry"
)

// BenchmarkOrder is one traveller's three calls, from generateOTP to the status,
// with the state in memory and a ledger on disk, and BenchmarkStatus the last of
// them alone.
func BenchmarkOrder(b *testing.B) {
	s := benchService(b)
	var n atomic.Int64
	b.SetParallelism(32) // a ledger's write waits for the disk
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mobile := fmt.Sprintf("9%09d", n.Add(1)%1_000_000_000)
			var asked struct{ TxnID string }
			s.call(b, "POST", pathGenerate, fmt.Sprintf(`{"mobile_number":%q,"full_name":"Some Body","consent":"Y"}`, mobile), "x-api-key", s.keys["rail"], &asked)
			code, _ := s.codes.LoadAndDelete(asked.TxnID)
			var got struct{ Token string }
			s.call(b, "POST", pathConfirm, fmt.Sprintf(`{"txnId":%q,"otp":%q}`, asked.TxnID, code), "x-api-key", s.keys["rail"], &got)
			s.call(b, "GET", pathStatus, "", "Authorization", "Bearer "+got.Token, nil)
		}
	})
}

func BenchmarkStatus(b *testing.B) {
	s := benchService(b)
	token := s.token("rail", authflowtest.Asha, "Asha Rao")
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.call(b, "GET", pathStatus, "", "Authorization", "Bearer "+token, nil)
		}
	})
}

type benched struct {
	*service
	codes *sync.Map
}

func (s *benched) call(b *testing.B, method, path, body, header, value string, to any) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set(header, value)
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r, s.audiences)
	if w.Code != http.StatusOK {
		b.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	if to != nil {
		if err := json.Unmarshal(w.Body.Bytes(), to); err != nil {
			b.Fatal(err)
		}
	}
}

// everybody is a registry in which everybody is called Some Body.
type everybody struct{ *authflowtest.Registry }

func (e everybody) Lookup(ctx context.Context, m registry.Mobile) ([]registry.Record, error) {
	if m == authflowtest.Asha {
		return e.Registry.Lookup(ctx, m)
	}
	return []registry.Record{{ID: string(m), Mobile: m, Name: "Some Body"}}, nil
}

// hand gives the codes to whoever asks for them.
type hand struct{ codes *sync.Map }

func (h hand) Send(_ context.Context, m sms.Message, _ func()) error {
	h.codes.Store(m.TxnID, m.Code)
	return nil
}

func benchService(b *testing.B) *benched {
	s := &benched{codes: new(sync.Map)}
	s.service = newService(b, func(c *authflow.Config) {
		c.Registry = everybody{c.Registry.(*authflowtest.Registry)}
		c.Messenger = both{hand{s.codes}, c.Messenger}
		c.State = memory.Open(memory.Config{MaxHandshakes: 1e7, MaxCounters: 1e8})
		c.Limits.CodesTotal.Count = 1e9
	})
	s.h.Observer = unseen{}
	s.audiences[0].Programs.Codes = authflow.Limit{Count: 1e9, Window: time.Hour}
	return s
}

// both sends to two.
type both struct{ one, other authflow.Messenger }

func (m both) Send(ctx context.Context, msg sms.Message, failed func()) error {
	if msg.To == authflowtest.Asha {
		return m.other.Send(ctx, msg, failed)
	}
	return m.one.Send(ctx, msg, failed)
}

type unseen struct{}

func (unseen) API(string, string) {}
