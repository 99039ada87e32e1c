package assertion

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// publisher is an issuer's key set without a network between.
type publisher struct {
	mu      sync.Mutex
	set     string
	etag    string
	at      func() string // instead of set
	control string        // Cache-Control
	age     string        // Age
	status  int           // instead of 200
	takes   time.Duration // until it answers
	down    bool

	asked, unchanged int
}

func (p *publisher) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.asked++
	takes := p.takes
	p.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return nil, errors.New("no route to host")
	}
	if p.at != nil {
		p.set = p.at()
	}
	resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(p.set)), Request: r}
	if p.status != 0 {
		resp.StatusCode = p.status
	}
	for name, value := range map[string]string{"Cache-Control": p.control, "Age": p.age, "ETag": p.etag} {
		if value != "" {
			resp.Header.Set(name, value)
		}
	}
	if p.etag != "" && r.Header.Get("If-None-Match") == p.etag {
		p.unchanged++
		resp.StatusCode, resp.Body = http.StatusNotModified, http.NoBody
	}
	return resp, nil
}

func (p *publisher) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *publisher) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func setText(t testing.TB, keys ...jose.JSONWebKey) string {
	t.Helper()
	text, err := json.Marshal(publicKeys(t, keys...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func newKeySet(t testing.TB, p *publisher) *KeySet {
	t.Helper()
	s, err := NewKeySet(KeySetConfig{URL: "https://mall.example/.kycvs/jwks.json", Transport: p})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const minutes15 = "public, max-age=900"

func kidOf(t testing.TB, text string) string {
	t.Helper()
	kid, err := KeyID(parseKey(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return kid
}

func TestKeySetRenewsBehindTheBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{set: setText(t, parseKey(t, rfcEdDSA)), control: minutes15, etag: `"one"`}
		s := newKeySet(t, p)
		ask := func(want int) {
			t.Helper()
			began := time.Now()
			key, err := s.Key(t.Context(), edKid)
			if err != nil || key.KeyID != edKid {
				t.Fatal(key.KeyID, err)
			}
			if waited := time.Since(began); waited > 0 && want > 1 {
				t.Errorf("waited %v", waited)
			}
			synctest.Wait()
			if got := p.count(); got != want {
				t.Errorf("asked %d times, want %d", got, want)
			}
		}
		ask(1)
		time.Sleep(11 * time.Minute)
		ask(1)
		// From three quarters on it asks, and nobody waits, however long that takes.
		p.change(func() { p.takes = 4 * time.Second })
		time.Sleep(time.Minute)
		ask(2)
		ask(2)
		time.Sleep(5 * time.Second)
		p.change(func() {
			if p.unchanged != 1 {
				t.Errorf("told %d times that nothing changed, want once", p.unchanged)
			}
		})
		// The answer "unchanged" counts as fresh from its time on.
		time.Sleep(11 * time.Minute)
		ask(2)
	})
}

func TestKeySetWaitsWhereTheTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{set: setText(t, parseKey(t, rfcEdDSA)), control: minutes15}
		s := newKeySet(t, p)
		if _, err := s.Key(t.Context(), edKid); err != nil {
			t.Fatal(err)
		}
		// The key was revoked while nobody asked.
		p.change(func() { p.set = setText(t, parseKey(t, rfcES256)); p.takes = time.Second })
		time.Sleep(15 * time.Minute)
		if _, err := s.Key(t.Context(), edKid); !errors.Is(err, ErrKeyUnknown) {
			t.Errorf("a key that is no longer published: %v", err)
		}
	})
}

func TestKeySetFindsANewKeyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{set: setText(t, parseKey(t, rfcEdDSA)), control: minutes15}
		s := newKeySet(t, p)
		if _, err := s.Key(t.Context(), edKid); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		p.change(func() { p.set = setText(t, parseKey(t, rfcEdDSA), parseKey(t, rfcES256)) })
		if _, err := s.Key(t.Context(), kidOf(t, rfcES256)); err != nil {
			t.Error(err)
		}
	})
}

