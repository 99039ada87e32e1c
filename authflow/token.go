package authflow

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/kycvs/caddy-kycvs/authflow/pass"
)

// A bearer token is the sealed pass of a partner, and says whose it is, so that
// nothing needs to be kept of it:
//
//	PARTNER[~SUBPARTNER].PASS[.TXN]
//
// TXN is the caller's own txn, sealed with the handshake's key.

// MaxToken bounds what is looked at.
const MaxToken = 1024

// ErrToken says that a token is none of ours, without saying why not.
var ErrToken = errors.New("not a token of this service")

// BearerToken writes the token of a finished handshake.
func (f *Flow) BearerToken(g Granted) string {
	token := g.Audience.ID
	if sub := g.Audience.Acting.ID; sub != "" {
		token += "~" + sub
	}
	token += "." + g.Token
	if g.CallerTxn != "" {
		sealed := sealKey(f.seals[0], g.Pass.TxnID).Seal(nil, nil, []byte(g.CallerTxn), tokenTxn)
		token += "." + base64.RawURLEncoding.EncodeToString(sealed)
	}
	return token
}

var tokenTxn = []byte("txn of a token")

// OpenToken reads a token of one of the audiences: whom it is for, what it says,
// and the caller's own txn. It looks neither at the clock nor at withdrawals. A
// sealed pass alone is a token too, where there is one audience.
func (f *Flow) OpenToken(list []*Audience, token string) (a *Audience, p pass.Pass, txn string, err error) {
	if len(token) > MaxToken {
		return nil, p, "", ErrToken
	}
	who, sealed, named := cutBeforePass(token)
	if !named {
		if len(list) != 1 {
			return nil, p, "", ErrToken
		}
		who, sealed = list[0].ID, token
	}
	id, sub, _ := strings.Cut(who, "~")
	i := slices.IndexFunc(list, func(a *Audience) bool { return a.ID == id })
	if i < 0 {
		return nil, p, "", ErrToken
	}
	a, ok := list[i].For(sub)
	if !ok || sub == "" && strings.Contains(who, "~") {
		return nil, p, "", ErrToken
	}
	sealed, sealedTxn, has := strings.Cut(sealed, ".")
	if p, err = a.Sealer.Open(sealed); err != nil {
		return nil, p, "", ErrToken
	}
	if has {
		if txn, ok = f.openTokenTxn(p, sealedTxn); !ok {
			return nil, p, "", ErrToken
		}
	}
	return a, p, txn, nil
}

// cutBeforePass splits a token before the pass, which has a fixed length. Ids may
// have dots.
func cutBeforePass(token string) (who, rest string, ok bool) {
	for i := 0; i < len(token); i++ {
		if token[i] != '.' {
			continue
		}
		rest := token[i+1:]
		if len(rest) == pass.TokenSize || len(rest) > pass.TokenSize && rest[pass.TokenSize] == '.' && !strings.Contains(rest[:pass.TokenSize], ".") {
			return token[:i], rest, true
		}
	}
	return "", "", false
}

func (f *Flow) openTokenTxn(p pass.Pass, text string) (string, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return "", false
	}
	for _, k := range f.seals {
		if plain, err := sealKey(k, p.TxnID).Open(nil, nil, raw, tokenTxn); err == nil {
			return string(plain), true
		}
	}
	return "", false
}
