// Package caddymodule is what Caddy sees of this project: the app `kycvs`, the
// gate `http.handlers.kycvs`, the request matcher `http.matchers.kycvs`, and the
// guest modules for registries, state, ledgers and senders. It is the only
// package that imports Caddy, and it decides nothing about people: it reads the
// Caddyfile and JSON, builds what registry and authflow offer, and hands them
// requests.
package caddymodule

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule((*App)(nil))
}

// App holds what all gates share: where the registry is, how codes are sent, how
// answers are signed, what is remembered, and who relies on the answers. It is the
// global option `kycvs` of the Caddyfile.
//
// Text values take Caddy's placeholders, such as `{env.KYCVS_SECRET}` and
// `{file./run/secrets/kycvs}`, which are resolved once, when the configuration
// loads. One that is unknown or empty is an error.
type App struct {
	// RegistryRaw is the registry that knows people and their doses. It is required,
	// unless an authority is asked; there is no default.
	RegistryRaw json.RawMessage `json:"registry,omitempty" caddy:"namespace=kycvs.registry inline_key=engine"`

	// Authorities lists the authorities that are asked where there is no registry here:
	// one for each partner. Registry, SMS, OTP, NameMatch and Vaccines then have no
	// place. The default is none: the registry is asked.
	Authorities []RemoteAuthority `json:"authority,omitempty"`

	// StateRaw is where handshakes under way and the counters of the limits are kept.
	// The default is `memory`: in this process alone.
	StateRaw json.RawMessage `json:"state,omitempty" caddy:"namespace=kycvs.state inline_key=engine"`

	// StateGrace is how long passes that were issued still count while the state does
	// not answer, from 1s to 7d. The default is 15m.
	StateGrace caddy.Duration `json:"state_grace,omitempty"`

	// StreamGrace is how long a web socket, a stream or any other request under way may
	// outlive the pass it rests on, from 1s to 1h. It is then cut, at both sides. The
	// default is 10s.
	StreamGrace caddy.Duration `json:"stream_grace,omitempty"`

	// SMSRaw lists the senders of text messages, which are tried in this order. At
	// least one is required, unless an authority is asked; there is no default.
	SMSRaw []json.RawMessage `json:"sms,omitempty" caddy:"namespace=kycvs.sms inline_key=sender"`

	// SMSLanguages lists the languages that text messages may be in, such as those
	// whose templates are registered: `en`, `hi`. Whoever reads the pages in another
	// gets the first. The default is every language that the pages are in.
	SMSLanguages []string `json:"sms_languages,omitempty"`

	// LedgerRaw is where consents given and withdrawn are recorded. The default is
	// `file`, in Caddy's data directory.
	LedgerRaw json.RawMessage `json:"ledger,omitempty" caddy:"namespace=kycvs.ledger inline_key=engine"`

	// Secret is what codes, numbers and pseudonyms are keyed with, and passes are
	// sealed with: at least 16 bytes each, the newest first, the old ones after it
	// while it is being changed. Write placeholders here, never the secret itself.
	// The default is a secret made once and kept in Caddy's storage.
	Secret []string `json:"secret,omitempty"`

	// Issuer is the origin that assertions name as their maker, such as
	// `https://kyc.example`. The default is the origin of the site the gate is at,
	// which must then name its hosts.
	Issuer string `json:"issuer,omitempty"`

	// Signing says how assertions are signed.
	Signing Signing `json:"signing,omitzero"`

	// OTP says what one-time codes are like.
	OTP OTP `json:"otp,omitzero"`

	// Limits says how many codes may be asked for and guessed at.
	Limits Limits `json:"limits,omitzero"`

	// NameMatch says when a typed name is taken for a registered one.
	NameMatch NameMatch `json:"name_match,omitzero"`

	// Vaccines lists the vaccines that the built-in table does not have, or of which
	// something else is to count. The default is the built-in table alone: the vaccines
	// of India's campaign.
	Vaccines []Vaccine `json:"vaccines,omitempty"`

	// Notice is what the privacy notice says about the operator.
	Notice Notice `json:"notice,omitzero"`

	// Partners lists those who rely on answers and are not simply the host of a site.
	Partners []Partner `json:"partners,omitempty"`

	// RememberedPasses is how many opened passes are kept in memory, so that they need
	// not be opened and signed for again at each request. A remembered pass takes up
	// to 350 bytes, so this bounds the memory used; a pass that is forgotten is only
	// slower. The default is 100000.
	RememberedPasses int `json:"remembered_passes,omitempty"`

	conf     *App // the same with placeholders resolved and defaults filled in; see configure
	resolved bool // this is such a conf
	registry RegistryModule
	state    StateModule
	ledger   LedgerModule
	senders  []SenderModule
	known    partnerBook

	run appRun
}

// Signing says how assertions are signed.
type Signing struct {
	// Algorithm is `ES256`, `EdDSA` or `RS256`. The default is `ES256`.
	Algorithm string `json:"algorithm,omitempty"`

	// RotateEvery is how long a key signs before the next one does, at least 1s. The
	// default is 30d.
	RotateEvery caddy.Duration `json:"rotate_every,omitempty"`
}

