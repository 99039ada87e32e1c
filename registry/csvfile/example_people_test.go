package csvfile

import (
	"errors"
	"testing"

	"github.com/kycvs/caddy-kycvs/registry"
)

// The people to try, as the README has them.
func TestExamplePeople(t *testing.T) {
	t.Parallel()
	r, err := Open(Config{Path: "../../examples/people.csv", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, want := r.People(), 27; got != want {
		t.Errorf("%d people, want %d", got, want)
	}
	for _, c := range []struct {
		mobile registry.Mobile
		name   string
		year   int
		want   registry.Status
	}{
		{"+919876543210", "Asha Rao", 0, registry.Fully},
		{"+919876543211", "Ravi Kumar", 0, registry.Partly},
		{"+919876543212", "Meena Iyer", 0, registry.NotVaccinated},
		{"+919876543213", "Kiran Shah", 0, registry.Fully},
		{"+919876543214", "Farah Khan", 0, registry.Fully},
		{"+919876543215", "Thomas D Souza", 0, registry.Fully},
		{"+919876543216", "Nikhil Joshi", 0, registry.Fully},
		{"+919876543217", "Ananya Ghosh", 0, registry.Partly},
		{"+919876543218", "Harpreet Singh", 0, registry.Fully},
		{"+919876543219", "Lakshmi Menon", 0, registry.Fully},
		{"+919876543220", "Joseph Mathew", 0, registry.Fully},
		{"+919876543221", "Sunita Devi", 0, registry.Fully},
		{"+919876543222", "Imran Sheikh", 0, registry.Partly},
		{"+919876543223", "Pooja Reddy", 0, registry.Fully},
		{"+919876543224", "Arjun Das", 0, registry.Fully},
		{"+919876543225", "Gopal Verma", 0, registry.Partly},
		{"+919876543226", "Rekha Pillai", 0, registry.Fully},
		{"+919876543230", "Mohan Patel", 0, registry.Fully},
		{"+919876543230", "Savita Patel", 0, registry.Fully},
		{"+919876543230", "Dinesh Patel", 0, registry.Fully},
		{"+919876543230", "Jyoti Patel", 0, registry.Partly},
		{"+919876543230", "Rohan Patel", 0, registry.Partly},
		{"+919876543230", "Isha Patel", 0, registry.NotVaccinated},
		{"+919876543231", "Suresh Kumar", 1955, registry.Fully},
		{"+919876543231", "Suresh Kumar", 1983, registry.Partly},
		{"+919876543232", "श्रीमती आशा शर्मा", 0, registry.Fully},
		{"+919876543233", "மீனா சுந்தரம்", 0, registry.Partly},
	} {
		records, err := r.Lookup(t.Context(), c.mobile)
		if err != nil {
			t.Fatal(err)
		}
		a, err := registry.Decide(records, registry.Query{Mobile: c.mobile, Name: c.name, BirthYear: c.year}, registry.NameMatch{}, registry.Schedule{})
		if err != nil || a.Status != c.want {
			t.Errorf("%s: got %v, %v; want %v", c.name, a.Status, err, c.want)
		}
	}
	records, _ := r.Lookup(t.Context(), "+919876543231")
	_, err = registry.Decide(records, registry.Query{Mobile: "+919876543231", Name: "Suresh Kumar"}, registry.NameMatch{}, registry.Schedule{})
	if a := (*registry.AmbiguousError)(nil); !errors.As(err, &a) || !a.BirthYear {
		t.Errorf("two of one name: %v", err)
	}
}
