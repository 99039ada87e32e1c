package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state/redis/redistest"
)

// What fails, and what becomes of people meanwhile and afterwards: the rows of
// docs/failure.md.

// manyCodes is for tests that ask until they are answered.
const manyCodes = "\nlimits {\n codes_per_mobile 100000 24h\n codes_per_ip 100000 1h\n codes_total 100000 1m\n}"

// Redis is not there when the instances start: they serve, let those in who hold
// a pass, and are whole by themselves once it is.
func TestRedisGoneAtStart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := startFleet(t, 1, "state redis "+server.URL(), nil)
	holder, leaver, late := f.visitor(t), f.visitor(t), f.visitor(t)
	holder.signIn(asha, 0, 0)
	leaver.signIn(somebody(0), 0, 0)
	late.signIn(somebody(3), 0, 0)
	gone, lateGone := leaver.twin(), late.twin()
	if a := leaver.at(0).json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
		t.Fatal(a)
	}
	txn, code := f.visitor(t).at(0).ask(somebody(4))
	f.all[0].stop()
	server.Kill()
	f.all[0].run()

	v := f.visitor(t)
	refusedSoon(t, "asking", func() *answer { return v.at(0).wants(somebody(1)) })
	refusedSoon(t, "entering a code", func() *answer { return v.at(0).verify(txn, code) })
	refusedSoon(t, "withdrawing", func() *answer { return late.at(0).json("/.kycvs/withdraw", fields{}) })
	f.all[0].notReady(t, "state")
	if !holder.getsIn(0) {
		t.Error("whoever holds a pass is refused within state_grace")
	}
	if gone.getsIn(0) || lateGone.getsIn(0) {
		t.Error("a withdrawal of the own ledger does not count")
	}
	v.at(0).fetch("/ward/x").refuses(t, 401, "")

	server.Restart()
	within(t, 2*time.Second, "codes are sent", func() bool { return v.at(0).wants(somebody(2)).StatusCode == 200 })
	within(t, 2*time.Second, "ready", f.all[0].isReady)
	other := f.join() // its first configuration finds Redis as it should be
	within(t, 2*time.Second, "what was withdrawn at the first is known to the second", func() bool { return !gone.getsIn(1) && !lateGone.getsIn(1) })
	if !other.isReady() || !holder.getsIn(1) {
		t.Error("the second instance is not well")
	}
}

