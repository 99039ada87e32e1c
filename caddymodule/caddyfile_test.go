package caddymodule

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

var update = flag.Bool("update", false, "write the golden files anew")

// adapt turns a Caddyfile into indented JSON. Messages name it by its base name.
func adapt(name string, body []byte) ([]byte, []caddyconfig.Warning, error) {
	result, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt(body, map[string]any{"filename": filepath.Base(name)})
	if err != nil {
		return nil, warnings, err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, result, "", "\t"); err != nil {
		return nil, warnings, err
	}
	indented.WriteByte('\n')
	return indented.Bytes(), warnings, nil
}

// golden compares got with a file, or writes it with -update.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run the test with -update", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("differs from %s (run with -update if that is meant)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

func caddyfiles(t *testing.T, dir string, least int) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.caddyfile"))
	if err != nil || len(paths) < least {
		t.Fatalf("%s has %d Caddyfiles, want at least %d (%v)", dir, len(paths), least, err)
	}
	return paths
}

// goldenPath is where the outcome of a Caddyfile is kept.
func goldenPath(path, ext string) string { return strings.TrimSuffix(path, ".caddyfile") + ext }

func TestAdaptGood(t *testing.T) {
	for _, path := range append(caddyfiles(t, "testdata/adapt/good", 12), "../Caddyfile.example") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, warnings, err := adapt(path, body)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range warnings {
				t.Errorf("warning: %s", w.String())
			}
			to := goldenPath(path, ".json")
			if strings.HasSuffix(path, ".example") {
				to = "testdata/adapt/Caddyfile.example.json"
			}
			golden(t, to, got)
		})
	}
}

// TestAdaptBad holds that what is wrong is refused with the file, the line, the
// word and what to write.
func TestAdaptBad(t *testing.T) {
	advice := regexp.MustCompile(`(?i)\b(write|put|shorten|define|must begin)\b`)
	for _, path := range caddyfiles(t, "testdata/adapt/bad", 60) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := adapt(path, body)
			if err == nil {
				t.Fatalf("was taken:\n%s", got)
			}
			golden(t, goldenPath(path, ".err"), []byte(err.Error()+"\n"))
			line := regexp.MustCompile(regexp.QuoteMeta(filepath.Base(path)) + `:[1-9][0-9]*`)
			if found := line.FindAllString(err.Error(), -1); len(found) == 0 {
				t.Errorf("says no line: %v", err)
			} else if want := markedLine(body); want != "" && !slices.Contains(found, filepath.Base(path)+":"+want) {
				t.Errorf("says %v, but the fault is in line %s", found, want)
			}
			if !advice.MatchString(err.Error()) {
				t.Errorf("says not what to write: %v", err)
			}
		})
	}
}

// markedLine returns the number of the line that ends in the comment "# here".
func markedLine(body []byte) string {
	for i, line := range strings.Split(string(body), "\n") {
		if strings.HasSuffix(line, "# here") {
			return strconv.Itoa(i + 1)
		}
	}
	return ""
}

// TestProvisionGood holds that what adapts also loads, as `caddy validate` does
// it, and that doing so leaves nothing behind.
func TestProvisionGood(t *testing.T) {
	for _, path := range append(caddyfiles(t, "testdata/adapt/good", 12), "../Caddyfile.example") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			data := setUpMachine(t)
			got, _, err := adapt(path, body)
			if err != nil {
				t.Fatal(err)
			}
			if err := validateJSON(t, got); err != nil {
				t.Fatal(err)
			}
			left, err := os.ReadDir(filepath.Join(data, "caddy", "kycvs"))
			if !os.IsNotExist(err) {
				t.Errorf("validating left something behind: %v %v", left, err)
			}
		})
	}
}

// setUpMachine gives a test a directory to run in that has what the good
// Caddyfiles ask for, and an empty data directory of Caddy, which it returns.
func setUpMachine(t *testing.T) string {
	t.Helper()
	work, data := t.TempDir(), t.TempDir()
	t.Setenv("XDG_DATA_HOME", data)
	t.Setenv("XDG_CONFIG_HOME", data)
	t.Setenv("KYCVS_SECRET", "0123456789abcdef0123456789abcdef")
	t.Setenv("KYCVS_SECRET_OLD", "fedcba9876543210fedcba9876543210")
	t.Setenv("KYCVS_DSN", "postgres://kycvs:not-a-real-password@db.example/kycvs")
	t.Setenv("KYCVS_REDIS", "redis://:not-a-real-password@redis.example")
	t.Setenv("REDIS_PASSWORD", "not-a-real-password")
	t.Setenv("KYCVS_DOSES", "doses")
	t.Setenv("KYCVS_PURPOSE", "Entry to the library")
	t.Setenv("KYCVS_VACCINE", "COMIRNATY")
	t.Setenv("KYCVS_ALIAS", "BNT162b2")
	t.Setenv("KYCVS_SINCE", "2022-04-26")
	t.Setenv("KYCVS_FROM", "2020-12-08")
	t.Setenv("SMS_KEY", "not-a-real-key")
	t.Setenv("KYCVS_KEY", "kp_not-a-real-key-of-a-partner")
	t.Setenv("WARD_KEY", "kp_nor-is-this-one-a-real-key")
	t.Setenv("KYC_URL", "https://kyc.example")
	t.Setenv("SMS_URL", "https://sms.example/send")
	t.Setenv("SMS_HOST", "sms.example")
	t.Chdir(work)
	const header = "mobile_number,full_name,vaccine,dose,total_doses,date\n"
	for _, path := range []string{"people.csv", "examples/people.csv"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(header), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

// validateJSON does what `caddy validate` does with a configuration.
func validateJSON(t *testing.T, config []byte) error {
	t.Helper()
	var cfg caddy.Config
	if err := json.Unmarshal(config, &cfg); err != nil {
		t.Fatal(err)
	}
	off := false
	cfg.Admin = &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &off}}
	return caddy.Validate(&cfg)
}

// FuzzCaddyfile holds that adapting never panics, and that what is refused is
// refused with a message.
func FuzzCaddyfile(f *testing.F) {
	for _, dir := range []string{"testdata/adapt/good", "testdata/adapt/bad"} {
		paths, err := filepath.Glob(filepath.Join(dir, "*.caddyfile"))
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			body, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(body)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if bytes.Contains(body, []byte("import")) {
			return // would read this machine's files
		}
		if _, _, err := adapt("Caddyfile", body); err != nil && err.Error() == "" {
			t.Error("an error without a message")
		}
	})
}
