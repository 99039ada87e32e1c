package authflow

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// codeHash is what is kept of a code: a keyed hash that also depends on the
// handshake, so that equal codes do not look equal. i names the secret.
func (f *Flow) codeHash(i int, txn ID128, wire string) [32]byte {
	return f.codes[i].sum("code", string(txn[:]), wire)
}

// sealKey is the key of one handshake: whoever has the store and the secret,
// but not the txnId, cannot read it.
func sealKey(secret *keyedHash, txn ID128) cipher.AEAD {
	key := secret.sum(string(txn[:]))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("authflow: " + err.Error())
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("authflow: " + err.Error())
	}
	return aead
}

func (f *Flow) seal(txn ID128, req request) ([]byte, error) {
	plain, err := json.Marshal(req)
	if err != nil {
		return nil, errors.New("sealing a handshake failed") // the cause could quote what was typed
	}
	return sealKey(f.seals[0], txn).Seal(nil, nil, plain, nil), nil
}

func (f *Flow) unseal(txn ID128, sealed []byte) (req request, err error) {
	for _, k := range f.seals {
		plain, err := sealKey(k, txn).Open(nil, nil, sealed, nil)
		if err != nil {
			continue
		}
		if json.Unmarshal(plain, &req) != nil {
			break
		}
		if (req.Txn != "") != f.remote() {
			break // begun when codes were sent by somebody else
		}
		return req, nil
	}
	return req, errors.New("a handshake could not be unsealed")
}

func asLimit(err error) (*state.LimitError, bool) {
	var l *state.LimitError
	ok := errors.As(err, &l)
	return l, ok
}
