package sealed

import (
	"crypto/aes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"

	"github.com/kycvs/caddy-kycvs/registry"
)

// ErrDamaged says that a box is not what was sealed under this number: the store
// is damaged, or somebody changed it. It never means that there is no record.
var ErrDamaged = errors.New("a record of the store is damaged: restore the store from a backup, or make it anew from its source")

const tagSize = 16

// Index returns where the box of a number is kept.
func (k *Keys) Index(m registry.Mobile) Index {
	r := k.room()
	defer k.rooms.Put(r)
	return r.indexOf(m)
}

func (r *room) indexOf(m registry.Mobile) (i Index) {
	r.index.Reset()
	r.in = append(r.in[:0], m...)
	r.index.Write(r.in)
	copy(i[:], r.index.Sum(r.sum[:0]))
	return i
}

// Seal appends to dst the box of all records under a number. The same records, in
// the same order, make the same box. It refuses records of another number, and what
// the format has no room for (records.go).
func (k *Keys) Seal(dst []byte, m registry.Mobile, records []registry.Record) ([]byte, error) {
	r := k.room()
	defer k.rooms.Put(r)
	index := r.indexOf(m)
	keys := r.keysOf(k, m)

	start := len(dst)
	dst = append(dst, make([]byte, tagSize)...)
	dst, err := encode(dst, m, records)
	if err != nil {
		return dst[:start], err
	}
	tag, text := dst[start:start+tagSize], dst[start+tagSize:]
	copy(tag, r.tag(keys[:32], index, text))
	return dst, crypt(keys[32:], tag, text)
}

// Unseal returns the records in the box of a number: ErrDamaged if it is not one
// that Seal made for this number and store.
func (k *Keys) Unseal(m registry.Mobile, box []byte) ([]registry.Record, error) {
	if len(box) < tagSize+padTo || len(box)%padTo != 0 {
		return nil, ErrDamaged
	}
	r := k.room()
	defer k.rooms.Put(r)
	index := r.indexOf(m)
	keys := r.keysOf(k, m)

	r.in = append(r.in[:0], box[tagSize:]...)
	if err := crypt(keys[32:], box[:tagSize], r.in); err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(r.tag(keys[:32], index, r.in), box[:tagSize]) != 1 {
		return nil, ErrDamaged
	}
	return decode(m, string(r.in))
}

// keysOf returns the two keys of a number's box: for the tag, and for encryption.
func (r *room) keysOf(k *Keys, m registry.Mobile) *[64]byte {
	r.record.Reset()
	r.in = append(r.in[:0], m...)
	r.record.Write(r.in)
	r.record.Sum(r.sum[:0])
	return &r.sum
}

// tag is HMAC-SHA256 (RFC 2104) under a key that is used once: crypto/hmac would
// take three allocations and twice the time to get ready for more.
func (r *room) tag(key []byte, index Index, text []byte) []byte {
	var pad [sha256.BlockSize]byte
	copy(pad[:], key)
	for i := range pad {
		pad[i] ^= 0x36
	}
	r.mac = append(append(append(r.mac[:0], pad[:]...), index[:]...), text...)
	inner := sha256.Sum256(r.mac)
	for i := range pad {
		pad[i] ^= 0x36 ^ 0x5c
	}
	r.mac = append(append(r.mac[:0], pad[:]...), inner[:]...)
	outer := sha256.Sum256(r.mac)
	return append(r.mac[:0], outer[:tagSize]...)
}

// crypt is AES-256-CTR in place, of a text of whole blocks. cipher.NewCTR is made
// for long streams; boxes are three blocks.
func crypt(key, iv, text []byte) error {
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	counter, stream := [aes.BlockSize]byte(iv), [aes.BlockSize]byte{}
	for ; len(text) >= aes.BlockSize; text = text[aes.BlockSize:] {
		block.Encrypt(stream[:], counter[:])
		subtle.XORBytes(text, text[:aes.BlockSize], stream[:])
		for i := aes.BlockSize - 1; i >= 0; i-- {
			if counter[i]++; counter[i] != 0 {
				break
			}
		}
	}
	return nil
}
