package caddymodule

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/kycvs/caddy-kycvs/authflow/gate"
)

// intBounds are the least and the most that an option may be. In JSON 0 stands
// for "not given", in the Caddyfile it is out of bounds like any other number.
type intBounds struct{ min, max int }

func (b intBounds) String() string { return fmt.Sprintf("a whole number from %d to %d", b.min, b.max) }

func (b intBounds) check(option string, n int) error {
	if n < b.min || n > b.max {
		return fmt.Errorf("%s %d is out of bounds: write %s", option, n, b)
	}
	return nil
}

// parse reads a number from a Caddyfile and checks it.
func (b intBounds) parse(option, s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%s %q is not a whole number: write %s", option, s, b)
	}
	return n, b.check(option, n)
}

// durationBounds are the least and the most that an option may last.
type durationBounds struct{ min, max time.Duration }

func (b durationBounds) String() string {
	return "a duration from " + formatDuration(b.min) + " to " + formatDuration(b.max)
}

func (b durationBounds) check(option string, d caddy.Duration) error {
	if time.Duration(d) < b.min || time.Duration(d) > b.max {
		return fmt.Errorf("%s %s is out of bounds: write %s", option, formatDuration(time.Duration(d)), b)
	}
	return nil
}

// parse reads a duration from a Caddyfile, where "d" is a day, and checks it.
func (b durationBounds) parse(option, s string) (caddy.Duration, error) {
	d, err := caddy.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%s %q is not a duration: write a number and its unit, %s", option, s, b)
	}
	return caddy.Duration(d), b.check(option, caddy.Duration(d))
}

const day = 24 * time.Hour

// formatDuration writes a duration as a Caddyfile has it: "90s" stays short,
// "720h0m0s" becomes "30d".
func formatDuration(d time.Duration) string {
	if d != 0 && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// The bounds of the options. What the default is stands in config_defaults.go.
var (
	stateGraceBounds       = durationBounds{time.Second, 7 * day}
	streamGraceBounds      = durationBounds{gate.MinGrace, time.Hour}
	rotateEveryBounds      = durationBounds{time.Second, 3650 * day}
	otpLengthBounds        = intBounds{4, 10}
	otpLifetimeBounds      = durationBounds{30 * time.Second, 15 * time.Minute}
	otpAttemptsBounds      = intBounds{1, 10}
	otpResendAfterBounds   = durationBounds{5 * time.Second, 10 * time.Minute}
	limitCountBounds       = intBounds{1, 1_000_000_000}
	limitWindowBounds      = durationBounds{time.Second, 31 * day}
	partialBounds          = intBounds{1, 100}
	percentBounds          = intBounds{1, 100}
	stateCountBounds       = intBounds{100, 100_000_000}
	regimenDosesBounds     = intBounds{1, 9} // registry.Regimen
	rememberedPassesBounds = intBounds{1, 100_000_000}
	levelBounds            = intBounds{0, 2}
	sessionBounds          = durationBounds{time.Second, 366 * day}
	maxAgeBounds           = durationBounds{time.Second, 366 * day}
	assertionTTLBounds     = durationBounds{time.Second, time.Hour}
)
