package sample

import "time"

// vaccine is how a vaccine was given.
type vaccine struct {
	name   string // as CoWIN names it
	weight int    // of 100,000 people with a dose
	course int    // doses
	from   int    // the first day it was given
	to     int    // the last day of a first dose
	gap    int    // the least number of days to the next dose
	young  int    // of 100 people who got it, how many were too young for any other
	born   [2]int // the years in which those were born
}

// The campaign, in days since its first: who could get a dose from when on
// (Ministry of Health and Family Welfare's announcements).
var (
	sixty      = day(2021, 3, 1)
	fortyFive  = day(2021, 4, 1)
	adults     = day(2021, 5, 1)
	teenagers  = day(2022, 1, 3)   // 15 to 17, COVAXIN
	children   = day(2022, 3, 16)  // 12 to 14, CORBEVAX
	precaution = day(2022, 1, 10)  // nine months after the second dose
	sooner     = day(2022, 7, 6)   // six
	lastDay    = day(2023, 12, 31) // of this sample, so that it does not depend on when it is made
	zycovTwo   = day(2022, 4, 26)  // ZyCoV-D in two doses
	longerGap  = day(2021, 5, 13)  // between doses of COVISHIELD: 12 weeks, 4 before
)

// vaccines are those of the campaign by the doses given (CoWIN's dashboard: 79.3 %
// COVISHIELD, 16.5 % COVAXIN, 3.3 % CORBEVAX). The rest together were less than a
// tenth of a percent; here they have about 1 %, so that a small sample has them all.
var vaccines = [...]vaccine{
	{"COVISHIELD", 79_100, 2, 0, day(2022, 6, 30), 28, 0, [2]int{}},
	{"COVAXIN", 16_600, 2, 0, day(2022, 9, 30), 28, 30, [2]int{2004, 2006}},
	{"CORBEVAX", 3_300, 2, children, day(2022, 12, 31), 28, 100, [2]int{2008, 2010}},
	{"SPUTNIK V", 400, 2, day(2021, 5, 14), day(2022, 3, 31), 21, 0, [2]int{}},
	{"COVOVAX", 150, 2, day(2022, 4, 26), day(2023, 4, 30), 21, 60, [2]int{2004, 2010}},
	{"ZyCoV-D", 150, 3, day(2022, 2, 3), day(2022, 9, 30), 28, 20, [2]int{2004, 2009}},
	{"iNCOVACC", 60, 2, day(2023, 1, 26), day(2023, 6, 30), 28, 0, [2]int{}},
	{"GEMCOVAC", 60, 2, day(2022, 9, 1), day(2023, 6, 30), 28, 0, [2]int{}},
	{"JANSSEN", 60, 1, day(2021, 9, 1), day(2022, 6, 30), 28, 0, [2]int{}},
	{"SPUTNIK LIGHT", 60, 1, day(2022, 2, 7), day(2022, 9, 30), 28, 0, [2]int{}},
	{"MODERNA", 60, 2, day(2021, 7, 15), day(2022, 6, 30), 28, 0, [2]int{}},
}

// How far people came, of a million registered. CoWIN: 1,027 million first doses,
// 952 million second, 228 million precaution doses, of about 1,100 million people.
const (
	shareNone       = 66_000
	shareOne        = 69_000
	sharePrecaution = 207_000 // the rest have their course and no more
)

// firstDay is the day the campaign began. Days are counted from it.
var firstDay = time.Date(2021, 1, 16, 0, 0, 0, 0, time.UTC)

func day(y int, m time.Month, d int) int {
	return int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Sub(firstDay).Hours() / 24)
}

// dates are all days of the campaign, written out.
var dates = func() (d [1100][10]byte) {
	for i := range d {
		copy(d[i][:], firstDay.AddDate(0, 0, i).Format(time.DateOnly))
	}
	return d
}()

// pickVaccine says which vaccine, for a number below 10,000.
var pickVaccine = func() (pick [10_000]uint8) {
	at := 0
	for v, vac := range vaccines {
		for range vac.weight / 10 {
			pick[at] = uint8(v)
			at++
		}
	}
	return pick
}()
