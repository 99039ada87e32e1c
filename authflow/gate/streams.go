package gate

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

// Streams are the requests under way that rest on a pass. A request is judged
// when it begins; a web socket or a stream of events may then go on for hours.
// Streams ends those whose pass has ended meanwhile.
//
// Every request is entered, also the many that take a millisecond. Telling
// those apart that will last is guesswork (an upgrade is known by its header,
// an answer that trickles or does not come is not), and being entered costs less
// than watching for the signs: a place in one of many lists, whose locks hardly
// ever meet, and a copy of the request that carries the lifeline. Nothing is
// looked up and no timer is set until the watcher comes round.
type Streams struct {
	shards  [streamShards]streamShard
	grace   atomic.Int64 // nanoseconds
	set     atomic.Pointer[withdrawals.Set]
	changed chan struct{} // grace has, or the streams were closed
	closed  atomic.Bool
}

const streamShards = 64

type streamShard struct {
	mu    sync.Mutex
	first *stream
	_     [64]byte // keeps neighbours' locks out of this one's cache line
}

// Ending is why a stream was cut, a word for metrics.
type Ending uint8

// The endings.
const (
	Expired    Ending = iota // the pass's time is over: its own, the gate's session or max_age, or the partner's
	Withdrawn                // the consent was withdrawn
	NotCurrent               // nothing was heard of withdrawals elsewhere for longer than passes count without
	Endings    = iota
)

var endingWords = [Endings]string{"expired", "withdrawn", "not_current"}

func (e Ending) String() string { return endingWords[e] }

// NewStreams begins to watch. Call Use before the first request and Close when
// no more requests come.
func NewStreams(grace time.Duration, w *withdrawals.Set) *Streams {
	s := &Streams{changed: make(chan struct{}, 1)}
	s.Use(grace, w)
	go s.watch()
	return s
}

// Use says what counts from now on, for streams that are open already, too: how
// long a stream may outlive its pass, at least MinGrace, and which withdrawals
// there are.
func (s *Streams) Use(grace time.Duration, w *withdrawals.Set) {
	s.set.Store(w)
	s.grace.Store(int64(grace))
	s.wake()
}

// Close says that no more requests come. Those that are open go on being
// watched until they have ended.
func (s *Streams) Close() {
	s.closed.Store(true)
	s.wake()
}

func (s *Streams) wake() {
	select {
	case s.changed <- struct{}{}:
	default: // it is told already
	}
}

// MinGrace is the least time a stream may outlive its pass, in which there are
// still ten rounds.
const MinGrace = time.Second

// round is how often the watcher comes round.
func (s *Streams) round() time.Duration {
	return min(max(time.Duration(s.grace.Load())/10, MinGrace/10), time.Second)
}

func (s *Streams) watch() {
	tick := time.NewTicker(s.round())
	defer tick.Stop()
	for {
		select {
		case <-s.changed:
			tick.Reset(s.round())
		case <-tick.C:
		}
		if left := s.look(time.Now()); left == 0 && s.closed.Load() {
			return
		}
	}
}

// look goes over all that is under way, cuts what is due and returns how many
// there are.
//
// A stream is asked to end two rounds before the grace is over, so that one that
// has not answered can say why, and made to in the round after: it may have
// begun to answer just then, and be stuck in it.
func (s *Streams) look(now time.Time) (left int) {
	every := s.round()
	after := time.Duration(s.grace.Load()) - 2*every
	current := s.set.Load()
	var ask, force []*stream
	for i := range s.shards {
		sh := &s.shards[i]
		ask, force = ask[:0], force[:0]
		sh.mu.Lock()
		for e := sh.first; e != nil; e = e.next {
			left++
			switch {
			case e.asked:
				force = append(force, e)
			case e.endedFor(now, every, current) >= after:
				e.asked = true
				ask = append(ask, e)
			}
		}
		sh.mu.Unlock()
		for _, e := range ask {
			e.cut(false)
		}
		for _, e := range force {
			e.cut(true)
		}
	}
	return left
}

// hold is a pass that a request rests on, at one gate.
type hold struct {
	gate    *Gate
	consent [16]byte
	number  [8]byte
	ends    int64 // seconds since the epoch
}

// stream is a request under way that rests on a pass.
type stream struct {
	lifeline
	body   body
	writer *writer

	shard *streamShard // nil where the request is not entered

	// guarded by the shard's lock
	next, prev *stream
	holds      []hold
	one        [1]hold // nearly always there is one
	set        *withdrawals.Set
	epoch      uint32    // of set, when it was last looked up
	withdrawn  *hold     // the first whose consent was
	since      time.Time // when the pass ended; zero while it counts
	asked      bool

	// set before over is
	ending Ending
	ended  *Gate // whose pass it was

	mu       sync.Mutex // held while it is being cut, and to leave
	finished bool
}

