package e2e

import "testing"

func TestScratch(t *testing.T) {
	in := start(t, setup{sites: arenaSites})
	for _, p := range protocols {
		a := in.send(t, p, request{host: "work.example", path: "/open", fields: []field{{lower(p, "Trailer"), "X-Checksum"}, {lower(p, "Kycvs_Assertion"), "x"}}, body: "abcdef", trailers: []field{{lower(p, "X-Checksum"), "1"}, {lower(p, "Kycvs-Foo"), "1"}}})
		t.Log(p, a)
		for _, q := range in.up.settled() {
			t.Logf("%s|%s|%v|%q", q.head, q.wire, q.trailers, q.body)
		}
	}
	t.Log(in.goroutines(), in.peakMemory())
	in.reload(in.setup)
	t.Log(in.browse(t, "https://shop.example").fetch("/x"))
	in.kill()
	in.run()
	t.Log(in.browse(t, "http://shop.example").fetch("/x"))
}
