package file

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/windows"
)

// A lock keeps others from reading and writing the bytes it is on, so it is on
// one that the file will never have.
var lockedByte = windows.Overlapped{Offset: math.MaxUint32, OffsetHigh: math.MaxInt32}

// tryLock takes the lock of f, or returns errLocked.
func tryLock(f *os.File) error {
	at := lockedByte
	err := windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}

func unlock(f *os.File) error {
	at := lockedByte
	return windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, &at)
}
