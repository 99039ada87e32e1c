// Package authflow turns consent into an answer: the handshake, its limits and
// its errors. The rooms below it are what the handshake works with (state,
// ledger, sms, keyring), what it makes (assertion, pass) and who leads people
// to it (gate, portal). None of it has ever heard of Caddy.
package authflow

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/sms"
	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
	"github.com/kycvs/caddy-kycvs/registry"
)

// OTP is how one-time codes behave.
type OTP struct {
	Length      int           // digits
	Lifetime    time.Duration // of one code
	Attempts    int           // wrong codes in one handshake, resends included
	ResendAfter time.Duration // before the second code; doubled for each further one
}

// Limit is a number of charges within a window.
type Limit struct {
	Count      int
	Window     time.Duration
	RecordOnly bool // it is counted when it is exceeded, and holds nobody back
}

// Share limits which share of the codes sent may be never entered. The zero
// Share limits nothing.
type Share struct {
	Percent    int // the share that is too much
	Least      int // codes sent before the share says anything
	Window     time.Duration
	RecordOnly bool
}

// Limits bound what a handshake may cost, in messages and in guesses.
type Limits struct {
	CodesPerMobile Limit // codes sent and not (yet) entered
	WrongPerMobile Limit // wrong codes over every handshake; a right one clears it
	CodesPerIP     Limit // codes sent and not (yet) entered; IPv6 by /64
	CodesTotal     Limit // codes sent

	// Messages are paid for, and numbers exist whose owners are paid for them:
	// who orders codes to those has no use for the codes.
	UnenteredPerIP     Share // over one address; IPv6 by /64
	UnenteredPerPrefix Share // over numbers that differ in their last four digits

	Countries   []int                 // country calling codes; the first is the one that goes without saying
	NumberTypes []registry.NumberType // that are taken; none means all
	// These record only, for trying out Countries and NumberTypes.
	CountriesRecordOnly, NumberTypesRecordOnly bool
}

// words of Limits, as metrics have them.
const (
	limitCountries   = "countries"
	limitNumberTypes = "number_types"
)

// LimitNames are the words that Observer.Limit gets.
var LimitNames = []string{
	"codes_per_mobile", "wrong_per_mobile", "codes_per_ip", "codes_per_partner", "codes_total",
	"unentered_per_ip", "unentered_per_prefix", limitCountries, limitNumberTypes,
}

// Messenger brings a message on its way. Send returns an error if it is known
// to have failed; if it fails later than the caller could wait, failed is
// called.
type Messenger interface {
	Send(ctx context.Context, m sms.Message, failed func()) error
}

// Observer is told what happens, for metrics. Outcomes are words of a closed
// set.
type Observer interface {
	Handshake(outcome string)
	// Limit is told that somebody was refused for a limit, or would have been if
	// it did not record only.
	Limit(name string, refused bool)
	Lookup(took time.Duration)
	Signed()
}

// Config is what a Flow works with. Every field is needed, but for Authorities, or
// else Registry, NameMatch, Schedule, Messenger and Text.
type Config struct {
	// Authorities are asked, by the partner's id, where the registry is elsewhere:
	// each for the one partner that its key is for. Where there are any, nothing is
	// answered for other partners.
	Authorities map[string]Authority
	Registry    registry.Registry
	NameMatch   registry.NameMatch
	Schedule    registry.Schedule
	State       state.Store
	Ledger      ledger.Ledger
	Withdrawals *withdrawals.Exchange
	Messenger   Messenger
	// Text is the text message for a code, in the given language if there are text
	// messages in it, and the language that it is in.
	Text func(lang string, a *Audience, code string) (text, in string)
	// NoticeVersion names the notice that is shown in a language, for the ledger.
	NoticeVersion func(lang string) string
	Secret        Secret
	// SubjectKey is what sub, and the ledger's word for a person, are hashed with
	// (32 bytes). It is apart from the secret, so that partners know people again
	// after the secret was changed; see Secret.SubjectKey for the first one.
	SubjectKey []byte
	OTP        OTP
	Limits     Limits
	Observer   Observer
	Logger     *slog.Logger
	Now        func() time.Time
}

