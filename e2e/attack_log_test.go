package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// What the attack tests found: attack → what the upstream saw → over which
// protocols. Printed as a table after the tests with -v.
var attacks struct {
	sync.Mutex
	order []string
	saw   map[string]map[string][]string
}

// sawUpstream notes a row of the table.
func sawUpstream(attack, over, saw string) {
	attacks.Lock()
	defer attacks.Unlock()
	if attacks.saw == nil {
		attacks.saw = map[string]map[string][]string{}
	}
	if attacks.saw[attack] == nil {
		attacks.saw[attack] = map[string][]string{}
		attacks.order = append(attacks.order, attack)
	}
	if !slices.Contains(attacks.saw[attack][saw], over) {
		attacks.saw[attack][saw] = append(attacks.saw[attack][saw], over)
	}
}

func printAttacks() {
	attacks.Lock()
	defer attacks.Unlock()
	if !testing.Verbose() || len(attacks.order) == 0 {
		return
	}
	fmt.Print("\n| attack | over | what the upstream saw |\n| --- | --- | --- |\n")
	slices.Sort(attacks.order)
	for _, a := range attacks.order {
		saws := make([]string, 0, len(attacks.saw[a]))
		for saw := range attacks.saw[a] {
			saws = append(saws, saw)
		}
		slices.Sort(saws)
		for _, saw := range saws {
			over := attacks.saw[a][saw]
			slices.Sort(over)
			fmt.Printf("| %s | %s | %s |\n", a, strings.Join(over, ", "), saw)
		}
	}
	fmt.Println()
}

func quoted(s string) string { return fmt.Sprintf("%+q", s) }
