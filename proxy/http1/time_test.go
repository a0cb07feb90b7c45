package http1

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrider-mesh/outrider/internal/testkit/memnet"
	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// within fails unless took is between three quarters of the limit and twice the
// limit: a deadline as near as that is left where it is, see conn.expect. The time
// is fake, so nothing else adds to it.
func within(t *testing.T, what string, took, limit time.Duration) {
	t.Helper()
	if took < limit*3/4 || took > limit*2 {
		t.Errorf("%s took %v, limit %v", what, took, limit)
	}
}

func TestAHeadThatTricklesTimesOut(t *testing.T) {
	inBubble(t, echoApp, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		start := time.Now()
		r.wg.Go(func() {
			for _, b := range []byte("GET / HTTP/1.1\r\n" + strings.Repeat("a: b\r\n", 1000)) {
				if _, err := client.Write([]byte{b}); err != nil {
					return
				}
				<-time.After(time.Second)
			}
		})
		br := bufio.NewReader(client)
		res := want(t, br, 408, "")
		within(t, "the head", time.Since(start), limits.Default().HeadTimeout)
		if !res.Close {
			t.Error("the connection goes on behind half a head")
		}
		client.Close()
	})
}

func TestABodyThatStandsStillTimesOut(t *testing.T) {
	app := func(_ *memnet.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) }
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		say(t, client, post("Content-Length: 10\r\n", "hello"))
		start := time.Now()
		want(t, bufio.NewReader(client), 408, "")
		within(t, "the body", time.Since(start), limits.Default().BodyTimeout)
		client.Close()
	})
}

func TestABodyThatComesSlowlyDoesNotTimeOut(t *testing.T) {
	inBubble(t, echoApp, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		say(t, client, chunks(""))
		for range 20 {
			<-time.After(limits.Default().BodyTimeout / 2)
			say(t, client, "1\r\nx\r\n")
		}
		say(t, client, "0\r\n\r\n")
		want(t, bufio.NewReader(client), 200, "POST / "+strings.Repeat("x", 20))
		client.Close()
	})
}

func TestAnIdleConnectionIsClosed(t *testing.T) {
	inBubble(t, echoApp, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		br := bufio.NewReader(client)
		start := time.Now()
		wantEnd(t, br)
		within(t, "idling", time.Since(start), limits.Default().IdleTimeout)
		client.Close()
	})
}

func TestANextHopThatDoesNotAnswerTimesOut(t *testing.T) {
	app := func(_ *memnet.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) }
	for name, request := range map[string]string{"no body": get(""), "a body": post("Content-Length: 1\r\n", "x")} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, app, func(t *testing.T, r *rig) {
				client, _ := r.connect()
				start := time.Now()
				say(t, client, request)
				want(t, bufio.NewReader(client), 504, "")
				within(t, "the answer", time.Since(start), limits.Default().UpstreamResponseTimeout)
				client.Close()
			})
		})
	}
}

// The time for the answer begins when the body has been sent.
func TestALongUploadIsNotAnAnswerThatTimesOut(t *testing.T) {
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 100 Con")
		<-time.After(time.Second) // the first piece puts a deadline on the rest
		_, _ = io.WriteString(nc, "tinue\r\n\r\n")
		n, _ := io.Copy(io.Discard, req.Body)
		<-time.After(limits.Default().UpstreamResponseTimeout * 3 / 4)
		if n == 20 {
			_, _ = io.WriteString(nc, status("HTTP/1.1 200 OK"))
		}
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		br := bufio.NewReader(client)
		say(t, client, post("Content-Length: 20\r\n", ""))
		want(t, br, 100, "")
		for range 20 {
			<-time.After(limits.Default().BodyTimeout / 2)
			say(t, client, "x")
		}
		want(t, br, 200, "")
		client.Close()
	})
}

func TestAnAnswerThatStandsStillTimesOut(t *testing.T) {
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		_ = readHead(br)
		_, _ = io.WriteString(nc, ok("Content-Length: 10\r\n", "hello"))
		_, _ = io.Copy(io.Discard, br)
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		start := time.Now()
		say(t, client, get(""))
		if _, _, err := hear(bufio.NewReader(client), http.MethodGet); err == nil {
			t.Error("half an answer looks complete")
		}
		within(t, "the answer", time.Since(start), limits.Default().BodyTimeout)
		client.Close()
	})
}

// The pump lifts the read deadline of the next hop; it must be back in force for
// an answer that stands still.
func TestAnEarlyAnswerThatStandsStillTimesOut(t *testing.T) {
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		_ = readHead(br)
		_, _ = io.WriteString(nc, ok("Content-Length: 10\r\n", "hello"))
		_, _ = io.Copy(io.Discard, br)
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		start := time.Now()
		say(t, client, post("Content-Length: 1000\r\n", ""))
		r.wg.Go(func() {
			for range 1000 { // the client is never too slow
				<-time.After(time.Second)
				if _, err := client.Write([]byte("x")); err != nil {
					return
				}
			}
		})
		if _, _, err := hear(bufio.NewReader(client), http.MethodPost); err == nil {
			t.Error("half an answer looks complete")
		}
		within(t, "the answer", time.Since(start), limits.Default().BodyTimeout)
		client.Close()
	})
}

