package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/remote"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// RemoteAuthority is an authority elsewhere that owns the registry: it sends the
// codes and answers, for the one partner that its key is for. It is the option
// `authority` of the global option `kycvs`.
type RemoteAuthority struct {
	// URL is the authority's origin, such as `https://kyc.example`. Plain http is for an
	// authority on this machine alone. It is required.
	URL string `json:"url,omitempty"`

	// Partner is the id under which the authority knows this operator. It is required.
	// That of the first authority is also the gates' own, unless they name another.
	Partner string `json:"partner,omitempty"`

	// Key is the partner's key, as the authority gave it. Write a placeholder here,
	// never the key itself. It is required.
	Key string `json:"key,omitempty"`

	// Issuer is the origin that the authority's assertions name as their maker, where it
	// is another than URL. The default is URL.
	Issuer string `json:"issuer,omitempty"`

	// FollowEvery is how often the authority is asked which consents were withdrawn
	// there, from 1s to 30s. The default is 20s.
	FollowEvery caddy.Duration `json:"follow_every,omitempty"`
}

var followEveryBounds = durationBounds{time.Second, 30 * time.Second}

func authorityOption(into *[]RemoteAuthority) option {
	return option{name: "authority", example: "authority https://kyc.example {", many: true, args: oneArg, read: func(d *caddyfile.Dispenser, args []string) error {
		tok := d.Token()
		r := RemoteAuthority{URL: args[0]}
		if err := checkUnlessPlaceholder(r.URL, checkAuthorityURL); err != nil {
			return err
		}
		if err := needBlock(d, "authority", "partner mall", []option{
			text("partner", "partner mall", &r.Partner, checkPartnerID),
			text("key", "key {env.KYCVS_KEY}", &r.Key, checkPartnerKey),
			text("issuer", "issuer https://kyc.example", &r.Issuer, func(s string) error { return checkOrigin("authority issuer", s) }),
			duration("follow_every", "follow_every 20s", "authority follow_every", followEveryBounds, &r.FollowEvery),
		}); err != nil {
			return err
		}
		if slices.ContainsFunc(*into, func(other RemoteAuthority) bool { return other.Partner == r.Partner }) {
			return at(tok, errTwoAuthorities(r.Partner))
		}
		*into = append(*into, r)
		return at(tok, new(App).validateAuthority(r))
	}}
}

func errTwoAuthorities(partner string) error {
	return fmt.Errorf("there are two authorities for partner %q: write one for each partner", partner)
}

func checkAuthorityURL(s string) error {
	_, err := remote.Origin(s)
	return err
}

// checkPartnerKey checks a key without ever showing it.
func checkPartnerKey(s string) error {
	switch {
	case strings.HasPrefix(s, "sha256:"):
		return errors.New("key is the key's hash, which the authority has: write the key, e.g. `key {env.KYCVS_KEY}`")
	case len(s) < 16 || len(s) > 512 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("key is no key: write the one that the authority gave the partner, e.g. `key {env.KYCVS_KEY}`")
	}
	return nil
}

// validateAuthorities returns an error if an authority cannot be asked, or if
// there are options beside it that only a registry of our own has a use for.
func (a *App) validateAuthorities() error {
	if len(a.Authorities) == 0 {
		return nil
	}
	for i, r := range a.Authorities {
		if slices.ContainsFunc(a.Authorities[:i], func(other RemoteAuthority) bool { return other.Partner == r.Partner }) {
			return errTwoAuthorities(r.Partner)
		}
		if err := a.validateAuthority(r); err != nil {
			return err
		}
	}
	_, err := a.besideAuthority()
	return err
}

// besideAuthority names an option that only a registry of our own has a use for,
// where an authority is asked, and says so.
func (a *App) besideAuthority() (string, error) {
	if len(a.Authorities) == 0 {
		return "", nil
	}
	for _, o := range []struct {
		option, why string
		given       bool
	}{
		{"registry", "asks a registry of its own", len(a.RegistryRaw) > 0},
		{"sms", "sends the codes", len(a.SMSRaw) > 0},
		{"sms_languages", "sends the codes", len(a.SMSLanguages) > 0},
		{"otp", "says what codes are like", a.OTP != OTP{}},
		{"name_match", "compares the names", a.NameMatch != NameMatch{}},
		{"vaccine", "knows the vaccines", len(a.Vaccines) > 0},
	} {
		if o.given {
			return o.option, fmt.Errorf("%s has no place beside authority, because the authority %s: leave %s out, or write no authority", o.option, o.why, o.option)
		}
	}
	return "", nil
}

// placed is an option that remembers where it stands.
func placed(opt option, where map[string]caddyfile.Token) option {
	note := func(d *caddyfile.Dispenser) {
		if _, known := where[opt.name]; !known {
			where[opt.name] = d.Token()
		}
	}
	read, segment := opt.read, opt.segment
	if read != nil {
		opt.read = func(d *caddyfile.Dispenser, args []string) error { note(d); return read(d, args) }
	}
	if segment != nil {
		opt.segment = func(d *caddyfile.Dispenser) error { note(d); return segment(d) }
	}
	return opt
}

