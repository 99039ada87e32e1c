package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("kycvs", parseGlobal)
}

// parseGlobal reads the global option kycvs (contract, section 2.1):
//
//	kycvs {
//		registry ENGINE …
//		sms SENDER …
//		authority URL { partner ID; key KEY; issuer ORIGIN; follow_every DURATION }
//		state ENGINE …
//		state_grace DURATION
//		stream_grace DURATION
//		ledger ENGINE …
//		secret NEW [OLD…]
//		issuer ORIGIN
//		signing ES256 | EdDSA | RS256 { rotate_every DURATION }
//		otp { length N; lifetime DURATION; attempts N; resend_after DURATION }
//		limits { codes_per_mobile, wrong_per_mobile, codes_per_ip, codes_total, unentered_per_ip, unentered_per_prefix, countries, number_types }
//		name_match exact | partial PERCENT
//		vaccine NAME { doses N [since DATE]; alias NAME…; from DATE; precaution_only }
//		notice { controller TEXT; contact ADDRESS; grievance ADDRESS }
//		partner ID { name, purpose, key_hash, origin, return, expires, consent, codes, name_match, sub_partner }
//		remembered_passes N
//	}
func parseGlobal(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // the word kycvs
	tok := d.Token()
	if existing != nil {
		return nil, errf(d, "kycvs stands twice in the global options: put all of it into one block")
	}
	if _, err := arguments(d, "kycvs", "kycvs {", noArg); err != nil {
		return nil, err
	}
	app, err := parseApp(d)
	if err != nil {
		return nil, err
	}
	if app.RegistryRaw == nil && len(app.Authorities) == 0 {
		return nil, at(tok, errors.New("kycvs has no registry: write e.g. `registry csv people.csv` in it"))
	}
	if len(app.SMSRaw) == 0 && len(app.Authorities) == 0 {
		return nil, at(tok, errors.New("kycvs has no sms: write e.g. `sms log` in it to try things out"))
	}
	if err := app.validate(); err != nil {
		return nil, at(tok, err)
	}
	return httpcaddyfile.App{Name: "kycvs", Value: caddyconfig.JSON(app, nil)}, nil
}

func parseApp(d *caddyfile.Dispenser) (*App, error) {
	app := new(App)
	options := []option{
		guest(registryGuest, "registry csv people.csv", &app.RegistryRaw),
		authorityOption(&app.Authorities),
		guest(stateGuest, "state memory", &app.StateRaw),
		duration("state_grace", "state_grace 15m", "state_grace", stateGraceBounds, &app.StateGrace),
		duration("stream_grace", "stream_grace 10s", "stream_grace", streamGraceBounds, &app.StreamGrace),
		{name: "sms", many: true, segment: func(d *caddyfile.Dispenser) error {
			raw, err := readGuest(d, smsGuest, "sms log")
			app.SMSRaw = append(app.SMSRaw, raw)
			return err
		}},
		texts("sms_languages", "sms_languages en hi", &app.SMSLanguages, checkSMSLanguage),
		guest(ledgerGuest, "ledger file", &app.LedgerRaw),
		texts("secret", "secret {env.KYCVS_SECRET}", &app.Secret, checkSecret),
		text("issuer", "issuer https://kyc.example", &app.Issuer, func(s string) error { return checkOrigin("issuer", s) }),
		signingOption(&app.Signing),
		otpOption(&app.OTP),
		limitsOption(&app.Limits),
		nameMatchOption(&app.NameMatch),
		vaccineOption(&app.Vaccines),
		noticeOption(&app.Notice),
		partnerOption(&app.Partners),
		integer("remembered_passes", "remembered_passes 100000", "remembered_passes", rememberedPassesBounds, &app.RememberedPasses),
	}
	where := map[string]caddyfile.Token{}
	for i, opt := range options {
		options[i] = placed(opt, where)
	}
	if _, err := readBlock(d, "kycvs", options); err != nil {
		return nil, err
	}
	if option, err := app.besideAuthority(); err != nil {
		return nil, at(where[option], err)
	}
	return app, nil
}

// globalOption returns the app that the global option kycvs made, nil if there
// is none.
func globalOption(h httpcaddyfile.Helper) *App {
	opt, ok := h.Option("kycvs").(httpcaddyfile.App)
	if !ok {
		return nil
	}
	app := new(App)
	if err := json.Unmarshal(opt.Value, app); err != nil {
		return nil
	}
	return app
}

// integer is an option with a number; called names it in messages.
func integer(name, example, called string, bounds intBounds, into *int) option {
	return option{name: name, example: example, args: oneArg, read: func(_ *caddyfile.Dispenser, args []string) (err error) {
		*into, err = bounds.parse(called, args[0])
		return err
	}}
}

// duration is an option with a duration; called names it in messages.
func duration(name, example, called string, bounds durationBounds, into *caddy.Duration) option {
	return option{name: name, example: example, args: oneArg, read: func(_ *caddyfile.Dispenser, args []string) (err error) {
		*into, err = bounds.parse(called, args[0])
		return err
	}}
}

