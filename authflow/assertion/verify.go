package assertion

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// MaxSkew is the most that two clocks may be said to differ.
	MaxSkew = 30 * time.Second
	// DefaultSkew is what a VerifierConfig says that says nothing of it.
	DefaultSkew = 5 * time.Second
	// MaxLifetime is the longest that an assertion is good for, the most that a
	// gate's assertion_ttl may be.
	MaxLifetime = time.Hour
)

// KeyFunc returns the public key with this kid. It returns an error that is
// ErrKeyUnknown (errors.Is) where it has none; any other means that it could
// not find out. It must be safe for concurrent use, and must expect kids that
// somebody made up.
type KeyFunc func(ctx context.Context, kid string) (jose.JSONWebKey, error)

// VerifierConfig says what a partner accepts.
type VerifierConfig struct {
	// Keys finds the issuer's keys: the Key method of a KeySet, or what StaticKeys
	// or ParseKeySet returns. Required.
	Keys KeyFunc
	// Issuer is what iss must be, e.g. "https://mall.example". Required.
	Issuer string
	// Audience is the partner's id, what aud must be. Required: an assertion
	// made for somebody else proves nothing to you.
	Audience string
	// Algorithms are those accepted; empty means all that Algorithms returns.
	Algorithms []jose.SignatureAlgorithm
	// Skew is how far the issuer's clock may be from this one, at most MaxSkew;
	// zero means DefaultSkew, and less than zero that they are the same.
	Skew time.Duration
	// Lifetime is the longest time between iat and exp that is accepted, the
	// issuer's assertion_ttl, at most MaxLifetime; zero means MaxLifetime.
	Lifetime time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Verifier checks assertions of one issuer for one partner. It is safe for
// concurrent use.
type Verifier struct{ cfg VerifierConfig }

// NewVerifier returns a Verifier, or an error that says what of the
// configuration is missing or out of bounds.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	switch {
	case cfg.Keys == nil:
		return nil, errors.New("assertion: a verifier needs Keys, e.g. StaticKeys of the issuer's key set")
	case cfg.Issuer == "":
		return nil, errors.New("assertion: a verifier needs the Issuer that it trusts")
	case cfg.Audience == "":
		return nil, errors.New("assertion: a verifier needs its Audience, the partner's id")
	case cfg.Skew > MaxSkew:
		return nil, fmt.Errorf("assertion: a verifier's Skew must be at most %v, not %v: set the clocks instead", MaxSkew, cfg.Skew)
	case cfg.Lifetime < 0 || cfg.Lifetime > MaxLifetime:
		return nil, fmt.Errorf("assertion: a verifier's Lifetime must be from 0 to %v, not %v", MaxLifetime, cfg.Lifetime)
	}
	if cfg.Skew == 0 {
		cfg.Skew = DefaultSkew
	}
	cfg.Skew = max(cfg.Skew, 0)
	if cfg.Lifetime == 0 {
		cfg.Lifetime = MaxLifetime
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = algorithms
	}
	for _, alg := range cfg.Algorithms {
		if !slices.Contains(algorithms, alg) {
			return nil, fmt.Errorf("assertion: a verifier's Algorithms can be ES256, EdDSA and RS256, not %q", alg)
		}
	}
	cfg.Algorithms = slices.Clone(cfg.Algorithms)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Verifier{cfg}, nil
}

// StaticKeys serves the keys of a set, e.g. of a jwks.json kept beside the
// program. A set where two keys have one kid is refused.
func StaticKeys(set jose.JSONWebKeySet) (KeyFunc, error) {
	keys := make(map[string]jose.JSONWebKey, len(set.Keys))
	for _, key := range set.Keys {
		if _, ok := keys[key.KeyID]; ok || key.KeyID == "" {
			return nil, errors.New("assertion: every key of a set needs a kid of its own")
		}
		keys[key.KeyID] = key
	}
	return keyFunc(keys), nil
}

// Verify is VerifyContext for keys that are at hand.
func (v *Verifier) Verify(compact string) (Claims, error) {
	return v.VerifyContext(context.Background(), compact)
}

