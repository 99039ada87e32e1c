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
	secretKey  = "kycvs/secret"
	secretLock = "kycvs_secret"
)

// secret returns the operator's secret, or the one in Caddy's storage, which is
// made there once, under Caddy's lock, so that instances that share storage
// share it.
func (a *App) secret(ctx context.Context) (authflow.Secret, error) {
	if len(a.conf.Secret) > 0 {
		older := make([][]byte, 0, len(a.conf.Secret)-1)
		for _, s := range a.conf.Secret[1:] {
			older = append(older, []byte(s))
		}
		return authflow.NewSecret([]byte(a.conf.Secret[0]), older...), nil
	}
	s := a.run.storage
	if err := s.Lock(ctx, secretLock); err != nil {
		return authflow.Secret{}, fmt.Errorf("secret: taking the lock in Caddy's storage: %w: write `secret {env.KYCVS_SECRET}`, or mend the storage", err)
	}
	defer func() { _ = s.Unlock(context.WithoutCancel(ctx), secretLock) }()
	value, err := s.Load(ctx, secretKey)
	switch {
	case err == nil && len(value) < 32:
		return authflow.Secret{}, errors.New("secret: what Caddy's storage has under " + secretKey + " is cut short: restore it, or remove it, which ends every pass")
	case err == nil:
		return authflow.NewSecret(value), nil
	case !errors.Is(err, fs.ErrNotExist):
		return authflow.Secret{}, fmt.Errorf("secret: reading it from Caddy's storage: %w", err)
	}
	value = make([]byte, 32)
	rand.Read(value)
	if err := s.Store(ctx, secretKey, value); err != nil {
		return authflow.Secret{}, fmt.Errorf("secret: keeping it in Caddy's storage: %w", err)
	}
	return authflow.NewSecret(value), nil
}
