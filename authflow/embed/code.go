package embed

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// codeLife is how long a code waits for the partner's server: RFC 6749, section
// 4.1.2, recommends ten minutes at most, and a server needs seconds.
const codeLife = time.Minute

const (
	codeID     = 16 // bytes that name the entry
	codeSecret = 16 // bytes that are compared
)

// codeScope says whose code it is. It is no secret.
func codeScope(a *authflow.Audience) state.Key { return hashed("scope", a.ID+"\x00"+a.Issuer) }

// codeKey names a code's entry, which does not give the code away.
func codeKey(id []byte) state.Key { return hashed("entry", string(id)) }

func hashed(use, what string) (k state.Key) {
	sum := sha256.Sum256([]byte("kycvs redirect " + use + "\x00" + what))
	copy(k[:], sum[:])
	return k
}

// issue keeps a sealed pass under a new code. What is kept tells nobody the
// code, and not the answer either: the pass is sealed.
func (h *Handler) issue(ctx context.Context, a *authflow.Audience, token string) (code string, err error) {
	raw := make([]byte, codeID+codeSecret)
	rand.Read(raw)
	expires := h.Flow.Now().Add(codeLife)
	entry := state.Handshake{
		Scope:       codeScope(a),
		Code:        sha256.Sum256(raw[codeID:]), // random already: no key is needed
		CodeExpires: expires,
		Sends:       1,
		NextSend:    expires,
		Sealed:      []byte(token),
	}
	if err := h.Flow.State.Create(ctx, codeKey(raw[:codeID]), entry, codeLife); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

// Redeem exchanges the code that a redirect brought for the pass it stands for,
// sealed for the audience, which is a token of the API. The code is good once, for a minute, for the partner it was made
// for. A code that is made up, used, too old or somebody else's is TxnUnknown,
// whichever it is, as is one whose consent was taken back since; another
// partner's attempt does not spend it. Unavailable where the state does not
// answer. The error is always an *authflow.Error.
func (h *Handler) Redeem(ctx context.Context, a *authflow.Audience, code string) (token string, err error) {
	refused := &authflow.Error{Code: authflow.TxnUnknown}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(code)
	if err != nil || len(raw) != codeID+codeSecret {
		return "", refused
	}
	if a.Ended(h.Flow.Now()) {
		return "", refused
	}
	id := codeKey(raw[:codeID])
	entry, err := h.Flow.State.Load(ctx, id)
	switch {
	case errors.Is(err, state.ErrNotFound):
		return "", refused
	case err != nil:
		return "", asError(err)
	case entry.Scope != codeScope(a) || entry.Spent || !h.Flow.Now().Before(entry.CodeExpires):
		return "", refused
	}
	right, err := h.Flow.State.Spend(ctx, id, sha256.Sum256(raw[codeID:]))
	switch {
	case errors.Is(err, state.ErrNotFound), err == nil && !right:
		return "", refused
	case err != nil:
		return "", asError(err)
	}
	if err := h.Flow.State.Delete(ctx, id); err != nil {
		h.Logger.WarnContext(ctx, "a code that was redeemed could not be removed; it is spent and ends by itself", "error", err)
	}
	token = string(entry.Sealed)
	p, err := a.Sealer.Open(token)
	if err != nil || p.Expired(h.Flow.Now()) || h.Withdrawals.Ended(p.Consent, p.Number) {
		return "", refused
	}
	return token, nil
}