// VerifyContext checks an assertion in compact form and returns what it says;
// ctx goes to the KeyFunc. An error wraps one of this package's Err… values,
// and the Claims are then empty. The caller still has to compare
// VaccinationStatus with what is needed.
func (v *Verifier) VerifyContext(ctx context.Context, compact string) (Claims, error) {
	if len(compact) > MaxSize {
		return Claims{}, ErrSize
	}
	parts, err := split(compact)
	if err != nil {
		return Claims{}, err
	}
	h, err := parseHeader(parts.header)
	if err != nil {
		return Claims{}, err
	}
	if !slices.Contains(v.cfg.Algorithms, h.alg) {
		return Claims{}, fmt.Errorf("%w: this verifier takes %v", ErrAlgorithm, v.cfg.Algorithms)
	}
	key, err := v.key(ctx, h)
	if err != nil {
		return Claims{}, err
	}

	// go-jose reads the whole again by its own rules; what it and split think of
	// the same bytes cannot differ, because split takes only one spelling of each.
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{h.alg})
	if err != nil {
		return Claims{}, ErrMalformed
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return Claims{}, ErrSignature
	}

	c, err := parseClaims(payload)
	if err != nil {
		return Claims{}, err
	}
	if err := v.check(&c); err != nil {
		return Claims{}, err
	}
	return c, nil
}

// key returns the public key to check with, in go-jose's bare form: of a JWK
// nothing but the key itself is then used.
func (v *Verifier) key(ctx context.Context, h header) (any, error) {
	key, err := v.cfg.Keys(ctx, h.kid)
	switch {
	case errors.Is(err, ErrKeyUnknown):
		return nil, ErrKeyUnknown
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	case key.KeyID != h.kid:
		return nil, fmt.Errorf("%w: another key was found for it", ErrKeyUnknown)
	case key.Use != "" && key.Use != "sig":
		return nil, fmt.Errorf("%w: the key is not for signatures", ErrAlgorithm)
	case key.Algorithm != "" && key.Algorithm != string(h.alg):
		return nil, fmt.Errorf("%w: the key is not for this one", ErrAlgorithm)
	case !key.Valid():
		return nil, fmt.Errorf("%w: the key found is empty or damaged", ErrKeysUnavailable)
	}
	public := key.Public().Key
	if err := fits(public, h.alg); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAlgorithm, err)
	}
	return public, nil
}

// check compares the claims with what is expected and with the clock.
func (v *Verifier) check(c *Claims) error {
	now := v.cfg.Now()
	ahead := func(seconds int64) bool { return time.Unix(seconds, 0).After(now.Add(v.cfg.Skew)) }
	switch {
	case c.Issuer != v.cfg.Issuer:
		return ErrIssuer
	case c.Audience != v.cfg.Audience:
		return ErrAudience
	case c.Expires <= c.IssuedAt || c.Expires <= c.NotBefore:
		return fmt.Errorf("%w: it expires before it begins", ErrLifetime)
	case time.Duration(c.Expires-c.IssuedAt) > v.cfg.Lifetime/time.Second:
		return fmt.Errorf("%w: from iat to exp it is longer than %v", ErrLifetime, v.cfg.Lifetime)
	case ahead(c.IssuedAt):
		return ErrIssuedInFuture
	case ahead(c.NotBefore):
		return ErrNotYetValid
	// RFC 7519, section 4.1.4: on or after exp it must not be accepted.
	case !now.Add(-v.cfg.Skew).Before(time.Unix(c.Expires, 0)):
		return ErrExpired
	}
	return nil
}

// parts are the three parts of a compact JWS, the first two decoded.
type parts struct{ header, payload, signature []byte }

// split takes an assertion apart. Of all the spellings that base64 decoders
// let pass it takes only the one that a signer writes, so that two strings are
// never the same assertion.
func split(compact string) (parts, error) {
	var p parts
	segments := strings.Split(compact, ".")
	if len(segments) != 3 {
		return p, fmt.Errorf("%w: it has %d parts, not 3", ErrMalformed, len(segments))
	}
	for i, to := range []*[]byte{&p.header, &p.payload, &p.signature} {
		b, ok := decodeSegment(segments[i])
		// Without a signature it is whole, but wrong: by its alg, or by its signature.
		if !ok || len(b) == 0 && to != &p.signature {
			return p, fmt.Errorf("%w: part %d is not base64url without padding", ErrMalformed, i+1)
		}
		*to = b
	}
	return p, nil
}
