package authflow

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// Secret is what the operator keeps: the newest secret and, while it is being
// changed, those it replaces. Whatever is made is made with the newest;
// whatever is read may have been made with any.
type Secret struct {
	masters [][]byte
}

// NewSecret takes the secrets, newest first; there must be at least one.
func NewSecret(newest []byte, older ...[]byte) Secret {
	return Secret{masters: append([][]byte{newest}, older...)}
}

// Keys returns one 256-bit key for each secret, newest first, for the use that
// label names: HKDF-SHA256 (RFC 5869) with the label as info, so that no key
// serves two uses.
func (s Secret) Keys(label string) [][]byte {
	keys := make([][]byte, len(s.masters))
	for i, m := range s.masters {
		k, err := hkdf.Key(sha256.New, m, nil, "kycvs "+label, 32)
		if err != nil {
			panic("authflow: " + err.Error()) // only for lengths HKDF cannot give
		}
		keys[i] = k
	}
	return keys
}

// SubjectKey is a key for Config.SubjectKey where none was kept before: the same
// on every instance that has the same secret. While the secret is being changed
// it is the oldest one's, because that is what people are known by so far.
func (s Secret) SubjectKey() []byte {
	keys := s.Keys("subject key")
	return keys[len(keys)-1]
}

// keyedHash is HMAC-SHA256 under one key with its state pooled, which makes it
// five times as fast as a new one each time.
type keyedHash struct {
	pool sync.Pool // of *keyedState
}

type keyedState struct {
	hash.Hash
	parts []byte
	out   [sha256.Size]byte
}

func newKeyedHash(key []byte) *keyedHash {
	return &keyedHash{pool: sync.Pool{New: func() any { return &keyedState{Hash: hmac.New(sha256.New, key)} }}}
}

// sum hashes the parts, each led by its length so that no two lists of parts
// read alike.
func (k *keyedHash) sum(parts ...string) [sha256.Size]byte {
	h := k.pool.Get().(*keyedState)
	defer k.pool.Put(h)
	h.Reset()
	h.parts = appendParts(h.parts[:0], parts)
	h.Write(h.parts)
	clear(h.parts) // numbers and names may be among them
	h.Sum(h.out[:0])
	return h.out
}

func appendParts(b []byte, parts []string) []byte {
	for _, p := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	return b
}

// plainKey is a hash without a key, for what is random already.
func plainKey(parts ...string) (out [16]byte) {
	var room [256]byte
	sum := sha256.Sum256(appendParts(room[:0], parts))
	return [16]byte(sum[:])
}

// key is sum, cut to the 128 bits that identify an entry.
func (k *keyedHash) key(parts ...string) (out [16]byte) {
	full := k.sum(parts...)
	copy(out[:], full[:])
	return out
}
