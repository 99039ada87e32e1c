package doses

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/kycvs/caddy-kycvs/registry"
)

const (
	ashaPatient = `{"resourceType":"Patient","id":"p1","identifier":[{"system":"https://cowin.gov.in/beneficiary","value":"90000000000001"},{"system":"https://uidai.gov.in","value":"999"}],` +
		`"name":[{"use":"old","text":"Asha Iyer"},{"use":"official","given":["Asha","K"],"family":"Rao","prefix":["Smt"]}],` +
		`"telecom":[{"system":"email","value":"a@b"},{"system":"phone","value":"011 2345 6789","use":"home"},{"system":"phone","value":"tel:+91-98765-43210","use":"mobile"}],"birthDate":"1960-02-29"}`
	ashaFirst = `{"resourceType":"Immunization","id":"i1","status":"completed","vaccineCode":{"coding":[{"system":"http://hl7.org/fhir/sid/cvx","code":"210"}]},` +
		`"patient":{"reference":"Patient/p1"},"occurrenceDateTime":"2021-03-01T10:30:00.5+05:30","protocolApplied":[{"doseNumberPositiveInt":1,"seriesDosesPositiveInt":2}]}`
)

// immunization is one of Asha's, with these members instead or besides.
func immunization(members string) string {
	for _, usual := range []string{`"status":"completed"`, `"vaccineCode":{"text":"COVAXIN"}`, `"patient":{"reference":"Patient/p1"}`, `"occurrenceDateTime":"2021-06-01"`} {
		if name, _, _ := strings.Cut(usual, ":"); !strings.Contains(members, name+":") {
			members += "," + usual
		}
	}
	return `{"resourceType":"Immunization",` + members + "}"
}

// stream hides that a reader can seek.
type stream struct{ io.Reader }

