package portal

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

func newPages(t testing.TB) *Pages {
	t.Helper()
	p, err := NewPages()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t testing.TB, p *Pages, status int, lang string, v View) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	if err := p.Write(w, status, lang, v); err != nil {
		t.Fatalf("Write: %v", err)
	}
	return w
}

// withoutStyle cuts the style out of a page: a changed colour must not change
// every golden file.
func withoutStyle(t testing.TB, page string) string {
	t.Helper()
	before, rest, ok1 := strings.Cut(page, "<style>")
	_, after, ok2 := strings.Cut(rest, "</style>")
	if !ok1 || !ok2 {
		t.Fatal("the page has no style element")
	}
	return before + "<style></style>" + after
}

func TestGolden(t *testing.T) {
	p := newPages(t)
	for _, lang := range Languages() {
		for _, s := range samples() {
			name := s.name + "." + lang
			t.Run(name, func(t *testing.T) {
				w := write(t, p, s.status, lang, s.view)
				if w.Code != s.status {
					t.Errorf("status %d, want %d", w.Code, s.status)
				}
				got := withoutStyle(t, w.Body.String())
				file := filepath.Join("testdata", name+".golden.html")
				if *update {
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
					return
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatalf("%v; run the test with -update and look at what it wrote", err)
				}
				if got != string(want) {
					t.Errorf("%s differs; run the test with -update and look at the difference\ngot:\n%s", file, got)
				}
			})
		}
	}
}

func TestHeader(t *testing.T) {
	w := write(t, newPages(t), 403, "hi", ErrorView{Code: "no_record"})
	for name, want := range map[string]string{
		"Content-Type":           "text/html; charset=utf-8",
		"Content-Language":       "hi",
		"Content-Length":         fmt.Sprint(w.Body.Len()),
		"Cache-Control":          "no-store",
		"Referrer-Policy":        "same-origin",
		"X-Content-Type-Options": "nosniff",
		"X-Frame-Options":        "DENY",
		"Vary":                   "Accept-Language",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, directive := range []string{
		"default-src 'none'", "style-src 'sha256-", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
	} {
		if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, directive) {
			t.Errorf("Content-Security-Policy %q lacks %q", csp, directive)
		}
	}
}

func TestVaryIsAddedOnce(t *testing.T) {
	p := newPages(t)
	for _, tt := range []struct {
		name string
		have []string
		want []string
	}{
		{"none", nil, []string{"Accept-Language"}},
		{"another", []string{"Cookie"}, []string{"Cookie", "Accept-Language"}},
		{"there", []string{"Accept, accept-language"}, []string{"Accept, accept-language"}},
		{"everything", []string{"*"}, []string{"*"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			for _, v := range tt.have {
				w.Header().Add("Vary", v)
			}
			if err := p.Write(w, 200, "en", EmptyPassView{}); err != nil {
				t.Fatal(err)
			}
			if got := w.Header().Values("Vary"); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Vary %q, want %q", got, tt.want)
			}
		})
	}
}

func TestUnknownLanguageIsEnglish(t *testing.T) {
	p := newPages(t)
	for _, lang := range []string{"", "xx", "../en", "EN"} {
		if got := write(t, p, 200, lang, EmptyPassView{}).Header().Get("Content-Language"); got != "en" {
			t.Errorf("%q: Content-Language %q, want en", lang, got)
		}
	}
}

