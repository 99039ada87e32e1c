package embed

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
)

// sealer keeps what we hand to a browser and want back as it was: AES-256-GCM
// with random nonces, written base64url. Each use has keys of its own, so that
// nothing sealed for one is taken by another.
type sealer []cipher.AEAD // the first seals, all open

var errSealed = errors.New("embed: not sealed here")

func newSealer(keys [][]byte) (s sealer) {
	for _, k := range keys {
		block, err := aes.NewCipher(k)
		if err != nil {
			panic("embed: " + err.Error()) // only for keys of another length
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			panic("embed: " + err.Error())
		}
		s = append(s, aead)
	}
	return s
}

func (s sealer) seal(v any) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", errors.New("embed: sealing failed") // the cause could quote what is inside
	}
	return base64.RawURLEncoding.EncodeToString(s[0].Seal(nil, nil, plain, nil)), nil
}

// maxSealed bounds what is opened.
const maxSealed = 2048

func (s sealer) open(text string, v any) error {
	if len(text) > maxSealed {
		return errSealed
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return errSealed
	}
	for _, aead := range s {
		if plain, err := aead.Open(nil, nil, raw, nil); err == nil && json.Unmarshal(plain, v) == nil {
			return nil
		}
	}
	return errSealed
}
