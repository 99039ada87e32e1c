package sealed

import (
	"crypto/aes"
	"crypto/subtle"
	"errors"

	"github.com/kycvs/caddy-kycvs/registry"
)

// ErrDamaged says that a box is not what was sealed under this number: the store
// is damaged, or somebody changed it. It never means that there is no record.
var ErrDamaged = errors.New("a record of the store is damaged: restore the store from a backup, or make it anew from its source")

const tagSize = 16

// Index returns where the box of a number is kept.
func (k *Keys) Index(m registry.Mobile) (i Index) {
	r := k.room()
	defer k.rooms.Put(r)
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
	start := len(dst)
	dst = append(dst, make([]byte, tagSize)...)
	dst, err := encode(dst, m, records)
	if err != nil {
		return dst[:start], err
	}
	r := k.room()
	defer k.rooms.Put(r)
	tag, text := dst[start:start+tagSize], dst[start+tagSize:]
	copy(tag, r.tagOf(m, text))
	return dst, crypt(r.keyOf(m), tag, text)
}

// Unseal returns the records in the box of a number: ErrDamaged if it is not one
// that Seal made for this number and store.
func (k *Keys) Unseal(m registry.Mobile, box []byte) ([]registry.Record, error) {
	if len(box) < tagSize+padTo || len(box)%padTo != 0 {
		return nil, ErrDamaged
	}
	r := k.room()
	defer k.rooms.Put(r)
	var room [256]byte // of nearly every box
	text := append(room[:0], box[tagSize:]...)
	if err := crypt(r.keyOf(m), box[:tagSize], text); err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(r.tagOf(m, text), box[:tagSize]) != 1 {
		return nil, ErrDamaged
	}
	return decode(m, string(text))
}

// keyOf returns the key that the box of a number is encrypted under.
func (r *room) keyOf(m registry.Mobile) []byte {
	r.record.Reset()
	r.in = append(r.in[:0], m...)
	r.record.Write(r.in)
	return r.record.Sum(r.sum[:0])
}

// tagOf returns the tag of a plaintext under a number. The number is hashed itself,
// not its index: who has the store's key and not the number can test no guess.
func (r *room) tagOf(m registry.Mobile, text []byte) []byte {
	r.tag.Reset()
	r.in = append(append(append(r.in[:0], byte(len(m))), m...), text...)
	r.tag.Write(r.in)
	return r.tag.Sum(r.sum[:0])[:tagSize]
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
