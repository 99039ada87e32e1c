package embed

import (
	"crypto/rand"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
)

// session is what a frame was made for. It is sealed into the page, which sends
// it with every call: it takes the cookie's place, which browsers give to no
// frame. Another page, even of the same partner, has another one, so a code
// asked for in one frame is of no use in the next.
type session struct {
	Partner string         `json:"p"`
	Origin  string         `json:"o"`
	Browser authflow.ID128 `json:"b"`
	Until   int64          `json:"u"` // seconds since the epoch
}

// sessionLife is how long a frame may be looked at before the code is entered.
const sessionLife = time.Hour

func (h *Handler) newSession(partner, origin string) (string, error) {
	s := session{Partner: partner, Origin: origin, Until: h.Flow.Now().Add(sessionLife).Unix()}
	rand.Read(s.Browser[:])
	return h.frames.seal(s)
}

// resume opens the session of a call and returns the audience it was made for,
// as it is in that frame.
func (q *request) resume(sealed string) (session, *authflow.Audience, error) {
	var s session
	unknown := &authflow.Error{Code: authflow.TxnUnknown}
	if q.frames.open(sealed, &s) != nil || q.Flow.Now().Unix() >= s.Until {
		return s, nil, unknown
	}
	origin, registered := q.origin(s.Partner, s.Origin) // it may have been taken out since
	a := q.audience(s.Partner)
	if a == nil || !registered {
		return s, nil, unknown
	}
	return s, inFrame(a, origin), nil
}

// inFrame is the audience as it is in a frame that a page of the origin holds:
// what is sealed and signed is the same, but the text message is for a phone
// that shows the partner's page, and names both hosts; and a code asked for
// inside the frame is good nowhere else.
func inFrame(a *authflow.Audience, origin string) *authflow.Audience {
	return &authflow.Audience{
		Partner: a.Partner,
		Host:    hostOf(origin),
		Frame:   a.Host,
		Issuer:  a.Issuer,
		Session: a.Session,
		TTL:     a.TTL,
		Sealer:  a.Sealer,
		Salt:    a.Salt,
	}
}