// Redis is killed while people are at it, and comes back empty.
func TestRedisKilledAndEmpty(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	const grace = 4 * time.Second
	f := startFleet(t, 2, fmt.Sprintf("state redis %s\nstate_grace %v\nlimits {\n codes_per_mobile 1 24h\n}", server.URL(), grace), nil)
	holder, leaver := f.visitor(t), f.visitor(t)
	holder.signIn(asha, 0, 1)
	leaver.signIn(somebody(0), 1, 0)
	gone := leaver.twin()
	if a := leaver.at(1).json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
		t.Fatal(a)
	}
	// What is withdrawn a moment before Redis dies is known to the others only when
	// it is back; this is known to them.
	within(t, time.Second, "the other instance knows", func() bool { return !gone.getsIn(0) })
	waiting := f.visitor(t)
	txn, code := waiting.at(0).ask(somebody(1))
	f.visitor(t).at(1).wants(somebody(1)).refuses(t, 429, "too_many_requests")

	server.Kill()
	killed := time.Now()
	for i, in := range f.all {
		refusedSoon(t, "asking", func() *answer { return f.visitor(t).at(i).wants(somebody(2)) })
		refusedSoon(t, "asking again", func() *answer { return waiting.at(i).json("/.kycvs/otp", fields{"txnId": txn}) })
		refusedSoon(t, "entering the code", func() *answer { return waiting.at(i).verify(txn, code) })
		in.notReady(t, "state")
		if in.metric(t, "caddy_kycvs_handshakes_total", `outcome="unavailable"`) < 3 {
			t.Error("the metric does not tell of it")
		}
		if !holder.getsIn(i) && time.Since(killed) < grace-time.Second {
			t.Errorf("whoever holds a pass is refused at instance %d within state_grace", i)
		}
		if gone.getsIn(i) {
			t.Errorf("instance %d lets in who withdrew", i)
		}
	}
	// the page says so in words, with the same status
	page := f.visitor(t).at(0).form("/.kycvs/otp", map[string][]string{"mobile_number": {number(2)}, "full_name": {"Some Body"}, "consent": {"Y"}})
	if page.StatusCode != 503 || page.Header.Get("Retry-After") == "" || !strings.Contains(page.Header.Get("Content-Type"), "html") {
		t.Errorf("the page: %v", page)
	}

	for i := range f.all {
		within(t, grace+time.Second, "the pass ends with state_grace", func() bool { return !holder.getsIn(i) })
		if took := time.Since(killed); took < grace-time.Second {
			t.Errorf("the pass ended after %v, want state_grace, %v", took, grace)
		}
		holder.at(i).fetch("/ward/x").refuses(t, 503, "unavailable")
		holder.at(i).fetch("/.kycvs/pass").refuses(t, 503, "unavailable")
		if a := holder.at(i).navigate("/ward/x"); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
			t.Errorf("a navigation: %v", a)
		}
		f.visitor(t).at(i).fetch("/ward/x").refuses(t, 401, "")
	}

	server.Restart()
	for i := range f.all {
		within(t, 2*time.Second, "passes count again", func() bool { return holder.getsIn(i) })
		if gone.getsIn(i) {
			t.Errorf("instance %d lets in who withdrew", i)
		}
		waiting.at(i).verify(txn, code).refuses(t, 401, "txn_unknown")
	}
	txn, code = waiting.at(1).ask(somebody(1)) // what was counted is forgotten
	if a := waiting.at(0).verify(txn, code); a.StatusCode != 200 {
		t.Errorf("starting again: %v", a)
	}
	f.join() // has a ledger of its own, which is empty
	took := within(t, 2*time.Second, "an instance that starts now is told of withdrawals", func() bool { return !gone.getsIn(2) })
	t.Logf("a new instance knew after %v", took.Round(time.Millisecond))
	if !holder.getsIn(2) {
		t.Error("the new instance refuses who holds a pass")
	}
}

// Redis hangs, and goes on as if nothing had been: nor was there for the people.
func TestRedisHangs(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := startFleet(t, 2, "state redis "+server.URL(), nil)
	holder, waiting, leaver := f.visitor(t), f.visitor(t), f.visitor(t)
	holder.signIn(asha, 0, 1)
	leaver.signIn(somebody(0), 0, 1)
	gone := leaver.twin()
	txn, code := waiting.at(0).ask(somebody(1))
	sent := f.sms.count()

	server.Pause()
	for i, in := range f.all {
		refusedSoon(t, "asking", func() *answer { return f.visitor(t).at(i).wants(somebody(2)) })
		if !holder.getsIn(i) {
			t.Errorf("whoever holds a pass is refused at instance %d", i)
		}
		in.notReady(t, "state")
	}
	refusedSoon(t, "entering the code", func() *answer { return waiting.at(1).verify(txn, code) })
	waiting.at(0).fetch("/ward/x").refuses(t, 401, "")
	m := refusedSoon(t, "withdrawing", func() *answer { return leaver.at(0).json("/.kycvs/withdraw", fields{}) })
	if d := m.str("detail"); !strings.Contains(d, "taken back here") || !strings.Contains(d, "could not be told yet") {
		t.Errorf("withdrawing says %q", d)
	}
	if gone.getsIn(0) {
		t.Error("a withdrawal does not count where it was made")
	}
	if f.sms.count() != sent {
		t.Error("messages were sent")
	}

	server.Resume()
	within(t, 2*time.Second, "the other instance knows", func() bool { return !gone.getsIn(1) })
	if a := waiting.at(0).verify(txn, code); a.StatusCode != 200 {
		t.Errorf("the same code again: %v", a)
	}
	if a := leaver.at(0).json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
		t.Errorf("withdrawing again: %v", a)
	}
	for i, in := range f.all {
		within(t, 2*time.Second, "ready", in.isReady)
		if !holder.getsIn(i) {
			t.Errorf("whoever holds a pass is refused at instance %d", i)
		}
	}
}

