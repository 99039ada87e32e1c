package registry

import (
	"errors"
	"fmt"
	"testing"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	const home, other = Mobile("+919876543210"), Mobile("+919876543211")
	full := []Dose{d("COVISHIELD", 1, 2, "2021-03-01"), d("COVISHIELD", 2, 2, "2021-06-01")}
	part := full[:1]
	asha := Record{ID: "1001", Mobile: home, Name: "Smt. Asha Rao", BirthYear: 1960, Doses: full}
	ravi := Record{Mobile: home, Name: "Ravi Kumar", BirthYear: 1985, Doses: part}
	family := []Record{asha, ravi,
		{Mobile: home, Name: "Meena Rao"},
		{Mobile: home, Name: "Kiran Rao", BirthYear: 2001, Doses: []Dose{d("JANSSEN", 1, 1, "2021-11-01")}},
		{Mobile: home, Name: "आशा राव", BirthYear: 1990, Doses: part},
		{Mobile: home, Name: "Leela Rao", BirthYear: 1999, Doses: full},
	}
	old, young := Record{Mobile: home, Name: "Ravi Kumar", BirthYear: 1955, Doses: full}, ravi
	twin := Record{ID: "7", Mobile: home, Name: "Ravi Kumar", BirthYear: 1985}
	ageless := Record{ID: "8", Mobile: home, Name: "Ravi Kumar"}

	for _, c := range []struct {
		name    string
		records []Record
		typed   string
		year    int
		partial int
		want    Answer
		err     error
	}{
		{"by id", family, "asha rao", 0, 0, Answer{Fully, "id:1001"}, nil},
		{"by name", family, "Mr RAVI  KUMAR", 0, 0, Answer{Partly, "nnb:+919876543210:ravikumar:1985"}, nil},
		{"no dose", family, "Meena Rao", 0, 0, Answer{NotVaccinated, "nnb:+919876543210:meenarao:0"}, nil},
		{"one-dose vaccine", family, "Kiran Rao", 0, 0, Answer{Fully, "nnb:+919876543210:kiranrao:2001"}, nil},
		{"another script", family, "श्रीमती आशा राव", 0, 0, Answer{Partly, "nnb:+919876543210:आशाराव:1990"}, nil},
		{"nobody of that name", family, "Asha", 0, 0, Answer{}, ErrNoRecord},
		{"nobody at all", nil, "Asha Rao", 0, 0, Answer{}, ErrNoRecord},
		{"no name", family, "...", 0, 0, Answer{}, ErrNameInvalid},
		{"the right year though not asked", family, "Ravi Kumar", 1985, 0, Answer{Partly, "nnb:+919876543210:ravikumar:1985"}, nil},
		{"the wrong year though not asked", family, "Ravi Kumar", 1984, 0, Answer{}, ErrNoRecord},
		{"a year the record does not have", family, "Meena Rao", 1984, 0, Answer{NotVaccinated, "nnb:+919876543210:meenarao:0"}, nil},

		{"two of one name", []Record{old, young}, "Ravi Kumar", 0, 0, Answer{}, &AmbiguousError{BirthYear: true}},
		{"two, the elder", []Record{old, young}, "Ravi Kumar", 1955, 0, Answer{Fully, "nnb:+919876543210:ravikumar:1955"}, nil},
		{"two, the younger", []Record{old, young}, "Ravi Kumar", 1985, 0, Answer{Partly, "nnb:+919876543210:ravikumar:1985"}, nil},
		{"two, neither", []Record{old, young}, "Ravi Kumar", 1970, 0, Answer{}, ErrNoRecord},
		{"twins", []Record{young, twin}, "Ravi Kumar", 0, 0, Answer{}, &AmbiguousError{}},
		{"twins and the year", []Record{young, twin}, "Ravi Kumar", 1985, 0, Answer{}, &AmbiguousError{}},
		{"twins and their father", []Record{old, young, twin}, "Ravi Kumar", 0, 0, Answer{}, &AmbiguousError{}},
		{"one year not known", []Record{old, ageless}, "Ravi Kumar", 0, 0, Answer{}, &AmbiguousError{}},
		{"one year not known, and the other's", []Record{old, ageless}, "Ravi Kumar", 1955, 0, Answer{}, &AmbiguousError{}},
		{"one year not known, and another", []Record{old, ageless}, "Ravi Kumar", 1970, 0, Answer{}, &AmbiguousError{}},

		{"partial", family, "Rao Asha", 0, 60, Answer{Fully, "id:1001"}, nil},
		{"partial fits several", family, "Rao", 0, 50, Answer{}, &AmbiguousError{}},
		{"exact and partial are two", []Record{ravi, {Mobile: home, Name: "Ravi Kumar Sharma", BirthYear: 1970}}, "Ravi Kumar", 0, 60,
			Answer{}, &AmbiguousError{BirthYear: true}},
		{"another number's record", []Record{{Mobile: other, Name: "Asha Rao", Doses: full}}, "Asha Rao", 0, 0, Answer{}, ErrNoRecord},
		{"a record whose name is none", []Record{{Mobile: home, Name: "\x00"}}, "Asha Rao", 0, 0, Answer{}, ErrNoRecord},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := fmt.Sprint(c.records)
			got, err := Decide(c.records, Query{home, c.typed, c.year}, NameMatch{c.partial}, Schedule{})
			var ambiguous, want *AmbiguousError
			switch {
			case errors.As(c.err, &want):
				if !errors.As(err, &ambiguous) || *ambiguous != *want {
					t.Fatalf("got %v, %#v; want %#v", got, err, c.err)
				}
			case got != c.want || !errors.Is(err, c.err):
				t.Fatalf("got %v, %v; want %v, %v", got, err, c.want, c.err)
			}
			if err != nil && got != (Answer{}) {
				t.Fatalf("%v and an error", got)
			}
			if fmt.Sprint(c.records) != before {
				t.Fatal("the records were changed")
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	const home = Mobile("+919876543210")
	doses := []Dose{d("COVISHIELD", 1, 2, "2021-03-01"), d("COVISHIELD", 2, 2, "2021-06-01")}
	var family []Record
	for _, name := range []string{"Asha Rao", "Ravi Rao", "Meena Rao", "Kiran Rao", "Leela Rao", "Dev Rao"} {
		family = append(family, Record{Mobile: home, Name: name, BirthYear: 1980, Doses: doses})
	}
	for _, people := range []int{1, 6} {
		records := family[:people]
		b.Run(fmt.Sprintf("people=%d", len(records)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decide(records, Query{Mobile: home, Name: "Asha Rao"}, NameMatch{}, Schedule{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
