package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fleet is several instances behind a load balancer: one site, one storage, one
// Redis; a ledger and an application's end of the line for each.
type fleet struct {
	t   testing.TB
	all []*instance
	sms *phones
	up  *upstream

	storage, kycvs string
	change         func(i int, s *setup)
}

// fleetSite is what people see of a fleet, whichever instance they get to.
const fleetSite = "http://work.example"

// fleetPeople is somebody for every number(i): a crowd, so that each test has
// people of its own.
var fleetPeople = func() string {
	rows := people
	for i := range 40 {
		rows += fmt.Sprintf("%s,Some Body,JANSSEN,1,1,2021-05-01,1990,3%013d,completed\n", number(i), i)
	}
	return rows
}()

// somebody is one of fleetPeople.
func somebody(i int) person { return person{number(i), "Some Body", 2} }

// startFleet starts n instances with these lines in their kycvs block. change,
// if not nil, may make one different from the others.
func startFleet(t testing.TB, n int, kycvs string, change func(i int, s *setup)) *fleet {
	t.Helper()
	f := &fleet{t: t, sms: newPhones(t), up: newUpstream(t), storage: t.TempDir(), kycvs: kycvs, change: change}
	for range n {
		f.join()
	}
	return f
}

// join starts one more.
func (f *fleet) join() *instance {
	f.t.Helper()
	in := start(f.t, f.setup())
	f.all = append(f.all, in)
	return in
}

// setup is the next instance's.
func (f *fleet) setup() setup {
	s := setup{
		global: "metrics\nstorage file_system " + f.storage,
		kycvs:  "issuer https://work.example\nledger file %DIR%/consents\n" + f.kycvs,
		people: fleetPeople,
		sms:    f.sms, upstream: f.up,
		second: len(f.all) > 0,
		sites:  fleetSite + " {\n kycvs /ward/* 2\n reverse_proxy %UP%\n}\n",
	}
	if f.change != nil {
		f.change(len(f.all), &s)
	}
	return s
}

// last is the number of the instance that joined last.
func (f *fleet) last() int { return len(f.all) - 1 }

// visitor is a browser whose requests the load balancer sends now here, now
// there.
type visitor struct {
	f   *fleet
	t   testing.TB
	jar http.CookieJar
}

func (f *fleet) visitor(t testing.TB) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{f, t, jar}
}

// at is the visitor whose requests get to instance i.
func (v *visitor) at(i int) *browser {
	in := v.f.all[i%len(v.f.all)]
	return &browser{t: v.t, in: in, base: fleetSite, jar: v.jar, c: &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", strconv.Itoa(in.httpPort)))
			},
			DisableKeepAlives: true, // instances come and go
		},
		Jar:           v.jar,
		Timeout:       2 * patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// twin is somebody with a copy of the visitor's cookies, which stays when the
// visitor's are taken away.
func (v *visitor) twin() *visitor {
	v.t.Helper()
	c := v.f.visitor(v.t)
	u, _ := url.Parse(fleetSite)
	c.jar.SetCookies(u, v.jar.Cookies(u))
	return c
}

// signIn runs a handshake that begins at one instance and ends at another.
func (v *visitor) signIn(p person, ask, confirm int) fields {
	v.t.Helper()
	txn, code := v.at(ask).ask(p)
	a := v.at(confirm).verify(txn, code)
	if a.StatusCode != 200 {
		v.t.Fatalf("asked at %d, confirmed at %d: %v", ask, confirm, a)
	}
	return a.object(v.t)
}

// getsIn tells whether instance i lets the visitor through.
func (v *visitor) getsIn(i int) bool { return v.at(i).fetch("/ward/x").StatusCode == 200 }

// volley sends n requests at once, in turn to all instances, and counts the
// outcomes.
func (f *fleet) volley(n int, send func(i int) (*answer, error)) map[string]int {
	outcomes := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	turns := make(chan int)
	for range 50 {
		wg.Go(func() {
			for i := range turns {
				a, err := send(i)
				outcome := fmt.Sprint(err)
				if err == nil {
					var m fields
					json.Unmarshal(a.body, &m)
					outcome = strings.TrimSpace(fmt.Sprint(a.StatusCode, " ", m.str("code")))
					if left, ok := m["attempts_left"]; ok && a.StatusCode != 200 {
						outcome += fmt.Sprint(", left ", left)
					}
				}
				mu.Lock()
				outcomes[outcome]++
				mu.Unlock()
			}
		})
	}
	for i := range n {
		turns <- i
	}
	close(turns)
	wg.Wait()
	return outcomes
}

// soon is how long something may take that is to be done within d; the race
// detector makes everything slower.
func soon(d time.Duration) time.Duration {
	if raceDetector {
		return 3 * d
	}
	return d
}

// within waits until is, looking every 20 ms, and fails the test if that takes
// longer than d. It returns how long it took.
func within(t testing.TB, d time.Duration, what string, is func() bool) time.Duration {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		ok := is()
		took := time.Since(began)
		switch {
		case took > soon(d):
			t.Fatalf("not within %v, but %v later (%v): %s", d, took.Round(time.Millisecond), ok, what)
		case ok:
			return took
		}
	}
}

// refusedSoon checks that somebody who needs what does not answer is told so,
// with Retry-After, before they have waited three seconds.
func refusedSoon(t testing.TB, what string, do func() *answer) fields {
	t.Helper()
	began := time.Now()
	a := do()
	if took := time.Since(began); took > soon(3*time.Second) {
		t.Errorf("%s: whoever asked waited %v", what, took)
	}
	if a.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("%s: got %v, want 503", what, a)
	}
	return a.refuses(t, http.StatusServiceUnavailable, "unavailable")
}

// notReady checks that readiness names what does not answer, and only that.
func (in *instance) notReady(t testing.TB, what string) {
	t.Helper()
	if code, body := in.adminGet("/kycvs/ready"); code != 503 || !strings.Contains(body, `"not_answering":["`+what+`"]`) {
		t.Errorf("ready is %d %s, want 503 and %s", code, strings.TrimSpace(body), what)
	}
}

// isReady tells whether all answers.
func (in *instance) isReady() bool {
	code, _ := in.adminGet("/kycvs/ready")
	return code == 200
}
