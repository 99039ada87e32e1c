package gate

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// fold is isReserved written for the eye.
func fold(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) { // bytes: a field name is ASCII (RFC 9110, section 5.1)
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func TestIsReserved(t *testing.T) {
	for name, want := range map[string]bool{
		"Kycvs-Assertion": true, "kycvs_assertion": true, "KYCVS.ASSERTION": true, "Kycvs": true,
		"-Kycvs-Assertion": true, "k-y-c-v-s": true, "Kycvsanything": true, "K!Y#C$V%S": true, "_kycvs": true,
		"X-Kycvs": false, "Kycv": false, "Kyc-Vx": false, "": false, "Host": false, "Kycv5": false,
	} {
		if got := isReserved(name); got != want {
			t.Errorf("isReserved(%q) = %v", name, got)
		}
	}
}

func FuzzIsReserved(f *testing.F) {
	for _, s := range []string{"Kycvs-Assertion", "k\x00ycvs", "ky-cv_s.x", "kkycvs", "\u212aycvs"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if got, want := isReserved(name), strings.HasPrefix(fold(name), "kycvs"); got != want {
			t.Errorf("isReserved(%q) = %v", name, got)
		}
	})
}

func TestCleanRequest(t *testing.T) {
	for _, c := range []struct {
		name     string
		in, want http.Header
	}{
		{"ordinary fields stay", http.Header{"Accept": {"a", "b"}, "X-K": {""}, "Connection": {"keep-alive, X-Foo"}},
			http.Header{"Accept": {"a", "b"}, "X-K": {""}, "Connection": {"keep-alive, X-Foo"}}},
		{"ours go, however they are spelled", http.Header{"Kycvs-Assertion": {"a", "b"}, "kycvs_status": {"2"}, "K.Y.C.V.S": {"x"}}, http.Header{}},
		{"names in Connection", http.Header{"Connection": {"close, Kycvs-Assertion", "kycvs_status"}}, http.Header{"Connection": {"close", ""}}},
		{"quoted names in Connection", http.Header{"Connection": {`"kycvs-assertion" , te`}}, http.Header{"Connection": {"te"}}},
		{"h2c", http.Header{"Upgrade": {"h2c"}, "Connection": {"Upgrade, HTTP2-Settings"}, "Http2-Settings": {"AAMAAABk"}}, http.Header{"Connection": {""}}},
		{"an upgrade to something among others", http.Header{"Upgrade": {"websocket, h2c"}, "Connection": {"upgrade"}}, http.Header{"Connection": {""}}},
		{"two upgrades", http.Header{"Upgrade": {"websocket", "h2c"}, "Connection": {"upgrade"}}, http.Header{"Connection": {""}}},
		{"a web socket", http.Header{"Upgrade": {"WebSocket"}, "Connection": {"keep-alive, Upgrade"}}, http.Header{"Upgrade": {"WebSocket"}, "Connection": {"keep-alive, Upgrade"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header = c.in
			cleanRequest(r)
			if len(r.Header) != len(c.want) {
				t.Errorf("left %v", r.Header)
			}
			for k, v := range c.want {
				if !slices.Equal(r.Header[k], v) {
					t.Errorf("%s is %q, want %q", k, r.Header[k], v)
				}
			}
		})
	}
}

// The server fills in trailers while the body is read, announced or not.
func TestCleanTrailers(t *testing.T) {
	for _, c := range []struct {
		name      string
		announced http.Header
	}{
		{"announced", http.Header{"Kycvs-Assertion": nil, "X-Sum": nil}},
		{"another one announced", http.Header{"X-Sum": nil}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", nil)
			r.ContentLength = -1
			r.Trailer = c.announced
			r.Body = io.NopCloser(&trailing{r: r, Reader: strings.NewReader("body")})
			cleanRequest(r)
			if _, there := r.Trailer["Kycvs-Assertion"]; there {
				t.Error("the announcement is handed on")
			}
			if b, err := io.ReadAll(r.Body); string(b) != "body" || err != nil {
				t.Errorf("read %q, %v", b, err)
			}
			if len(r.Trailer) != 1 || r.Trailer.Get("X-Sum") != "1" {
				t.Errorf("the trailers are %v", r.Trailer)
			}
		})
	}
}

type trailing struct {
	io.Reader
	r *http.Request
}

func (b *trailing) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.r.Trailer["Kycvs-Assertion"] = []string{"forged"}
		b.r.Trailer["kycvs_status"] = []string{"2"}
		b.r.Trailer["X-Sum"] = []string{"1"}
	}
	return n, err
}

func TestWriterCleansTheAnswer(t *testing.T) {
	rec := httptest.NewRecorder()
	w := &writer{ResponseWriter: rec, private: true}
	h := w.Header()
	h.Set("Kycvs-Assertion", "x")
	h["kycvs_status"] = []string{"2"}
	h["Set-Cookie"] = []string{"a=1", "kycvs=x; Path=/", "__Host-kycvs=y", "b=2"}
	h.Set("Trailer", "X-Sum, Kycvs-Assertion")
	h.Set("X-App", "1")
	w.WriteHeader(200)
	_, _ = io.WriteString(w, "body")
	h[http.TrailerPrefix+"Kycvs-Status"] = []string{"2"}
	h.Set("Kycvs-Assertion", "late")
	h.Set("X-Sum", "1")
	w.finish()

	got := rec.Result().Header
	if got.Get("X-App") != "1" || got.Get("Cache-Control") != "private" || got.Get("Trailer") != "X-Sum" {
		t.Errorf("the header is %v", got)
	}
	if c := got["Set-Cookie"]; !slices.Equal(c, []string{"a=1", "b=2"}) {
		t.Errorf("the cookies are %q", c)
	}
	for _, all := range []http.Header{got, rec.Result().Trailer, h} {
		for name := range all {
			if isReserved(strings.TrimPrefix(name, http.TrailerPrefix)) {
				t.Errorf("%s went out", name)
			}
		}
	}
}

func TestWriterLeavesCachingThatIsSaid(t *testing.T) {
	for _, c := range []struct {
		private    bool
		said, want string
	}{{true, "", "private"}, {true, "public, max-age=60", "public, max-age=60"}, {false, "", ""}} {
		rec := httptest.NewRecorder()
		w := &writer{ResponseWriter: rec, private: c.private}
		if c.said != "" {
			w.Header().Set("Cache-Control", c.said)
		}
		w.Flush()
		if got := rec.Result().Header.Get("Cache-Control"); got != c.want {
			t.Errorf("%+v: Cache-Control is %q", c, got)
		}
	}
}

func TestWriterCleansEarlyHints(t *testing.T) {
	var hints []http.Header
	rec := &hinting{ResponseRecorder: httptest.NewRecorder(), hints: &hints}
	w := &writer{ResponseWriter: rec}
	w.Header().Set("Kycvs-Assertion", "x")
	w.Header().Set("Link", "</a.css>")
	w.WriteHeader(http.StatusEarlyHints)
	w.WriteHeader(http.StatusOK)
	if len(hints) != 1 || hints[0].Get("Link") == "" || hints[0].Get("Kycvs-Assertion") != "" {
		t.Errorf("the hints are %v", hints)
	}
}

type hinting struct {
	*httptest.ResponseRecorder
	hints *[]http.Header
}

func (h *hinting) WriteHeader(status int) {
	if status < 200 {
		*h.hints = append(*h.hints, h.Header().Clone())
		return
	}
	h.ResponseRecorder.WriteHeader(status)
}