// Redis answers late, and always within what a step may take: all goes on.
func TestRedisSlow(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := startFleet(t, 2, "state redis "+server.URL(), nil)
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() { // SIGSTOP for 60 of every 80 ms
		defer close(stopped)
		for {
			server.Pause()
			time.Sleep(60 * time.Millisecond)
			server.Resume()
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() {
		close(done)
		<-stopped
	})
	for i := range 4 {
		v := f.visitor(t)
		v.signIn(somebody(i), i, i+1)
		if !v.getsIn(i) {
			t.Errorf("handshake %d", i)
		}
		old := v.twin()
		if a := v.at(i).json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
			t.Errorf("withdrawing: %v", a)
		}
		within(t, time.Second, "refused at the other", func() bool { return !old.getsIn(i + 1) })
	}
}

// Somebody withdraws while Redis is away, at an instance that is then killed:
// the others are told when both are back, out of its ledger.
func TestWithdrawnWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := startFleet(t, 2, "state redis "+server.URL(), nil)
	leaver := f.visitor(t)
	leaver.signIn(asha, 1, 0)
	gone := leaver.twin()
	server.Kill()
	m := refusedSoon(t, "withdrawing", func() *answer { return leaver.at(0).json("/.kycvs/withdraw", fields{}) })
	if !strings.Contains(m.str("detail"), "that is recorded") {
		t.Errorf("withdrawing says %q", m.str("detail"))
	}
	page := leaver.at(0).submit(withdrawForm(t, gone.at(1).navigate("/.kycvs/pass")))
	if page.StatusCode != 503 || !strings.Contains(string(page.body), "Not everywhere yet") {
		t.Errorf("the page: %v", page)
	}
	if !gone.getsIn(1) {
		t.Error("the other instance knows already: this test shows nothing")
	}
	f.all[0].kill()
	f.all[0].run()
	if gone.getsIn(0) {
		t.Error("the withdrawal did not survive kill -9")
	}
	server.Restart()
	took := within(t, 2*time.Second, "the other instance knows", func() bool { return !gone.getsIn(1) })
	t.Logf("known %v after Redis answered", took.Round(time.Millisecond))
	if gone.getsIn(0) {
		t.Error("the withdrawal is forgotten where it was made")
	}
	if a := leaver.at(0).json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
		t.Errorf("withdrawing again: %v", a)
	}
}

// The primary server is killed and a replica takes its place.
func TestRedisFailsOver(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	f := startFleet(t, 2, "state redis "+s.URLs()[0]+" {\n sentinel "+s.Name+"\n}"+manyCodes, nil)
	holder, waiting, leaver, late := f.visitor(t), f.visitor(t), f.visitor(t), f.visitor(t)
	holder.signIn(asha, 0, 1)
	leaver.signIn(somebody(0), 0, 1)
	late.signIn(somebody(4), 0, 1)
	gone, lateGone := leaver.twin(), late.twin()
	txn, code := waiting.at(0).ask(somebody(1))
	time.Sleep(500 * time.Millisecond) // the replica has this
	if a := leaver.at(0).json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
		t.Fatal(a)
	}
	s.Primary.Kill() // and need not have that
	refusedSoon(t, "asking", func() *answer { return f.visitor(t).at(0).wants(somebody(2)) })
	refusedSoon(t, "withdrawing", func() *answer { return late.at(0).json("/.kycvs/withdraw", fields{}) })
	if !holder.getsIn(0) || !holder.getsIn(1) {
		t.Error("whoever holds a pass is refused")
	}
	n := 0
	took := within(t, 20*time.Second, "codes are sent again", func() bool {
		a := f.visitor(t).at(n).wants(somebody(3))
		n++
		if a.StatusCode != 200 {
			a.refuses(t, 503, "unavailable")
		}
		return a.StatusCode == 200
	})
	t.Logf("failed over within %v", took.Round(100*time.Millisecond))
	for i := range f.all {
		within(t, 2*time.Second, "ready", f.all[i].isReady)
		within(t, 2*time.Second, "withdrawn", func() bool { return !gone.getsIn(i) && !lateGone.getsIn(i) })
	}
	if a := waiting.at(1).verify(txn, code); a.StatusCode != 200 {
		t.Errorf("a handshake that the replica had: %v", a)
	}
	f.join()
	within(t, 2*time.Second, "an instance that starts now is told of withdrawals", func() bool { return !gone.getsIn(2) })
	if !holder.getsIn(2) {
		t.Error("the new instance refuses who holds a pass")
	}
}

