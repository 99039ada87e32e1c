package caddymodule

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/registry/loading"
)

// anImport is what an import of two minutes tells: a million rows, read and then
// merged.
func anImport(show func(loading.Progress)) {
	const rows, all = 1_000_000, 2 * time.Minute
	for at := time.Duration(0); at < all; at += 200 * time.Millisecond {
		p := loading.Progress{Phase: loading.Reading, File: "lists/doses.csv", Size: 50 * rows, Elapsed: at}
		read := min(1, 2*at.Seconds()/all.Seconds())
		p.Rows, p.Read, p.Rejected = int64(read*rows), int64(50*read*rows), int64(7*read)
		if read == 1 {
			p.Phase, p.Merged = loading.Merging, int64((2*at.Seconds()/all.Seconds()-1)*rows)
		}
		show(p)
	}
	show(loading.Progress{Phase: loading.Done, Rows: rows, Merged: rows, Elapsed: all})
}

func TestMeterLines(t *testing.T) {
	var out bytes.Buffer
	m := newMeterOn(&out, false)
	anImport(m.show)
	m.done()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) < 20 || len(lines) > 24 {
		t.Errorf("two minutes took %d lines, want one each five seconds:\n%s", len(lines), out.String())
	}
	for _, want := range []string{"reading doses.csv: ", " rows, ", "/s, ", "7 set aside", "s left, ", "merging: 1,000,000 rows", "% done"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line has %q:\n%s", want, out.String())
		}
	}
	if strings.ContainsAny(out.String(), "\r\x1b") {
		t.Errorf("a log has no use for a terminal's characters: %q", out.String())
	}
}

func TestMeterBar(t *testing.T) {
	var out bytes.Buffer
	m := newMeterOn(&out, true)
	anImport(m.show)
	m.done()
	for _, want := range []string{"\r", "reading doses.csv: ", "/s", " left", "50%", "97%", "█"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the bar never has %q", want)
		}
	}
	last := out.String()[strings.LastIndex(strings.TrimRight(out.String(), "\r"), "\r"):]
	if strings.TrimSpace(last) != "" {
		t.Errorf("the bar is still there: %q", last)
	}
}

// TestMeterUnknownSize holds that what comes by standard input shows too.
func TestMeterUnknownSize(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		var out bytes.Buffer
		m := newMeterOn(&out, terminal)
		for at := time.Duration(0); at < 12*time.Second; at += 200 * time.Millisecond {
			m.show(loading.Progress{Phase: loading.Reading, File: "-", Rows: int64(at / 1000), Elapsed: at})
		}
		m.done()
		if !strings.Contains(out.String(), "reading -: ") || strings.Contains(out.String(), "%") {
			t.Errorf("terminal %v: %q", terminal, out.String())
		}
	}
}
