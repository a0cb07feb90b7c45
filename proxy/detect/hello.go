package detect

import (
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// helloBytes bounds what is read of a ClientHello: one record with its head
// (RFC 8446 §5.1). With hybrid key shares a hello has some 2 KiB.
const helloBytes = 16<<10 + 5

// Offered waits up to timeout for a ClientHello and returns the protocols that it
// offers (ALPN, RFC 7301). Nothing is answered. The returned connection replaces
// nc, also on error, and has no read deadline.
func Offered(nc net.Conn, timeout time.Duration) ([]string, *Conn, error) {
	if err := nc.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return nil, Replay(nc, nil), err
	}
	var offered []string
	heard := &listening{Conn: nc}
	// The standard library reads the hello, and is stopped when it has: its
	// parser is the one that reads it again if we answer.
	err := tls.Server(heard, &tls.Config{
		MinVersion: tls.VersionTLS12, // whatever it is, we are not the ones to refuse it
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			offered = h.SupportedProtos
			return nil, errHeard
		},
	}).Handshake() //nolint:noctx // the deadline above ends it
	_ = nc.SetReadDeadline(time.Time{}) // if nc is closed, its next read says so
	if errors.Is(err, errHeard) {
		err = nil
	}
	return offered, Replay(nc, heard.said), err
}

var (
	errHeard   = errors.New("the hello has been heard")
	errTooLong = errors.New("the hello is longer than a record")
)

// listening remembers what is read and says nothing.
type listening struct {
	net.Conn
	said []byte
}

// Read implements net.Conn.
func (l *listening) Read(b []byte) (int, error) {
	left := helloBytes - len(l.said)
	if left <= 0 {
		return 0, errTooLong
	}
	n, err := l.Conn.Read(b[:min(len(b), left)])
	l.said = append(l.said, b[:n]...)
	return n, err
}

// Write implements net.Conn: an alert that nobody may see.
func (l *listening) Write(b []byte) (int, error) { return len(b), nil }

// Close implements net.Conn; the connection goes on.
func (l *listening) Close() error { return nil }
