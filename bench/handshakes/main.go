// Command handshakes measures whole handshakes over HTTP: code asked for, text
// message received, code entered, assertion in hand.
//
//	go run ./bench/handshakes [-api] [-redis URL] [-in-flight N,N,…] [-seconds N] [-clients N] [-instances N]
//
// With -api it is a partner's program that asks an authority: generateOTP,
// confirmOTP and status, with a code in the form that CoWIN's clients send; and
// then the status call alone, with tokens that were got before.
//
// It builds the real binary, runs it with as many other handshakes under way as
// -in-flight says, and prints for each of these how many whole handshakes there
// are in a second and what one costs the gate's process in CPU time. On Linux
// with two cores or more, each instance has a core of its own (GOMAXPROCS=1 and
// sched_setaffinity by `taskset`) and the load, the registry of text messages
// and Redis share the others.
//
// The ledger is a real one, on the disk of -dir: each handshake is a record that
// is synced, several at once in one write. CPU time is the figure that
// neighbours on the machine spoil least.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
)

type options struct {
	redis     string
	inFlight  string
	seconds   int
	clients   int
	instances int
	dir       string
	profile   string
	binary    string
	api       bool
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("handshakes: ")
	var o options
	flag.StringVar(&o.redis, "redis", "", "keep state in this Redis, e.g. redis://127.0.0.1:6379/9; default: in memory")
	flag.StringVar(&o.inFlight, "in-flight", "1000,10000,100000,1000000", "how many other handshakes are under way, one run for each")
	flag.IntVar(&o.seconds, "seconds", 10, "length of a run")
	flag.IntVar(&o.clients, "clients", 16, "handshakes made at once")
	flag.IntVar(&o.instances, "instances", 1, "instances of the gate, asked in turn")
	flag.StringVar(&o.dir, "dir", "", "where to put the binary, the ledger and the rest; default: a temporary directory")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the first instance's last run to this file")
	flag.StringVar(&o.binary, "binary", "", "use this binary; default: build ./cmd/caddy")
	flag.BoolVar(&o.api, "api", false, "ask an authority by its API instead of a gate's pages")
	flag.Parse()
	if err := run(o); err != nil {
		log.Fatal(err)
	}
}

func run(o options) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "kycvs-handshakes-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
	} else if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	if o.binary == "" {
		o.binary = filepath.Join(o.dir, "caddy")
		if out, err := exec.Command("go", "build", "-o", o.binary, "./cmd/caddy").CombinedOutput(); err != nil {
			return fmt.Errorf("building ./cmd/caddy: %w: %s", err, out)
		}
	}
	var sizes []int
	for s := range strings.SplitSeq(o.inFlight, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 0 {
			return fmt.Errorf("-in-flight %q: write numbers, separated by commas", o.inFlight)
		}
		sizes = append(sizes, n)
	}
	fmt.Printf("%-15s %10s %8s %12s %14s %12s\n", "state", "in flight", "clients", "answers/s", "CPU each", "RSS MiB")
	for i, n := range sizes {
		profile := ""
		if i == len(sizes)-1 {
			profile = o.profile
		}
		if err := measure(o, n, profile); err != nil {
			return err
		}
	}
	return nil
}

// measure runs the instances anew, fills them, loads them.
func measure(o options, inFlight int, profile string) error {
	phones := newPhones()
	sink, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: phones}
	go server.Serve(sink)
	defer server.Close()

	if err := writePeople(filepath.Join(o.dir, "people.csv")); err != nil {
		return err
	}
	byAPI = o.api
	var all []*instance
	defer func() {
		for _, in := range all {
			in.stop()
		}
	}()
	for i := range o.instances {
		in, err := start(o, i, sink.Addr().String(), inFlight)
		if err != nil {
			return err
		}
		all = append(all, in)
	}
	c := newClient(o.clients)
	if err := fill(c, all, inFlight); err != nil {
		return err
	}
	phones.forget()

	// a short run first, so that connections, caches and the heap are as they stay
	if _, err := load(c, phones, all, o.clients, 2*time.Second); err != nil {
		return err
	}
	profiled := make(chan error, 1)
	if profile != "" {
		go func() { profiled <- all[0].profile(profile, o.seconds) }()
	} else {
		profiled <- nil
	}
	before := cpuOf(all)
	began := time.Now()
	work := time.Duration(o.seconds) * time.Second
	n, err := load(c, phones, all, o.clients, work)
	if err != nil {
		return err
	}
	took := time.Since(began)
	spent := cpuOf(all) - before
	name := "memory"
	if o.redis != "" {
		name = "redis"
	}
	line := func(what string, n int, took, spent time.Duration) {
		fmt.Printf("%-15s %10d %8d %12.0f %14s %12.0f\n", what, inFlight, o.clients, float64(n)/took.Seconds(),
			(spent / time.Duration(max(n, 1))).Round(time.Microsecond), rssOf(all))
	}
	line(name, n, took, spent)
	if err := <-profiled; err != nil || !o.api {
		return err
	}
	token, err := order(c, phones, all[0], all[0], numberOf(0))
	if err != nil {
		return err
	}
	before, began = cpuOf(all), time.Now()
	n, err = each(o.clients, work, func(i int) error { return status(c, all[i%len(all)], token) })
	if err != nil {
		return err
	}
	line(name+", status", n, time.Since(began), cpuOf(all)-before)
	return nil
}

