// Package retain decides what retention may remove from a ledger: whole entries
// from the front, older than the operator keeps them, but for those that still
// count, which are carried over to the end of the record:
//
//   - a consent given or withdrawn on which something rests still, as its Until is
//     in the future or there is none; of a consent that was withdrawn, the
//     withdrawal alone;
//   - of a number that is locked, the entry that locked it.
//
// An event that this version does not know stops it: nobody can say whether it
// still counts.
package retain

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
)

// Least is the shortest time for which entries are kept. India's Digital Personal
// Data Protection Rules, 2025, rule 6(1)(e), want logs kept for one year.
const Least = 365 * 24 * time.Hour

// CheckKeep returns an error unless entries may be kept for that long; 0 means for
// ever.
func CheckKeep(keep time.Duration) error {
	if keep != 0 && keep < Least {
		return fmt.Errorf("ledger: entries are to be kept for %v, and %v (365 days) is the least: keep them longer", keep, Least)
	}
	return nil
}

// Plan is what goes and what is carried over. Add every line to it, first to
// last.
type Plan struct {
	// Most is how many lines go at once; 0 means as many as there are.
	Most uint64

	before, now time.Time
	behind      bool // the part that goes has ended
	cut         chain.Head
	seen        uint64
	given       map[string]kept // by consent
	withdrawn   map[string]kept // by consent
	locked      map[string]kept // by phone
}

type kept struct {
	seq  uint64
	body chain.Body
}

// NewPlan returns the Plan for removing what is from before that time.
func NewPlan(before, now time.Time) *Plan {
	return &Plan{before: before, now: now, given: map[string]kept{}, withdrawn: map[string]kept{}, locked: map[string]kept{}}
}

// Add takes the next line and reports whether it goes. Those that go are the first
// ones.
func (p *Plan) Add(l chain.Line) (goes bool, err error) {
	if p.behind {
		return false, p.later(l)
	}
	at, e, known, err := read(l)
	if err != nil {
		return false, err
	}
	if !known && l.Event() != chain.EventPruned || !at.Before(p.before) || p.Most > 0 && p.seen == p.Most {
		p.behind = true
		return false, p.later(l)
	}
	p.cut = l.Head()
	p.seen++
	if !known {
		return true, nil
	}
	switch runs := e.Until.IsZero() || e.Until.After(p.now); e.Event {
	case ledger.Given:
		if _, ended := p.withdrawn[e.Consent]; runs && !ended {
			p.given[e.Consent] = kept{l.Seq, l.Carry()}
		}
	case ledger.Withdrawn:
		delete(p.given, e.Consent)
		if runs {
			p.withdrawn[e.Consent] = kept{l.Seq, l.Carry()}
		}
	case ledger.Locked:
		p.locked[e.Phone] = kept{l.Seq, l.Carry()}
	case ledger.Unlocked:
		delete(p.locked, e.Phone)
	}
	return true, nil
}

// Stay says that no line that is added from now on goes.
func (p *Plan) Stay() { p.behind = true }

// later takes a line that stays, and what it says of those that go.
func (p *Plan) later(l chain.Line) error {
	switch l.Event() {
	case ledger.Withdrawn, ledger.Locked, ledger.Unlocked:
	default:
		return nil // not even read: these are nearly all
	}
	e, _, err := l.Entry()
	if err != nil {
		return err
	}
	switch e.Event {
	case ledger.Withdrawn:
		delete(p.given, e.Consent)
		delete(p.withdrawn, e.Consent)
	case ledger.Locked, ledger.Unlocked:
		delete(p.locked, e.Phone)
	}
	return nil
}

func read(l chain.Line) (at time.Time, e ledger.Entry, known bool, err error) {
	if p, ok, err := l.Pruned(); ok || err != nil {
		return p.At, ledger.Entry{}, false, err
	}
	e, known, err = l.Entry()
	return e.At, e, known, err
}

// Cut is the last line that goes; its Seq is 0 if nothing is to be done: nothing
// is old enough, or all that is has to be carried over.
func (p *Plan) Cut() chain.Head {
	if p.seen == p.carried() {
		return chain.Head{}
	}
	return p.cut
}

func (p *Plan) carried() uint64 { return uint64(len(p.given) + len(p.withdrawn) + len(p.locked)) }

// Bodies are what has to be written at the end of the record, in this order: what
// is carried over, oldest first, and what retention did, which is also returned.
func (p *Plan) Bodies() ([]chain.Body, chain.Pruned, error) {
	all := slices.AppendSeq(make([]kept, 0, p.carried()+1), maps.Values(p.given))
	all = slices.AppendSeq(all, maps.Values(p.withdrawn))
	all = slices.AppendSeq(all, maps.Values(p.locked))
	slices.SortFunc(all, func(a, b kept) int { return cmp.Compare(a.seq, b.seq) })
	done := chain.Pruned{
		At: p.now, Before: p.before,
		Through: p.cut.Seq, Hash: p.cut.Hash,
		Removed: p.seen, Carried: uint64(len(all)),
	}
	last, err := done.Body()
	if err != nil {
		return nil, done, err
	}
	bodies := make([]chain.Body, 0, len(all)+1)
	for _, k := range all {
		bodies = append(bodies, k.body)
	}
	return append(bodies, last), done, nil
}

const (
	firstAfter = time.Minute // so that a start is not slowed down
	every      = 24 * time.Hour
)

// Daily runs prune a minute after it was called and then once a day, with the time
// before which entries are to go, until ctx ends.
func Daily(ctx context.Context, keep time.Duration, log *slog.Logger, prune func(ctx context.Context, before time.Time) (*chain.Pruned, error)) {
	wait := time.NewTimer(firstAfter)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		done, err := prune(ctx, time.Now().Add(-keep))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("the ledger keeps entries that are older than they are to be kept; trying again tomorrow, or run `caddy kycvs ledger prune`", "error", err)
		case done != nil:
			log.Info("the ledger has let go of entries that are older than they are kept",
				"removed", done.Removed-done.Carried, "carried_over", done.Carried, "through", done.Through)
		}
		wait.Reset(every)
	}
}
