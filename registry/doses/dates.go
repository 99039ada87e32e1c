package doses

import (
	"regexp"
	"strconv"
	"time"
)

// ist is India's time, five and a half hours ahead of UTC.
var ist = time.FixedZone("IST", 5*3600+30*60)

// today is the day it is now, in India or where the clock is, whichever is later:
// a server on UTC must not call this morning's doses future ones.
func today(now time.Time) time.Time {
	a, b := midnight(now), midnight(now.In(ist))
	if a.After(b) {
		return a
	}
	return b
}

func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// dayLayouts are the ways of writing a day that can be read in one way only:
// 05/06/2021 is a day in June in India and one in May in America, so it is not
// among them. The time of day and its zone are dropped: the day is the one that
// was written down where the dose was given.
var dayLayouts = []string{
	time.DateOnly,
	time.RFC3339,
	"02-01-2006",
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05",
	"2006-01-02T15:04:05Z0700",
	"02 Jan 2006", // as on CoWIN's certificate
	"02-Jan-2006",
}

func parseDay(s string) (time.Time, bool) {
	for _, layout := range dayLayouts {
		// time.Parse makes an error of several allocations for each layout that does not fit.
		if len(layout) > len(s) && layout != time.RFC3339 {
			continue
		}
		if t, err := time.Parse(layout, s); err == nil {
			return midnight(t), true
		}
	}
	return time.Time{}, false
}

// yearLast matches a date of birth of which only the year is sure.
var yearLast = regexp.MustCompile(`^\d{1,2}[-/.]\d{1,2}[-/.](\d{4})$`)

// parseBirthYear reads a year, or the year of a date of birth.
func parseBirthYear(s string) (int, bool) {
	if len(s) == 4 {
		y, err := strconv.Atoi(s)
		return y, err == nil
	}
	if t, ok := parseDay(s); ok {
		return t.Year(), true
	}
	if m := yearLast.FindStringSubmatch(s); m != nil {
		y, err := strconv.Atoi(m[1])
		return y, err == nil
	}
	if t, err := time.Parse("2006-01", s); err == nil {
		return t.Year(), true
	}
	return 0, false
}
