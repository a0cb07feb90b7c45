package http1

import (
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/outrider-mesh/outrider/proxy/limits"
)

// ClientOptions configure the connections to one next hop.
type ClientOptions struct {
	// Limits bound heads, bodies and waits.
	Limits limits.Limits
	// Buffers is the pool to draw from; required.
	Buffers *Buffers
}

// A ClientConn is one connection to the next hop, used by one exchange at a
// time.
type ClientConn struct {
	conn
	opts *ClientOptions
	pool *Pool
	body bodyLimits
	resp response
	rest Body

	// retireAt is when the connection must not be used any more; zero: never.
	retireAt time.Time
	// cleanCloseUnprocessed: see [Dialed].
	cleanCloseUnprocessed bool
	idleSince             time.Time
	// large tells that the last answer did not fit a small buffer; the next
	// one is likely to be like it.
	large  bool
	reused bool

	raw   syscall.RawConn
	below Stream // where there is no socket; nil: nobody can tell
	alive bool   // written by peek
	peek  func(fd uintptr)

	closeOnce sync.Once
}

func newClientConn(d Dialed, opts *ClientOptions, pool *Pool) *ClientConn {
	l := &opts.Limits
	c := &ClientConn{
		conn: conn{net: d.Conn, buffers: opts.Buffers}, opts: opts, pool: pool,
		body:     bodyLimits{trailerBytes: l.TrailerBytes, headerCount: l.HeaderCount, within: l.BodyTimeout},
		retireAt: d.RetireAt, cleanCloseUnprocessed: d.CleanCloseMeansUnprocessed,
	}
	c.resp.fromSidecar = d.FromSidecar
	if c.raw = rawConn(d.Conn); c.raw == nil {
		c.below = stream(d.Conn)
	}
	c.peek = func(fd uintptr) { c.alive = quiet(fd) }
	return c
}

// NetConn is the connection below, as the dialer returned it.
func (c *ClientConn) NetConn() net.Conn { return c.net }

// Reused tells whether an earlier exchange used the connection.
func (c *ClientConn) Reused() bool { return c.reused }

// wrapper is a connection inside of another one, as of *tls.Conn.
type wrapper interface{ NetConn() net.Conn }

// rawConn finds the socket inside of nc; nil if there is none.
func rawConn(nc net.Conn) syscall.RawConn {
	for {
		if s, ok := nc.(syscall.Conn); ok {
			raw, err := s.SyscallConn()
			if err != nil {
				return nil
			}
			return raw
		}
		inner, ok := nc.(wrapper)
		if !ok {
			return nil
		}
		nc = inner.NetConn()
	}
}

// A Stream is a connection without a socket of its own, as a stream of a QUIC
// connection is, that can tell whether it is alive.
type Stream interface{ Usable() bool }

// stream finds the stream inside of nc; nil if there is none.
func stream(nc net.Conn) Stream {
	for {
		if s, ok := nc.(Stream); ok {
			return s
		}
		inner, ok := nc.(wrapper)
		if !ok {
			return nil
		}
		nc = inner.NetConn()
	}
}

// usable tells whether an idle connection can carry another request. A socket
// that can be read from is not: between exchanges the next hop has nothing to
// say but that it closes (and, on TLS, to alert).
func (c *ClientConn) usable(now time.Time) bool {
	if !c.retireAt.IsZero() && now.After(c.retireAt) {
		return false
	}
	if now.Sub(c.idleSince) > c.opts.Limits.UpstreamIdleTimeout {
		return false
	}
	if c.raw == nil {
		return c.below == nil || c.below.Usable()
	}
	c.alive = false
	if err := c.raw.Control(c.peek); err != nil {
		return false
	}
	return c.alive
}

// write sends b within the write timeout.
func (c *ClientConn) write(b []byte) error {
	if err := c.allow(time.Now(), c.opts.Limits.WriteTimeout); err != nil {
		return err
	}
	_, err := c.net.Write(b)
	return err
}

// Close ends the connection for good. It may be called more than once.
func (c *ClientConn) Close() {
	c.closeOnce.Do(func() {
		_ = c.net.Close() // nothing of ours is still to be sent
		c.pool.closed(c)
	})
}

// Release gives the connection back for another exchange, or closes it.
func (c *ClientConn) Release(reusable bool) {
	leftover := len(c.unread()) > 0 || c.over
	c.conn.release()
	if !reusable || leftover {
		c.Close()
		return
	}
	c.idleSince = time.Now()
	c.pool.put(c)
}

// Hijack hands the connection over after an upgrade or CONNECT, with the bytes
// that were read ahead. The caller closes it with Close.
func (c *ClientConn) Hijack() (nc net.Conn, ahead []byte) { return c.hijack() }
