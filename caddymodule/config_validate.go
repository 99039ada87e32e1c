package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// validate returns an error for the first option that is missing, unknown, out
// of bounds or contradictory. It is the same for the Caddyfile, before
// placeholders are resolved, when values that hold one are passed over, and for
// what is provisioned, when nothing is.
func (a *App) validate() error {
	return errors.Join(a.validateAuthorities(), a.validateOptions(), a.validatePartners())
}

func (a *App) validateOptions() error {
	for _, d := range []struct {
		option string
		value  caddy.Duration
		bounds durationBounds
	}{
		{"state_grace", a.StateGrace, stateGraceBounds},
		{"stream_grace", a.StreamGrace, streamGraceBounds},
		{"signing rotate_every", a.Signing.RotateEvery, rotateEveryBounds},
		{"otp lifetime", a.OTP.Lifetime, otpLifetimeBounds},
		{"otp resend_after", a.OTP.ResendAfter, otpResendAfterBounds},
	} {
		if d.value != 0 {
			if err := d.bounds.check(d.option, d.value); err != nil {
				return err
			}
		}
	}
	for _, n := range []struct {
		option string
		value  int
		bounds intBounds
	}{
		{"otp length", a.OTP.Length, otpLengthBounds},
		{"otp attempts", a.OTP.Attempts, otpAttemptsBounds},
		{"remembered_passes", a.RememberedPasses, rememberedPassesBounds},
	} {
		if n.value != 0 {
			if err := n.bounds.check(n.option, n.value); err != nil {
				return err
			}
		}
	}
	if err := a.Limits.validate(); err != nil {
		return err
	}
	if a.Signing.Algorithm != "" {
		if err := checkAlgorithm(a.Signing.Algorithm); err != nil {
			return err
		}
	}
	if err := a.NameMatch.validate(); err != nil {
		return err
	}
	for i, lang := range a.SMSLanguages {
		if err := checkSMSLanguage(lang); err != nil {
			return err
		}
		if slices.Contains(a.SMSLanguages[:i], lang) {
			return fmt.Errorf("sms_languages names %q twice: write it once", lang)
		}
	}
	if err := a.validateVaccines(); err != nil {
		return err
	}
	for i, secret := range a.Secret {
		if a.settled(secret) {
			if err := checkSecret(secret); err != nil {
				return err
			}
			if slices.Contains(a.Secret[:i], secret) {
				return errors.New("secret has the same one twice: write the new one first and then the old ones")
			}
		}
	}
	if a.Issuer != "" && a.settled(a.Issuer) {
		if err := checkOrigin("issuer", a.Issuer); err != nil {
			return err
		}
	}
	return a.validateNotice()
}

func (m NameMatch) validate() error {
	switch m.Strategy {
	case "", "exact":
		if m.Partial != 0 {
			return errors.New("name_match has a percentage without the strategy partial: write `partial 60`, or leave the percentage out")
		}
		return nil
	case "partial":
		return partialBounds.check("name_match partial", m.Partial)
	}
	return fmt.Errorf("name_match %q is unknown: write exact, or partial and a percentage such as `partial 60`", m.Strategy)
}

func (a *App) validateNotice() error {
	if a.Notice.Controller != "" && a.settled(a.Notice.Controller) {
		if err := checkShown("notice controller", a.Notice.Controller); err != nil {
			return err
		}
	}
	for option, value := range map[string]string{"notice contact": a.Notice.Contact, "notice grievance": a.Notice.Grievance} {
		if value != "" && a.settled(value) {
			if err := checkContact(option, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *App) validatePartners() error {
	seen := map[string]bool{}
	for _, p := range a.Partners {
		if p.ID == "" {
			return errors.New("a partner has no id: write one, e.g. mall")
		}
		if seen[p.ID] {
			return fmt.Errorf("partner %q is given twice: one partner has one purpose; write another id, or put both into one", p.ID)
		}
		seen[p.ID] = true
		if err := a.validatePartner(p); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) validatePartner(p Partner) error {
	wrap := func(err error) error { return fmt.Errorf("partner %q: %w", p.ID, err) }
	if a.settled(p.ID) {
		if err := checkPartnerID(p.ID); err != nil {
			return err
		}
	}
	if p.Purpose == "" {
		return wrap(errors.New("purpose is missing: write what the answer is used for, e.g. `purpose \"Entry to the mall\"`"))
	}
	if len(p.KeyHashes) > 2 {
		return wrap(errors.New("more than two key_hash: write the new one and, while it is replaced, the old one"))
	}
	type check struct {
		values []string
		check  func(string) error
	}
	for _, c := range []check{
		{[]string{p.Name}, func(s string) error { return checkShown("name", s) }},
		{[]string{p.Purpose}, func(s string) error { return checkShown("purpose", s) }},
		{p.KeyHashes, checkKeyHash},
		{p.Origins, checkPartnerOrigin},
		{p.Returns, checkReturn},
		{[]string{p.Expires}, checkExpires},
		{[]string{p.Consent}, checkConsent},
	} {
		for i, v := range c.values {
			if len(c.values) > 1 && slices.Contains(c.values[:i], v) {
				return wrap(fmt.Errorf("%q is given twice: write it once", v))
			}
			if v == "" && len(c.values) == 1 || !a.settled(v) {
				continue
			}
			if err := c.check(v); err != nil {
				return wrap(err)
			}
		}
	}
	if err := a.validateProgram(p); err != nil {
		return wrap(err)
	}
	return nil
}

// settled says that a value can be judged: it holds no placeholder, or they are
// resolved.
func (a *App) settled(value string) bool { return a.resolved || !hasPlaceholder(value) }

// hasPlaceholder says that a value holds something that looks like a
// placeholder.
func hasPlaceholder(s string) bool {
	open := strings.Index(s, "{")
	return open >= 0 && strings.Contains(s[open:], "}")
}

// partner returns the partner of the global block with that id.
func (a *App) partner(id string) (Partner, bool) {
	for _, p := range a.Partners {
		if p.ID == id {
			return p, true
		}
	}
	return Partner{}, false
}