func (a *App) validateAuthority(r RemoteAuthority) error {
	wrap := func(err error) error {
		if err != nil {
			err = fmt.Errorf("authority: %w", err)
		}
		return err
	}
	switch {
	case r.URL == "":
		return errors.New("authority has no URL: write its origin, e.g. `authority https://kyc.example`")
	case r.Partner == "":
		return errors.New("authority has no partner: write the id under which it knows you, e.g. `partner mall`")
	case r.Key == "":
		return errors.New("authority has no key: write the partner's, e.g. `key {env.KYCVS_KEY}`")
	}
	if a.settled(r.URL) {
		if err := checkAuthorityURL(r.URL); err != nil {
			return err
		}
	}
	if a.settled(r.Partner) {
		if err := checkPartnerID(r.Partner); err != nil {
			return wrap(err)
		}
	}
	if a.settled(r.Key) {
		if err := checkPartnerKey(r.Key); err != nil {
			return wrap(err)
		}
	}
	if r.Issuer != "" && a.settled(r.Issuer) {
		if err := checkOrigin("authority issuer", r.Issuer); err != nil {
			return err
		}
	}
	if r.FollowEvery != 0 {
		return followEveryBounds.check("authority follow_every", r.FollowEvery)
	}
	return nil
}

// issuer is who makes the authority's assertions; "" where that is not known yet.
func (r RemoteAuthority) issuer(a *App) string {
	if r.Issuer != "" || !a.settled(r.URL) {
		return r.Issuer
	}
	origin, _ := remote.Origin(r.URL)
	return origin
}

// resolveAuthorities returns the authorities with their placeholders resolved.
func (r *resolver) authorities(all []RemoteAuthority) []RemoteAuthority {
	var resolved []RemoteAuthority
	for _, o := range all {
		resolved = append(resolved, RemoteAuthority{
			URL:         r.one("authority", o.URL),
			Partner:     r.one("authority partner", o.Partner),
			Key:         r.one("authority key", o.Key),
			Issuer:      r.one("authority issuer", o.Issuer),
			FollowEvery: o.FollowEvery,
		})
	}
	return resolved
}

// ownPartner is whom gates answer for that name nobody: the first authority's
// partner, "" for each site's host.
func (a *App) ownPartner() string {
	if a == nil || len(a.Authorities) == 0 {
		return ""
	}
	return a.Authorities[0].Partner
}

// authorityFor returns the authority that is asked for a partner.
func (a *App) authorityFor(partner string) (RemoteAuthority, bool) {
	for _, r := range a.Authorities {
		if r.Partner == partner {
			return r, true
		}
	}
	return RemoteAuthority{}, false
}

// viaAuthority says of a gate's partner whose answers it gets. Without a purpose it
// gets a usual one, because the authority knows the partner. It is an error if no
// authority is asked for it.
func (a *App) viaAuthority(p Partner) (Partner, error) {
	if len(a.Authorities) == 0 {
		return p, nil
	}
	r, ok := a.authorityFor(p.ID)
	if !ok && a.settled(p.ID) && a.settled(a.ownPartner()) {
		var ids []string
		for _, r := range a.Authorities {
			ids = append(ids, r.Partner)
		}
		return p, fmt.Errorf("partner %q is not whom the authority's key is for (%s): write that one, or another `authority URL { partner %s; key … }` with each part on its own line", p.ID, strings.Join(ids, ", "), p.ID)
	}
	p.authority = r.issuer(a)
	return p, nil
}

// openAuthorities returns whom to ask, by partner.
func (a *App) openAuthorities(withdrawn *withdrawals.Exchange, key string) (map[string]authflow.Authority, error) {
	if len(a.conf.Authorities) == 0 {
		return nil, nil
	}
	all := map[string]authflow.Authority{}
	a.run.parts.authorities = map[string]*remote.Client{}
	longest := a.longestSession()
	for _, r := range a.conf.Authorities {
		name := fmt.Sprint("authority ", r.URL, " ", r.Partner, " ", r.Issuer, " ", time.Duration(r.FollowEvery), " ", longest, " ", secretsName([][]byte{[]byte(r.Key)}), " ", key)
		c, err := pooled(a, name, func() (*remote.Client, error) {
			return remote.Open(remote.Config{
				URL: r.URL, Partner: r.Partner, Key: r.Key, Issuer: r.Issuer,
				FollowEvery: time.Duration(r.FollowEvery), Longest: longest,
				Withdrawals: withdrawn, Ledger: a.run.parts.ledger, Logger: a.run.logger,
			})
		})
		if err != nil {
			return nil, fmt.Errorf("authority: %w", err)
		}
		all[r.Partner], a.run.parts.authorities[r.Partner] = c, c
	}
	return all, nil
}

// longestSession is the longest that a pass of any gate lasts.
func (a *App) longestSession() time.Duration {
	longest := time.Duration(defaultSession)
	for _, s := range a.run.order {
		for _, g := range s.gates {
			longest = max(longest, time.Duration(g.conf.Session))
		}
	}
	return longest
}

// authoritiesReady returns nil if all authorities answer.
func (p *parts) authoritiesReady(ctx context.Context) error {
	for _, c := range p.authorities {
		if err := c.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}
