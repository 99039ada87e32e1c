package caddymodule

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// sites is what the directive kycvs_test_site saw.
var sites struct {
	mu   sync.Mutex
	seen []site
}

func init() {
	httpcaddyfile.RegisterDirective("kycvs_test_site", func(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
		h.Next()
		s, err := siteOf(h)
		sites.mu.Lock()
		defer sites.mu.Unlock()
		sites.seen = append(sites.seen, s)
		return nil, err
	})
	httpcaddyfile.RegisterDirectiveOrder("kycvs_test_site", httpcaddyfile.Before, "respond")
}

// TestSiteOf pins what is read from the adapter by reflection. If it fails with
// a newer Caddy, look at the fields of httpcaddyfile.Helper.
func TestSiteOf(t *testing.T) {
	for _, c := range []struct {
		name, caddyfile string
		want            []site
	}{
		{"one host", "http://localhost:8080 {\nkycvs_test_site\n}", []site{{[]string{"http://localhost:8080"}, []string{"localhost"}, true, true}}},
		{"no braces", "mall.example\n\nkycvs_test_site", []site{{[]string{"mall.example"}, []string{"mall.example"}, true, true}}},
		{"several", "A.example, http://b.example:81, https://a.example {\nkycvs_test_site\n}", []site{{[]string{"A.example", "http://b.example:81", "https://a.example"}, []string{"a.example", "b.example"}, true, true}}},
		{"port alone", ":8080 {\nkycvs_test_site\n}", []site{{[]string{":8080"}, nil, false, true}}},
		{"wildcard beside a host", "a.example, *.example {\nkycvs_test_site\n}", []site{{[]string{"a.example", "*.example"}, []string{"a.example"}, false, true}}},
		{"label wildcard", "http://a.*.example {\nkycvs_test_site\n}", []site{{[]string{"http://a.*.example"}, nil, false, true}}},
		{"placeholder", "{env.HOST}:80 {\nkycvs_test_site\n}", []site{{[]string{"{env.HOST}:80"}, nil, false, true}}},
		{"IPv4", "http://192.0.2.1 {\nkycvs_test_site\n}", []site{{[]string{"http://192.0.2.1"}, []string{"192.0.2.1"}, true, true}}},
		{"IPv6", "http://[2001:DB8::1]:80 {\nkycvs_test_site\n}", []site{{[]string{"http://[2001:DB8::1]:80"}, []string{"2001:db8::1"}, true, true}}},
		{"IPv6 without port", "http://[2001:db8::1] {\nkycvs_test_site\n}", []site{{[]string{"http://[2001:db8::1]"}, []string{"2001:db8::1"}, true, true}}},
		{"IDNA", "bücher.example {\nkycvs_test_site\n}", []site{{[]string{"bücher.example"}, []string{"xn--bcher-kva.example"}, true, true}}},
		{"in handle", "a.example {\nhandle {\nkycvs_test_site\n}\n}", []site{{[]string{"a.example"}, []string{"a.example"}, true, false}}},
		{"deep down", "a.example {\nroute {\nhandle {\nkycvs_test_site\n}\n}\n}", []site{{[]string{"a.example"}, []string{"a.example"}, true, false}}},
		{"imported at the top and in a block", "(s) {\nkycvs_test_site\n}\na.example {\nimport s\nhandle {\nimport s\n}\n}", []site{
			{[]string{"a.example"}, []string{"a.example"}, true, true}, {[]string{"a.example"}, []string{"a.example"}, true, false},
		}},
		{"named route", "&(s) {\nkycvs_test_site\n}\na.example {\ninvoke s\n}", []site{{}}},
		{"two sites", "a.example {\nkycvs_test_site\n}\nb.example {\nkycvs_test_site\n}", []site{
			{[]string{"a.example"}, []string{"a.example"}, true, true}, {[]string{"b.example"}, []string{"b.example"}, true, true},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sites.seen = nil
			if _, _, err := adapt("Caddyfile", []byte(c.caddyfile)); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(sites.seen, c.want) {
				t.Errorf("got %+v\nwant %+v", sites.seen, c.want)
			}
		})
	}
}

// TestGateInNamedRouteIsNotLost holds against what Caddy v2.11.9 does to a named
// route whose handlers have no matchers.
func TestGateInNamedRouteIsNotLost(t *testing.T) {
	const body = `{
	kycvs {
		registry csv people.csv
		sms log
		issuer https://kyc.example
	}
}

&(door) {
	header X-Lane fast
	kycvs 2 {
		partner door
		purpose "Entry to the hall"
	}
	respond ok
}

http://mall.example {
	invoke door
}
`
	got, _, err := adapt("Caddyfile", []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	text := string(got)
	order := []int{strings.Index(text, `"X-Lane"`), strings.Index(text, `"handler": "kycvs"`), strings.Index(text, `"body": "ok"`)}
	if slices.Contains(order, -1) || !slices.IsSorted(order) {
		t.Errorf("handlers at %v in:\n%s", order, got)
	}
}

func FuzzParseSite(f *testing.F) {
	for _, s := range []string{"http://localhost:8080", ":80", "*.a", "[::1]:80", "a/b", "bücher.example", "{env.X}", "xn--", "http://"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		s, err := parseSite([]string{address})
		if err != nil {
			return
		}
		for _, h := range s.hosts {
			if h == "" || strings.ContainsAny(h, "*{}/") || h != strings.ToLower(h) {
				t.Errorf("%q gives the host %q", address, h)
			}
		}
		if s.bounded != (len(s.hosts) == 1) {
			t.Errorf("%q: %+v", address, s)
		}
	})
}
