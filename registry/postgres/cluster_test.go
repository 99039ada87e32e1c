package postgres

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// server is a PostgreSQL server of a test's own, with the password "kycvs".
type server struct {
	t    *testing.T
	bin  string
	data string
	port int
	as   *syscall.SysProcAttr // PostgreSQL will not run as root
	dir  string
	env  []string
}

// programs returns where PostgreSQL's are. The test is skipped where there are
// none, unless KYCVS_TEST_REQUIRE names postgres.
func programs(t *testing.T) string {
	t.Helper()
	places, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // Debian's
	slices.Sort(places)
	if found, err := exec.LookPath("postgres"); err == nil && len(places) == 0 {
		if found, err = filepath.EvalSymlinks(found); err == nil {
			places = append(places, found)
		}
	}
	if len(places) > 0 {
		return filepath.Dir(places[len(places)-1])
	}
	skip(t, "PostgreSQL's programs are not installed: initdb, pg_ctl, pg_basebackup")
	return ""
}

// skip skips the test, or fails it where KYCVS_TEST_REQUIRE names postgres.
func skip(t testing.TB, why string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("KYCVS_TEST_REQUIRE"), ","), "postgres") {
		t.Fatal(why)
	}
	t.Skip(why)
}

// newServer prepares a server's place. primary makes it one, standbyOf the other.
func newServer(t *testing.T, name string) *server {
	t.Helper()
	s := &server{t: t, bin: programs(t)}
	var err error
	if s.dir, err = os.MkdirTemp("/tmp", "kycvs-"+name); err != nil { // short: a socket's path has 107 bytes at most
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(s.dir) })
	s.data = filepath.Join(s.dir, "data")
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			skip(t, "there is no user postgres to run it as")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		s.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		if err := os.Chown(s.dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	s.env = append(os.Environ(), "PGPASSWORD=kycvs")
	return s
}

func (s *server) run(program string, args ...string) {
	s.t.Helper()
	c := exec.Command(filepath.Join(s.bin, program), args...)
	c.Dir, c.Env, c.SysProcAttr = "/", s.env, s.as
	if out, err := c.CombinedOutput(); err != nil {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		s.t.Fatalf("%s: %v\n%s\n%s", program, err, out, log)
	}
}

func (s *server) start() {
	s.t.Helper()
	c := exec.Command(filepath.Join(s.bin, "pg_ctl"), "start", "--pgdata="+s.data, "--wait", "--timeout=60", "--log="+filepath.Join(s.dir, "log"),
		fmt.Sprintf("--options=-c listen_addresses=127.0.0.1 -c port=%d -c unix_socket_directories=%s -c fsync=off -c autovacuum=off", s.port, s.dir))
	c.Dir, c.Env, c.SysProcAttr = "/", s.env, s.as // its output is left alone: the server keeps it open
	if err := c.Run(); err != nil {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		s.t.Fatalf("pg_ctl start: %v\n%s", err, log)
	}
	s.t.Cleanup(s.kill)
}

func primary(t *testing.T) *server {
	t.Helper()
	s := newServer(t, "primary")
	password := filepath.Join(s.dir, "password")
	if err := os.WriteFile(password, []byte("kycvs"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.run("initdb", "--pgdata="+s.data, "--username=kycvs", "--auth=scram-sha-256", "--pwfile="+password, "--encoding=UTF8", "--locale=C", "--no-sync")
	s.start()
	return s
}

func standbyOf(t *testing.T, p *server) *server {
	t.Helper()
	s := newServer(t, "standby")
	s.run("pg_basebackup", "--pgdata="+s.data, "--host=127.0.0.1", fmt.Sprint("--port=", p.port), "--username=kycvs",
		"--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync")
	s.start()
	return s
}

func (s *server) address() string { return fmt.Sprint("127.0.0.1:", s.port) }

// dsn names servers in their order.
func dsnOf(servers ...*server) string {
	var all []string
	for _, s := range servers {
		all = append(all, s.address())
	}
	return "postgres://kycvs:kycvs@" + strings.Join(all, ",") + "/postgres?sslmode=disable"
}

// processes returns the postmaster and what it started, the postmaster first.
func (s *server) processes() (pids []int) {
	file, err := os.ReadFile(filepath.Join(s.data, "postmaster.pid"))
	if err != nil {
		return nil
	}
	line, _, _ := strings.Cut(string(file), "\n")
	master, err := strconv.Atoi(line)
	if err != nil {
		return nil
	}
	if target, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", master)); err != nil || target != s.data {
		return nil // gone, and its number somebody else's
	}
	pids = append(pids, master)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue
		}
		_, after, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(after); len(f) > 1 && f[1] == line {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func (s *server) signal(sig syscall.Signal) {
	for _, pid := range s.processes() {
		syscall.Kill(pid, sig)
	}
}

// kill ends the server as a power cut would.
func (s *server) kill() {
	s.signal(syscall.SIGKILL)
	for range 100 {
		if c, err := net.Dial("tcp", s.address()); err != nil {
			return
		} else {
			c.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.t.Error("the server is still there")
}