// TestKeySetUnderAFlood: any number of kids that somebody made up cost the
// issuer one request in Interval, and those with real ones nothing.
func TestKeySetUnderAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{set: setText(t, parseKey(t, rfcEdDSA)), control: minutes15, takes: 100 * time.Millisecond}
		s := newKeySet(t, p)
		var wg sync.WaitGroup
		var unknown atomic.Int64
		for i := range 600 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond) // for a minute
				for j := range 20 {
					if _, err := s.Key(t.Context(), fmt.Sprint("made up ", i, " ", j)); errors.Is(err, ErrKeyUnknown) {
						unknown.Add(1)
					}
				}
				if _, err := s.Key(t.Context(), edKid); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if unknown.Load() != 600*20 {
			t.Errorf("%d were unknown, want all", unknown.Load())
		}
		if n := p.count(); n > 1+60/int(DefaultInterval/time.Second) {
			t.Errorf("asked %d times in a minute, want one in %v", n, DefaultInterval)
		}
	})
}

// TestKeySetThroughRotations: keys as quick as a gate can be told to change them,
// each public for four seconds before it signs for one, with an answer that may
// be kept for a second. No verifier ever meets a kid that it cannot find.
func TestKeySetThroughRotations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lead, after = 4, 5
		began := time.Now()
		second := func() int { return int(time.Since(began) / time.Second) }
		kid := func(n int) string { return fmt.Sprint("key ", n) }
		p := &publisher{control: "public, max-age=1", takes: 20 * time.Millisecond, at: func() string {
			var keys []string
			for n := second() - after; n <= second()+lead; n++ {
				keys = append(keys, strings.Replace(publicEd, edKid, kid(n), 1))
			}
			return `{"keys":[` + strings.Join(keys, ",") + `]}`
		}}
		warm := newKeySet(t, p)
		for i := range 10_000 {
			asked := kid(second())
			if _, err := warm.Key(t.Context(), asked); err != nil {
				t.Fatalf("after %v, warm: %v", time.Since(began), err)
			}
			if i%100 == 0 {
				if _, err := newKeySet(t, p).Key(t.Context(), asked); err != nil {
					t.Fatalf("after %v, cold: %v", time.Since(began), err)
				}
			}
			if i == 5_000 {
				time.Sleep(time.Hour) // nobody came
			}
			time.Sleep(7 * time.Millisecond)
		}
		synctest.Wait()
	})
}

// TestKeySetThroughAnOutage: the old keys count until Grace is over, nobody
// waits for who is silent, and it ends by itself.
func TestKeySetThroughAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{set: setText(t, parseKey(t, rfcEdDSA)), control: minutes15}
		s := newKeySet(t, p)
		began := time.Now()
		if _, err := s.Key(t.Context(), edKid); err != nil {
			t.Fatal(err)
		}
		p.change(func() { p.takes = time.Hour }) // until its client gives up
		time.Sleep(14 * time.Minute)
		for time.Since(began) < 15*time.Minute+DefaultGrace-time.Second {
			asked := time.Now()
			if _, err := s.Key(t.Context(), edKid); err != nil {
				t.Fatalf("after %v: %v", time.Since(began), err)
			}
			if waited := time.Since(asked); waited > 0 {
				t.Fatalf("after %v: waited %v", time.Since(began), waited)
			}
			if time.Since(began) > 16*time.Minute {
				if _, err := s.Key(t.Context(), "made up"); !errors.Is(err, errNoAnswer) || time.Since(asked) > 0 {
					t.Fatalf("a made-up kid: %v after %v", err, time.Since(asked))
				}
			}
			time.Sleep(time.Second)
		}
		if n := p.count(); n < 100 || n > 1+62*60/int(DefaultInterval/time.Second) {
			t.Errorf("asked %d times in an hour of silence", n)
		}
		time.Sleep(11 * time.Second)
		if _, err := s.Key(t.Context(), edKid); !errors.Is(err, errNoAnswer) {
			t.Errorf("after the grace: %v", err)
		}
		p.change(func() { p.takes = 0 })
		time.Sleep(DefaultInterval)
		if _, err := s.Key(t.Context(), edKid); err != nil {
			t.Errorf("when it answers again: %v", err)
		}
		synctest.Wait()
	})
}

func TestKeySetWithoutGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{set: setText(t, parseKey(t, rfcEdDSA)), control: minutes15}
		s, err := NewKeySet(KeySetConfig{URL: "https://mall.example/jwks.json", Transport: p, Grace: -1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Key(t.Context(), edKid); err != nil {
			t.Fatal(err)
		}
		p.change(func() { p.down = true })
		time.Sleep(15 * time.Minute)
		if _, err := s.Key(t.Context(), edKid); !errors.Is(err, errNoAnswer) {
			t.Errorf("got %v", err)
		}
	})
}

