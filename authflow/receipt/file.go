package receipt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

// file is what a person downloads: the receipt to read, the same signed, and
// the public key, because the receipt outlives the set that it is published in.
type file struct {
	Receipt   json.RawMessage `json:"receipt"`
	Signature string          `json:"signature"`
	Key       json.RawMessage `json:"key"`
}

// File returns the receipt as a person downloads it, and the signature in it.
func File(s *assertion.Signer, r Receipt) (text []byte, signature string, err error) {
	payload, err := content(r)
	if err != nil {
		return nil, "", err
	}
	if signature, err = sign(s, payload); err != nil {
		return nil, "", err
	}
	key, err := s.PublicKey().MarshalJSON()
	if err != nil {
		return nil, "", errors.New("receipt: the public key cannot be written")
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(file{payload, signature, key}); err != nil {
		return nil, "", fmt.Errorf("receipt: %w", err)
	}
	return out.Bytes(), signature, nil
}

// VerifyFile checks a file that File made: the signature, as Verify does, and
// that what is to be read in it is what was signed.
//
// With keys nil it takes the key in the file. That shows that the file is whole,
// and that whoever has the private key with this kid signed it; whether that was
// the issuer is to be seen from the kid, which the caller compares with one the
// issuer is known to have had.
func VerifyFile(ctx context.Context, text []byte, keys assertion.KeyFunc, issuer string) (r Receipt, kid string, err error) {
	if len(text) > MaxFileSize || !utf8.Valid(text) {
		return Receipt{}, "", fmt.Errorf("%w: not a file of a receipt", ErrMalformed)
	}
	var all any // once all the way down: no member may stand twice
	var f file
	if josejson.Unmarshal(text, &all) != nil || josejson.Unmarshal(text, &f) != nil {
		return Receipt{}, "", fmt.Errorf("%w: not a file of a receipt", ErrMalformed)
	}
	if keys == nil {
		if keys, err = own(f.Key); err != nil {
			return Receipt{}, "", err
		}
	}
	r, payload, err := verify(ctx, f.Signature, func(ctx context.Context, id string) (jose.JSONWebKey, error) {
		kid = id
		return keys(ctx, id)
	}, issuer)
	if err != nil {
		return Receipt{}, "", err
	}
	var read, signed any
	if josejson.Unmarshal(f.Receipt, &read) != nil || josejson.Unmarshal(payload, &signed) != nil || !reflect.DeepEqual(read, signed) {
		return Receipt{}, "", ErrDiffers
	}
	return r, kid, nil
}

// own serves the key of a file.
func own(key json.RawMessage) (assertion.KeyFunc, error) {
	set, err := json.Marshal(map[string][]json.RawMessage{"keys": {key}})
	if err == nil {
		var keys assertion.KeyFunc
		if keys, err = assertion.ParseKeySet(set); err == nil {
			return keys, nil
		}
	}
	return nil, fmt.Errorf("%w: the file has no public key", ErrKey)
}