func guest(kind guestKind, example string, into *json.RawMessage) option {
	return option{name: kind.option, segment: func(d *caddyfile.Dispenser) (err error) {
		*into, err = readGuest(d, kind, example)
		return err
	}}
}

// readGuest reads a guest module: its name, and then whatever the module itself
// makes of the rest.
func readGuest(d *caddyfile.Dispenser, kind guestKind, example string) (json.RawMessage, error) {
	if !d.NextArg() {
		return nil, errf(d, "%s does not say which: write e.g. `%s`; this build has: %s", kind.option, example, strings.Join(kind.available(), ", "))
	}
	name := d.Val()
	if err := kind.check(name); err != nil {
		return nil, located(d, err)
	}
	module, err := caddyfile.UnmarshalModule(d, kind.namespace+"."+name)
	if err != nil {
		return nil, locatedError{err} // UnmarshalModule has the module say where
	}
	return caddyconfig.JSONModuleObject(module, kind.key, name, nil), nil
}

func signingOption(into *Signing) option {
	return option{name: "signing", example: "signing ES256", args: oneArg, read: func(d *caddyfile.Dispenser, args []string) error {
		into.Algorithm = args[0]
		if err := checkUnlessPlaceholder(args[0], checkAlgorithm); err != nil {
			return err
		}
		_, err := readBlock(d, "signing", []option{
			duration("rotate_every", "rotate_every 30d", "signing rotate_every", rotateEveryBounds, &into.RotateEvery),
		})
		return err
	}}
}

func otpOption(into *OTP) option {
	return option{name: "otp", example: "otp {", args: noArg, read: func(d *caddyfile.Dispenser, _ []string) error {
		return needBlock(d, "otp", "length 6", []option{
			integer("length", "length 6", "otp length", otpLengthBounds, &into.Length),
			duration("lifetime", "lifetime 3m", "otp lifetime", otpLifetimeBounds, &into.Lifetime),
			integer("attempts", "attempts 3", "otp attempts", otpAttemptsBounds, &into.Attempts),
			duration("resend_after", "resend_after 30s", "otp resend_after", otpResendAfterBounds, &into.ResendAfter),
		})
	}}
}

func nameMatchOption(into *NameMatch) option {
	return option{name: "name_match", example: "name_match exact", args: argCount{1, 2}, read: func(_ *caddyfile.Dispenser, args []string) (err error) {
		into.Strategy = args[0]
		switch {
		case args[0] == "exact" && len(args) == 2:
			return fmt.Errorf("name_match exact has %q too much: write `name_match exact` or `name_match partial %s`", args[1], args[1])
		case args[0] == "partial" && len(args) == 1:
			return errors.New("name_match partial has no percentage: write e.g. `name_match partial 60`")
		case args[0] == "partial":
			into.Partial, err = partialBounds.parse("name_match partial", strings.TrimSuffix(args[1], "%"))
			return err
		}
		return into.validate()
	}}
}

func noticeOption(into *Notice) option {
	contact := func(option string) func(string) error {
		return func(s string) error { return checkContact(option, s) }
	}
	return option{name: "notice", example: "notice {", args: noArg, read: func(d *caddyfile.Dispenser, _ []string) error {
		return needBlock(d, "notice", "contact privacy@example.org", []option{
			text("controller", `controller "Phoenix Mall Ltd"`, &into.Controller, func(s string) error { return checkShown("notice controller", s) }),
			text("contact", "contact privacy@example.org", &into.Contact, contact("notice contact")),
			text("grievance", "grievance https://example.org/grievance", &into.Grievance, contact("notice grievance")),
		})
	}}
}

func partnerOption(into *[]Partner) option {
	return option{name: "partner", example: "partner mall {", many: true, args: oneArg, read: func(d *caddyfile.Dispenser, args []string) error {
		tok := d.Token()
		p := Partner{ID: args[0]}
		if err := checkUnlessPlaceholder(p.ID, checkPartnerID); err != nil {
			return err
		}
		if slices.ContainsFunc(*into, func(other Partner) bool { return other.ID == p.ID }) {
			return fmt.Errorf("partner %q stands twice in kycvs: one partner has one purpose; write another id, or put both into one", p.ID)
		}
		keyHash := texts("key_hash", "key_hash HASH", &p.KeyHashes, checkKeyHash)
		keyHash.many = true
		if _, err := readBlock(d, "partner "+p.ID, []option{
			text("name", `name "Phoenix Mall"`, &p.Name, func(s string) error { return checkShown("name", s) }),
			text("purpose", `purpose "Entry to the mall"`, &p.Purpose, func(s string) error { return checkShown("purpose", s) }),
			keyHash,
			texts("origin", "origin https://mall.example", &p.Origins, checkPartnerOrigin),
			texts("return", "return https://mall.example/checked", &p.Returns, checkReturn),
			text("expires", "expires 2027-03-31", &p.Expires, checkExpires),
			text("consent", "consent by_code", &p.Consent, checkConsent),
			codesOption(&p.Codes),
			nameMatchOption(&p.NameMatch),
			subPartnerOption(&p.SubPartners),
		}); err != nil {
			return err
		}
		*into = append(*into, p)
		return at(tok, new(App).validatePartner(p))
	}}
}
