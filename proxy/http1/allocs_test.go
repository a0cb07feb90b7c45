package http1

import (
	"net"
	"runtime"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/socket"
)

// An exchange allocates once: the immutable copy of the request's head, of which
// the method, the target, the host and every field that a stage or a log record
// keeps are substrings. A copy per fact would be more, and a view of the buffer
// would be overwritten under whoever keeps it. All else is reused: the exchange
// with its connection, field tables and line tables with their capacity, buffers
// through Buffers; deadlines move rarely; bodies that came with their head need
// no goroutine, and answers never do.
const allocsPerExchange = 1

func TestAnExchangeAllocatesOnce(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector drops what is put into a sync.Pool")
	}
	for name, request := range map[string][]byte{"head": benchRequest, "body": benchBody, "chunked": benchChunked} {
		for how, wrap := range map[string]func(net.Conn) net.Conn{"plain": nil, "wrapped": socket.Wrap} {
			t.Run(name+" "+how, func(t *testing.T) {
				client := loopback(t, wrap)
				buf := make([]byte, 4096)
				exchange := func() { roundTrip(t, client, request, buf) }
				for range 10 {
					exchange() // grows the tables
				}
				// The counter is of the whole process: proxy, application, client.
				got := testing.AllocsPerRun(2000, exchange)
				if got > allocsPerExchange {
					t.Errorf("%v allocations, want at most %d", got, allocsPerExchange)
				}
				if got < 1 {
					t.Errorf("%v allocations: the measurement does not see the proxy", got)
				}
			})
		}
	}
}

func TestNoGoroutineIsStartedForWhatCameWithItsHead(t *testing.T) {
	for name, request := range map[string]string{
		"no body": get(""),
		"a body":  post("Content-Length: 5\r\n", "hello"),
		"chunks":  chunks("5\r\nhello\r\n0\r\nA: b\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			upstream := &scriptConn{segments: whole("HTTP/1.1 204 No Content\r\n\r\n")}
			pool := poolOf(t, testLimits(), upstream)
			_ = testServer(testLimits()).NewConn(&scriptConn{segments: whole(request)}).Serve(func(x *Exchange) {
				up, err := pool.Get(t.Context(), x.Started)
				if err != nil {
					t.Error(err)
					return
				}
				if _, f := x.Forward(up, noEdits); f != nil {
					t.Error(f)
				}
				// A pump has had no time to end yet, nor a reason.
				if x.pump.last.Load() || x.pump.finished || runtime.NumGoroutine() > before {
					t.Error("a goroutine was started")
				}
			})
		})
	}
}
