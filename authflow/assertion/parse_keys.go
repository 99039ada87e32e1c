package assertion

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// ParseKeySet reads a key set (RFC 7517) as an issuer publishes it, e.g. one that
// is kept in a file. Of its keys it takes those that can sign an assertion: with
// a kid of their own and an alg that fits them. It passes over any other, and
// any with a private part, which whoever reads the set could then sign with. It
// is an error if the text is no key set, or if no key is left.
func ParseKeySet(text []byte) (KeyFunc, error) {
	keys, err := parseKeySet(text)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("assertion: no key of this set can check an assertion: each needs a kid of its own, " +
			"an alg (ES256, EdDSA or RS256) and no private part")
	}
	return keyFunc(keys), nil
}

// keyFunc serves a map of keys.
func keyFunc(keys map[string]jose.JSONWebKey) KeyFunc {
	return func(_ context.Context, kid string) (jose.JSONWebKey, error) {
		key, ok := keys[kid]
		if !ok {
			return jose.JSONWebKey{}, ErrKeyUnknown
		}
		return key, nil
	}
}

// parseKeySet is ParseKeySet, but that the set may be empty.
func parseKeySet(text []byte) (map[string]jose.JSONWebKey, error) {
	set, ok := parseObject(text)
	var list []json.RawMessage
	if !ok || set["keys"] == nil || json.Unmarshal(set["keys"], &list) != nil || list == nil {
		return nil, errors.New(`assertion: not a key set: that is a JSON object with a list "keys"`)
	}
	keys := make(map[string]jose.JSONWebKey, len(list))
	var doubled []string
	for _, one := range list {
		key, ok := parsePublicKey(one)
		if !ok {
			continue
		}
		if _, ok := keys[key.KeyID]; ok {
			doubled = append(doubled, key.KeyID)
		}
		keys[key.KeyID] = key
	}
	// Which of them was meant is anybody's guess: none is taken.
	for _, kid := range doubled {
		delete(keys, kid)
	}
	return keys, nil
}

// maxKid is the longest kid that is kept; ours have 43 bytes.
const maxKid = 256

// private members of a JSON Web Key (RFC 7518, sections 6.2.2, 6.3.2 and 6.4;
// RFC 8037, section 2).
var private = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// parsePublicKey reads one key of a set, false for one that is to be passed over.
func parsePublicKey(text []byte) (jose.JSONWebKey, bool) {
	m, ok := parseObject(text)
	if !ok {
		return jose.JSONWebKey{}, false
	}
	for _, name := range private {
		if _, ok := m[name]; ok {
			return jose.JSONWebKey{}, false
		}
	}
	kid, ok := m.text("kid")
	if !ok || kid == "" || len(kid) > maxKid {
		return jose.JSONWebKey{}, false
	}
	alg, ok := m.text("alg")
	if !ok || !slices.Contains(algorithms, jose.SignatureAlgorithm(alg)) {
		return jose.JSONWebKey{}, false
	}
	if use, ok := m.text("use"); m["use"] != nil && (!ok || use != "sig") {
		return jose.JSONWebKey{}, false
	}
	if ops, ok := m.texts("key_ops"); m["key_ops"] != nil && (!ok || !slices.Contains(ops, "verify")) {
		return jose.JSONWebKey{}, false
	}
	var key jose.JSONWebKey
	if json.Unmarshal(text, &key) != nil || !key.Valid() || !key.IsPublic() || fits(key.Key, jose.SignatureAlgorithm(alg)) != nil {
		return jose.JSONWebKey{}, false
	}
	// Nothing but the key and its name goes on: no certificate, no address of one.
	return jose.JSONWebKey{Key: key.Key, KeyID: kid, Algorithm: alg, Use: "sig"}, true
}
