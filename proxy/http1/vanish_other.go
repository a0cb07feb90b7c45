//go:build !linux

package http1

// finReceived: nobody is asked here; the write of the answer will notice.
func finReceived(uintptr) bool { return false }
