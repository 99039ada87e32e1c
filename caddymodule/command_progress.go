package caddymodule

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/kycvs/caddy-kycvs/registry/loading"
)

// meter shows how far an import is: a bar on a terminal, a line every few seconds
// elsewhere, so that a log of it stays short.
type meter struct {
	out  io.Writer
	bar  *progressbar.ProgressBar // nil: lines
	last time.Duration            // when the last line was written
}

// lineEvery is how often a line is written where there is no terminal.
const lineEvery = 5 * time.Second

func newMeter(out io.Writer) *meter {
	f, ok := out.(*os.File)
	return newMeterOn(out, ok && term.IsTerminal(int(f.Fd())))
}

func newMeterOn(out io.Writer, terminal bool) *meter {
	m := &meter{out: out}
	if terminal {
		m.bar = progressbar.NewOptions64(-1,
			progressbar.OptionSetWriter(out),
			progressbar.OptionSetSpinnerChangeInterval(0), // nothing is drawn but by show
			progressbar.OptionSetWidth(24),
			progressbar.OptionSetElapsedTime(false),
			progressbar.OptionSetPredictTime(false), // loading knows better: reading is half of the work
			progressbar.OptionShowDescriptionAtLineEnd(),
			progressbar.OptionClearOnFinish(),
		)
	}
	return m
}

// barSteps is how finely the bar is drawn.
const barSteps = 1000

// show is loading.Config.Progress.
func (m *meter) show(p loading.Progress) {
	if p.Phase == loading.Done {
		return
	}
	share := p.Done()
	if m.bar == nil {
		if p.Elapsed-m.last < lineEvery {
			return
		}
		m.last = p.Elapsed
		text := describe(p)
		if share >= 0 {
			text = fmt.Sprintf("%s, %.0f%% done", text, 100*share)
		}
		fmt.Fprintln(m.out, text)
		return
	}
	m.bar.Describe(describe(p))
	if share < 0 {
		_ = m.bar.Add(1) // turns
		return
	}
	if m.bar.GetMax64() != barSteps {
		m.bar.ChangeMax64(barSteps)
	}
	_ = m.bar.Set64(min(int64(share*barSteps), barSteps-1)) // a bar that is full is over
}

// done clears the bar.
func (m *meter) done() {
	if m.bar != nil {
		_ = m.bar.Clear()
	}
}

// describe says what is being done, how fast, and how long it will take.
func describe(p loading.Progress) string {
	english := message.NewPrinter(language.English)
	what := string(p.Phase)
	if p.Phase == loading.Reading && p.File != "" {
		what += " " + filepath.Base(p.File)
	}
	parts := []string{english.Sprintf("%s: %d rows, %.0f/s", what, p.Rows, p.Rate())}
	if p.Rejected > 0 {
		parts = append(parts, english.Sprintf("%d set aside", p.Rejected))
	}
	if left := p.Left(); left >= 0 {
		parts = append(parts, left.Round(time.Second).String()+" left")
	}
	return strings.Join(parts, ", ")
}
