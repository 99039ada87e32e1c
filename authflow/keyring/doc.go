// Package keyring keeps the keys that sign assertions: made, kept in storage,
// published, rotated and removed.
//
// All of it is one document in the storage, under one lock. Besides the keys it
// holds the plan (algorithm, how often, how long), so that every instance that
// reads it comes to the same answer for the same time, by the clock alone:
//
//	made ── public ──▶ signs ──────────▶ stops ── still public ──▶ removed
//	     └─ Publish ─┘      └─ RotateEvery ─┘   └─ Retain + Publish/2 + 2 MaxSkew ─┘
//
// A key signs until the next one does; what was written down about when a key
// begins to sign is changed by a revocation alone. Where keys rotate faster than
// they can be published, several wait. That no verifier fails rests on this:
//
//   - An instance reads the document every Publish/4 (MaxPoll at most) and lets
//     verifiers keep the public set for Publish/4 (a quarter of an hour at
//     most). So Publish/2 after one instance has read of a key, it is in every
//     set that anybody still holds. One that could not read for a while lets
//     nobody keep its set.
//   - No instance signs with a key that it has known for less than Publish/2, or
//     MaxSkew after the key's time if it cannot know: a clock that is ahead does
//     not count, only time that has passed (document.ripe).
//   - An instance that learns of a new key late, or whose clock is behind, goes
//     on with the old one, which is public for Publish/2 and 2 MaxSkew longer
//     than what it signed is valid.
//   - A plan that becomes shorter counts only when the longer one has run out
//     everywhere (document.settle).
//   - A key that is not in the storage does not sign.
//
// Revoke is the exception, as it is for: a key is gone at once, everywhere. The
// document notes its kid, and an instance that has read that never uses the key
// again, whatever it finds in the storage later.
//
// An instance that cannot reach its storage goes on with the keys it has. A
// document it cannot read is never written over.
//
// The plan of the instance that was last started or reconfigured counts, but
// for Retain, where the longest does: instances that share storage should share
// their configuration too.
package keyring
