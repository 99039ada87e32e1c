package authflow

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"
)

// Programs are what a partner's programs may do at the API. The zero value: a
// partner that calls no API.
type Programs struct {
	// Keys are the hashes of the keys they call with: one, or two while a key is
	// replaced.
	Keys []KeyHash
	// ConsentByCode says that giving the code is the act of consent, so that a
	// program need not say that there is one.
	ConsentByCode bool
	// Codes are those sent for the partner's programs and not (yet) entered, in
	// place of Limits.CodesPerIP, which is for one address. The zero Limit: the same
	// as that.
	Codes Limit
}

// KeyHash is SHA-256 of a partner's key. A plain hash is enough, because a key
// has 256 random bits: there is nothing to guess (NIST SP 800-63B, section
// 5.1.2.2, asks for salt and stretching below 112 bits).
type KeyHash [sha256.Size]byte

const (
	keyPrefix  = "kp_"
	hashPrefix = "sha256:"
)

// NewPartnerKey makes a key for a partner's programs, kp_ and 43 characters of
// base64url.
func NewPartnerKey() string {
	var b [32]byte
	rand.Read(b[:])
	return keyPrefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// HashKey returns the hash of a key, as it stands in x-api-key.
func HashKey(key string) KeyHash { return sha256.Sum256([]byte(key)) }

// String writes the hash as the configuration has it: sha256: and 43 characters
// of base64url.
func (h KeyHash) String() string { return hashPrefix + base64.RawURLEncoding.EncodeToString(h[:]) }

// ErrKeyHash says what is wrong with a key_hash.
var ErrKeyHash = errors.New("key_hash is not one: write the key_hash that `caddy kycvs partner-key` prints, sha256: and 43 characters")

// ErrKeyForHash says that a key stands where its hash belongs.
var ErrKeyForHash = errors.New("key_hash is a key, which only the partner may have, and which is known now to whoever reads this file: make another with `caddy kycvs partner-key`, give the partner its key and write its key_hash here")

// ParseKeyHash reads what String writes, and nothing else. The error never shows
// what was written.
func ParseKeyHash(s string) (h KeyHash, err error) {
	if strings.HasPrefix(s, keyPrefix) {
		return h, ErrKeyForHash
	}
	text, ok := strings.CutPrefix(s, hashPrefix)
	if !ok {
		return h, ErrKeyHash
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != len(h) || KeyHash(raw).String() != s {
		return h, ErrKeyHash
	}
	return KeyHash(raw), nil
}

// WhoseKey returns the audience whose partner has the key, nil if nobody has. It
// takes as long whoever it is, and does not ask whether the partner has ended.
func WhoseKey(list []*Audience, key string) (found *Audience) {
	h := HashKey(key)
	for _, a := range list {
		for i := range a.Programs.Keys {
			if subtle.ConstantTimeCompare(h[:], a.Programs.Keys[i][:]) == 1 {
				found = a
			}
		}
	}
	return found
}

// Program is the Asker.Browser of a partner's programs: what a browser's mark is
// at a gate. It binds a handshake to the partner, whichever of its programs
// began it.
func (f *Flow) Program(a *Audience) ID128 { return f.persons.key("program", a.ID) }

// partnerKey names the counter of the codes sent for a partner's programs.
func (f *Flow) partnerKey(a *Audience) [16]byte { return f.entries.key("partner", a.ID) }

// limitPartner is the word for Programs.Codes.
const limitPartner = "codes_per_partner"

// partnerLimit is what counts codes sent for a partner's programs.
func (f *Flow) partnerLimit(a *Audience) Limit {
	if a.Programs.Codes.Count > 0 {
		return a.Programs.Codes
	}
	return f.Limits.CodesPerIP
}
