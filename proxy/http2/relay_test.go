package http2

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	wire "golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// relayed is what became of one request that was forwarded, each in one line: what
// the client got, what the next hop got, and the failure.
type relayed struct{ client, upstream, failure string }

// relayCase is a request, what the next hop does about it, and what comes of it.
type relayCase struct {
	name  string
	edits message.Edits
	// ask sends the request; a GET if it is nil.
	ask func(p *peer)
	// answer is called when the head of the request is there.
	answer func(p *peer, id uint32)
	want   relayed
}

// carry sends what ask says through the engine to a next hop that says what answer
// says.
func carry(t *testing.T, l limits.Limits, dialed Dialed, c *relayCase) (got relayed) {
	synctest.Test(t, func(t *testing.T) {
		var log transcript
		r := newRig(t, l, func(nc net.Conn) { log.serve(t, nc, c.answer) })
		r.dialed, r.edits = dialed, c.edits
		nc, _ := r.connect()
		p := newPeer(t, nc)
		p.greet()
		if c.ask == nil {
			p.get(1)
		} else {
			c.ask(p)
		}
		p.pause()
		p.pause()
		_ = nc.CloseWrite()
		got.client = strings.Join(p.transcript(), " ")
		r.close()
		for _, f := range r.failures {
			got.failure = strings.TrimSpace(got.failure + " " + describeFailure(f))
		}
		got.upstream = strings.Join(log.lines, " ")
	})
	return got
}

func describeFailure(f *message.Failure) string {
	s := "client"
	if f.Side == message.UpstreamSide {
		s = "upstream"
	}
	for _, one := range []struct {
		is   bool
		name string
	}{{f.Unsent, "unsent"}, {f.Stale, "stale"}, {f.Unprocessed, "unprocessed"}} {
		if one.is {
			s += " " + one.name
		}
	}
	return s + ": " + describe(f.Err)
}

// transcript is what a next hop got.
type transcript struct {
	mu    sync.Mutex
	lines []string
}

func (g *transcript) add(lines ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lines = append(g.lines, lines...)
}

// serve is a next hop.
func (g *transcript) serve(t *testing.T, nc net.Conn, answer func(p *peer, id uint32)) {
	br := bufio.NewReader(nc)
	if _, err := io.CopyN(io.Discard, br, int64(len(wire.ClientPreface))); err != nil {
		return
	}
	p := newPeer(t, nc)
	p.fr = wire.NewFramer(p.w, br)
	p.fr.AllowIllegalWrites = true
	p.fr.ReadMetaHeaders = p.dec
	p.check(p.fr.WriteSettings(wire.Setting{ID: wire.SettingEnableConnectProtocol, Val: 1}))
	p.flush()
	for {
		f, err := p.fr.ReadFrame()
		if err != nil {
			return
		}
		h, isHead := f.(*wire.MetaHeadersFrame)
		first := isHead && h.PseudoValue("method") != ""
		g.add(frameLine(f)...)
		if first {
			answer(p, h.StreamID)
			p.flush()
		}
	}
}

// transcript reads what was sent to a client, to its end.
func (p *peer) transcript() (all []string) {
	for {
		f, err := p.fr.ReadFrame()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				all = append(all, err.Error())
			}
			return all
		}
		all = append(all, frameLine(f)...)
	}
}

// frameLine is what of a frame a table compares: heads, bodies and their ends.
func frameLine(f wire.Frame) (all []string) {
	end := ""
	switch f := f.(type) {
	case *wire.MetaHeadersFrame:
		for _, one := range f.Fields {
			all = append(all, one.Name+"="+one.Value)
		}
		if f.StreamEnded() {
			end = "END"
		}
	case *wire.DataFrame:
		if len(f.Data()) > 0 {
			all = append(all, fmt.Sprintf("%q", f.Data()))
		}
		if f.StreamEnded() {
			end = "END"
		}
	case *wire.RSTStreamFrame:
		all = append(all, "RST:"+f.ErrCode.String())
	case *wire.GoAwayFrame:
		if f.ErrCode != wire.ErrCodeNo {
			all = append(all, "GOAWAY:"+f.ErrCode.String())
		}
	}
	if end != "" {
		all = append(all, end)
	}
	return all
}
