package loading

import (
	"context"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

// Erase forgets the people under a number for whom gone returns true, and the
// number with the last of them. It returns how many were forgotten.
//
// The engine documents when the last copy of them is gone from the disk.
func Erase(ctx context.Context, e Engine, mobile registry.Mobile, gone func(registry.Record) bool) (n int, err error) {
	b, err := e.Begin(ctx, false)
	if err != nil {
		return 0, err
	}
	defer func() {
		if aborting := b.Abort(); err == nil {
			err = aborting
		}
	}()
	keys := b.Keys()
	index, box := keys.Index(mobile), make([][]byte, 1)
	if err := b.Fetch(ctx, []sealed.Index{index}, box); err != nil || box[0] == nil {
		return 0, err
	}
	records, err := keys.Unseal(mobile, box[0])
	if err != nil {
		return 0, err
	}
	var change Change
	kept := make([]registry.Record, 0, len(records))
	for _, r := range records {
		if gone(r) {
			change.People--
			change.Doses -= int64(len(r.Doses))
			continue
		}
		kept = append(kept, r)
	}
	if change.People == 0 {
		return 0, nil
	}
	row := Row{Index: index, Erase: true}
	if len(kept) == 0 {
		change.Numbers--
	} else if row.Box, err = keys.Seal(nil, mobile, kept); err != nil {
		return 0, err
	}
	if err := b.Put(ctx, Part{Last: true, Rows: []Row{row}}); err != nil {
		return 0, err
	}
	if err := b.Commit(ctx, change); err != nil {
		return 0, err
	}
	return len(records) - len(kept), nil
}
