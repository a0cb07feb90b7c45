package fair

import (
	"net"
	"testing"
)

// A crowd is a listener with a connection of each address, and then none.
type crowd struct {
	net.Listener

	from []string
}

type caller struct {
	net.Conn

	from   net.Addr
	closed bool
}

func (c *caller) RemoteAddr() net.Addr { return c.from }

func (c *caller) Close() error {
	c.closed = true
	return nil
}

func (l *crowd) Accept() (net.Conn, error) {
	if len(l.from) == 0 {
		return nil, net.ErrClosed
	}
	addr, err := net.ResolveTCPAddr("tcp", l.from[0])
	l.from = l.from[1:]
	return &caller{from: addr}, err
}

func TestOneAddressCannotHoldAllConnections(t *testing.T) {
	const most = 7
	inner := new(crowd)
	for range most + 5 {
		inner.from = append(inner.from, "10.0.0.1:1", "[::ffff:10.0.0.1]:2")
	}
	inner.from = append(inner.from, "10.0.0.2:1", "[fd00::1]:1")
	l := Listen(inner, most)
	var open []net.Conn
	for {
		c, err := l.Accept()
		if err != nil {
			break
		}
		open = append(open, c)
	}
	if len(open) != most+2 || l.open["10.0.0.1"] != most {
		t.Fatalf("%d connections are open, %d of one address", len(open), l.open["10.0.0.1"])
	}
	for range 2 { // closing twice counts once
		open[0].Close()
	}
	if inner.from = []string{"10.0.0.1:3", "10.0.0.1:4"}; l.open["10.0.0.1"] != most-1 {
		t.Errorf("%d are counted after one was closed", l.open["10.0.0.1"])
	}
	if c, err := l.Accept(); err != nil {
		t.Error(err)
	} else {
		open = append(open, c)
	}
	if c, err := l.Accept(); err == nil {
		t.Errorf("one too many: %v", c.RemoteAddr())
	}
	for _, c := range open {
		c.Close()
	}
	if len(l.open) != 0 {
		t.Errorf("addresses without a connection are remembered: %v", l.open)
	}
}
