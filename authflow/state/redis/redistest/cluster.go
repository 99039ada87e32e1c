package redistest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// slots is how many parts a cluster's keys are in.
const slots = 16384

// Cluster is a cluster of servers without replicas, among which the keys are
// split evenly.
type Cluster struct{ Servers []*Server }

// StartCluster returns a cluster of n servers, 3 or more, that takes commands.
func StartCluster(t testing.TB, n int, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{}
	args = append([]string{"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000"}, args...)
	for range n {
		c.Servers = append(c.Servers, Start(t, args...))
	}
	for i, s := range c.Servers {
		var mine []any
		for slot := i * slots / n; slot < (i+1)*slots/n; slot++ {
			mine = append(mine, slot)
		}
		s.Do(append([]any{"CLUSTER", "ADDSLOTS"}, mine...)...)
		s.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		if i > 0 {
			s.Do("CLUSTER", "MEET", "127.0.0.1", c.Servers[0].Port)
		}
	}
	Eventually(t, patience, func() error {
		for _, s := range c.Servers {
			info := fmt.Sprint(s.Do("CLUSTER", "INFO"))
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", n)) {
				return errors.New(info)
			}
		}
		return nil
	})
	return c
}

// URLs returns those of all servers.
func (c *Cluster) URLs() (urls []string) {
	for _, s := range c.Servers {
		urls = append(urls, s.URL())
	}
	return urls
}
