package keyring

import (
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
	if len(d.Keys) == 0 {
		return time.Time{}, true
	}
	newest := d.Keys[len(d.Keys)-1]
	if newest.signer.Algorithm() != d.Plan.Algorithm {
		return time.Time{}, true
	}
	if d.Plan.RotateEvery == 0 {
		return time.Time{}, false
	}
	return newest.SignsFrom.Add(time.Duration(d.Plan.RotateEvery - d.Plan.Publish)), true
}

// signsFrom is when a key made now may begin to sign.
func (d *document) signsFrom(now time.Time) time.Time {
	if len(d.Keys) == 0 {
		return now // nobody holds a set without it
	}
	newest := d.Keys[len(d.Keys)-1]
	t := later(now.Add(time.Duration(d.Plan.Publish)), d.SignsNotBefore)
	if newest.signer.Algorithm() == d.Plan.Algorithm {
		return later(t, newest.SignsFrom.Add(time.Duration(d.Plan.RotateEvery)))
	}
	return later(t, newest.SignsFrom)
}

// rotate makes the next key if it is due.
func (d *document) rotate(now time.Time, makeKey func(jose.SignatureAlgorithm) (jose.JSONWebKey, error)) (bool, error) {
	if at, ok := d.due(); !ok || now.Before(at) {
		return false, nil
	}
	if len(d.Keys) >= maxKeys {
		return false, errTooMany
	}
	key, err := makeKey(d.Plan.Algorithm)
	if err != nil {
		return false, err
	}
	signer, err := assertion.NewSigner(key)
	if err != nil {
		return false, err
	}
	d.Keys = append(d.Keys, entry{Created: now, SignsFrom: d.signsFrom(now), Key: key, signer: signer})
	return true, nil
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
