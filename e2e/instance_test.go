package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for something that is certain to come.
var patience = map[bool]time.Duration{false: 15 * time.Second, true: 60 * time.Second}[raceDetector]

// setup is a configuration in pieces, so that a test shows only what it is
// about. In every piece %HTTP%, %TLS% (ports), %UP% (the upstream's address),
// %SMS% (the receiver's URL) and %DIR% (the configuration's directory) are
// filled in.
type setup struct {
	kycvs    string            // further lines of the global kycvs block
	registry string            // default: registry csv people.csv
	sender   string            // default: sms http %SMS%
	global   string            // further global options
	sites    string            // the site blocks
	whole    string            // the whole Caddyfile instead; `admin` is put into its first block
	people   string            // people.csv; default: everybody
	files    map[string]string // further files beside the Caddyfile
	env      []string          // further environment of the process
	home     *home             // whose data the instance shares; default: its own
	upstream *upstream         // default: one of its own
	second   bool              // the test has an instance already: do not wait for a slot
	sms      *phones           // default: one of its own
}

// home is what stays on disk between instances: storage, ledger, directory of
// the Caddyfile.
type home struct{ dir, data, config string }

func newHome(t testing.TB) *home {
	t.Helper()
	root := t.TempDir()
	h := &home{dir: filepath.Join(root, "etc"), data: filepath.Join(root, "data"), config: filepath.Join(root, "config")}
	for _, d := range []string{h.dir, h.data, h.config} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// instance is a running caddy.
type instance struct {
	t                 testing.TB
	setup             setup
	home              *home
	admin             string // host:port
	httpPort, tlsPort int
	up                *upstream
	sms               *phones
	caddyfile         string // its path
	cmd               *exec.Cmd
	ending            bool // it is we who end the process
	exited            chan struct{}
	log               *logged
	adminClient       *http.Client
}

// slots bounds how many instances run at once, so that a machine with two
// cores gives each of them time.
var slots = make(chan struct{}, 3)

// start writes the configuration, starts the binary and waits until it serves.
// The instance is stopped when the test ends; a data race that the binary
// reports fails the test.
func start(t testing.TB, s setup) *instance {
	t.Helper()
	in := prepare(t, s)
	if !s.second {
		slots <- struct{}{}
		t.Cleanup(func() { <-slots })
	}
	for try := 0; ; try++ { // between finding a free port and using it somebody may take it
		err := in.begin()
		if err == nil {
			break
		}
		if try == 4 || !strings.Contains(in.log.String(), "address already in use") {
			t.Fatalf("%v:\n%s", err, in.log.tail(4000))
		}
		in.choosePorts()
		in.write("Caddyfile", in.config(s))
	}
	t.Cleanup(func() {
		in.stop()
		if raceDetector && strings.Contains(in.log.String(), "WARNING: DATA RACE") {
			t.Errorf("the binary reports a data race:\n%s", in.log.around("WARNING: DATA RACE", 4000))
		}
		if strings.Contains(in.log.String(), "panic") && regexp.MustCompile(`panic: |panic serving|runtime error`).MatchString(in.log.String()) {
			t.Errorf("the binary panicked:\n%s", in.log.around("panic", 4000))
		}
		if t.Failed() && testing.Verbose() {
			t.Logf("the end of the log:\n%s", in.log.tail(6000))
		}
	})
	return in
}

// prepare writes the configuration without starting anything.
func prepare(t testing.TB, s setup) *instance {
	t.Helper()
	in := &instance{t: t, setup: s, home: s.home, up: s.upstream, sms: s.sms, log: &logged{}}
	if in.home == nil {
		in.home = newHome(t)
	}
	if in.up == nil {
		in.up = newUpstream(t)
	}
	if in.sms == nil {
		in.sms = newPhones(t)
	}
	in.choosePorts()
	in.caddyfile = filepath.Join(in.home.dir, "Caddyfile")
	in.write("people.csv", or(s.people, people))
	for name, content := range s.files {
		in.write(name, in.fill(content))
	}
	in.write("Caddyfile", in.config(s))
	in.adminClient = &http.Client{Timeout: patience, Transport: &http.Transport{}}
	t.Cleanup(in.adminClient.CloseIdleConnections)
	return in
}

func (in *instance) choosePorts() {
	in.t.Helper()
	in.httpPort, in.tlsPort = freePort(in.t), freePort(in.t)
	in.admin = net.JoinHostPort("localhost", strconv.Itoa(freePort(in.t)))
	in.log.reset()
}

// config is the whole Caddyfile for s on this instance's ports.
func (in *instance) config(s setup) string {
	if s.whole != "" {
		return in.fill(strings.Replace(s.whole, "\n{\n", "\n{\n\tadmin "+in.admin+"\n", 1))
	}
	certs := ""
	if strings.Contains(s.sites, "https://") {
		certs = "local_certs\n\tskip_install_trust"
	}
	return in.fill(fmt.Sprintf(`{
	admin %s
	http_port %%HTTP%%
	https_port %%TLS%%
	default_bind 127.0.0.1
	%s
	auto_https disable_redirects
	grace_period 3s
	%s
	kycvs {
		%s
		%s
		%s
	}
}
%s
`, in.admin, certs, s.global, or(s.registry, "registry csv people.csv"), or(s.sender, "sms http %SMS%"), s.kycvs, s.sites))
}

func (in *instance) fill(s string) string {
	return strings.NewReplacer(
		"%HTTP%", strconv.Itoa(in.httpPort),
		"%TLS%", strconv.Itoa(in.tlsPort),
		"%UP%", in.up.addr,
		"%SMS%", in.sms.url,
		"%DIR%", in.home.dir,
	).Replace(s)
}

// write puts a file beside the Caddyfile, in one step as an operator's tool
// would.
func (in *instance) write(name, content string) {
	in.t.Helper()
	path := filepath.Join(in.home.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		in.t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		in.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		in.t.Fatal(err)
	}
}

func (in *instance) environ() []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "KYCVS_") || strings.HasPrefix(name, "XDG_") || name == "HOME" || name == "GODEBUG"
	})
	env = append(env, "HOME="+in.home.dir, "XDG_DATA_HOME="+in.home.data, "XDG_CONFIG_HOME="+in.home.config)
	return append(env, in.setup.env...)
}

