package gate

import (
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"sync"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
)

// Remembered keeps opened passes and the signatures of their last assertions,
// so that a request with a pass that was seen a moment ago costs a hash and a
// look-up instead of an unsealing and a signature.
//
// What is remembered is not the assertion (700 bytes and more) but what cannot
// be worked out again: who, what and the signature, in a slot of fixed size
// without a pointer in it. The memory is bounded by the number of slots, the
// garbage collector has nothing to look at, and a million passes cost no more
// per request than a thousand. Buckets of sixteen slots; in a full one, one
// whose assertion has ended makes room, or else any: with the oldest, passes
// that come round in turn would push one another out each time.
type Remembered struct {
	shards  [shards]shard
	buckets uint64 // in a shard
}

const (
	shards = 64
	ways   = 16

	maxEach = 350 // bytes

	// a slot: key, key id (8), subject, consent, txn, jti (16 each), four times (8
	// each), number (8), epoch (4), status, signature length (2)
	offKID     = 16
	offSubject = 24
	offConsent = 40
	offTxn     = 56
	offID      = 72
	offAuth    = 88
	offEnds    = 96
	offIssued  = 104
	offExpires = 112
	offNumber  = 120
	offEpoch   = 128
	offStatus  = 132
	offSigLen  = 133
	offSig     = 135
)

type shard struct {
	mu    sync.Mutex
	tags  []uint32 // one for each slot, 0 for an empty one
	slots []byte
	_     [64]byte // keeps neighbours' locks out of this one's cache line
}

// NewRemembered makes room for about n passes, with signatures of up to sigSize
// bytes. The memory is taken from the system as it comes into use: 140 bytes
// and the signature for each slot, and two thirds more slots than passes, so
// that one bucket in fifty overflows; but never more than maxEach bytes for each
// pass, so that with longer signatures (RS256) fewer are remembered.
func NewRemembered(n, sigSize int) *Remembered {
	m := &Remembered{}
	n = max(n, 1)
	slots := uint64(min(n*5/3, n*maxEach/(stride(sigSize)+4))) + shards*ways
	m.buckets = slots/(shards*ways) + 1
	each := int(m.buckets) * ways * stride(sigSize)
	memory := m.take(each * shards)
	for i := range m.shards {
		m.shards[i].tags = make([]uint32, m.buckets*ways)
		m.shards[i].slots = memory[i*each : (i+1)*each : (i+1)*each]
	}
	return m
}

// largeTable is from which size on a table is kept outside the heap.
const largeTable = 64 << 20

func (m *Remembered) take(size int) []byte {
	if size >= largeTable {
		if memory, free, ok := outside(size); ok {
			// not when a configuration goes: requests of its may still be looking
			runtime.AddCleanup(m, func(free func()) { free() }, free)
			return memory
		}
	}
	return make([]byte, size)
}

func stride(sigSize int) int { return offSig + sigSize + 1 }

// stamp is what was signed last for a pass.
type stamp struct {
	pass.Pass
	id        [16]byte // jti
	kid       uint64   // which key signed
	issued    int64
	expires   int64
	epoch     uint32 // of the withdrawals, when it was last looked up
	sig       [maxSignature]byte
	sigLength int
}

// maxSignature is the longest signature there is: RS256 with a key of 4096
// bits.
const maxSignature = 512

// rememberKey names what is remembered of a cookie: for one audience, under one
// set of secrets, with assertions of one length of life. A hash that finds no
// collisions, because finding an entry stands for opening the seal.
func rememberKey(a *authflow.Audience, ttl time.Duration, cookie string) [16]byte {
	var room [16 + 8 + 1024]byte
	in := append(room[:0], a.Salt[:]...)
	in = binary.LittleEndian.AppendUint64(in, uint64(ttl))
	in = append(in, cookie...)
	sum := sha256.Sum256(in)
	return [16]byte(sum[:])
}

