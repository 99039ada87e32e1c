package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// pair is two instances that share a storage, and one person's pass for both.
type pair struct {
	t       testing.TB
	storage string
	ins     [2]*instance
	b       [2]*browser

	down   sync.RWMutex // held by whoever stops the second
	resets atomic.Int64
}

// rotatingSite hands out assertions that are good for two seconds; its upstream
// answers with the one it was sent.
const rotatingSite = `http://mall.example {
	kycvs 2 {
		assertion_ttl 2s
	}
	reverse_proxy %UP%
}
`

func startPair(t testing.TB, signing string) *pair {
	t.Helper()
	p := &pair{t: t, storage: t.TempDir()}
	up := newUpstream(t)
	up.on("/", func(x *exchange) bool {
		body := x.value("Kycvs-Assertion")
		_, err := fmt.Fprintf(x.c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		return err == nil
	})
	s := setup{global: "storage file_system " + p.storage, kycvs: "issuer https://mall.example\n" + signing, sites: rotatingSite, upstream: up}
	for i := range p.ins {
		s.second = i > 0
		p.ins[i] = start(t, s)
		p.b[i] = p.ins[i].browse(t, "http://mall.example")
	}
	p.b[0].signIn(asha)
	p.b[1].c.Jar = p.b[0].jar // cookies do not know ports
	return p
}

// get asks one instance, or the other one while that is down.
func (p *pair) get(i int, path string) (*answer, error) {
	if i == 1 {
		if !p.down.TryRLock() {
			return p.get(0, path)
		}
		defer p.down.RUnlock()
	}
	for try := 0; ; try++ {
		a, err := p.b[i].try("GET", path, "", "", "Accept", "application/json")
		// Caddy's old listener resets what it has not accepted yet when it closes.
		if try < 5 && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNREFUSED)) {
			p.resets.Add(1)
			continue
		}
		return a, err
	}
}

// assertion sends a request with the pass and returns what the upstream was sent.
func (p *pair) assertion(i int) (string, error) {
	a, err := p.get(i, "/ward/x")
	if err != nil {
		return "", err
	}
	if a.StatusCode != http.StatusOK || len(a.body) == 0 {
		return "", fmt.Errorf("a request with a pass: %v", a)
	}
	return string(a.body), nil
}

// partnerCache is a partner's verifier, which gets the keys from one instance.
type partnerCache struct {
	p *pair
	i int
	// refetch: it asks again when it meets a kid that it does not know, at most
	// once a second. Without it, it goes by what it has until that runs out.
	refetch bool

	mu      sync.Mutex
	set     *jose.JSONWebKeySet
	until   time.Time
	asked   time.Time
	fetches int
}

var maxAgePattern = regexp.MustCompile(`max-age=(\d+)`)

// fetch gets the keys; the time for which they may be kept counts from before.
func (v *partnerCache) fetch() error {
	began := time.Now()
	a, err := v.p.get(v.i, "/.kycvs/jwks.json")
	if err != nil {
		return err
	}
	m := maxAgePattern.FindStringSubmatch(a.Header.Get("Cache-Control"))
	if a.StatusCode != http.StatusOK || m == nil {
		return fmt.Errorf("the keys: %v", a)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(a.body, &set); err != nil {
		return err
	}
	seconds, _ := strconv.Atoi(m[1])
	v.set, v.asked, v.until = &set, began, began.Add(time.Duration(seconds)*time.Second)
	v.fetches++
	return nil
}

func (v *partnerCache) verify(token string) (claims, error) {
	v.mu.Lock()
	if !time.Now().Before(v.until) {
		if err := v.fetch(); err != nil {
			v.mu.Unlock()
			return claims{}, err
		}
	}
	if v.refetch && len(v.set.Key(kidOf(token))) == 0 && time.Since(v.asked) >= time.Second {
		if err := v.fetch(); err != nil {
			v.mu.Unlock()
			return claims{}, err
		}
	}
	set := v.set
	v.mu.Unlock()
	return verifyAssertion(set, token, "mall.example")
}

// headOf reads an assertion's header without checking anything.
func headOf(token string) jose.Header {
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.RS256})
	if err != nil {
		return jose.Header{}
	}
	return jws.Signatures[0].Protected
}

func kidOf(token string) string { return headOf(token).KeyID }

// load sends requests to both instances until it is told to end, and has every
// assertion checked by everybody who could be asked to.
type rotationLoad struct {
	p                    *pair
	strict, warm         [2]*partnerCache
	requests, cold, late atomic.Int64
	pace                 time.Duration // between two requests of a worker

	mu       sync.Mutex
	kids     map[string]int
	last     [2]string // alg of the last assertion of each instance
	failures map[string]int
	done     chan struct{}
	wg       sync.WaitGroup
}