// Flow runs handshakes; safe for concurrent use.
//
// A handshake is: consent, number and name taken (Ask) → code counted,
// compared, spent → registry asked → consent in the ledger → pass (Confirm).
// Every step either happened or did not: a crash between two of them loses no
// consent and opens no gate.
type Flow struct {
	Config
	codes    []*keyedHash // one for each secret, newest first
	entries  *keyedHash   // names of counters and scopes
	subjects *keyedHash
	persons  *keyedHash   // the ledger's
	seals    []*keyedHash // one for each secret, newest first

	countries []int // whose numbers are read
	uses      *uses
	saidOf    sync.Map // what the operator was told of a partner, once
}

// New returns a Flow for the configuration. It touches nothing.
func New(c Config) *Flow {
	f := &Flow{Config: c, uses: newUses()}
	for _, k := range c.Secret.Keys("code") {
		f.codes = append(f.codes, newKeyedHash(k))
	}
	f.entries = newKeyedHash(c.Secret.Keys("entry")[0])
	f.subjects = newKeyedHash(NewSecret(c.SubjectKey).Keys("subject")[0])
	f.persons = newKeyedHash(NewSecret(c.SubjectKey).Keys("person")[0])
	for _, k := range c.Secret.Keys("handshake") {
		f.seals = append(f.seals, newKeyedHash(k))
	}
	f.countries = c.Limits.Countries
	if c.Limits.CountriesRecordOnly {
		f.countries = append(slices.Clone(f.countries), registry.AnyCountry)
	}
	return f
}

// Asker is who asks, as far as it is known without asking the registry.
type Asker struct {
	Browser ID128      // tells this browser from others
	IP      netip.Addr // the client's; invalid where it is not known
	Lang    string     // BCP 47, of a catalogue
	// Phones are those that this browser has proven before; see Granted.Phone.
	Phones []ID128
	// How is the way the answer is asked for, as the ledger has it; "" for HowOTP.
	// With HowAPI it is a partner's program that asks: Browser is Flow.Program, IP
	// the address that the program names, if any, and what it costs counts for the
	// partner.
	How string
	// Txn is the caller's own name for what it is about, such as an order; "" for
	// none. Handshakes of one partner may share one: see Order. Resend and Confirm
	// want the same where it is given again.
	Txn string
	// Relies is how long the partner relies on the answer, if longer than its
	// session: a remote gate, whose own passes rest on it.
	Relies time.Duration
}

// Asked is a handshake under way.
type Asked struct {
	TxnID        ID128
	Partner      string
	MaskedMobile string
	ExpiresIn    time.Duration
	ResendAfter  time.Duration
	AttemptsLeft int
	Return       string
	// Proved says that the code was right and a birth year is awaited.
	Proved bool
	// CallerTxn is Asker.Txn.
	CallerTxn string
}

// request is the part of a handshake that must be readable again. It is kept
// sealed under a key that needs the txnId, which is not kept.
type request struct {
	Partner string          `json:"p"`
	Mobile  registry.Mobile `json:"m"`
	Name    string          `json:"n"`
	Lang    string          `json:"l,omitempty"`
	Return  string          `json:"r,omitempty"`
	// Known says that the browser has proven the number before; see charged.
	Known bool `json:"k,omitempty"`
	// Call is what a handshake has that came another way than through a page.
	Call *call `json:"c,omitempty"`
	// Where an authority is asked: its name for the handshake, how many codes it
	// takes in it, and, once it has answered, the token for that.
	Txn      string `json:"t,omitempty"`
	Attempts int    `json:"a,omitempty"`
	Token    string `json:"s,omitempty"`
}

// grace is how much longer than its code a handshake is remembered, so that
// whoever is late is told so, and can ask for another code.
const grace = 10 * time.Minute

// MaxReturn is the longest return address a handshake remembers.
const MaxReturn = 1024

// scope names what a code is good for. The txnId and the browser's mark are
// random, so a plain hash gives nothing away, and a handshake outlives a change
// of the secret.
func scope(txn, browser ID128, a *Audience) state.Key {
	return plainKey("scope", string(txn[:]), string(browser[:]), a.Host, a.Issuer, a.ID, a.Purpose)
}

// entryKey names a handshake's entry, which does not give the txnId away.
func entryKey(txn ID128) state.Key { return plainKey("txn", string(txn[:])) }

// clientKey names the counter of an address: IPv6 by /64, because that is what
// one customer gets (RFC 6177).
func (f *Flow) clientKey(ip netip.Addr) state.Key {
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		p, _ := ip.Prefix(64)
		ip = p.Addr()
	}
	return f.entries.key("ip", ip.String())
}

// down says that something needed does not answer.
func (f *Flow) down(err error) *Error {
	f.Observer.Handshake("unavailable")
	return unavailable(err)
}
