package gate

import (
	"encoding/binary"
	"errors"
	"net/http"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/assertion"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
)

// Check is what a pass must be, beside valid.
type Check struct {
	MaxAge  time.Duration // since the handshake; 0: any age
	Session time.Duration // since the handshake; 0: as the pass says
	TTL     time.Duration // of the assertion
}

func (c *Check) counts(p *pass.Pass, now int64) bool { return now < c.ends(p) }

// ends is when the pass stops counting, in seconds since the epoch.
func (c *Check) ends(p *pass.Pass) int64 {
	ends := p.Expires
	for _, most := range [...]time.Duration{c.MaxAge, c.Session} {
		if most != 0 {
			ends = min(ends, p.AuthTime+int64(most/time.Second))
		}
	}
	return ends
}

// Holds returns the pass that a request brings for a partner of the site, the
// first if partner is "", if it counts. It makes no assertion. v is the
// request's Visit where a gate has seen it already, and has taken the pass out
// of its header; else nil.
func (s *Site) Holds(r *http.Request, v *Visit, partner string) (pass.Pass, bool) {
	list, known := s.audiences(r)
	if !known {
		return pass.Pass{}, false
	}
	var cookie string
	if v != nil && v.entered {
		cookie = v.cookie
	} else {
		cookie = pass.Value(r.Header, pass.Name(r.TLS != nil))
	}
	if !s.Services.Withdrawals.Current(s.Services.Now()) {
		return pass.Pass{}, false
	}
	now := s.Services.Now().Unix()
	jar := pass.ParseJar(s.Services.Whole, cookie)
	for i, a := range list {
		if partner == "" && i > 0 {
			break
		}
		if partner != "" && a.ID != partner {
			continue
		}
		p, _, err := jar.Find(a.Sealer)
		c := Check{Session: a.Session}
		if err == nil && c.counts(&p, now) && !s.Services.Withdrawals.Ended(p.Consent, p.Number) {
			return p, true
		}
	}
	return pass.Pass{}, false
}

// errNotCurrent says that nothing was heard of withdrawals elsewhere for longer
// than passes count without.
var errNotCurrent = errors.New("gate: withdrawals made elsewhere are not known")

// open returns the pass for the audience in the cookie's value, if it counts,
// and in m an assertion made from it. An error means that no assertion could
// be made.
func (sv *Services) open(a *authflow.Audience, cookie string, c Check, m *authflow.Minted) (pass.Pass, bool, error) {
	if cookie == "" {
		return pass.Pass{}, false, nil
	}
	now := sv.Now()
	key := rememberKey(a, c.TTL, cookie)
	signer, signerErr := sv.Minter.Keys.Signer()
	epoch := sv.Withdrawals.Epoch()
	unix := now.Unix()

	var s stamp
	if signerErr == nil && sv.Remembered.get(&key, &s) {
		if s.epoch != epoch {
			if sv.Withdrawals.Ended(s.Consent, s.Number) {
				return pass.Pass{}, false, nil
			}
			sv.Remembered.checked(&key, epoch)
		}
		if s.kid == kidOf(signer) && s.issued <= unix && fresh(s.issued, s.expires, now) {
			if !c.counts(&s.Pass, unix) {
				return pass.Pass{}, false, nil
			}
			if !sv.Withdrawals.Current(now) {
				return s.Pass, true, errNotCurrent
			}
			m.Variable = assertion.Variable{
				Subject: s.Subject, ID: s.id, Consent: s.Consent, TxnID: s.TxnID,
				IssuedAt: s.issued, Expires: s.expires, AuthTime: s.AuthTime, Status: int(s.Status),
			}
			m.SetSignature(s.sig[:s.sigLength])
			m.Template = a.Template(signer)
			return s.Pass, true, nil
		}
	}

	jar := pass.ParseJar(sv.Whole, cookie)
	p, _, err := jar.Find(a.Sealer)
	if err != nil || !c.counts(&p, unix) || sv.Withdrawals.Ended(p.Consent, p.Number) {
		return pass.Pass{}, false, nil
	}
	if signerErr != nil {
		return p, true, signerErr
	}
	if !sv.Withdrawals.Current(now) {
		return p, true, errNotCurrent
	}
	if *m, err = sv.Minter.Mint(a, &p, c.TTL, now); err != nil {
		return p, true, err
	}
	if n := copy(s.sig[:], m.Signature); n == len(m.Signature) {
		s.Pass, s.id, s.kid, s.epoch, s.sigLength = p, m.ID, kidOf(m.Signer), epoch, n
		s.issued, s.expires = m.IssuedAt, m.Expires
		sv.Remembered.put(&key, &s)
	}
	if sv.Used != nil {
		sv.Used(a, &p)
	}
	return p, true, nil
}

// fresh tells whether an assertion has at least half its life left, so that
// whoever reads it has time to.
func fresh(issued, expires int64, now time.Time) bool {
	return 2*time.Unix(expires, 0).Sub(now) >= time.Duration(expires-issued)*time.Second && now.Unix() < expires
}

// kidOf is a short name for a key: the beginning of its thumbprint.
func kidOf(s *assertion.Signer) uint64 {
	var b [8]byte
	copy(b[:], s.KeyID())
	return binary.LittleEndian.Uint64(b[:])
}
