// Package docs holds the pages for operators and contributors, and the tests
// that hold those pages to what the code does.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// page is a page of the documentation.
type page struct {
	path string // from this folder
	text string
}

// fence is a block of code in a page.
type fence struct {
	path string
	line int // of its first line
	kind string
	text string
}

// pages returns README.md and all pages of this folder.
func pages(t *testing.T) []page {
	t.Helper()
	paths, err := filepath.Glob("*.md")
	if err != nil || len(paths) < 9 {
		t.Fatalf("there are %d pages here, want at least 9 (%v)", len(paths), err)
	}
	var all []page
	for _, path := range append(paths, "../README.md") {
		all = append(all, page{path, read(t, path)})
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fences returns the blocks of code of all pages whose kind is one of these.
func fences(t *testing.T, kinds ...string) []fence {
	t.Helper()
	var all []fence
	for _, p := range pages(t) {
		_, blocks := split(p)
		for _, f := range blocks {
			for _, kind := range kinds {
				if f.kind == kind {
					all = append(all, f)
				}
			}
		}
	}
	if len(all) == 0 {
		t.Fatalf("no page has a block of %s", strings.Join(kinds, ", "))
	}
	return all
}

// split returns the lines of a page that are prose, and its blocks of code.
func split(p page) (prose []string, blocks []fence) {
	in := -1 // the block that is open
	for i, line := range strings.Split(p.text, "\n") {
		kind, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && in < 0:
			blocks = append(blocks, fence{path: p.path, line: i + 2, kind: strings.TrimSpace(kind)})
			in = len(blocks) - 1
		case isFence:
			in = -1
		case in >= 0:
			blocks[in].text += line + "\n"
		default:
			prose = append(prose, line)
		}
	}
	return prose, blocks
}

// TestFences holds that every block of code is of a kind that is looked at here
// or that there is nothing to look at in, so that no snippet goes unchecked for
// a misspelt kind.
func TestFences(t *testing.T) {
	for _, p := range pages(t) {
		if strings.Count("\n"+p.text, "\n```")%2 != 0 {
			t.Errorf("%s: a block of code is not closed", p.path)
		}
		_, blocks := split(p)
		for _, f := range blocks {
			switch f.kind {
			case "caddyfile", "caddyfile-site", "caddyfile-kycvs", "json", "go": // tested
			case "java", "nginx", "php", "python", "yaml": // tested
			case "", "sh", "js":
			default:
				t.Errorf("%s:%d: a block of the unknown kind %q", f.path, f.line, f.kind)
			}
		}
	}
}

var (
	link    = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`^#{1,6} +(.+)$`)
)

// TestLinks holds that links within this repository lead somewhere.
func TestLinks(t *testing.T) {
	anchors := map[string]map[string]bool{}
	for _, p := range pages(t) {
		anchors[absolute(t, p.path)] = anchorsOf(p)
	}
	for _, p := range pages(t) {
		prose, _ := split(p)
		for _, line := range prose {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				target, anchor, _ := strings.Cut(m[1], "#")
				if strings.Contains(target, "://") {
					continue
				}
				path := absolute(t, p.path)
				if target != "" {
					path = filepath.Join(filepath.Dir(path), target)
				}
				if _, err := os.Stat(path); err != nil {
					t.Errorf("%s: the link %s leads nowhere", p.path, m[1])
				} else if anchor != "" && !anchors[path][anchor] {
					t.Errorf("%s: the link %s names no heading there", p.path, m[1])
				}
			}
		}
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// anchorsOf returns the anchors that GitHub makes of a page's headings.
func anchorsOf(p page) map[string]bool {
	found := map[string]bool{}
	prose, _ := split(p)
	for _, line := range prose {
		if m := heading.FindStringSubmatch(line); m != nil {
			text := strings.ToLower(strings.TrimSpace(m[1]))
			text = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(text, "")
			found[strings.ReplaceAll(text, " ", "-")] = true
		}
	}
	return found
}

// TestPlain holds the pages to plain text: no trailing space.
func TestPlain(t *testing.T) {
	for _, p := range pages(t) {
		for i, line := range strings.Split(p.text, "\n") {
			if strings.TrimRight(line, " \t") != line {
				t.Errorf("%s:%d: ends in space", p.path, i+1)
			}
		}
	}
}
