package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
)

// disk is what a tail needs of its file, so that tests can make it fail.
type disk interface {
	io.Writer // appends
	io.ReaderAt
	Size() (int64, error)
	Truncate(size int64) error
	Sync() error
	// Lock takes the file's lock among processes; Unlock gives it back.
	Lock() error
	Unlock() error
	// InPlace returns an error unless the path still leads to this file.
	InPlace() error
	Close() error
}

// tail is the end of the file, where lines are added. One goroutine at a time
// may use it, but for inPlace.
type tail struct {
	mu   sync.Mutex // over the exchange of disk
	disk disk
	log  *slog.Logger
	// reopen opens the file that is at the path now. nil: that is not possible.
	reopen func() (disk, error)

	// end is where the file ended when this process last looked, after a
	// newline, and head is the line that ends there.
	end  int64
	head chain.Head
	// failed is set from when a batch failed until it is cut off, durably. It is
	// the file's length with what that batch left behind end.
	failed *int64

	buf []byte // of the last batch
}

// openTail opens or creates the file at path and repairs its last line.
func openTail(path string, log *slog.Logger) (*tail, error) {
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("ledger: making the folder of %s: %w", path, err)
	}
	// What is neither file nor link to one, as a pipe, could block even to open.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("ledger: %s is not a file: give the path of a file", path)
	}
	d, err := openDisk(path, os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("ledger: opening: %w", err)
	}
	t := &tail{disk: d, log: log, head: chain.Genesis(), reopen: func() (disk, error) { return openDisk(path, 0) }}
	if err := t.open(path); err != nil {
		t.disk.Close()
		return nil, err
	}
	return t, nil
}

func (t *tail) open(path string) error {
	if err := t.lock(); err != nil {
		return err
	}
	defer t.disk.Unlock()
	if err := looksLikeLedger(t.disk); err != nil {
		return fmt.Errorf("ledger: %s %w", path, err)
	}
	if err := t.repair(); err != nil {
		return err
	}
	// What is read from here on, others will act on: it must be on disk, even if
	// whoever wrote it died before the fsync.
	if err := t.disk.Sync(); err != nil {
		return fmt.Errorf("ledger: syncing: %w", err)
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return fmt.Errorf("ledger: syncing the folder: %w", err)
	}
	return nil
}

// append makes the lines of bodies durable, all of them, or returns an error. No
// bodies is the question whether some could be.
func (t *tail) append(bodies []chain.Body) error {
	if err := t.lock(); err != nil {
		return err
	}
	defer t.disk.Unlock()
	if err := t.repair(); err != nil {
		return err
	}
	if len(bodies) == 0 {
		return nil
	}
	lines, head := t.buf[:0], t.head
	for _, b := range bodies {
		lines, head = chain.Append(lines, head, b)
		lines = append(lines, '\n')
	}
	t.buf = lines
	n, err := t.disk.Write(lines)
	if err == nil {
		err = t.disk.Sync()
	}
	if err != nil {
		length := t.end + int64(n)
		t.failed = &length
		err = fmt.Errorf("ledger: writing, see that the disk works and has room: %w", err)
		// Still under the lock, so that nobody appends to what has to go.
		return errors.Join(err, t.repair())
	}
	t.end += int64(len(lines))
	t.head = head
	return nil
}

// lock takes the lock of the file that the path leads to. Where that is another
// one than it was, because retention has put it there, it is used from now on.
func (t *tail) lock() error {
	for tries := 0; ; tries++ {
		if err := t.disk.Lock(); err != nil {
			return err
		}
		moved := t.disk.InPlace()
		if moved == nil {
			return nil
		}
		t.disk.Unlock()
		if t.reopen == nil || tries == 3 {
			return moved
		}
		if err := t.follow(); errors.Is(err, fs.ErrNotExist) {
			return moved
		} else if err != nil {
			return errors.Join(moved, err)
		}
	}
}

// follow changes over to the file that is at the path now, if it goes on from
// where this one was.
func (t *tail) follow() error {
	next, err := t.reopen()
	if err != nil {
		return fmt.Errorf("ledger: opening: %w", err)
	}
	if err := next.Lock(); err != nil {
		next.Close()
		return err
	}
	err = goesOn(next, t.head)
	next.Unlock()
	if err != nil {
		next.Close()
		return err
	}
	t.mu.Lock()
	old := t.disk
	t.disk = next
	t.mu.Unlock()
	old.Close()
	t.end, t.failed = -1, nil // so that the head is read anew
	return nil
}

