package http2

import (
	"time"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// relay is the state of Forward. It belongs to the handler's goroutine, which
// carries both directions: it takes what has come from either side, gives it to the
// other as far as there is room, and waits when neither moves.
type relay struct {
	up     *ClientConn
	reused bool // up had carried requests before
	opened bool // the head was sent
	// requested tells that all of the request was sent, or is not wanted.
	requested bool
	answered  bool // the head of the final answer was passed on
	interims  int  // passed on

	// sent is when the head was sent; asked and answeredAt are when the last
	// bytes of the request and of the answer moved.
	sent, asked, answeredAt time.Time
}

// answer is what has come of an answer, apart from its body. It is guarded by the
// lock of its connection.
type answer struct {
	interim []response // those that were not passed on
	count   int        // of interim responses
	final   response
	here    bool // final has come; it belongs to the exchange then
}

func (a *answer) reset() {
	a.final.reset()
	*a = answer{final: a.final}
}

// exchange carries both directions until the answer is complete.
func (x *Exchange) exchange() *message.Failure {
	r := &x.relay
	for {
		asked, f := x.passRequest()
		if f != nil {
			return f
		}
		answered, f := x.passAnswer()
		if f != nil {
			return f
		}
		if x.complete() {
			return nil
		}
		if asked || answered {
			r.note(asked, answered)
			continue
		}
		r.up.push()
		x.c.push()
		by, side := x.due()
		if !time.Now().Before(by) {
			return x.failure(side, errSlowPeer)
		}
		x.await(by)
	}
}

// note tells when something moved.
func (r *relay) note(asked, answered bool) {
	now := time.Now()
	if asked {
		r.asked = now
	}
	if answered {
		r.answeredAt = now
	}
}

// complete tells whether there is nothing left to carry. An answer that is complete
// ends the exchange, as nobody wants the rest of the request; in a tunnel the two
// directions end each by itself.
func (x *Exchange) complete() bool {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	return x.down.sent && (x.relay.requested || !x.Request.IsTunnel())
}

// due is until when to wait, and for whom.
func (x *Exchange) due() (by time.Time, side message.Side) {
	r, l, next := &x.relay, x.c.limits, x.relay.up.limits
	waiting, unread := x.backlog()
	if x.Request.IsGRPC() || x.Request.IsTunnel() {
		last := r.asked
		if last.Before(r.answeredAt) {
			last = r.answeredAt
		}
		return last.Add(l.StreamIdleTimeout), message.UpstreamSide
	}
	earliest := func(at time.Time, of message.Side) {
		if by.IsZero() || at.Before(by) {
			by, side = at, of
		}
	}
	switch {
	case r.requested:
	case waiting: // the next hop takes no more
		earliest(r.asked.Add(next.WriteTimeout), message.UpstreamSide)
	default:
		earliest(r.asked.Add(l.BodyTimeout), message.ClientSide)
	}
	switch {
	case !r.answered && r.requested:
		earliest(r.asked.Add(next.UpstreamResponseTimeout), message.UpstreamSide)
	case !r.answered:
	case unread: // the client takes no more
		earliest(r.answeredAt.Add(l.WriteTimeout), message.ClientSide)
	case x.Events:
		earliest(r.answeredAt.Add(l.StreamIdleTimeout), message.UpstreamSide)
	default:
		earliest(r.answeredAt.Add(next.BodyTimeout), message.UpstreamSide)
	}
	return by, side
}

// backlog tells whether bytes of the request, and of the answer, wait for room.
func (x *Exchange) backlog() (waiting, unread bool) {
	x.c.mu.Lock()
	waiting = x.down.in.size > 0 || x.Body.aheadAt < len(x.Body.ahead)
	x.c.mu.Unlock()
	x.relay.up.mu.Lock()
	defer x.relay.up.mu.Unlock()
	return waiting, x.up.in.size > 0
}

// failure is why the exchange ends early.
func (x *Exchange) failure(side message.Side, err error) *message.Failure {
	f := &message.Failure{Side: side, Err: err, Unsent: !x.relay.answered}
	if side == message.UpstreamSide && f.Unsent {
		reset, isOne := err.(*ResetError)        //nolint:errorlint // streams hold it as it is
		_, unprocessed := err.(unprocessedError) //nolint:errorlint // as above
		f.Unprocessed = unprocessed || isOne && reset.Code == refusedStream
		f.Stale = x.relay.reused && x.relay.interims == 0 && !isOne && !isTimeout(err)
	}
	return f
}
