package forward

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/socket"
)

// tunnel is two connections that are one.
type tunnel struct {
	toUp, toClient half
	// moved is when the last bytes came, in either direction, in Unix
	// nanoseconds: a tunnel that carries a long answer does not stand still.
	moved atomic.Int64
}

// half is one direction of a tunnel. It belongs to the goroutine that copies it.
type half struct {
	from, to net.Conn
	ahead    []byte // read already
	n        int64
	// readErr and writeErr tell which end was at fault.
	readErr, writeErr error
	writeBy           time.Time
}

func newTunnel(client, up net.Conn) *tunnel {
	return &tunnel{toUp: half{from: client, to: up}, toClient: half{from: up, to: client}}
}

// run copies both directions, closes both ends and returns the bytes from and to
// the client.
func (t *tunnel) run(idle time.Duration) (received, sent int64) {
	t.moved.Store(time.Now().UnixNano())
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.copy(&t.toClient, idle)
	}()
	t.copy(&t.toUp, idle)
	<-done
	_ = t.toUp.from.Close() // both directions have ended
	_ = t.toUp.to.Close()
	return t.toUp.n, t.toClient.n
}

// copy carries one direction. If it does not end in good order, it ends the
// other too: half of a broken tunnel is of no use to anybody.
func (t *tunnel) copy(h *half, idle time.Duration) {
	t.transfer(h, idle)
	if h.readErr != nil || h.writeErr != nil {
		socket.Abort(h.from)
		socket.Abort(h.to)
	}
}

// Sizes of copy buffers in bytes. An idle tunnel holds two of the small ones; a
// busy direction trades its own for a large one.
const (
	quietBuffer = 2 << 10
	busyBuffer  = 32 << 10
)

// transfer copies one direction until its source ends, then passes the end on.
func (t *tunnel) transfer(h *half, idle time.Duration) {
	if h.readErr = h.from.SetReadDeadline(time.Now().Add(idle)); h.readErr != nil {
		return
	}
	if len(h.ahead) > 0 && !h.write(h.ahead, time.Now(), idle) {
		return
	}
	h.ahead = nil
	buf := make([]byte, quietBuffer)
	for {
		m, err := h.from.Read(buf)
		if m > 0 {
			now := time.Now()
			t.moved.Store(now.UnixNano())
			if !h.write(buf[:m], now, idle) {
				return
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			closeWrite(h.to)
			return
		case !t.waitOn(h, err, idle):
			h.readErr = err
			return
		}
		if m == len(buf) && m < busyBuffer {
			buf = make([]byte, busyBuffer)
		}
	}
}

// waitOn tells whether err is only that this direction was silent for a while.
// The deadline of a read is set once and looked after here, which spares every
// read a change of a timer.
func (t *tunnel) waitOn(h *half, err error, idle time.Duration) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	by := time.Unix(0, t.moved.Load()).Add(idle)
	return time.Now().Before(by) && h.from.SetReadDeadline(by) == nil
}

// write sends b within about idle. A deadline that is far enough away is left
// alone.
func (h *half) write(b []byte, now time.Time, idle time.Duration) bool {
	if h.writeBy.Sub(now) < idle-idle/4 {
		h.writeBy = now.Add(idle)
		if h.writeErr = h.to.SetWriteDeadline(h.writeBy); h.writeErr != nil {
			return false
		}
	}
	var n int
	n, h.writeErr = h.to.Write(b)
	h.n += int64(n)
	return h.writeErr == nil
}

// closeWrite passes the end of one direction on. On TLS that is close_notify,
// which ends one direction only (RFC 8446 §6.1). All bytes were written before:
// an error means that the other end has gone too, and its own direction says so.
func closeWrite(nc net.Conn) {
	w, ok := nc.(interface{ CloseWrite() error })
	if !ok || errors.Is(w.CloseWrite(), errors.ErrUnsupported) {
		_ = nc.Close()
	}
}

// refusal says why the tunnel ended, if not in good order. What ended because
// the other direction did is closed, and that is no reason.
func (t *tunnel) refusal() flow.Refusal {
	for _, end := range []struct {
		err    error
		reason flow.Reason
		who    string
	}{
		{t.toUp.readErr, flow.ClientClosed, "client"},
		{t.toClient.writeErr, flow.ClientClosed, "client"},
		{t.toClient.readErr, flow.UpstreamClosed, "upstream"},
		{t.toUp.writeErr, flow.UpstreamClosed, "upstream"},
	} {
		switch {
		case end.err == nil, errors.Is(end.err, net.ErrClosed), errors.Is(end.err, io.ErrClosedPipe):
		case errors.Is(end.err, os.ErrDeadlineExceeded):
			return flow.Refusal{Reason: idleReason(end.reason), Detail: end.who + ": idle for too long"}
		default:
			return flow.Refusal{Reason: end.reason, Detail: end.who + ": " + end.err.Error()}
		}
	}
	return flow.Refusal{}
}

func idleReason(closed flow.Reason) flow.Reason {
	if closed == flow.UpstreamClosed {
		return flow.UpstreamTimeout
	}
	return flow.RequestTimeout
}