// repair brings the file into a state to append to, and end up to date: it cuts
// off the own batch that failed and a line that another process was killed
// over. The lock must be held.
func (t *tail) repair() error {
	size, err := t.disk.Size()
	switch {
	case err != nil:
		return fmt.Errorf("ledger: asking for the size: %w", err)
	case t.failed != nil:
		return t.cutFailed(size)
	case size == t.end:
		return nil
	case size < t.end: // whoever did that will be found out by a head that was noted
		t.log.Error("the ledger is shorter than it was: somebody else removed lines", "bytes", t.end-size)
	}
	end, err := lastLineEnd(t.disk, size)
	if err != nil {
		return err
	}
	if end < size {
		t.log.Warn("the last line of the ledger was torn and is cut off: its writer was stopped before it was acknowledged",
			"offset", end, "bytes", size-end)
		return t.cut(end)
	}
	return t.setEnd(end)
}

// setEnd notes where the last line ends, and which it is.
func (t *tail) setEnd(end int64) error {
	if end == t.end {
		return nil
	}
	l, err := lineBefore(t.disk, end)
	if err != nil {
		return err
	}
	t.end, t.head = end, l
	return nil
}

// cutFailed is repair after a batch that failed.
func (t *tail) cutFailed(size int64) error {
	end := t.end
	if size != *t.failed {
		// Somebody has written behind the batch since. Whole lines of it stay:
		// their callers were told that they may or may not be in the record.
		var err error
		if end, err = lastLineEnd(t.disk, size); err != nil {
			return err
		}
	}
	return t.cut(end)
}

// cut makes the file end at end, durably. Until that has succeeded the file is
// not believed: the cut is made again, even where the file already has that
// length, so that the fsync has something to do and to fail at.
func (t *tail) cut(end int64) error {
	if err := t.setEnd(end); err != nil {
		return err
	}
	t.failed = &end
	if err := t.disk.Truncate(end); err != nil {
		// Still as long as it was.
		if size, err := t.disk.Size(); err == nil {
			t.failed = &size
		}
		return fmt.Errorf("ledger: cutting off what was not written in full: %w", err)
	}
	if err := t.disk.Sync(); err != nil {
		return fmt.Errorf("ledger: syncing after a repair: %w", err)
	}
	t.failed = nil
	return nil
}

// inPlace returns an error unless the path still leads to the file.
func (t *tail) inPlace() error {
	t.mu.Lock()
	d := t.disk
	t.mu.Unlock()
	return d.InPlace()
}

func (t *tail) close() error {
	if err := t.disk.Close(); err != nil {
		return fmt.Errorf("ledger: closing: %w", err)
	}
	return nil
}

// lastLineEnd returns the offset behind the last newline before size. What
// stands behind that must look like the beginning of a line.
func lastLineEnd(r io.ReaderAt, size int64) (int64, error) {
	if size == 0 {
		return 0, nil
	}
	from := max(size-MaxLine, 0)
	buf := make([]byte, min(size-from, 1)) // the usual case: the last byte is a newline
	for {
		if _, err := r.ReadAt(buf, size-int64(len(buf))); err != nil {
			return 0, fmt.Errorf("ledger: reading the last line: %w", err)
		}
		i := bytes.LastIndexByte(buf, '\n')
		switch {
		case i >= 0 || int64(len(buf)) == size-from:
			end := size - int64(len(buf)) + int64(i) + 1
			torn := buf[i+1:]
			if i < 0 && from > 0 || !looksLikeLine(torn) {
				return 0, fmt.Errorf("ledger: what stands at the end, from byte %d, is no line of a ledger: "+
					"find out who wrote it, and move the file away or remove that part", end)
			}
			return end, nil
		}
		buf = make([]byte, size-from)
	}
}

// lineBefore returns the head that is the line which ends at end, behind its
// newline.
func lineBefore(r io.ReaderAt, end int64) (chain.Head, error) {
	if end == 0 {
		return chain.Genesis(), nil
	}
	for _, size := range []int64{1024, MaxLine + 1} {
		from := max(end-size, 0)
		buf := make([]byte, end-from)
		if _, err := r.ReadAt(buf, from); err != nil {
			return chain.Head{}, fmt.Errorf("ledger: reading the last line: %w", err)
		}
		buf = buf[:len(buf)-1]
		i := bytes.LastIndexByte(buf, '\n')
		if i < 0 && from > 0 {
			continue // longer than that
		}
		l, err := chain.Read(buf[i+1:])
		if err != nil {
			return chain.Head{}, fmt.Errorf("ledger: the last line, to which the next one has to hold on: %w; run `caddy kycvs ledger verify`", err)
		}
		return l.Head(), nil
	}
	return chain.Head{}, errors.New("ledger: the last line is longer than a line can be: run `caddy kycvs ledger verify`")
}

