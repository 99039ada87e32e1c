package caddymodule

import (
	"cmp"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/kycvs/caddy-kycvs/authflow/portal"
	"github.com/kycvs/caddy-kycvs/authflow/remote"
)

// The defaults of a gate.
const (
	defaultSession      = caddy.Duration(12 * time.Hour)
	defaultAssertionTTL = caddy.Duration(60 * time.Second)
)

// fillDefaults puts the default where nothing was written (contract, section
// 2.1).
func (a *App) fillDefaults() {
	if len(a.SMSLanguages) == 0 {
		a.SMSLanguages = portal.Languages()
	}
	for i, r := range a.Authorities {
		a.Authorities[i].Issuer = r.issuer(a)
		a.Authorities[i].FollowEvery = cmp.Or(r.FollowEvery, caddy.Duration(remote.DefaultFollowEvery))
	}
	a.StateGrace = cmp.Or(a.StateGrace, caddy.Duration(15*time.Minute))
	a.StreamGrace = cmp.Or(a.StreamGrace, caddy.Duration(10*time.Second))
	a.Signing.Algorithm = cmp.Or(a.Signing.Algorithm, "ES256")
	a.Signing.RotateEvery = cmp.Or(a.Signing.RotateEvery, caddy.Duration(30*day))
	a.OTP.Length = cmp.Or(a.OTP.Length, 6)
	a.OTP.Lifetime = cmp.Or(a.OTP.Lifetime, caddy.Duration(3*time.Minute))
	a.OTP.Attempts = cmp.Or(a.OTP.Attempts, 3)
	a.OTP.ResendAfter = cmp.Or(a.OTP.ResendAfter, caddy.Duration(30*time.Second))
	a.Limits.CodesPerMobile = cmp.Or(a.Limits.CodesPerMobile, Limit{Count: 5, Window: caddy.Duration(day)})
	a.Limits.WrongPerMobile = cmp.Or(a.Limits.WrongPerMobile, Limit{Count: 15, Window: caddy.Duration(day)})
	a.Limits.CodesPerIP = cmp.Or(a.Limits.CodesPerIP, Limit{Count: 60, Window: caddy.Duration(time.Hour)})
	a.Limits.CodesTotal = cmp.Or(a.Limits.CodesTotal, Limit{Count: 1000, Window: caddy.Duration(time.Minute)})
	if len(a.Limits.Countries) == 0 {
		a.Limits.Countries = []int{91}
	}
	a.NameMatch.Strategy = cmp.Or(a.NameMatch.Strategy, "exact")
	a.RememberedPasses = cmp.Or(a.RememberedPasses, 100_000)
	for i := range a.Partners {
		a.Partners[i].Name = cmp.Or(a.Partners[i].Name, a.Partners[i].ID)
	}
}

// fillDefaults puts the default where nothing was written (contract, section
// 2.2). An assertion does not outlast a pass, so a short session shortens it.
func (g *Gate) fillDefaults() {
	g.Session = cmp.Or(g.Session, defaultSession)
	g.AssertionTTL = cmp.Or(g.AssertionTTL, min(defaultAssertionTTL, g.Session))
}
