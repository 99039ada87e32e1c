package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kycvs/caddy-kycvs/examples/vectors"
)

// skip skips the test, or fails it where KYCVS_TEST_REQUIRE names the language.
func skip(t *testing.T, language, why string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("KYCVS_TEST_REQUIRE"), ","), language) {
		t.Fatalf("KYCVS_TEST_REQUIRE names %s, but %s", language, why)
	}
	t.Skip(why)
}

// program returns the first of these that is installed, "" if none is.
func program(names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// outcome is what a program of another language says of a vector.
type outcome struct {
	Name  string
	Taken bool
	Why   string
}

// run runs a program over the vectors, and holds what it says of each to what it
// should be.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, stderr.Bytes())
	}
	got := map[string]outcome{}
	for line := range bytes.Lines(out) {
		// A library's own warnings stand between them.
		if !bytes.HasPrefix(line, []byte("{")) {
			continue
		}
		var o outcome
		if err := json.Unmarshal(line, &o); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got[o.Name] = o
	}
	all, err := vectors.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		t.Run(v.Name, func(t *testing.T) {
			o, ok := got[v.Name]
			switch {
			case !ok:
				t.Error("nothing was said about it")
			case o.Taken && !v.Good():
				t.Errorf("taken, but it is bad: %s", v.Why)
			case !o.Taken && v.Good():
				t.Errorf("refused, but it is good: %s", o.Why)
			}
		})
	}
}

func vectorsDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../vectors")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestNode takes jose from a node_modules above this folder, from
// KYCVS_TEST_NODE_MODULES, or from where Debian's node-jose puts it.
func TestNode(t *testing.T) {
	node := program("node", "nodejs")
	if node == "" {
		skip(t, "node", "there is no node: install nodejs")
	}
	jose := firstDir(os.Getenv("KYCVS_TEST_NODE_MODULES")+"/jose", "node/node_modules/jose", "/usr/share/nodejs/jose", "/usr/lib/node_modules/jose", "/usr/local/lib/node_modules/jose")
	if jose == "" {
		skip(t, "node", "there is no jose for node: install node-jose, or name a node_modules with jose in it by KYCVS_TEST_NODE_MODULES")
	}
	// import looks for packages beside the program and above it, nowhere else.
	dir := t.TempDir()
	for _, name := range []string{"verify.mjs", "vectors.mjs"} {
		text, err := os.ReadFile(filepath.Join("node", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "node_modules"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(jose, filepath.Join(dir, "node_modules", "jose")); err != nil {
		t.Fatal(err)
	}
	run(t, exec.CommandContext(t.Context(), node, filepath.Join(dir, "vectors.mjs"), vectorsDir(t)))
}

// firstDir returns the first of these that is a directory, as a whole path.
func firstDir(paths ...string) string {
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			if path, err = filepath.Abs(path); err == nil {
				return path
			}
		}
	}
	return ""
}

// TestPython takes the first Python that has PyJWT with its cryptography.
func TestPython(t *testing.T) {
	var why error
	for _, candidate := range []string{os.Getenv("KYCVS_TEST_PYTHON"), "python3", "/usr/bin/python3"} {
		python := program(candidate)
		if candidate == "" || python == "" {
			continue
		}
		check := exec.CommandContext(t.Context(), python, "-c", "import jwt, cryptography; jwt.PyJWK")
		if out, err := check.CombinedOutput(); err != nil {
			why = fmt.Errorf("%s: %w: %s", python, err, bytes.TrimSpace(out))
			continue
		}
		cmd := exec.CommandContext(t.Context(), python, filepath.Join("python", "vectors.py"), vectorsDir(t))
		cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
		run(t, cmd)
		return
	}
	if why == nil {
		why = errors.New("there is no python3")
	}
	skip(t, "python", fmt.Sprintf("no Python has PyJWT: install python3-jwt and python3-cryptography (%v)", why))
}

// TestPHP takes firebase/php-jwt from php/vendor, or from the autoloader that
// KYCVS_TEST_PHP_AUTOLOAD names: Debian has no package of it.
func TestPHP(t *testing.T) {
	php := program(os.Getenv("KYCVS_TEST_PHP"), "php")
	if php == "" {
		skip(t, "php", "there is no php: install php-cli")
	}
	autoload := os.Getenv("KYCVS_TEST_PHP_AUTOLOAD")
	if autoload == "" {
		autoload = "php/vendor/autoload.php"
	}
	autoload, err := filepath.Abs(autoload)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(autoload); err != nil {
		skip(t, "php", "there is no firebase/php-jwt: run `composer require firebase/php-jwt` in examples/verify/php")
	}
	run(t, exec.CommandContext(t.Context(), php, "-d", "display_errors=0", filepath.Join("php", "vectors.php"), vectorsDir(t), autoload))
}

// TestJava takes nimbus-jose-jwt, and tink for EdDSA, from the jars in java/lib
// or from the class path that KYCVS_TEST_JAVA_CLASSPATH names: Debian has no
// package of it.
func TestJava(t *testing.T) {
	javac, java := program("javac"), program("java")
	if javac == "" || java == "" {
		skip(t, "java", "there is no javac and java: install a JDK, 17 or later")
	}
	classPath := os.Getenv("KYCVS_TEST_JAVA_CLASSPATH")
	if classPath == "" {
		jars, err := filepath.Glob("java/lib/*.jar")
		if err != nil || len(jars) == 0 {
			skip(t, "java", "there is no nimbus-jose-jwt: put its jar, and those of tink and what that needs, into examples/verify/java/lib")
		}
		classPath = strings.Join(jars, string(os.PathListSeparator))
	}
	dir := t.TempDir()
	compile := exec.CommandContext(t.Context(), javac, "-encoding", "UTF-8", "-d", dir, "-cp", classPath, "java/Verify.java", "java/Vectors.java")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run(t, exec.CommandContext(t.Context(), java, "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-cp", dir+string(os.PathListSeparator)+classPath, "Vectors", vectorsDir(t)))
}
