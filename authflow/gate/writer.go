package gate

import (
	"io"
	"net/http"
)

// writer is the response on its way to the client. It is cleaned when the
// header goes out and again for what comes behind the body; the body itself
// streams through.
type writer struct {
	http.ResponseWriter
	// private marks an answer that says nothing of caching as one person's own.
	private bool
	sent    bool
}

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
	if !w.sent {
		w.sent = status >= 200 || status == http.StatusSwitchingProtocols
		if w.sent {
			w.prepare()
		} else {
			cleanResponse(w.Header())
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) begin() {
	if !w.sent {
		w.sent = true
		w.prepare()
	}
}

func (w *writer) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(p)
}

// ReadFrom lets the server copy a file without taking it through memory.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	w.begin()
	if rf, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return rf.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{w.ResponseWriter}, r)
}

func (w *writer) Flush() { _ = w.FlushError() }

func (w *writer) FlushError() error {
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
