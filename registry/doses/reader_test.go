package doses

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
)

const ours = "mobile_number,full_name,vaccine,dose,total_doses,date,birth_year,beneficiary_id,record_status\n"

// now is a fixed clock, shortly after midnight in India and the day before in UTC.
func now() time.Time { return time.Date(2023, 1, 1, 19, 0, 0, 0, time.UTC) }

// read reads a whole file: its rows, and its errors as text.
func read(t testing.TB, in io.Reader, c Config) (rows []Row, bad []string) {
	t.Helper()
	c.Now = now
	r, err := NewReader(in, c)
	if err != nil {
		return nil, []string{"header: " + err.Error()}
	}
	for row, err := range r.Rows() {
		if err == nil {
			rows = append(rows, row)
			continue
		}
		var rowError *RowError
		if !errors.As(err, &rowError) {
			return rows, append(bad, "fatal: "+err.Error())
		}
		bad = append(bad, err.Error())
	}
	return rows, bad
}

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestRows(t *testing.T) {
	t.Parallel()
	in := "\ufeff" + strings.ReplaceAll(ours, "\n", "\r\n") +
		"9876543210,Asha Rao,Covishield,1,2,2021-03-01,1960,1001,\r\n" +
		"\"+91 98765 43210\",\"Rao, Asha\",COVISHIELD,2.0,2,2021-06-01,1960-02-29,1001,completed\r\n" +
		"\r\n" +
		"09876543211,\"Ravi \"\"Raju\"\" Kumar\",,,,,,,\r\n" +
		",,,,,,,,\r\n" +
		"९८७६५४३२१२,आशा राव,zycov d,booster,,01-02-2022,,,Entered In Error\r\n" +
		"9876543213,\"Two\nLines\",,0,0,,,,not-done\r\n" +
		"9876543214,Last,JANSSEN,,,2021-11-01T23:59:59+05:30,,,"
	rows, bad := read(t, strings.NewReader(in), Config{})
	// A line feed within a name is a control character.
	if want := []string{"line 8, column full_name: " + registry.ErrNameInvalid.Error()}; !slices.Equal(bad, want) {
		t.Errorf("set aside %q, want %q", bad, want)
	}
	want := []string{
		"2 +919876543210 Asha Rao 1960 1001 COVISHIELD 1 2 2021-03-01 0",
		"3 +919876543210 Rao, Asha 1960 1001 COVISHIELD 2 2 2021-06-01 0",
		"5 +919876543211 Ravi \"Raju\" Kumar 0  - 0",
		"7 +919876543212 आशा राव 0  ZyCoV-D 100 0 2022-02-01 1",
		"10 +919876543214 Last 0  JANSSEN 0 0 2021-11-01 0",
	}
	var got []string
	for _, r := range rows {
		dose := "-"
		if r.Dose != nil {
			dose = fmt.Sprint(r.Dose.Vaccine, " ", r.Dose.Number, " ", r.Dose.Total, " ", r.Dose.Date.Format(time.DateOnly))
		}
		got = append(got, fmt.Sprintf("%d %s %s %d %s %s %d", r.Line, r.Mobile, r.Name, r.BirthYear, r.ID, dose, r.Status))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
	for _, slow := range []io.Reader{iotest.OneByteReader(strings.NewReader(in)), iotest.DataErrReader(strings.NewReader(in))} {
		if again, _ := read(t, slow, Config{}); len(again) != len(rows) {
			t.Errorf("read in pieces: %d rows, not %d", len(again), len(rows))
		}
	}
}

// The header and the rows are those of DIVOC's bulk file as published.
func TestDIVOC(t *testing.T) {
	t.Parallel()
	in := `preEnrollmentCode,recipientName,recipientMobileNumber,recipientDOB,recipientAge,recipientGender,recipientNationality,recipientIdentity,recipientAddressLine1,recipientAddressLine2,recipientDistrict,recipientState,recipientPincode,vaccinationBatch,vaccinationDate,vaccinationDose,vaccinationTotalDoses,vaccinationEffectiveStart,vaccinationEffectiveEnd,vaccinationManufacturer,vaccinationName,vaccinatorName,facilityName,facilityAddressLine1,facilityAddressLine2,facilityDistrict,facilityState,facilityPincode
SA-123,Bhavya Mitra,9234567899,1994-11-26,,Male,Indian,did:example:1,"12, Lake Road
Second floor",,,Karnataka,456789,,2021-12-02T19:21:18.646Z,1,2,2021-12-02,2025-12-02,SII,Covishield,Sooraj Singh,ABC Medical Center,"123, Koramangala",,Bengaluru South,Karnataka,560034
SA-124,Madhav P,9234567890,03-03-1983,,Male,Indian,did:example:2,,,,Karnataka,456789,,02-12-2021,2,2,2021-12-02,2025-12-02,BBIL,Covaxin,Sooraj Singh,ABC Medical Center,"123, Koramangala",,Bengaluru South,Karnataka,560034
SA-125,Leela P,9234567890,03/13/1983,,Female,Indian,did:example:2,,,,Karnataka,456789,,02/12/2021,2,2,2021-12-02,2025-12-02,BBIL,Covaxin,Sooraj Singh,ABC Medical Center,"123, Koramangala",,Bengaluru South,Karnataka,560034
`
	rows, bad := read(t, strings.NewReader(in), Config{})
	if len(rows) != 2 || rows[0].ID != "SA-123" || rows[0].BirthYear != 1994 || rows[1].BirthYear != 1983 ||
		*rows[0].Dose != (registry.Dose{Vaccine: "COVISHIELD", Number: 1, Total: 2, Date: day("2021-12-02")}) ||
		*rows[1].Dose != (registry.Dose{Vaccine: "COVAXIN", Number: 2, Total: 2, Date: day("2021-12-02")}) {
		t.Errorf("%+v", rows)
	}
	if want := []string{"line 5, column vaccinationDate: not a date: write year-month-day, e.g. 2021-06-30"}; !slices.Equal(bad, want) {
		t.Errorf("%q", bad)
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	const rest = "full_name,vaccine,dose,total_doses,date"
	for _, c := range []struct{ name, in, want string }{
		{"any order and case", "DATE, Total Doses ,Dose,vaccine,FULL-NAME,Mobile_Number,blood_group\n", ""},
		{"mixed names", "recipientMobileNumber," + rest + "\n", ""},
		{"unknown column twice", "x,x,mobile_number," + rest, ""},
		{"empty", "", "the file is empty: its first line must name the columns: mobile_number, full_name, vaccine, dose, total_doses, date"},
		{"empty lines", "\n\r\n\n", "the file is empty"},
		{"one missing", rest + "\n", "line 1: the header lacks mobile_number (or recipientMobileNumber); write the columns' names on the first line"},
		{"two missing", "mobile_number,full_name,vaccine,dose\n", "lacks total_doses (or vaccinationTotalDoses), date (or vaccinationDate)"},
		{"doubled", "mobile_number," + rest + ",Date\n", "line 1: columns 6 and 7 of the header, date and date, are the same one: remove one of them"},
		{"doubled by another name", "mobile_number,recipientMobileNumber," + rest + "\n", "columns 1 and 2 of the header, mobile_number and recipientMobileNumber, are the same one"},
		{"no header", "9876543210,Asha Rao,COVISHIELD,1,2,2021-03-01\n", "lacks mobile_number"},
		{"semicolons", "mobile_number;full_name;vaccine\n", "separate columns by commas"},
		{"UTF-16", "\xff\xfem\x00o\x00", "line 1: the file is UTF-16: save it as CSV UTF-8"},
		{"UTF-16 without a mark", "m\x00o\x00b\x00\n\x00", "line 1: the header is not UTF-8"},
		{"Latin-1", "mobile_number,pr\xe9nom," + rest, "the header is not UTF-8"},
		{"gzip", "\x1f\x8b\x08\x00", "compressed by gzip"},
		{"spreadsheet", "PK\x03\x04....", "a spreadsheet or an archive: save it as CSV UTF-8"},
		{"endless", strings.Repeat("x", 1<<20), "line 1: the header: the row is too long"},
		{"open quotation mark", "\"mobile_number," + rest + "\n", "line 1: the header: quotation marks do not pair"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewReader(strings.NewReader(c.in), Config{Now: now})
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("got %v, want %s", err, c.want)
			case err != nil && strings.Contains(err.Error(), "98765"):
				t.Fatal("the error shows a number")
			}
		})
	}
}

func TestRowErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, row, want string }{
		{"number", "98765,SECRET,COVAXIN,1,2,2021-03-01,,,", "column mobile_number: not a mobile number"},
		{"number of another country", "+12025550123,SECRET,COVAXIN,1,2,2021-03-01,,,", "column mobile_number: not a mobile number"},
		{"no number", ",SECRET,COVAXIN,1,2,2021-03-01,,,", "column mobile_number: not a mobile number"},
		{"name", "9876543210,--,COVAXIN,1,2,2021-03-01,,,", "column full_name: not a name"},
		{"vaccine", "9876543210,SECRET,SECRET,1,2,2021-03-01,,,", "column vaccine: not a vaccine that is known here"},
		{"dose", "9876543210,SECRET,COVAXIN,first,2,2021-03-01,,,", "column dose: not a number from 1 to 20"},
		{"dose zero", "9876543210,SECRET,COVAXIN,0,2,2021-03-01,,,", "column dose: not a number from 1 to 20"},
		{"dose too high", "9876543210,SECRET,COVAXIN,21,2,2021-03-01,,,", "column dose: not a number from 1 to 20"},
		{"total", "9876543210,SECRET,COVAXIN,1,-2,2021-03-01,,,", "column total_doses: not a number"},
		{"total precaution", "9876543210,SECRET,COVAXIN,1,booster,2021-03-01,,,", "column total_doses: not a number"},
		{"no date", "9876543210,SECRET,COVAXIN,1,2,,,,", "column date: empty: write the day"},
		{"date either way", "9876543210,SECRET,COVAXIN,1,2,03/04/2021,,,", "column date: not a date"},
		{"no such day", "9876543210,SECRET,COVAXIN,1,2,2021-02-29,,,", "column date: not a date"},
		{"before the campaign", "9876543210,SECRET,COVAXIN,1,2,2021-01-15,,,", "column date: before 2021-01-16"},
		{"before the campaigns abroad", "9876543210,SECRET,MODERNA,1,2,2020-11-30,,,", "column date: before 2020-12-01"},
		{"future", "9876543210,SECRET,COVAXIN,1,2,2023-01-03,,,", "column date: in the future"},
		{"birth year", "9876543210,SECRET,COVAXIN,1,2,2021-03-01,84,,", "column birth_year: not a year of birth between 1893 and 2023"},
		{"birth year to come", "9876543210,SECRET,COVAXIN,1,2,2021-03-01,2024,,", "column birth_year: not a year of birth"},
		{"id", "9876543210,SECRET,COVAXIN,1,2,2021-03-01,," + strings.Repeat("x", 65) + ",", "column beneficiary_id: longer than 64 bytes"},
		{"record status", "9876543210,SECRET,COVAXIN,1,2,2021-03-01,,,SECRET", "column record_status: not a status: write completed, entered-in-error, not-done"},
		{"dose without a vaccine", "9876543210,SECRET,,1,2,,,,", "column vaccine: empty in a row with a dose"},
		{"date without a vaccine", "9876543210,SECRET,,,,2021-03-01,,,", "column vaccine: empty in a row with a dose or a date"},
		{"nothing to take back", "9876543210,SECRET,,,,,,,entered-in-error", "column vaccine: empty in a row that takes a dose back"},
		{"too few fields", "9876543210,SECRET,COVAXIN", "line 2: 3 fields where the header has 9"},
		{"too many fields", "9876543210,SECRET, A,COVAXIN,1,2,2021-03-01,,,", "line 2: 10 fields where the header has 9: put a field that holds a comma in quotation marks"},
		{"Latin-1", "9876543210,SECRET\xe9,COVAXIN,1,2,2021-03-01,,,", "column full_name: not UTF-8"},
		{"NUL", "9876543210,SECRET\x00,COVAXIN,1,2,2021-03-01,,,", "column full_name: not UTF-8"},
		{"text behind a quotation mark", `9876543210,"SECRET" A,COVAXIN,1,2,2021-03-01,,,`, "line 2: quotation marks do not pair"},
		{"open quotation mark", `9876543210,"SECRET,COVAXIN,1,2,2021-03-01,,,`, "line 2: quotation marks do not pair"},
		{"long", "9876543210," + strings.Repeat("SECRET", 20000) + ",COVAXIN,1,2,2021-03-01,,,", "line 2: the row is longer than 65536 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			// The rows after it are read, however wrong it is.
			const next = "9876543211,Ravi Kumar,COVAXIN,1,2,2023-01-02,1893,,\n"
			rows, bad := read(t, strings.NewReader(ours+c.row+"\n"+next+next), Config{})
			if len(bad) != 1 || !strings.Contains(bad[0], c.want) || !strings.HasPrefix(bad[0], "line 2") {
				t.Errorf("got %q, want %q", bad, c.want)
			}
			if strings.Contains(fmt.Sprint(bad), "SECRET") || strings.Contains(fmt.Sprint(bad), "98765") {
				t.Errorf("the error shows what stood there: %q", bad)
			}
			if len(rows) != 2 || rows[0].Line != 3 || rows[1].Line != 4 {
				t.Errorf("the rows after it: %+v", rows)
			}
		})
	}
}