// A server of a cluster is killed that has no replica: what lies in its part of
// the keys is gone, and with cluster-require-full-coverage, Redis' default, all
// steps are refused until it is back.
func TestClusterNodeKilled(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3)
	f := startFleet(t, 2, "state redis "+strings.Join(c.URLs(), " ")+manyCodes, nil)
	holder, leaver := f.visitor(t), f.visitor(t)
	holder.signIn(asha, 0, 1)
	leaver.signIn(somebody(0), 0, 1)
	gone := leaver.twin()
	if a := leaver.at(0).json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
		t.Fatal(a)
	}
	within(t, time.Second, "the other instance knows", func() bool { return !gone.getsIn(1) })
	for _, server := range c.Servers {
		server.Kill()
		sawIt := false
		for i := range 10 {
			began := time.Now()
			a := f.visitor(t).at(i).wants(somebody(i))
			if took := time.Since(began); took > soon(3*time.Second) {
				t.Errorf("whoever asked waited %v", took)
			}
			if a.StatusCode != 200 {
				a.refuses(t, 503, "unavailable")
				sawIt = true
			}
			if !holder.getsIn(i) || gone.getsIn(i) {
				t.Fatalf("instance %d no longer knows who holds a pass", i)
			}
		}
		if !sawIt {
			t.Error("a third of the keys is gone and nobody notices")
		}
		server.Restart()
		for i, in := range f.all {
			within(t, 10*time.Second, "ready", in.isReady)
			within(t, 10*time.Second, "handshakes go on", func() bool {
				return f.visitor(t).at(i).wants(somebody(i)).StatusCode == 200
			})
			if !holder.getsIn(i) || gone.getsIn(i) {
				t.Errorf("instance %d no longer knows who holds a pass", i)
			}
		}
	}
	f.join()
	within(t, 2*time.Second, "an instance that starts now is told of withdrawals", func() bool { return !gone.getsIn(2) })
}

// A server of a cluster is killed that has a replica, which takes its place.
func TestClusterFailsOver(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3)
	replica := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000")
	replica.Do("CLUSTER", "MEET", "127.0.0.1", c.Servers[0].Port)
	client, of := replica.Client(), c.Servers[0].Do("CLUSTER", "MYID")
	redistest.Eventually(t, patience, func() error { return client.Do(t.Context(), "CLUSTER", "REPLICATE", of).Err() })
	redistest.Eventually(t, patience, func() error {
		if info := fmt.Sprint(replica.Do("INFO", "replication")); !strings.Contains(info, "master_link_status:up") {
			return errors.New(info)
		}
		return nil
	})
	f := startFleet(t, 2, "state redis "+strings.Join(c.URLs(), " ")+manyCodes, nil)
	holder, leaver := f.visitor(t), f.visitor(t)
	holder.signIn(asha, 0, 1)
	leaver.signIn(somebody(0), 0, 1)
	gone := leaver.twin()
	if a := leaver.at(0).json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
		t.Fatal(a)
	}
	within(t, time.Second, "the other instance knows", func() bool { return !gone.getsIn(1) })
	time.Sleep(500 * time.Millisecond) // the replica has all that
	c.Servers[0].Kill()
	good, n := 0, 0 // handshakes in a row: their keys are spread over all servers
	took := within(t, 20*time.Second, "handshakes go on", func() bool {
		good, n = good+1, n+1
		began := time.Now()
		a := f.visitor(t).at(n).wants(somebody(1000 + 10*n))
		if took := time.Since(began); took > soon(3*time.Second) {
			t.Errorf("whoever asked waited %v", took)
		}
		if a.StatusCode != 200 {
			a.refuses(t, 503, "unavailable")
			good = 0
		}
		if !holder.getsIn(n) || gone.getsIn(n) {
			t.Fatal("an instance no longer knows who holds a pass")
		}
		return good == 30
	})
	t.Logf("failed over within %v", took.Round(100*time.Millisecond))
	for i := range f.all {
		within(t, 2*time.Second, "ready", f.all[i].isReady)
	}
	f.visitor(t).signIn(somebody(2), 0, 1)
	f.join()
	within(t, 2*time.Second, "an instance that starts now is told of withdrawals", func() bool { return !gone.getsIn(2) })
}

