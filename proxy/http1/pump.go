package http1

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// past is a deadline that wakes who is reading.
var past = time.Unix(1, 0)

// errBodyUnwanted: the answer was complete before the body was sent.
var errBodyUnwanted = errors.New("the answer came before the end of the body")

// pump is the second direction of an exchange: it sends the rest of a request
// body while the answer may already be coming. It exists only for bodies that
// did not arrive with their head.
//
// While it runs, reading from the client is the pump's and writing to the client
// the exchange's; reading from the next hop is the exchange's and writing to it
// the pump's. The read deadline of the next hop is what they have to agree upon:
// until the body is sent there is none, as the answer is not due.
type pump struct {
	done chan struct{} // nil when there is none
	// last is set once all of the body was read from the client.
	last atomic.Bool

	mu sync.Mutex
	// finished: the body was sent, or given up of the pump's own accord.
	finished bool
	// answered: the final head is there, and the read deadline of the next hop
	// is the exchange's alone.
	answered bool

	// Written before done is closed.
	err      error
	panicked any
}

func (p *pump) start(x *Exchange, up *ClientConn) {
	p.done = make(chan struct{})
	p.last.Store(false)
	p.finished, p.answered, p.err, p.panicked = false, false, nil, nil
	up.readBy = time.Time{}
	_ = up.net.SetReadDeadline(up.readBy)
	go p.run(x, up)
}

func (p *pump) run(x *Exchange, up *ClientConn) {
	defer close(p.done)
	defer func() {
		if p.panicked = recover(); p.panicked != nil { // join passes it on
			up.Close()
		}
	}()
	out := x.c.buffers.get(largeBuffer)
	defer x.c.buffers.put(out)
	f := framer{to: up, b: (*out)[:0], chunked: x.Request.codings > 0}
	_, err := f.body(&x.Body, true)
	if err == nil {
		p.last.Store(true)
		err = f.flush()
	}
	p.finish(up, err)
}

// finish decides how long the answer may still take.
func (p *pump) finish(up *ClientConn, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finished, p.err = true, err
	read, fromClient := errors.AsType[*message.Failure](err)
	switch {
	case fromClient:
		// The client is gone, and the answer has no reason to come: wake its
		// reader. Who was answered may stop sending, though.
		if !p.answered || !errors.Is(read.Err, message.ErrUnexpectedEnd) {
			up.Close()
		}
	case p.answered:
	case err != nil:
		// The next hop may have answered before it stopped reading.
		_ = up.net.SetReadDeadline(time.Now().Add(up.opts.Limits.LingerTimeout))
	default:
		_ = up.net.SetReadDeadline(time.Now().Add(up.opts.Limits.UpstreamResponseTimeout))
	}
}

// await sets the deadline of the next response head.
func (p *pump) await(up *ClientConn, sent time.Time) {
	within := up.opts.Limits.UpstreamResponseTimeout
	if p.done == nil {
		_ = up.expect(sent, within) // a closed connection will say so to the reader
		return
	}
	if up.readBy.IsZero() {
		return // finish will see to it
	}
	// An interim head came in pieces, which put a deadline on its rest.
	p.mu.Lock()
	defer p.mu.Unlock()
	up.readBy = time.Time{}
	if p.finished {
		up.readBy = time.Now().Add(within)
	}
	_ = up.net.SetReadDeadline(up.readBy)
}

// answer notes that the final head is there.
func (p *pump) answer(up *ClientConn) {
	if p.done == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered = true
	up.readBy = time.Time{} // whatever was set, the next read sets it anew
}

// join waits for the pump. One that is still in the middle of the body when the
// answer is complete, or failed, is stopped: nobody wants the rest.
func (x *Exchange) join(up *ClientConn, answered *message.Failure) *message.Failure {
	p := &x.pump
	if p.done == nil {
		return nil
	}
	p.mu.Lock()
	finished := p.finished
	p.mu.Unlock()
	stopped := !finished && (answered != nil || !p.last.Load())
	switch {
	case stopped:
		up.Close()
		_ = x.c.net.SetReadDeadline(past)
	case !finished:
		// The next hop has answered and may never take the rest.
		_ = up.net.SetWriteDeadline(time.Now().Add(up.opts.Limits.LingerTimeout))
	}
	<-p.done
	p.done = nil
	x.c.readBy, up.readBy, up.writeBy = time.Time{}, time.Time{}, time.Time{} // moved behind our back
	switch {
	case p.panicked != nil:
		panic(fmt.Sprintf("in request body: %v", p.panicked)) //nolint:forbidigo // passed on to the owner of the connection
	case stopped:
		return &message.Failure{Side: message.UpstreamSide, Err: errBodyUnwanted}
	case p.err != nil:
		return x.sendFailure(up, p.err)
	}
	return nil
}
