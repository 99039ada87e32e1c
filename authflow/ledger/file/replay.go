package file

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
)

// MaxLine is the most bytes a line has, its newline included.
const MaxLine = chain.MaxLine + 1

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
// called, whole lines only. An entry whose event this version does not know is
// passed over. f may call the Ledger. That the chain is broken is logged.
func (l *Ledger) Replay(ctx context.Context, f func(ledger.Entry) error) error {
	return l.read(func(r io.Reader) error { return replay(ctx, l.path, r, l.log, f) })
}

// ByPhone implements ledger.Ledger. It reads the whole file, and decodes only
// what has the phone in it: about a second for each gigabyte.
func (l *Ledger) ByPhone(ctx context.Context, phone string, f func(ledger.Entry) error) error {
	if err := ledger.CheckPhone(phone); err != nil {
		return err
	}
	return l.read(func(r io.Reader) error { return byPhone(ctx, l.path, r, phone, f) })
}

// read calls f with what is in the file now.
func (l *Ledger) read(f func(io.Reader) error) error {
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
	return f(io.NewSectionReader(r, 0, size))
}

// committed returns how long the file is when nobody is writing. Less than that
// it only becomes by the repair of a disk that failed.
func committed(f *os.File) (int64, error) {
	size, err := sizeUnderLock(f)
	if err != nil {
		return 0, err
	}
	return lastLineEnd(f, size)
}

func sizeUnderLock(f *os.File) (int64, error) {
	if err := lockWithin(f, lockWait); err != nil {
		return 0, err
	}
	defer unlock(f)
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("ledger: asking for the size: %w", err)
	}
	return info.Size(), nil
}

// replay calls f for each entry that r has. The path is for errors.
func replay(ctx context.Context, path string, r io.Reader, log *slog.Logger, f func(ledger.Entry) error) error {
	var check chain.Checker
	err := scan(ctx, path, r, func(n int, raw []byte, whole bool) error {
		if !whole {
			return &LineError{path, n, errors.New("it has no end")}
		}
		l, err := check.Next(raw)
		if err != nil {
			return &LineError{path, n, err}
		}
		return deliver(path, n, l, f)
	})
	if report := check.End(chain.NoHead); err == nil && !report.Whole() {
		log.Error("the ledger is not as it was written, see `caddy kycvs ledger verify`; what can be read of it counts",
			"path", path, "problems", report.Found, "first", report.Err())
	}
	return err
}

func byPhone(ctx context.Context, path string, r io.Reader, phone string, f func(ledger.Entry) error) error {
	// As it is written: a phone has nothing that JSON writes otherwise.
	written := []byte(`"phone":"` + phone + `"`)
	return scan(ctx, path, r, func(n int, raw []byte, _ bool) error {
		if !bytes.Contains(raw, written) {
			return nil
		}
		l, err := chain.Read(raw)
		if err != nil {
			return &LineError{path, n, err}
		}
		return deliver(path, n, l, func(e ledger.Entry) error {
			if e.Phone != phone {
				return nil
			}
			return f(e)
		})
	})
}

func deliver(path string, n int, l chain.Line, f func(ledger.Entry) error) error {
	e, known, err := l.Entry()
	if err != nil {
		return &LineError{path, n, err}
	}
	if !known {
		return nil
	}
	return f(e)
}

// scan calls f with each line that r has, without its newline; whole is false
// for a last one that has none. Of one that is too long f gets the beginning,
// which is too long as well. f must not keep the bytes.
func scan(ctx context.Context, path string, r io.Reader, f func(n int, raw []byte, whole bool) error) error {
	lines := bufio.NewReaderSize(r, MaxLine)
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("ledger: reading: %w", context.Cause(ctx))
		}
		raw, err := lines.ReadSlice('\n')
		if err == io.EOF && len(raw) == 0 {
			return nil
		}
		full := errors.Is(err, bufio.ErrBufferFull)
		if err != nil && err != io.EOF && !full {
			return fmt.Errorf("ledger: reading %s: %w", path, err)
		}
		whole := err == nil || full
		if err == nil {
			raw = raw[:len(raw)-1]
		}
		if err := f(n, raw, whole); err != nil {
			return err
		}
		for full {
			_, err := lines.ReadSlice('\n')
			full = errors.Is(err, bufio.ErrBufferFull)
			if err != nil && err != io.EOF && !full {
				return fmt.Errorf("ledger: reading %s: %w", path, err)
			}
		}
	}
}