// readFHIR is rows in the order of the file, short.
func readFHIR(t testing.TB, in io.Reader, c Config) (rows, bad []string) {
	t.Helper()
	c.Now = now
	p, err := NewParallel(in, c, 3)
	if err != nil {
		t.Fatal(err)
	}
	batches := make(map[int]func())
	ready := make(chan func(), 1)
	ready <- func() {}
	if err := p.Run(t.Context(), func(_ int, b *Batch) error {
		var r, e []string
		for _, row := range b.Rows {
			d := "-"
			if row.Dose != nil {
				d = fmt.Sprintf("%s %d/%d %s", row.Dose.Vaccine, row.Dose.Number, row.Dose.Total, row.Dose.Date.Format("2006-01-02"))
			}
			r = append(r, fmt.Sprintf("%d %s %s %d %s: %s %d", row.Line, row.Mobile, row.Name, row.BirthYear, row.ID, d, row.Status))
		}
		for _, rejected := range b.Rejected {
			e = append(e, rejected.Err.Error())
		}
		f := <-ready
		batches[b.Number] = func() { rows, bad = append(rows, r...), append(bad, e...) }
		ready <- f
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for n := range len(batches) {
		batches[n]()
	}
	return rows, bad
}

func TestFHIR(t *testing.T) {
	t.Parallel()
	const person = "+919876543210 Asha K Rao 1960 90000000000001: "
	for _, c := range []struct {
		name, line string
		want       string
	}{
		{"CVX", ashaFirst, person + "COVISHIELD 1/2 2021-03-01 0"},
		{"text", immunization(`"id":"i2"`), person + "COVAXIN 0/0 2021-06-01 0"},
		{"ICD-11", immunization(`"vaccineCode":{"coding":[{"system":"http://id.who.int/icd11/mms","code":"XM97T2"}]}`), person + "COVISHIELD 0/0 2021-06-01 0"},
		{"SNOMED CT", immunization(`"vaccineCode":{"coding":[{"system":"http://snomed.info/sct","code":"33211000087105"}]}`), person + "COVAXIN 0/0 2021-06-01 0"},
		{"display", immunization(`"vaccineCode":{"coding":[{"system":"urn:x","code":"7","display":"Covishield"}],"text":"x"}`), person + "COVISHIELD 0/0 2021-06-01 0"},
		{"two systems, one vaccine", immunization(`"vaccineCode":{"coding":[{"system":"http://hl7.org/fhir/sid/cvx","code":"505"},{"system":"http://snomed.info/sct","code":"31341000087103"}]}`), person + "SPUTNIK V 0/0 2021-06-01 0"},
		{"code of another system", immunization(`"vaccineCode":{"coding":[{"system":"urn:hospital","code":"210"}]}`), "!column vaccineCode: not a vaccine"},
		{"codes disagree", immunization(`"vaccineCode":{"coding":[{"system":"http://hl7.org/fhir/sid/cvx","code":"210"},{"system":"http://hl7.org/fhir/sid/cvx","code":"502"}]}`), "!column vaccineCode: codes of different vaccines"},
		{"no vaccine", immunization(`"vaccineCode":{}`), "!column vaccineCode: not a vaccine"},
		{"string forms", immunization(`"protocolApplied":[{"series":"x"},{"doseNumberString":"2","seriesDosesString":"2"}]`), person + "COVAXIN 2/2 2021-06-01 0"},
		{"booster", immunization(`"protocolApplied":[{"doseNumberString":"Booster"}]`), person + "COVAXIN 100/0 2021-06-01 0"},
		{"no number", immunization(`"protocolApplied":[{"doseNumberPositiveInt":0}]`), "!column protocolApplied.doseNumber: not a number"},
		{"number of another type", immunization(`"protocolApplied":[{"doseNumberPositiveInt":true}]`), "!not a resource of FHIR R4"},
		{"entered in error", immunization(`"status":"entered-in-error"`), person + "COVAXIN 0/0 2021-06-01 1"},
		{"not done", immunization(`"status":"not-done"`), person + "COVAXIN 0/0 2021-06-01 2"},
		{"no status", immunization(`"status":""`), "!column status: not a status"},
		{"another status", immunization(`"status":"SECRET"`), "!column status: not a status"},
		{"occurrence in words", immunization(`"occurrenceDateTime":"","occurrenceString":"2021-06-02"`), person + "COVAXIN 0/0 2021-06-02 0"},
		{"month only", immunization(`"occurrenceDateTime":"2021-06"`), "!column occurrenceDateTime: not a date"},
		{"too early", immunization(`"occurrenceDateTime":"2020-06-01"`), "!column occurrenceDateTime: before 2021-01-16"},
		{"address", immunization(`"patient":{"reference":"https://x.example/fhir/Patient/p1/_history/2"}`), person + "COVAXIN 0/0 2021-06-01 0"},
		{"identifier", immunization(`"patient":{"identifier":{"system":"https://cowin.gov.in/beneficiary","value":"90000000000001"}}`), person + "COVAXIN 0/0 2021-06-01 0"},
		{"identifier of another system", immunization(`"patient":{"identifier":{"system":"urn:y","value":"90000000000001"}}`), "!column patient: its Patient"},
		{"unknown", immunization(`"patient":{"reference":"Patient/SECRET"}`), "!column patient: its Patient"},
		{"nobody", immunization(`"patient":{"display":"SECRET"}`), "!column patient: empty"},
		{"contained", immunization(`"contained":[{"resourceType":"Organization","name":"x"},{"resourceType":"Patient","id":"c","name":[{"text":"आशा राव"}],"telecom":[{"system":"phone","value":"9876543219"}]}],"patient":{"reference":"#c"}`),
			"+919876543219 आशा राव 0 : COVAXIN 0/0 2021-06-01 0"},
		{"not contained", immunization(`"patient":{"reference":"#c"}`), "!column patient: refers to a Patient that it does not contain"},
		{"a Patient alone", `{"resourceType":"Patient","id":"p2","name":[{"given":["Ravi"]}],"telecom":[{"system":"sms","value":"9876543211"}]}`, "+919876543211 Ravi 0 p2: - 0"},
		{"a Patient without a number", `{"resourceType":"Patient","id":"p3","name":[{"text":"SECRET"}]}`, "!column Patient.telecom: not a mobile number"},
		{"a Patient with an old number", `{"resourceType":"Patient","name":[{"text":"SECRET"}],"telecom":[{"system":"phone","use":"old","value":"9876543210"}]}`, "!column Patient.telecom"},
		{"a Patient without a name", `{"resourceType":"Patient","telecom":[{"system":"phone","value":"9876543210"}]}`, "!column Patient.name: not a name"},
		{"a Patient born later", `{"resourceType":"Patient","name":[{"text":"SECRET"}],"telecom":[{"system":"phone","value":"9876543210"}],"birthDate":"2030"}`, "!column Patient.birthDate: not a year"},
		{"another resource", `{"resourceType":"Organization","name":"SECRET"}`, ""},
		{"Bundle", `{"resourceType":"Bundle","entry":[]}`, "!a Bundle: write its resources, one a line"},
		{"no JSON", `9876543210,SECRET`, "!not a resource of FHIR in JSON"},
		{"cut short", ashaFirst[:200], "!not a resource of FHIR"},
		{"an array", `[{"resourceType":"Patient"}]`, "!not a resource of FHIR in JSON"},
		{"empty line", "  ", ""},
		{"not UTF-8", "{\"resourceType\":\"Patient\",\"id\":\"\xff\"}", "!not UTF-8"},
		{"NUL in the name", `{"resourceType":"Patient","name":[{"text":"SECRET\u0000"}],"telecom":[{"system":"phone","value":"9876543210"}]}`, "!column Patient.name"},
		{"long", `{"resourceType":"Patient","name":"` + strings.Repeat("SECRET", 1000) + `"}`, "!the line is longer than 4096 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			after, before := c.line+"\r\n"+ashaPatient+"\n", "\ufeff"+ashaPatient+"\n"+c.line+"\n"
			for _, f := range []struct {
				in   io.Reader
				line int
			}{
				{strings.NewReader(before), 2},
				{strings.NewReader(after), 1},
				{bytes.NewReader(gzipped(t, after)), 1},
				{stream{strings.NewReader(before)}, 2},
			} {
				config := Config{MaxRow: 4096}
				if !strings.HasPrefix(c.line, "{") {
					config.Format = FHIR
				}
				rows, bad := readFHIR(t, f.in, config)
				patient := fmt.Sprintf("%d %s- 0", 3-f.line, person)
				rows = slices.DeleteFunc(rows, func(r string) bool { return r == patient })
				want, isBad := strings.CutPrefix(c.want, "!")
				switch {
				case c.want == "" && len(rows)+len(bad) == 0:
				case !isBad && len(bad) == 0 && len(rows) == 1 && rows[0] == fmt.Sprint(f.line, " ", want):
				case isBad && len(rows) == 0 && len(bad) == 1 && strings.HasPrefix(bad[0], fmt.Sprint("line ", f.line)) && strings.Contains(bad[0], want):
				default:
					t.Errorf("rows %q, set aside %q, want %q", rows, bad, c.want)
				}
				if strings.Contains(fmt.Sprint(bad), "SECRET") || strings.Contains(fmt.Sprint(bad), "98765") {
					t.Errorf("the error shows what stood there: %q", bad)
				}
			}
		})
	}
}

// In a stream a Patient comes first, and in whichever block it is.
func TestFHIRStream(t *testing.T) {
	t.Parallel()
	var in strings.Builder
	const people = 3000
	for i := range people {
		fmt.Fprintf(&in, `{"resourceType":"Patient","id":"%d","name":[{"text":"Asha %d"}],"telecom":[{"system":"phone","value":"98765%05d"}]}`+"\n", i, i, i)
		if i >= 20 {
			fmt.Fprintln(&in, immunization(fmt.Sprintf(`"patient":{"reference":"Patient/%d"}`, i-20)))
		}
	}
	fmt.Fprintln(&in, immunization(`"patient":{"reference":"Patient/later"}`))
	fmt.Fprintln(&in, `{"resourceType":"Patient","id":"later","name":[{"text":"Later"}],"telecom":[{"system":"phone","value":"9876543210"}]}`)
	c := Config{MaxRow: 600, block: 3000}
	rows, bad := readFHIR(t, stream{strings.NewReader(in.String())}, c)
	if len(rows) != 2*people-20+1 || len(bad) != 1 || !strings.Contains(bad[0], "does not stand before it") {
		t.Errorf("%d rows, %q", len(rows), bad)
	}
	if rows, bad = readFHIR(t, strings.NewReader(in.String()), c); len(rows) != 2*people-20+2 || len(bad) != 0 {
		t.Errorf("twice: %d rows, %q", len(rows), bad)
	}
}

// Patients of several files are collected first.
func TestCollect(t *testing.T) {
	t.Parallel()
	p := NewPatients(0)
	for _, file := range []string{ashaFirst + "\n", ashaPatient + "\n", ours, "", "\x1f\x8bx"} {
		if err := p.Collect(t.Context(), stream{strings.NewReader(file)}, Config{Now: now}, 2); err != nil {
			t.Errorf("%.20q: %v", file, err)
		}
	}
	rows, bad := readFHIR(t, stream{strings.NewReader(ashaFirst)}, Config{Patients: p})
	if len(rows) != 1 || bad != nil {
		t.Errorf("%q, %q", rows, bad)
	}
	few := NewPatients(1)
	if err := few.Collect(t.Context(), strings.NewReader(ashaPatient), Config{Now: now}, 1); !errors.Is(err, ErrTooManyPatients) {
		t.Errorf("too many: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Collect(ctx, strings.NewReader(ashaPatient), Config{Now: now}, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestFHIREndlessLine(t *testing.T) {
	in := stream{io.MultiReader(strings.NewReader(ashaPatient+"\n{\"resourceType\":\""), io.LimitReader(letters{}, 1<<26), strings.NewReader("\"}\n"+ashaFirst))}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rows, bad := readFHIR(t, in, Config{})
	runtime.ReadMemStats(&after)
	if len(rows) != 2 || len(bad) != 1 || !strings.HasPrefix(bad[0], "line 2: the line is longer") {
		t.Errorf("%q, %q", rows, bad)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 40<<20 {
		t.Errorf("%d bytes allocated", grown)
	}
}

func FuzzFHIR(f *testing.F) {
	f.Add([]byte(ashaPatient + "\n" + ashaFirst))
	f.Add([]byte(immunization(`"contained":[{"resourceType":"Patient","id":"c","name":[{"given":["A"]}],"telecom":[{"system":"phone","value":"9876543219"}]}],"patient":{"reference":"#c"}`)))
	f.Add([]byte(`{"line":1,"reason":"status","row":` + ashaPatient + "}\n" + `{"line":2,"reason":"not JSON","row":"{\u000a"}`))
	f.Add([]byte(`{"resourceType":"Patient","contained":[{}],"name":[null],"identifier":[{"value":"\u001f"}]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, r := range []io.Reader{bytes.NewReader(in), stream{bytes.NewReader(in)}} {
			p, err := NewParallel(r, Config{Now: now, Format: FHIR, MaxRow: 2000}, 2)
			if err != nil {
				continue
			}
			_ = p.Run(t.Context(), func(_ int, b *Batch) error {
				for _, row := range b.Rows {
					if again, err := registry.ParseMobile(string(row.Mobile), []int{91}); err != nil || again != row.Mobile || row.Folded == "" || row.Line < 1 {
						t.Errorf("%+v", row)
					}
				}
				for _, e := range b.Rejected {
					if e.Err.Line < 1 || e.Err.Reason == "" || len(e.Raw) > 2001 {
						t.Errorf("%+v", e)
					}
				}
				return nil
			})
		}
	})
}

func BenchmarkFHIR(b *testing.B) {
	var in bytes.Buffer
	const people = 10_000
	for i := range people {
		fmt.Fprintf(&in, strings.Replace(ashaPatient, `"p1"`, `"%d"`, 1)+"\n", i)
		fmt.Fprintf(&in, strings.Replace(ashaFirst, "Patient/p1", "Patient/%d", 1)+"\n", i)
	}
	b.SetBytes(int64(in.Len()))
	for b.Loop() {
		p, err := NewParallel(bytes.NewReader(in.Bytes()), Config{Now: now}, 2)
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Run(b.Context(), func(_ int, batch *Batch) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(2*people*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
