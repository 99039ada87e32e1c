package pass

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// The cookie's names. The prefix makes browsers insist on Secure, Path=/ and no
// Domain (RFC 6265bis, section 4.1.3.2), so that no other host, and no page
// fetched in the clear, can set it; plain http cannot have it.
const (
	CookieName       = "__Host-kycvs"
	CookieNamePlain  = "kycvs"
	maxTokens        = 9 // eight partners, and a number that was proven
	maxCookieSize    = 4096
	browserSize      = 48
	browserMark      = "b"
	maxPhones        = 4
	phoneSize        = 20
	cookieSeparation = "."
)

// Name returns the cookie's name for a request that came over TLS, or not.
func Name(secure bool) string {
	if secure {
		return CookieName
	}
	return CookieNamePlain
}

// Jar is what the cookie holds.
type Jar struct {
	// Browser tells this browser from others: a code is good only in the browser
	// that asked for it. Zero where the browser has not asked yet.
	Browser [16]byte
	// Txn and Ask are the handshake last asked for and the keyed hash of what was
	// asked, so that a page that is loaded again sends no second message.
	Txn, Ask [16]byte
	// phones are the numbers that this browser has proven, newest first; what they
	// are marked with tells nobody the number.
	phones []phone
	// Tokens are the sealed passes, newest first, at most one for each partner.
	Tokens []string
}

// KeepPhone is how long a browser that has proven a number is known for it.
const KeepPhone = 90 * 24 * time.Hour

// phone is a number that was proven: what it is marked with, and when, in whole
// hours since the epoch.
type phone struct {
	mark [16]byte
	hour uint32
}

// Proven returns the marks of the numbers that this browser has proven within
// KeepPhone.
func (j *Jar) Proven(now time.Time) (marks [][16]byte) {
	since := hours(now.Add(-KeepPhone))
	for _, p := range j.phones {
		if p.hour >= since && p.hour <= hours(now)+1 { // another instance's clock may be ahead
			marks = append(marks, p.mark)
		}
	}
	return marks
}

// AddPhone notes that this browser has proven a number. Beyond the bound the
// oldest goes.
func (j *Jar) AddPhone(mark [16]byte, now time.Time) {
	j.phones = slices.DeleteFunc(j.phones, func(p phone) bool { return p.mark == mark })
	j.phones = slices.Insert(j.phones, 0, phone{mark, hours(now)})
	j.phones = j.phones[:min(len(j.phones), maxPhones)]
}

// ForgetPhones forgets which numbers this browser has proven.
func (j *Jar) ForgetPhones() { j.phones = nil }

func hours(t time.Time) uint32 { return uint32(t.Unix() / 3600) }

// NewBrowser makes up a browser's mark.
func (j *Jar) NewBrowser() { rand.Read(j.Browser[:]) }

// Value finds the one cookie of that name in the request's Cookie fields and
// returns its value, "" if there is none or more than one: of two, one was put
// there by somebody else.
func Value(h http.Header, name string) string {
	value, n := "", 0
	for _, line := range h["Cookie"] {
		for part := range splitPairs(line) {
			k, v, ok := strings.Cut(part, "=")
			if ok && trim(k) == name {
				value = trim(v)
				n++
			}
		}
	}
	if n != 1 || len(value) > maxCookieSize {
		return ""
	}
	return value
}

// Whole makes sure that a cookie is as it was set, every character of it.
type Whole struct{ keys [][]byte }

// NewWhole takes the keys (32 bytes each, newest first): the first marks, all
// are good.
func NewWhole(keys [][]byte) *Whole { return &Whole{keys} }

// mark is an HMAC-SHA256 of the content, cut to 128 bits (NIST SP 800-107,
// section 5.3.4).
func mark(key []byte, content string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(content))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// open returns the content of a cookie's value; false if it is not whole.
func (w *Whole) open(value string) (content string, ok bool) {
	i := strings.LastIndex(value, cookieSeparation)
	if i < 0 {
		return "", false
	}
	for _, k := range w.keys {
		if hmac.Equal([]byte(mark(k, value[:i])), []byte(value[i+1:])) {
			return value[:i], true
		}
	}
	return "", false
}

// ParseJar returns what a cookie's value holds: nothing, if it is not whole.
func ParseJar(w *Whole, value string) Jar {
	var j Jar
	content, ok := w.open(value)
	if !ok {
		return j
	}
	browser, tokens, _ := strings.Cut(strings.TrimPrefix(content, browserMark), cookieSeparation)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(browser)
	if err != nil || len(raw) < browserSize || (len(raw)-browserSize)%phoneSize != 0 {
		return j
	}
	copy(j.Browser[:], raw)
	copy(j.Txn[:], raw[16:])
	copy(j.Ask[:], raw[32:])
	for b := range slices.Chunk(raw[browserSize:], phoneSize) {
		if len(j.phones) < maxPhones {
			j.phones = append(j.phones, phone{[16]byte(b), binary.BigEndian.Uint32(b[16:])})
		}
	}
	for part := range strings.SplitSeq(tokens, cookieSeparation) {
		if len(part) == TokenSize && len(j.Tokens) < maxTokens {
			j.Tokens = append(j.Tokens, part)
		}
	}
	return j
}

