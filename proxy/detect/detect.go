// Package detect finds out what a connection carries from its first bytes.
//
// It looks only as long and as far as it is allowed to, and what it looked at is
// read again by whoever serves the connection. It is the last resort: what an operator
// declares, and what a peer says about HTTP, is never second-guessed here. That its
// bytes are opaque is not taken on a peer's word (see [Late]).
package detect

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// Kind is what the first bytes look like.
type Kind uint8

// The kinds.
const (
	// Opaque: nothing that is known here.
	Opaque Kind = iota
	// Silent: no byte came in time; perhaps the server speaks first.
	Silent
	// TLS: a handshake record.
	TLS
	// HTTP1: a request line of HTTP/1.
	HTTP1
	// HTTP2: the connection preface of HTTP/2 with prior knowledge.
	HTTP2
)

// String names the kind for logs.
func (k Kind) String() string {
	names := [...]string{"opaque", "silent", "tls", "http/1", "http/2"}
	if int(k) >= len(names) {
		return "unknown"
	}
	return names[k]
}

// peekBytes is enough for a method and the start of a target. A peer cannot make
// us hold more.
const peekBytes = 64

// A Conn gives out again what was looked at, and then goes on.
type Conn struct {
	net.Conn
	ahead []byte
}

// Replay wraps nc so that ahead is read first.
func Replay(nc net.Conn, ahead []byte) *Conn { return &Conn{Conn: nc, ahead: ahead} }

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	if len(c.ahead) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.ahead)
	c.ahead = c.ahead[n:]
	return n, nil
}

// Ahead is what was looked at and not read again yet.
func (c *Conn) Ahead() []byte { return c.ahead }

// NetConn is the connection below, which no longer has what was looked at.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// CloseWrite ends the sending side, if the connection below can do that.
func (c *Conn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(nc net.Conn) error {
	if w, ok := nc.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Peek waits up to timeout for the first bytes of nc and says what they look
// like. It reads on while they could still become HTTP, within the same time.
// The returned connection replaces nc, also on error, and has no read deadline.
// An error is an end of the connection; silence is not one.
func Peek(nc net.Conn, timeout time.Duration) (Kind, *Conn, error) {
	if err := nc.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return Silent, Replay(nc, nil), err
	}
	kind, ahead, err := look(nc)
	// Or it would end a handshake that follows. If nc is closed, its next read
	// says so.
	_ = nc.SetReadDeadline(time.Time{})
	return kind, Replay(nc, ahead), err
}

// look reads until the kind is sure, or the deadline has passed.
func look(nc net.Conn) (kind Kind, ahead []byte, err error) {
	buf := make([]byte, peekBytes)
	n, kind := 0, Silent
	for n < len(buf) {
		m, err := nc.Read(buf[n:])
		n += m
		var sure bool
		if kind, sure = Classify(buf[:n]); sure {
			break
		}
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) && n > 0 {
				break // what came decides; the end is read again by the server
			}
			return kind, buf[:n], err
		}
	}
	return kind, buf[:n], nil
}

const preface = "PRI * HTTP/2.0\r\n" // RFC 9113 §3.4, as far as it is unlike HTTP/1

// Classify says what b looks like, and whether more bytes could change that.
func Classify(b []byte) (kind Kind, sure bool) {
	switch {
	case len(b) == 0:
		return Silent, false
	case b[0] == 0x16: // handshake record, RFC 8446 §5.1
		if len(b) == 1 {
			return Opaque, false
		}
		if b[1] == 3 {
			return TLS, true
		}
		return Opaque, true
	case hasPrefix(b, preface):
		return HTTP2, len(b) >= len(preface)
	}
	return classifyRequestLine(b)
}

// hasPrefix tells whether b begins with p, or is a beginning of p of at least
// four bytes ("PRI " is no method anybody else uses).
func hasPrefix(b []byte, p string) bool {
	if len(b) < 4 {
		return false
	}
	n := min(len(b), len(p))
	return string(b[:n]) == p[:n]
}

// longestMethod is longer than any registered HTTP method.
const longestMethod = 24

// classifyRequestLine looks for upper-case letters, a space, and the beginning of
// a target. Methods are case-sensitive and all registered ones are upper case
// (RFC 9110 §9.1, IANA registry), with '-' in a few.
func classifyRequestLine(b []byte) (Kind, bool) {
	i := 0
	for i < len(b) && (b[i] >= 'A' && b[i] <= 'Z' || i > 0 && (b[i] == '-' || b[i] == '_')) {
		i++
	}
	switch {
	case i == 0 || i > longestMethod:
		return Opaque, true
	case i == len(b):
		return Opaque, false
	case b[i] != ' ':
		return Opaque, true
	case i+1 == len(b):
		return Opaque, false
	}
	if t := b[i+1]; t == '/' || t == '*' || string(b[:i]) == "CONNECT" {
		return HTTP1, true
	}
	// An absolute-form target: still HTTP, and refused by the engine by name.
	if n := min(len(b)-i-1, len("http")); string(b[i+1:i+1+n]) == "http"[:n] {
		return HTTP1, n == len("http")
	}
	return Opaque, true
}
