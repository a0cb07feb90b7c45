package http2

import "time"

// alarm is the one timer of a connection, for the waits of all its exchanges. It is
// guarded by conn.mu.
//
// A wait is given a deadline and the alarm rung no later than the earliest. Waits
// mostly end long before; then nothing is moved, and the alarm rings in vain at
// some time: once in a minute or so, instead of a timer for each request.
type alarm struct {
	timer *time.Timer
	at    time.Time // zero: it is not set
}

// arm has the alarm ring at that time or before. It needs c.mu.
func (c *ServerConn) arm(at time.Time) {
	a := &c.alarm
	if !a.at.IsZero() && !at.Before(a.at) {
		return
	}
	a.at = at
	if a.timer == nil {
		a.timer = time.AfterFunc(time.Until(at), c.ring)
		return
	}
	a.timer.Reset(time.Until(at))
}

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

// ring tells every exchange whose wait is over.
func (c *ServerConn) ring() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead != nil {
		return
	}
	now := time.Now()
	c.alarm.at = time.Time{}
	next := time.Time{}
	if c.stage == leaving {
		if next = c.leaveBy; !now.Before(next) {
			c.finish()
			c.wake()
			next = time.Time{}
		}
	}
	for _, s := range c.streams {
		switch by := s.x.by; {
		case by.IsZero():
		case !now.Before(by):
			s.x.notify()
		case next.IsZero() || by.Before(next):
			next = by
		}
	}
	if !next.IsZero() {
		c.arm(next)
	}
}

// await waits until something changes for x, or until by.
func (x *Exchange) await(by time.Time) {
	c := x.c
	c.mu.Lock()
	x.by = by
	c.arm(by)
	c.mu.Unlock()
	<-x.wake
}

// notify ends the wait of x, or the next one.
func (x *Exchange) notify() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}
