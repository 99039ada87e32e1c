package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// metric sums the samples of a metric that carry the given label value.
func (in *instance) metric(t testing.TB, name, label string) float64 {
	t.Helper()
	_, text := in.adminGet("/metrics")
	sum := 0.0
	for line := range strings.SplitSeq(text, "\n") {
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") || !strings.Contains(line, label) {
			continue
		}
		f := strings.Fields(line)
		n, err := strconv.ParseFloat(f[len(f)-1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// Section 9: the metrics are there, count, come from closed sets and survive a
// reload.
func TestMetrics(t *testing.T) {
	t.Parallel()
	in := start(t, setup{global: "metrics", kycvs: plenty, sites: gateSites})
	b := in.browse(t, "https://work.example")
	b.signIn(asha)
	count := func(name, label string) float64 { t.Helper(); return in.metric(t, name, label) }
	moves := func(what, name, label string, do func()) {
		t.Helper()
		before := count(name, label)
		do()
		if after := count(name, label); after <= before {
			t.Errorf("%s: %s{%s} stayed at %v", what, name, label, after)
		}
	}
	for _, when := range []string{"before a reload", "after it"} {
		moves("a request with a pass "+when, "caddy_kycvs_gate_requests_total", "", func() { b.fetch("/ward/x") })
		moves("a request without "+when, "caddy_kycvs_gate_requests_total", "", func() { in.browse(t, "https://work.example").fetch("/ward/x") })
		moves("a handshake "+when, "caddy_kycvs_handshakes_total", "", func() { in.browse(t, "https://work.example").signIn(vikram) })
		moves("a message "+when, "caddy_kycvs_sms_total", `sender="http"`, func() { in.browse(t, "https://work.example").signIn(vikram) })
		moves("a look-up "+when, "caddy_kycvs_registry_lookup_seconds_count", "", func() { in.browse(t, "https://work.example").signIn(vikram) })
		moves("a signature "+when, "caddy_kycvs_assertions_signed_total", "", func() { in.browse(t, "https://work.example").signIn(vikram) })
		in.reload(in.setup)
	}
	// Labels come from closed sets, whatever clients send.
	for i := range 30 {
		s := strconv.Itoa(i)
		b.do("M"+s, "/ward/"+s, "", "", "Host", "h"+s+".example", "User-Agent", "u"+s)
		b.json("/.kycvs/otp", fields{"mobile_number": s, "full_name": s, "consent": s, "for": s})
		b.json("/.kycvs/verify", fields{"txnId": s, "otp": s})
	}
	_, text := in.adminGet("/metrics")
	series := map[string]int{}
	for line := range strings.SplitSeq(text, "\n") {
		m := regexp.MustCompile(`^(caddy_kycvs_\w+)\{?([^}]*)`).FindStringSubmatch(line)
		if m == nil {
			continue
		}
		series[m[1]]++
		for _, l := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(m[2], -1) {
			if want := map[string]string{"caddy_kycvs_gate_requests_total": "decision", "caddy_kycvs_handshakes_total": "outcome"}[m[1]]; want != "" && l[1] != want {
				t.Errorf("%s has a label %s", m[1], l[1])
			}
			if l[1] != "le" && !regexp.MustCompile(`^[a-z_]*$`).MatchString(l[2]) {
				t.Errorf("%s has %s=%q", m[1], l[1], l[2])
			}
		}
	}
	for name, n := range series {
		if n > 20 {
			t.Errorf("%s has %d series", name, n)
		}
	}
	for _, name := range []string{"caddy_kycvs_gate_requests_total", "caddy_kycvs_handshakes_total", "caddy_kycvs_sms_total", "caddy_kycvs_registry_lookup_seconds_count", "caddy_kycvs_assertions_signed_total"} {
		if series[name] == 0 {
			t.Errorf("no %s", name)
		}
	}
	if promtool := regexp.MustCompile(`(?m)^# HELP caddy_kycvs_\w+ \S`).FindAllString(text, -1); len(promtool) < 5 {
		t.Errorf("%d of ours have a help text", len(promtool))
	}
}

// "Asking for a code never asks the registry … The registry is asked once the
// code has proved the phone."
func TestRegistryIsAskedAfterTheCode(t *testing.T) {
	t.Parallel()
	in := start(t, setup{global: "metrics", kycvs: plenty, sites: gateSites})
	lookups := func() float64 { return in.metric(t, "caddy_kycvs_registry_lookup_seconds_count", "") }
	before := lookups()
	for _, p := range []person{asha, nobody, twin} {
		b := in.browse(t, "https://work.example")
		txn, code := b.ask(p)
		b.verify(txn, wrong(code)).refuses(t, 401, "otp_invalid")
		if n := lookups(); n != before {
			t.Errorf("%v look-ups before the phone was proved", n-before)
		}
		b.verify(txn, code)
		if n := lookups(); n != before+1 {
			t.Errorf("%v look-ups for one code", n-before)
		}
		before = lookups()
	}
}

// A remembered pass costs no signature.
func TestSignaturesAreRemembered(t *testing.T) {
	t.Parallel()
	in := start(t, setup{global: "metrics", sites: gateSites})
	b := in.browse(t, "https://work.example")
	b.signIn(asha)
	b.fetch("/ward/x")
	before := in.metric(t, "caddy_kycvs_assertions_signed_total", "")
	for range 200 {
		b.fetch("/ward/x")
	}
	if signed := in.metric(t, "caddy_kycvs_assertions_signed_total", "") - before; signed > 2 {
		t.Errorf("200 requests took %v signatures", signed)
	}
}

// "On Caddy's admin address, GET /kycvs/ready answers 200 or 503 and names what
// is not answering."
func TestReadiness(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: gateSites})
	if code, body := in.adminGet("/kycvs/ready"); code != 200 {
		t.Errorf("ready: %d %s", code, body)
	}
	if err := os.Remove(filepath.Join(in.home.dir, "people.csv")); err != nil {
		t.Fatal(err)
	}
	in.log.wait(t, `"level":"error"`)
	// the old content is kept, so a look-up is answered still
	code, body := in.adminGet("/kycvs/ready")
	t.Logf("with the registry's file gone: %d %s", code, body)
	if code == 503 && !strings.Contains(body, "registry") {
		t.Errorf("503 that does not name the registry: %s", body)
	}
	if a := in.browse(t, "https://work.example").fetch("/kycvs/ready"); strings.Contains(string(a.body), "registry") {
		t.Errorf("readiness is shown to the public: %v", a)
	}

}
