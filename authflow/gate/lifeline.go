package gate

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
)

// lifeline is the context of a request that rests on a pass: the request's own,
// until the pass has ended. It costs nothing until somebody waits for it, as
// a proxy does and a file server does not; from then on it is one that the
// standard library made, so that contexts made from it need no goroutine.
//
// It ends with context.Canceled and no other cause: proxies take that for a
// client that left, and hold it against no upstream.
type lifeline struct {
	context.Context // the request's own

	over atomic.Bool // the pass has ended, and so has the request

	made   atomic.Bool // own and cancel are set
	mu     sync.Mutex  // guards making them
	own    context.Context
	cancel context.CancelFunc
}

// Done is closed when the request ends or its pass has.
func (l *lifeline) Done() <-chan struct{} {
	if !l.made.Load() {
		l.make()
	}
	return l.own.Done()
}

func (l *lifeline) make() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made.Load() {
		return
	}
	l.own, l.cancel = context.WithCancel(l.Context)
	if l.over.Load() {
		l.cancel()
	}
	l.made.Store(true)
}

// Err is nil until the request ends or its pass has.
func (l *lifeline) Err() error {
	switch {
	case l.over.Load():
		return context.Canceled
	case l.made.Load():
		return l.own.Err()
	}
	return l.Context.Err()
}

// Value asks the context that was made, where there is one: the standard library
// finds its own contexts in this way.
func (l *lifeline) Value(key any) any {
	if l.made.Load() {
		return l.own.Value(key)
	}
	return l.Context.Value(key)
}

// end ends the context because the pass has ended.
func (l *lifeline) end() {
	l.over.Store(true)
	l.release()
}

// release gives back what Done took.
func (l *lifeline) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made.Load() {
		l.cancel()
	}
}

// body is the body of a request that rests on a pass. Once that has ended,
// nothing more is read from it, and the error is not one of the network's, for
// which a proxy would blame the upstream.
type body struct {
	io.ReadCloser
	life *lifeline
}

func (b *body) Read(p []byte) (int, error) {
	if b.life.over.Load() {
		return 0, context.Canceled
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && b.life.over.Load() {
		err = context.Canceled
	}
	return n, err
}
