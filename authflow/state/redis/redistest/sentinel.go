package redistest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Sentinel is a primary and a replica, watched by a sentinel that makes the
// replica the primary a second after the primary has gone.
type Sentinel struct {
	// Name is what the sentinel calls the primary.
	Name string
	// Primary and Replica are so at the start.
	Primary, Replica, Watcher *Server
}

// StartSentinel returns servers that know each other.
func StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	s := &Sentinel{Name: "kycvs"}
	s.Primary = Start(t)
	s.Replica = Start(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(s.Primary.Port), "--repl-diskless-load", "on-empty-db")
	Eventually(t, patience, func() error {
		if info := fmt.Sprint(s.Replica.Do("INFO", "replication")); !strings.Contains(info, "master_link_status:up") {
			return errors.New(info)
		}
		return nil
	})
	s.Watcher = prepare(t, nil)
	// A sentinel keeps what it learns in its configuration file.
	conf := filepath.Join(s.Watcher.dir, "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nlogfile log\n"+
		"sentinel monitor %[3]s 127.0.0.1 %[4]d 1\n"+
		"sentinel down-after-milliseconds %[3]s 1000\n"+
		"sentinel failover-timeout %[3]s 3000\n",
		s.Watcher.Port, s.Watcher.dir, s.Name, s.Primary.Port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Watcher.launch(conf, "--sentinel")
	s.Watcher.wait()
	Eventually(t, patience, func() error {
		if replicas, _ := s.Watcher.Do("SENTINEL", "REPLICAS", s.Name).([]any); len(replicas) == 0 || !strings.Contains(fmt.Sprint(replicas), " ok ") {
			return errors.New("the sentinel has not found the replica")
		}
		return nil
	})
	return s
}

// URLs returns the sentinels'.
func (s *Sentinel) URLs() []string { return []string{s.Watcher.URL()} }
