package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// What the attack tests found, printed as a table after the tests with -v.
var attacks struct {
	sync.Mutex
	rows map[string]*attackRow
}

type attackRow struct {
	over map[string]bool
	saw  map[string]map[string]bool // what the upstream saw → where
}

// sawUpstream notes what an upstream saw of an attack, over which protocol and
// on which route ("" if that is all the same).
func sawUpstream(t testing.TB, attack, over, where, saw string) {
	if t.Failed() {
		saw = "FAILED: " + saw
	}
	attacks.Lock()
	defer attacks.Unlock()
	if attacks.rows == nil {
		attacks.rows = map[string]*attackRow{}
	}
	row := attacks.rows[attack]
	if row == nil {
		row = &attackRow{map[string]bool{}, map[string]map[string]bool{}}
		attacks.rows[attack] = row
	}
	row.over[over] = true
	if row.saw[saw] == nil {
		row.saw[saw] = map[string]bool{}
	}
	row.saw[saw][where] = true
}

func printAttacks() {
	attacks.Lock()
	defer attacks.Unlock()
	if !testing.Verbose() || len(attacks.rows) == 0 {
		return
	}
	fmt.Print("\n| attack | over | what the upstream saw |\n| --- | --- | --- |\n")
	for _, attack := range slices.Sorted(maps.Keys(attacks.rows)) {
		row := attacks.rows[attack]
		var saws []string
		for _, saw := range slices.Sorted(maps.Keys(row.saw)) {
			where := slices.DeleteFunc(slices.Sorted(maps.Keys(row.saw[saw])), func(s string) bool { return s == "" })
			switch {
			case len(where) == 0 || len(row.saw) == 1 || len(where) == len(routes):
				saws = append(saws, saw)
			case len(where) > 6:
				saws = append(saws, fmt.Sprintf("%s (%d ways)", saw, len(where)))
			default:
				saws = append(saws, saw+" ("+strings.Join(where, "; ")+")")
			}
		}
		if row.undisturbed() {
			saws = []string{"what it sees without the attack: where there is a pass one assertion, the gate's own, else nothing of ours"}
		}
		cells := []string{attack, strings.Join(slices.Sorted(maps.Keys(row.over)), ", "), strings.Join(saws, "; ")}
		for i, c := range cells {
			cells[i] = strings.ReplaceAll(c, "|", `\|`)
		}
		fmt.Printf("| %s |\n", strings.Join(cells, " | "))
	}
	fmt.Println()
}

// undisturbed tells whether each route ended as it does for a request that is
// no attack.
func (r *attackRow) undisturbed() bool {
	n := 0
	for saw, where := range r.saw {
		for w := range where {
			i := slices.IndexFunc(routes, func(r route) bool { return r.name == w })
			if i < 0 || saw != usual[routes[i].want] {
				return false
			}
			n++
		}
	}
	return n == len(routes)
}

// usual is what an upstream sees of a request that wants so many assertions.
var usual = map[int]string{
	shut: "nothing arrived (401)",
	0:    "the request, nothing of ours",
	1:    "the request, one assertion, the gate's own",
}

func quoted(s string) string { return fmt.Sprintf("%+q", s) }
