package keyring

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// This file is between the ring and its storage. Reading and writing are apart:
// a lock that is slow to come must not keep an instance from learning of the
// key that another one has just made.

// storageTimeout is how long one reading or changing of the document may take.
const storageTimeout = time.Minute

// errMissing: a ring that runs does not make up for a document that was
// deleted. It would either bring back keys that somebody wanted gone, or sign
// with a key that no verifier knows.
var errMissing = fmt.Errorf("keyring: %s is not in the storage; what runs goes on with the keys it has: restore it, or restart to begin with a new key", storageKey)

func load(ctx context.Context, s Storage) ([]byte, error) {
	raw, err := s.Load(ctx, storageKey)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errMissing
	}
	if err != nil {
		return nil, fmt.Errorf("keyring: cannot read %s from the storage: %w", storageKey, err)
	}
	return raw, nil
}

// read brings the ring up to what the storage says.
func (r *Ring) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	r.mu.Lock()
	reads := r.reads
	r.mu.Unlock()

	began := r.cfg.Now()
	raw, err := load(ctx, r.cfg.Storage)

	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reads != reads {
		return nil // the writer was faster and has read something newer
	}
	if err == nil {
		err = r.install(raw, began)
	}
	r.publish() // even if nothing changed: the wall clock may have been set
	return err
}

// install takes over what was read, by a reading that began then; r.mu is held.
func (r *Ring) install(raw []byte, began time.Time) error {
	if r.doc != nil && bytes.Equal(raw, r.raw) {
		r.fresh = began
		return nil
	}
	doc, err := r.parse(raw)
	if err != nil {
		return err
	}
	undone := r.forget(doc)
	body, err := json.Marshal(doc.public())
	if err != nil {
		return fmt.Errorf("%w: the public set cannot be written", ErrCorrupt)
	}
	sum := sha256.Sum256(body)
	r.raw, r.doc, r.undone, r.fresh = raw, doc, undone, began
	r.sight()
	r.set = published{body, `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`, doc.Plan.maxAge()}
	r.reads++
	r.notify()
	return nil
}

// forget learns which keys are revoked and takes them out of the document, and
// reports whether any was in it: whoever wrote it had not heard, or it is a copy
// of before. r.mu is held.
func (r *Ring) forget(doc *document) bool {
	learned := 0
	for _, v := range doc.Revoked {
		if r.revoked[v.KeyID].IsZero() {
			r.revoked[v.KeyID] = v.At
			learned++
		}
	}
	if learned > 0 && r.doc != nil {
		r.cfg.Logger.Warn("signing keys were revoked and are not used any more", "keys", learned)
	}
	before, noted := len(doc.Keys), len(doc.Revoked)
	doc.Keys = slices.DeleteFunc(doc.Keys, func(e entry) bool { return !r.revoked[e.signer.KeyID()].IsZero() })
	return len(doc.Keys) < before || noted < len(r.revoked)
}

// sight notes when each key was read of first; r.mu is held.
func (r *Ring) sight() {
	now, seen := r.cfg.Now(), make(sightings, len(r.doc.Keys))
	for _, e := range r.doc.Keys {
		id := e.signer.KeyID()
		if seen[id] = now; !r.seen[id].IsZero() {
			seen[id] = r.seen[id]
		}
	}
	r.seen = seen
}

// parse returns a document of the caller's own, with as little work as there
// is to it; r.mu is held.
func (r *Ring) parse(raw []byte) (*document, error) {
	if r.doc == nil {
		return parse(raw, nil)
	}
	if bytes.Equal(raw, r.raw) && !r.undone {
		doc := *r.doc
		doc.Keys = slices.Clone(doc.Keys)
		return &doc, nil
	}
	return parse(raw, r.doc.signers())
}

// write does with the document what is to do, under the storage's lock. The
// document may have changed since that was found out, so all of it is asked
// again.
func (r *Ring) write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	r.prepare()
	return locked(ctx, r.cfg.Storage, r.writeLocked)
}

