package sample

import (
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
)

// street is how many people are made together: families of 1 to 6 until it is
// full, so that anybody's family is known without those of the streets before.
const street = 64

// dose is a dose that was given.
type dose struct {
	vaccine, number, total uint8
	day                    int16 // of dates
}

// person is somebody made up.
type person struct {
	lang          *language
	own           bool // whether the name is in the language's own script
	gender        uint8
	first, last   uint8 // of the language's names; last is noLast for a name of one word
	middle        uint8 // of middles, in Latin letters; 0 for none
	initial       uint8 // 0 for none
	given         uint8 // how many doses
	birthYear     uint16
	number        uint64 // the mobile number's ten digits
	beneficiaryID uint64
	doses         [4]dose
}

const noLast = 0xff

// middles are second names in the north.
var middles = [2][]string{
	female: {"", "Devi", "Kumari", "Bai"},
	male:   {"", "Kumar", "Lal", "Chand"},
}

// familySizes are how many of 100 numbers are shared by so many people. CoWIN let
// one number register four people, later six.
var familySizes = [...]int{1: 34, 2: 26, 3: 18, 4: 14, 5: 5, 6: 3}

// pickLanguage says which language, for a number below 1000.
var pickLanguage = func() (pick [1000]uint8) {
	at := 0
	for l := range languages {
		for range languages[l].weight {
			pick[at] = uint8(l)
			at++
		}
	}
	return pick
}()

// town makes people.
type town struct {
	seed    uint64
	people  int
	numbers permutation
	ids     permutation
}

// Of which thing a source is, so that none is made twice from the same numbers.
const (
	ofStreet = iota << 56
	ofFamily
	ofPerson
	ofOrder
	ofNoise
)

func newTown(c Config) *town {
	return &town{
		seed: c.Seed, people: c.People,
		numbers: newPermutation(4_000_000_000, c.Seed), // 6000000000 to 9999999999
		ids:     newPermutation(1<<46, c.Seed+1),
	}
}

// street makes the people of a street, into in.
func (t *town) street(n int, in *[street]person) []person {
	count := min(street, t.people-n*street)
	s := newSource(t.seed, ofStreet|uint64(n))
	for at := 0; at < count; {
		size, pick := 1, s.n(100)
		for pick -= familySizes[size]; pick >= 0; pick -= familySizes[size] {
			size++
		}
		// Who is cut off by the end of the street has no family, by that of the sample
		// no place in it.
		size = min(size, street-at)
		t.family(uint64(n*street+at), in[at:at+size])
		at += size
	}
	return in[:count]
}

// family makes a family. The number of its first person is the family's as well.
func (t *town) family(number uint64, members []person) {
	s := newSource(t.seed, ofFamily|number)
	lang := &languages[pickLanguage[s.n(len(pickLanguage))]]
	own := s.n(100) < lang.own
	lasts := lang.last
	if own {
		lasts = lang.ownLast
	}
	last := s.n(len(lasts))
	mobile := 6_000_000_000 + t.numbers.of(number)
	for i := range members {
		p := &members[i]
		*p = person{lang: lang, own: own, last: uint8(last), number: mobile}
		p.beneficiaryID = 10_000_000_000_000 + t.ids.of(number+uint64(i))
		s := newSource(t.seed, ofPerson|(number+uint64(i)))
		p.name(&s, members[:i])
		p.course(&s)
	}
}

// name gives a person a name that nobody else on the number has.
func (p *person) name(s *source, others []person) {
	p.gender = uint8(s.n(2))
	firsts := p.lang.first[p.gender]
	if p.own {
		firsts = p.lang.ownFirst[p.gender]
	}
	p.first = uint8(s.n(len(firsts)))
	for i := 0; i < len(others); i++ {
		if o := &others[i]; o.gender == p.gender && o.first == p.first {
			p.first = uint8((int(p.first) + 1) % len(firsts))
			i = -1
		}
	}
	switch pick := s.n(100); {
	case pick < 4:
		p.last = noLast
	case pick < 14 && !p.own:
		p.initial = initials[s.n(len(initials))]
	case pick < 40 && !p.own && p.lang == &languages[0]:
		p.middle = uint8(1 + s.n(3))
	}
}

// course gives a person a year of birth and doses.
func (p *person) course(s *source) {
	p.birthYear = uint16(s.adultYear())
	stage := s.n(1_000_000)
	if stage < shareNone {
		if s.n(10) == 0 {
			p.birthYear = uint16(2004 + s.n(7))
		}
		return
	}
	v := pickVaccine[s.n(len(pickVaccine))]
	vac := &vaccines[v]
	if s.n(100) < vac.young {
		p.birthYear = uint16(vac.born[0] + s.n(vac.born[1]-vac.born[0]+1))
	}

	start := max(vac.from, opened(int(p.birthYear)))
	if p.birthYear < 2004 && s.n(50) == 0 {
		start = vac.from // works in health care
	}
	at := start + s.early(max(1, min(vac.to-start, 320)))
	course := vac.course
	if vac.course == 3 && at >= zycovTwo {
		course = 2
	}
	doses := course
	if stage < shareNone+shareOne && course > 1 {
		doses = 1 + s.n(course-1)
	}
	for number := 1; number <= doses; number++ {
		p.add(v, number, course, at)
		gap := vac.gap
		if v == 0 && at+gap >= longerGap {
			gap = 84
		}
		at += gap + s.early(60)
	}
	if stage >= 1_000_000-sharePrecaution && doses == course {
		last := int(p.doses[p.given-1].day)
		due := last + 270
		if due > sooner {
			due = max(sooner, last+180)
		}
		p.add(v, course+1, course+1, min(lastDay, max(due, precaution)+s.early(200)))
	}
}

func (p *person) add(vaccine uint8, number, total, day int) {
	p.doses[p.given] = dose{vaccine, uint8(number), uint8(total), int16(day)}
	p.given++
}

// opened is when people born in a year could first be vaccinated, with whichever
// vaccine: those who work in health care, at any age, before that.
func opened(birthYear int) int {
	switch {
	case birthYear >= 2008:
		return children
	case birthYear >= 2004:
		return teenagers
	case birthYear > 1976:
		return adults
	case birthYear > 1961:
		return fortyFive
	}
	return sixty
}

// adultYear is a year of birth, 18 to about 90 years before the campaign.
func (s *source) adultYear() int {
	switch pick := s.n(100); {
	case pick < 62:
		return 1977 + s.n(27)
	case pick < 84:
		return 1962 + s.n(15)
	}
	return 1961 - s.early(31)
}

// early is a number from 0 to below n, rather a low one.
func (s *source) early(n int) int { return s.n(s.n(n) + 1) }

// record is the person as a registry that imported the sample has them.
func (p *person) record() registry.Record {
	r := registry.Record{
		ID:        string(appendUint(nil, p.beneficiaryID)),
		Mobile:    registry.Mobile(appendUint([]byte("+91"), p.number)),
		Name:      string(p.appendName(nil)),
		BirthYear: int(p.birthYear),
	}
	for _, d := range p.doses[:p.given] {
		r.Doses = append(r.Doses, registry.Dose{
			Vaccine: vaccines[d.vaccine].name, Number: int(d.number), Total: int(d.total),
			Date: firstDay.Add(time.Duration(d.day) * 24 * time.Hour),
		})
	}
	return r
}
