package portal_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	test "github.com/kycvs/caddy-kycvs/authflow/authflowtest"
	"github.com/kycvs/caddy-kycvs/authflow/state/memory"
)

// quiet is a desk whose limits let everybody through and whose ledger waits for
// no disk.
func quiet(b *testing.B, inFlight int) *desk {
	d := newDeskOf(b, test.New(b, func(c *authflow.Config) {
		l := authflow.Limit{Count: 1 << 40, Window: time.Hour}
		c.Limits = authflow.Limits{CodesPerMobile: l, WrongPerMobile: l, CodesPerIP: l, CodesTotal: l, Countries: []int{91}}
		store := memory.Open(memory.Config{MaxHandshakes: inFlight + 1e6, MaxCounters: 4*inFlight + 1e6})
		b.Cleanup(func() { _ = store.Close() })
		c.State = store
	}))
	d.Ledger.Skip(true)
	return d
}

// BenchmarkHandshake is a whole handshake as a program makes it, from the fields
// to the assertion, with others under way. The messenger, the registry and the
// ledger do nothing: what is measured is what we do between them.
func BenchmarkHandshake(b *testing.B) {
	for _, inFlight := range []int{1e3, 1e4, 1e5, 1e6} {
		b.Run(fmt.Sprintf("%d in flight", inFlight), func(b *testing.B) {
			if inFlight > 1e5 && testing.Short() {
				b.Skip("takes a gigabyte")
			}
			d := quiet(b, inFlight)
			for i := range inFlight {
				who := authflow.Asker{Browser: authflow.ID128{byte(i), byte(i >> 8), byte(i >> 16)}, IP: netip.MustParseAddr("192.0.2.1"), Lang: "en"}
				mobile := fmt.Sprintf("9%09d", i)
				if _, err := d.Ask(b.Context(), d.audiences[0], who, authflow.Person{Mobile: mobile, Name: "Asha Rao", Consent: "Y"}, "/"); err != nil {
					b.Fatal(err)
				}
			}
			d.Phone.Forget()
			b.ReportAllocs()
			for b.Loop() {
				d.handshake(b)
			}
		})
	}
}

// handshake asks for a code and enters it.
func (d *desk) handshake(b *testing.B) {
	d.cookie = ""
	rec := d.post("/.kycvs/otp", `{"mobile_number":"9876543210","full_name":"Asha Rao","consent":"Y"}`)
	if rec.Code != http.StatusOK {
		b.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	m := d.Phone.Last()
	d.Phone.Forget()
	rec = d.post("/.kycvs/verify", `{"txnId":"`+m.TxnID+`","otp":"`+m.Code+`"}`)
	if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), "assertion") {
		b.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
}

func (d *desk) post(target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "http://mall.example"+target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	return d.do(r)
}