// command is a call of the binary with this instance's environment, not yet
// started.
func (in *instance) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Dir = in.home.dir
	cmd.Env = in.environ()
	return cmd
}

// run starts the process again, after kill or stop.
func (in *instance) run() {
	in.t.Helper()
	if err := in.begin(); err != nil {
		in.t.Fatalf("%v:\n%s", err, in.log.tail(4000))
	}
}

// begin starts the process and waits until it serves.
func (in *instance) begin() error {
	in.cmd = in.command("run", "--config", in.caddyfile, "--adapter", "caddyfile")
	in.cmd.Stdout, in.cmd.Stderr = in.log, in.log
	in.cmd.WaitDelay = 5 * time.Second
	if err := in.cmd.Start(); err != nil {
		return fmt.Errorf("starting the binary: %w", err)
	}
	in.exited, in.ending = make(chan struct{}), false
	go func(cmd *exec.Cmd, done chan struct{}) { cmd.Wait(); close(done) }(in.cmd, in.exited)
	deadline := time.Now().Add(patience)
	for {
		select {
		case <-in.exited:
			return errors.New("the binary ended at once")
		default:
		}
		if in.serves() {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("the binary does not serve")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (in *instance) serves() bool {
	resp, err := in.adminClient.Get("http://" + in.admin + "/config/")
	if err != nil {
		return false
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || strings.TrimSpace(string(body)) == "null" {
		return false
	}
	for scheme, port := range map[string]int{"http://": in.httpPort, "https://": in.tlsPort} {
		if !strings.Contains(in.setup.sites, scheme) {
			continue
		}
		c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), time.Second)
		if err != nil {
			return false
		}
		c.Close()
	}
	for _, m := range regexp.MustCompile(`(?m)\bhttps://([a-z.*-]+\.example)[ ,]`).FindAllStringSubmatch(in.setup.sites, -1) {
		if !in.hasCertificate(strings.Replace(m[1], "*", "any", 1)) { // they are made in the background
			return false
		}
	}
	return true
}

// kill ends the process as a power cut would, for the process.
func (in *instance) kill() {
	in.t.Helper()
	in.ending = true
	in.cmd.Process.Signal(syscall.SIGKILL)
	<-in.exited
}

// stop ends the process as an operator would.
func (in *instance) stop() {
	if in.cmd == nil || in.cmd.Process == nil {
		return
	}
	select {
	case <-in.exited:
		if !in.ending {
			in.t.Errorf("the binary ended by itself: %v\n%s", in.cmd.ProcessState, in.log.tail(1500))
		}
		return
	default:
	}
	in.ending = true
	in.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-in.exited:
	case <-time.After(patience):
		in.t.Errorf("the binary does not end on SIGTERM:\n%s", in.log.tail(4000))
		in.cmd.Process.Kill()
		<-in.exited
	}
}

// load gives the running instance a Caddyfile and returns the answer's status
// and body.
func (in *instance) load(caddyfile string) (int, string) {
	in.t.Helper()
	req, _ := http.NewRequest("POST", "http://"+in.admin+"/load", strings.NewReader(caddyfile))
	req.Header.Set("Content-Type", "text/caddyfile")
	req.Header.Set("Cache-Control", "must-revalidate") // load it even if nothing changed
	resp, err := in.adminClient.Do(req)
	if err != nil {
		in.t.Fatal("loading a configuration:", err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// reload loads the configuration again, changed to s.
func (in *instance) reload(s setup) {
	in.t.Helper()
	in.setup = s
	text := in.config(s)
	in.write("Caddyfile", text)
	if code, body := in.load(text); code != http.StatusOK {
		in.t.Fatalf("reload answered %d: %s", code, body)
	}
}

// adminGet asks the admin address.
func (in *instance) adminGet(path string) (int, string) {
	in.t.Helper()
	resp, err := in.adminClient.Get("http://" + in.admin + path)
	if err != nil {
		in.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		in.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// goroutines is how many the process has, and how many of them are in this
// module's code. Those of idle connections to upstreams do not count: they
// belong to Caddy's transports, which let them go after two minutes.
func (in *instance) goroutines() (all, ours int) {
	in.t.Helper()
	_, text := in.adminGet("/debug/pprof/goroutine?debug=1")
	for stack := range strings.SplitSeq(text, "\n\n") {
		m := regexp.MustCompile(`(?m)^(\d+) @`).FindStringSubmatch(stack)
		if m == nil || strings.Contains(stack, "net/http.(*persistConn)") {
			continue
		}
		n, _ := strconv.Atoi(m[1])
		all += n
		if strings.Contains(stack, "caddy-kycvs") {
			ours += n
		}
	}
	if all == 0 {
		in.t.Fatalf("no goroutine profile: %.200s", text)
	}
	return all, ours
}

// peakMemory is the most resident memory the process ever had, in bytes.
func (in *instance) peakMemory() int64 {
	in.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", in.cmd.Process.Pid))
	if err != nil {
		in.t.Skip("no /proc here:", err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		in.t.Skip("/proc does not tell the peak memory")
	}
	n, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10
}

// logged keeps all that a process wrote.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) tail(n int) string {
	s := l.String()
	return s[max(0, len(s)-n):]
}

func (l *logged) around(what string, n int) string {
	s := l.String()
	i := max(0, strings.Index(s, what))
	return s[max(0, i-200):min(len(s), i+n)]
}

// wait waits until the log holds what.
func (l *logged) wait(t testing.TB, what string) {
	t.Helper()
	eventually(t, "the log says "+what, func() bool { return strings.Contains(l.String(), what) })
}

// eventually waits for something that is certain to come.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

var ports struct {
	sync.Mutex
	given map[int]bool
}

// freePort returns a port that is free over TCP and UDP and was not given to
// another test of this run.
func freePort(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.given == nil {
		ports.given = map[int]bool{}
	}
	for range 100 {
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
		l.Close()
		if err != nil {
			continue
		}
		u.Close()
		if !ports.given[port] {
			ports.given[port] = true
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