// TestKeySetCold: before the first answer every error says that it is about the
// keys, not about the assertion.
func TestKeySetCold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{down: true}
		s := newKeySet(t, p)
		for range 100 {
			if _, err := s.Key(t.Context(), edKid); !errors.Is(err, errNoAnswer) {
				t.Fatal(err)
			}
		}
		if p.count() != 1 {
			t.Errorf("asked %d times, want once", p.count())
		}
		p.change(func() { p.down, p.set, p.takes = false, setText(t, parseKey(t, rfcEdDSA)), time.Second })
		time.Sleep(DefaultInterval)
		// Who gives up does not end the fetch for the others.
		impatient, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := s.Key(impatient, edKid); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := s.Key(t.Context(), edKid); err != nil {
			t.Error(err)
		}
		if p.count() != 2 {
			t.Errorf("asked %d times, want twice", p.count())
		}
	})
}

func TestKeySetAnswers(t *testing.T) {
	good := setText(t, parseKey(t, rfcEdDSA))
	for _, c := range []struct {
		name string
		p    *publisher
		want error
	}{
		{"plain", &publisher{set: good}, nil},
		{"not found", &publisher{set: good, status: 404}, errNoAnswer},
		{"no content", &publisher{set: good, status: 204}, errNoAnswer},
		{"unchanged, though nothing is held", &publisher{set: good, status: 304}, errNoAnswer},
		{"a page", &publisher{set: "<!doctype html>"}, errNoAnswer},
		{"cut short", &publisher{set: good[:len(good)-1]}, errNoAnswer},
		{"more behind it", &publisher{set: good + "{}"}, errNoAnswer},
		{"too large", &publisher{set: good + strings.Repeat(" ", maxKeySetSize)}, errNoAnswer},
		{"a member twice", &publisher{set: strings.Replace(good, `"alg"`, `"alg":"EdDSA","alg"`, 1)}, errNoAnswer},
		{"no key", &publisher{set: `{"keys":[]}`}, ErrKeyUnknown},
		{"a list", &publisher{set: `[]`}, errNoAnswer},
		{"null", &publisher{set: `{"keys":null}`}, errNoAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if _, err := newKeySet(t, c.p).Key(t.Context(), edKid); !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			})
		})
	}
}

func TestKeepFor(t *testing.T) {
	for _, c := range []struct {
		control []string
		age     string
		want    time.Duration
	}{
		{nil, "", unsaidKeyAge},
		{[]string{"public"}, "", unsaidKeyAge},
		{[]string{"public, max-age=900"}, "", 15 * time.Minute},
		{[]string{"Max-Age=900"}, "", 15 * time.Minute},
		{[]string{`max-age="900"`}, "", 15 * time.Minute},
		{[]string{"public", "max-age=60"}, "", time.Minute},
		{[]string{"max-age=60, max-age=30"}, "", 30 * time.Second},
		{[]string{"max-age=900"}, "100", 800 * time.Second},
		{[]string{"max-age=900"}, "1000", 0},
		{[]string{"max-age=900"}, "-1", 15 * time.Minute},
		{[]string{"max-age=-1"}, "", 0},
		{[]string{"max-age=1.5"}, "", 0},
		{[]string{"max-age"}, "", 0},
		{[]string{"max-age=99999999999999999999"}, "", 365 * 24 * time.Hour},
		{[]string{"max-age=900, no-store"}, "", 0},
		{[]string{"no-cache"}, "", 0},
		{[]string{"s-maxage=5"}, "", unsaidKeyAge},
	} {
		h := http.Header{"Cache-Control": c.control}
		if c.age != "" {
			h.Set("Age", c.age)
		}
		if got := keepFor(h); got != c.want {
			t.Errorf("%q, Age %q: %v, want %v", c.control, c.age, got, c.want)
		}
	}
}

// TestKeySetKeepsWithinBounds: neither 0 nor a year is taken at its word.
func TestKeySetKeepsWithinBounds(t *testing.T) {
	for _, c := range []struct {
		control   string
		kept, not time.Duration
	}{
		{"max-age=0", time.Second, 2 * time.Second},
		{"max-age=31536000", 44 * time.Minute, 46 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &publisher{set: setText(t, parseKey(t, rfcEdDSA)), control: c.control}
			s := newKeySet(t, p)
			s.Key(t.Context(), edKid)
			time.Sleep(c.kept)
			s.Key(t.Context(), edKid)
			synctest.Wait()
			if p.count() != 1 {
				t.Errorf("%s: asked again within %v", c.control, c.kept)
			}
			time.Sleep(max(c.not-c.kept, DefaultInterval))
			s.Key(t.Context(), edKid)
			synctest.Wait()
			if p.count() != 2 {
				t.Errorf("%s: asked %d times, want twice", c.control, p.count())
			}
		})
	}
}

