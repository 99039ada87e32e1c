package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// asCaddy has this test's own binary be caddy.
const asCaddy = "KYCVS_DOCS_AS_CADDY"

func TestMain(m *testing.M) {
	if os.Getenv(asCaddy) != "" {
		caddycmd.Main()
		return
	}
	os.Exit(m.Run())
}

// TestVerifyByHand runs the command of assertion.md as it stands there.
func TestVerifyByHand(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "caddy")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), sh, "-c", fenceWith(t, "assertion.md", "sh", "examples/vectors"))
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), asCaddy+"=1", "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "XDG_DATA_HOME="+bin, "XDG_CONFIG_HOME="+bin)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"vaccination_status": 2`) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestExamples holds that the programs on assertion.md and verify.md are the
// ones in examples/verify, which the tests there run.
func TestExamples(t *testing.T) {
	var sources []string
	paths, err := filepath.Glob("../examples/verify/*/*")
	if err != nil || len(paths) < 8 {
		t.Fatalf("there are %d examples, want at least 8 (%v)", len(paths), err)
	}
	for _, path := range paths {
		sources = append(sources, read(t, path))
	}
	for _, f := range fences(t, "go", "java", "js", "nginx", "php", "python", "yaml") {
		// The README's program and what belongs to it are built by TestWalk.
		if f.path != "assertion.md" && f.path != "verify.md" || strings.Contains(f.text, "func keysOf(") {
			continue
		}
		t.Run(fmt.Sprintf("%s:%d", f.path, f.line), func(t *testing.T) {
			for _, source := range sources {
				if strings.Contains(source, f.text) {
					return
				}
			}
			t.Errorf("no file of examples/verify has this %s in it", f.kind)
		})
	}
}
