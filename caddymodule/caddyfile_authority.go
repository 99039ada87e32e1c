package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	httpcaddyfile.RegisterDirective("kycvs_authority", parseAuthority)
	httpcaddyfile.RegisterDirectiveOrder("kycvs_authority", httpcaddyfile.Before, "respond")
}

// parseAuthority reads the directive kycvs_authority (contract, section 2.2):
//
//	kycvs_authority [<matcher>]
//
// What it does not serve goes on, so a matcher is seldom needed.
func parseAuthority(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // the word kycvs_authority
	tok := h.Token()
	matchers, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, at(tok, fmt.Errorf("%w: define it in this site, e.g. `@name path /api/*`", err))
	}
	h.Next()
	if _, err := arguments(h.Dispenser, "kycvs_authority", "kycvs_authority", noArg); err != nil {
		return nil, err
	}
	if h.NextBlock(0) {
		return nil, errf(h.Dispenser, "kycvs_authority takes no block: write what partners need in the global option kycvs, in `partner NAME { … }`")
	}
	app := globalOption(h)
	if app == nil {
		return nil, at(tok, errNoApp)
	}
	site, err := siteOf(h)
	if err != nil {
		return nil, at(tok, err)
	}
	authority := &Authority{Site: site.addresses}
	if _, err := authority.validate(app); err != nil {
		return nil, at(tok, err)
	}
	if h.IsNamedRoute() && matchers == nil {
		matchers = caddy.ModuleMap{} // see standsInBlockOfNamedRoute
	}
	return h.NewRoute(matchers, authority), nil
}

// codesOption reads a partner's own limit, `codes COUNT DURATION [record_only]`.
func codesOption(into *Limit) option {
	const example = "codes 5000 1h"
	return option{name: "codes", example: example, args: argCount{2, 3}, read: func(_ *caddyfile.Dispenser, args []string) (err error) {
		if args, into.RecordOnly, err = cutRecordOnly("codes", example+" record_only", args, 2, 2); err != nil {
			return err
		}
		if into.Count, err = limitCountBounds.parse("codes count", args[0]); err != nil {
			return err
		}
		into.Window, err = limitWindowBounds.parse("codes window", args[1])
		return err
	}}
}

// subPartnerOption reads `sub_partner ID NAME`.
func subPartnerOption(into *[]SubPartner) option {
	const example = `sub_partner yatra "Yatra Travels"`
	return option{name: "sub_partner", example: example, many: true, args: twoArgs, read: func(_ *caddyfile.Dispenser, args []string) error {
		*into = append(*into, SubPartner{ID: args[0], Name: args[1]})
		if err := checkUnlessPlaceholder(args[0], checkSubPartnerID); err != nil {
			return err
		}
		return checkUnlessPlaceholder(args[1], func(s string) error { return checkShown("sub_partner name", s) })
	}}
}
