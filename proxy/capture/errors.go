package capture

import (
	"errors"
	"fmt"
	"net/netip"
)

// Errors that a caller tells apart.
var (
	// ErrUnsupported: this system, or its kernel, cannot redirect traffic.
	ErrUnsupported = errors.New("capture needs Linux 5.2 or later with nf_tables; without it, name listeners in the configuration and point the application at them")
	// ErrNotPermitted: the process may not look at, or change, the rules.
	ErrNotPermitted = errors.New("not permitted; run it with the capability NET_ADMIN, in the network namespace of the application")
	// ErrForeign: a table of our name is not of our making.
	ErrForeign = errors.New("table inet " + Table + " was not written by this program and is left alone; look at it with nft list table inet " + Table + ", and remove or rename it")
	// ErrBypassed: traffic does not pass the sidecar.
	ErrBypassed = errors.New("traffic does not pass the sidecar")
)

// A NotRedirectedError is about a connection that reached a listener for
// redirected connections by the listener's own address. To forward it to where
// it was going would be to call ourselves, for ever.
type NotRedirectedError struct {
	// Listener is the listener's address.
	Listener netip.AddrPort
	// Err is what the kernel said, if it did not know the connection.
	Err error
}

// Error implements error.
func (e *NotRedirectedError) Error() string {
	text := fmt.Sprintf("the connection to %s was not redirected there", e.Listener)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *NotRedirectedError) Unwrap() error { return e.Err }
