package caddymodule

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

	"github.com/kycvs/caddy-kycvs/authflow"
)

const (
	secretKey   = "kycvs/secret"
	subjectsKey = "kycvs/subjects"
	secretLock  = "kycvs_secret"
)

// secret returns the operator's secret, or the one in Caddy's storage, which is
// made there once.
func (a *App) secret(ctx context.Context) (authflow.Secret, error) {
	if len(a.conf.Secret) > 0 {
		older := make([][]byte, 0, len(a.conf.Secret)-1)
		for _, s := range a.conf.Secret[1:] {
			older = append(older, []byte(s))
		}
		return authflow.NewSecret([]byte(a.conf.Secret[0]), older...), nil
	}
	value, err := a.keep(ctx, secretKey, func() []byte {
		made := make([]byte, 32)
		rand.Read(made)
		return made
	})
	return authflow.NewSecret(value), err
}

// subjectKey returns the key for sub. It is made once from the secret and kept
// in Caddy's storage from then on: a person stays the same to a partner when
// the secret is changed.
func (a *App) subjectKey(ctx context.Context, secret authflow.Secret) ([]byte, error) {
	return a.keep(ctx, subjectsKey, secret.SubjectKey)
}

// keep returns the 32 bytes or more that Caddy's storage has under a key. Where
// it has none, they are made and stored, under Caddy's lock, so that instances
// that share storage share them.
func (a *App) keep(ctx context.Context, key string, first func() []byte) ([]byte, error) {
	s := a.run.storage
	if err := s.Lock(ctx, secretLock); err != nil {
		return nil, fmt.Errorf("%s: taking the lock in Caddy's storage: %w: mend the storage", key, err)
	}
	defer func() { _ = s.Unlock(context.WithoutCancel(ctx), secretLock) }()
	value, err := s.Load(ctx, key)
	switch {
	case err == nil && len(value) < 32:
		return nil, fmt.Errorf("%s: what Caddy's storage has there is cut short: restore it, or remove it, which makes everybody a stranger once", key)
	case err == nil:
		return value, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: reading it from Caddy's storage: %w", key, err)
	}
	value = first()
	if err := s.Store(ctx, key, value); err != nil {
		return nil, fmt.Errorf("%s: keeping it in Caddy's storage: %w", key, err)
	}
	return value, nil
}
