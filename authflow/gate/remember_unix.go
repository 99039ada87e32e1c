//go:build unix

package gate

import "syscall"

// outside takes memory from the system that Go's garbage collector does not
// count. It lets the heap grow to twice what it counts, so that a large table
// inside it would cost its size twice.
func outside(size int) (memory []byte, free func(), ok bool) {
	memory, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, nil, false
	}
	return memory, func() { _ = syscall.Munmap(memory) }, true
}
