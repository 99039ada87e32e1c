package receipt

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

// What can be wrong with a receipt. An error of this package wraps one of them
// and shows nothing of the receipt.
var (
	// ErrMalformed: not what Sign writes: too long, not a compact JWS, a member that
	// is doubled, missing or of the wrong type, a time that is none.
	ErrMalformed = errors.New("receipt: malformed")
	// ErrType: something else that was signed, an assertion, say.
	ErrType = errors.New("receipt: the header's typ is not " + Type)
	// ErrKey: the key is not known, could not be had, or is not for this algorithm.
	ErrKey = errors.New("receipt: no key for it")
	// ErrSignature: the signature is not the key's over these bytes.
	ErrSignature = errors.New("receipt: the signature is wrong")
	// ErrIssuer: issued by somebody else than was expected.
	ErrIssuer = errors.New("receipt: the issuer is not the one expected")
	// ErrDiffers: a file whose readable part is not what was signed.
	ErrDiffers = errors.New("receipt: what is to be read is not what was signed")
)

// Verify checks a receipt in compact form and returns what it says. keys finds
// the issuer's keys: of a set that was kept when the receipt was made, with
// assertion.ParseKeySet, or of a running gate, with an assertion.KeySet. issuer
// is the origin that must have signed it, e.g. "https://mall.example".
//
// A receipt does not end: that a consent is over, or was withdrawn since, is no
// error and not to be seen from it.
func Verify(ctx context.Context, compact string, keys assertion.KeyFunc, issuer string) (Receipt, error) {
	r, _, err := verify(ctx, compact, keys, issuer)
	return r, err
}

func verify(ctx context.Context, compact string, keys assertion.KeyFunc, issuer string) (Receipt, []byte, error) {
	if keys == nil || issuer == "" {
		return Receipt{}, nil, errors.New("receipt: checking one takes the issuer that is trusted and its keys")
	}
	if len(compact) > MaxSize {
		return Receipt{}, nil, fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxSize)
	}
	jws, err := jose.ParseSignedCompact(compact, assertion.Algorithms())
	if err != nil || len(jws.Signatures) != 1 {
		return Receipt{}, nil, ErrMalformed
	}
	// of all the spellings that a base64 decoder lets pass, only the one that a
	// signer writes
	if again, err := jws.CompactSerialize(); err != nil || again != compact {
		return Receipt{}, nil, ErrMalformed
	}
	h := jws.Signatures[0].Protected
	if typ, ok := h.ExtraHeaders[jose.HeaderType].(string); !ok || typ != Type {
		return Receipt{}, nil, ErrType
	}
	// a key that the receipt brings along, or another way of reading it (RFC 8725,
	// section 3.10): ours never do
	if len(h.ExtraHeaders) != 1 || h.JSONWebKey != nil || h.Nonce != "" {
		return Receipt{}, nil, fmt.Errorf("%w: the header has a member that a receipt never has", ErrMalformed)
	}
	key, err := keys(ctx, h.KeyID)
	if err != nil {
		return Receipt{}, nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	id, err := assertion.KeyID(key)
	if err != nil || id != h.KeyID || key.Algorithm != h.Algorithm || !key.IsPublic() {
		return Receipt{}, nil, fmt.Errorf("%w: the key found is not the one that its kid and alg name", ErrKey)
	}
	payload, err := jws.Verify(key.Key)
	if err != nil {
		return Receipt{}, nil, ErrSignature
	}
	r, err := parse(payload)
	if err != nil {
		return Receipt{}, nil, err
	}
	if r.Own.Issuer != issuer {
		return Receipt{}, nil, ErrIssuer
	}
	return r, payload, nil
}

// parse reads the signed content. Members it does not know are ignored.
func parse(payload []byte) (Receipt, error) {
	var all any // once all the way down: no member may stand twice
	var r Receipt
	if !utf8.Valid(payload) || josejson.Unmarshal(payload, &all) != nil || josejson.Unmarshal(payload, &r) != nil {
		return Receipt{}, fmt.Errorf("%w: not the JSON of a receipt, with each member once", ErrMalformed)
	}
	if r.SchemaVersion != SchemaVersion {
		return Receipt{}, fmt.Errorf("%w: its schema_version is not %s", ErrMalformed, SchemaVersion)
	}
	if r.RecordID == "" || r.PIIPrincipalID == "" || r.Own.Partner == "" ||
		len(r.Processing) != 1 || len(r.Processing[0].Purposes) == 0 || len(r.Parties) == 0 || len(r.Events) != 1 {
		return Receipt{}, fmt.Errorf("%w: it does not say who agreed to what", ErrMalformed)
	}
	for _, at := range []string{r.Events[0].EventTime, r.Own.IssuedAt, r.Own.Until} {
		if _, err := time.Parse(time.RFC3339, at); err != nil {
			return Receipt{}, fmt.Errorf("%w: a time is not as in RFC 3339", ErrMalformed)
		}
	}
	return r, nil
}
