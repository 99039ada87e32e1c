// Package keyring keeps the keys that sign assertions: made, kept in storage,
// published, rotated and removed.
//
// All of it is one document in the storage, under one lock. Besides the keys it
// holds the plan (algorithm, how often, how long), so that every instance that
// reads it comes to the same answer for the same time, by the clock alone:
//
//	made ── public ──▶ signs ──────────▶ stops ── still public ──▶ removed
//	     └─ Publish ─┘      └─ RotateEvery ─┘   └─ Retain + Publish/2 ─┘
//
// A key signs until the next one does; what was written down about when a key
// begins to sign is never changed. That no verifier fails rests on this:
//
//   - An instance reads the document every Publish/4 (a minute at most) and lets
//     verifiers keep the public set for Publish/4 (a quarter of an hour at
//     most). So a new key is in every set that anybody still holds by the time
//     Publish/2 is over, and the other half is left for clocks that differ.
//   - An instance that learns of a new key late goes on with the old one, which
//     is public for Publish/2 longer than what it signed is valid.
//   - A plan that becomes shorter counts only when the longer one has run out
//     everywhere (document.settle).
//   - A key that is not in the storage does not sign.
//
// An instance that cannot reach its storage goes on with the keys it has. A
// document it cannot read is never written over.
//
// The plan of the instance that was last started or reconfigured counts, but
// for Retain, where the longest does: instances that share storage should share
// their configuration too.
package keyring
