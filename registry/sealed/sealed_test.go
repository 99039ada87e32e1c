package sealed

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
)

const mobile = registry.Mobile("+919876543210")

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

// typical is nearly every record: one person with two doses.
var typical = []registry.Record{{ID: "23456789012345", Mobile: mobile, Name: "Asha Rao", BirthYear: 1960, Doses: []registry.Dose{
	{Vaccine: "COVISHIELD", Number: 1, Total: 2, Date: day("2021-03-01")},
	{Vaccine: "COVISHIELD", Number: 2, Total: 2, Date: day("2021-06-01")},
}}}

func mustNew(t testing.TB) *Keys {
	t.Helper()
	k, _, err := New([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func many(n int) (doses []registry.Dose) {
	for i := range n {
		doses = append(doses, registry.Dose{Vaccine: "COVAXIN", Number: registry.Precaution, Total: i, Date: day("2021-03-01").AddDate(0, 0, i)})
	}
	return doses
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	k := mustNew(t)
	one := func(r registry.Record) []registry.Record { r.Mobile = mobile; return []registry.Record{r} }
	for name, records := range map[string][]registry.Record{
		"typical":         typical,
		"nobody":          {},
		"registered":      one(registry.Record{Name: "Meena Iyer"}),
		"another script":  one(registry.Record{Name: "மீனா ஐயர்", ID: "X-1"}),
		"id 0":            one(registry.Record{Name: "A", ID: "0"}),
		"id with a zero":  one(registry.Record{Name: "A", ID: "007"}),
		"id with a plus":  one(registry.Record{Name: "A", ID: "+7"}),
		"id of 20 digits": one(registry.Record{Name: "A", ID: "18446744073709551615"}),
		"id too large":    one(registry.Record{Name: "A", ID: "18446744073709551616"}),
		"born long ago":   one(registry.Record{Name: "A", BirthYear: 1700}),
		"born in 1880":    one(registry.Record{Name: "A", BirthYear: 1880}),
		"born in 2135":    one(registry.Record{Name: "A", BirthYear: 2135}),
		"vaccine unknown": one(registry.Record{Name: "A", Doses: []registry.Dose{{Vaccine: "COMIRNATY", Number: 1, Date: day("2021-03-01")}}}),
		"no date":         one(registry.Record{Name: "A", Doses: []registry.Dose{{Vaccine: "COVAXIN"}}}),
		"one taken back":  one(registry.Record{Name: "A", Doses: []registry.Dose{{Vaccine: "X", Number: 1, TakenBack: 2, Date: day("2021-03-01")}}}),
		"30 doses":        one(registry.Record{Name: "A", Doses: many(30)}),
		"31 doses":        one(registry.Record{Name: "A", Doses: many(31)}),
		"300 doses":       one(registry.Record{Name: "A", Doses: many(300)}),
		"six people":      slices.Repeat(typical, 6),
		"a town":          slices.Repeat(typical, 1000),
	} {
		t.Run(name, func(t *testing.T) {
			box, err := k.Seal([]byte("before"), mobile, records)
			if err != nil {
				t.Fatal(err)
			}
			again, err := k.Seal(nil, mobile, records)
			if err != nil || !bytes.Equal(box, append([]byte("before"), again...)) {
				t.Fatalf("sealed again it is another box, %v", err)
			}
			got, err := k.Unseal(mobile, again)
			if err != nil || !reflect.DeepEqual(got, records) {
				t.Fatalf("got %+v, %v", got, err)
			}
		})
	}
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	k := mustNew(t)
	for name, r := range map[string]registry.Record{
		"another number":   {Mobile: "+919876543211", Name: "A"},
		"negative number":  {Mobile: mobile, Name: "A", Doses: []registry.Dose{{Number: -1}}},
		"negative total":   {Mobile: mobile, Name: "A", Doses: []registry.Dose{{Total: -1}}},
		"a time of day":    {Mobile: mobile, Name: "A", Doses: []registry.Dose{{Date: day("2021-03-01").Add(time.Hour)}}},
		"long before 2000": {Mobile: mobile, Name: "A", Doses: []registry.Dose{{Date: day("1999-12-31")}}},
		"after 2179":       {Mobile: mobile, Name: "A", Doses: []registry.Dose{{Date: day("2199-12-31")}}},
	} {
		if box, err := k.Seal([]byte("x"), mobile, []registry.Record{r}); err == nil || string(box) != "x" {
			t.Errorf("%s: sealed", name)
		}
	}
}

// A box opens under its number and store alone, and only as it was made.
func TestDamaged(t *testing.T) {
	t.Parallel()
	k := mustNew(t)
	box, err := k.Seal(nil, mobile, typical)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, k *Keys, m registry.Mobile, box []byte) {
		t.Helper()
		if got, err := k.Unseal(m, box); !errors.Is(err, ErrDamaged) || got != nil {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
	refused("another number", k, "+919876543211", box)
	refused("another store", mustNew(t), mobile, box)
	for i := range box {
		changed := bytes.Clone(box)
		changed[i] ^= 1
		refused(fmt.Sprint("byte ", i), k, mobile, changed)
		refused(fmt.Sprint("cut to ", i), k, mobile, box[:i])
	}
	refused("longer", k, mobile, append(bytes.Clone(box), make([]byte, 16)...))
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	made, wrapped, err := New([]byte("old"))
	if err != nil {
		t.Fatal(err)
	}
	box, err := made.Seal(nil, mobile, typical)
	if err != nil {
		t.Fatal(err)
	}
	k, err := Open(wrapped, []byte("new"), []byte("old"))
	if err != nil || !k.Outdated() || k.StoreID() != made.StoreID() || k.Index(mobile) != made.Index(mobile) {
		t.Fatalf("by the older secret: %v", err)
	}
	if got, err := k.Unseal(mobile, box); err != nil || !reflect.DeepEqual(got, typical) {
		t.Fatalf("%+v, %v", got, err)
	}
	rewrapped, err := k.Rewrap([]byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	if k, err = Open(rewrapped, []byte("new"), []byte("old")); err != nil || k.Outdated() {
		t.Errorf("rewrapped: %v", err)
	} else if got, err := k.Unseal(mobile, box); err != nil || !reflect.DeepEqual(got, typical) {
		t.Errorf("rewrapped: %+v, %v", got, err)
	}
	for name, c := range map[string]struct {
		wrapped []byte
		secrets [][]byte
		want    error
	}{
		"another secret":     {wrapped, [][]byte{[]byte("new")}, ErrWrongSecret},
		"the old one, after": {rewrapped, [][]byte{[]byte("old")}, ErrWrongSecret},
		"no secret":          {wrapped, nil, ErrNoSecret},
		"an empty secret":    {wrapped, [][]byte{nil, []byte("old")}, ErrNoSecret},
		"nothing":            {nil, [][]byte{[]byte("old")}, ErrNotAKey},
		"cut short":          {wrapped[:len(wrapped)-1], [][]byte{[]byte("old")}, ErrNotAKey},
		"a later version":    {append([]byte{2}, wrapped[1:]...), [][]byte{[]byte("old")}, ErrNotAKey},
		"another store's id": {slices.Concat(wrapped[:1], rewrapped[1:5], []byte{wrapped[5] ^ 1}, wrapped[6:]), [][]byte{[]byte("old")}, ErrWrongSecret},
	} {
		if _, err := Open(c.wrapped, c.secrets...); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := New(nil); !errors.Is(err, ErrNoSecret) {
		t.Error(err)
	}
	if _, err := made.Rewrap(nil); !errors.Is(err, ErrNoSecret) {
		t.Error(err)
	}
}

// fixed is a store whose key is known.
func fixed(t testing.TB) *Keys {
	t.Helper()
	k := &Keys{}
	for i := range k.root {
		k.root[i] = byte(i)
	}
	if err := k.derive(); err != nil {
		t.Fatal(err)
	}
	return k
}

// What is in stores must be read by every later version.
func TestFormat(t *testing.T) {
	t.Parallel()
	k := fixed(t)
	records := append(slices.Clone(typical), registry.Record{Mobile: mobile, Name: "आशा", ID: "X-7", Doses: []registry.Dose{
		{Vaccine: "COMIRNATY", Number: registry.Precaution, Date: day("2022-03-01")}, {Vaccine: "ZyCoV-D", Number: 1, Total: 3, TakenBack: 2}}})
	box, err := k.Seal(nil, mobile, records)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := encode(nil, mobile, records)
	for what, c := range map[string][2]string{
		"index":     {fmt.Sprintf("%x", k.Index(mobile)), wantIndex},
		"plaintext": {fmt.Sprintf("%x", text), wantText},
		"box":       {fmt.Sprintf("%x", box), wantBox},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %s", what, c[0])
		}
	}
}

func TestVaccineCodes(t *testing.T) {
	t.Parallel()
	for _, v := range registry.DefaultVaccines() {
		if vaccineCode(v.Name) == 0 {
			t.Errorf("%s has no code: add it at the end of vaccines", v.Name)
		}
	}
	if len(vaccines) > hasTakenBack {
		t.Error("more vaccines than codes")
	}
}

// A nation's worth of people fits: see the 160 bytes a person on disk.
func TestSize(t *testing.T) {
	t.Parallel()
	box, err := mustNew(t).Seal(nil, mobile, typical)
	if err != nil || len(box) > 48 {
		t.Errorf("%d bytes, %v", len(box), err)
	}
}

// TestLength: a box does not tell the lengths of names apart within 16 bytes.
func TestLength(t *testing.T) {
	t.Parallel()
	k, seen := mustNew(t), make(map[int]bool)
	for n := 1; n <= 13; n++ {
		box, err := k.Seal(nil, mobile, []registry.Record{{Mobile: mobile, Name: string(bytes.Repeat([]byte("a"), n))}})
		if err != nil {
			t.Fatal(err)
		}
		seen[len(box)] = true
	}
	if len(seen) > 2 {
		t.Errorf("lengths %v", seen)
	}
}

// FuzzDecode: whatever is decoded, which only a box with the right tag is, it
// neither fails badly nor takes memory out of proportion.
func FuzzDecode(f *testing.F) {
	text, _ := encode(nil, mobile, typical)
	f.Add(string(text))
	f.Add(string(binary.AppendUvarint([]byte{textVersion}, 1<<40)))
	f.Fuzz(func(t *testing.T, text string) {
		records, err := decode(mobile, text)
		if err != nil {
			if !errors.Is(err, ErrDamaged) || records != nil {
				t.Fatal(records, err)
			}
			return
		}
		again, err := encode(nil, mobile, records)
		if err != nil {
			t.Fatalf("%+v: %v", records, err)
		}
		if back, err := decode(mobile, string(again)); err != nil || !reflect.DeepEqual(back, records) {
			t.Fatalf("%+v, %v", back, err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	_, wrapped, err := New([]byte("secret"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wrapped)
	f.Fuzz(func(t *testing.T, wrapped []byte) {
		Open(wrapped, []byte("secret"))
	})
}

func FuzzUnseal(f *testing.F) {
	k := fixed(f)
	box, err := k.Seal(nil, mobile, typical)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(box)
	f.Fuzz(func(t *testing.T, in []byte) {
		if got, err := k.Unseal(mobile, in); (err == nil) != bytes.Equal(in, box) {
			t.Fatal(got, err)
		}
	})
}

func BenchmarkIndex(b *testing.B) {
	k := mustNew(b)
	b.ReportAllocs()
	for b.Loop() {
		k.Index(mobile)
	}
}

func BenchmarkSeal(b *testing.B) {
	k := mustNew(b)
	b.ReportAllocs()
	var box []byte
	for b.Loop() {
		box, _ = k.Seal(box[:0], mobile, typical)
	}
}

func BenchmarkUnseal(b *testing.B) {
	k := mustNew(b)
	box, _ := k.Seal(nil, mobile, typical)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Unseal(mobile, box); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAnswer is a lookup but for finding the box.
func BenchmarkAnswer(b *testing.B) {
	k := mustNew(b)
	box, _ := k.Seal(nil, mobile, typical)
	b.ReportAllocs()
	for b.Loop() {
		k.Index(mobile)
		records, _ := k.Unseal(mobile, box)
		if _, err := registry.Decide(records, registry.Query{Mobile: mobile, Name: "Asha Rao"}, registry.NameMatch{}, registry.Schedule{}); err != nil {
			b.Fatal(err)
		}
	}
}

const (
	wantIndex = "f6cd6bf65a130c2d51bc73d63af440ba"
	wantText  = "010217f9beceacd7aa0508417368612052616f5001121e3301221e8f1103582d3709e0a486e0a4b6e0a4be0009434f4d49524e415459ff64001fa08b13020000"
	wantBox   = "74c901506dcda0a6b24c41a9dd3192e4894a0c809cc34bcbe4b5e833e329bd141c3fe00f598aa08e9bd7b300aaf67ec44a391536df1ed3313282210a54497b0c3ac0de9bf88ab3f96ea70da5ea4f1f78"
)
