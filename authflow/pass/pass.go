// Package pass is what the person's browser keeps between requests: a sealed
// proof, good for one partner at one site, and the cookie that holds a few of
// them.
//
// A pass is sealed, not merely signed: whoever reads the cookie learns nothing
// from it, not even the status. The key is derived for the site, the partner
// and the purpose that were shown when the person consented, so a pass brought
// to another site, shown to another partner, or used after the purpose was
// reworded simply does not open.
package pass

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strconv"
	"time"
)

// Pass is the content of a sealed pass.
type Pass struct {
	Subject  [16]byte // the person, as this partner alone knows them
	Consent  [16]byte // the ledger's id of the consent it rests on
	TxnID    [16]byte // the handshake
	Number   [8]byte  // the mobile number, as withdrawals.Number knows it
	Status   uint8    // 0, 1 or 2, as it was at AuthTime
	AuthTime int64    // when the code was confirmed, seconds since the epoch
	Expires  int64    // seconds since the epoch
}

// Expired tells whether the pass has ended by now.
func (p *Pass) Expired(now time.Time) bool { return now.Unix() >= p.Expires }

// ErrInvalid says that a token is no pass of this scope: garbled, cut short,
// made for somebody else, or sealed under another secret. It does not say
// which, because nobody may learn that by trying.
var ErrInvalid = errors.New("pass: not valid here")

const (
	tagSize   = 3 // bytes; four characters of the token
	nonceSize = 12
	bodySize  = 1 + 16 + 16 + 16 + 8 + 8 + 8
	overhead  = 16
	rawSize   = tagSize + nonceSize + bodySize + overhead
	// TokenSize is the length of a sealed pass in characters.
	TokenSize = (rawSize*8 + 5) / 6
	tagChars  = 4

	version = 2
)

// Scope says what a pass is good for.
type Scope struct {
	Site    string // the host, as matched, or the issuer where the site names no host
	Partner string // the partner's id
	Purpose string // as the person was shown it
}

func (s Scope) info() string {
	return "kycvs pass 1 " + strconv.Quote(s.Site) + strconv.Quote(s.Partner) + strconv.Quote(s.Purpose)
}

// Sealer seals and opens the passes of one scope; safe for concurrent use.
type Sealer struct {
	keys []sealKey // the first seals, all open
}

type sealKey struct {
	aead cipher.AEAD
	tag  [tagSize]byte
	text string // tag as it stands at the beginning of a token
	id   [16]byte
}

// NewSealer derives the scope's keys from the given ones (32 bytes each, newest
// first) with HKDF-SHA256 (RFC 5869). Sealing is AES-256-GCM with random
// nonces: NIST SP 800-38D allows 2^32 of them for a key, and the keys are one
// for each scope.
func NewSealer(keys [][]byte, scope Scope) *Sealer {
	s := new(Sealer)
	for _, k := range keys {
		okm, err := hkdf.Key(sha256.New, k, nil, scope.info(), 32+tagSize+16)
		if err != nil {
			panic("pass: " + err.Error())
		}
		block, err := aes.NewCipher(okm[:32])
		if err != nil {
			panic("pass: " + err.Error())
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			panic("pass: " + err.Error())
		}
		sk := sealKey{aead: aead, tag: [tagSize]byte(okm[32:]), id: [16]byte(okm[32+tagSize:])}
		sk.text = base64.RawURLEncoding.EncodeToString(sk.tag[:])
		s.keys = append(s.keys, sk)
	}
	return s
}

// ID identifies the sealer: two have the same if they open the same tokens.
func (s *Sealer) ID() [16]byte {
	h := sha256.New()
	for i := range s.keys {
		h.Write(s.keys[i].id[:])
	}
	return [16]byte(h.Sum(nil))
}

// Seal returns the pass as a token of TokenSize characters.
func (s *Sealer) Seal(p Pass) string {
	raw := make([]byte, tagSize+nonceSize, rawSize)
	copy(raw, s.keys[0].tag[:])
	rand.Read(raw[tagSize:])
	var body [bodySize]byte
	b := append(body[:0], version<<4|p.Status)
	b = append(b, p.Subject[:]...)
	b = append(b, p.Consent[:]...)
	b = append(b, p.TxnID[:]...)
	b = append(b, p.Number[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(p.AuthTime))
	b = binary.BigEndian.AppendUint64(b, uint64(p.Expires))
	raw = s.keys[0].aead.Seal(raw, raw[tagSize:tagSize+nonceSize], b, raw[:tagSize])
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Mine tells whether the token could be one of this scope, by the tag it
// begins with: a quick look, no proof.
func (s *Sealer) Mine(token string) bool {
	if len(token) != TokenSize {
		return false
	}
	for i := range s.keys {
		if token[:tagChars] == s.keys[i].text {
			return true
		}
	}
	return false
}

// Open returns the content of a token, ErrInvalid if it is none of this scope.
// It does not look at the clock.
func (s *Sealer) Open(token string) (Pass, error) {
	if len(token) != TokenSize {
		return Pass{}, ErrInvalid
	}
	var buf [rawSize]byte
	if _, err := base64.RawURLEncoding.Strict().Decode(buf[:], []byte(token)); err != nil {
		return Pass{}, ErrInvalid
	}
	for i := range s.keys {
		k := &s.keys[i]
		if [tagSize]byte(buf[:tagSize]) != k.tag {
			continue
		}
		var body [bodySize]byte
		b, err := k.aead.Open(body[:0], buf[tagSize:tagSize+nonceSize], buf[tagSize+nonceSize:], buf[:tagSize])
		if err != nil || b[0]>>4 != version || b[0]&0xf > 2 {
			continue
		}
		return Pass{
			Status:   b[0] & 0xf,
			Subject:  [16]byte(b[1:17]),
			Consent:  [16]byte(b[17:33]),
			TxnID:    [16]byte(b[33:49]),
			Number:   [8]byte(b[49:57]),
			AuthTime: int64(binary.BigEndian.Uint64(b[57:65])),
			Expires:  int64(binary.BigEndian.Uint64(b[65:73])),
		}, nil
	}
	return Pass{}, ErrInvalid
}
