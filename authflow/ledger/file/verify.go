package file

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
)

// Verify reads the ledger at path and reports whether its chain is whole. want is
// a head that was noted before, the zero Head if none was. Instances may append
// meanwhile: what they do is not looked at. It changes nothing. An error means that
// the file could not be read.
func Verify(ctx context.Context, path string, want chain.Head) (chain.Report, error) {
	check := chain.Checker{Want: want}
	f, size, err := openForReading(path)
	if err != nil {
		return chain.Report{}, err
	}
	defer f.Close()
	err = scan(ctx, path, io.NewSectionReader(f, 0, size), func(_ int, raw []byte, whole bool) error {
		if !whole && looksLikeLine(raw) {
			return nil // its writer was stopped, and nobody was told that it counts
		}
		_, _ = check.Next(raw) // an error is a problem, and is in the report
		return nil
	})
	if err != nil {
		return chain.Report{}, err
	}
	return check.End(chain.NoHead), nil
}

// Export calls f with each line of the ledger at path, of which whole lines count,
// oldest first, until f returns an error. One that cannot be read is a LineError.
func Export(ctx context.Context, path string, f func(chain.Line) error) error {
	r, size, err := openForReading(path)
	if err != nil {
		return err
	}
	defer r.Close()
	return scan(ctx, path, io.NewSectionReader(r, 0, size), func(n int, raw []byte, whole bool) error {
		if !whole && looksLikeLine(raw) {
			return nil
		}
		l, err := chain.Read(raw)
		if err != nil {
			return &LineError{path, n, err}
		}
		return f(l)
	})
}

// openForReading opens a ledger that is there, and returns how long it is.
func openForReading(path string) (*os.File, int64, error) {
	// What is neither file nor link to one, as a pipe, could block even to open.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("ledger: %s is not a file: give the path of a ledger", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("ledger: opening: %w", err)
	}
	size, err := sizeUnderLock(f)
	if err == nil {
		if err = looksLikeLedger(f); err != nil {
			err = fmt.Errorf("ledger: %s %w", path, err)
		}
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, size, nil
}