// OTP says what one-time codes are like.
type OTP struct {
	// Length is the number of digits, from 4 to 10. The default is 6.
	Length int `json:"length,omitempty"`

	// Lifetime is how long a code is good for, from 30s to 15m. The default is 3m.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// Attempts is how many wrong codes one handshake allows, resends included, from 1
	// to 10. The default is 3.
	Attempts int `json:"attempts,omitempty"`

	// ResendAfter is how long a person waits before asking for another code in the
	// same handshake, from 5s to 10m; it doubles with each one. The default is 30s.
	ResendAfter caddy.Duration `json:"resend_after,omitempty"`
}

// NameMatch says when a typed name is taken for a registered one.
type NameMatch struct {
	// Strategy is `exact` or `partial`. The default is `exact`: all words, in their
	// order, once case, spaces, punctuation and salutations are set aside.
	Strategy string `json:"strategy,omitempty"`

	// Partial is the percentage of whole words that must agree, in any order, from 1
	// to 100. It goes with the strategy `partial` and has no default.
	Partial int `json:"partial,omitempty"`
}

// Vaccine is a vaccine of the operator's own. One that has the name of a vaccine of
// the built-in table changes that one: what is left out stays as it is there.
type Vaccine struct {
	// Name is what it is called: in files of doses, where case, spaces and punctuation
	// do not matter, and in the registry. It is required.
	Name string `json:"name,omitempty"`

	// Aliases lists what else it is called, such as its codes in FHIR. Those of the
	// built-in table are kept. The default is none.
	Aliases []string `json:"aliases,omitempty"`

	// Regimens lists the courses it is given in; completing one is enough. There is no
	// default: a vaccine that the built-in table does not have needs at least one, or
	// PrecautionOnly.
	Regimens []Regimen `json:"regimens,omitempty"`

	// PrecautionOnly says that it is given after other courses and completes none. The
	// default is false.
	PrecautionOnly bool `json:"precaution_only,omitempty"`

	// From is the first day on which a dose of it can have been given, as YYYY-MM-DD,
	// from 2020-01-01 on; a row with an earlier one makes no sense. The default is
	// 2021-01-16, when India's campaign began.
	From string `json:"from,omitempty"`
}

// Regimen is one way to complete the course of a vaccine.
type Regimen struct {
	// Doses is how many doses it has, from 1 to 9. It is required.
	Doses int `json:"doses,omitempty"`

	// Since is the day it came into force, as YYYY-MM-DD. The default is none: it always
	// was.
	Since string `json:"since,omitempty"`
}

// Notice is what the privacy notice says about the operator. A part that is left
// out is left out of the notice.
type Notice struct {
	// Controller is the name of whoever answers for the data.
	Controller string `json:"controller,omitempty"`

	// Contact is where questions go: an e-mail address or a URL.
	Contact string `json:"contact,omitempty"`

	// Grievance is where complaints go: an e-mail address or a URL.
	Grievance string `json:"grievance,omitempty"`
}

// Partner is somebody who relies on the answer, for one purpose.
type Partner struct {
	// ID is the partner's id, the `aud` of its assertions: at most 64 of a to z, 0 to 9,
	// `.`, `_` and `-`, the first a letter or digit.
	ID string `json:"id,omitempty"`

	// Name is the partner's name as people are shown it. The default is the id.
	Name string `json:"name,omitempty"`

	// Purpose is what the answer is used for, as people are shown it. It is required.
	Purpose string `json:"purpose,omitempty"`

	// KeyHashes lists the hashes of the keys that the partner's programs may call the
	// API with, as `caddy kycvs partner-key` prints them: one, or two while a key is
	// replaced. The default is none: the partner calls no API.
	KeyHashes []string `json:"key_hashes,omitempty"`

	// Origins lists the origins of pages that may hold the consent page in a frame. The
	// default is none.
	Origins []string `json:"origins,omitempty"`

	// Returns lists the addresses a person may be sent back to, compared byte for byte.
	// The default is none.
	Returns []string `json:"returns,omitempty"`

	// Expires is the last day on which the partner is served, as YYYY-MM-DD in UTC. The
	// default is no end.
	Expires string `json:"expires,omitempty"`

	// Consent is `by_code` where giving the code is the act of consent, so that the
	// partner's programs may leave the field `consent` out. The default is empty: the
	// field is required.
	Consent string `json:"consent,omitempty"`

	// Codes is how many codes the partner's programs may have sent that were not
	// entered. The default is as CodesPerIP of the limits, which is for one address.
	Codes Limit `json:"codes,omitzero"`

	// NameMatch says when a typed name is taken for a registered one, for this partner.
	// The default is the app's.
	NameMatch NameMatch `json:"name_match,omitzero"`

	// SubPartners lists those that the partner acts for, as Aadhaar's sub-AUAs: its
	// programs name one with each handshake, and people are shown both. The default is
	// none: the partner acts for itself.
	SubPartners []SubPartner `json:"sub_partners,omitempty"`

	assumed   bool   // the purpose is the default: a gate that says one decides
	authority string // who answers, where that is an authority
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "kycvs", New: func() caddy.Module { return new(App) }}
}