func (p *pair) load(pace time.Duration) *rotationLoad {
	l := &rotationLoad{p: p, pace: pace, kids: map[string]int{}, failures: map[string]int{}, done: make(chan struct{})}
	for i := range 2 {
		l.strict[i] = &partnerCache{p: p, i: i}
		l.warm[i] = &partnerCache{p: p, i: i, refetch: true}
	}
	for worker := range 4 {
		l.wg.Go(func() { l.work(worker % 2) })
	}
	return l
}

func (l *rotationLoad) failed(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures[fmt.Sprintf(format, args...)]++
}

func (l *rotationLoad) work(i int) {
	for n := 0; ; n++ {
		select {
		case <-l.done:
			return
		case <-time.After(l.pace):
		}
		token, err := l.p.assertion(i)
		l.requests.Add(1)
		if err != nil {
			l.failed("a request: %v", err)
			continue
		}
		head := headOf(token)
		l.mu.Lock()
		l.kids[head.KeyID]++
		l.last[i] = head.Algorithm
		l.mu.Unlock()
		for j := range 2 {
			if _, err := l.strict[j].verify(token); err != nil {
				l.failed("a cache that asks for nothing before it runs out, of instance %d, about instance %d: %v", j, i, err)
			}
			c, err := l.warm[j].verify(token)
			if err != nil {
				l.failed("a warm cache of instance %d, about instance %d: %v", j, i, err)
			}
			if n%50 == 0 {
				l.cold.Add(1)
				if _, err := (&partnerCache{p: l.p, i: j}).verify(token); err != nil {
					l.failed("a cold cache of instance %d, about instance %d: %v", j, i, err)
				}
				l.wg.Go(func() { l.again(j, token, c) })
			}
		}
	}
}

// again checks an assertion once more, shortly before it ends.
func (l *rotationLoad) again(j int, token string, c claims) {
	time.Sleep(time.Until(time.Unix(c.Exp, 0).Add(-300 * time.Millisecond)))
	_, err := (&partnerCache{p: l.p, i: j}).verify(token)
	if time.Now().Unix() >= c.Exp {
		return // the machine was too busy to ask in time
	}
	l.late.Add(1)
	if err != nil {
		l.failed("a cold cache of instance %d, about an assertion that ends: %v", j, err)
	}
}

func (l *rotationLoad) algorithms() [2]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func (l *rotationLoad) end(t *testing.T) {
	t.Helper()
	close(l.done)
	l.wg.Wait()
	fetches := 0
	for _, v := range append(l.strict[:], l.warm[:]...) {
		fetches += v.fetches
	}
	t.Logf("%d requests, %d keys, %d checks with a cold cache and %d late ones, %d fetches by four warm caches, %d connections reset before a request",
		l.requests.Load(), len(l.kids), l.cold.Load(), l.late.Load(), fetches, l.p.resets.Load())
	if int64(fetches) > l.requests.Load()/5 {
		t.Errorf("%d fetches for %d requests: no cache was ever warm", fetches, l.requests.Load())
	}
	for what, n := range l.failures {
		t.Errorf("%d times: %s", n, what)
	}
}

// "10,000 requests through a rotation at one-second settings, two instances,
// verifiers with cold and warm caches: no failure." One of the instances is
// restarted in the middle.
func TestRotation(t *testing.T) {
	t.Parallel()
	requests, pace := int64(10_000), 2*time.Millisecond
	switch {
	case long():
		requests = 200_000
	case raceDetector:
		requests, pace = 3_000, 10*time.Millisecond
	}
	p := startPair(t, "signing ES256 {\n rotate_every 1s\n}")
	began := time.Now()
	l := p.load(pace)
	until := func(what string, n int64) {
		t.Helper()
		for deadline := time.Now().Add(100 * patience); l.requests.Load() < n; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("did not happen: %s", what)
			}
		}
	}
	until("half of the requests", requests/2)
	p.down.Lock()
	p.ins[1].stop()
	during := l.requests.Load()
	p.ins[1].run()
	p.down.Unlock()
	t.Logf("%d requests while one instance was restarted", l.requests.Load()-during)
	until("the requests", requests)
	// Eight seconds at least, whatever the machine can do in less.
	time.Sleep(time.Until(began.Add(8 * time.Second)))
	took := time.Since(began)
	l.end(t)
	if want := int(took/time.Second) * 2 / 3; len(l.kids) < want {
		t.Errorf("%d keys signed in %v, want at least %d", len(l.kids), took, want)
	}
}

