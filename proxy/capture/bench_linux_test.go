package capture

import (
	"net"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit/netns"
)

// BenchmarkConnection is a connection made, accepted and closed: what the
// redirection and the question for its original destination add to that.
func BenchmarkConnection(b *testing.B) {
	for _, c := range []struct {
		name string
		opts *Options
		ask  bool
	}{{"direct", nil, false}, {"redirected", new(usual()), false}, {"redirected and asked", new(usual()), true}, {"redirected by a long plan", new(long()), true}} {
		b.Run(c.name, func(b *testing.B) {
			netns.Enter(b)
			netns.Command(b, "ip addr add 10.77.0.1/32 dev lo")
			at := "10.77.0.1:8080"
			if c.opts != nil {
				p, err := New(*c.opts)
				if err != nil {
					b.Fatal(err)
				}
				if err := p.Apply(); err != nil {
					b.Fatal(err)
				}
				at = "127.0.0.1:15001"
			}
			l, err := net.Listen("tcp", at)
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			for b.Loop() {
				out, err := net.Dial("tcp", "10.77.0.1:8080")
				if err != nil {
					b.Fatal(err)
				}
				in, err := l.Accept()
				if err != nil {
					b.Fatal(err)
				}
				if c.ask {
					if _, err := Original(in); err != nil {
						b.Fatal(err)
					}
				}
				in.(*net.TCPConn).SetLinger(0) // leaves no state behind
				in.Close()
				out.Close()
			}
		})
	}
}

// long leaves out as much as a plan can.
func long() Options {
	o := usual()
	o.Outbound.Ports, o.Outbound.UIDs = many[uint16](MaxExclusions), many[uint32](MaxExclusions)
	return o
}

// BenchmarkApply is one installation of the usual plan in place of itself.
func BenchmarkApply(b *testing.B) {
	netns.Enter(b)
	p, err := New(usual())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := p.Apply(); err != nil {
			b.Fatal(err)
		}
	}
}
