package http2

import (
	"net"
	"slices"
	"sync"
	"time"

	wire "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/outrider-mesh/outrider/proxy/limits"
)

// role is what the two ends of a connection do differently. Its methods are called
// by the goroutine that reads.
type role interface {
	// headBegins tells what becomes of a header section that begins on stream id.
	headBegins(id uint32, ended bool) (sectionUse, error)
	// headEnds takes the section in conn.head, used as headBegins said.
	headEnds(use sectionUse, id uint32, ended bool) error
	// wasReset notes that the peer reset s, or had us do it. It needs conn.mu.
	wasReset(s *stream) error
	// pinged takes the answer to a ping. It needs conn.mu.
	pinged(data [8]byte)
	// goAway takes the peer's wish to end the connection. It needs conn.mu.
	goAway(last uint32, code Code)
	// before is called before the reader waits.
	before() error
	// quiet is called when nothing has come for a while. It needs conn.mu.
	quiet()
}

// peerSettings are what the other end has asked for.
type peerSettings struct {
	known      bool // its first SETTINGS frame was there
	window     int  // of a new stream
	streams    int  // at a time
	connecting bool // it takes extended CONNECT
}

// conn is one HTTP/2 connection, either role. One goroutine reads. Whoever has
// something to write adds it to out, and whoever finds nobody writing writes.
type conn struct {
	net     net.Conn
	limits  *limits.Limits
	buffers *Buffers
	role    role
	// eager tells that the window of the connection is granted again as soon as
	// bytes arrive: they are of many clients, and one that is slow must not hold
	// up the others. The windows of the streams are what bounds memory then.
	eager bool
	// interval is how long silence lasts until a ping.
	interval time.Duration
	// idleTime is how long the connection may be without streams; 0: for good.
	idleTime time.Duration

	// Of the reader.
	in     input
	framer *wire.Framer
	decode *hpack.Decoder
	block  headBlock
	head   head

	mu      sync.Mutex
	streams map[uint32]*stream
	last    uint32 // the highest stream that was opened
	peer    peerSettings
	window  int // what the peer may still send on all streams together
	// connWindow and streamWindow are the windows that we grant; constant.
	connWindow, streamWindow int
	owed                     int // received, and not granted again
	// dead is why the connection carries nothing more.
	dead error
	// lost is why nothing can be written any more. What the other end had sent
	// before is still read, until lostBy.
	lost   error
	lostBy time.Time
	// changed are the streams whose exchange is to be told, once the reader has
	// read all that has come.
	changed []*stream
	// resets are the streams that we reset lately: of these, frames may still
	// be on their way.
	resets     [recentResets]uint32
	nextReset  int
	idleFrames budget
	idleSince  time.Time // when the last stream ended
	asked      bool      // a ping of ours is not answered
	woken      bool      // the reader is to look around

	output
}

// recentResets is how many streams that we reset are remembered.
const recentResets = 128

func (c *conn) init(nc net.Conn, l *limits.Limits, b *Buffers, r role) {
	now := time.Now()
	c.net, c.limits, c.buffers, c.role = nc, l, b, r
	c.interval = l.PingInterval
	c.in.c = c
	c.framer = wire.NewFramer(nil, &c.in)
	c.framer.SetMaxReadFrameSize(mostFrame)
	c.framer.SetReuseFrames()
	c.decode = hpack.NewDecoder(headerTable, c.field)
	// A string that is over the limit of a head, but not by far, is decoded and
	// then refused: the connection need not end for it.
	c.decode.SetMaxStringLength(2 * l.HeadBytes)
	c.streams = make(map[uint32]*stream)
	c.peer = peerSettings{window: firstWindow, streams: firstStreams}
	// Until a peer knows our settings it sends as much as this.
	c.streamWindow = max(l.StreamWindow, firstWindow)
	c.window = max(l.ConnectionWindow, firstWindow)
	c.connWindow = c.window
	c.idleFrames = newBudget(l.IdleFrames, now)
	c.idleSince = now
	c.output.init(c)
}

