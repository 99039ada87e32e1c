package caddymodule

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterDirective("kycvs", parseGate)
	httpcaddyfile.RegisterDirectiveOrder("kycvs", httpcaddyfile.After, "forward_auth")
}

// parseGate reads the directive kycvs (contract, section 2.2):
//
//	kycvs [<matcher>] 0 | 1 | 2 | optional {
//		partner ID
//		purpose TEXT
//		max_age DURATION
//		session DURATION
//		assertion_ttl DURATION
//		plain_status
//		lenient_paths
//	}
//
// The matcher goes into the handler, not on the route: what does not match must
// be cleaned all the same.
func parseGate(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // the word kycvs
	tok := h.Token()
	matchers, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, at(tok, fmt.Errorf("%w: define it in this site, e.g. `@name path /ward/*`", err))
	}
	h.Next()

	app := globalOption(h)
	if app == nil {
		return nil, at(tok, errNoApp)
	}
	if standsInBlockOfNamedRoute(h) {
		return nil, at(tok, errors.New("a gate in a block of a named route can get lost when the Caddyfile is adapted: write it directly in the named route, before the block, or in the site"))
	}
	site, err := siteOf(h)
	if err != nil {
		return nil, at(tok, err)
	}
	gate := &Gate{Site: site.addresses, Nested: !site.top}
	if matchers != nil {
		gate.MatcherSetsRaw = caddyhttp.RawMatcherSets{matchers}
	}
	if err := gate.readCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	if err := gate.validate(app); err != nil {
		return nil, at(tok, err)
	}
	partners, err := gate.answersFor(app)
	if err != nil {
		return nil, at(tok, err)
	}
	for _, p := range partners {
		if err := declaredIn(h).declare(p, fmt.Sprintf("%s:%d", tok.File, tok.Line)); err != nil {
			return nil, at(tok, err)
		}
	}
	if h.IsNamedRoute() {
		// With a matcher, even one that matches everything, the gate gets a route of its
		// own; see standsInBlockOfNamedRoute.
		return h.NewRoute(caddy.ModuleMap{}, gate), nil
	}
	return h.NewRoute(nil, gate), nil
}

// declaredIn returns the partners declared so far, over all sites of this
// Caddyfile. (Named routes have a book of their own; what differs between the
// two shows when the configuration is provisioned.)
func declaredIn(h httpcaddyfile.Helper) *partnerBook {
	const key = "kycvs.partners"
	book, ok := h.State[key].(*partnerBook)
	if !ok {
		book = new(partnerBook)
		h.State[key] = book
	}
	return book
}

// readCaddyfile reads what stands behind the matcher.
func (g *Gate) readCaddyfile(d *caddyfile.Dispenser) error {
	const levels = "write `kycvs 2`, where 2 is fully vaccinated, 1 at least partly, 0 anybody with an answer; or `kycvs optional`"
	args := d.RemainingArgs()
	switch len(args) {
	case 0:
		return errf(d, "kycvs does not say what it asks for: %s", levels)
	case 1:
	default:
		return errf(d, "kycvs has %q too much: %s, each with at most one matcher before it", args[1], levels)
	}
	if args[0] == "optional" {
		g.Optional = true
	} else if level, err := parseLevel(args[0]); err != nil {
		return errf(d, "%v: %s", err, levels)
	} else {
		g.Level = level
	}

	_, err := readBlock(d, "this gate", []option{
		text("partner", "partner ward", &g.Partner, checkPartnerID),
		text("purpose", `purpose "Access to the ward"`, &g.Purpose, func(s string) error { return checkShown("purpose", s) }),
		duration("max_age", "max_age 15m", "max_age", maxAgeBounds, &g.MaxAge),
		duration("session", "session 12h", "session", sessionBounds, &g.Session),
		duration("assertion_ttl", "assertion_ttl 60s", "assertion_ttl", assertionTTLBounds, &g.AssertionTTL),
		toggle("plain_status", &g.PlainStatus),
		toggle("lenient_paths", &g.LenientPaths),
	})
	return err
}

// parseLevel reads a level as it is written, one digit.
func parseLevel(s string) (int, error) {
	switch s {
	case "0", "1", "2":
		return int(s[0] - '0'), nil
	}
	return 0, fmt.Errorf("%s is no level", strconv.Quote(s))
}

// UnmarshalCaddyfile reads the request matcher (contract, section 2.2):
//
//	@name kycvs 0 | 1 | 2 [PARTNER]
func (m *Matcher) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	const example = "@vaccinated kycvs 2"
	d.Next() // the word kycvs
	args, err := arguments(d, "the matcher kycvs", example, argCount{1, 2})
	if err != nil {
		return err
	}
	if m.Level, err = parseLevel(args[0]); err != nil {
		return errf(d, "%v: write e.g. `%s`, where 2 is fully vaccinated, 1 at least partly, 0 anybody with an answer", err, example)
	}
	if len(args) == 2 {
		m.Partner = args[1]
	}
	if err := m.validate(); err != nil {
		return located(d, err)
	}
	if d.NextBlock(d.Nesting()) {
		return errf(d, "the matcher kycvs takes no block: write e.g. `%s`", example)
	}
	if d.Next() {
		return located(d, errors.New("the matcher kycvs stands twice in one matcher set: write the higher level alone, or two named matchers"))
	}
	return nil
}

// Interface guards.
var (
	_ caddy.Module          = (*Gate)(nil)
	_ caddyfile.Unmarshaler = (*Matcher)(nil)
)
