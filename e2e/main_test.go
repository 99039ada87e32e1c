package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the caddy under test.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "kycvs-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: no directory for the binary:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binary = os.Getenv("KYCVS_TEST_BINARY"); binary == "" {
		binary = filepath.Join(dir, "caddy")
		args := []string{"build", "-o", binary}
		if raceDetector {
			args = append(args, "-race")
		}
		build := exec.Command("go", append(args, "github.com/kycvs/caddy-kycvs/cmd/caddy")...)
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e: building cmd/caddy failed:", err)
			return 1
		}
	}
	code := m.Run()
	printAttacks()
	return code
}
