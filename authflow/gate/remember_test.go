package gate

import (
	"encoding/binary"
	"testing"

	"crypto/sha256"
)

func keyFor(i int) (k [16]byte) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(i))
	sum := sha256.Sum256(b[:])
	return [16]byte(sum[:])
}

func TestRememberedFindsWhatItWasGiven(t *testing.T) {
	const n = 20_000
	m := NewRemembered(n, 64)
	for i := range n {
		k := keyFor(i)
		s := stamp{kid: uint64(i), issued: 5, expires: int64(i) + 10, epoch: 7, sigLength: 64}
		s.Subject, s.Consent, s.TxnID, s.id = keyFor(i+1), keyFor(i+2), keyFor(i+3), keyFor(i+4)
		s.Status, s.AuthTime, s.Expires = uint8(i%3), int64(i), int64(i)+100
		s.sig[63] = byte(i)
		m.put(&k, &s)
	}
	found := 0
	for i := range n {
		k := keyFor(i)
		var s stamp
		if !m.get(&k, &s) {
			continue
		}
		found++
		if s.kid != uint64(i) || s.issued != 5 || s.expires != int64(i)+10 || s.epoch != 7 || s.sigLength != 64 ||
			s.Subject != keyFor(i+1) || s.Consent != keyFor(i+2) || s.TxnID != keyFor(i+3) || s.id != keyFor(i+4) ||
			s.Status != uint8(i%3) || s.AuthTime != int64(i) || s.Expires != int64(i)+100 || s.sig[63] != byte(i) {
			t.Fatalf("entry %d came back as %+v", i, s)
		}
	}
	if found < n*98/100 {
		t.Errorf("only %d of %d are remembered", found, n)
	}
	missing := keyFor(-1)
	if m.get(&missing, &stamp{}) {
		t.Error("what was never put is found")
	}
	k := keyFor(n - 1)
	m.checked(&k, 8)
	var s stamp
	if !m.get(&k, &s) || s.epoch != 8 {
		t.Errorf("the epoch is %d", s.epoch)
	}
}

// A slot and its tag, times five thirds, is what a remembered pass takes.
func TestRememberedTakesAtMost350BytesAPass(t *testing.T) {
	const n = 1_000_000
	for _, sigSize := range []int{64, 256} {
		m := NewRemembered(n, sigSize)
		total := 0
		for i := range m.shards {
			total += len(m.shards[i].slots) + 4*len(m.shards[i].tags)
		}
		if each := total / n; each > 350 {
			t.Errorf("with signatures of %d bytes: %d bytes each", sigSize, each)
		}
	}
}
