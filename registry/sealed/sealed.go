// Package sealed is how records lie on a disk or in a database's table so that
// whoever copies them learns nothing.
//
// A store has a random key R of its own, made once. Beside the records R is kept
// wrapped: encrypted under the operator's secret, so that a changed secret wraps R
// anew (Rewrap) and touches no record.
//
// A record is found by the index of its mobile number, a hash keyed by R, and
// encrypted under a key made of R and the number. Without the secret a copy shows
// how many numbers there are and how long their boxes are, to 16 bytes. With copy
// and secret every possible number has to be tried, about 4*10^9 in India; the key
// of one record opens no other.
//
// The same records under the same number make the same box, byte for byte, so
// that an import sees what it would change. Two copies of one store therefore show
// which numbers changed between them.
//
// Formats (all have a version, and a test that pins their bytes):
//
//	wrapped  version 1 | store id 16 | nonce 12 | AES-256-GCM(R) 48
//	         under HKDF-SHA256(secret, salt = store id, "kycvs registry wrap 1"),
//	         version and store id authenticated
//	index    HMAC-SHA256(HKDF-SHA256(R, "kycvs registry index 1"), number)[:16]
//	box      tag 16 | ciphertext, a synthetic-IV composition in the manner of RFC 5297:
//	         tag = HMAC-SHA256(HKDF-SHA256(R, "kycvs registry tag 1"), length of the
//	         number, one byte | number | plaintext)[:16]; ciphertext = AES-256-CTR(
//	         HMAC-SHA256(HKDF-SHA256(R, "kycvs registry record 1"), number), iv = tag)
//
// The plaintext is in records.go.
package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"hash"
	"sync"
)

// IndexSize is the length of an index in bytes: 2^-48 is the chance that any two
// of 10^12 numbers share one, and a shared one is told by the tag.
const IndexSize = 16

// Index is where a number's box is kept: a keyed hash, spread evenly.
type Index [IndexSize]byte

const (
	wrapVersion = 1
	keySize     = 32
	idSize      = 16
	nonceSize   = 12
	headSize    = 1 + idSize
	// WrappedSize is the length of a wrapped key in bytes.
	WrappedSize = headSize + nonceSize + keySize + 16
)

var (
	// ErrWrongSecret says that none of the secrets opens the store.
	ErrWrongSecret = errors.New("this store was made with another secret: give the secret it was made with, " +
		"after the new one if the secret is being changed, or make the store anew from its source")
	// ErrNotAKey says that what should be a wrapped key is none, or one of a later version.
	ErrNotAKey = errors.New("the store's key is damaged, or of a newer version of this program: " +
		"restore it from a backup, or make the store anew from its source")
	// ErrNoSecret says that a secret is empty or missing.
	ErrNoSecret = errors.New("no secret: give the one that the gates have, by configuration or in KYCVS_SECRET")
)

// Keys seals and unseals the records of one store. It is safe for concurrent use.
type Keys struct {
	id        [idSize]byte
	root      [keySize]byte
	outdated  bool
	indexKey  []byte
	recordKey []byte
	tagKey    []byte
	rooms     sync.Pool // of *room
}

// New makes the key of a new store, and returns it also wrapped by the secret.
func New(secret []byte) (*Keys, []byte, error) {
	if len(secret) == 0 {
		return nil, nil, ErrNoSecret
	}
	k := &Keys{}
	rand.Read(k.id[:]) // never fails
	rand.Read(k.root[:])
	if err := k.derive(); err != nil {
		return nil, nil, err
	}
	wrapped, err := k.Rewrap(secret)
	return k, wrapped, err
}

// Open unwraps a store's key with the first of the secrets, newest first, that
// opens it: ErrWrongSecret if none does, ErrNotAKey if wrapped is no such thing.
func Open(wrapped []byte, secrets ...[]byte) (*Keys, error) {
	if len(wrapped) != WrappedSize || wrapped[0] != wrapVersion {
		return nil, ErrNotAKey
	}
	if len(secrets) == 0 {
		return nil, ErrNoSecret
	}
	k := &Keys{}
	copy(k.id[:], wrapped[1:headSize])
	for i, secret := range secrets {
		if len(secret) == 0 {
			return nil, ErrNoSecret
		}
		aead, err := k.wrapper(secret)
		if err != nil {
			return nil, err
		}
		root, err := aead.Open(nil, wrapped[headSize:headSize+nonceSize], wrapped[headSize+nonceSize:], wrapped[:headSize])
		if err != nil {
			continue
		}
		copy(k.root[:], root)
		k.outdated = i > 0
		return k, k.derive()
	}
	return nil, ErrWrongSecret
}

// Outdated reports whether an older secret than the first opened the store.
// Whoever opens it for writing then writes what Rewrap makes of the first.
func (k *Keys) Outdated() bool { return k.outdated }

// StoreID is a random name of the store, the same as long as it lives. It is no secret.
func (k *Keys) StoreID() [16]byte { return k.id }

// Rewrap wraps the store's key with another secret.
func (k *Keys) Rewrap(secret []byte) ([]byte, error) {
	if len(secret) == 0 {
		return nil, ErrNoSecret
	}
	aead, err := k.wrapper(secret)
	if err != nil {
		return nil, err
	}
	wrapped := make([]byte, headSize+nonceSize, WrappedSize)
	wrapped[0] = wrapVersion
	copy(wrapped[1:], k.id[:])
	rand.Read(wrapped[headSize:])
	return aead.Seal(wrapped, wrapped[headSize:], k.root[:], wrapped[:headSize]), nil
}

func (k *Keys) wrapper(secret []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, k.id[:], "kycvs registry wrap 1", keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (k *Keys) derive() (err error) {
	for name, key := range map[string]*[]byte{"index": &k.indexKey, "record": &k.recordKey, "tag": &k.tagKey} {
		if *key, err = hkdf.Key(sha256.New, k.root[:], nil, "kycvs registry "+name+" 1", keySize); err != nil {
			return err
		}
	}
	return nil
}

// room is what hashing and sealing need beside the key, kept for the next time:
// a keyed hash is twice as quick when it is reset as when it is made.
type room struct {
	index, record, tag hash.Hash
	in                 []byte // what is hashed, a plaintext
	sum                [sha256.Size]byte
}

func (k *Keys) room() *room {
	if r, ok := k.rooms.Get().(*room); ok {
		return r
	}
	return &room{index: hmac.New(sha256.New, k.indexKey), record: hmac.New(sha256.New, k.recordKey), tag: hmac.New(sha256.New, k.tagKey)}
}
