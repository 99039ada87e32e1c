package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFailureTable holds that every row of failure.md's tables of failures names
// a test, folder.TestName, and that the test is there.
func TestFailureTable(t *testing.T) {
	names := regexp.MustCompile("`([a-z0-9/]+)\\.(Test\\w+)`")
	rows, column := 0, -1
	for i, line := range strings.Split(read(t, "failure.md"), "\n") {
		if !strings.HasPrefix(line, "|") {
			column = -1
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if column < 0 { // the head of a table
			column = -2
			if strings.TrimSpace(cells[len(cells)-1]) == "test" {
				column = len(cells) - 1
			}
			continue
		}
		if column == -2 || strings.HasPrefix(line, "| ---") {
			continue
		}
		if len(cells) != column+1 {
			t.Errorf("failure.md:%d has %d cells, want %d", i+1, len(cells), column+1)
			continue
		}
		rows++
		found := names.FindAllStringSubmatch(cells[column], -1)
		if len(found) == 0 {
			t.Errorf("failure.md:%d names no test", i+1)
		}
		for _, m := range found {
			if !hasTest(t, filepath.Join("..", m[1]), m[2]) {
				t.Errorf("failure.md:%d: there is no %s in %s", i+1, m[2], m[1])
			}
		}
	}
	if rows < 15 {
		t.Errorf("failure.md has %d failures, want at least 15", rows)
	}
}

// hasTest tells whether a folder's tests have one of that name.
func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}
