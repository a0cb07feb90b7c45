package http2

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/internal/testkit/memnet"
)

// Calls that wait for a slow application end at their deadlines. To call those off is
// no attack, however many there are; to do it at once is.
func TestCallingOffCostsOnlyWhoIsQuick(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration
		how   func(p *peer, id uint32)
		ended bool
	}{
		{"at once", 0, resets, true},
		{"a moment before it is free", testLimits().StreamResetTime - time.Nanosecond, resets, true},
		{"when it is free", testLimits().StreamResetTime, resets, false},
		{"at once, by breaking a rule", 0, breaks, true},
		{"when it is free, by breaking a rule", testLimits().StreamResetTime, breaks, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := testLimits()
			l.StreamResets = 3
			ended := false
			synctest.Test(t, func(t *testing.T) {
				theirs, ours := memnet.Pipe(1 << 20)
				conn := NewServer(ServerOptions{Limits: l, Buffers: new(Buffers)}).NewConn(ours)
				served := make(chan error, 1)
				go func() { served <- conn.Serve(func(x *Exchange) { receive(x) }) }()
				p := newPeer(t, theirs)
				p.greet()
				const calls = 5
				for i := range calls {
					p.post(uint32(2*i + 1))
				}
				p.flush()
				synctest.Wait()
				<-time.After(c.after)
				for i := range calls {
					c.how(p, uint32(2*i+1))
				}
				p.flush()
				synctest.Wait()
				_ = theirs.CloseWrite()
				ended = slices.ContainsFunc(p.endings(), func(s string) bool { return strings.HasPrefix(s, isCalm) })
				theirs.Close()
				<-served
			})
			if ended != c.ended {
				t.Errorf("the connection was ended: %v, want %v", ended, c.ended)
			}
		})
	}
}

func resets(p *peer, id uint32) { p.check(p.fr.WriteRSTStream(id, wire.ErrCodeCancel)) }

// breaks has us reset a stream: an update of a window by nothing is an error of it.
func breaks(p *peer, id uint32) { p.frame(wire.FrameWindowUpdate, 0, id, u32(0)) }