// phones takes the text messages.
type phones struct {
	mu    sync.Mutex
	codes map[string]string
}

func newPhones() *phones { return &phones{codes: map[string]string{}} }

func (p *phones) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var m struct{ Code, TxnID string }
	if json.NewDecoder(r.Body).Decode(&m) == nil {
		p.mu.Lock()
		p.codes[m.TxnID] = m.Code
		p.mu.Unlock()
	}
}

func (p *phones) take(txn string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	code := p.codes[txn]
	delete(p.codes, txn)
	return code
}

func (p *phones) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.codes)
}

const people = 1000

func numberOf(i int) string { return fmt.Sprintf("9%09d", i) }

func writePeople(path string) error {
	var b bytes.Buffer
	b.WriteString("mobile_number,full_name,vaccine,dose,total_doses,date\n")
	for i := range people {
		fmt.Fprintf(&b, "%s,Asha Rao,COVISHIELD,1,2,2021-05-01\n%s,Asha Rao,COVISHIELD,2,2,2021-08-01\n", numberOf(i), numberOf(i))
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}

// instance is one process of the gate.
type instance struct {
	cmd         *exec.Cmd
	site, admin string
}

func start(o options, i int, sink string, inFlight int) (*instance, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	in := &instance{site: "http://127.0.0.1:" + ports[0], admin: "127.0.0.1:" + ports[1]}
	state := fmt.Sprintf("state memory {\n\t\t\tmax_handshakes %d\n\t\t\tmax_counters %d\n\t\t}", 2*inFlight+1_000_000, 4*inFlight+2_000_000)
	if o.redis != "" {
		state = "state redis " + o.redis
	}
	handler := "kycvs 0 {\n\t\tpartner bench\n\t}"
	if o.api {
		handler = "kycvs_authority"
	}
	data := filepath.Join(o.dir, "data")
	conf := filepath.Join(o.dir, fmt.Sprintf("Caddyfile.%d", i))
	err = os.WriteFile(conf, fmt.Appendf(nil, `{
	admin %s
	auto_https off
	log {
		level ERROR
	}
	storage file_system %s
	kycvs {
		registry csv %s
		sms http http://%s/
		%s
		ledger file %s
		secret a-secret-of-the-bench-long-enough
		issuer http://bench.example
		otp {
			lifetime 15m
		}
		limits {
			codes_per_mobile 1000000000 24h
			wrong_per_mobile 1000000000 24h
			codes_per_ip 1000000000 1h
			codes_total 1000000000 1m
		}
		partner bench {
			purpose "Measuring"
			key_hash %s
			codes 1000000000 1h
		}
	}
}

%s {
	%s
	respond ok
}
`, in.admin, data, filepath.Join(o.dir, "people.csv"), sink, state, filepath.Join(o.dir, fmt.Sprintf("ledger.%d", i)), authflow.HashKey(key), in.site, handler), 0o600)
	if err != nil {
		return nil, err
	}
	args := []string{o.binary, "run", "--config", conf, "--adapter", "caddyfile"}
	if _, err := exec.LookPath("taskset"); err == nil && runtime.NumCPU() > o.instances {
		args = append([]string{"taskset", "-c", strconv.Itoa(i)}, args...)
		pinSelf(o.instances)
	}
	in.cmd = exec.Command(args[0], args[1:]...)
	in.cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "XDG_DATA_HOME="+data, "XDG_CONFIG_HOME="+data)
	in.cmd.Stderr = os.Stderr
	if err := in.cmd.Start(); err != nil {
		return nil, err
	}
	for range 300 {
		if r, err := http.Get("http://" + in.admin + "/kycvs/ready"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return in, nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	in.stop()
	return nil, errors.New("the gate does not become ready")
}

func (in *instance) stop() {
	_ = in.cmd.Process.Kill()
	_ = in.cmd.Wait()
}

// pinSelf leaves the first n cores to the instances.
func pinSelf(n int) {
	_ = exec.Command("taskset", "-a", "-c", "-p", fmt.Sprintf("%d-%d", n, runtime.NumCPU()-1), strconv.Itoa(os.Getpid())).Run()
}

func (in *instance) profile(path string, seconds int) error {
	r, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", in.admin, seconds))
	if err != nil {
		return err
	}
	defer r.Body.Close()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r.Body)
	return errors.Join(err, f.Close())
}

func freePorts(n int) (ports []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}

func newClient(clients int) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: clients * 2}}
}

