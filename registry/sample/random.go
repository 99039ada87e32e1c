package sample

import "math/bits"

// source is SplitMix64 (Steele, Lea, Flood 2014): small, fast, and started from any
// number at all, so that each family has its own and anybody can be made without
// those before them. It is for made-up people and no secrets.
type source uint64

func newSource(seed, what uint64) source { return source(mix(seed ^ mix(what+0x9e3779b97f4a7c15))) }

func (s *source) next() uint64 {
	*s += 0x9e3779b97f4a7c15
	return mix(uint64(*s))
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// n returns a number from 0 to below n.
func (s *source) n(n int) int {
	high, _ := bits.Mul64(s.next(), uint64(n))
	return int(high)
}

// chance is true in so many of a million cases.
func (s *source) chance(perMillion int) bool { return s.n(1_000_000) < perMillion }

// permutation is a one-to-one mapping of the numbers from 0 to below size onto
// themselves, in no order that shows: a Feistel network over the next even power
// of two, walked until it comes to a number in range.
type permutation struct {
	size uint64
	half uint // bits
	keys [4]uint64
}

func newPermutation(size, seed uint64) permutation {
	p := permutation{size: size, half: uint(bits.Len64(size-1)+1) / 2}
	s := newSource(seed, size)
	for i := range p.keys {
		p.keys[i] = s.next()
	}
	return p
}

func (p *permutation) of(x uint64) uint64 {
	mask := uint64(1)<<p.half - 1
	for {
		left, right := x>>p.half, x&mask
		for _, k := range p.keys {
			left, right = right, left^mix(right^k)&mask
		}
		if x = left<<p.half | right; x < p.size {
			return x
		}
	}
}
