package docs

import (
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/gate"
	"github.com/kycvs/caddy-kycvs/caddymodule"
	"github.com/kycvs/caddy-kycvs/registry"
)

// found returns what the groups of a pattern match in the sources of a folder,
// each once; it fails the test if there is less than expected.
func found(t *testing.T, sources string, least int, patterns ...string) []string {
	t.Helper()
	paths, err := filepath.Glob(sources)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no sources %s (%v)", sources, err)
	}
	var all []string
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text := read(t, path)
		for _, p := range patterns {
			for _, m := range regexp.MustCompile(p).FindAllStringSubmatch(text, -1) {
				all = append(all, m[1])
			}
		}
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) < least {
		t.Fatalf("%s has %v, want at least %d: do the patterns still fit?", sources, all, least)
	}
	return all
}

// mentioned fails the test for each of the words that none of the pages has,
// as a word.
func mentioned(t *testing.T, what string, words []string, paths ...string) {
	t.Helper()
	var text string
	for _, path := range paths {
		text += read(t, path)
	}
	for _, w := range words {
		if !regexp.MustCompile(`(^|[^\w])` + regexp.QuoteMeta(w) + `($|[^\w])`).MatchString(text) {
			t.Errorf("%s does not mention the %s %s", strings.Join(paths, ", "), what, w)
		}
	}
}

// TestOptions holds that every option that a Caddyfile can have is described.
func TestOptions(t *testing.T) {
	options := found(t, "../caddymodule/*.go", 35,
		`\b(?:text|texts|integer|duration|toggle|limit|guessLimit|share)\("([a-z_]+)"`,
		`\bname: "([a-z_]+)"`,
		`guestKind\{"[a-z.]+", "([a-z]+)"`)
	for _, want := range []string{"registry", "sms", "remembered_passes", "lenient_paths", "codes_total", "wrong_per_mobile", "unentered_per_ip", "number_types", "max_counters", "key_hash", "partner"} {
		if !slices.Contains(options, want) {
			t.Errorf("the option %s was not found in the sources", want)
		}
	}
	mentioned(t, "option", options, "caddyfile.md", "sms.md", "state-redis.md", "ledger.md")
	mentioned(t, "limit", authflow.LimitNames, "caddyfile.md")
	mentioned(t, "limit", authflow.LimitNames, "limits.md")
	for _, kind := range registry.NumberTypes {
		mentioned(t, "type of number", []string{string(kind)}, "caddyfile.md")
		mentioned(t, "type of number", []string{string(kind)}, "limits.md")
	}
}

// TestJSONNames holds that every member of the JSON form is named.
func TestJSONNames(t *testing.T) {
	var names []string
	var collect func(reflect.Type)
	collect = func(typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				continue
			}
			names = append(names, name)
			inner := f.Type
			if inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				collect(inner)
			}
		}
	}
	for _, v := range []any{caddymodule.App{}, caddymodule.Gate{}, caddymodule.Matcher{}, caddymodule.CSVRegistry{}, caddymodule.FileRegistry{},
		caddymodule.PostgresRegistry{}, caddymodule.FileLedger{}, caddymodule.MemoryState{}} {
		collect(reflect.TypeOf(v))
	}
	if len(names) < 50 {
		t.Fatalf("found %d names, want at least 50", len(names))
	}
	mentioned(t, "JSON name", names, "caddyfile.md")
}

// TestGuests holds that every guest module of this repository is described.
func TestGuests(t *testing.T) {
	for _, g := range found(t, "../caddymodule/*.go", 5, `ID: "kycvs\.([a-z]+\.[a-z]+)"`) {
		mentioned(t, "module", []string{strings.ReplaceAll(g, ".", " ")}, "caddyfile.md", "sms.md", "ledger.md")
	}
}

// TestCommands holds that every command and flag of the command line is described.
func TestCommands(t *testing.T) {
	mentioned(t, "command", found(t, "../caddymodule/command*.go", 4, `Use: +"([a-z]+) `), "commands.md")
	for _, flag := range found(t, "../caddymodule/command*.go", 12, `Flags\(\)\.\w+\(&[\w.]+, "([a-z-]+)"`) {
		if !strings.Contains(read(t, "commands.md"), "`--"+flag) {
			t.Errorf("commands.md does not mention the flag --%s", flag)
		}
	}
}

func TestMetrics(t *testing.T) {
	for _, name := range found(t, "../caddymodule/metrics.go", 5, `Name: "([a-z_]+)"`) {
		mentioned(t, "metric", []string{"caddy_kycvs_" + name}, "operating.md")
	}
	var decisions []string
	for d := range gate.Decisions {
		decisions = append(decisions, gate.Decision(d).String())
	}
	mentioned(t, "decision", decisions, "operating.md")
	mentioned(t, "limit", authflow.LimitNames, "operating.md")
	mentioned(t, "decision", decisions, "caddyfile.md")
	mentioned(t, "outcome", found(t, "../authflow/*.go", 10, `Observer\.Handshake\("([a-z_]+)"\)`), "operating.md")
	mentioned(t, "outcome", found(t, "../authflow/sms/*.go", 4, `(?m)^\t(?:Sent|Failed|Timeout|Skipped) += "([a-z]+)"`), "operating.md")
	mentioned(t, "placeholder", found(t, "../caddymodule/gate.go", 3, `case "(http\.kycvs\.[a-z]+)"`), "caddyfile.md")
}

func TestErrorCodes(t *testing.T) {
	mentioned(t, "error code", found(t, "../authflow/errors.go", 16, `Code += "([a-z_]+)"`), "pages-and-api.md")
	mentioned(t, "field", found(t, "../authflow/portal/input.go", 9, `"(\w+)": +true`), "pages-and-api.md")
}

func TestClaims(t *testing.T) {
	claims := found(t, "../authflow/assertion/claims.go", 13, "json:\"(\\w+)\"`")
	mentioned(t, "claim", claims, "assertion.md")
}

func TestColumns(t *testing.T) {
	mentioned(t, "column", found(t, "../registry/doses/header.go", 9, `names: \[\]string\{"(\w+)"`, `names: \[\]string\{"\w+", "(\w+)"\}`), "registry-csv.md")
	mentioned(t, "vaccine", found(t, "../registry/vaccines.go", 12, `\{Name: "([^"]+)"`), "registry-csv.md")
}
