package keyring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// This file is what an operator does with the keys of a storage from outside of
// the instances that use them.

// ErrNoKeys says that there are no keys in the storage: no instance has made
// any, or it is another storage than theirs.
var ErrNoKeys = errors.New("keyring: there are no keys in this storage")

// State is where a key is in its life.
type State string

const (
	Waiting State = "waiting" // public, and does not sign yet
	Signing State = "signing"
	Retired State = "retired" // public, for what it signed before
	Revoked State = "revoked" // not public and never to be used again
)

// Listed is a key as it is shown: nothing of it is secret.
type Listed struct {
	KeyID string
	State State
	// Algorithm, Created and SignsFrom are empty for a revoked key.
	Algorithm jose.SignatureAlgorithm
	Created   time.Time
	SignsFrom time.Time
	// SignsUntil is when the next key takes over, zero if none will.
	SignsUntil time.Time
	// Gone is when it leaves the public set: about then, for one that still
	// signs. Of a revoked key it is when it was revoked. Zero if it never does.
	Gone time.Time
}

// List returns the keys in a storage in the order in which they sign, then the
// revoked ones. It changes nothing and takes no lock. Its errors are ErrNoKeys,
// ErrCorrupt, and those of the storage.
func List(ctx context.Context, s Storage, now time.Time) ([]Listed, error) {
	doc, err := loadDocument(ctx, s)
	if err != nil {
		return nil, err
	}
	signs := doc.current(now, nil)
	var all []Listed
	for i, e := range doc.Keys {
		l := Listed{KeyID: e.signer.KeyID(), State: Waiting, Algorithm: e.signer.Algorithm(), Created: e.Created, SignsFrom: e.SignsFrom}
		switch {
		case i == signs:
			l.State = Signing
		case i < signs:
			l.State = Retired
		}
		if i+1 < len(doc.Keys) {
			l.SignsUntil = doc.Keys[i+1].SignsFrom
		} else if doc.Plan.RotateEvery > 0 {
			l.SignsUntil = e.SignsFrom.Add(time.Duration(doc.Plan.RotateEvery))
		}
		if !l.SignsUntil.IsZero() {
			l.Gone = later(l.SignsUntil.Add(time.Duration(doc.Plan.Retain)+doc.Plan.late()), doc.KeepUntil)
		}
		all = append(all, l)
	}
	for _, r := range doc.Revoked {
		all = append(all, Listed{KeyID: r.KeyID, State: Revoked, Gone: r.At})
	}
	return all, nil
}

// Revocation is what Revoke did.
type Revocation struct {
	// Revoked are the kids that are revoked now and were not before.
	Revoked []string
	// Signing is the key that signs now.
	Signing Listed
	// Waited: the key that signs now was public before, so that verifiers may
	// know it already.
	Waited bool
	// MaxAge is for how long verifiers may keep the public set that they have,
	// with the revoked keys in it.
	MaxAge time.Duration
}

// Revoke takes keys out of a storage, out of the public set with that, and notes
// that they are never to be used again; without kids it is all keys there are.
// If the one that signs is among them, the next in line signs at once, or a new
// one does. Instances that share the storage follow within MaxPoll and the time
// that a reading takes them; what was signed with a revoked key is no longer
// good from then on, but verifiers keep the public set that they have for as
// long as they were told.
//
// Revoking what is revoked does nothing. An unknown kid is an error, and nothing
// is revoked then. Other errors are ErrNoKeys, ErrCorrupt, and those of the
// storage; after an error it is not certain that anything was revoked, and
// Revoke may be tried again.
func Revoke(ctx context.Context, s Storage, clock func() time.Time, kids ...string) (Revocation, error) {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	var done Revocation
	err := locked(ctx, s, func(ctx context.Context) error {
		doc, err := loadDocument(ctx, s)
		if err != nil {
			return err
		}
		now := clock().UTC().Round(0)
		known := doc.signers()
		if len(kids) == 0 {
			for _, e := range doc.Keys {
				kids = append(kids, e.signer.KeyID())
			}
		}
		revoked := make(map[string]time.Time)
		for _, r := range doc.Revoked {
			revoked[r.KeyID] = r.At
		}
		for _, id := range kids {
			switch {
			case !revoked[id].IsZero():
			case known[id] == nil:
				return fmt.Errorf("keyring: there is no key with the kid %q in this storage", id)
			default:
				revoked[id] = now
				done.Revoked = append(done.Revoked, id)
			}
		}
		if doc.revoke(now, revoked) {
			if _, err := doc.rotate(now, makeKey); err != nil {
				return err
			}
			raw, err := store(ctx, s, doc)
			if err != nil {
				return err
			}
			if doc, err = parse(raw, nil); err != nil {
				return err
			}
			if doc.revoke(now, revoked) {
				return fmt.Errorf("keyring: something else has written %s meanwhile, without regard for the lock: try again", storageKey)
			}
		}
		if len(doc.Keys) == 0 {
			return ErrNoKeys
		}
		e := doc.Keys[doc.current(now, nil)]
		done.Signing = Listed{KeyID: e.signer.KeyID(), State: Signing, Algorithm: e.signer.Algorithm(), Created: e.Created, SignsFrom: e.SignsFrom}
		done.MaxAge = doc.Plan.maxAge()
		done.Waited = known[done.Signing.KeyID] != nil
		return nil
	})
	return done, err
}

func loadDocument(ctx context.Context, s Storage) (*document, error) {
	raw, err := load(ctx, s)
	if errors.Is(err, errMissing) {
		return nil, ErrNoKeys
	}
	if err != nil {
		return nil, err
	}
	return parse(raw, nil)
}
