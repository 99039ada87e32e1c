package authflow

import (
	"sync/atomic"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
)

// Keys gives the key that signs now.
type Keys interface {
	Signer() (*assertion.Signer, error)
}

// Minter makes assertions out of passes; safe for concurrent use.
type Minter struct {
	Keys     Keys
	Observer Observer
}

// Minted is an assertion in parts: what differs from one to the next, and the
// signature over all of it.
type Minted struct {
	assertion.Variable
	Signature []byte
	Template  *assertion.Template
	Signer    *assertion.Signer // whose key signed; nil where the signature was remembered

	room [64]byte // for a remembered signature, so that it needs no memory of its own
}

// SetSignature copies a signature in.
func (m *Minted) SetSignature(sig []byte) { m.Signature = append(m.room[:0], sig...) }

// Compact returns the assertion as it is sent.
func (m *Minted) Compact() string {
	var buf [assertion.MaxSize]byte
	return string(m.Template.Append(buf[:0], &m.Variable, m.Signature))
}

// Mint signs an assertion that is good for ttl from now, but never longer than
// the pass it is made from. The caller has looked at the pass; Mint does not
// ask whether it still counts.
func (m *Minter) Mint(a *Audience, p *pass.Pass, ttl time.Duration, now time.Time) (Minted, error) {
	signer, err := m.Keys.Signer()
	if err != nil {
		return Minted{}, err
	}
	out := Minted{
		Variable: assertion.Variable{
			Subject:  p.Subject,
			ID:       newID(),
			Consent:  p.Consent,
			TxnID:    p.TxnID,
			IssuedAt: now.Unix(),
			Expires:  min(now.Unix()+int64(ttl/time.Second), p.Expires),
			AuthTime: p.AuthTime,
			Status:   int(p.Status),
		},
		Template: a.Template(signer),
		Signer:   signer,
	}
	var buf [assertion.MaxSize]byte
	out.Signature, err = signer.Sign(out.Template.AppendPayload(buf[:0], &out.Variable))
	if err != nil {
		return Minted{}, err
	}
	m.Observer.Signed()
	return out, nil
}

// templates holds what is constant in an audience's assertions, for the key
// that signed last.
type templates struct {
	current atomic.Pointer[templateOf]
}

type templateOf struct {
	signer   *assertion.Signer
	template *assertion.Template
}

// Template returns what is constant in the assertions for this audience that
// the signer signs.
func (a *Audience) Template(signer *assertion.Signer) *assertion.Template {
	if t := a.templates.current.Load(); t != nil && t.signer == signer {
		return t.template
	}
	t := &templateOf{signer, assertion.NewTemplateOf(signer.Header(), assertion.Claims{
		Issuer: a.Issuer, Audience: a.ID, Purpose: a.Purpose, Authority: a.Authority, ActingFor: a.Acting.ID,
	})}
	a.templates.current.Store(t)
	return t.template
}
