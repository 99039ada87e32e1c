package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
)

// configure loads the guests and makes conf: the options with placeholders
// resolved and defaults filled in. It creates and opens nothing, because
// `caddy validate` does as much. What is resolved stays in unexported fields, so
// that it never shows in a dump of the configuration.
func (a *App) configure(ctx caddy.Context) error {
	if err := a.loadGuests(ctx); err != nil {
		return err
	}
	conf, err := a.resolve(caddy.NewReplacer())
	if err != nil {
		return err
	}
	if err := conf.validate(); err != nil {
		return err
	}
	conf.fillDefaults()
	a.conf = conf
	return nil
}

// resolve returns the options with their placeholders resolved.
func (a *App) resolve(repl *caddy.Replacer) (*App, error) {
	r := resolver{repl: repl}
	conf := &App{
		Authorities: r.authorities(a.Authorities),
		StateGrace:  a.StateGrace,
		StreamGrace: a.StreamGrace,
		Secret:      r.all("secret", a.Secret),

		SMSLanguages: slices.Clone(a.SMSLanguages),
		Issuer:       r.one("issuer", a.Issuer),
		Signing:      Signing{Algorithm: r.one("signing", a.Signing.Algorithm), RotateEvery: a.Signing.RotateEvery},
		OTP:          a.OTP,
		Limits:       a.Limits,
		NameMatch:    a.NameMatch,
		Vaccines:     r.vaccines(a.Vaccines),
		Notice: Notice{
			Controller: r.one("notice controller", a.Notice.Controller),
			Contact:    r.one("notice contact", a.Notice.Contact),
			Grievance:  r.one("notice grievance", a.Notice.Grievance),
		},
		RememberedPasses: a.RememberedPasses,
		resolved:         true,
	}
	conf.Limits.Countries = slices.Clone(a.Limits.Countries)
	conf.Limits.NumberTypes = slices.Clone(a.Limits.NumberTypes)
	for _, p := range a.Partners {
		in := "partner " + p.ID + " "
		conf.Partners = append(conf.Partners, Partner{
			ID:        r.one("partner", p.ID),
			Name:      r.one(in+"name", p.Name),
			Purpose:   r.one(in+"purpose", p.Purpose),
			KeyHashes: r.all(in+"key_hash", p.KeyHashes),
			Origins:   r.all(in+"origin", p.Origins),
			Returns:   r.all(in+"return", p.Returns),
			Expires:   r.one(in+"expires", p.Expires),
			Consent:   r.one(in+"consent", p.Consent),
			Codes:     p.Codes,
			NameMatch: p.NameMatch,

			SubPartners: r.subPartners(in, p.SubPartners),
		})
	}
	return conf, r.err()
}

// appOf finds the app that a gate or matcher belongs to.
func appOf(ctx caddy.Context) (*App, error) {
	app, err := ctx.AppIfConfigured("kycvs")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, errNoApp
	}
	if err != nil {
		return nil, err
	}
	return app.(*App), nil
}

// configure makes conf, the options with placeholders resolved and defaults
// filled in, and finds out whom the gate answers for.
func (g *Gate) configure(a *App) error {
	r := resolver{repl: caddy.NewReplacer()}
	conf := &Gate{
		Level:        g.Level,
		Optional:     g.Optional,
		Partner:      r.one("partner", g.Partner),
		Purpose:      r.one("purpose", g.Purpose),
		MaxAge:       g.MaxAge,
		Session:      g.Session,
		AssertionTTL: g.AssertionTTL,
		PlainStatus:  g.PlainStatus,
		LenientPaths: g.LenientPaths,
		Site:         g.Site,
		Nested:       g.Nested,
	}
	if err := r.err(); err != nil {
		return err
	}
	if err := conf.validate(a.conf); err != nil {
		return err
	}
	conf.Partner = cmp.Or(conf.Partner, a.conf.ownPartner())
	partners, err := conf.answersFor(a.conf)
	if err != nil {
		return err
	}
	for _, p := range partners {
		if err := a.known.declare(p, ""); err != nil {
			return err
		}
	}
	conf.fillDefaults()
	g.conf, g.partners = conf, partners
	g.site, err = parseSite(g.Site)
	g.site.top = !g.Nested
	return err
}

// configure makes conf, the options with placeholders resolved.
func (m *Matcher) configure(a *App) error {
	r := resolver{repl: caddy.NewReplacer()}
	m.conf = &Matcher{Level: m.Level, Partner: r.one("partner", m.Partner)}
	if err := r.err(); err != nil {
		return err
	}
	if err := m.conf.validate(); err != nil {
		return err
	}
	if m.conf.Partner != "" {
		a.known.ask(m.conf.Partner)
	}
	return nil
}

// resolver resolves the placeholders of several values and keeps the errors.
type resolver struct {
	repl *caddy.Replacer
	errs []error
}

// one returns the value with its placeholders resolved. The error names the
// option and the placeholder, never a value.
func (r *resolver) one(option, value string) string {
	resolved, err := r.repl.ReplaceOrErr(value, true, true)
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s: %w: set what it stands for before Caddy starts, or write the value", option, err))
		return ""
	}
	return resolved
}

func (r *resolver) all(option string, values []string) []string {
	var resolved []string
	for _, v := range values {
		if v == "" {
			r.errs = append(r.errs, fmt.Errorf("%s is empty: write a value, or leave it out", option))
			continue
		}
		resolved = append(resolved, r.one(option, v))
	}
	return resolved
}

// vaccines returns the vaccines with their placeholders resolved.
func (r *resolver) vaccines(all []Vaccine) []Vaccine {
	var resolved []Vaccine
	for _, v := range all {
		in := "vaccine " + v.Name + " "
		v.Name, v.Aliases, v.From = r.one("vaccine", v.Name), r.all(in+"alias", v.Aliases), r.one(in+"from", v.From)
		v.Regimens = slices.Clone(v.Regimens)
		for i := range v.Regimens {
			v.Regimens[i].Since = r.one(in+"since", v.Regimens[i].Since)
		}
		resolved = append(resolved, v)
	}
	return resolved
}

func (r *resolver) subPartners(in string, all []SubPartner) []SubPartner {
	var resolved []SubPartner
	for _, s := range all {
		resolved = append(resolved, SubPartner{ID: r.one(in+"sub_partner", s.ID), Name: r.one(in+"sub_partner "+s.ID, s.Name)})
	}
	return resolved
}

func (r *resolver) err() error { return errors.Join(r.errs...) }
