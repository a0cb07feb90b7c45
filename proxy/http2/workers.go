package http2

import (
	"fmt"
	"runtime/debug"
)

// before implements role: what has come is begun, and a connection on which
// nothing more will come ends.
func (c *ServerConn) before() error {
	for i, x := range c.starting {
		c.starting[i] = nil
		c.begun = x.down.id
		c.handlers.Add(1)
		select {
		case c.work <- x:
		default:
			c.workers.Add(1)
			go c.worker(x)
		}
	}
	c.starting = c.starting[:0]
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage == finishing && c.running == 0 {
		return errClosing
	}
	return nil
}

// worker serves requests, one after the other. One that finds nothing to do waits
// for a while: its stack has grown to what a request needs, and to grow a new one
// costs a tenth of all that a small request does.
func (c *ServerConn) worker(x *Exchange) {
	defer c.workers.Done()
	for x != nil {
		c.run(x)
		x = c.park()
	}
}

// mostParked is how many workers of a connection wait for requests.
const mostParked = 8

func (c *ServerConn) park() *Exchange {
	c.mu.Lock()
	if c.parked >= mostParked || c.dead != nil {
		c.mu.Unlock()
		return nil
	}
	c.parked++
	c.mu.Unlock()
	x := <-c.work
	c.mu.Lock()
	c.parked--
	c.mu.Unlock()
	return x
}

// quiet implements role: workers are not kept for a silent client.
func (c *ServerConn) quiet() {
	for range c.parked {
		select {
		case c.work <- nil:
		default: // it is about to wait, or to take its next request
		}
	}
}

// run serves one request.
func (c *ServerConn) run(x *Exchange) {
	defer c.handlers.Done()
	returned := false
	defer func() {
		if !returned {
			c.giveUp(fmt.Sprintf("%v\n%s", recover(), debug.Stack()))
			x.settle()
		}
	}()
	c.handle(x)
	x.end()
	returned = true
	c.server.exchanges.Put(x)
}
