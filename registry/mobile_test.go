package registry

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

func TestParseMobile(t *testing.T) {
	t.Parallel()
	const asha = "+919876543210"
	for _, c := range []struct {
		name      string
		in        string
		countries []int
		want      Mobile
		err       error
	}{
		{"as dialled", "9876543210", nil, asha, nil},
		{"as printed", "+91 98765-43210", nil, asha, nil},
		{"trunk zero", "09876543210", nil, asha, nil},
		{"trunk zero after the code", "+91 09876543210", nil, asha, nil},
		{"international prefix", "00919876543210", nil, asha, nil},
		{"code without plus", "919876543210", nil, asha, nil},
		{"code without plus, a new range", "916000000001", nil, "+916000000001", nil},
		{"code without plus, but a land line", "911123456789", nil, "", ErrMobileInvalid},
		{"Devanagari", "९८७६५४३२१०", nil, asha, nil},
		{"Devanagari with code", "+९१ ९८७६५ ४३२१०", nil, asha, nil},
		{"Tamil", "௯௮௭௬௫௪௩௨௧௦", nil, asha, nil},
		{"Arabic-Indic", "٩٨٧٦٥٤٣٢١٠", nil, asha, nil},
		{"fullwidth", "＋９１９８７６５４３２１０", nil, asha, nil},
		{"mathematical", "𝟗𝟖𝟕𝟔𝟓𝟒𝟑𝟐𝟏𝟎", nil, asha, nil},
		{"mixed scripts", "98७६5௪3210", nil, asha, nil},
		{"brackets and dots", "(+91) 98765.43210", nil, asha, nil},
		{"no-break space", "\u00a098765\u00a043210 ", nil, asha, nil},
		{"copied with direction marks", "\u202a+91 98765\u200b43210\u202c", nil, asha, nil},
		{"en dash", "98765–43210", nil, asha, nil},
		{"starts with the country's code", "9198765432", nil, "+919198765432", nil},
		{"6", "6000000001", nil, "+916000000001", nil},
		{"7", "7000000001", nil, "+917000000001", nil},
		{"8", "8888888888", nil, "+918888888888", nil},
		{"9", "9000000001", nil, "+919000000001", nil},
		{"second country with code", "+44 7400 123456", []int{91, 44}, "+447400123456", nil},
		{"default country is the first", "07400 123456", []int{44, 91}, "+447400123456", nil},
		{"United States", "(202) 555-0123", []int{1}, "+12025550123", nil},

		{"empty", "", nil, "", ErrMobileInvalid},
		{"spaces", "  ", nil, "", ErrMobileInvalid},
		{"plus alone", "+", nil, "", ErrMobileInvalid},
		{"zeros", "0000000000", nil, "", ErrMobileInvalid},
		{"too short", "987654321", nil, "", ErrMobileInvalid},
		{"too long", "98765432101", nil, "", ErrMobileInvalid},
		{"land line", "01123456789", nil, "", ErrMobileInvalid},
		{"starts with 5", "5876543210", nil, "", ErrMobileInvalid},
		{"letters", "98765FLOWER", nil, "", ErrMobileInvalid},
		{"spreadsheet", "9.87654E+09", nil, "", ErrMobileInvalid},
		{"extension", "9876543210 ext. 5", nil, "", ErrMobileInvalid},
		{"extension by comma", "9876543210,5", nil, "", ErrMobileInvalid},
		{"tel URI", "tel:+919876543210;ext=1", nil, "", ErrMobileInvalid},
		{"two pluses", "++919876543210", nil, "", ErrMobileInvalid},
		{"plus within", "91+9876543210", nil, "", ErrMobileInvalid},
		{"star codes", "*#9876543210", nil, "", ErrMobileInvalid},
		{"NUL", "9876543210\x00", nil, "", ErrMobileInvalid},
		{"not UTF-8", "9876543210\xff", nil, "", ErrMobileInvalid},
		{"long input", strings.Repeat(" ", 97), nil, "", ErrMobileInvalid},
		{"superscripts are no digits", "987654321⁰", nil, "", ErrMobileInvalid},
		{"another country", "+1 202 555 0123", nil, "", ErrCountryNotAllowed},
		{"no country allowed", "9876543210", []int{}, "", ErrCountryNotAllowed},
		{"land line abroad", "+44 20 7946 0018", []int{44}, "", ErrMobileInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.countries == nil {
				c.countries = []int{91}
			}
			got, err := ParseMobile(c.in, c.countries)
			if got != c.want || !errors.Is(err, c.err) {
				t.Fatalf("got %q, %v; want %q, %v", got, err, c.want, c.err)
			}
			if err != nil && (!errors.Is(err, ErrMobileInvalid) || regexp.MustCompile(`98765432`).MatchString(err.Error())) {
				t.Fatalf("error %q", err)
			}
		})
	}
}

