package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/registry"
)

func init() {
	caddy.RegisterModule((*Authority)(nil))
}

// Authority serves what partners of this registry need who are elsewhere: the API
// below /api/v3/, its description at /openapi.json, the page that they can put
// into their own, and the public keys. Every partner of the app is served, with
// the keys, origins and return addresses it has there. What is none of these is
// handed on. It is the directive `kycvs_authority` of the Caddyfile.
type Authority struct {
	// Site lists the addresses of the site, as a Caddyfile has them, such as
	// `https://kyc.example`. Where one names no host, the app must have an Issuer. The
	// Caddyfile fills this in; the default is empty: no host is known.
	Site []string `json:"site,omitempty"`

	run authorityRun
}

// CaddyModule returns the Caddy module information.
func (*Authority) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.kycvs_authority", New: func() caddy.Module { return new(Authority) }}
}

// SubPartner is somebody a partner acts for.
type SubPartner struct {
	// ID is the sub-partner's id, the `sa` of a call and of its assertions: at most 64 of
	// a to z, 0 to 9, `.`, `_` and `-`, the first a letter or digit. It is required.
	ID string `json:"id,omitempty"`

	// Name is the sub-partner's name as people are shown it, beside the partner's. It is
	// required.
	Name string `json:"name,omitempty"`
}

// tokenSession is how long a token of the API is good for (contract, section 5),
// and a pass that the authority's own pages give out.
const tokenSession = 15 * time.Minute

// validate returns an error if there cannot be an authority with these partners.
// Like App.validate, it passes over what holds a placeholder until a is resolved.
func (au *Authority) validate(a *App) (site, error) {
	if a == nil {
		return site{}, errNoApp
	}
	s, err := parseSite(au.Site)
	if err != nil {
		return s, err
	}
	if len(a.Authorities) > 0 {
		return s, errors.New("kycvs_authority has no registry to answer from, because the global option kycvs asks another authority: take one of the two out")
	}
	if len(a.Partners) == 0 {
		return s, errors.New("kycvs_authority has nobody to answer: write `partner NAME { … }`, with the key_hash that `caddy kycvs partner-key` prints, in the global option kycvs")
	}
	if !s.bounded && a.Issuer == "" {
		return s, fmt.Errorf("%s names no host that could be the issuer: write `issuer https://…` in the global option kycvs", s)
	}
	for _, p := range a.Partners {
		if err := new(Gate).assertionsFit(a, p, s.origins()...); err != nil {
			return s, err
		}
	}
	return s, nil
}

// flow returns what the handshake is told of a partner.
func (p Partner) flow(purpose string) authflow.Partner {
	to := authflow.Partner{
		ID: p.ID, Name: cmp.Or(p.Name, p.ID), Purpose: purpose, Authority: p.authority,
		Programs: authflow.Programs{ConsentByCode: p.Consent == "by_code", Codes: p.Codes.flow()},
	}
	if day, err := time.Parse(time.DateOnly, p.Expires); err == nil {
		to.Until = day.AddDate(0, 0, 1) // the last day counts
	}
	for _, text := range p.KeyHashes {
		if h, err := authflow.ParseKeyHash(text); err == nil { // else validate has refused it
			to.Programs.Keys = append(to.Programs.Keys, h)
		}
	}
	if p.NameMatch.Strategy != "" {
		to.NameMatch = &registry.NameMatch{Partial: p.NameMatch.Partial}
	}
	for _, s := range p.SubPartners {
		to.SubPartners = append(to.SubPartners, authflow.SubPartner(s))
	}
	return to
}

// validateProgram returns an error for what is wrong with a partner's options
// for programs.
func (a *App) validateProgram(p Partner) error {
	if err := p.Codes.validate("codes"); err != nil {
		return err
	}
	if err := p.NameMatch.validate(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, s := range p.SubPartners {
		if s.ID == "" || s.Name == "" {
			return errors.New("sub_partner needs an id and a name: write e.g. `sub_partner yatra \"Yatra Travels\"`")
		}
		if seen[s.ID] {
			return fmt.Errorf("sub_partner %q is given twice: write it once", s.ID)
		}
		seen[s.ID] = true
		if a.settled(s.ID) {
			if err := checkSubPartnerID(s.ID); err != nil {
				return err
			}
		}
		if a.settled(s.Name) {
			if err := checkShown("sub_partner name", s.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkSubPartnerID(id string) error {
	if !partnerID.MatchString(id) {
		return fmt.Errorf("sub_partner %q is no id: write at most 64 of a-z, 0-9, \".\", \"_\" and \"-\", the first a letter or digit, e.g. yatra", id)
	}
	return nil
}

// longestSub is the longest id of those that the partner acts for.
func (p Partner) longestSub() (longest string) {
	for _, s := range p.SubPartners {
		if len(s.ID) > len(longest) {
			longest = s.ID
		}
	}
	return longest
}
