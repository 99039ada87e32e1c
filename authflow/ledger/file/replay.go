package file

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
)

// MaxLine is the most bytes a line has, its newline included.
const MaxLine = 64 << 10

// LineError says that a line of the ledger cannot be read. It names no content.
type LineError struct {
	Path string
	Line int // 1 for the first
	Err  error
}

func (e *LineError) Error() string {
	return fmt.Sprintf("ledger: %s, line %d: %v; nothing is skipped, as it could be a consent taken back: "+
		"restore the file from a copy, or look at the line and repair or remove it by hand", e.Path, e.Line, e.Err)
}

func (e *LineError) Unwrap() error { return e.Err }

// Replay implements ledger.Ledger. It reads what was in the file when it was
// called, whole lines only, and an entry whose event this version does not know
// is passed over. f may call the Ledger.
func (l *Ledger) Replay(ctx context.Context, f func(ledger.Entry) error) error {
	l.mu.RLock()
	closed := l.closed
	l.mu.RUnlock()
	if closed {
		return ErrClosed
	}
	r, err := os.Open(l.path)
	if err != nil {
		return fmt.Errorf("ledger: opening: %w", err)
	}
	defer r.Close()
	size, err := committed(r)
	if err != nil {
		return err
	}
	return replay(ctx, l.path, io.NewSectionReader(r, 0, size), f)
}

// committed returns how long the file is when nobody is writing. Less than that
// it only becomes by the repair of a disk that failed.
func committed(f *os.File) (int64, error) {
	if err := lockWithin(f, lockWait); err != nil {
		return 0, err
	}
	defer unlock(f)
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("ledger: asking for the size: %w", err)
	}
	return lastLineEnd(f, info.Size())
}

// replay calls f for each entry that r has. The path is for errors.
func replay(ctx context.Context, path string, r io.Reader, f func(ledger.Entry) error) error {
	lines := bufio.NewReaderSize(r, MaxLine)
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("ledger: reading: %w", context.Cause(ctx))
		}
		b, err := lines.ReadSlice('\n')
		switch {
		case err == nil:
		case err == io.EOF && len(b) == 0:
			return nil
		case err == io.EOF:
			return &LineError{path, n, errors.New("it has no end")}
		case errors.Is(err, bufio.ErrBufferFull):
			return &LineError{path, n, fmt.Errorf("it is longer than %d bytes", MaxLine)}
		default:
			return fmt.Errorf("ledger: reading %s: %w", path, err)
		}
		e, err := decode(b)
		if err != nil {
			return &LineError{path, n, err}
		}
		if !known(e.Event) {
			continue
		}
		if err := f(e); err != nil {
			return err
		}
	}
}

// decode reads a line. Its errors say nothing of the line's content, which is
// where damage could be anything.
func decode(b []byte) (ledger.Entry, error) {
	var l line
	// Unmarshal takes space around and before the object, which no line has.
	if !bytes.HasPrefix(b, []byte(lineStart)) || json.Unmarshal(b, &l) != nil {
		return ledger.Entry{}, errors.New("it cannot be read")
	}
	switch {
	case l.V > version:
		return ledger.Entry{}, fmt.Errorf("it was written by a later version of this program (v %d, known is up to %d): use that one", l.V, version)
	case l.V != version:
		return ledger.Entry{}, errors.New("it has no version that is known")
	case l.Event == "":
		return ledger.Entry{}, errors.New("it names no event")
	case known(l.Event) && (l.Consent == "" || l.At.IsZero()):
		return ledger.Entry{}, errors.New("it names no consent or no time")
	}
	return l.Entry, nil
}

// known returns whether a reader of this version knows what the event means.
func known(e ledger.Event) bool { return e == ledger.Given || e == ledger.Withdrawn }
