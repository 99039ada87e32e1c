package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// errNoApp says that there is a gate, and nothing for it to ask.
var errNoApp = errors.New("kycvs is not set up: write the global option, e.g. `{ kycvs { registry csv people.csv; sms log } }` with each part on its own line, at the top of the Caddyfile")

// validate returns an error for the first option of the gate that is missing,
// out of bounds or contradictory. Like App.validate, it passes over what holds a
// placeholder until a is resolved.
func (g *Gate) validate(a *App) error {
	if a == nil {
		return errNoApp
	}
	if err := levelBounds.check("level", g.Level); err != nil {
		return err
	}
	if g.Optional && g.Level != 0 {
		return fmt.Errorf("optional and level %d contradict each other: write one of them", g.Level)
	}
	if err := g.validateDurations(); err != nil {
		return err
	}
	_, err := g.answersFor(a)
	return err
}

func (g *Gate) validateDurations() error {
	if g.Session != 0 {
		if err := sessionBounds.check("session", g.Session); err != nil {
			return err
		}
	}
	if g.MaxAge != 0 {
		if err := maxAgeBounds.check("max_age", g.MaxAge); err != nil {
			return err
		}
	}
	if g.AssertionTTL != 0 {
		if err := assertionTTLBounds.check("assertion_ttl", g.AssertionTTL); err != nil {
			return err
		}
	}
	session := time.Duration(cmp.Or(g.Session, defaultSession))
	if maxAge := time.Duration(g.MaxAge); maxAge > session {
		return fmt.Errorf("max_age %s and session %s contradict each other, because no pass lasts that long: write `session %s`, or a max_age of at most %s",
			formatDuration(maxAge), formatDuration(session), formatDuration(maxAge), formatDuration(session))
	}
	if ttl := time.Duration(g.AssertionTTL); ttl > session {
		return fmt.Errorf("assertion_ttl %s and session %s contradict each other, because an assertion would outlast its pass: write an assertion_ttl of at most %s",
			formatDuration(ttl), formatDuration(session), formatDuration(session))
	}
	return nil
}

// answersFor returns the partners that the gate may answer for: the one it
// names, or else one for each host of its site. A client never chooses who is
// aud, iss, or in a text message (contract, section 2.2), so where the site's
// address names no host, the configuration must.
func (g *Gate) answersFor(a *App) ([]Partner, error) {
	site, err := parseSite(g.Site)
	if err != nil {
		return nil, err
	}
	if own := a.ownPartner(); g.Partner == "" && own != "" {
		g = &Gate{Partner: own, Purpose: g.Purpose, Site: g.Site}
	}
	if g.Purpose != "" && a.settled(g.Purpose) {
		if err := checkShown("purpose", g.Purpose); err != nil {
			return nil, err
		}
	}
	if !site.bounded {
		if g.Partner == "" {
			return nil, fmt.Errorf("%s names no host that could be the partner: write `partner NAME` and `purpose \"…\"` in this gate", site)
		}
		if a.Issuer == "" {
			return nil, fmt.Errorf("%s names no host that could be the issuer: write `issuer https://…` in the global option kycvs", site)
		}
	}
	if g.Partner == "" {
		return g.hostsAsPartners(a, site)
	}
	if a.settled(g.Partner) {
		if err := checkPartnerID(g.Partner); err != nil {
			return nil, err
		}
	}
	p, known := a.partner(g.Partner)
	switch {
	case known:
		err = g.agreesWith(p)
	case g.Purpose == "" && len(a.Authorities) > 0:
		p = Partner{ID: g.Partner, Name: g.Partner, Purpose: "Entry to " + g.Partner, assumed: true}
	case g.Purpose == "" && a.settled(g.Partner):
		err = fmt.Errorf("partner %q is not known%s: write its `purpose \"…\"` in this gate, or `partner %s { … }` in the global option kycvs", g.Partner, a.knownPartners(), g.Partner)
	default:
		p = Partner{ID: g.Partner, Name: g.Partner, Purpose: g.Purpose}
	}
	if err == nil {
		p, err = a.viaAuthority(p)
	}
	if err != nil {
		return nil, err
	}
	return []Partner{p}, g.assertionsFit(a, p, site.origins()...)
}

