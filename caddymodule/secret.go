package caddymodule

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/caddyserver/certmagic"

	"github.com/kycvs/caddy-kycvs/authflow"
)

const (
	secretKey   = "kycvs/secret"
	subjectsKey = "kycvs/subjects"
	secretLock  = "kycvs_secret"
)

// secrets returns the operator's secret, newest first, or the one in Caddy's
// storage, which is made there once. There is at least one.
func (a *App) secrets(ctx context.Context) ([][]byte, error) {
	if len(a.conf.Secret) > 0 {
		all := make([][]byte, len(a.conf.Secret))
		for i, s := range a.conf.Secret {
			all[i] = []byte(s)
		}
		return all, nil
	}
	value, err := keep(ctx, a.run.storage, secretKey, newSecret)
	if err != nil {
		return nil, err
	}
	return [][]byte{value}, nil
}

func newSecret() []byte {
	made := make([]byte, 32)
	rand.Read(made) // never fails
	return made
}

// secretsName tells one list of secrets from another, for the pool alone.
func secretsName(secrets [][]byte) string {
	h := sha256.New()
	for _, s := range secrets {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		h.Write(s)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// subjectKey returns the key for sub. It is made once from the secret and kept
// in Caddy's storage from then on: a person stays the same to a partner when
// the secret is changed.
func (a *App) subjectKey(ctx context.Context, secret authflow.Secret) ([]byte, error) {
	return keep(ctx, a.run.storage, subjectsKey, secret.SubjectKey)
}

// keep returns the 32 bytes or more that Caddy's storage has under a key. Where
// it has none, they are made and stored, under Caddy's lock, so that instances
// that share storage share them.
func keep(ctx context.Context, s certmagic.Storage, key string, first func() []byte) ([]byte, error) {
	if err := s.Lock(ctx, secretLock); err != nil {
		return nil, fmt.Errorf("%s: taking the lock in Caddy's storage: %w: mend the storage", key, err)
	}
	defer func() { _ = s.Unlock(context.WithoutCancel(ctx), secretLock) }()
	value, err := kept(ctx, s, key)
	if !errors.Is(err, fs.ErrNotExist) {
		return value, err
	}
	value = first()
	if err := s.Store(ctx, key, value); err != nil {
		return nil, fmt.Errorf("%s: keeping it in Caddy's storage: %w", key, err)
	}
	return value, nil
}

// kept returns what Caddy's storage has under a key. Where it has nothing, the
// error is fs.ErrNotExist.
func kept(ctx context.Context, s certmagic.Storage, key string) ([]byte, error) {
	value, err := s.Load(ctx, key)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: reading it from Caddy's storage: %w", key, err)
	case len(value) < 32:
		return nil, fmt.Errorf("%s: what Caddy's storage has there is cut short: restore it, or remove it, which makes everybody a stranger once", key)
	}
	return value, nil
}
