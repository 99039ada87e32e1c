package gate

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// writer is the response on its way to the client. It is cleaned when the
// header goes out and again for what comes behind the body; the body itself
// streams through.
type writer struct {
	http.ResponseWriter
	// private marks an answer that says nothing of caching as one person's own.
	private bool
	sent    atomic.Bool
	// switched says that the connection has changed to a web socket.
	switched bool
	// life, where it is set, is the pass's: once that has ended, nothing more is
	// written here.
	life *lifeline
}

// piece is how much of a file is copied between two looks at whether the pass
// has ended.
const piece = 1 << 20

// errCut is what a handler gets for writing an answer whose pass has ended.
var errCut = errors.New("gate: the pass this answer rests on has ended")

func (w *writer) cut() bool { return w.life != nil && w.life.over.Load() }

func (w *writer) prepare() {
	h := w.Header()
	cleanResponse(h)
	if w.private {
		if _, said := h["Cache-Control"]; !said {
			h["Cache-Control"] = []string{"private"}
		}
	}
}

// WriteHeader is called for early hints, too, and for the switch to a web
// socket.
func (w *writer) WriteHeader(status int) {
	if w.cut() {
		return // the gate has the last word
	}
	if !w.sent.Load() {
		if status >= 200 || status == http.StatusSwitchingProtocols {
			w.sent.Store(true)
			w.switched = status == http.StatusSwitchingProtocols
			w.prepare()
		} else {
			cleanResponse(w.Header())
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) begin() {
	if !w.sent.Load() {
		w.sent.Store(true)
		w.prepare()
	}
}

func (w *writer) Write(p []byte) (int, error) {
	if w.cut() {
		return 0, errCut
	}
	w.begin()
	return w.ResponseWriter.Write(p)
}

// ReadFrom lets the server copy a file without taking it through memory, a
// piece at a time, so that it does not go on once the pass has ended.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	if w.cut() {
		return 0, errCut
	}
	w.begin()
	if rf, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		var total int64
		for {
			n, err := rf.ReadFrom(io.LimitReader(r, piece))
			total += n
			if err != nil || n < piece {
				return total, err
			}
			if w.cut() {
				return total, errCut
			}
		}
	}
	return io.Copy(struct{ io.Writer }{w}, r)
}

func (w *writer) Flush() { _ = w.FlushError() }

func (w *writer) FlushError() error {
	if w.cut() {
		return errCut
	}
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController: deadlines, full duplex, hijacking.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// finish cleans what was added to the header after it went out: the fields
// behind the body.
func (w *writer) finish() {
	w.begin()
	cleanResponse(w.Header())
}
