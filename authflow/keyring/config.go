package keyring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

// Storage is where the keys are kept; what Caddy calls storage has these
// methods (certmagic.Storage). It must be safe for concurrent use and honour
// the context. Instances that share it share the keys.
type Storage interface {
	// Lock blocks until this name is locked for everybody who shares the storage.
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error
	// Load returns an error that is fs.ErrNotExist (errors.Is) for a missing key.
	Load(ctx context.Context, key string) ([]byte, error)
	// Store replaces the value whole or not at all.
	Store(ctx context.Context, key string, value []byte) error
}

// StorageKey is where the keys are in the storage.
const StorageKey = "kycvs/keys.json"

const (
	storageKey = StorageKey
	lockName   = "kycvs_keys"
)

// The defaults of a Config, and its bounds.
const (
	DefaultPublish = time.Hour
	DefaultRetain  = time.Hour
	MinRotateEvery = time.Second
	// MinPublish leaves time for every instance to read of a key, on a machine
	// that is busy too, and for verifiers to keep the set for a whole second.
	MinPublish = 4 * time.Second
)

// MaxSkew is how far apart the clocks of instances that share storage may be.
const MaxSkew = 30 * time.Second

// MaxPoll is the longest that a running instance goes without reading the
// document: how soon it learns that a key was revoked.
const MaxPoll = 2 * time.Second

// Config says how keys are made and for how long.
type Config struct {
	// Storage is where they are kept. Required.
	Storage Storage
	// Algorithm is that of new keys: ES256 (the default), EdDSA or RS256.
	Algorithm jose.SignatureAlgorithm
	// RotateEvery is how long a key signs before the next one does; 0 means for
	// ever. At least MinRotateEvery.
	RotateEvery time.Duration
	// Publish is how long a key is public, at least, before it signs. Verifiers
	// may keep the public set for a quarter of it. 0 means DefaultPublish; it is
	// never more than half of RotateEvery, but never less than MinPublish: where
	// keys rotate faster than that, several of them wait.
	Publish time.Duration
	// Retain is how long a key stays public after it stopped signing: at least
	// the longest that an assertion is good for and the clock skew granted to it.
	// What an instance may be late by, MaxSkew in it, is added. 0 means
	// DefaultRetain.
	Retain time.Duration
	// Logger gets what an operator should know; nil means none. No key is in it.
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Validate says what of the configuration cannot be. It does no I/O.
func (c Config) Validate() error {
	if c.Storage == nil {
		return errors.New("keyring: no Storage to keep the keys in")
	}
	if c.Publish < 0 {
		return fmt.Errorf("keyring: Publish is %v, must not be negative", c.Publish)
	}
	return validatePlan(c.Algorithm, c.RotateEvery, c.Retain)
}

func validatePlan(algorithm jose.SignatureAlgorithm, rotateEvery, retain time.Duration) error {
	if algorithm != "" && !slices.Contains(assertion.Algorithms(), algorithm) {
		return fmt.Errorf("keyring: algorithm %q is not one of ES256, EdDSA and RS256", algorithm)
	}
	if rotateEvery != 0 && rotateEvery < MinRotateEvery {
		return fmt.Errorf("keyring: keys cannot rotate every %v, only every %v or more, or never with 0", rotateEvery, MinRotateEvery)
	}
	if retain < 0 {
		return fmt.Errorf("keyring: Retain is %v, must not be negative", retain)
	}
	return nil
}

// plan is the part of a Config that all instances have to agree on, with the
// defaults filled in.
func (c Config) plan() plan {
	p := plan{
		Algorithm:   c.Algorithm,
		RotateEvery: duration(c.RotateEvery),
		Publish:     duration(c.Publish),
		Retain:      duration(c.Retain),
	}
	if p.Algorithm == "" {
		p.Algorithm = jose.ES256
	}
	if p.Publish == 0 {
		p.Publish = duration(DefaultPublish)
	}
	if p.RotateEvery > 0 {
		p.Publish = min(p.Publish, p.RotateEvery/2)
	}
	p.Publish = max(p.Publish, duration(MinPublish))
	if p.Retain == 0 {
		p.Retain = duration(DefaultRetain)
	}
	return p
}
