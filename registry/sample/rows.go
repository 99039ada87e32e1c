package sample

import "strings"

// window is how many people's rows are mixed.
const window = 64 * street

// writer writes rows.
type writer struct {
	*town
	noise  int // of a million rows
	people [window]person
	room   [street]person
}

// window appends the rows of window n: of everybody the first dose, or that there is
// none, then of everybody the second, and so on.
func (w *writer) window(b []byte, n int) []byte {
	count := 0
	for s := n * window / street; s < (n+1)*window/street && s*street < w.town.people; s++ {
		count += copy(w.people[count:], w.street(s, &w.room))
	}
	for round := range len(person{}.doses) {
		order := newPermutation(uint64(count), w.seed^uint64(ofOrder|n<<3|round))
		for i := range count {
			at := int(order.of(uint64(i)))
			p := &w.people[at]
			if round > 0 && round >= int(p.given) {
				continue
			}
			if w.noise > 0 {
				s := newSource(w.seed, uint64(ofNoise|(n*window+at)<<3|round))
				if s.chance(w.noise) {
					b = p.appendNoisy(b, round, &s)
					continue
				}
			}
			b = p.appendRow(b, round)
		}
	}
	return b
}

// appendRow appends the row of the person's dose, or of there being none.
func (p *person) appendRow(b []byte, n int) []byte {
	b = appendUint(b, p.number)
	b = append(b, ',')
	b = p.appendName(b)
	if p.given == 0 {
		b = append(b, ",,,,,"...)
	} else {
		d := &p.doses[n]
		b = append(b, ',')
		b = append(b, vaccines[d.vaccine].name...)
		b = append(b, ',', '0'+d.number, ',', '0'+d.total, ',')
		b = append(b, dates[d.day][:]...)
		b = append(b, ',')
	}
	b = appendUint(b, uint64(p.birthYear))
	b = append(b, ',')
	b = appendUint(b, p.beneficiaryID)
	return append(b, ",\n"...)
}

// appendName appends the name as it was registered.
func (p *person) appendName(b []byte) []byte {
	firsts, lasts := &p.lang.first, p.lang.last
	if p.own {
		firsts, lasts = &p.lang.ownFirst, p.lang.ownLast
	}
	if p.initial != 0 {
		b = append(b, p.initial, '.', ' ')
	}
	b = append(b, firsts[p.gender][p.first]...)
	if p.middle != 0 {
		b = append(b, ' ')
		b = append(b, middles[p.gender][p.middle]...)
	}
	if p.last != noLast {
		b = append(b, ' ')
		b = append(b, lasts[p.last]...)
	}
	return b
}

// appendNoisy is appendRow as people type. It says the same.
func (p *person) appendNoisy(b []byte, n int, s *source) []byte {
	var room [10]byte
	b = appendNoisyNumber(b, appendUint(room[:0], p.number), s)
	b = append(b, ',')
	b = p.appendNoisyName(b, s)
	b = append(b, ',')
	if p.given == 0 {
		b = append(b, ",,,,"...)
	} else {
		d := &p.doses[n]
		vaccine := vaccines[d.vaccine].name
		switch s.n(5) {
		case 0:
			vaccine = strings.ToLower(vaccine)
		case 1:
			vaccine = strings.ReplaceAll(vaccine, " ", "-")
		case 2:
			vaccine = " " + vaccine + "  "
		}
		b = append(b, vaccine...)
		b = append(b, ',', '0'+d.number)
		if s.n(6) == 0 {
			b = append(b, ".0"...) // a spreadsheet was here
		}
		b = append(b, ',', '0'+d.total, ',')
		b = appendNoisyDate(b, dates[d.day], s)
		b = append(b, ',')
	}
	b = appendUint(b, uint64(p.birthYear))
	b = append(b, ',')
	b = appendUint(b, p.beneficiaryID)
	b = append(b, ',')
	if s.n(3) == 0 {
		b = append(b, "Completed"...)
	}
	if s.n(3) == 0 {
		b = append(b, '\r')
	}
	return append(b, '\n')
}

func appendNoisyNumber(b, digits []byte, s *source) []byte {
	switch s.n(7) {
	case 0:
		b = append(b, "+91"...)
	case 1:
		b = append(b, "+91 "...)
		b = append(b, digits[:5]...)
		b = append(b, ' ')
		digits = digits[5:]
	case 2:
		b = append(b, '0')
	case 3:
		b = append(b, "91"...)
	case 4:
		b = append(b, digits[:5]...)
		b = append(b, '-')
		digits = digits[5:]
	case 5:
		for _, d := range digits {
			b = append(b, "०१२३४५६७८९"[3*(d-'0'):][:3]...)
		}
		return b
	}
	return append(b, digits...)
}

func (p *person) appendNoisyName(b []byte, s *source) []byte {
	quoted := s.n(6) == 0
	if quoted {
		b = append(b, '"')
	}
	if s.n(5) == 0 {
		b = append(b, ' ')
	}
	if s.n(3) == 0 {
		if p.own {
			b = append(b, p.lang.salutations[p.gender]...)
		} else {
			choice := latinSalutations[p.gender]
			b = append(b, choice[s.n(len(choice))]...)
		}
		b = append(b, ' ')
	}
	var room [128]byte
	name := p.appendName(room[:0])
	capitals := s.n(4) // of Latin letters: 0 all, 1 none
	wide := s.n(5) == 0
	for _, c := range name {
		switch {
		case capitals == 0 && 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case capitals == 1 && 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case wide && c == ' ':
			b = append(b, ' ')
		}
		b = append(b, c)
	}
	if s.n(6) == 0 {
		b = append(b, "  "...)
	}
	if quoted {
		b = append(b, '"')
	}
	return b
}

func appendNoisyDate(b []byte, date [10]byte, s *source) []byte {
	switch s.n(4) {
	case 0:
		b = append(append(append(append(append(b, date[8:]...), '-'), date[5:7]...), '-'), date[:4]...)
	case 1:
		b = append(append(b, date[:]...), "T10:30:00+05:30"...)
	default:
		b = append(b, date[:]...)
	}
	return b
}

// appendUint appends n in decimal digits.
func appendUint(b []byte, n uint64) []byte {
	var room [20]byte
	at := len(room)
	for {
		at--
		q := n / 10
		room[at] = byte('0' + n - q*10)
		if n = q; n == 0 {
			return append(b, room[at:]...)
		}
	}
}
