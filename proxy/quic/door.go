package quic

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	quicgo "github.com/quic-go/quic-go"

	"github.com/outrider-mesh/outrider/proxy/limits"
)

// door bounds the connections of a server, of which each holds memory before anybody
// has proved anything.
type door struct {
	limits limits.Limits
	// open are all connections, handshakes under way included; settled are those that
	// came through theirs.
	open, settled atomic.Int64
}

var errTooMany = errors.New("too many QUIC connections")

// handshakes are those under way. The two counters are not read at one moment, so it
// may be one off.
func (d *door) handshakes() int { return int(d.open.Load() - d.settled.Load()) }

// suspects tells whether a client must show that it is at the address that it writes
// on its packets (RFC 9000 §8.1.2), which costs it a round trip: when there are so many
// handshakes that it looks like a flood.
func (d *door) suspects(net.Addr) bool { return d.handshakes() >= d.limits.QUICHandshakes/4 }

// admit counts a connection from its first packet on until it is closed.
func (d *door) admit(ctx context.Context, _ *quicgo.ClientInfo) (context.Context, error) {
	if d.handshakes() >= d.limits.QUICHandshakes || d.settled.Load() >= int64(d.limits.QUICConnections) {
		return nil, errTooMany // before it costs anything
	}
	if d.open.Add(1) > int64(d.limits.QUICConnections+d.limits.QUICHandshakes) {
		d.open.Add(-1)
		return nil, errTooMany
	}
	context.AfterFunc(ctx, func() { d.open.Add(-1) })
	return ctx, nil
}

// accepted counts a connection whose handshake is complete, and ends it if there are
// too many: several came at once.
func (d *door) accepted(qc *quicgo.Conn) {
	n := d.settled.Add(1)
	context.AfterFunc(qc.Context(), func() { d.settled.Add(-1) })
	if n > int64(d.limits.QUICConnections) {
		_ = qc.CloseWithError(codeBusy, "") // the peer learns why
	}
}
