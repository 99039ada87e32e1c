//go:build unix

package embedded

import (
	"syscall"
	"time"
)

// cpuTime is how long this process has kept cores busy.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// mostMemory is the most memory this process has had, in MiB (on Linux).
func mostMemory() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Maxrss) / 1024
}
