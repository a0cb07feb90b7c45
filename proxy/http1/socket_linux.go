package http1

import (
	"syscall"
	"unsafe"
)

// quiet tells whether the socket is open with nothing to read: a look at its
// first byte (MSG_PEEK) would have to wait. Like the reads and writes of package
// socket, a call that cannot block is made without telling the scheduler.
func quiet(fd uintptr) bool {
	var b [1]byte
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1, //nolint:gosec // the pattern that package unsafe allows for system calls
		syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	return errno == syscall.EAGAIN
}