// looksLikeLine returns whether b could be the beginning of a line, or what a
// file system leaves where one was to be written: nothing or zeros.
func looksLikeLine(b []byte) bool {
	if len(bytes.Trim(b, "\x00")) == 0 {
		return true
	}
	n := min(len(b), len(chain.Start))
	return string(b[:n]) == chain.Start[:n]
}

// looksLikeLedger returns an error if the file begins with something else than
// a line: then its last line must not be "repaired".
func looksLikeLedger(r io.ReaderAt) error {
	var buf [len(chain.Start)]byte
	n, err := r.ReadAt(buf[:], 0)
	if err != nil && err != io.EOF {
		return fmt.Errorf("cannot be read: %w", err)
	}
	if !looksLikeLine(buf[:n]) {
		return errors.New("is not a ledger (its first line is another program's): give the path of a ledger or of a new file")
	}
	return nil
}

// osDisk is a disk that is one.
type osDisk struct {
	path string
	w    *os.File // O_APPEND, and holds the lock
	rw   *os.File // reads and truncates, which not every system allows on w
}

// openDisk opens the file at path; flag is os.O_CREATE or nothing.
func openDisk(path string, flag int) (*osDisk, error) {
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|flag, 0o600)
	if err != nil {
		return nil, err
	}
	rw, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		w.Close()
		return nil, err
	}
	return &osDisk{path: path, w: w, rw: rw}, nil
}

func (d *osDisk) Write(b []byte) (int, error)             { return d.w.Write(b) }
func (d *osDisk) ReadAt(b []byte, off int64) (int, error) { return d.rw.ReadAt(b, off) }
func (d *osDisk) Truncate(size int64) error               { return d.rw.Truncate(size) }
func (d *osDisk) Sync() error                             { return d.w.Sync() }
func (d *osDisk) Lock() error                             { return lockWithin(d.w, lockWait) }
func (d *osDisk) Unlock() error                           { return unlock(d.w) }
func (d *osDisk) Close() error                            { return errors.Join(d.w.Close(), d.rw.Close()) }

func (d *osDisk) Size() (int64, error) {
	info, err := d.w.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (d *osDisk) InPlace() error {
	there, err := os.Stat(d.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ledger: looking for the file: %w", err)
	}
	open, errOpen := d.w.Stat()
	if errOpen != nil {
		return fmt.Errorf("ledger: looking at the open file: %w", errOpen)
	}
	if err != nil || !os.SameFile(there, open) {
		return fmt.Errorf("ledger: %s was moved, removed or replaced while in use: put it back, or restart to begin a new one", d.path)
	}
	return nil
}

// lockWait is how long a batch waits for another process's: a batch takes
// milliseconds, so whoever holds the lock longer is stopped or broken.
const lockWait = 5 * time.Second

var errLocked = errors.New("locked by another process")

// lockWithin takes the lock of f, or gives up after a while: to wait in the
// system call could not be ended.
func lockWithin(f *os.File, wait time.Duration) error {
	give := time.Now().Add(wait)
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, time.Millisecond) {
		err := tryLock(f)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, errLocked):
			return fmt.Errorf("ledger: locking the file: %w", err)
		case time.Now().After(give):
			return fmt.Errorf("ledger: another process has held the file's lock for %v: see which one has it open", wait)
		}
		time.Sleep(pause)
	}
}

// makeFolder makes folder, and those above it, durably.
func makeFolder(folder string) error {
	var missing []string
	for p := folder; ; p = filepath.Dir(p) {
		_, err := os.Stat(p)
		if err == nil || p == filepath.Dir(p) {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		missing = append(missing, p)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for _, p := range missing {
		if err := syncFolder(filepath.Dir(p)); err != nil {
			return err
		}
	}
	return nil
}

// syncFolder makes the names in folder durable.
func syncFolder(folder string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be synced there; NTFS logs names itself
	}
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil // a file system on which folders cannot be synced
	}
	return errors.Join(err, d.Close())
}
