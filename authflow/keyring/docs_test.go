package keyring

import (
	"os"
	"strings"
	"testing"
	"time"
)

// The table of docs/keys.md says what the code does.
func TestDocumentedTimes(t *testing.T) {
	page, err := os.ReadFile("../../docs/keys.md")
	if err != nil {
		t.Fatal(err)
	}
	const ttl = time.Minute
	rows := map[string]func(p plan) time.Duration{
		"published before it signs, at least": func(p plan) time.Duration { return time.Duration(p.Publish) },
		"`max-age` of the key set":            plan.maxAge,
		"an instance reads the storage every": plan.poll,
		"signs for":                           func(p plan) time.Duration { return time.Duration(p.RotateEvery) },
		"published after it signed":           func(p plan) time.Duration { return time.Duration(p.Retain) + p.late() },
	}
	for _, line := range strings.Split(string(page), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 8 || rows[strings.TrimSpace(cells[1])] == nil {
			continue
		}
		f := rows[strings.TrimSpace(cells[1])]
		delete(rows, strings.TrimSpace(cells[1]))
		for i, every := range []time.Duration{30 * 24 * time.Hour, time.Hour, time.Minute, time.Second} {
			// What caddymodule gives for Retain: the longest assertion_ttl and a minute.
			got := f(Config{RotateEvery: every, Retain: ttl + time.Minute}.plan())
			if written, err := time.ParseDuration(strings.Replace(strings.TrimSpace(cells[3+i]), "30d", "720h", 1)); err != nil || written != got {
				t.Errorf("rotate_every %v: the page says %s in %q, want %v", every, cells[3+i], cells[1], got)
			}
		}
	}
	for row := range rows {
		t.Errorf("the page has no row %q", row)
	}
}
