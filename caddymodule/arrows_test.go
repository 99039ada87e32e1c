package caddymodule

import (
	"os/exec"
	"strings"
	"testing"
)

// One way through the house: caddymodule → authflow → registry. None of the
// arrows runs back, and only caddymodule knows Caddy.
func TestArrows(t *testing.T) {
	const module = "github.com/kycvs/caddy-kycvs/"
	for _, c := range []struct {
		rooms     string
		forbidden []string
	}{
		{"./registry/...", []string{module + "authflow", module + "caddymodule", "github.com/caddyserver/caddy"}},
		{"./authflow/...", []string{module + "caddymodule", "github.com/caddyserver/caddy"}},
		{"./authflow/assertion", []string{module + "registry", module + "authflow/", "github.com/caddyserver"}},
	} {
		cmd := exec.Command("go", "list", "-deps", c.rooms)
		cmd.Dir = ".."
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list -deps %s: %v", c.rooms, err)
		}
		for dep := range strings.Lines(string(out)) {
			dep = strings.TrimSpace(dep)
			for _, f := range c.forbidden {
				if strings.HasPrefix(dep, f) && dep != module+"authflow/assertion" {
					t.Errorf("%s imports %s", c.rooms, dep)
				}
			}
		}
	}
}
