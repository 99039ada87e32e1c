package chain

import (
	"fmt"
	"math"
	"strconv"
)

// Problem is one place where a record is not what was written. It names no
// content.
type Problem struct {
	// Seq is the entry that it is about: the one that stands there, or the first
	// that does not.
	Seq uint64
	// Line is where in the record it is, 1 for the first line; 0 at its end.
	Line uint64
	What string
}

func (p Problem) Error() string {
	at := ""
	if p.Line > 0 {
		at = fmt.Sprintf(" (line %d)", p.Line)
	}
	return fmt.Sprintf("entry %d%s: %s", p.Seq, at, p.What)
}

// maxProblems is how many problems a Checker keeps: whoever turned the record
// around made one a line.
const maxProblems = 20

// Report is what a Checker found.
type Report struct {
	// Head is the last line: note it elsewhere, and it can be wanted later.
	Head Head
	// First is the seq of the first line, Lines how many there are.
	First, Lines uint64
	// Pruned is what was removed before the first line, by retention; nil if
	// nothing was.
	Pruned *Pruned
	// Problems are the first of what is wrong, Found is how many there are.
	Problems []Problem
	Found    int
}

// Whole reports whether nothing is wrong.
func (r Report) Whole() bool { return r.Found == 0 }

// Err returns the first problem, nil if there is none.
func (r Report) Err() error {
	if r.Whole() {
		return nil
	}
	return r.Problems[0]
}

// Checker follows a chain from its first line. The zero value is ready.
type Checker struct {
	// Want is a Head that was noted before; its Seq is 0 if none was. It has to be
	// in the chain.
	Want Head

	r      Report
	next   Head   // what the next line has to hold on to; Hash is empty where that is not known
	before Head   // what the first line holds on to
	named  bool   // a Pruned names before
	shown  bool   // Want was met
	last   Pruned // the last one
}

// Next takes the line that comes next. It returns an error for one that cannot be
// read; of what else may be wrong see Found.
func (c *Checker) Next(raw []byte) (Line, error) {
	c.r.Lines++
	l, err := Read(raw)
	switch {
	case err != nil:
		c.problem(c.next.Seq+1, err.Error())
		c.next = Head{Seq: c.next.Seq + 1}
	case !l.sound():
		c.problem(c.next.Seq+1, "it was changed: its content does not fit its hash")
		if l.Seq == c.next.Seq+1 {
			c.next = l.Head() // what the next one should know it by
		} else {
			c.next = Head{Seq: c.next.Seq + 1}
		}
	default:
		c.follow(l)
	}
	return l, err
}

// Found is how many problems there are so far.
func (c *Checker) Found() int { return c.r.Found }

// Head is the last line so far. Its Hash is empty after one that cannot be read.
func (c *Checker) Head() Head {
	if c.r.Lines == 0 {
		return Genesis()
	}
	return c.next
}

// follow checks a line that is sound in itself.
func (c *Checker) follow(l Line) {
	switch due := c.next.Seq + 1; {
	case c.r.First == 0 && l.Seq > c.r.Lines: // the first, but for what could not be read
		c.before = Head{Seq: l.Seq - c.r.Lines} // which only a Pruned can excuse
		if c.r.Lines == 1 {
			c.before.Hash = l.Prev
		}
	case l.Seq > due:
		missing := "entry " + strconv.FormatUint(due, 10) + " is missing before it, or stands elsewhere"
		if l.Seq > due+1 {
			missing = fmt.Sprintf("entries %d to %d are missing before it, or stand elsewhere", due, l.Seq-1)
		}
		c.problem(l.Seq, missing)
	case l.Seq < due:
		c.problem(l.Seq, fmt.Sprintf("it stands where entry %d is due: put in, doubled or moved", due))
		return // the chain goes on behind what stood before
	case c.r.Lines == 1 && l.Prev != zeroHash:
		c.problem(l.Seq, "it is not the first: it holds on to one before it")
	case c.r.Lines > 1 && c.next.Hash != "" && l.Prev != c.next.Hash:
		c.problem(l.Seq, fmt.Sprintf("what it holds on to is not entry %d as it stands: one of the two is not what was written", l.Seq-1))
	}
	if c.r.First == 0 {
		c.r.First = l.Seq
	}
	c.next = l.Head()
	if c.Want.Seq == l.Seq {
		c.shown = true
		if c.Want.Hash != l.Hash {
			c.problem(l.Seq, "it is not the one whose head was noted: the record was written anew from there or before")
		}
	}
	if p, ok, err := l.Pruned(); err != nil {
		c.problem(l.Seq, err.Error())
	} else if ok {
		c.last, c.named = p, c.before.Seq == p.Through && (c.before.Hash == p.Hash || c.before.Hash == "")
	}
}

// Note adds a problem that the engine has found with the line that came last.
func (c *Checker) Note(what string) { c.problem(c.next.Seq, what) }

func (c *Checker) problem(seq uint64, what string) {
	c.r.Found++
	if len(c.r.Problems) < maxProblems {
		c.r.Problems = append(c.r.Problems, Problem{seq, c.r.Lines, what})
	}
}

// End says what there was. head is the Head that the engine keeps apart from the
// lines; its Seq is math.MaxUint64, as of NoHead, where it keeps none.
func (c *Checker) End(head Head) Report {
	c.r.Head = c.next
	if c.r.Lines == 0 {
		c.r.Head = Genesis()
	}
	line := c.r.Lines
	c.r.Lines = 0 // what follows is about no line
	if c.before.Seq > 0 && !c.named {
		c.problem(1, fmt.Sprintf("it and all others to entry %d are missing at the front, and no retention removed them", c.before.Seq))
	}
	if c.named {
		c.r.Pruned = &c.last
	} else if c.last.Through > c.before.Seq {
		c.problem(c.last.Through, "it is there, and retention removed it: an older copy was put in its place")
	}
	if head.Seq != math.MaxUint64 && head != c.r.Head {
		if head.Seq > c.r.Head.Seq {
			c.problem(c.r.Head.Seq+1, fmt.Sprintf("it and all others to entry %d are missing at the end", head.Seq))
		} else {
			c.problem(head.Seq, "it is not what the head of the record says it is")
		}
	}
	if w := c.Want; w.Seq > 0 && !c.shown {
		switch {
		case w == c.before && c.named: // the last one removed
		case w.Seq > c.r.Head.Seq:
			c.problem(w.Seq, fmt.Sprintf("its head was noted, and the record ends at entry %d: it was cut off at the end", c.r.Head.Seq))
		case w.Seq <= c.before.Seq:
			c.problem(w.Seq, "its head was noted, and retention has removed it since: it cannot be checked. Note the present head")
		default:
			c.problem(w.Seq, "its head was noted, and it is not there")
		}
	}
	c.r.Lines = line
	return c.r
}

// NoHead is for Checker.End, of an engine that keeps no head.
var NoHead = Head{Seq: math.MaxUint64}
