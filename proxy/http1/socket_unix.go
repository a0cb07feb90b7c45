//go:build unix && !linux

package http1

import "golang.org/x/sys/unix"

// quiet tells whether the socket is open with nothing to read. It polls, as
// peeking with recvfrom costs an allocation for an address nobody wants.
func quiet(fd uintptr) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} //nolint:gosec // a file descriptor fits
	n, err := unix.Poll(fds[:], 0)
	return err == nil && n == 0
}
