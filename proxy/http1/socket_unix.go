//go:build unix

package http1

import "golang.org/x/sys/unix"

// quiet tells whether the socket is open with nothing to read.
func quiet(fd uintptr) bool {
	var b [1]byte
	_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == unix.EAGAIN //nolint:errorlint // a bare errno, on the hot path
}