func TestAClientThatDoesNotReadTimesOut(t *testing.T) {
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		_ = readHead(br)
		_, _ = io.WriteString(nc, ok("Content-Length: 10000000\r\n", strings.Repeat("x", 10_000_000)))
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		start := time.Now()
		say(t, client, get(""))
		r.wg.Wait() // Serve and the application end by themselves
		within(t, "writing", time.Since(start), limits.Default().WriteTimeout)
		if f := r.failure(); f.Side != message.ClientSide || f.Unsent {
			t.Errorf("failure %+v", f)
		}
		client.Close()
	})
}

func TestANextHopThatDoesNotReadTimesOut(t *testing.T) {
	app := func(_ *memnet.Conn, br *bufio.Reader) {
		_ = readHead(br)
		<-time.After(time.Hour)
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		start := time.Now()
		r.wg.Go(func() {
			_, _ = client.Write([]byte(post("Content-Length: 10000000\r\n", strings.Repeat("x", 10_000_000))))
		})
		res, _, err := hear(bufio.NewReader(client), http.MethodPost)
		if err != nil || res.StatusCode/100 != 5 {
			t.Errorf("answer %+v, %v", res, err)
		}
		within(t, "writing", time.Since(start), limits.Default().WriteTimeout)
		client.Close()
	})
}

// A client may go on sending after the last answer: for a while, and so much.
func TestLingeringIsBounded(t *testing.T) {
	inBubble(t, echoApp, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		say(t, client, get("Connection: close\r\n"))
		want(t, bufio.NewReader(client), 200, "GET / ")
		start := time.Now()
		for {
			<-time.After(100 * time.Millisecond)
			if _, err := client.Write([]byte("more")); err != nil {
				break
			}
		}
		within(t, "lingering", time.Since(start), limits.Default().LingerTimeout)
		client.Close()

		greedy, _ := r.connect()
		say(t, greedy, get("Connection: close\r\n"))
		want(t, bufio.NewReader(greedy), 200, "GET / ")
		if n, err := greedy.Write(make([]byte, 2*lingerBytes)); err == nil || n > lingerBytes+pipeBytes+smallBuffer {
			t.Errorf("%d bytes were taken after the end, error %v", n, err)
		}
		greedy.Close()
	})
}

func TestGracefulCloseOfAnIdleConnection(t *testing.T) {
	inBubble(t, echoApp, func(t *testing.T, r *rig) {
		for _, before := range []bool{true, false} {
			client, conn := r.connect()
			br := bufio.NewReader(client)
			if before {
				say(t, client, get(""))
				want(t, br, 200, "GET / ")
			}
			synctest.Wait()
			start := time.Now()
			conn.CloseGracefully()
			wantEnd(t, br)
			if took := time.Since(start); took > raceWindow {
				t.Errorf("closing took %v", took)
			}
			client.Close()
		}
		synctest.Wait()
		for _, err := range r.ends {
			if err != nil {
				t.Errorf("Serve ended with %v", err)
			}
		}
	})
}

func TestGracefulCloseOfABusyConnection(t *testing.T) {
	release := make(chan struct{})
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		_ = readHead(br)
		<-release
		_, _ = io.WriteString(nc, status("HTTP/1.1 200 OK"))
	}
	synctest.Test(t, func(t *testing.T) {
		release = make(chan struct{}) // of this bubble
		r := newRig(t, limits.Default(), app)
		defer r.close()
		client, conn := r.connect()
		br := bufio.NewReader(client)
		say(t, client, get(""))
		synctest.Wait()
		conn.CloseGracefully()
		synctest.Wait()
		close(release)
		if res := want(t, br, 200, ""); !res.Close {
			t.Error("the last answer does not say that it is the last")
		}
		client.CloseWrite()
		wantEnd(t, br)
	})
}

// A request that was under way when the connection was told to close is
// answered: whatever the client knows, it does not lose it.
func TestARequestThatRacesWithAGracefulCloseIsAnswered(t *testing.T) {
	inBubble(t, echoApp, func(t *testing.T, r *rig) {
		client, conn := r.connect()
		br := bufio.NewReader(client)
		say(t, client, get(""))
		want(t, br, 200, "GET / ")
		synctest.Wait()
		conn.CloseGracefully()
		say(t, client, get("")) // within the window of the race
		if res := want(t, br, 200, "GET / "); !res.Close {
			t.Error("the last answer does not say that it is the last")
		}
		client.CloseWrite()
		wantEnd(t, br)
	})
}

func TestAPipelinedRequestIsAnsweredBeforeAGracefulClose(t *testing.T) {
	inBubble(t, echoApp, func(t *testing.T, r *rig) {
		calls := 0
		var conn *ServerConn
		r.handle = func(x *Exchange) {
			if calls++; calls == 1 {
				_ = x.Respond(204, nil, nil)
				conn.CloseGracefully() // too late for the first answer
				return
			}
			_ = x.Respond(204, nil, nil)
		}
		var client *memnet.Conn
		client, conn = r.connect()
		say(t, client, get("")+get("")+get(""))
		br := bufio.NewReader(client)
		if first := want(t, br, 204, ""); first.Close {
			t.Error("the first answer closes")
		}
		if second := want(t, br, 204, ""); !second.Close {
			t.Error("the second answer does not close")
		}
		client.CloseWrite()
		wantEnd(t, br)
	})
}