// Redis is full and forgets nothing: nobody new, nothing lost.
func TestRedisFull(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory", "100mb", "--maxmemory-policy", "noeviction")
	f := startFleet(t, 2, "state redis "+server.URL()+"\nlimits {\n wrong_per_mobile 3 24h\n}", nil)
	holder, waiting, leaver := f.visitor(t), f.visitor(t), f.visitor(t)
	holder.signIn(asha, 0, 1)
	leaver.signIn(somebody(0), 0, 1)
	gone := leaver.twin()
	txn, code := waiting.at(0).ask(somebody(1))
	guessed := f.visitor(t)
	hit, _ := guessed.at(0).ask(somebody(2))
	for range 3 {
		guessed.at(0).verify(hit, "000000")
	}

	server.Do("CONFIG", "SET", "maxmemory", "1") // less than it has: it is full
	sent := f.sms.count()
	for i := range f.all {
		refusedSoon(t, "asking", func() *answer { return f.visitor(t).at(i).wants(somebody(3)) })
		refusedSoon(t, "entering a code that cannot be counted", func() *answer { return waiting.at(i).verify(txn, wrong(code)) })
		if !holder.getsIn(i) {
			t.Errorf("whoever holds a pass is refused at instance %d", i)
		}
		// who guessed too often is not let off
		if a := guessed.at(i).verify(hit, "111111"); a.StatusCode != 401 && a.StatusCode != 503 {
			t.Errorf("a fourth guess: %v", a)
		}
	}
	if f.sms.count() != sent {
		t.Error("messages were sent")
	}
	if a := leaver.at(0).json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
		t.Errorf("withdrawing: %v", a)
	}
	within(t, time.Second, "all refuse what was withdrawn", func() bool { return !gone.getsIn(0) && !gone.getsIn(1) })
	server.Do("CONFIG", "SET", "maxmemory", "100mb")
	if a := waiting.at(1).verify(txn, code); a.StatusCode != 200 {
		t.Errorf("the code, once there is room: %v", a)
	}
	guessed.at(1).verify(hit, "222222").refuses(t, 401, "otp_attempts")
}