type asked struct {
	TxnID string `json:"txnId"`
}

// post sends JSON and reads JSON, and returns the cookie that was set.
func post(c *http.Client, address, cookie string, body string, answer any) (string, error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	if byAPI {
		r.Header.Set("x-api-key", key)
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	resp, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", address, resp.Status, b)
	}
	for _, k := range resp.Cookies() {
		cookie = k.Name + "=" + k.Value
	}
	return cookie, json.Unmarshal(b, answer)
}

// key is the partner's, where it asks by the API.
var key = authflow.NewPartnerKey()

// byAPI says that it does.
var byAPI bool

func ask(c *http.Client, in *instance, number string) (txn, cookie string, err error) {
	if byAPI {
		var a asked
		_, err := post(c, in.site+"/api/v3/vaccination/generateOTP", "", `{"mobile_number":"`+number+`","full_name":"Asha Rao","consent":"Y"}`, &a)
		return a.TxnID, "", err
	}
	var a asked
	cookie, err = post(c, in.site+"/.kycvs/otp", "", `{"mobile_number":"`+number+`","full_name":"Asha Rao","consent":"Y"}`, &a)
	return a.TxnID, cookie, err
}

// fill begins n handshakes that nobody finishes.
func fill(c *http.Client, all []*instance, n int) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	for range 32 {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || failed.Load() != nil {
					return
				}
				if _, _, err := ask(c, all[i%len(all)], numberOf(people+i)); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// load makes whole handshakes for the given time and returns how many. With
// several instances a code is entered at another one than it was asked of.
func load(c *http.Client, p *phones, all []*instance, clients int, d time.Duration) (int, error) {
	return each(clients, d, func(i int) error {
		first, second := all[i%len(all)], all[(i+1)%len(all)]
		if !byAPI {
			return one(c, p, first, second, numberOf(i%people))
		}
		token, err := order(c, p, first, second, numberOf(i%people))
		if err != nil {
			return err
		}
		return status(c, first, token)
	})
}

// order gets a token by the API.
func order(c *http.Client, p *phones, first, second *instance, number string) (string, error) {
	txn, _, err := ask(c, first, number)
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256([]byte(p.take(txn)))
	var a struct{ Token string }
	_, err = post(c, second.site+"/api/v3/vaccination/confirmOTP", "", `{"txnId":"`+txn+`","otp":"`+hex.EncodeToString(hash[:])+`"}`, &a)
	return a.Token, err
}

// status gets the answer for a token.
func status(c *http.Client, in *instance, token string) error {
	r, err := http.NewRequest(http.MethodGet, in.site+"/api/v3/vaccination/status", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var a struct {
		Status    int    `json:"vaccination_status"`
		Assertion string `json:"assertion"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil || a.Status != 2 || a.Assertion == "" {
		return fmt.Errorf("status: %s, not the answer that was due", resp.Status)
	}
	return nil
}

// each calls f from as many goroutines as there are clients, for the given time,
// and returns how often.
func each(clients int, d time.Duration, f func(i int) error) (int, error) {
	end := time.Now().Add(d)
	var n atomic.Int64
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	for k := range clients {
		wg.Go(func() {
			for i := k; time.Now().Before(end) && failed.Load() == nil; i += clients {
				if err := f(i); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return int(n.Load()), nil
}

func one(c *http.Client, p *phones, first, second *instance, number string) error {
	txn, cookie, err := ask(c, first, number)
	if err != nil {
		return err
	}
	code := p.take(txn)
	if code == "" {
		return errors.New("no text message came")
	}
	var answer struct {
		Status    int    `json:"vaccination_status"`
		Assertion string `json:"assertion"`
	}
	if _, err := post(c, second.site+"/.kycvs/verify", cookie, `{"txnId":"`+txn+`","otp":"`+code+`"}`, &answer); err != nil {
		return err
	}
	if answer.Status != 2 || answer.Assertion == "" {
		return errors.New("not the answer that was due")
	}
	return nil
}

// cpuOf is the CPU time that the instances have used.
func cpuOf(all []*instance) (sum time.Duration) {
	const perSecond = 100 // USER_HZ, the same on every Linux that Go runs on
	for _, in := range all {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", in.cmd.Process.Pid))
		if err != nil {
			return 0
		}
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		user, _ := strconv.Atoi(f[11])
		system, _ := strconv.Atoi(f[12])
		sum += time.Duration(user+system) * time.Second / perSecond
	}
	return sum
}

// rssOf is the memory that the instances have, in MiB.
func rssOf(all []*instance) (sum float64) {
	for _, in := range all {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", in.cmd.Process.Pid))
		if err != nil {
			return 0
		}
		s := bufio.NewScanner(bytes.NewReader(b))
		for s.Scan() {
			if v, ok := strings.CutPrefix(s.Text(), "VmRSS:"); ok {
				kib, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(v), " kB"))
				sum += float64(kib) / 1024
			}
		}
	}
	return sum
}