// A dose that was not given may have any date.
func TestNotGiven(t *testing.T) {
	t.Parallel()
	rows, bad := read(t, strings.NewReader(ours+
		"9876543210,Asha Rao,COVAXIN,1,2,2051-03-01,,,entered-in-error\n"+
		"9876543210,Asha Rao,COVAXIN,1,2,,,,entered_in_error\n"+
		"9876543210,Asha Rao,COVAXIN,1,2,,,,NOT-DONE\n"), Config{})
	if len(rows) != 3 || bad != nil || rows[0].Status != EnteredInError || rows[1].Status != EnteredInError || rows[2].Status != NotDone {
		t.Errorf("%+v %q", rows, bad)
	}
}

func TestRaw(t *testing.T) {
	t.Parallel()
	r, err := NewReader(strings.NewReader(ours+"a,\"b\"\r\n"+"\"c\nd\",e\n"+"\"open\nf\n"), Config{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for range r.Rows() {
		got = append(got, string(r.Raw()))
	}
	if want := []string{`a,"b"`, "\"c\nd\",e", `"open`, "f"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestReadingFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	for _, before := range []string{"", ours, ours + "9876543210,Asha Rao,,,,,,,\n"} {
		_, bad := read(t, io.MultiReader(strings.NewReader(before), iotest.ErrReader(broken)), Config{})
		if len(bad) != 1 || !strings.Contains(bad[0], broken.Error()) {
			t.Errorf("after %d bytes: %q", len(before), bad)
		}
	}
}

// A line of any length costs no memory, and the row after it is read.
func TestEndlessLine(t *testing.T) {
	for _, c := range []struct{ name, begin, end string }{
		{"line", "", "\n"},
		{"quoted", `"`, "\"\n"},
		{"lines within quotation marks", "\"a\n", "\"\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := io.MultiReader(strings.NewReader(ours+c.begin), io.LimitReader(letters{}, 1<<26),
				strings.NewReader(c.end+"9876543211,Ravi Kumar,COVAXIN,1,2,2021-03-01,,,\n"))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			rows, bad := read(t, in, Config{})
			runtime.ReadMemStats(&after)
			if len(rows) != 1 || len(bad) == 0 || !strings.HasPrefix(bad[0], "line 2: ") {
				t.Errorf("%d rows, %q", len(rows), bad)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
				t.Errorf("%d bytes allocated", grown)
			}
		})
	}
}

// letters is a stream of letters without an end.
type letters struct{}

func (letters) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(ours + "9876543210,Asha Rao,COVISHIELD,1,2,2021-03-01,1960,1001,\n"))
	f.Add([]byte(ours + "9876543210,\"Asha \"\"A\"\" Rao\",JANSSEN,,,01-11-2021,,,not-done\r\n\"x\n"))
	f.Add([]byte("\ufeffdate,dose,total_doses,vaccine,full_name,mobile_number\n\n,,,,,\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := NewReader(bytes.NewReader(in), Config{Now: now, MaxRow: 512})
		if err != nil {
			return
		}
		line := 1
		for row, err := range r.Rows() {
			if row.Line <= line {
				t.Fatalf("line %d after %d", row.Line, line)
			}
			line = row.Line
			if len(r.Raw()) > 513 {
				t.Fatalf("a row of %d bytes", len(r.Raw()))
			}
			var bad *RowError
			switch {
			case errors.As(err, &bad):
				if bad.Line != line || bad.Reason == "" {
					t.Fatalf("%+v", bad)
				}
			case err != nil:
				t.Fatal(err)
			case row.Mobile == "" || row.Folded == "":
				t.Fatalf("%+v", row)
			case row.Dose != nil && row.Status == Completed && (row.Dose.Date.Before(day("2020-12-01")) || row.Dose.Date.After(day("2023-01-02"))):
				t.Fatalf("%+v", row.Dose)
			}
		}
		if n := bytes.Count(in, []byte{'\n'}) + 1; line > n {
			t.Fatalf("line %d of %d", line, n)
		}
	})
}

