package http2

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	wire "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/socket"
)

// What an exchange allocates once the connections know its fields: nothing for its
// head, whose strings are those of HPACK's table, nor for buffers, streams and the
// exchange, which are pooled. What is left is what a field costs whose value no
// earlier request had: its string, in the table of each connection that it passes.
//
// A field that changes with each request, such as traceparent, is therefore one
// allocation where it is read. The encoder's table refers to the same string.
const (
	allocsPerExchange  = 0.5 // the tables of HPACK and the pools grow now and then
	allocsPerNewString = 1
)

// staticPeer is an end that says the same over and over, as HPACK allows when all
// fields are in the table already.
type staticPeer struct {
	nc  net.Conn
	br  *bufio.Reader
	fr  *wire.Framer
	buf bytes.Buffer
	enc *hpack.Encoder
}

func newStaticPeer(nc net.Conn) *staticPeer {
	p := &staticPeer{nc: nc, br: bufio.NewReader(nc)}
	p.fr = wire.NewFramer(nc, p.br)
	p.fr.SetReuseFrames()
	p.enc = hpack.NewEncoder(&p.buf)
	return p
}

// answerForEver answers every request with a head, a body and trailers.
func answerForEver(nc net.Conn) {
	p := newStaticPeer(nc)
	if _, err := io.CopyN(io.Discard, p.br, int64(len(wire.ClientPreface))); err != nil {
		return
	}
	if p.fr.WriteSettings() != nil {
		return
	}
	var out []byte
	for {
		h, err := p.fr.ReadFrameHeader()
		if err != nil {
			return
		}
		if _, err := p.br.Discard(int(h.Length)); err != nil {
			return
		}
		if h.Type != wire.FrameData || !h.Flags.Has(wire.FlagDataEndStream) {
			continue
		}
		out = p.section(out[:0], h.StreamID, false, hpack.HeaderField{Name: ":status", Value: "200"}, hpack.HeaderField{Name: "content-type", Value: "application/grpc"})
		out = append(appendHeader(out, 5, wire.FrameData, 0, h.StreamID), "world"...)
		out = p.section(out, h.StreamID, true, hpack.HeaderField{Name: "grpc-status", Value: "0"})
		if _, err := nc.Write(out); err != nil {
			return
		}
	}
}

// section adds a header section to out.
func (p *staticPeer) section(out []byte, id uint32, end bool, fields ...hpack.HeaderField) []byte {
	p.buf.Reset()
	for _, f := range fields {
		_ = p.enc.WriteField(f)
	}
	flags := wire.FlagHeadersEndHeaders
	if end {
		flags |= wire.FlagHeadersEndStream
	}
	out = appendHeader(out, p.buf.Len(), wire.FrameHeaders, flags, id)
	return append(out, p.buf.Bytes()...)
}

// loopback runs the engine between a client and an application over TCP.
func loopback(t testing.TB) *staticPeer {
	var wg sync.WaitGroup
	listen := func(serve func(net.Conn)) (addr string) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			nc, err := ln.Accept()
			ln.Close()
			if err == nil {
				defer nc.Close()
				serve(nc)
			}
		})
		return ln.Addr().String()
	}
	app := listen(answerForEver)
	buffers := new(Buffers)
	pool := NewPool(PoolOptions{
		ClientOptions: ClientOptions{Limits: limits.Default(), Buffers: buffers},
		Dial: func(ctx context.Context) (Dialed, error) {
			nc, err := new(net.Dialer).DialContext(ctx, "tcp", app)
			if err != nil {
				return Dialed{}, err
			}
			return Dialed{Conn: socket.Wrap(nc)}, nil
		},
	})
	server := NewServer(ServerOptions{Limits: limits.Default(), Buffers: buffers})
	proxy := listen(func(nc net.Conn) {
		_ = server.NewConn(socket.Wrap(nc)).Serve(func(x *Exchange) { relayTo(t.Context(), pool, x) })
	})
	nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", proxy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		pool.Close()
		wg.Wait()
	})
	p := newStaticPeer(nc)
	if _, err := io.WriteString(nc, wire.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := p.fr.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return p
}

// call makes one unary call and reads its answer to the end.
func (p *staticPeer) call(t testing.TB, id uint32, out []byte, fields []hpack.HeaderField) []byte {
	out = p.section(out[:0], id, false, fields...)
	out = append(appendHeader(out, 5, wire.FrameData, wire.FlagDataEndStream, id), "hello"...)
	if _, err := p.nc.Write(out); err != nil {
		t.Fatal(err)
	}
	for {
		h, err := p.fr.ReadFrameHeader()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.br.Discard(int(h.Length)); err != nil {
			t.Fatal(err)
		}
		if h.Type == wire.FrameHeaders && h.Flags.Has(wire.FlagHeadersEndStream) {
			return out
		}
	}
}

func TestAnExchangeAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector drops what is put into a sync.Pool")
	}
	fields := []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: "/shop.Payments/Charge"},
		{Name: ":authority", Value: "payments.shop:8080"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "user-agent", Value: "grpc-go/1.85.0"},
		{Name: "te", Value: "trailers"},
	}
	traces := make([]string, 4096)
	for i := range traces {
		traces[i] = fmt.Sprintf("00-%032x-%016x-01", i, i)
	}
	for name, c := range map[string]struct {
		unique bool
		most   float64
	}{
		"fields that are known": {false, allocsPerExchange},
		"one field that is new": {true, allocsPerNewString + allocsPerExchange},
	} {
		t.Run(name, func(t *testing.T) {
			p := loopback(t)
			id, out := uint32(1), make([]byte, 0, 1024)
			all := fields
			if c.unique {
				all = append(append([]hpack.HeaderField(nil), fields...), hpack.HeaderField{Name: "traceparent"})
			}
			exchange := func() {
				if c.unique {
					all[len(all)-1].Value = traces[int(id/2)%len(traces)]
				}
				out = p.call(t, id, out, all)
				id += 2
			}
			for range 200 {
				exchange() // fills the tables
			}
			// The counter is of the whole process: proxy, application, client. It
			// cuts fractions off, hence the many exchanges a run.
			const exchanges = 100
			got := testing.AllocsPerRun(20, func() {
				for range exchanges {
					exchange()
				}
			}) / exchanges
			t.Logf("%v allocations", got)
			if got > c.most {
				t.Errorf("%v allocations, want at most %v", got, c.most)
			}
			if c.unique && got < 1 {
				t.Errorf("%v allocations: the measurement does not see the proxy", got)
			}
		})
	}
}