func TestNewKeySetRefuses(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://mall.example/.kycvs/jwks.json": true,
		"HTTPS://mall.example/":                 true,
		"http://localhost:8080/jwks.json":       true,
		"http://mall.localhost/jwks.json":       true,
		"http://127.0.0.1/jwks.json":            true,
		"http://127.9.9.9/jwks.json":            true,
		"http://[::1]:8080/jwks.json":           true,
		"":                                      false,
		"jwks.json":                             false,
		"/jwks.json":                            false,
		"//mall.example/jwks.json":              false,
		"http://mall.example/jwks.json":         false,
		"http://localhost.mall.example/":        false,
		"http://127.0.0.1.mall.example/":        false,
		"http://[::]/jwks.json":                 false,
		"http://0.0.0.0/jwks.json":              false,
		"https://user:word@mall.example/":       false,
		"https:mall.example":                    false,
		"https://":                              false,
		"https://mall.example:port/":            false,
		"file:///etc/jwks.json":                 false,
		"ftp://mall.example/jwks.json":          false,
	} {
		if _, err := NewKeySet(KeySetConfig{URL: url}); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		} else if err != nil && strings.Contains(err.Error(), "word") {
			t.Errorf("shows a password: %v", err)
		}
	}
	for _, c := range []KeySetConfig{
		{Interval: MinInterval - 1}, {Interval: MaxInterval + 1}, {Interval: -1}, {Grace: MaxGrace + 1},
	} {
		c.URL = "https://mall.example/"
		if _, err := NewKeySet(c); err == nil {
			t.Errorf("%+v: taken", c)
		}
	}
}

// TestKeySetRedirects: on the same origin it goes along, elsewhere never.
func TestKeySetRedirects(t *testing.T) {
	good := setText(t, parseKey(t, rfcEdDSA))
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("went to another origin")
		io.WriteString(w, good)
	}))
	defer evil.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/jwks.json", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, good) })
	mux.Handle("/moved", http.RedirectHandler("/jwks.json", http.StatusMovedPermanently))
	mux.Handle("/evil", http.RedirectHandler(evil.URL, http.StatusFound))
	mux.Handle("/round", http.RedirectHandler("/round", http.StatusFound))
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		w.Write(bytes.Repeat([]byte(" "), 2*maxKeySetSize))
	})
	site := httptest.NewServer(mux)
	defer site.Close()
	for path, ok := range map[string]bool{"/jwks.json": true, "/moved": true, "/evil": false, "/round": false, "/slow": false, "/nothing": false} {
		s, err := NewKeySet(KeySetConfig{URL: site.URL + path})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Key(t.Context(), edKid); (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestVerifierWithKeySet: what the keys cannot say is not said of the assertion.
func TestVerifierWithKeySet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{set: setText(t, parseKey(t, rfcEdDSA))}
		v, err := NewVerifier(VerifierConfig{
			Keys: newKeySet(t, p).Key, Issuer: "https://mall.example", Audience: "mall", Now: at(issuedAt),
		})
		if err != nil {
			t.Fatal(err)
		}
		compact, err := newSigner(t, parseKey(t, rfcEdDSA)).Compact(plain())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(compact); err != nil {
			t.Error(err)
		}
		p.change(func() { p.down = true })
		time.Sleep(2 * time.Hour)
		if _, err := v.Verify(compact); !errors.Is(err, ErrKeysUnavailable) {
			t.Errorf("got %v, want %v", err, ErrKeysUnavailable)
		}
	})
}

func BenchmarkKeySet(b *testing.B) {
	s := newKeySet(b, &publisher{set: setText(b, parseKey(b, rfcEdDSA), parseKey(b, rfcES256), rsaKey()), control: minutes15})
	if _, err := s.Key(b.Context(), edKid); err != nil {
		b.Fatal(err)
	}
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Key(b.Context(), edKid); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("made up", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Key(b.Context(), "made up"); !errors.Is(err, ErrKeyUnknown) {
					b.Error(err)
				}
			}
		})
	})
}
