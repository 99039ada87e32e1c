package keyring

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

// ErrCorrupt says that what is in the storage is not a document of keys that
// this version can read. It is left as it is.
var ErrCorrupt = errors.New("keyring: the stored keys cannot be read")

// version is that of the document's form. A reader refuses any other, and any
// member that it does not know: writing it back would lose it.
const version = 1

// maxKeys bounds the document and with it the public set, which verifiers read
// whole. It is reached only where keys rotate much faster than they expire.
const maxKeys = 256

// document is everything that is kept, in the order in which the keys sign.
type document struct {
	Version int  `json:"version"`
	Plan    plan `json:"plan"`
	// SignsNotBefore holds back keys that are yet to be made, while a verifier
	// may still hold a set that an earlier plan let it keep for longer.
	SignsNotBefore time.Time `json:"signs_not_before,omitzero"`
	// KeepUntil holds back the removal of keys, while something may still be
	// valid that an earlier plan let live for longer.
	KeepUntil time.Time `json:"keep_until,omitzero"`
	Keys      []entry   `json:"keys"`
	// Revoked are the keys that nobody may bring back: not from memory, and not
	// out of a copy of this document that is older.
	Revoked []revocation `json:"revoked,omitempty"`

	// bare: the key that signed was revoked and none waits in its place, so that
	// the next one made signs at once.
	bare bool
}

type revocation struct {
	KeyID string    `json:"kid"`
	At    time.Time `json:"at"`
}

// entry is one key. When it stops signing is when the next one starts.
type entry struct {
	Created   time.Time `json:"created"`
	SignsFrom time.Time `json:"signs_from"`
	// AtOnce: it takes the place of a revoked key, so whoever reads of it signs
	// with it, whatever the clock says.
	AtOnce bool            `json:"at_once,omitempty"`
	Key    jose.JSONWebKey `json:"key"` // with its private part

	signer *assertion.Signer
}

// plan is what instances have to agree on.
type plan struct {
	Algorithm   jose.SignatureAlgorithm `json:"algorithm"`
	RotateEvery duration                `json:"rotate_every"`
	Publish     duration                `json:"publish"`
	Retain      duration                `json:"retain"`
}

// poll is how often an instance reads the document.
func (p plan) poll() time.Duration { return min(time.Duration(p.Publish)/4, MaxPoll) }

// maxAge is how long a verifier may keep the public set, in whole seconds.
func (p plan) maxAge() time.Duration {
	return min(time.Duration(p.Publish)/4, 15*time.Minute).Truncate(time.Second)
}

// late is how long after a key has stopped signing, by the clock of whoever
// removes it, an instance may still sign with it: because it has not read of
// the next one, because its clock is behind, and because it has only just
// started and waits (entry.ripe).
func (p plan) late() time.Duration { return time.Duration(p.Publish)/2 + 2*MaxSkew }

// spread is how long it takes, with time to spare, until a key that one
// instance has read is in every set that any verifier holds: the others read it
// (poll), and the sets without it run out (maxAge).
func (p plan) spread() time.Duration { return time.Duration(p.Publish) / 2 }

// duration is a time.Duration written as Go writes it, e.g. "720h0m0s".
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = duration(v)
	return err
}

