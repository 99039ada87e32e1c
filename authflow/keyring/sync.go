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
	"slices"
	"time"
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

func (r *Ring) load(ctx context.Context) ([]byte, error) {
	raw, err := r.cfg.Storage.Load(ctx, storageKey)
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

	raw, err := r.load(ctx)

	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reads != reads {
		return nil // the writer was faster and has read something newer
	}
	if err == nil {
		err = r.install(raw)
	}
	r.publish() // even if nothing changed: the wall clock may have been set
	return err
}

// install takes over what was read; r.mu is held.
func (r *Ring) install(raw []byte) error {
	if r.doc != nil && bytes.Equal(raw, r.raw) {
		return nil
	}
	doc, err := r.parse(raw)
	if err != nil {
		return err
	}
	body, err := json.Marshal(doc.public())
	if err != nil {
		return fmt.Errorf("%w: the public set cannot be written", ErrCorrupt)
	}
	sum := sha256.Sum256(body)
	r.raw, r.doc = raw, doc
	r.set = published{body, `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`, doc.Plan.maxAge()}
	r.reads++
	r.notify()
	return nil
}

// parse returns a document of the caller's own, with as little work as there
// is to it; r.mu is held.
func (r *Ring) parse(raw []byte) (*document, error) {
	if r.doc == nil {
		return parse(raw, nil)
	}
	if bytes.Equal(raw, r.raw) {
		doc := *r.doc
		doc.Keys = slices.Clone(doc.Keys)
		return &doc, nil
	}
	return parse(raw, r.doc.signers())
}

// write does with the document what is to do, under the storage's lock. The
// document may have changed since that was found out, so all of it is asked
// again.
func (r *Ring) write(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	if err := r.cfg.Storage.Lock(ctx, lockName); err != nil {
		return fmt.Errorf("keyring: cannot lock %s in the storage: %w", lockName, err)
	}
	defer func() {
		// Given back even when the ring is being closed.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if e := r.cfg.Storage.Unlock(ctx, lockName); e != nil && err == nil {
			err = fmt.Errorf("keyring: cannot unlock %s in the storage: %w", lockName, e)
		}
	}()

	raw, err := r.load(ctx)
	r.mu.Lock()
	w, doc, running := r.want, &document{Version: version, Plan: r.want.plan}, r.started
	if err == nil {
		doc, err = r.parse(raw)
	} else if errors.Is(err, errMissing) && !running {
		err = nil
	}
	r.mu.Unlock()
	if err != nil {
		return err
	}

	now := r.cfg.Now().UTC().Round(0) // as it will be read back
	settled, pruned := doc.settle(now, w), doc.prune(now)
	rotated, rotateErr := doc.rotate(now, makeKey)
	if settled || pruned || rotated {
		if raw, err = r.store(ctx, doc); err != nil {
			return err
		}
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.install(raw); err != nil {
		return err
	}
	if r.want == w {
		r.want.apply = false // done; from now on another's plan counts
	}
	r.publish()
	if rotated {
		key := doc.Keys[len(doc.Keys)-1]
		r.cfg.Logger.Info("made a signing key", "kid", key.signer.KeyID(), "algorithm", string(key.signer.Algorithm()), "signs_from", key.SignsFrom)
	}
	return rotateErr
}

// store writes the document and reads it back: no key signs that is not seen
// to be kept. If a lock was not as exclusive as it should be, what counts is
// what is there now.
func (r *Ring) store(ctx context.Context, doc *document) ([]byte, error) {
	raw, err := json.MarshalIndent(doc, "", "\t")
	if err != nil {
		return nil, errors.New("keyring: the keys cannot be written as JSON")
	}
	if err := r.cfg.Storage.Store(ctx, storageKey, append(raw, '\n')); err != nil {
		return nil, fmt.Errorf("keyring: cannot write %s to the storage: %w", storageKey, err)
	}
	return r.load(ctx)
}

// untilWork is how long there is nothing to write; false: for ever.
func (r *Ring) untilWork() (time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.doc == nil {
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
			pause = r.poll()
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
