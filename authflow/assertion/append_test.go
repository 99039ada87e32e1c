package assertion

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

var update = flag.Bool("update", false, "write testdata anew")

// standard is what encoding/json makes of the claims.
func standard(t testing.TB, c Claims) []byte {
	t.Helper()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(c); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

func with(change func(*Claims)) Claims {
	c := plain()
	change(&c)
	return c
}

// golden are the claims in testdata: what is on the wire, to the byte. If one
// of these files must change, every partner's program is concerned.
var golden = map[string]Claims{
	"plain":     plain(),
	"status-0":  with(func(c *Claims) { c.VaccinationStatus = 0 }),
	"authority": with(func(c *Claims) { c.Authority = "https://kyc.example" }),
	"unicode":   with(func(c *Claims) { c.Purpose = "मॉल में प्रवेश \"A & B\" <\\> \u2028\t\x01" }),
}

func TestGoldenClaims(t *testing.T) {
	for name, claims := range golden {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", name+".json")
			got := claims.AppendJSON(nil)
			if *update {
				if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want = bytes.TrimSuffix(want, []byte("\n"))
			if !bytes.Equal(got, want) {
				t.Errorf("AppendJSON:\n got %s\nwant %s", got, want)
			}
			if !bytes.Equal(standard(t, claims), want) {
				t.Errorf("encoding/json:\n got %s\nwant %s", standard(t, claims), want)
			}
			read, err := parseClaims(want)
			if err != nil || !reflect.DeepEqual(read, claims) {
				t.Errorf("read back: %+v, %v", read, err)
			}
		})
	}
}

func TestAppendJSONIsEncodingJSON(t *testing.T) {
	for name, claims := range map[string]Claims{
		"empty":          {},
		"negative times": with(func(c *Claims) { c.IssuedAt, c.AuthTime = -1, -1<<63 }),
		"no methods":     with(func(c *Claims) { c.Methods = []string{} }),
		"odd methods":    with(func(c *Claims) { c.Methods = []string{"", `"`, "\x7f"} }),
		"every control":  with(func(c *Claims) { c.Purpose = controls() }),
		"html":           with(func(c *Claims) { c.Purpose = "<a href='x'>&amp;</a>" }),
		"separators":     with(func(c *Claims) { c.Purpose = "a\u2028b\u2029c\u202ad" }),
		"not utf-8":      with(func(c *Claims) { c.Purpose = "a\xffb\xe2\x80" }),
		"replacement":    with(func(c *Claims) { c.Purpose = "a\ufffdb" }),
		"beyond the bmp": with(func(c *Claims) { c.Purpose = "💉" }),
	} {
		if got, want := claims.AppendJSON(nil), standard(t, claims); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

func controls() string {
	var b []byte
	for c := range byte(0x80) {
		b = append(b, c)
	}
	return string(b)
}

func TestAppendJSONKeepsWhatIsThere(t *testing.T) {
	c := plain()
	if got := c.AppendJSON([]byte("before")); !bytes.Equal(got, append([]byte("before"), c.AppendJSON(nil)...)) {
		t.Errorf("got %s", got)
	}
}

func FuzzAppendJSON(f *testing.F) {
	f.Add("https://mall.example", "Entry", "", int64(1), 2)
	f.Add("\"\\\x00", "\u2028\u2029\ufffd", "\xff", int64(-1), -1)
	f.Fuzz(func(t *testing.T, iss, purpose, authority string, n int64, status int) {
		c := Claims{Issuer: iss, Purpose: purpose, Authority: authority, Expires: n, VaccinationStatus: status, Methods: []string{purpose}}
		if got, want := c.AppendJSON(nil), standard(t, c); !bytes.Equal(got, want) {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	})
}