// FuzzTable compares the reading of CSV with the standard library's, on what
// both accept.
func FuzzTable(f *testing.F) {
	for _, s := range []string{"a,b\nc,d", "\"a\",\"b\"\"\"\r\n\"c\nd\",\n", "a\"b,c\r\n\r\n", "\"a\"\r", "\"a\" ,b\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		std := csv.NewReader(strings.NewReader(in))
		std.FieldsPerRecord = -1
		want, err := std.ReadAll()
		if err != nil || len(in) > 200 || strings.Contains(strings.ReplaceAll(in, "\r\n", ""), "\r") {
			return
		}
		// The standard library makes \n of \r\n within a field.
		in = strings.ReplaceAll(in, "\r\n", "\n")
		table := newTable(strings.NewReader(in), 300)
		var got [][]string
		for {
			err := table.next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			var record []string
			for _, f := range table.fields {
				record = append(record, string(f))
			}
			got = append(got, record)
		}
		if !slices.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func BenchmarkRows(b *testing.B) {
	var in bytes.Buffer
	in.WriteString(ours)
	const rows = 10000
	for i := range rows {
		fmt.Fprintf(&in, "98765%05d,Asha Rao,COVISHIELD,%d,2,2021-03-01,1960,%d,\n", i, 1+i%2, 1e13+i)
	}
	b.SetBytes(int64(in.Len()))
	b.ReportAllocs()
	for b.Loop() {
		n, bad := read(b, bytes.NewReader(in.Bytes()), Config{})
		if len(n) != rows || bad != nil {
			b.Fatal(len(n), bad)
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
