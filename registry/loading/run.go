package loading

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

// Run imports files into an engine. The Summary is right as far as it got, also
// with an error: a *FileError where a file is not what it should be, ErrRejected,
// ErrTooManyRows, the context's, or the engine's. With any error the store is as
// it was.
func Run(ctx context.Context, e Engine, c Config) (s Summary, err error) {
	if len(c.Files) == 0 {
		return Summary{}, errors.New("no file to import: name one, or - for standard input")
	}
	batch, err := e.Begin(ctx, c.Dry)
	if err != nil {
		return Summary{}, err
	}
	defer func() {
		if aborting := batch.Abort(); err == nil {
			err = aborting
		}
	}()
	i, err := newImporting(c, batch)
	if err != nil {
		return Summary{}, err
	}
	defer i.parts.close()
	stop := i.report()
	err = i.run(ctx)
	stop()
	return i.sum(), err
}

// leastMemory is less in tests.
var leastMemory int64 = 64 << 20

// importing is one import.
type importing struct {
	Config
	batch   Batch
	keys    *sealed.Keys
	parts   *parts
	words   words
	size    int64
	started time.Time

	file                                 atomic.Pointer[string]
	phase                                atomic.Pointer[Phase]
	bytes, rows, doses, rejected, merged atomic.Int64

	reasonsMu sync.Mutex // over summary.Reasons, and the file of rejected rows
	summaryMu sync.Mutex // over what merging counts
	summary   Summary
}

func newImporting(c Config, b Batch) (*importing, error) {
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Memory == 0 {
		c.Memory = 512 << 20
	}
	c.Memory = max(c.Memory, leastMemory)
	if c.ProgressEvery <= 0 {
		c.ProgressEvery = 200 * time.Millisecond
	}
	i := &importing{Config: c, batch: b, keys: b.Keys(), started: time.Now()}
	i.summary.Dry = c.Dry
	i.summary.Reasons = make(map[string]int64)
	for _, f := range c.Files {
		size := f.Size
		if info, err := os.Stat(f.Name); size == 0 && f.Open == nil && err == nil {
			size = info.Size()
		}
		if size == 0 { // one that is not known makes the sum not known
			i.size = 0
			break
		}
		i.size += size
	}
	s, err := newSpill(c.TempDir, c.Memory/spillShare)
	if err != nil {
		return nil, err
	}
	i.parts = newParts(s, 0, partBits)
	i.enter(Reading)
	return i, nil
}

func (i *importing) run(ctx context.Context) error {
	if err := i.read(ctx); err != nil {
		return err
	}
	if i.Strict && i.rejected.Load() > 0 {
		return ErrRejected
	}
	i.enter(Merging)
	if err := i.merge(ctx); err != nil {
		return err
	}
	if !i.Dry {
		i.enter(Storing)
		if err := i.batch.Commit(ctx, i.summary.Change); err != nil {
			return err
		}
	}
	i.enter(Done)
	return nil
}

func (i *importing) enter(p Phase) { i.phase.Store(&p) }

func (i *importing) sum() Summary {
	s := &i.summary
	s.Rows, s.Doses, s.Rejected = i.rows.Load(), i.doses.Load(), i.rejected.Load()
	s.Elapsed = time.Since(i.started)
	s.Spilled = i.parts.end.Load()
	return *s
}

// report tells Config.Progress how it goes until what it returns is called.
func (i *importing) report() (stop func()) {
	if i.Progress == nil {
		return func() {}
	}
	tell := func() {
		p := Progress{Phase: *i.phase.Load(), Rows: i.rows.Load(), Rejected: i.rejected.Load(), Read: i.bytes.Load(), Size: i.size,
			Merged: i.merged.Load(), Elapsed: time.Since(i.started)}
		if name := i.file.Load(); name != nil {
			p.File = *name
		}
		i.Progress(p)
	}
	done := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(i.ProgressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				tell()
			case <-done:
				tell()
				return
			}
		}
	})
	return func() {
		close(done)
		telling.Wait()
	}
}