// Redis may forget entries when it is full: it is not used, and the log says what
// to write there.
func TestRedisEvicts(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	f := startFleet(t, 2, "state redis "+server.URL(), nil)
	f.all[0].log.wait(t, "set `maxmemory-policy noeviction`")
	for i, in := range f.all {
		refusedSoon(t, "asking", func() *answer { return f.visitor(t).at(i).wants(somebody(1)) })
		in.notReady(t, "state")
	}
	server.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	for i, in := range f.all {
		within(t, 4*time.Second, "ready", in.isReady)
		within(t, 2*time.Second, "codes are sent", func() bool { return f.visitor(t).at(i).wants(somebody(2)).StatusCode == 200 })
	}
	// somebody changes it under way
	v, leaver := f.visitor(t), f.visitor(t)
	v.signIn(asha, 0, 1)
	leaver.signIn(somebody(0), 0, 1)
	gone := leaver.twin()
	server.Do("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
	for i, in := range f.all {
		in.notReady(t, "state") // looking at it is what finds it at once; else it is found within a minute
		refusedSoon(t, "asking", func() *answer { return f.visitor(t).at(i).wants(somebody(3)) })
		if !v.getsIn(i) {
			t.Errorf("whoever holds a pass is refused at instance %d", i)
		}
	}
	refusedSoon(t, "withdrawing", func() *answer { return leaver.at(0).json("/.kycvs/withdraw", fields{}) })
	server.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	within(t, 4*time.Second, "all refuse what was withdrawn", func() bool { return !gone.getsIn(0) && !gone.getsIn(1) })
}

// Senders that are gone and slow: the next one is used, and what was charged for
// a message that nobody sent is given back, at all instances.
func TestSendersGone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := startFleet(t, 2, "state redis "+server.URL()+"\nlimits {\n codes_per_mobile 1 24h\n codes_total 3 1h\n}", func(_ int, s *setup) {
		s.sender = "sms http http://127.0.0.1:1/down\nsms http %SMS%"
	})
	v := f.visitor(t)
	began := time.Now()
	txn, code := v.at(0).ask(somebody(0))
	if took := time.Since(began); took > soon(3*time.Second) {
		t.Errorf("with the first sender gone whoever asks waits %v", took)
	}
	if a := v.at(1).verify(txn, code); a.StatusCode != 200 {
		t.Errorf("got %v", a)
	}
	f.sms.answers(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadRequest) })
	for i := range 4 {
		refusedSoon(t, "with all senders gone", func() *answer { return f.visitor(t).at(i).wants(somebody(1)) })
	}
	f.sms.answers(nil)
	other := f.visitor(t)
	txn, code = other.at(1).ask(somebody(1)) // of one code for the number and two in total, none was spent
	if a := other.at(0).verify(txn, code); a.StatusCode != 200 {
		t.Errorf("got %v", a)
	}

	var calls atomic.Int32
	f.sms.answers(func(_ http.ResponseWriter, r *http.Request) { // one that hangs
		calls.Add(1)
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	began = time.Now()
	a := f.visitor(t).at(0).wants(somebody(2))
	if took := time.Since(began); took > soon(2500*time.Millisecond) || a.StatusCode != 200 {
		t.Errorf("with a sender that hangs: %v after %v, want 200 within two seconds", a, took)
	}
	if calls.Load() == 0 {
		t.Error("the second sender was not asked")
	}
}

// The registry of one instance does not answer: the code is not lost, and is good
// at another whose registry does.
func TestRegistryGone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := startFleet(t, 2, "state redis "+server.URL(), func(i int, s *setup) {
		if i == 0 {
			s.registry = "registry postgres postgres://nobody@127.0.0.1:1/none"
		}
	})
	f.all[0].notReady(t, "registry")
	v := f.visitor(t)
	txn, code := v.at(0).ask(asha) // asking never asks the registry
	for range 4 {                  // more often than there are tries: none is spent
		refusedSoon(t, "entering the code", func() *answer { return v.at(0).verify(txn, code) })
	}
	v.at(0).fetch("/ward/x").refuses(t, 401, "")
	if a := v.at(1).verify(txn, code); a.StatusCode != 200 {
		t.Fatalf("the same code at the other instance: %v", a)
	}
	if !v.getsIn(0) {
		t.Error("the pass does not count where the registry is gone")
	}
	if a := v.at(0).json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
		t.Errorf("withdrawing where the registry is gone: %v", a)
	}
}

// Caddy's storage, with the keys and the secret in it, cannot be reached: an
// instance that runs goes on, one that starts does not.
func TestStorageGone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := startFleet(t, 2, "state redis "+server.URL(), nil)
	v := f.visitor(t)
	v.signIn(somebody(0), 0, 1)
	away := f.storage + ".away"
	if err := os.Rename(f.storage, away); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.storage, nil, 0o600); err != nil { // nothing can be read or written below a file, not even by root
		t.Fatal(err)
	}
	for i := range f.all {
		other := f.visitor(t)
		keys := other.at(i).keys()
		check(t, keys, other.signIn(somebody(1+i), i, i+1).str("assertion"), "work.example")
		if !v.getsIn(i) || !other.getsIn(i) {
			t.Errorf("whoever holds a pass is refused at instance %d", i)
		}
		if a := other.at(i).json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
			t.Errorf("withdrawing: %v", a)
		}
	}
	late := prepare(t, f.setup())
	cmd := late.command("run", "--config", late.caddyfile, "--adapter", "caddyfile")
	out, err := endsSoon(t, cmd)
	if err == nil || !strings.Contains(out, "storage") && !strings.Contains(out, f.storage) {
		t.Errorf("starting without the storage: %v\n%s", err, out)
	}
	if err := os.Remove(f.storage); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, f.storage); err != nil {
		t.Fatal(err)
	}
	f.join()
	if !v.getsIn(2) {
		t.Error("an instance that starts once the storage is back refuses who holds a pass")
	}
}

// endsSoon runs a command that is to end by itself, and returns what it wrote.
func endsSoon(t testing.TB, cmd *exec.Cmd) (string, error) {
	t.Helper()
	out := &logged{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer late.Stop()
	err := cmd.Wait()
	return out.String(), err
}
