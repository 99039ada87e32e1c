package caddymodule

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kycvs/caddy-kycvs/authflow"
)

// TestPartnersInJSON holds that what the Caddyfile refuses of a partner is
// refused in JSON too, and that no key is shown.
func TestPartnersInJSON(t *testing.T) {
	const config = `{"apps": {
		"kycvs": {
			"registry": {"engine": "csv", "path": "people.csv"},
			"sms": [{"sender": "log"}],
			"partners": [{"id": "rail", "purpose": "Booking a seat"%s}]
		},
		"http": {"servers": {"s": {"listen": [":9"], "routes": [{"handle": [{"handler": "kycvs_authority", "site": ["%s"]}]}]}}}
	}}`
	key := authflow.NewPartnerKey()
	hash := authflow.HashKey(key).String()
	for name, c := range map[string]struct{ partner, site, want string }{
		"as printed":                {`, "key_hashes": ["` + hash + `"]`, "kyc.example", ""},
		"from the environment":      {`, "key_hashes": ["{env.PARTNER_HASH}"]`, "kyc.example", ""},
		"a key":                     {`, "key_hashes": ["` + key + `"]`, "kyc.example", "write its key_hash"},
		"a key in the environment":  {`, "key_hashes": ["{env.PARTNER_KEY}"]`, "kyc.example", "write its key_hash"},
		"hex":                       {`, "key_hashes": ["` + strings.Repeat("0", 64) + `"]`, "kyc.example", "partner-key"},
		"the same hash twice":       {`, "key_hashes": ["` + hash + `", "` + hash + `"]`, "kyc.example", "write it once"},
		"codes without a window":    {`, "codes": {"count": 5}`, "kyc.example", "codes window"},
		"name_match without a word": {`, "name_match": {"partial": 60}`, "kyc.example", "partial 60"},
		"a sub-partner, no name":    {`, "sub_partners": [{"id": "yatra"}]`, "kyc.example", "sub_partner"},
		"a site without a host":     {``, ":9", "issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			setUpMachine(t)
			t.Setenv("PARTNER_HASH", hash)
			t.Setenv("PARTNER_KEY", key)
			err := validateJSON(t, fmt.Appendf(nil, config, c.partner, c.site))
			switch {
			case err == nil && c.want != "":
				t.Error("was taken")
			case err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			case err != nil && strings.Contains(err.Error(), key):
				t.Error("the error shows the key")
			}
		})
	}
}
