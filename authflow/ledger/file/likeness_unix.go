//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package file

import (
	"os"
	"syscall"
)

// likeness gives to the mode and the owner of from, so that whoever removes old
// entries as root does not lock the service out.
func likeness(from, to *os.File) error {
	is, err := from.Stat()
	if err != nil {
		return err
	}
	if err := to.Chmod(is.Mode().Perm()); err != nil {
		return err
	}
	want := is.Sys().(*syscall.Stat_t)
	has, err := to.Stat()
	if err != nil {
		return err
	}
	if has := has.Sys().(*syscall.Stat_t); has.Uid == want.Uid && has.Gid == want.Gid {
		return nil
	}
	return to.Chown(int(want.Uid), int(want.Gid))
}
