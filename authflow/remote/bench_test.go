package remote_test

import (
	"net/http/httptest"
	"testing"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/remote"
)

// BenchmarkHandshake is what a handshake costs: at the authority alone, and with a
// remote gate that asks it over TLS on this machine (three calls, one assertion
// signed and checked, both ledgers without their disks).
func BenchmarkHandshake(b *testing.B) {
	f := newFake(b)
	server := httptest.NewTLSServer(f)
	defer server.Close()
	p := newPlace(b, f, func(c *remote.Config) { c.URL, c.Transport, c.Issuer = server.URL, server.Client().Transport, origin })
	f.Ledger.Skip(true)
	p.Ledger.Skip(true)
	for _, c := range []struct {
		name string
		flow *authflow.Flow
		at   *authflow.Audience
	}{{"local", f.Flow, f.at}, {"remote", p.Flow, p.at}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				asked, err := c.flow.Ask(b.Context(), c.at, by, asha(), "")
				if err != nil {
					b.Fatal(err)
				}
				if _, err := c.flow.Confirm(b.Context(), c.at, by.Browser, asked.TxnID, authflow.Proof{Code: f.Phone.Last().Code}); err != nil {
					b.Fatal(err)
				}
				f.Phone.Forget()
			}
		})
	}
}