// parse reads a document and makes its signers, taking those that are known
// already. Its errors are ErrCorrupt and say nothing of the content, which is
// secret, but where to look.
func parse(b []byte, known map[string]*assertion.Signer) (*document, error) {
	corrupt := func(format string, args ...any) (*document, error) {
		return nil, fmt.Errorf("%w: %s %s; restore it from a backup, or delete it and restart to begin with a new key",
			ErrCorrupt, storageKey, fmt.Sprintf(format, args...))
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return corrupt("is not the JSON that was written there")
	}
	if head.Version > version {
		return nil, fmt.Errorf("%w: %s was written by a newer version of this software; run that one", ErrCorrupt, storageKey)
	}

	var d document
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return corrupt("has a member of another name or type than it should, or a key that is damaged")
	}
	if _, err := dec.Token(); err != io.EOF || d.Version != version {
		return corrupt("has no version or something after its end")
	}
	if !d.Plan.valid() {
		return corrupt("has a plan that makes no sense")
	}
	seen := make(map[string]bool)
	for i := range d.Keys {
		e := &d.Keys[i]
		if e.Created.IsZero() || e.SignsFrom.IsZero() || i > 0 && e.SignsFrom.Before(d.Keys[i-1].SignsFrom) {
			return corrupt("has key %d of %d out of order in time", i+1, len(d.Keys))
		}
		if id := e.Key.KeyID; id != "" && known[id] != nil {
			// The public half may be damaged where the signer at hand is not.
			if own, err := assertion.KeyID(e.Key); err != nil || own != id || e.Key.Algorithm != string(known[id].Algorithm()) || e.Key.IsPublic() {
				return corrupt("has key %d of %d damaged (its kid is another's)", i+1, len(d.Keys))
			}
			e.signer = known[id]
		}
		if e.signer == nil {
			var err error
			if e.signer, err = assertion.NewSigner(e.Key); err != nil {
				return corrupt("has key %d of %d damaged (%v)", i+1, len(d.Keys), err)
			}
		}
		if seen[e.signer.KeyID()] {
			return corrupt("has key %d of %d twice", i+1, len(d.Keys))
		}
		seen[e.signer.KeyID()] = true
	}
	for i, r := range d.Revoked {
		if r.KeyID == "" || r.At.IsZero() {
			return corrupt("has revocation %d of %d without a kid or a time", i+1, len(d.Revoked))
		}
	}
	return &d, nil
}

func (p plan) valid() bool {
	return slices.Contains(assertion.Algorithms(), p.Algorithm) &&
		(p.RotateEvery == 0 || p.RotateEvery >= duration(MinRotateEvery)) &&
		p.Publish >= duration(MinPublish) && p.Retain >= 0 &&
		(p.RotateEvery == 0 || p.Publish <= max(p.RotateEvery/2, duration(MinPublish)))
}

// signers are those of the document by kid.
func (d *document) signers() map[string]*assertion.Signer {
	m := make(map[string]*assertion.Signer, len(d.Keys))
	for _, e := range d.Keys {
		m[e.signer.KeyID()] = e.signer
	}
	return m
}

// sightings is when an instance read of each key first, by its own clock; a key
// that is not in it was always there.
type sightings map[string]time.Time

// ripe is from when on an instance signs with the key: from signs_from, but not
// before it has known the key for as long as it takes to spread. So a clock
// that is ahead cannot make it sign with what others do not publish yet. An
// instance that has just started cannot know for how long the key was there;
// it is sure once no clock can be so far behind.
func (d *document) ripe(i int, seen sightings) time.Time {
	e := &d.Keys[i]
	if e.AtOnce {
		return time.Time{}
	}
	spread := seen[e.signer.KeyID()].Add(d.Plan.spread())
	if sure := e.SignsFrom.Add(MaxSkew); sure.Before(spread) {
		return sure
	}
	return later(e.SignsFrom, spread)
}

// current is the index of the key with which to sign at this time. Where none
// is ripe, by a clock that is behind say, it is the oldest.
func (d *document) current(now time.Time, seen sightings) int {
	for i := len(d.Keys) - 1; i > 0; i-- {
		if !now.Before(d.ripe(i, seen)) {
			return i
		}
	}
	return 0
}

// nextSwitch is when another key begins to sign, zero if none is waiting.
func (d *document) nextSwitch(now time.Time, seen sightings) (at time.Time) {
	for i := d.current(now, seen) + 1; i < len(d.Keys); i++ {
		if t := d.ripe(i, seen); at.IsZero() || t.Before(at) {
			at = t
		}
	}
	return at
}

// public is the set that verifiers get: no private part, the order of signing.
func (d *document) public() jose.JSONWebKeySet {
	set := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, len(d.Keys))}
	for i, e := range d.Keys {
		set.Keys[i] = jose.JSONWebKey{
			Key:       e.Key.Public().Key,
			KeyID:     e.signer.KeyID(),
			Algorithm: string(e.signer.Algorithm()),
			Use:       "sig",
		}
	}
	return set
}
