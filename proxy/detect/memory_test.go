package detect_test

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrider-mesh/outrider/proxy/detect"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

func TestPortsThatAreOpaqueByConvention(t *testing.T) {
	n := 0
	for port := range 1 << 16 {
		if detect.OpaqueByConvention(uint16(port)) {
			n++
		}
	}
	for _, port := range []uint16{25, 587, 3306, 4444, 5432, 6379, 9300, 11211} {
		if !detect.OpaqueByConvention(port) {
			t.Errorf("%d is not", port)
		}
		n--
	}
	if n != 0 {
		t.Errorf("%d ports more", n)
	}
}

// look looks at a connection whose client sends something after a while, and
// returns what was seen and how long that took.
func look(t *testing.T, p *detect.Port, says string, after time.Duration) (detect.Kind, time.Duration) {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go func() {
		time.Sleep(after) //nolint:forbidigo // the time of synctest's bubble
		io.WriteString(client, says)
	}()
	start := time.Now()
	kind, replay, err := p.Look(server, patience, detect.Briefly)
	if err != nil {
		t.Error(err)
	}
	took := time.Since(start)
	if says != "" {
		got := make([]byte, len(says))
		if _, err := io.ReadFull(replay, got); err != nil || string(got) != says {
			t.Errorf("read back %q, %v", got, err)
		}
	}
	return kind, took
}

const head = "GET / HTTP/1.1\r\n"

// A connection is what a client says, and after how long; then what it is taken
// for, and how long that took.
func TestAPortRemembersWhatItCarried(t *testing.T) {
	type connection struct {
		says  string
		after time.Duration
		http  bool
		took  time.Duration
	}
	cases := []struct {
		name        string
		connections []connection
	}{
		{"a silent client waits once", []connection{{"", 0, false, patience}, {"", 0, false, detect.Briefly}, {"", 0, false, detect.Briefly}}},
		{"HTTP in time is HTTP", []connection{{head, time.Millisecond, true, time.Millisecond}}},
		{"HTTP in a short time, on a silent port", []connection{{"", 0, false, patience}, {head, time.Millisecond, true, time.Millisecond}}},
		{"a silent client on a port of HTTP is one of HTTP", []connection{{head, 0, true, 0}, {"", 0, true, patience}, {"", 0, true, patience}}},
		{"HTTP, late, on a port of HTTP", []connection{{head, 0, true, 0}, {head, 50 * time.Millisecond, true, 50 * time.Millisecond}}},
		{"other bytes", []connection{{"\x00\x00", 0, false, 0}, {"\x00\x00", 50 * time.Millisecond, false, 50 * time.Millisecond}}},
	}
	if len(cases) < 6 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := new(detect.Port)
				for i, conn := range c.connections {
					kind, took := look(t, p, conn.says, conn.after)
					if got := p.Protocol(kind) == flow.HTTP1; got != conn.http || took != conn.took {
						t.Errorf("connection %d is %v after %v; HTTP %v, want %v after %v", i, kind, took, got, conn.http, conn.took)
					}
				}
			})
		})
	}
}

// watch plays a connection whose client was silent at first: who says something then,
// '<' the server, '>' the client; or nobody.
func watch(t *testing.T, p *detect.Port, says string) {
	t.Helper()
	look(t, p, "", 0)
	late(t, p, func(client, server net.Conn) {
		switch {
		case says == "":
		case says[0] == '<':
			io.WriteString(server, says[1:])
		default:
			io.WriteString(client, says[1:])
		}
	})
}

func TestAServerThatSpeaksFirstIsNeverWaitedForAgain(t *testing.T) {
	cases := []struct {
		name string
		says string
		want time.Duration
	}{
		{"the server greets", "<220 mail", 0},
		{"the client was only slow", ">hello\r\n", detect.Briefly},
		{"nobody speaks", "", detect.Briefly},
		{"an HTTP server is tired of waiting", "<HTTP/1.1 408 Request Timeout\r\n", detect.Briefly},
	}
	if len(cases) < 4 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := new(detect.Port)
				watch(t, p, c.says)
				for range 2 {
					if kind, took := look(t, p, "", 0); took != c.want || p.Protocol(kind) == flow.HTTP1 {
						t.Errorf("the next is %v after %v, want %v", kind, took, c.want)
					}
				}
			})
		})
	}
}

func TestWhatIsLookedAtCanBeHalfClosedAndReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, says := range []string{"hello\r\n", "hello"} { // known to be none, and open
			_, client, server, _ := late(t, new(detect.Port), func(c, _ net.Conn) { io.WriteString(c, says) })
			for _, nc := range []net.Conn{client, server} {
				if inner, ok := nc.(interface{ NetConn() net.Conn }); !ok || inner.NetConn() == nil {
					t.Errorf("%T does not lead to what is below", nc)
				}
				if _, ok := nc.(interface{ CloseWrite() error }); !ok {
					t.Errorf("%T cannot be half-closed", nc)
				}
			}
		}
	})
}

func TestAMemoryIsBounded(t *testing.T) {
	const most = 8
	m := detect.NewMemory(most)
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), uint16(i))
	}
	first := m.At(at(0))
	for i := range most {
		m.At(at(i))
	}
	if m.At(at(0)) != first {
		t.Error("a port was forgotten although there was room")
	}
	m.At(at(most))
	if m.At(at(0)) == first {
		t.Error("nothing was forgotten")
	}
}
