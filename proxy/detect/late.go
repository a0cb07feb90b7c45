package detect

import (
	"bytes"
	"errors"
	"net"
	"os"
	"time"
)

// lateBytes is how much of a first line is read to tell a request from something
// else. A peer cannot make us hold more.
const lateBytes = 1 << 10

// Resembles tells whether some HTTP server might take b for the beginning of a
// request, and whether more bytes could change that. It is as lenient as the most
// lenient of them, where [Classify] is as strict as we are: what it knows is what
// must not pass unread where headers say who calls. Servers overlook empty lines
// before a request (RFC 9112 §2.2), the case of a method, space that is too much,
// and targets without a slash.
func Resembles(b []byte) (like, sure bool) {
	b = bytes.TrimLeft(b, "\r\n \t")
	method := tokenLength(b)
	switch {
	case method == len(b):
		return false, false
	case method == 0, b[method] != ' ' && b[method] != '\t':
		return false, true
	}
	target := bytes.TrimLeft(b[method:], " \t")
	switch {
	case len(target) == 0:
		return false, false
	case target[0] == '/', target[0] == '*', bytes.EqualFold(b[:method], []byte("connect")):
		return true, true
	}
	return resemblesLine(target)
}

// resemblesLine looks for the version at the end of a request line.
func resemblesLine(target []byte) (like, sure bool) {
	line, _, whole := bytes.Cut(target, []byte("\n"))
	for _, x := range line {
		if x < ' ' && x != '\t' && x != '\r' || x >= 0x7f {
			return false, true // no text, so no request line
		}
	}
	if bytes.Contains(bytes.ToUpper(line), []byte("HTTP")) { // of the target, or of the version
		return true, true
	}
	return false, whole
}

// tokenLength counts the bytes at the start of b that a method may have (RFC 9110
// §5.6.2).
func tokenLength(b []byte) int {
	return len(b) - len(bytes.TrimLeft(b, "!#$%&'*+-.^_`|~0123456789"+
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
}

// errRequest is of reading from a client that has begun a request in pieces, after
// its first bytes could not be told from something else for too long.
var errRequest = errors.New("a request that came in pieces")

// Late looks once more at a connection that is about to be carried as opaque bytes,
// to a server that is connected already: it waits for whichever end speaks first,
// for as long as idle, and if that is the client and a request begins, like is true.
// It reads on while that is open, for as long as more; when it still is, the client
// can be read, and that fails if it becomes a request; [IsRequest] tells. Without this
// a client need only wait, or stammer, and what it says is never judged.
//
// The returned connections replace both, also on error, and have no read deadlines. The
// error is [os.ErrDeadlineExceeded] where neither has spoken or ended; an end is read
// again by whoever carries the bytes.
func Late(client, server net.Conn, idle, more time.Duration) (like bool, c net.Conn, s *Conn, err error) {
	said, s := asConn(client), Replay(server, nil)
	if len(said.ahead) == 0 {
		err = first(said, s, idle)
	}
	sure := true
	if err == nil && len(s.ahead) == 0 && len(said.ahead) > 0 {
		like, sure = said.resembles(more)
	}
	// If one is closed, its next read says so.
	_ = said.SetReadDeadline(time.Time{})
	_ = s.SetReadDeadline(time.Time{})
	if !sure {
		return false, &guarded{Conn: said}, s, err
	}
	return like, said, s, err
}

// guarded is a client of which it is open whether it begins a request.
type guarded struct {
	*Conn
	said []byte // so far; nil when it is no request
	// sure: it is none; failed: it is one.
	sure, failed bool
}

// IsRequest tells whether reading of nc, as [Late] returned it, was ended because its
// client began a request. It is for whoever has read it.
func IsRequest(nc net.Conn) bool {
	g, ok := nc.(*guarded)
	return ok && g.failed
}

// Read implements net.Conn.
func (g *guarded) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if g.sure || n == 0 {
		return n, err
	}
	g.said = append(g.said, b[:n]...)
	like, sure := Resembles(g.said[:min(len(g.said), lateBytes)])
	switch {
	case like, !sure && len(g.said) >= lateBytes:
		g.failed = true
		return 0, errRequest
	case sure:
		g.sure, g.said = true, nil
	}
	return n, err
}

func asConn(nc net.Conn) *Conn {
	if c, ok := nc.(*Conn); ok {
		return c
	}
	return Replay(nc, nil)
}

// first waits until an end has spoken or ended, and has then both know what they said.
func first(client, server *Conn, idle time.Duration) error {
	by := time.Now().Add(idle)
	_ = client.SetReadDeadline(by) // where that fails, the read does too
	_ = server.SetReadDeadline(by)
	heard := make(chan error, 1)
	go func() {
		err := server.lookAhead()
		interrupt(client)
		heard <- err
	}()
	err := client.lookAhead()
	interrupt(server)
	other := <-heard
	silence := len(client.ahead) == 0 && len(server.ahead) == 0
	if silence && errors.Is(err, os.ErrDeadlineExceeded) && errors.Is(other, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// interrupt has a read of nc end at once.
func interrupt(nc net.Conn) { _ = nc.SetReadDeadline(time.Unix(1, 0)) }

// lookAhead reads once.
func (c *Conn) lookAhead() error {
	buf := make([]byte, peekBytes)
	n, err := c.Conn.Read(buf)
	c.ahead = buf[:n]
	return err
}

// resembles reads on until it is clear whether a request begins, or time is up. A
// first line that is too long is one.
func (c *Conn) resembles(within time.Duration) (like, sure bool) {
	_ = c.SetReadDeadline(time.Now().Add(within))
	for {
		like, sure = Resembles(c.ahead)
		switch {
		case sure:
			return like, true
		case len(c.ahead) >= lateBytes:
			return true, true
		case c.readOn() != nil:
			return false, false
		}
	}
}

// readOn reads once more, up to lateBytes in all.
func (c *Conn) readOn() error {
	n := len(c.ahead)
	if cap(c.ahead) < lateBytes {
		c.ahead = append(make([]byte, 0, lateBytes), c.ahead...)
	}
	m, err := c.Conn.Read(c.ahead[n:lateBytes])
	c.ahead = c.ahead[:n+m]
	if m > 0 {
		return nil // an error comes again
	}
	return err
}
