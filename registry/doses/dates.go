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

// parsePlainDay reads a day written as 2021-06-30 or 30-06-2021, as nearly all are.
func parsePlainDay(s []byte) (time.Time, bool) {
	if len(s) != len(time.DateOnly) {
		return time.Time{}, false
	}
	year, month, day := s[:4], s[5:7], s[8:]
	if s[2] == '-' && s[5] == '-' {
		year, month, day = s[6:], s[3:5], s[:2]
	} else if s[4] != '-' || s[7] != '-' {
		return time.Time{}, false
	}
	y, ok := parseYear(year)
	m, d := twoDigits(month[0], month[1]), twoDigits(day[0], day[1])
	if !ok || m < 1 || m > 12 || d < 1 || d > 31 {
		return time.Time{}, false
	}
	t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	return t, d <= 28 || t.Day() == d // there is no 31 June
}

// parseYear reads a year of four digits.
func parseYear(s []byte) (int, bool) {
	if len(s) != 4 {
		return 0, false
	}
	high, low := twoDigits(s[0], s[1]), twoDigits(s[2], s[3])
	return 100*high + low, high >= 0 && low >= 0
}

// twoDigits is negative where one of them is none.
func twoDigits(a, b byte) int {
	if a < '0' || a > '9' || b < '0' || b > '9' {
		return -1
	}
	return 10*int(a-'0') + int(b-'0')
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
