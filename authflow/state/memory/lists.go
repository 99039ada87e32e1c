package memory

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// list is a list as it is kept: in the same table as the handshakes, and within
// the same bound.
type list struct {
	entries [][]byte
	size    int // of the entries, in bytes
}

// entryFixed is what an entry takes besides its bytes, rounded up.
const entryFixed = 40

func (l *list) weight() int64 {
	return int64(weightFixed+l.size+entryFixed*len(l.entries)+weightUnit-1) / weightUnit
}

// errNoList says that a handshake is under the key: keys are hashes of different
// things, so that is a mistake of the caller's.
var errNoList = errors.New("state: what is kept there is no list")

// Append implements state.Store.
func (s *Store) Append(_ context.Context, key state.Key, entry []byte, most int, ttl time.Duration) error {
	if err := checkTTL(ttl); err != nil {
		return err
	}
	err := s.append(key, entry, most, ttl)
	if err == errNoRoom {
		err = state.ErrFull
		if s.handshakes.makeRoom(s.handshakes.sweepPart) {
			if err = s.append(key, entry, most, ttl); err == errNoRoom {
				err = state.ErrFull
			}
		}
	}
	return err
}

// errNoRoom says that the table is full, as opposed to the list.
var errNoRoom = errors.New("state: no room")

func (s *Store) append(key state.Key, entry []byte, most int, ttl time.Duration) error {
	sh := s.handshakes.shard(key)
	sh.Lock()
	defer sh.Unlock()
	v, _, found := sh.get(key)
	var before list
	if found {
		l, ok := v.(*list)
		if !ok {
			return errNoList
		}
		before = *l
	} else {
		sh.dropExpired(key)
	}
	if len(before.entries) >= most {
		return state.ErrFull
	}
	after := &list{append(before.entries, bytes.Clone(entry)), before.size + len(entry)}
	more := after.weight()
	if found {
		more -= before.weight()
	}
	if more > 0 && !s.handshakes.reserve(more) {
		return errNoRoom
	}
	sh.put(key, after, ttl)
	return nil
}

// List implements state.Store.
func (s *Store) List(_ context.Context, key state.Key) ([][]byte, error) {
	sh := s.handshakes.shard(key)
	sh.Lock()
	defer sh.Unlock()
	v, _, found := sh.get(key)
	if !found {
		return nil, nil
	}
	l, ok := v.(*list)
	if !ok {
		return nil, errNoList
	}
	entries := slices.Clone(l.entries)
	for i := range entries {
		entries[i] = bytes.Clone(entries[i])
	}
	return entries, nil
}