// "A move from one to another while running", under load, by a reload of one
// instance after the other.
func TestAlgorithmChanges(t *testing.T) {
	t.Parallel()
	p := startPair(t, "signing ES256 {\n rotate_every 1s\n}")
	l := p.load(10 * time.Millisecond)
	for _, algorithm := range []string{"EdDSA", "RS256", "ES256"} {
		for _, in := range p.ins {
			s := in.setup
			s.kycvs = "issuer https://mall.example\nsigning " + algorithm + " {\n rotate_every 1s\n}"
			in.reload(s)
		}
		began := time.Now()
		eventually(t, "both instances sign with "+algorithm, func() bool { return l.algorithms() == [2]string{algorithm, algorithm} })
		t.Logf("%s signs at both after %v", algorithm, time.Since(began).Round(10*time.Millisecond))
		time.Sleep(1500 * time.Millisecond)
	}
	l.end(t)
}

// revokeKeys runs the command as an operator would.
func (in *instance) revokeKeys(kids ...string) string {
	in.t.Helper()
	out, err := in.command(append([]string{"kycvs", "keys", "revoke", "--config", in.caddyfile, "--"}, kids...)...).CombinedOutput()
	if err != nil {
		in.t.Fatalf("keys revoke: %v\n%s", err, out)
	}
	return string(out)
}

// follow is within how long running instances must have followed a revocation.
var follow = map[bool]time.Duration{false: 3 * time.Second, true: 6 * time.Second}[raceDetector]

func TestRevokeWhileRunning(t *testing.T) {
	t.Parallel()
	p := startPair(t, "") // by default a key signs for a month
	file := filepath.Join(p.storage, "kycvs", "keys.json")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(i int) string {
		t.Helper()
		token, err := p.assertion(i)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	known := &partnerCache{p: p, i: 1, refetch: true}
	first := sign(0)
	if kidOf(sign(1)) != kidOf(first) {
		t.Fatal("two instances, two keys")
	}
	if _, err := known.verify(first); err != nil {
		t.Fatal(err)
	}
	bad := []string{kidOf(first)}
	gone := func(when string) {
		t.Helper()
		for i := range p.ins {
			token := sign(i)
			if slices.Contains(bad, kidOf(token)) {
				t.Errorf("%s, instance %d: signs with a revoked key", when, i)
			}
			for j := range p.ins {
				cold := &partnerCache{p: p, i: j}
				if _, err := cold.verify(token); err != nil {
					t.Errorf("%s: a cold cache of instance %d about instance %d: %v", when, j, i, err)
				} else if slices.ContainsFunc(bad, func(id string) bool { return len(cold.set.Key(id)) > 0 }) {
					t.Errorf("%s, instance %d: publishes a revoked key", when, j)
				}
			}
		}
	}

	// Requests go on, and none is refused meanwhile.
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range p.ins {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				if _, err := p.assertion(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	followed := func() time.Duration {
		t.Helper()
		began := time.Now()
		for slices.Contains(bad, kidOf(sign(0))) || slices.Contains(bad, kidOf(sign(1))) {
			if time.Since(began) > follow {
				t.Fatalf("a revoked key still signs after %v", follow)
			}
			time.Sleep(20 * time.Millisecond)
		}
		return time.Since(began)
	}
	out := p.ins[0].revokeKeys(bad[0])
	t.Logf("followed after %v", followed().Round(10*time.Millisecond))
	if !strings.Contains(out, "revoked "+bad[0]) || !strings.Contains(out, "made for this") {
		t.Errorf("said %q", out)
	}
	gone("a key revoked")
	if _, err := known.verify(sign(0)); err != nil { // its cache is good for a quarter of an hour, but it asks
		t.Errorf("a warm cache that asks when it meets an unknown kid: %v", err)
	}

	bad = append(bad, kidOf(sign(0)))
	p.ins[1].revokeKeys()
	followed()
	gone("all revoked")
	close(stop)
	wg.Wait()

	p.ins[1].stop()
	p.ins[1].run()
	gone("after a restart")

	// A backup from before brings nothing back where somebody has heard of it.
	if err := os.WriteFile(file+".new", before, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	time.Sleep(follow)
	gone("a backup put back")
	list, err := p.ins[0].command("kycvs", "keys", "list", "--config", p.ins[0].caddyfile).CombinedOutput()
	if err != nil || strings.Count(string(list), " revoked ") != len(bad) || strings.Count(string(list), " signing ") != 1 {
		t.Errorf("list: %v\n%s", err, list)
	}
}