func (r *Ring) writeLocked(ctx context.Context) error {
	began := r.cfg.Now()
	raw, err := load(ctx, r.cfg.Storage)
	r.mu.Lock()
	w, doc, running := r.want, &document{Version: version, Plan: r.want.plan}, r.started
	if err == nil {
		doc, err = r.parse(raw)
	} else if errors.Is(err, errMissing) && !running {
		err = nil
	}
	revoked := maps.Clone(r.revoked)
	r.mu.Unlock()
	if err != nil {
		return err
	}

	now := r.cfg.Now().UTC().Round(0) // as it will be read back
	for _, v := range doc.Revoked {
		revoked[v.KeyID] = v.At
	}
	undone, settled, pruned := doc.revoke(now, revoked), doc.settle(now, w), doc.prune(now)
	made, rotateErr := doc.rotate(now, r.makeKey)
	if undone || settled || pruned || made > 0 {
		if raw, err = store(ctx, r.cfg.Storage, doc); err != nil {
			return err
		}
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.install(raw, began); err != nil {
		return err
	}
	if r.want == w {
		r.want.apply = false // done; from now on another's plan counts
	}
	r.publish()
	for _, e := range doc.Keys[len(doc.Keys)-made:] {
		r.cfg.Logger.Info("made a signing key", "kid", e.signer.KeyID(), "algorithm", string(e.signer.Algorithm()), "signs_from", e.SignsFrom)
	}
	return rotateErr
}

// prepare makes the key that will be needed before the lock is taken: with
// RS256 it may take a second, for which others would wait.
func (r *Ring) prepare() {
	r.mu.Lock()
	plan, due := r.want.plan, true
	if r.doc != nil {
		doc := *r.doc
		now := r.cfg.Now()
		doc.settle(now, r.want)
		at, ok := doc.due()
		plan, due = doc.Plan, ok && !now.Before(at)
	}
	r.mu.Unlock()
	if !due || r.spare != nil && r.spare.Algorithm == string(plan.Algorithm) {
		return
	}
	if key, err := makeKey(plan.Algorithm); err == nil { // otherwise it is tried again, and told
		r.spare = &key
	}
}

// makeKey gives the prepared key, once, or makes one.
func (r *Ring) makeKey(algorithm jose.SignatureAlgorithm) (jose.JSONWebKey, error) {
	if spare := r.spare; spare != nil && spare.Algorithm == string(algorithm) {
		r.spare = nil
		return *spare, nil
	}
	return makeKey(algorithm)
}

// locked runs f under the storage's lock.
func locked(ctx context.Context, s Storage, f func(context.Context) error) (err error) {
	if err := s.Lock(ctx, lockName); err != nil {
		return fmt.Errorf("keyring: cannot lock %s in the storage: %w", lockName, err)
	}
	defer func() {
		// Given back even when the ring is being closed.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if e := s.Unlock(ctx, lockName); e != nil && err == nil {
			err = fmt.Errorf("keyring: cannot unlock %s in the storage: %w", lockName, e)
		}
	}()
	return f(ctx)
}

// store writes the document and reads it back: no key signs that is not seen
// to be kept. If a lock was not as exclusive as it should be, what counts is
// what is there now.
func store(ctx context.Context, s Storage, doc *document) ([]byte, error) {
	raw, err := json.MarshalIndent(doc, "", "\t")
	if err != nil {
		return nil, errors.New("keyring: the keys cannot be written as JSON")
	}
	if err := s.Store(ctx, storageKey, append(raw, '\n')); err != nil {
		return nil, fmt.Errorf("keyring: cannot write %s to the storage: %w", storageKey, err)
	}
	return load(ctx, s)
}

// untilWork is how long there is nothing to write; false: for ever.
func (r *Ring) untilWork() (time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.doc == nil || r.undone {
		return 0, true
	}
	if r.doc.meets(r.want) {
		r.want.apply = false
	}
	at, ok := r.doc.nextWork(r.want)
	return at.Sub(r.cfg.Now()), ok
}

func (r *Ring) poll() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.doc.Plan.poll()
}

// retry is after which time a change that failed is tried again.
func (r *Ring) retry() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return min(time.Duration(r.doc.Plan.Publish)/4, time.Minute)
}

func (r *Ring) readLoop() {
	var trouble trouble
	for r.sleep(r.poll(), nil) {
		trouble.note(r, "signing keys cannot be read, going on with those at hand", r.read(r.life))
	}
}

func (r *Ring) writeLoop() {
	var trouble trouble
	var pause time.Duration // after an error
	for {
		wait, ok := r.untilWork()
		if !ok {
			wait = time.Hour // r.changed comes first
		}
		wait = max(wait, pause)
		if wait > 0 {
			if !r.sleep(wait, r.changed) {
				return
			}
			pause = 0
			continue
		}
		err := r.write(r.life)
		if r.life.Err() != nil {
			return
		}
		trouble.note(r, "signing keys cannot be changed, going on with those at hand", err)
		if err != nil {
			pause = r.retry()
		}
	}
}

// sleep waits, but not if early has something; false once the ring is closed.
func (r *Ring) sleep(d time.Duration, early <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-r.life.Done():
		return false
	case <-early:
	case <-timer.C:
	}
	return r.life.Err() == nil
}

// trouble keeps a storage that is down from filling the log.
type trouble struct{ logged time.Time }

func (t *trouble) note(r *Ring, what string, err error) {
	switch {
	case r.life.Err() != nil: // closing makes errors of its own
	case err == nil && !t.logged.IsZero():
		r.cfg.Logger.Info("the storage of the signing keys answers again")
		*t = trouble{}
	case err != nil && time.Since(t.logged) >= time.Minute:
		r.cfg.Logger.Error(what, "error", err)
		t.logged = time.Now()
	}
}
