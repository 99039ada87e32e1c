package portal

import (
	"cmp"
	"strconv"
	"time"
)

// SelfView asks for the number whose owner wants to see what was done with it.
type SelfView struct {
	Site   string // the site's address as the person knows it
	Mobile string // as typed before
	Wrong  bool   // and it was no mobile number
	Over   bool   // the time in which a number was proven is over
	Trial  bool   // codes go to the log, and the page says so
	// DefaultCountry is the country code of a number typed without one; empty
	// for "+91".
	DefaultCountry string
}

func (v SelfView) frame() frame {
	f := frame{
		name: "self", site: v.Site, inForm: true, languagePage: Prefix + consentsPage,
		problem: v.Wrong || v.Over, country: cmp.Or(v.DefaultCountry, "+91"),
	}
	if v.Wrong {
		f.fields = []FieldProblem{{"mobile_number", "mobile_invalid"}}
	}
	return f
}

// RecordView is what was done with a number at this service.
type RecordView struct {
	Site     string
	Locked   bool
	Done     string // what was just done; a word of doneEnded and the others, or empty
	Total    int    // of consents
	Consents []RecordConsent
	Refusals []RecordRefusal
	Page     int // from 1
	Pages    int
	Left     time.Duration // how long the page can still be seen
}

func (v RecordView) frame() frame {
	return frame{name: "record", site: v.Site, languagePage: Prefix + consentsPage, page: v.Page}
}

// RecordConsent is a consent that was given.
type RecordConsent struct {
	ID               string
	Partner, Purpose string
	Acting           string // whom the partner acted for; may be empty
	Given, Until     time.Time
	Running          bool
	Withdrawn        bool
	Answers          []RecordAnswer // the newest first
}

// RecordAnswer is an answer that was made from a consent.
type RecordAnswer struct {
	At  time.Time
	How string // as the ledger has it
}

// RecordRefusal is a consent to which there was no answer.
type RecordRefusal struct {
	At               time.Time
	Partner, Purpose string
	Reason           string // as the ledger has it
}

// Word is the text for a word of the ledger's, or the one for any other.
func (s *sheet) Word(prefix, word string) (string, error) {
	if text, ok := s.words.texts[prefix+word]; ok {
		return text, nil
	}
	return s.T(prefix + "other")
}

// RecordPage is the address of another page of the record.
func (s *sheet) RecordPage(page int) string {
	return s.link(s.consents(), "", "") + "&page=" + strconv.Itoa(page)
}

// Older is the page of the record after this one.
func (s *sheet) Older() int { return s.frame.page + 1 }

// Newer is the page before this one.
func (s *sheet) Newer() int { return s.frame.page - 1 }

// consents is the address of the page about a number.
func (s *sheet) consents() string { return Prefix + consentsPage }

// CodeAction is where a form of the page for the code goes: "otp" or "verify".
func (s *sheet) CodeAction(what string) string {
	if s.frame.own {
		return s.consents() + "/" + what
	}
	return Prefix + what
}

// Day is the day of a point in time.
func (s *sheet) Day(t time.Time) stamp {
	at := s.inZone(t)
	return stamp{at.Format(time.DateOnly), at.Format("02-01-2006")}
}

// LanguageName is a language's own name, the tag itself where it is not known.
func (s *sheet) LanguageName(tag string) string {
	if l := s.all.byTag[tag]; l != nil {
		return l.texts["lang.name"]
	}
	return tag
}
