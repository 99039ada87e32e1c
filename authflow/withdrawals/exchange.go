package withdrawals

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// The rhythm of an Exchange: a withdrawal is known everywhere within a second,
// which is two rounds of looking, and an answer that takes its time.
const (
	every       = 250 * time.Millisecond
	askingTakes = 500 * time.Millisecond // at most, for one call of the board
	postAtOnce  = 1000
)

// ErrNotShared says that a withdrawal is known here but could not be put where
// the other instances look. It is tried again until it is.
var ErrNotShared = errors.New("the withdrawal counts here but could not be told to the other instances yet; that is tried until it is done")

// Config says what an Exchange works with.
type Config struct {
	// Board is where the instances meet; nil where there is only this one.
	Board Board
	// Grace is how long the set counts as current while the board does not answer.
	Grace time.Duration
	// Logger gets what changes; nil means slog.Default().
	Logger *slog.Logger
}

// Exchange keeps a Set in step with those of other instances.
//
// What is withdrawn here is pending until it has been read back from the board.
// That it was posted is not enough: a server that fails over may lose what it
// has accepted last.
type Exchange struct {
	Set

	board Board
	log   *slog.Logger
	stop  context.CancelFunc
	done  chan struct{} // closed when nobody looks at the board any more

	mu      sync.Mutex
	grace   time.Duration
	heard   time.Time               // when the board answered last, or the start
	silent  bool                    // the board does not answer, and that was logged
	pending map[[16]byte]Withdrawal // withdrawn here and not yet read back
}

// Open returns an Exchange whose Set has what learn adds to it. It does not
// wait for the board. Close must end it.
func Open(cfg Config, learn func(*Set) error) (*Exchange, error) {
	x := &Exchange{
		board: cfg.Board, log: cfg.Logger, grace: cfg.Grace,
		done: make(chan struct{}), heard: time.Now(), pending: map[[16]byte]Withdrawal{},
	}
	if x.log == nil {
		x.log = slog.Default()
	}
	if learn != nil {
		if err := learn(&x.Set); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	x.stop = cancel
	if x.board == nil {
		close(x.done)
		return x, nil
	}
	x.repost()
	x.setCurrent()
	go x.run(ctx)
	return x, nil
}

// Close stops looking at the board. What is still pending is learned from the
// ledger at the next start.
func (x *Exchange) Close() error {
	x.stop()
	<-x.done
	return nil
}

// SetGrace changes Config.Grace.
func (x *Exchange) SetGrace(grace time.Duration) {
	x.mu.Lock()
	x.grace = grace
	x.mu.Unlock()
	if x.board != nil {
		x.setCurrent()
	}
}

// Withdraw adds a withdrawal, which must be in the ledger already, and puts it
// up for the other instances. On ErrNotShared it counts here and is put up as
// soon as that is possible; calling again says whether it is by now.
func (x *Exchange) Withdraw(ctx context.Context, w Withdrawal) error {
	x.Add(w)
	if x.board == nil {
		return nil
	}
	x.mu.Lock()
	x.pending[w.Consent] = w
	x.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askingTakes)
	defer cancel()
	if err := x.board.Post(ctx, []Withdrawal{w}); err != nil {
		return fmt.Errorf("%w: %w", ErrNotShared, err)
	}
	return nil
}

func (x *Exchange) run(ctx context.Context) {
	defer close(x.done)
	tick := time.NewTicker(every)
	defer tick.Stop()
	var mark Mark
	for {
		mark = x.round(ctx, mark)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// round puts up what is pending and reads what is new.
func (x *Exchange) round(ctx context.Context, mark Mark) Mark {
	began := time.Now()
	next, err := x.ask(ctx, mark)
	if ctx.Err() != nil {
		return mark
	}
	x.mu.Lock()
	wasSilent := x.silent
	x.silent = err != nil
	if err == nil {
		// What was posted after began may not have been read.
		x.heard = began
	}
	heard, grace := x.heard, x.grace
	x.mu.Unlock()
	x.setCurrent()
	switch {
	case err != nil && !wasSilent:
		x.log.Error("the shared state does not answer: withdrawals of consent made elsewhere are not known here; passes count until it has been silent for state_grace",
			"silent_since", heard.UTC(), "state_grace", grace, "error", err)
	case err == nil && wasSilent:
		x.log.Info("the shared state answers again")
	}
	if err != nil {
		return mark
	}
	return next
}

// ask puts up what is pending and reads until there is nothing new.
func (x *Exchange) ask(ctx context.Context, mark Mark) (Mark, error) {
	if err := x.post(ctx); err != nil {
		return mark, err
	}
	for {
		posted, next, lost, err := x.read(ctx, mark)
		if err != nil {
			return mark, err
		}
		if lost && mark != "" {
			x.log.Warn("the shared state has lost what it held; it is told again of the withdrawals that are known here")
			x.repost()
		}
		x.mu.Lock()
		for _, w := range posted {
			x.Add(w)
			delete(x.pending, w.Consent)
		}
		x.mu.Unlock()
		if lost && mark != "" {
			if err := x.post(ctx); err != nil {
				return next, err
			}
		}
		mark = next
		if len(posted) == 0 {
			return mark, nil
		}
	}
}

func (x *Exchange) read(ctx context.Context, mark Mark) (posted []Withdrawal, next Mark, lost bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askingTakes)
	defer cancel()
	return x.board.Read(ctx, mark)
}

// post puts up what is pending.
func (x *Exchange) post(ctx context.Context) error {
	x.mu.Lock()
	list := make([]Withdrawal, 0, len(x.pending))
	for _, w := range x.pending {
		list = append(list, w)
	}
	x.mu.Unlock()
	for len(list) > 0 {
		n := min(len(list), postAtOnce)
		ctx, cancel := context.WithTimeout(ctx, askingTakes)
		err := x.board.Post(ctx, list[:n])
		cancel()
		if err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// repost makes all that is known pending.
func (x *Exchange) repost() {
	all := x.all(time.Now())
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, w := range all {
		x.pending[w.Consent] = w
	}
}

func (x *Exchange) setCurrent() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.current.Store(x.heard.Add(x.grace).UnixNano())
}
