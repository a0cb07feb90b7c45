package http2

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/outrider-mesh/outrider/proxy/socket"
)

// output is what waits to be written. It is guarded by conn.mu, but for what the
// comments say.
//
// Heads and bodies wait here only up to limits.WriteBuffer; a stream that finds no
// room is told when there is. What we have to say for ourselves is always taken:
// how often a peer can make us is what conn.idleFrames bounds.
type output struct {
	out    []byte
	outMem *[]byte // the pooled buffer below out
	// writing tells that somebody writes, or is about to.
	writing bool
	written *sync.Cond // broadcast when writing ends
	// stalled are the streams that wait for room, or for the window.
	stalled []*stream
	allowed int // what the peer lets us send on all streams together
	encode  *hpack.Encoder
	section []byte // a header section that is being encoded
	// panicked is what a goroutine of the connection has died of.
	panicked string
	writeBy  time.Time
}

func (o *output) init(c *conn) {
	o.written = sync.NewCond(&c.mu)
	o.allowed = firstWindow
	o.encode = hpack.NewEncoder((*sectionWriter)(o))
}

// sectionWriter takes what the encoder makes of a header section.
type sectionWriter output

// Write implements io.Writer.
func (w *sectionWriter) Write(p []byte) (int, error) {
	w.section = append(w.section, p...)
	return len(p), nil
}

// full tells whether a head or a body has to wait.
func (c *conn) full() bool { return len(c.out) >= c.limits.WriteBuffer }

// reserve makes room for n bytes in a pooled buffer.
func (c *conn) reserve(n int) {
	if cap(c.out)-len(c.out) >= n {
		return
	}
	mem := c.buffers.get(max(len(c.out)+n, min(4*cap(c.out), largeBuffer)))
	c.out = append((*mem)[:0], c.out...)
	if c.outMem != nil {
		c.buffers.put(c.outMem)
	}
	c.outMem = mem
}

// stall has s told when there is room.
func (c *conn) stall(s *stream) {
	if !s.stalled {
		s.stalled = true
		c.stalled = append(c.stalled, s)
	}
}

func (c *conn) unstall() {
	for i, s := range c.stalled {
		s.stalled = false
		s.x.notify()
		c.stalled[i] = nil
	}
	c.stalled = c.stalled[:0]
}

// push sees to it that what waits is written: here and now, unless somebody is at
// it. With several streams open the others run first, as they may have something
// to add: a system call costs more than all that a small message does.
func (c *conn) push() {
	c.mu.Lock()
	if c.writing || len(c.out) == 0 || c.dead != nil { // the last words are drain's
		c.mu.Unlock()
		return
	}
	c.writing = true
	crowded := len(c.streams) > 1
	c.mu.Unlock()
	if crowded {
		runtime.Gosched()
	}
	if c.writeOnce() {
		go c.writeRest() // it is others' by now, and may take long
	}
}

// flushLater sees to it that what waits is written, without waiting for it: the
// reader must not, as the peer may be waiting for it to read.
func (c *conn) flushLater() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing || len(c.out) == 0 || c.dead != nil {
		return
	}
	c.writing = true
	go c.writeRest()
}

// writeRest writes until nothing waits. Its owner is whoever waits for writing to
// end.
func (c *conn) writeRest() {
	defer c.contain()
	runtime.Gosched()
	for c.writeOnce() {
	}
}

// writeOnce writes what waits, and tells whether there is more by now. Whoever
// calls it is the one that writes, until it has told that there is no more.
func (c *conn) writeOnce() (more bool) {
	now := time.Now()
	c.mu.Lock()
	b, mem := c.out, c.outMem
	c.out, c.outMem = nil, nil
	c.unstall()
	if c.dead == nil && moved(&c.writeBy, now, c.limits.WriteTimeout) { // else drain has set the last one
		_ = c.net.SetWriteDeadline(c.writeBy) // a closed connection says so below
	}
	c.mu.Unlock()
	var err error
	if len(b) > 0 {
		_, err = c.net.Write(b)
	}
	if mem != nil {
		c.buffers.put(mem)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.fail(err)
		c.out, c.outMem = nil, nil
		socket.Abort(c.net) // ends the reader, which tells everybody
	}
	if more = len(c.out) > 0; !more {
		c.writing = false
		c.written.Broadcast()
	}
	return more
}

// contain keeps a panic in a goroutine of the connection from ending the process.
// It is passed on to whoever owns an exchange that it touches.
func (c *conn) contain() {
	v := recover()
	if v == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.panicked = fmt.Sprintf("%v\n%s", v, debug.Stack())
	c.writing = false
	c.written.Broadcast()
	c.fail(errPanicked)
	socket.Abort(c.net)
}

// drain writes what waits for the last time, by that deadline. The reader calls it
// when the connection is dead and nothing more is added.
func (c *conn) drain(by time.Time) {
	c.mu.Lock()
	_ = c.net.SetWriteDeadline(by) // a closed connection says so below
	for c.writing {
		c.written.Wait()
	}
	b, mem := c.out, c.outMem
	c.out, c.outMem = nil, nil
	c.mu.Unlock()
	if len(b) > 0 {
		_, _ = c.net.Write(b) // the peer may be gone, and then needs no goodbye
	}
	if mem != nil {
		c.buffers.put(mem)
	}
}
