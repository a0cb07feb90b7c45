package http2

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wire "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/outrider-mesh/outrider/internal/testkit/memnet"
	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// peer is the other end of a connection of ours, frame by frame. What it writes may
// be as wrong as a case wants it.
type peer struct {
	t     testing.TB
	nc    net.Conn
	w     *bufio.Writer // flushed by flush alone
	fr    *wire.Framer
	enc   *hpack.Encoder
	block bytes.Buffer
	dec   *hpack.Decoder

	// silent tells that pings are not answered, but seen.
	silent bool
	// left and id are the application's own notes.
	left bool
	id   uint32

	mu sync.Mutex // guards writing, where two goroutines do it
}

func newPeer(t testing.TB, nc net.Conn) *peer {
	w := bufio.NewWriterSize(nc, 1<<20)
	p := &peer{t: t, nc: nc, w: w, fr: wire.NewFramer(w, nc)}
	p.fr.AllowIllegalWrites = true
	p.enc = hpack.NewEncoder(&p.block)
	p.dec = hpack.NewDecoder(headerTable, nil)
	p.fr.ReadMetaHeaders = p.dec
	return p
}

// greet sends what a client begins with.
func (p *peer) greet(settings ...wire.Setting) {
	p.raw(wire.ClientPreface)
	p.check(p.fr.WriteSettings(settings...))
}

// check ignores errors of a connection that the engine has closed.
func (p *peer) check(err error) {
	if err != nil && !errors.Is(err, memnet.ErrReset) && !errors.Is(err, net.ErrClosed) {
		p.t.Errorf("writing as the other end: %v", err)
	}
}

func (p *peer) raw(s string) {
	_, err := p.w.WriteString(s)
	p.check(err)
}

// pause sends what was written, and waits until everybody has seen it.
func (p *peer) pause() {
	p.flush()
	<-time.After(time.Millisecond) // of fake time, which passes when nobody has anything to do
}

// flush sends what was written, all at once.
func (p *peer) flush() { p.check(p.w.Flush()) }

// section compresses field lines "name: value"; a pseudo-header field begins with
// its colon.
func (p *peer) section(lines ...string) []byte {
	p.block.Reset()
	for _, line := range lines {
		name, value, _ := strings.Cut(line[1:], ":")
		value = strings.TrimPrefix(value, " ")
		if err := p.enc.WriteField(hpack.HeaderField{Name: line[:1] + name, Value: value}); err != nil {
			p.t.Fatal(err)
		}
	}
	return bytes.Clone(p.block.Bytes())
}

func (p *peer) headers(id uint32, end bool, lines ...string) {
	p.check(p.fr.WriteHeaders(wire.HeadersFrameParam{
		StreamID: id, BlockFragment: p.section(lines...), EndHeaders: true, EndStream: end,
	}))
}

func (p *peer) data(id uint32, end bool, s string) { p.check(p.fr.WriteData(id, end, []byte(s))) }

// frame writes any frame at all.
func (p *peer) frame(kind wire.FrameType, flags wire.Flags, id uint32, payload string) {
	p.check(p.fr.WriteRawFrame(kind, flags, id, []byte(payload)))
}

// get is a request without a body; more lines follow the pseudo-header fields.
func (p *peer) get(id uint32, lines ...string) { p.headers(id, true, append(getLines(), lines...)...) }

// post is a request whose body is to follow.
func (p *peer) post(id uint32, lines ...string) {
	p.headers(id, false, append(postLines(), lines...)...)
}

func getLines() []string {
	return []string{":method: GET", ":scheme: http", ":authority: a", ":path: /"}
}

func postLines() []string {
	return []string{":method: POST", ":scheme: http", ":authority: a", ":path: /"}
}

// outcome is what the engine makes of what a client sends: the requests that it
// handed out, and the frames by which it ended streams and the connection.
func outcome(t *testing.T, l limits.Limits, connects bool, say func(p *peer)) string {
	var got []string
	synctest.Test(t, func(t *testing.T) {
		theirs, ours := memnet.Pipe(1 << 20)
		c := NewServer(ServerOptions{Limits: l, Buffers: new(Buffers), AllowConnect: connects}).NewConn(ours)
		served := make(chan error, 1)
		requests := make(chan string, 1000)
		go func() { served <- c.Serve(func(x *Exchange) { requests <- receive(x) }) }()
		p := newPeer(t, theirs)
		say(p)
		p.flush()
		synctest.Wait()
		for len(requests) > 0 {
			got = append(got, <-requests)
		}
		slices.Sort(got) // handlers run at the same time
		_ = theirs.CloseWrite()
		got = append(got, p.endings()...)
		theirs.Close()
		<-served
	})
	return strings.Join(got, "; ")
}

// receive reads a request to its end and answers it.
func receive(x *Exchange) string {
	id := x.down.id
	if x.Err != nil {
		_ = x.Respond(statusOf(x.Err), nil, nil)
		return fmt.Sprintf("%d %s", id, describe(x.Err))
	}
	r := fmt.Sprintf("%d %s %s %s", id, x.Request.Method, x.Request.Target, x.Request.Host)
	var body strings.Builder
	for {
		p, err := x.Body.Next()
		body.Write(p)
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) {
			_ = x.Respond(statusOf(err), nil, nil)
			return r + " " + describe(err)
		}
		break
	}
	if body.Len() > 0 {
		r += fmt.Sprintf(" %q", body.String())
	}
	for _, f := range x.down.tail.fields {
		r += " +" + f.name + "=" + f.value
	}
	_ = x.Respond(204, nil, nil)
	return r
}

// endings reads what was sent, to its end, and returns the resets and goodbyes.
func (p *peer) endings() (all []string) {
	for {
		f, err := p.fr.ReadFrame()
		if err != nil {
			return all
		}
		switch f := f.(type) {
		case *wire.RSTStreamFrame:
			all = append(all, fmt.Sprintf("RST %d %s", f.StreamID, f.ErrCode))
		case *wire.GoAwayFrame:
			if f.ErrCode != wire.ErrCodeNo {
				all = append(all, fmt.Sprintf("GOAWAY %s: %s", f.ErrCode, f.DebugData()))
			}
		}
	}
}

// describe puts an error into one line for a table.
func describe(err error) string {
	if p, ok := errors.AsType[*message.ProtocolError](err); ok {
		return kindNames[p.Kind] + ": " + p.Rule
	}
	if err == nil {
		return "accepted"
	}
	return err.Error()
}

var kindNames = map[message.ErrorKind]string{
	message.Malformed: "malformed", message.HeadTooLarge: "head", message.TargetTooLong: "target",
	message.BodyTooLarge: "body", message.MethodRefused: "method",
}

// testLimits are small, so that a case can go over each of them.
func testLimits() limits.Limits {
	l := limits.Default()
	l.HeadBytes = 4096
	l.TargetBytes = 256
	l.HeaderCount = 20
	l.TrailerBytes = 512
	l.BodyBytes = 1 << 20
	l.InterimResponses = 3
	return l
}
