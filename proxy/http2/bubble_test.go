package http2

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/proxy/limits"
)

// inBubble runs test in fake time, with a rig that is closed afterwards.
func inBubble(t *testing.T, l limits.Limits, app func(net.Conn), test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, l, app)
		defer r.close()
		test(t, r)
	})
}

// rawApp is a next hop that is told of each frame, and answers pings.
func rawApp(t *testing.T, on func(p *peer, f wire.Frame)) func(net.Conn) {
	return func(nc net.Conn) {
		br := bufio.NewReader(nc)
		if _, err := io.CopyN(io.Discard, br, int64(len(wire.ClientPreface))); err != nil {
			return
		}
		p := newPeer(t, nc)
		p.fr = wire.NewFramer(p.w, br)
		p.fr.AllowIllegalWrites = true
		p.fr.ReadMetaHeaders = p.dec
		p.check(p.fr.WriteSettings())
		p.flush()
		for {
			f, err := p.fr.ReadFrame()
			if err != nil {
				return
			}
			on(p, f)
			if ping, ok := f.(*wire.PingFrame); ok && !ping.IsAck() && !p.silent {
				p.check(p.fr.WritePing(true, ping.Data))
			}
			p.flush()
		}
	}
}

// onRequest calls answer for each head of a request.
func onRequest(answer func(p *peer, id uint32)) func(p *peer, f wire.Frame) {
	return func(p *peer, f wire.Frame) {
		if h, ok := f.(*wire.MetaHeadersFrame); ok && h.PseudoValue("method") != "" {
			answer(p, h.StreamID)
		}
	}
}

// answersAll is a next hop that answers each request with nothing but 200.
func answersAll(p *peer, id uint32) { p.headers(id, true, ok()...) }

// raw returns a client that has greeted.
func (r *rig) raw(settings ...wire.Setting) (*peer, *ServerConn) {
	nc, c := r.connect()
	p := newPeer(r.t, nc)
	p.greet(settings...)
	p.flush()
	return p, c
}

// next reads the next frame other than SETTINGS and window updates, as a line. The
// end of the connection is one too.
func (p *peer) next() string {
	p.t.Helper()
	p.mu.Lock()
	p.flush()
	p.mu.Unlock()
	for {
		f, err := p.fr.ReadFrame()
		switch f := f.(type) {
		case nil:
			return err.Error()
		case *wire.SettingsFrame, *wire.WindowUpdateFrame:
			continue
		case *wire.PingFrame:
			if !f.IsAck() && !p.silent {
				p.mu.Lock()
				p.check(p.fr.WritePing(true, f.Data))
				p.flush()
				p.mu.Unlock()
				continue
			}
			if f.IsAck() {
				return "PONG " + strings.TrimRight(string(f.Data[:]), "\x00")
			}
			return "PING " + strings.TrimRight(string(f.Data[:]), "\x00")
		case *wire.GoAwayFrame:
			return fmt.Sprintf("GOAWAY %d %s", f.LastStreamID, f.ErrCode)
		default:
			return fmt.Sprintf("%d %s", f.Header().StreamID, strings.Join(frameLine(f), " "))
		}
	}
}

// want reads frames, which must be these.
func (p *peer) want(lines ...string) {
	p.t.Helper()
	for _, line := range lines {
		if got := p.next(); got != line {
			p.t.Fatalf("got %s, want %s", got, line)
		}
	}
}

// wantAll reads as many frames, which must be these in any order.
func (p *peer) wantAll(lines ...string) {
	p.t.Helper()
	var got []string
	for range lines {
		got = append(got, p.next())
	}
	slices.Sort(got)
	slices.Sort(lines)
	if !slices.Equal(got, lines) {
		p.t.Fatalf("got %q, want %q", got, lines)
	}
}

// within fails unless took is between three quarters of the limit and twice the
// limit: a deadline as near as that is left where it is, see input.expect. The time
// is fake, so nothing else adds to it.
func within(t *testing.T, what string, took, limit time.Duration) {
	t.Helper()
	if took < limit*3/4 || took > limit*2 {
		t.Errorf("%s took %v, limit %v", what, took, limit)
	}
}

// appSays has the application say something on its first connection.
func (r *rig) appSays(s string) {
	r.mu.Lock()
	nc := r.apps[0]
	r.mu.Unlock()
	if _, err := io.WriteString(nc, s); err != nil {
		r.t.Error(err)
	}
}

// failure is the only failure of Forward there was.
func (r *rig) failure() string {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failures) != 1 {
		r.t.Fatalf("%d failures, want 1: %v", len(r.failures), r.failures)
	}
	return describeFailure(r.failures[0])
}

func number(id uint32) string { return strconv.Itoa(int(id)) }
