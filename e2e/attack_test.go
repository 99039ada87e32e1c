package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// marker is in every value an attacker sends: where the upstream sees it in a
// field of ours, the attack worked.
const marker = "forged-by-client"

// arena is an instance with the sites the attacks run against, an upstream
// that shows what it got, and two browsers that hold a pass.
type arena struct {
	*instance
	work, shop *browser
	keys       *jose.JSONWebKeySet
}

const arenaSites = `
http://work.example, https://work.example {
	kycvs /ward/* 2
	reverse_proxy %UP%
}
http://shop.example, https://shop.example {
	kycvs optional
	reverse_proxy %UP%
}
`

func newArena(t testing.TB) *arena {
	t.Helper()
	a := &arena{instance: start(t, setup{sites: arenaSites})}
	a.work = a.browse(t, "https://work.example")
	a.work.signIn(asha)
	a.shop = a.browse(t, "https://shop.example")
	a.shop.signIn(asha)
	a.keys = a.work.keys()
	a.up.take()
	return a
}

// route is a way to the upstream, and what a request that takes it must carry.
type route struct {
	name string
	host string
	path string
	pass bool // the client holds one
	want int  // assertions at the upstream, or one of the words below
}

const (
	shut  = -1 // the request must not reach the upstream
	bare  = -2 // without an assertion, if it is not refused
	bound = -3 // with one assertion, if it is not refused
)

var routes = []route{
	{"on a gated path with a pass", "work.example", "/ward/x", true, 1},
	{"on a gated path without a pass", "work.example", "/ward/x", false, shut},
	{"on an open path with a pass", "work.example", "/open", true, 0},
	{"on an open path without a pass", "work.example", "/open", false, 0},
	{"optional with a pass", "shop.example", "/x", true, 1},
	{"optional without a pass", "shop.example", "/x", false, 0},
}

func (a *arena) cookie(r route) string {
	switch {
	case !r.pass:
		return ""
	case r.host == "work.example":
		return a.work.cookies()
	default:
		return a.shop.cookies()
	}
}

// clean checks what reached the upstream on one of the routes and returns it
// in words for the table.
func (a *arena) clean(t testing.TB, r route, seen []*received) string {
	t.Helper()
	return checkClean(t, a.keys, seen, r.host, r.want, a.work.pass(), a.shop.pass())
}

// checkClean holds the requests an upstream received to section 3: want
// assertions for aud, whole and valid; nothing else that could be read as one
// of the gate's fields, in front of or behind the body; no pass.
func checkClean(t testing.TB, keys *jose.JSONWebKeySet, seen []*received, aud string, want int, passes ...string) string {
	t.Helper()
	if want == shut && len(seen) > 0 {
		t.Errorf("a request that must not reached the upstream:\n%s%s", seen[0].head, seen[0].wire)
	}
	if len(seen) > 1 {
		t.Errorf("one request became %d at the upstream:\n%s\nthen\n%s", len(seen), seen[0].head, seen[1].head)
	}
	if len(seen) == 0 {
		return "nothing arrived"
	}
	q := seen[0]
	if bytes.Contains(q.head, []byte("\n ")) || bytes.Contains(q.head, []byte("\n\t")) || bytes.ContainsAny(q.head, "\x00") {
		t.Errorf("a folded line or NUL at the upstream: %q", q.head)
	}
	if bytes.Count(q.head, []byte("\r")) != bytes.Count(q.head, []byte("\r\n")) || bytes.Count(q.head, []byte("\n")) != bytes.Count(q.head, []byte("\r\n")) {
		t.Errorf("a bare CR or LF at the upstream: %q", q.head)
	}
	mine := ours(q.fields)
	for _, f := range mine {
		if f.name != "Kycvs-Assertion" {
			t.Errorf("the upstream saw %q: %q", f.name, f.value)
		} else if _, err := verifyAssertion(keys, f.value, aud); err != nil {
			t.Errorf("the upstream saw %q that does not verify: %v", f.name, err)
		}
	}
	switch want {
	case bare:
		want = 0
	case bound:
		want = 1
	}
	if want >= 0 && len(mine) != want {
		t.Errorf("the upstream saw %d fields of ours, want %d: %v", len(mine), want, mine)
	}
	for _, f := range ours(q.trailers) {
		t.Errorf("the upstream saw %q: %q behind the body", f.name, f.value)
	}
	for _, f := range q.fields {
		for _, word := range strings.FieldsFunc(f.value, func(r rune) bool { return r == ',' || r == ' ' }) {
			if strings.EqualFold(f.name, "Connection") && strings.HasPrefix(folded(word), "kycvs") {
				t.Errorf("the upstream saw %s: %s", f.name, f.value)
			}
		}
		if strings.HasPrefix(folded(f.name), "kycvs") && strings.Contains(f.value, marker) {
			t.Errorf("the upstream saw the client's own %s: %s", f.name, f.value)
		}
	}
	for _, p := range passes {
		if p != "" && (bytes.Contains(q.head, []byte(p)) || bytes.Contains(q.wire, []byte(p))) {
			t.Errorf("the pass reached the upstream:\n%s", q.head)
		}
	}
	switch len(mine) {
	case 0:
		return "the request, nothing of ours"
	case 1:
		return "the request, one assertion, the gate's own"
	default:
		return fmt.Sprint(mine)
	}
}

// summary is a table row's last column where nothing arrived.
func summary(saw string, a *wireAnswer) string {
	if saw != "nothing arrived" {
		return saw
	}
	if a.err != nil {
		return saw + " (refused)"
	}
	return fmt.Sprintf("%s (%d)", saw, a.status)
}
