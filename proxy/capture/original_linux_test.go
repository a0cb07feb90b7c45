package capture

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit/netns"
)

func listen(t *testing.T, addr string) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

// connect returns both ends of a connection to a listener.
func connect(t *testing.T, d *net.Dialer, to string, l *net.TCPListener) (out, in net.Conn) {
	t.Helper()
	out, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	in, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	return out, in
}

func TestOriginal(t *testing.T) {
	machine(t)
	netns.Command(t, "ip route add default via 10.77.0.2")
	apply(t, usual())
	outbound4, outbound6, inbound := listen(t, "127.0.0.1:15001"), listen(t, "[::1]:15001"), listen(t, ":15006")
	marked := &net.Dialer{Control: MarkCall}
	probe := &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error { return setPriority(c, priorityProbe) }}
	cases := []struct {
		name string
		dial *net.Dialer
		to   string
		at   *net.TCPListener
		want string // empty: it was not redirected
	}{
		{"IPv4", new(net.Dialer), "192.0.2.9:80", outbound4, "192.0.2.9:80"},
		{"IPv4 of its own", new(net.Dialer), "10.77.0.1:8080", outbound4, "10.77.0.1:8080"},
		{"IPv6", new(net.Dialer), "[fd77::1]:8080", outbound6, "[fd77::1]:8080"},
		{"IPv4 at a listener of both families", probe, "10.77.0.1:8080", inbound, "10.77.0.1:8080"},
		{"IPv6 at a listener of both families", probe, "[fd77::1]:8080", inbound, "[fd77::1]:8080"},
		{"a mark is for the sidecar's user", marked, "10.77.0.1:8080", outbound4, "10.77.0.1:8080"},
		{"the outbound listener itself", new(net.Dialer), "127.0.0.1:15001", outbound4, ""},
		{"the outbound listener itself, IPv6", new(net.Dialer), "[::1]:15001", outbound6, ""},
		{"the inbound listener itself", new(net.Dialer), "127.0.0.1:15006", inbound, ""},
		{"the inbound listener itself, IPv6", new(net.Dialer), "[::1]:15006", inbound, ""},
	}
	if len(cases) < 10 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		// No subtests: they would run on another thread, outside of the namespace.
		_, in := connect(t, c.dial, c.to, c.at)
		got, err := Original(in)
		var loop *NotRedirectedError
		switch {
		case c.want == "" && !errors.As(err, &loop):
			t.Errorf("%s: %v, %v", c.name, got, err)
		case c.want != "" && (err != nil || got.String() != c.want):
			t.Errorf("%s: %v, %v, want %s", c.name, got, err, c.want)
		}
	}
}

func TestOriginalWithoutRules(t *testing.T) {
	machine(t)
	l := listen(t, "127.0.0.1:0")
	_, in := connect(t, new(net.Dialer), l.Addr().String(), l)
	var loop *NotRedirectedError
	if to, err := Original(in); !errors.As(err, &loop) || loop.Err == nil {
		t.Errorf("Original = %v, %v", to, err)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if to, err := Original(a); err == nil {
		t.Errorf("of a pipe: %v", to)
	}
}

func TestTheLastStepDoesNotLeaveTheMachine(t *testing.T) {
	machine(t)
	netns.Command(t, "ip route add default via 10.77.0.2")
	l := listen(t, ":8080")
	for _, text := range []string{"10.77.0.1", "fd77::1"} {
		addr := netip.MustParseAddr(text)
		_, in := connect(t, ToApplication(addr), netip.AddrPortFrom(addr, 8080).String(), l)
		if from := in.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap(); from != addr {
			t.Errorf("the application at %s sees %s calling", addr, from)
		}
	}
	for _, text := range []string{"10.77.0.2", "fd77::2", "192.0.2.1"} {
		addr := netip.MustParseAddr(text)
		conn, err := ToApplication(addr).DialContext(t.Context(), "tcp", netip.AddrPortFrom(addr, 8080).String())
		if !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("%s, which is not ours, was called: %v, %v", addr, conn, err)
		}
	}
}
