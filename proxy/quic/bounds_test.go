package quic

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// raw is a client's configuration for a connection that does as it likes.
func (w *world) raw(t *testing.T) *tls.Config {
	t.Helper()
	expected, err := mtls.NewExpected(identitytest.ID(t, payments))
	if err != nil {
		t.Fatal(err)
	}
	return mtls.ClientConfig(w.ca.Source(t, checkout), mtls.ClientOptions{Expected: expected, NextProtos: []string{ALPN}})
}

func (w *world) dialRaw(t *testing.T, ctx context.Context) (*quicgo.Conn, error) { //nolint:revive // t goes first in tests
	t.Helper()
	qc, err := quicgo.DialAddr(ctx, w.server.Addr().String(), w.raw(t), nil)
	if err == nil {
		t.Cleanup(func() { qc.CloseWithError(0, "") })
	}
	return qc, err
}

// A stream whose preface does not come is given up, and others go on meanwhile.
func TestAPrefaceThatDoesNotCome(t *testing.T) {
	w := newWorld(t)
	w.limits.HandshakeTimeout = 500 * time.Millisecond
	w.serve(t, w.ca.Source(t, payments), echo)
	qc, err := w.dialRaw(t, t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, begin := range map[string]string{"half of it": "\x01\x01", "a single byte": "\x01"} {
		slow, err := qc.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(slow, begin)
		slow.SetReadDeadline(time.Now().Add(patience))
		_, err = slow.Read(make([]byte, 1))
		if broken, ok := errors.AsType[*quicgo.StreamError](err); !ok || broken.ErrorCode != codePreface {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, _ := open(t, w.peer(t, w.ca.Source(t, checkout), payments), 80)
	defer s.Close()
	ping(t, s)
}

// A peer that opens 10,000 streams gets as many as it may, none of which it ever
// begins; they cost what the bounds say, and nobody else notices.
func TestTenThousandStreams(t *testing.T) {
	const most = 24 << 10 // bytes for a stream that is begun, both ends together
	w := serve(t, echo)
	qc, err := w.dialRaw(t, t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	opened := 0
	for range 10_000 {
		qs, err := qc.OpenStream() // does not wait
		if err != nil {
			break
		}
		io.WriteString(qs, "\x01")
		opened++
	}
	if want := w.limits.QUICStreams; opened != want {
		t.Errorf("%d streams were granted, want %d", opened, want)
	}
	s, _ := open(t, w.peer(t, w.ca.Source(t, checkout), payments), 80)
	defer s.Close()
	ping(t, s) // so that the others have arrived, or are on their way
	if grown := heap() - before; grown > int64(opened)*most {
		t.Errorf("%d streams took %d bytes", opened, grown)
	}
}

// heap is what is in use, stacks of goroutines included.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// Peers get as many connections as there may be; one that is over learns why.
func TestTooManyConnections(t *testing.T) {
	w := newWorld(t)
	w.limits.QUICConnections = 3
	w.serve(t, w.ca.Source(t, payments), echo)
	refused := 0
	for range 6 {
		qc, err := w.dialRaw(t, t.Context())
		if err == nil {
			err = confirmed(t, qc)
		}
		gone, late := errors.AsType[*quicgo.ApplicationError](err)
		early, _ := errors.AsType[*quicgo.TransportError](err)
		if late && gone.ErrorCode == codeBusy || early != nil && early.ErrorCode == quicgo.ConnectionRefused {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	if refused != 3 {
		t.Errorf("%d of 6 were refused, want 3", refused)
	}
}

// confirmed opens a stream and awaits that it is accepted.
func confirmed(t *testing.T, qc *quicgo.Conn) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	qs, err := qc.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	head := newPreface(flow.TCP, 80)
	qs.Write(head[:])
	qs.SetReadDeadline(time.Now().Add(patience))
	_, err = qs.Read(make([]byte, 1))
	return err
}

// A flood of handshakes: from a quarter of the bound on a client must show that it is
// where it says, and over the bound it is refused. An honest client gets through the
// first, and after the flood.
func TestAFloodOfHandshakes(t *testing.T) {
	w := newWorld(t)
	w.limits.QUICHandshakes, w.limits.HandshakeTimeout = 8, 2*time.Second
	w.serve(t, w.ca.Source(t, payments), echo)
	d := w.server.door
	var first sync.WaitGroup
	defer first.Wait()
	for range 20 {
		cfg := w.raw(t)
		first.Go(func() { halfHandshake(t, w, cfg) })
	}
	eventually(t, "there is a flood", func() bool { return d.suspects(nil) })
	// Who answers the question of the server is no part of it.
	eventually(t, "an honest client gets through", func() bool {
		qc, err := w.dialRaw(t, t.Context())
		return err == nil && confirmed(t, qc) == nil
	})
	if n := d.handshakes(); n > w.limits.QUICHandshakes {
		t.Errorf("%d handshakes were under way, the bound is %d", n, w.limits.QUICHandshakes)
	}
	first.Wait()
	eventually(t, "the flood is over", func() bool { return d.handshakes() == 0 })
}

// halfHandshake sends the first packets of a client and nothing else, as one who forges
// his address.
func halfHandshake(t *testing.T, w *world, cfg *tls.Config) {
	sink, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Error(err)
		return
	}
	defer sink.Close()
	forger, err := net.Dial("udp4", w.server.Addr().String())
	if err != nil {
		t.Error(err)
		return
	}
	defer forger.Close()
	ctx, giveUp := context.WithCancel(t.Context())
	var dialing sync.WaitGroup
	defer dialing.Wait()
	defer giveUp()
	dialing.Go(func() { _, _ = quicgo.DialAddr(ctx, sink.LocalAddr().String(), cfg, nil) }) // nobody answers
	buf := make([]byte, 1500)
	for range 2 { // a ClientHello with a post-quantum key share does not fit into one
		n, err := sink.Read(buf)
		if err != nil {
			t.Error(err)
			return
		}
		forger.Write(buf[:n])
	}
}

// The server opens no streams to its clients, or they would hold what nobody reads.
func TestAServerMayNotOpenStreams(t *testing.T) {
	conns := make(chan *quicgo.Conn, 1)
	w := serve(t, func(s *Stream, h Handshake) {
		select {
		case conns <- s.conn:
		default:
		}
		echo(s, h)
	})
	s, _ := open(t, w.peer(t, w.ca.Source(t, checkout), payments), 80)
	defer s.Close()
	ping(t, s)
	if _, err := (<-conns).OpenStream(); err == nil {
		t.Error("the server may open streams")
	}
}
