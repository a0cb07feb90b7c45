package quic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	quicgo "github.com/quic-go/quic-go"
	"golang.org/x/sys/unix"

	"github.com/outrider-mesh/outrider/proxy/limits"
)

// clientConfig is that of a caller. Its server opens no streams but the one of its
// farewell.
func clientConfig(l limits.Limits) *quicgo.Config {
	c := config(l)
	c.MaxIncomingStreams, c.MaxIncomingUniStreams = -1, 1
	return c
}

// serverConfig is that of whoever is called; in one direction its client opens the
// stream of its farewell only.
func serverConfig(l limits.Limits) *quicgo.Config {
	c := config(l)
	c.MaxIncomingStreams, c.MaxIncomingUniStreams = int64(l.QUICStreams), 1
	return c
}

// config is what both ends have in common. 0-RTT stays off: it can be replayed, and
// it comes before the client has proved anything.
func config(l limits.Limits) *quicgo.Config {
	return &quicgo.Config{
		HandshakeIdleTimeout:           l.HandshakeTimeout / 2, // quic-go allows twice as much
		MaxIdleTimeout:                 l.QUICIdleTimeout,
		KeepAlivePeriod:                l.QUICKeepAlive,
		InitialStreamReceiveWindow:     uint64(l.QUICStreamWindow) / 4,     //nolint:gosec // a bound is positive
		MaxStreamReceiveWindow:         uint64(l.QUICStreamWindow),         //nolint:gosec // as above
		InitialConnectionReceiveWindow: uint64(l.QUICConnectionWindow) / 4, //nolint:gosec // as above
		MaxConnectionReceiveWindow:     uint64(l.QUICConnectionWindow),     //nolint:gosec // as above
	}
}

// wantedBuffer is how much the kernel should hold of what has arrived, in bytes, so
// that a burst is not lost while we do something else: quic-go's own measure.
const wantedBuffer = 7 << 20

// socket opens a UDP socket with buffers as large as may be.
func socket(ctx context.Context, addr string, warn *bufferWarning) (*net.UDPConn, error) {
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, "udp", addr)
	if err != nil {
		return nil, err
	}
	udp, ok := pc.(*net.UDPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%T is no UDP socket", pc), pc.Close())
	}
	_ = udp.SetReadBuffer(wantedBuffer) // what was granted is looked at below
	_ = udp.SetWriteBuffer(wantedBuffer)
	warn.check(udp)
	return udp, nil
}

// bufferWarning says once that the system grants smaller buffers than wanted.
type bufferWarning struct {
	log  *slog.Logger
	once sync.Once
}

func (w *bufferWarning) check(udp *net.UDPConn) {
	granted, err := readBuffer(udp)
	if err != nil || granted >= wantedBuffer {
		return
	}
	w.once.Do(func() {
		w.log.Warn("the system grants QUIC a small UDP receive buffer; packets will be lost in bursts",
			"granted_bytes", granted, "wanted_bytes", wantedBuffer,
			"remedy", fmt.Sprintf("sysctl -w net.core.rmem_max=%d net.core.wmem_max=%[1]d on the node", wantedBuffer))
	})
}

// readBuffer is what the kernel granted, of which it keeps half for itself
// (socket(7), SO_RCVBUF).
func readBuffer(udp *net.UDPConn) (size int, err error) {
	raw, err := udp.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(fd uintptr) {
		size, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	})
	return size, errors.Join(controlErr, err)
}