// Every decimal digit that Unicode has is read as what it is.
func TestDigitValue(t *testing.T) {
	t.Parallel()
	n := 0
	for r := range rune(unicode.MaxRune) {
		v, ok := digitValue(r)
		if ok != unicode.Is(unicode.Nd, r) {
			t.Fatalf("%U: %v", r, ok)
		}
		if !ok {
			continue
		}
		// Unicode encodes each script's digits in order: a digit's successor is one more.
		if next, ok := digitValue(r + 1); ok && next != (v+1)%10 {
			t.Errorf("%U is %d, the next %d", r, v, next)
		}
		n++
	}
	if n%10 != 0 {
		t.Errorf("%d digits", n)
	}
}

func TestMasked(t *testing.T) {
	t.Parallel()
	for m, want := range map[Mobile]string{
		"+919876543210": "+91 ••••••3210",
		"+12025550123":  "+1 ••••••0123",
		"+3545812345":   "+354 ••••345",
		"+2907123":      "+290 ••23",
		"":              "••••",
		"nonsense":      "••••",
	} {
		if got := m.Masked(); got != want {
			t.Errorf("%s: got %q, want %q", m, got, want)
		}
	}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "mobile", Mobile("+919876543210"))
	if strings.Contains(b.String(), "98765") {
		t.Errorf("logged: %s", b.String())
	}
}

func FuzzParseMobile(f *testing.F) {
	for _, s := range []string{"9876543210", "+91 98765-43210", "०९८७६५४३२१०", "0091", "+1 (202) 555-0123", "+39 06 698", "\u200b+", "91"} {
		f.Add(s)
	}
	e164 := regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, countries := range [][]int{{91}, {1, 91}, {39, 44, 86}} {
			m, err := ParseMobile(s, countries)
			if err != nil {
				if m != "" {
					t.Fatalf("%q and an error", m)
				}
				continue
			}
			if !e164.MatchString(string(m)) {
				t.Fatalf("%q", m)
			}
			if again, err := ParseMobile(string(m), countries); again != m || err != nil {
				t.Fatalf("%q, then %q, %v", m, again, err)
			}
			if masked := m.Masked(); strings.Contains(masked, string(m[len(m)-5:])) {
				t.Fatalf("%q shows too much", masked)
			}
		}
	})
}

func BenchmarkParseMobile(b *testing.B) {
	for _, s := range []string{"9876543210", "+91 98765-43210", "०९८७६५४३२१०", "+447400123456"} {
		b.Run(fmt.Sprintf("%q", s), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseMobile(s, []int{91, 44}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	for _, c := range []struct {
		m       Mobile
		country int
		kind    NumberType
		block   string
	}{
		{"+919876543210", 91, TypeMobile, "+91987654"},
		{"+447911123456", 44, TypeMobile, "+44791112"},
		{"+12025550123", 1, TypeFixedLineOrMobile, "+1202555"},
		{"", 0, TypeUnknown, ""},
	} {
		country, kind := c.m.Describe()
		if country != c.country || kind != c.kind || c.m.Block() != c.block {
			t.Errorf("%s: country %d, type %q, block %q", c.m.Masked(), country, kind, c.m.Block())
		}
	}
}

func TestAnyCountry(t *testing.T) {
	anywhere := []int{91, AnyCountry}
	for typed, want := range map[string]Mobile{"9876543210": "+919876543210", "+447911123456": "+447911123456", "+1 202 555 0123": "+12025550123"} {
		if m, err := ParseMobile(typed, anywhere); err != nil || m != want {
			t.Errorf("%s: %v, %v", typed, m.Masked(), err)
		}
	}
	if _, err := ParseMobile("+442079460000", anywhere); err != ErrMobileInvalid {
		t.Errorf("a fixed line: %v", err)
	}
}
