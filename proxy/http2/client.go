package http2

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	wire "golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// ClientOptions configure the connections to one next hop.
type ClientOptions struct {
	// Limits bound heads, bodies, streams and waits.
	Limits limits.Limits
	// Buffers is the pool to draw from; required.
	Buffers *Buffers
}

// A ClientConn is one connection to the next hop. It carries several exchanges at
// a time.
type ClientConn struct {
	conn
	pool   *Pool
	dialed Dialed
	below  usable        // what carries it alone; nil if it can't tell anything
	done   chan struct{} // closed when the reader has ended

	closeOnce sync.Once

	// Guarded by conn.mu.
	next     uint32 // the number of the next stream
	reserved int    // places that were given out and not used yet
	begun    int64  // streams, ever
	// leaving is why no more streams are opened.
	leaving error
	lines   []knownLine
}

// knownLine is a field line that an edit added before, as a field.
type knownLine struct {
	line        []byte
	name, value string
}

func newClientConn(d Dialed, opts *ClientOptions, pool *Pool) *ClientConn {
	c := &ClientConn{pool: pool, dialed: d, next: 1, done: make(chan struct{})}
	l := &opts.Limits
	c.init(d.Conn, l, opts.Buffers, c)
	c.eager = true
	if !d.FromSidecar {
		c.interval = l.PlainPingInterval
	}
	if d.Alone {
		c.below = usableOf(d.Conn)
	}
	c.out = append(c.out, wire.ClientPreface...)
	c.out = appendSettings(c.out,
		wire.Setting{ID: wire.SettingEnablePush, Val: 0},
		wire.Setting{ID: wire.SettingInitialWindowSize, Val: uint32(c.streamWindow)}, //nolint:gosec // limits are small
		wire.Setting{ID: wire.SettingMaxHeaderListSize, Val: uint32(l.HeadBytes)},    //nolint:gosec // limits are small
	)
	if c.window > firstWindow {
		c.out = appendWindowUpdate(c.out, 0, uint32(c.window-firstWindow)) //nolint:gosec // limits are small
	}
	go c.read()
	return c
}

// NetConn is the connection below, as the dialer returned it.
func (c *ClientConn) NetConn() net.Conn { return c.net }

// Reused tells whether an earlier exchange used the connection.
func (c *ClientConn) Reused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.begun > 0
}

// read is the goroutine that reads. Close waits for it.
func (c *ClientConn) read() {
	defer close(c.done)
	defer c.pool.closed(c)
	defer c.contain()
	c.in.begin(time.Now())
	c.end(c.readFrames())
}

// end tells the streams that the connection is over, and why.
func (c *ClientConn) end(err error) {
	var fault *connError
	goodbye := errors.As(err, &fault)
	c.mu.Lock()
	if goodbye {
		c.out = appendGoAway(c.out, 0, fault.code, fault.rule)
	}
	if errors.Is(err, io.EOF) {
		err = message.ErrUnexpectedEnd
	}
	c.fail(err)
	c.mu.Unlock()
	c.deliver()
	if goodbye {
		c.drain(time.Now().Add(c.limits.LingerTimeout))
	}
	_ = c.net.Close() // nothing of ours is still to be sent
	c.in.release()
}

// A usable connection is a stream of another one, as of QUIC, that can tell whether it
// should be used again.
type usable interface{ Usable() bool }

// usableOf finds it inside of nc.
func usableOf(nc net.Conn) usable {
	for {
		if u, ok := nc.(usable); ok {
			return u
		}
		inner, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		nc = inner.NetConn()
	}
}

// usable tells whether another stream can be opened. It needs c.mu.
func (c *ClientConn) usable(now time.Time) bool {
	if c.leaving == nil && c.below != nil && len(c.streams)+c.reserved == 0 && !c.below.Usable() {
		c.leaving = errRetired // [Pool.Sweep] closes it
	}
	if c.leaving == nil && c.dead == nil && !c.dialed.RetireAt.IsZero() && now.After(c.dialed.RetireAt) {
		c.leaving = errRetired
	}
	if c.leaving == nil && (c.next > mostStream || c.peer.streams == 0) {
		c.leaving = errRetired // by its numbers, or by a peer that takes none
	}
	return c.leaving == nil && c.dead == nil && c.lost == nil
}

// reserve takes a place for a stream, if there is one.
func (c *ClientConn) reserve(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	most := min(c.peer.streams, c.limits.ConcurrentStreams)
	if c.dialed.Alone {
		most = min(most, 1)
	}
	if !c.usable(now) || len(c.streams)+c.reserved >= most {
		return false
	}
	c.reserved++
	return true
}

// mayOpen tells whether a reserved place can be used: not yet, if wait is set.
func (c *ClientConn) mayOpen(extended bool) (wait bool, err error) {
	switch {
	case c.dead != nil:
		return false, c.dead
	case c.lost != nil:
		return false, c.lost
	case c.leaving != nil && !errors.Is(c.leaving, errRetired):
		return false, c.leaving
	case c.next > mostStream:
		return false, errRetired
	case c.full():
		return true, nil
	case extended && !c.peer.known:
		return true, nil
	case extended && !c.peer.connecting:
		return false, errNoExtendedConnect
	}
	return false, nil
}

// errNoExtendedConnect: WebSocket over HTTP/2 has to be agreed upon (RFC 8441 §3).
var errNoExtendedConnect = errors.New("the next hop does not take extended CONNECT")

// openStream uses a reserved place. It needs c.mu.
func (c *ClientConn) openStream(s *stream, x *Exchange) {
	c.reserved--
	c.begun++
	c.last = c.next
	s.open(&c.conn, c.next)
	c.next += 2
	x.answer.reset()
}

// putLine encodes a field line that an edit adds. Most are the same for every
// request; the field made of the last one in its place is therefore kept.
func (c *ClientConn) putLine(i int, line []byte) {
	for len(c.lines) <= min(i, knownLines-1) {
		c.lines = append(c.lines, knownLine{})
	}
	if i >= knownLines {
		if name, value, ok := fieldOf(line[:len(line)-2]); ok {
			c.put(name, value)
		}
		return
	}
	known := &c.lines[i]
	if string(known.line) != string(line) {
		name, value, ok := fieldOf(line[:len(line)-2])
		if !ok {
			return
		}
		known.line, known.name, known.value = append(known.line[:0], line...), name, value
	}
	c.put(known.name, known.value)
}

// knownLines is how many places are remembered.
const knownLines = 4

// Release gives a place back that was reserved and not used by Exchange.Forward.
func (c *ClientConn) Release() {
	c.mu.Lock()
	c.reserved--
	c.mu.Unlock()
	c.released()
}

// released closes the connection if it was the last use of one that is not to be
// used again. One that is dead has its reader say goodbye and close it.
func (c *ClientConn) released() {
	shut := c.pool.isShut()
	c.mu.Lock()
	busy := len(c.streams)+c.reserved > 0
	over := c.dead == nil && (shut || c.leaving != nil)
	if !busy {
		c.idleSince = time.Now()
	}
	c.mu.Unlock()
	if !busy && over {
		c.Close()
	}
}

// Close ends the connection for good, under the exchanges that use it. It may be
// called more than once, and returns when the connection is not read any more.
func (c *ClientConn) Close() {
	c.closeOnce.Do(func() { _ = c.net.Close() })
	<-c.done
}
