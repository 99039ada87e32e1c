package authflow

import "unicode/utf8"

// SubPartner is somebody a partner acts for, as Aadhaar's sub-AUA is to an AUA:
// who gets the answer in the end. The person is shown both.
type SubPartner struct {
	ID   string
	Name string // as the person is shown it
}

// For returns the audience of the partner acting for the sub-partner of that id,
// false if it has none of that id; the partner itself for "". Handshakes, limits
// and the person's pseudonym are the partner's; what is sealed and signed names
// both.
func (a *Audience) For(sub string) (*Audience, bool) {
	if sub == a.Acting.ID {
		return a, true
	}
	s, ok := a.acting[sub]
	return s, ok
}

// addActing makes the audience of the partner acting for sp.
func (a *Audience) addActing(sp SubPartner, keys [][]byte, site string) {
	to := &Audience{
		Partner: a.Partner, Acting: sp,
		Host: a.Host, Issuer: a.Issuer, Session: a.Session, TTL: a.TTL,
	}
	to.SubPartners = nil
	to.Name = nameBoth(sp.Name, a.Name)
	to.Seal(keys, site)
	if a.acting == nil {
		a.acting = map[string]*Audience{}
	}
	a.acting[sp.ID] = to
}

// maxBoth is how many characters two names have together: in a text message they
// are one variable of a registered template, which holds 40 (TRAI).
const maxBoth = 40

// nameBoth writes "sub (partner)", each cut so that something is left of both.
func nameBoth(sub, partner string) string {
	const around = len(" ()")
	s, p := utf8.RuneCountInString(sub), utf8.RuneCountInString(partner)
	if room := maxBoth - around; s+p > room {
		half := room / 2
		sub = cut(sub, max(half, room-p))
		partner = cut(partner, room-utf8.RuneCountInString(sub))
	}
	return sub + " (" + partner + ")"
}

// cut returns at most n characters of s, with "..." where some are missing.
func cut(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:max(0, n-len("..."))]) + "..."
}
