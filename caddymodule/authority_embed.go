package caddymodule

import (
	"github.com/kycvs/caddy-kycvs/authflow/embed"
	"github.com/kycvs/caddy-kycvs/authflow/gate"
)

// newEmbed makes what serves embed.js, the frame and the redirect, for every
// partner that has registered where the answer may go.
func newEmbed(conf *App, services *gate.Services) (*embed.Handler, error) {
	partners := make(map[string]embed.Registered, len(conf.Partners))
	for _, p := range conf.Partners {
		partners[p.ID] = embed.Registered{Origins: p.Origins, Returns: p.Returns}
	}
	p := services.Portal
	return embed.New(embed.Config{
		Flow:        p.Flow,
		Minter:      p.Minter,
		Withdrawals: p.Withdrawals,
		Whole:       p.Whole,
		Pages:       p.Pages,
		Partners:    partners,
		Trial:       p.Trial,
		Logger:      p.Logger,
	})
}

// checkPartnerOrigin says why an origin cannot be registered for a partner.
func checkPartnerOrigin(s string) error {
	if err := checkOrigin("origin", s); err != nil {
		return err
	}
	return embed.CheckOrigin(s)
}