func (g *Gate) hostsAsPartners(a *App, site site) ([]Partner, error) {
	var partners []Partner
	for _, host := range site.hosts {
		p, known := a.partner(host)
		if !known {
			p = Partner{ID: host, Name: host, Purpose: cmp.Or(g.Purpose, "Entry to "+host), assumed: g.Purpose == ""}
		} else if err := g.agreesWith(p); err != nil {
			return nil, err
		}
		if err := g.assertionsFit(a, p, site.origins()...); err != nil {
			return nil, err
		}
		partners = append(partners, p)
	}
	return partners, nil
}

// agreesWith returns an error if the gate gives a partner of the global block
// another purpose.
func (g *Gate) agreesWith(p Partner) error {
	if g.Purpose == "" || g.Purpose == p.Purpose {
		return nil
	}
	return fmt.Errorf("partner %q has the purpose %q in the global option kycvs and %q here: one partner has one purpose; leave it out here, or write another partner", p.ID, p.Purpose, g.Purpose)
}

func (g *Gate) assertionsFit(a *App, p Partner, origins ...string) error {
	if !a.settled(p.Purpose) || !a.settled(a.Issuer) {
		return nil
	}
	if a.Issuer != "" {
		origins = []string{a.Issuer}
	}
	for _, issuer := range origins {
		if err := checkAssertionFits(cmp.Or(a.Signing.Algorithm, "ES256"), issuer, p); err != nil {
			return err
		}
	}
	return nil
}

// knownPartners lists the partners of the global block for a message.
func (a *App) knownPartners() string {
	if len(a.Partners) == 0 {
		return ""
	}
	var ids []string
	for _, p := range a.Partners {
		ids = append(ids, p.ID)
	}
	slices.Sort(ids)
	return " (there are: " + strings.Join(ids, ", ") + ")"
}

// validate returns an error if the matcher asks for what cannot be.
func (m *Matcher) validate() error {
	if err := levelBounds.check("level", m.Level); err != nil {
		return err
	}
	if m.Partner != "" && !hasPlaceholder(m.Partner) && !partnerOrHost.MatchString(m.Partner) {
		return fmt.Errorf("partner %q is neither a partner's id nor a host: write one that a gate answers for, e.g. mall", m.Partner)
	}
	return nil
}

// partnerOrHost is what a partner's id can look like where gates take their
// partner from their site: a host may be longer than an id, or an IPv6 address.
var partnerOrHost = regexp.MustCompile(`^[a-z0-9:][a-z0-9.:_-]{0,252}$`)

// partnerBook remembers with which purpose each partner was declared, and
// where, because one partner has one purpose, whichever site it is at. The zero
// value is ready to use.
type partnerBook struct {
	mu       sync.Mutex
	declared map[string]declaration
	asked    []string // partners that matchers name
}

type declaration struct {
	purpose, where string
	assumed        bool // nobody wrote it
}

// declare returns an error if the partner has another purpose already. where
// may be empty.
func (b *partnerBook) declare(p Partner, where string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, ok := b.declared[p.ID]
	if ok && p.assumed {
		return nil // what another gate says of the partner stands
	}
	if ok && !before.assumed && before.purpose != p.Purpose {
		if before.where != "" {
			before.where = " at " + before.where
		}
		return fmt.Errorf("partner %q has the purpose %q%s and %q here: one partner has one purpose; write the same one, or another partner", p.ID, before.purpose, before.where, p.Purpose)
	}
	if !ok || before.assumed {
		if b.declared == nil {
			b.declared = map[string]declaration{}
		}
		b.declared[p.ID] = declaration{p.Purpose, where, p.assumed}
	}
	return nil
}

// purposeOf returns the purpose that a partner was declared with, once every
// gate is provisioned.
func (b *partnerBook) purposeOf(p Partner) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return cmp.Or(b.declared[p.ID].purpose, p.Purpose)
}

// ask notes that a matcher names a partner.
func (b *partnerBook) ask(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, id)
}

// checkMatchers returns an error if a matcher names a partner that no gate
// answers for. Handlers and matchers are provisioned in no fixed order, so it
// is for Start, when all of them are.
func (a *App) checkMatchers() error {
	a.known.mu.Lock()
	defer a.known.mu.Unlock()
	for _, id := range a.known.asked {
		if _, ok := a.known.declared[id]; !ok {
			have := "no gate answers for any"
			if len(a.known.declared) > 0 {
				have = "gates answer for: " + words(a.known.declared)
			}
			return fmt.Errorf("the matcher kycvs names the partner %s, for whom no gate answers (%s): write one of those", strconv.Quote(id), have)
		}
	}
	return nil
}
