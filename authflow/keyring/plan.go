package keyring

import (
	"maps"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

// This file is what there is to do with a document at a time. Nothing in it
// reads a clock or a storage, so that instances cannot come to differ.

// want is what an instance asks of the document.
type want struct {
	plan plan
	// apply: this configuration is new, so its plan replaces the document's. An
	// instance applies it once; two whose configurations differ would otherwise
	// make key after key against each other.
	apply bool
}

// settle brings the document's plan in line with what an instance wants, and
// reports whether that changed anything.
func (d *document) settle(now time.Time, w want) bool {
	old := d.Plan
	if w.apply {
		d.Plan = w.plan
	}
	// Each instance knows only how long its own assertions live.
	if w.plan.Retain > d.Plan.Retain {
		d.Plan.Retain = w.plan.Retain
	}
	if d.Plan == old {
		return false
	}
	if d.Plan.Publish < old.Publish {
		// Sets handed out until every instance knows of the new plan may be kept
		// as long as the old one said.
		d.SignsNotBefore = later(d.SignsNotBefore, now.Add(time.Duration(old.Publish)))
	}
	if d.Plan.Retain < old.Retain || d.Plan.late() < old.late() {
		d.KeepUntil = later(d.KeepUntil, now.Add(time.Duration(old.Retain)+old.late()))
	}
	return true
}

// meets reports whether settle has nothing to do.
func (d *document) meets(w want) bool {
	probe := *d
	return !probe.settle(time.Time{}, w)
}

// due is when the next key has to be made; false if there is no such time.
func (d *document) due() (time.Time, bool) {
	if len(d.Keys) == 0 || d.bare {
		return time.Time{}, true
	}
	newest := d.Keys[len(d.Keys)-1]
	if newest.signer.Algorithm() != d.Plan.Algorithm {
		return time.Time{}, true
	}
	if d.Plan.RotateEvery == 0 {
		return time.Time{}, false
	}
	// An eighth earlier than it must be: what the lock and the storage take then
	// does not put off the time at which it signs.
	return newest.SignsFrom.Add(time.Duration(d.Plan.RotateEvery - d.Plan.Publish - d.Plan.Publish/8)), true
}

// signsFrom is when a key made now may begin to sign; first says that all keys
// of the document are being made now.
func (d *document) signsFrom(now time.Time, first bool) time.Time {
	if len(d.Keys) == 0 {
		return now // nobody holds a set without it
	}
	newest := d.Keys[len(d.Keys)-1]
	switch {
	case d.bare:
		return later(now, newest.SignsFrom) // there is no other
	case first:
		return newest.SignsFrom.Add(time.Duration(d.Plan.RotateEvery)) // nor here
	}
	t := later(now.Add(time.Duration(d.Plan.Publish)), d.SignsNotBefore)
	if newest.signer.Algorithm() == d.Plan.Algorithm {
		return later(t, newest.SignsFrom.Add(time.Duration(d.Plan.RotateEvery)))
	}
	return later(t, newest.SignsFrom)
}

// rotate makes the keys that are due: one, or as many as have to wait where keys
// rotate faster than they can be published.
func (d *document) rotate(now time.Time, makeKey func(jose.SignatureAlgorithm) (jose.JSONWebKey, error)) (made int, err error) {
	first := len(d.Keys) == 0
	for {
		if at, ok := d.due(); !ok || now.Before(at) {
			return made, nil
		}
		if len(d.Keys) >= maxKeys {
			return made, errTooMany
		}
		key, err := makeKey(d.Plan.Algorithm)
		if err != nil {
			return made, err
		}
		signer, err := assertion.NewSigner(key)
		if err != nil {
			return made, err
		}
		d.Keys = append(d.Keys, entry{Created: now, SignsFrom: d.signsFrom(now, first), AtOnce: d.bare, Key: key, signer: signer})
		d.bare = false
		made++
	}
}

// revoke takes keys out, notes that they are never to come back, and reports
// whether that changed anything. If the key that signs is among them, the next
// in line signs at once; that one is public already, so no verifier fails. If
// there is none, the next one made does.
func (d *document) revoke(now time.Time, revoked map[string]time.Time) (changed bool) {
	for _, id := range slices.Sorted(maps.Keys(revoked)) {
		if !slices.ContainsFunc(d.Revoked, func(r revocation) bool { return r.KeyID == id }) {
			d.Revoked = append(slices.Clip(d.Revoked), revocation{id, revoked[id]})
			changed = true
		}
	}
	if len(d.Keys) == 0 {
		return changed
	}
	signs, kept, next := d.current(now, nil), make([]entry, 0, len(d.Keys)), -1
	for i, e := range d.Keys {
		if _, ok := revoked[e.signer.KeyID()]; ok {
			continue
		}
		if i > signs && next < 0 {
			next = len(kept)
		}
		kept = append(kept, e)
	}
	_, hit := revoked[d.Keys[signs].signer.KeyID()]
	changed = changed || len(kept) < len(d.Keys)
	d.Keys = kept
	switch {
	case !hit:
	case next < 0:
		d.bare = true
	default:
		e := &d.Keys[next]
		e.AtOnce, e.SignsFrom = true, now
		if next > 0 {
			e.SignsFrom = later(now, d.Keys[next-1].SignsFrom)
		}
	}
	return changed
}

// removable is when the oldest key may go; false while it is in use.
func (d *document) removable() (time.Time, bool) {
	if len(d.Keys) < 2 {
		return time.Time{}, false
	}
	stops := d.Keys[1].SignsFrom
	return later(stops.Add(time.Duration(d.Plan.Retain)+d.Plan.late()), d.KeepUntil), true
}

// prune removes the keys by which nothing is signed that is still valid.
func (d *document) prune(now time.Time) (changed bool) {
	for {
		at, ok := d.removable()
		if !ok || now.Before(at) {
			break
		}
		d.Keys = slices.Delete(d.Keys, 0, 1)
		changed = true
	}
	// Dates that have passed say nothing more.
	if changed && !now.Before(d.SignsNotBefore) {
		d.SignsNotBefore = time.Time{}
	}
	if changed && !now.Before(d.KeepUntil) {
		d.KeepUntil = time.Time{}
	}
	return changed
}

// nextWork is when the document has to be changed next, in the past if that is
// so already; false if there is no such time.
func (d *document) nextWork(w want) (at time.Time, ok bool) {
	if !d.meets(w) {
		return time.Time{}, true
	}
	at, ok = d.due()
	if removal, any := d.removable(); any && (!ok || removal.Before(at)) {
		at, ok = removal, true
	}
	return at, ok
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