// A page that cannot be rendered is a plain 500: never half of it, never the
// status that it should have had, never a word for a status that does not
// exist.
func TestRenderErrorIsPlain500(t *testing.T) {
	p := newPages(t)
	for _, tt := range []struct {
		name string
		view View
	}{
		{"no view", nil},
		{"pass with a status that does not exist", PassView{Partner: "secret-partner", Status: 3}},
		{"pass with a negative status", PassView{Partner: "secret-partner", Status: -1}},
		{"refusal with a level that does not exist", RefusalView{Kind: RefusalTooLow, Partner: "secret-partner", Required: 7}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			err := p.Write(w, 200, "en", tt.view)
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), "secret-partner") {
				t.Errorf("the error shows what was to be rendered: %v", err)
			}
			if w.Code != http.StatusInternalServerError {
				t.Errorf("status %d, want 500", w.Code)
			}
			if ct := w.Header().Get("Content-Type"); !strings.HasPrefix(ct, "text/plain") {
				t.Errorf("Content-Type %q, want text/plain", ct)
			}
			if body := w.Body.String(); strings.Contains(body, "<") || strings.TrimSpace(body) == "" {
				t.Errorf("body %q, want a plain sentence", body)
			}
			if cc := w.Header().Get("Cache-Control"); cc != "no-store" {
				t.Errorf("Cache-Control %q, want no-store", cc)
			}
		})
	}
}

// One TCP window: 14 KiB, with the longest address to go back to and a partner
// and purpose of the length that a text message allows (40 characters, in a
// script of three bytes each).
func TestSize(t *testing.T) {
	const limit = 14 << 10
	p := newPages(t)
	long := strings.Repeat("म", 40)
	for _, lang := range Languages() {
		for _, s := range samples() {
			v := fill(s.view, func(field, value string) string {
				switch {
				case value == "":
					return value
				case field == "Partner" || field == "Purpose":
					return long
				case field == "Return":
					begin := "/"
					if declineLink(value) != "" {
						begin = FinishPath + "?s="
					}
					return begin + strings.Repeat("a", 1024-len(begin))
				}
				return value
			})
			if n := write(t, p, s.status, lang, v).Body.Len(); n >= limit {
				t.Errorf("%s.%s is %d bytes, want less than %d", s.name, lang, n, limit)
			}
		}
	}
}

// fill returns a copy of v with every string in it replaced by what f returns
// for the name of its field and its value.
func fill(v View, f func(field, value string) string) View {
	c := reflect.New(reflect.TypeOf(v)).Elem()
	c.Set(reflect.ValueOf(v))
	fillValue(c, "", f)
	return c.Interface().(View)
}

func fillValue(v reflect.Value, name string, f func(field, value string) string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(f(name, v.String()))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			fillValue(v.Field(i), v.Type().Field(i).Name, f)
		}
	case reflect.Slice:
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(c, v)
		v.Set(c)
		for i := range v.Len() {
			fillValue(v.Index(i), name, f)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			c := reflect.New(v.Type().Elem())
			c.Elem().Set(v.Elem())
			v.Set(c)
			fillValue(c.Elem(), name, f)
		}
	}
}

func TestConcurrentWritesDoNotMix(t *testing.T) {
	p := newPages(t)
	errs := make(chan error, 8)
	for i := range cap(errs) {
		go func() {
			partner := fmt.Sprintf("partner-%d-", i)
			for range 50 {
				w := httptest.NewRecorder()
				err := p.Write(w, 200, "en", WithdrawnView{Partner: partner})
				if err == nil && (strings.Count(w.Body.String(), "partner-") != 4 || strings.Count(w.Body.String(), partner) != 4) {
					err = fmt.Errorf("the page for %s:\n%s", partner, w.Body)
				}
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestPointersToViewsRender(t *testing.T) {
	p := newPages(t)
	for _, s := range samples() {
		ptr := reflect.New(reflect.TypeOf(s.view))
		ptr.Elem().Set(reflect.ValueOf(s.view))
		want := write(t, p, 200, "en", s.view).Body.Bytes()
		if got := write(t, p, 200, "en", ptr.Interface().(View)).Body.Bytes(); !bytes.Equal(got, want) {
			t.Errorf("%s: a pointer renders differently:\n%s", s.name, got)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	p := newPages(b)
	view := samples()[0].view
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Write(httptest.NewRecorder(), 200, "hi", view); err != nil {
			b.Fatal(err)
		}
	}
}
