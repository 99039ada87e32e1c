package registry

import "strings"

// NameMatch is how a typed name is compared with a registered one. It is set
// for a whole service or partner, never by who asks, after the match strategies
// of UIDAI's authentication API ("exact" and "partial" with a match value).
type NameMatch struct {
	// Partial is 0 for exact, else the percentage, 1 to 100, of whole words that
	// must match.
	Partial int
}

// Match reports whether typed is the registered name.
//
// Exact: the same letters in the same order. Where the spaces are does not
// count, so that "Ramkumar" is "Ram Kumar" and "SK Rao" is "S.K. Rao".
//
// Partial: the words that both names have, in any order, are counted, each word
// once, and must be at least that percentage of the words of the longer name.
// The longer one, so that neither leaving words out nor adding them helps: of
// "Ravi Kumar Sharma", "Sharma, Ravi" is 66 %, "Ravi" 33 %, and "Ravi Kumar
// Sharma Gupta Khan" 60 %. An initial is not a whole word and matches only an
// initial. What matches exactly matches partially.
//
// An empty name, which ParseName does not return, matches nothing.
func (m NameMatch) Match(registered, typed Name) bool {
	if registered == "" || typed == "" {
		return false
	}
	if equalButSpaces(string(registered), string(typed)) {
		return true
	}
	if m.Partial <= 0 {
		return false
	}
	both, longer := commonWords(string(registered), string(typed))
	return both > 0 && both*100 >= min(m.Partial, 100)*longer
}

func equalButSpaces(a, b string) bool {
	for {
		for a != "" && a[0] == ' ' {
			a = a[1:]
		}
		for b != "" && b[0] == ' ' {
			b = b[1:]
		}
		if a == "" || b == "" {
			return a == b
		}
		if a[0] != b[0] {
			return false
		}
		a, b = a[1:], b[1:]
	}
}

// commonWords counts the words that are in a and b, and those of the longer one.
func commonWords(a, b string) (both, longer int) {
	var used uint64 // words of a, by place: a name of 100 characters has at most 50
	wordsOfB := 0
	for w := range strings.SplitSeq(b, " ") {
		wordsOfB++
		place := 0
		for v := range strings.SplitSeq(a, " ") {
			if v == w && used&(1<<place) == 0 {
				used |= 1 << place
				both++
				break
			}
			place++
		}
	}
	return both, max(wordsOfB, strings.Count(a, " ")+1)
}
