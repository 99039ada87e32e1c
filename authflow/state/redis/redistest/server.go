// Package redistest starts Redis servers for tests: one, a cluster, or one with
// a replica and a sentinel. They keep nothing on disk and end with their test.
//
//	s := redistest.Start(t)
//	… s.URL() …
//	s.Pause() // it hangs
//
// Each test that asks for one is skipped where redis-server is not installed,
// unless KYCVS_TEST_REQUIRE names redis: then it fails.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// patience is how long a server or a cluster may take to be ready.
const patience = 20 * time.Second

// Server is a redis-server process of a test's own, at 127.0.0.1. Its methods
// are for the test's goroutine.
type Server struct {
	Port int

	t      testing.TB
	binary string
	dir    string
	args   []string
	asks   string // the password that it asks for
	cmd    *exec.Cmd
	ended  chan struct{}
}

// Start returns a running server. args are further command line arguments, e.g.
// "--maxmemory", "10mb".
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := prepare(t, args)
	s.start()
	return s
}

// Skip skips the test for a reason, or fails it where KYCVS_TEST_REQUIRE names
// redis.
func Skip(t testing.TB, why string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("KYCVS_TEST_REQUIRE"), ","), "redis") {
		t.Fatal(why)
	}
	t.Skip(why)
}

func prepare(t testing.TB, args []string) *Server {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		Skip(t, "redis-server is not in PATH: install Redis, or put it there")
	}
	s := &Server{t: t, binary: binary, args: args, dir: t.TempDir(), Port: FreePort(t)}
	for i, a := range args {
		if a == "--requirepass" && i+1 < len(args) {
			s.asks = args[i+1]
		}
	}
	t.Cleanup(s.Kill)
	return s
}

var (
	portsMu sync.Mutex
	ports   = map[int]bool{} // given to somebody by FreePort
)

// FreePort returns a port that is free, as is the one 10000 above it, where a
// cluster's servers talk to each other. It is below the ports that the system
// gives to connections, so it stays free a while.
func FreePort(t testing.TB) int {
	t.Helper()
	portsMu.Lock()
	defer portsMu.Unlock()
	for range 200 {
		port := 12000 + rand.IntN(10000)
		if !ports[port] && isFree(port) && isFree(port+10000) {
			ports[port] = true
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// start starts the process and waits until it answers.
func (s *Server) start() {
	s.t.Helper()
	s.launch(append([]string{
		"--port", strconv.Itoa(s.Port), "--bind", "127.0.0.1", "--dir", s.dir, "--logfile", "log",
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}, s.args...)...)
	s.wait()
}

func (s *Server) launch(args ...string) {
	s.t.Helper()
	s.cmd, s.ended = exec.Command(s.binary, args...), make(chan struct{})
	s.cmd.Dir, s.cmd.SysProcAttr = s.dir, attributes()
	started := make(chan error)
	go func() {
		// The server ends with its starter's thread, which is this one until it has.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			s.cmd.Wait()
		}
		close(s.ended)
	}()
	if err := <-started; err != nil {
		s.t.Fatal(err)
	}
}

// wait waits until the server, and no other that took its port, answers.
func (s *Server) wait() {
	s.t.Helper()
	Eventually(s.t, patience, func() error {
		select {
		case <-s.ended:
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.t.Fatalf("redis-server at port %d ended:\n%s", s.Port, log)
		default:
		}
		return s.answers()
	})
}

func (s *Server) answers() error {
	c := s.client()
	defer c.Close()
	info, err := c.Info(context.Background(), "server").Result()
	if err == nil && !strings.Contains(info, fmt.Sprintf("process_id:%d\r", s.cmd.Process.Pid)) {
		err = errors.New("another server answers")
	}
	return err
}

// Eventually calls f until it returns nil, and fails the test if that takes
// longer than within.
func Eventually(t testing.TB, within time.Duration, f func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %v", within, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Address returns host and port.
func (s *Server) Address() string { return fmt.Sprint("127.0.0.1:", s.Port) }

// URL returns the server's, with its password if it asks for one.
func (s *Server) URL() string {
	if s.asks != "" {
		return "redis://:" + s.asks + "@" + s.Address()
	}
	return "redis://" + s.Address()
}

// Client returns a client for the test to look around with, closed with t.
func (s *Server) Client() *redis.Client {
	c := s.client()
	s.t.Cleanup(func() { c.Close() })
	return c
}

func (s *Server) client() *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: s.Address(), Password: s.asks, Protocol: 2, DisableIdentity: true,
		MaxRetries: -1, DialerRetries: 1, ReadTimeout: patience, PoolSize: 1, PipelinePoolSize: -1,
	})
}

// Do runs a command.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	c := s.client()
	defer c.Close()
	answer, err := c.Do(context.Background(), args...).Result()
	if err != nil {
		s.t.Fatalf("redis-server at port %d: %v: %v", s.Port, args, err)
	}
	return answer
}

// Stop ends the server as an operator does, and waits until it has ended.
func (s *Server) Stop() {
	s.signal(syscall.SIGTERM)
	s.signal(syscall.SIGCONT)
	s.awaitEnd()
}

// Kill ends the server as a power cut does. It is no error if it has ended.
func (s *Server) Kill() {
	s.signal(syscall.SIGKILL)
	s.awaitEnd()
}

// Pause makes the server hang: connections to it stay, and no answer comes.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

// Restart ends the server, if it still runs, and starts it at the same port,
// empty.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.start()
}

func (s *Server) signal(sig os.Signal) {
	if s.cmd == nil {
		return
	}
	select {
	case <-s.ended:
	default:
		s.cmd.Process.Signal(sig)
	}
}

func (s *Server) awaitEnd() {
	if s.cmd == nil {
		return
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Errorf("redis-server at port %d does not end", s.Port)
	}
}