const (
	// headerTable is the size of HPACK's dynamic table, in bytes: the one that
	// RFC 9113 §6.5.2 begins with.
	headerTable = 4096
	// firstStreams is how many streams are opened before the peer has said how
	// many it allows: as many as RFC 9113 §6.5.2 advises it to.
	firstStreams = 100
)

// tell notes that something changed for s. It needs c.mu.
func (c *conn) tell(s *stream) {
	if !s.told {
		s.told = true
		c.changed = append(c.changed, s)
	}
}

// deliver tells all exchanges for which something changed. Doing it for a whole
// read at a time lets each of them see everything that came for it.
func (c *conn) deliver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.changed {
		s.told = false
		s.x.notify()
		c.changed[i] = nil
	}
	c.changed = c.changed[:0]
}

// fail ends all streams for err, for good. It needs c.mu.
func (c *conn) fail(err error) {
	if c.dead != nil {
		return
	}
	c.dead = err
	for _, s := range c.streams {
		if !s.ended || !s.sent {
			s.fail(err)
		}
	}
	c.unstall()
}

// owe tells that n bytes need no room any more: the peer may send as many again.
// It needs c.mu.
func (c *conn) owe(n int) {
	c.owed += n
	if c.owed < c.connWindow/4 {
		return
	}
	c.out = appendWindowUpdate(c.out, 0, uint32(c.owed)) //nolint:gosec // within a window
	c.window += c.owed
	c.owed = 0
}

// remove forgets a stream. It needs c.mu.
func (c *conn) remove(s *stream) {
	c.untrack(s)
	if c.streams[s.id] != s {
		return
	}
	s.discard()
	delete(c.streams, s.id)
	if len(c.streams) == 0 {
		c.idleSince = time.Now()
	}
}

// untrack takes s off the lists of those who wait. It needs c.mu.
func (c *conn) untrack(s *stream) {
	is := func(one *stream) bool { return one == s }
	if s.stalled {
		c.stalled = slices.DeleteFunc(c.stalled, is)
	}
	if s.told {
		c.changed = slices.DeleteFunc(c.changed, is)
	}
	s.stalled, s.told = false, false
}

// reset ends a stream from our side. It needs c.mu.
func (c *conn) reset(id uint32, code Code) {
	c.out = appendReset(c.out, id, code)
	c.resets[c.nextReset%recentResets] = id
	c.nextReset++
}

// wasResetByUs tells whether frames of a stream may be late. It needs c.mu.
func (c *conn) wasResetByUs(id uint32) bool {
	for _, one := range c.resets {
		if one == id {
			return true
		}
	}
	return false
}

// spend accounts for a frame that has us work for nothing. It needs c.mu.
func (c *conn) spend(n int) error {
	if !c.idleFrames.spend(n, c.in.now) {
		return broken(enhanceYourCalm, "too many frames that carry nothing")
	}
	return c.listens()
}

// controlRoom is how many bytes of control frames may wait beside heads and bodies:
// some 7,000 answers to pings.
const controlRoom = 128 << 10

// listens tells that what we have to say is taken. A peer that has us talk and does
// not listen may send useful frames as well, and so never run out of budget. It
// needs c.mu.
func (c *conn) listens() error {
	if len(c.out) <= c.limits.WriteBuffer+c.limits.HeadBytes+controlRoom {
		return nil
	}
	return broken(enhanceYourCalm, "too many answers that are not taken")
}

// earn accounts for useful work. It needs c.mu.
func (c *conn) earn(n int) { c.idleFrames.earn(n) }

// wake has the reader look around. It needs c.mu.
func (c *conn) wake() {
	c.woken = true
	_ = c.net.SetReadDeadline(past) // a closed connection needs no waking
}

// past is a deadline that wakes who is reading.
var past = time.Unix(1, 0)
