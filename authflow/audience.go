package authflow

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/registry"
)

// Partner is who relies on an answer, for one purpose.
type Partner struct {
	ID      string
	Name    string // as the person is shown it
	Purpose string // as the person is shown it
	// Until is when the partner's registration ends; zero for never.
	Until time.Time
	// Programs are what the partner's programs may do, if it has any.
	Programs Programs
	// NameMatch says when a name is taken for a registered one, where that is
	// different from what Config says.
	NameMatch *registry.NameMatch
	// SubPartners are those that the partner may act for.
	SubPartners []SubPartner
	// Authority is whose answers are given on to the partner; "" where they are our
	// own.
	Authority string
}

// Ended tells whether the partner is no longer served.
func (p *Partner) Ended(now time.Time) bool { return !p.Until.IsZero() && !now.Before(p.Until) }

// Audience is a partner at one site: whom an assertion is for, who issues it,
// and what a pass is good for.
type Audience struct {
	Partner
	// Host is the site's host as it was matched, never as a client sent it: it
	// stands in the text message and bounds the passes.
	Host string
	// Frame is the authority's host where the handshake is shown in a frame, which
	// the text message then names behind Host, the page's that holds it; "" outside
	// a frame.
	Frame string
	// Issuer is the origin that issues assertions here.
	Issuer string
	// Session is how long a pass lasts.
	Session time.Duration
	// TTL is how long one assertion is good for.
	TTL time.Duration
	// Sealer seals and opens the passes.
	Sealer *pass.Sealer
	// Salt tells this audience from others in what is remembered in memory.
	Salt ID128

	// Acting is whom the partner acts for; the zero SubPartner stands for itself.
	// See For.
	Acting SubPartner

	acting    map[string]*Audience // by the sub-partner's id
	templates templates
}

// Seal gives the audience its Sealer and its Salt. keys are the secrets' for
// passes, newest first; site is what a pass is bound to beside the partner.
func (a *Audience) Seal(keys [][]byte, site string) {
	bound := site
	if a.Authority != "" {
		// a pass that rests on somebody else's answer, or on our own, is none here
		site += " by " + a.Authority
	}
	who := a.ID
	if a.Acting.ID != "" {
		who += "/" + a.Acting.ID // no id has a slash
	}
	a.Sealer = pass.NewSealer(keys, pass.Scope{Site: site, Partner: who, Purpose: a.Purpose})
	id := a.Sealer.ID()
	sum := sha256.Sum256(append(id[:], a.Issuer...))
	copy(a.Salt[:], sum[:])
	for _, sp := range a.SubPartners {
		a.addActing(sp, keys, bound)
	}
}

// ID128 is a random or derived identifier.
type ID128 = [16]byte

func newID() (id ID128) {
	rand.Read(id[:])
	return id
}

// FormatID is how a consent, a subject or a jti is written: base64url without
// padding (RFC 4648, section 5), 22 characters.
func FormatID(id ID128) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// newTxnID makes a version 4 UUID (RFC 9562), the form CoWIN's txnId has.
func newTxnID() ID128 {
	id := newID()
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// FormatTxnID writes a txnId in the usual 8-4-4-4-12 form.
func FormatTxnID(id ID128) string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	b[8] = '-'
	hex.Encode(b[9:13], id[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], id[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], id[8:10])
	b[23] = '-'
	hex.Encode(b[24:36], id[10:16])
	return string(b[:])
}

// ParseTxnID reads what FormatTxnID writes, and nothing else.
func ParseTxnID(s string) (id ID128, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, false
	}
	if _, err := hex.Decode(id[:], []byte(s[0:8]+s[9:13]+s[14:18]+s[19:23]+s[24:36])); err != nil {
		return id, false
	}
	return id, FormatTxnID(id) == s
}