// Put adds a pass of the sealer's scope, in the place of one of the same scope.
// Beyond the bound the oldest goes.
func (j *Jar) Put(s *Sealer, token string) {
	j.Remove(s)
	j.Tokens = slices.Insert(j.Tokens, 0, token)
	j.Tokens = j.Tokens[:min(len(j.Tokens), maxTokens)]
}

// Remove takes out the passes of the sealer's scope.
func (j *Jar) Remove(s *Sealer) {
	j.Tokens = slices.DeleteFunc(j.Tokens, func(t string) bool {
		if !s.Mine(t) {
			return false
		}
		_, err := s.Open(t)
		return err == nil
	})
}

// Find returns the pass of the sealer's scope and its token; ErrInvalid if
// there is none.
func (j *Jar) Find(s *Sealer) (Pass, string, error) {
	for _, t := range j.Tokens {
		if s.Mine(t) {
			if p, err := s.Open(t); err == nil {
				return p, t, nil
			}
		}
	}
	return Pass{}, "", ErrInvalid
}

// Cookie returns the jar as a cookie to set, to be kept for the given time.
func (j *Jar) Cookie(w *Whole, secure bool, keep time.Duration) *http.Cookie {
	raw := make([]byte, 0, browserSize+maxPhones*phoneSize)
	raw = append(append(append(raw, j.Browser[:]...), j.Txn[:]...), j.Ask[:]...)
	for _, p := range j.phones {
		raw = binary.BigEndian.AppendUint32(append(raw, p.mark[:]...), p.hour)
	}
	content := strings.Join(append([]string{browserMark + base64.RawURLEncoding.EncodeToString(raw)}, j.Tokens...), cookieSeparation)
	return &http.Cookie{
		Name:     Name(secure),
		Value:    content + cookieSeparation + mark(w.keys[0], content),
		Path:     "/",
		MaxAge:   int(keep / time.Second),
		Secure:   secure,
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	}
}

// Strip removes the pass cookie, under either name, from the request's Cookie
// fields and leaves every other character of them as it was. It does not write
// to a field's value list unless there is something to remove.
func Strip(h http.Header) {
	lines := h["Cookie"]
	for i, line := range lines {
		if !strings.Contains(line, CookieNamePlain) && !mentions(line) {
			continue
		}
		kept, changed := stripLine(line)
		if !changed {
			continue
		}
		if kept != "" {
			lines[i] = kept
			continue
		}
		// the field is empty now: start over without it
		rest := slices.Delete(slices.Clone(lines), i, i+1)
		if len(rest) == 0 {
			delete(h, "Cookie")
			return
		}
		h["Cookie"] = rest
		Strip(h)
		return
	}
}

// mentions is the slow, case-blind form of the first look.
func mentions(line string) bool {
	return strings.Contains(strings.ToLower(line), CookieNamePlain)
}

func stripLine(line string) (kept string, changed bool) {
	var b strings.Builder
	for part := range splitPairs(line) {
		name, _, _ := strings.Cut(part, "=")
		if ours(trim(name)) {
			changed = true
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(';')
		} else if changed {
			part = strings.TrimLeft(part, " \t")
		}
		b.WriteString(part)
	}
	if !changed {
		return line, false
	}
	return b.String(), true
}

// ours compares without regard to case: cookie names have one, but an
// application may forget.
func ours(name string) bool {
	return strings.EqualFold(name, CookieNamePlain) || strings.EqualFold(name, CookieName)
}

// SetsPass tells whether a Set-Cookie field sets, or would be read as setting,
// the pass.
func SetsPass(setCookie string) bool {
	pair, _, _ := strings.Cut(setCookie, ";")
	name, value, ok := strings.Cut(pair, "=")
	if !ok {
		// browsers take a pair without "=" for a value without a name (RFC 6265bis,
		// section 5.6), and send just the value
		name, value = "", pair
	}
	if trim(name) == "" {
		// nameless: what the browser sends back is the value alone, which reads as
		// a name and a value to whoever parses it
		name, _, _ = strings.Cut(value, "=")
	}
	return ours(trim(name))
}

func splitPairs(line string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for {
			part, rest, more := strings.Cut(line, ";")
			if !yield(part) || !more {
				return
			}
			line = rest
		}
	}
}

func trim(s string) string { return textproto.TrimString(s) }