func (m *Remembered) place(key *[16]byte) (sh *shard, first uint64, tag uint32) {
	lo := binary.LittleEndian.Uint64(key[:8])
	hi := binary.LittleEndian.Uint64(key[8:])
	tag = uint32(hi>>32) | 1
	return &m.shards[lo%shards], (lo >> 6 % m.buckets) * ways, tag
}

// get copies what is remembered under key into s.
func (m *Remembered) get(key *[16]byte, s *stamp) bool {
	sh, first, tag := m.place(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	size := uint64(len(sh.slots) / len(sh.tags))
	for i := first; i < first+ways; i++ {
		if sh.tags[i] != tag {
			continue
		}
		b := sh.slots[i*size : (i+1)*size]
		if [16]byte(b) != *key {
			continue
		}
		s.kid = binary.LittleEndian.Uint64(b[offKID:])
		s.Subject = [16]byte(b[offSubject:])
		s.Consent = [16]byte(b[offConsent:])
		s.TxnID = [16]byte(b[offTxn:])
		s.id = [16]byte(b[offID:])
		s.AuthTime = int64(binary.LittleEndian.Uint64(b[offAuth:]))
		s.Expires = int64(binary.LittleEndian.Uint64(b[offEnds:]))
		s.issued = int64(binary.LittleEndian.Uint64(b[offIssued:]))
		s.expires = int64(binary.LittleEndian.Uint64(b[offExpires:]))
		s.Number = [8]byte(b[offNumber:])
		s.epoch = binary.LittleEndian.Uint32(b[offEpoch:])
		s.Status = b[offStatus]
		s.sigLength = int(binary.LittleEndian.Uint16(b[offSigLen:]))
		copy(s.sig[:s.sigLength], b[offSig:])
		return true
	}
	return false
}

// put remembers s under key.
func (m *Remembered) put(key *[16]byte, s *stamp) {
	sh, first, tag := m.place(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	size := uint64(len(sh.slots) / len(sh.tags))
	if uint64(offSig+s.sigLength) > size {
		return
	}
	at := first + uint64(tag>>1)%ways
	for i := first; i < first+ways; i++ {
		b := sh.slots[i*size:]
		if sh.tags[i] == 0 || sh.tags[i] == tag && [16]byte(b) == *key {
			at = i
			break
		}
		if int64(binary.LittleEndian.Uint64(b[offExpires:])) <= s.issued {
			at = i
		}
	}
	sh.tags[at] = tag
	b := sh.slots[at*size : (at+1)*size]
	copy(b, key[:])
	binary.LittleEndian.PutUint64(b[offKID:], s.kid)
	copy(b[offSubject:], s.Subject[:])
	copy(b[offConsent:], s.Consent[:])
	copy(b[offTxn:], s.TxnID[:])
	copy(b[offID:], s.id[:])
	binary.LittleEndian.PutUint64(b[offAuth:], uint64(s.AuthTime))
	binary.LittleEndian.PutUint64(b[offEnds:], uint64(s.Expires))
	binary.LittleEndian.PutUint64(b[offIssued:], uint64(s.issued))
	binary.LittleEndian.PutUint64(b[offExpires:], uint64(s.expires))
	copy(b[offNumber:], s.Number[:])
	binary.LittleEndian.PutUint32(b[offEpoch:], s.epoch)
	b[offStatus] = s.Status
	binary.LittleEndian.PutUint16(b[offSigLen:], uint16(s.sigLength))
	copy(b[offSig:], s.sig[:s.sigLength])
}

// checked notes at which epoch of the withdrawals the pass was looked up last.
func (m *Remembered) checked(key *[16]byte, epoch uint32) {
	sh, first, tag := m.place(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	size := uint64(len(sh.slots) / len(sh.tags))
	for i := first; i < first+ways; i++ {
		if b := sh.slots[i*size:]; sh.tags[i] == tag && [16]byte(b) == *key {
			binary.LittleEndian.PutUint32(b[offEpoch:], epoch)
		}
	}
}
