package caddymodule

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// option is one line that a block of the Caddyfile may have.
type option struct {
	name    string
	example string // the line as one would write it, for messages
	many    bool   // may stand several times
	args    argCount
	// read takes the arguments; d stands on the last of them. It may go on to read a
	// block.
	read func(d *caddyfile.Dispenser, args []string) error
	// segment, in place of read, takes the whole option from its name on.
	segment func(d *caddyfile.Dispenser) error
}

// argCount is the least and the most values an option has; the most may be
// anyNumber.
type argCount struct{ least, most int }

const anyNumber = -1

var (
	noArg   = argCount{0, 0}
	oneArg  = argCount{1, 1}
	twoArgs = argCount{2, 2}
	someArg = argCount{1, anyNumber}
)

// readBlock reads the block that opens on the current line, if one does, and
// refuses what is unknown, doubled or empty, or has too much or too little behind
// it. where names the block in messages. It returns how many options there were.
func readBlock(d *caddyfile.Dispenser, where string, options []option) (int, error) {
	first := map[string]int{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		opt, ok := findOption(options, name)
		if !ok {
			return 0, errf(d, "unknown option %q in %s: write one of %s", name, where, optionNames(options))
		}
		if line, again := first[name]; again && !opt.many {
			return 0, errf(d, "%s stands twice in %s, first in line %d: write it once", name, where, line)
		}
		first[name] = d.Line()
		if err := opt.readFrom(d); err != nil {
			return 0, err
		}
	}
	return len(first), nil
}

// needBlock is readBlock for a block that must not be left out or empty.
func needBlock(d *caddyfile.Dispenser, where, example string, options []option) error {
	tok := d.Token()
	n, err := readBlock(d, where, options)
	if err == nil && n == 0 {
		err = at(tok, fmt.Errorf("%s has nothing in it: write a block of %s, e.g. `%s`", where, optionNames(options), example))
	}
	return err
}

func (opt option) readFrom(d *caddyfile.Dispenser) error {
	if opt.segment != nil {
		return opt.segment(d)
	}
	args, err := arguments(d, opt.name, opt.example, opt.args)
	if err != nil {
		return err
	}
	if err := opt.read(d, args); err != nil {
		return located(d, err)
	}
	if d.NextBlock(d.Nesting()) {
		return errf(d, "%s takes no block: write `%s`", opt.name, opt.example)
	}
	return nil
}

// arguments reads what stands behind a word on its line.
func arguments(d *caddyfile.Dispenser, name, example string, count argCount) ([]string, error) {
	args := d.RemainingArgs()
	if len(args) < count.least {
		return nil, errf(d, "%s has too few values: write e.g. `%s`", name, example)
	}
	if count.most != anyNumber && len(args) > count.most {
		return nil, errf(d, "%s has %q too much: write e.g. `%s`", name, args[count.most], example)
	}
	for _, arg := range args {
		if strings.TrimSpace(arg) == "" {
			return nil, errf(d, "%s has an empty value: write e.g. `%s`", name, example)
		}
	}
	return args, nil
}

func findOption(options []option, name string) (option, bool) {
	for _, opt := range options {
		if opt.name == name {
			return opt, true
		}
	}
	return option{}, false
}

func optionNames(options []option) string {
	var names []string
	for _, opt := range options {
		names = append(names, opt.name)
	}
	return strings.Join(names, ", ")
}

// text is an option with one text value, which check judges unless it holds a
// placeholder.
func text(name, example string, into *string, check func(string) error) option {
	return option{name: name, example: example, args: oneArg, read: func(_ *caddyfile.Dispenser, args []string) error {
		*into = args[0]
		return checkUnlessPlaceholder(args[0], check)
	}}
}

// texts is an option with several text values on a line.
func texts(name, example string, into *[]string, check func(string) error) option {
	return option{name: name, example: example, args: someArg, read: func(_ *caddyfile.Dispenser, args []string) error {
		for _, arg := range args {
			if err := checkUnlessPlaceholder(arg, check); err != nil {
				return err
			}
		}
		*into = append(*into, args...)
		return nil
	}}
}

func checkUnlessPlaceholder(value string, check func(string) error) error {
	if check == nil || hasPlaceholder(value) {
		return nil
	}
	return check(value)
}

// toggle is an option without a value.
func toggle(name string, into *bool) option {
	return option{name: name, example: name, args: noArg, read: func(*caddyfile.Dispenser, []string) error {
		*into = true
		return nil
	}}
}

// locatedError is an error that has its file and line already.
type locatedError struct{ error }

func (e locatedError) Unwrap() error { return e.error }

// located adds the file and line where d stands, unless err has them.
func located(d *caddyfile.Dispenser, err error) error {
	if _, ok := err.(locatedError); ok || err == nil {
		return err
	}
	return locatedError{d.WrapErr(err)}
}

func errf(d *caddyfile.Dispenser, format string, args ...any) error {
	return located(d, fmt.Errorf(format, args...))
}

// at adds the file and line of a token that was passed already, unless err has
// them.
func at(tok caddyfile.Token, err error) error {
	d := caddyfile.NewDispenser([]caddyfile.Token{tok})
	d.Next()
	return located(d, err)
}