// enter has the request end with its pass, one more if there are several. The
// epoch is the one before it was found that the consent was not withdrawn. It
// returns the request to hand on.
func (e *stream) enter(s *Streams, r *http.Request, w *writer, h hold, set *withdrawals.Set, epoch uint32) *http.Request {
	if e.shard != nil {
		e.shard.mu.Lock()
		defer e.shard.mu.Unlock()
		e.holds = append(e.holds, h)
		e.set, e.epoch = set, epoch // the watcher may have looked at a later one, but not for h
		return r
	}
	e.Context, e.writer = r.Context(), w
	e.one[0] = h
	e.holds, e.set, e.epoch = e.one[:], set, epoch
	r = r.WithContext(&e.lifeline)
	if r.Body != nil && r.Body != http.NoBody {
		e.body = body{r.Body, &e.lifeline}
		r.Body = &e.body
	}
	w.life = &e.lifeline
	sh := &s.shards[rand.Uint32()%streamShards]
	e.shard = sh
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e.next = sh.first; e.next != nil {
		e.next.prev = e
	}
	sh.first = e
	return r
}

// leave is called when the request has been handled; after it, nothing touches
// its connection.
func (e *stream) leave() {
	if e.shard == nil {
		return
	}
	e.shard.mu.Lock()
	if e.next != nil {
		e.next.prev = e.prev
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		e.shard.first = e.next
	}
	e.shard.mu.Unlock()
	e.mu.Lock()
	e.finished = true
	e.mu.Unlock()
	e.release()
}

// endedFor tells for how long the pass has ended at least, negative if it counts.
// What is found by looking may have come to be right after the round before.
func (e *stream) endedFor(now time.Time, every time.Duration, current *withdrawals.Set) time.Duration {
	ended, ending, over := e.state(now, current)
	if !over {
		e.since = time.Time{} // what was not current is again
		return -1
	}
	if e.since.IsZero() {
		e.since = now.Add(-every)
		if ending == Expired {
			e.since = time.Unix(ended.ends, 0)
		}
	}
	e.ended, e.ending = ended.gate, ending
	return now.Sub(e.since)
}

// state tells whether one of the passes has ended, and why.
func (e *stream) state(now time.Time, current *withdrawals.Set) (h *hold, why Ending, over bool) {
	e.lookUp()
	if e.set != current {
		// A new configuration has other stores: those of the old one no longer
		// learn anything.
		e.set = current
		e.epoch = current.Epoch() - 1
		e.lookUp()
	}
	if e.withdrawn != nil {
		return e.withdrawn, Withdrawn, true
	}
	unix := now.Unix()
	for i := range e.holds {
		if h := &e.holds[i]; unix >= h.ends {
			return h, Expired, true
		}
	}
	return &e.holds[0], NotCurrent, !e.set.Current(now)
}

// lookUp notes whether a consent was withdrawn, if any was since it last did.
func (e *stream) lookUp() {
	epoch := e.set.Epoch()
	if e.withdrawn != nil || epoch == e.epoch {
		return
	}
	e.epoch = epoch
	for i := range e.holds {
		if h := &e.holds[i]; e.set.Ended(h.consent, h.number) {
			e.withdrawn = h
			return
		}
	}
}

// cut ends the request at both sides: whoever waits for its context, an upstream
// say, and whoever is stuck reading from the client or writing to it. Where no
// answer has begun, writing is left possible, unless it is forced.
func (e *stream) cut(force bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.finished {
		return
	}
	first := !e.over.Load()
	e.end()
	if first {
		e.ended.Site.Services.Observer.Cut(e.ending)
	}
	// Errors say that there is no such thing here, as in a test: then the context
	// has to do.
	_ = http.NewResponseController(e.writer.ResponseWriter).SetReadDeadline(longAgo)
	if force || e.writer.sent.Load() {
		// The server's own, because wrappers around it (Caddy's idle timeouts, say)
		// need not bear that somebody else sets it. They may set another one right
		// after this; hence once more in each round.
		_ = http.NewResponseController(innermost(e.writer.ResponseWriter)).SetWriteDeadline(longAgo)
	}
}

// innermost is the writer that no other is in.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = u.Unwrap()
	}
}

// longAgo is a deadline that is over.
var longAgo = time.Unix(1, 0)
