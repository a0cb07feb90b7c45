package http1

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrider-mesh/outrider/internal/testkit/memnet"
	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// inBubble runs a test with a rig in fake time.
func inBubble(t *testing.T, app func(*memnet.Conn, *bufio.Reader), test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, limits.Default(), app)
		defer r.close()
		test(t, r)
	})
}

func TestConnectionsAreKept(t *testing.T) {
	inBubble(t, echoApp, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		br := bufio.NewReader(client)
		for _, target := range []string{"/1", "/2", "/3"} {
			say(t, client, line("GET "+target+" HTTP/1.1"))
			want(t, br, 200, "GET "+target+" ")
		}
		client.Close()
		synctest.Wait()
		if r.dialCount() != 1 {
			t.Errorf("%d connections to the application, want 1", r.dialCount())
		}
	})
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	inBubble(t, echoApp, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		br := bufio.NewReader(client)
		say(t, client, get("")+post("Content-Length: 3\r\n", "abc")+chunks("2\r\nde\r\n0\r\n\r\n")+get("Connection: close\r\n")+get(""))
		want(t, br, 200, "GET / ")
		want(t, br, 200, "POST / abc")
		want(t, br, 200, "POST / de")
		want(t, br, 200, "GET / ")
		client.CloseWrite() // what lingers waits for it
		wantEnd(t, br)
	})
}

func TestContinueComesFromTheNextHop(t *testing.T) {
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		req, err := http.ReadRequest(br)
		if err != nil || req.Header.Get("Expect") != "100-continue" {
			_, _ = io.WriteString(nc, status("HTTP/1.1 500 No expectation"))
			return
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 100 Continue\r\n\r\n")
		body, _ := io.ReadAll(req.Body)
		_, _ = io.WriteString(nc, ok("Content-Length: 5\r\n", string(body)))
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		br := bufio.NewReader(client)
		say(t, client, post("Expect: 100-continue\r\nContent-Length: 5\r\n", ""))
		want(t, br, 100, "")
		say(t, client, "hello")
		want(t, br, 200, "hello")
		client.Close()
	})
}

func TestContinueThatTheNextHopRefuses(t *testing.T) {
	for _, refusal := range []string{"417 Expectation Failed", "401 Unauthorized"} {
		t.Run(refusal, func(t *testing.T) {
			app := func(nc *memnet.Conn, br *bufio.Reader) {
				saysOnce("HTTP/1.1 "+refusal+"\r\nContent-Length: 2\r\n\r\nno")(nc, br)
				if rest, err := io.ReadAll(br); err != nil || len(rest) > 0 {
					_ = rest // a reset is as good as an end
				}
			}
			inBubble(t, app, func(t *testing.T, r *rig) {
				client, _ := r.connect()
				br := bufio.NewReader(client)
				say(t, client, post("Expect: 100-continue\r\nContent-Length: 5\r\n", ""))
				res, body, err := hear(br, http.MethodPost)
				if err != nil || body != "no" || !res.Close {
					t.Errorf("answer %v %q, close %v, error %v", res.Status, body, res.Close, err)
				}
				client.CloseWrite()
				wantEnd(t, br)
				synctest.Wait()
				if _, idle := r.pool.Stats(); idle != 0 {
					t.Error("the upstream connection went back to the pool in the middle of a request")
				}
			})
		})
	}
}

func TestContinueOfOurOwn(t *testing.T) {
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		for {
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			body, _ := io.ReadAll(req.Body)
			_, _ = io.WriteString(nc, ok("X-Expect: "+req.Header.Get("Expect")+"\r\nContent-Length: 5\r\n", string(body)))
		}
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		r.handle = func(x *Exchange) {
			if err := errors.Join(x.Expecting(), x.Expecting()); err != nil {
				t.Error(err)
			}
			prefix, complete, err := x.Body.Peek(100)
			if string(prefix) != "hello" || !complete || err != nil {
				t.Errorf("peeked %q, complete %v, error %v", prefix, complete, err)
			}
			r.forward(x)
		}
		client, _ := r.connect()
		br := bufio.NewReader(client)
		say(t, client, post("Expect: 100-continue\r\nContent-Length: 5\r\n", ""))
		want(t, br, 100, "")
		say(t, client, "hello")
		if res := want(t, br, 200, "hello"); res.Header.Get("X-Expect") != "" {
			t.Error("the expectation was passed on after it had been met")
		}
		// A body that comes with its head needs no 100.
		say(t, client, post("Expect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n", "hello"))
		want(t, br, 200, "hello")
		client.CloseWrite()
		wantEnd(t, br)
	})
}

func TestUpgradeKeepsWhatWasReadAhead(t *testing.T) {
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		if readHead(br) != nil {
			return
		}
		// The first bytes of the tunnel come with the head.
		_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nfirst ")
		all, _ := io.ReadAll(br)
		_, _ = nc.Write(all)
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		br := bufio.NewReader(client)
		say(t, client, websocket+"ahead ")
		want(t, br, 101, "")
		say(t, client, "later")
		client.CloseWrite()
		if all, err := io.ReadAll(br); string(all) != "first ahead later" || err != nil {
			t.Errorf("through the tunnel: %q, %v", all, err)
		}
		client.Close()
	})
}

func TestConnectBecomesATunnel(t *testing.T) {
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		saysOnce("HTTP/1.1 200 OK\r\n\r\n")(nc, br)
		_, _ = io.Copy(nc, br)
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		br := bufio.NewReader(client)
		say(t, client, connect+"hello")
		head := make([]byte, len("HTTP/1.1 200 OK\r\n\r\nhello"))
		if _, err := io.ReadFull(br, head); err != nil || string(head[len(head)-5:]) != "hello" {
			t.Errorf("%q, %v", head, err)
		}
		client.CloseWrite()
		wantEnd(t, br)
		client.Close()
	})
}

// An answer that comes early is relayed; what the client still sends is read for
// a while, so that the answer is not lost to a reset.
func TestAnswerBeforeTheEndOfTheBody(t *testing.T) {
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		saysOnce("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")(nc, br)
		_, _ = io.Copy(io.Discard, br)
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		br := bufio.NewReader(client)
		say(t, client, post("Content-Length: 1000000\r\n", "begin"))
		res, body, err := hear(br, http.MethodPost)
		if err != nil || res.StatusCode != 413 || body != "no" || !res.Close {
			t.Fatalf("answer %+v %q, %v", res, body, err)
		}
		say(t, client, strings.Repeat("x", 500_000)) // is still read
		client.CloseWrite()
		wantEnd(t, br)
	})
}

func TestALongEarlyAnswerIsNotCutByTheBody(t *testing.T) {
	// The next hop stops reading and takes longer than any linger to answer.
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		if readHead(br) != nil {
			return
		}
		_, _ = io.WriteString(nc, ok("Content-Length: 10\r\n", ""))
		nc.CloseRead() // writing to it fails from here on
		for range 10 {
			<-time.After(5 * time.Second)
			_, _ = io.WriteString(nc, "x")
		}
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		br := bufio.NewReader(client)
		say(t, client, post("Content-Length: 1000000\r\n", ""))
		synctest.Wait()
		say(t, client, "a piece that the next hop does not take")
		res, body, err := hear(br, http.MethodPost)
		if err != nil || body != "xxxxxxxxxx" || !res.Close {
			t.Errorf("answer %q, %v", body, err)
		}
		client.Close()
	})
}

func TestANextHopThatStopsReadingWithoutAnswer(t *testing.T) {
	app := func(_ *memnet.Conn, br *bufio.Reader) { _ = readHead(br) }
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		br := bufio.NewReader(client)
		say(t, client, post("Content-Length: 1000000\r\n", ""))
		res, _, err := hear(br, http.MethodPost)
		if err != nil || res.StatusCode != 502 {
			t.Errorf("answer %+v, %v", res, err)
		}
		client.Close()
		synctest.Wait()
		if f := r.failure(); f.Side != message.UpstreamSide || isTimeout(f.Err) {
			t.Errorf("failure %v, want one of the upstream that is no timeout", f)
		}
	})
}

// A next hop that does not read stops the client, and memory does not grow.
func TestBackPressureReachesTheClient(t *testing.T) {
	app := func(_ *memnet.Conn, br *bufio.Reader) {
		_ = readHead(br)
		<-time.After(10 * time.Minute)
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, conn := r.connect()
		r.wg.Go(func() {
			_, _ = client.Write([]byte(post("Content-Length: 100000000\r\n", "") + strings.Repeat("x", 10_000_000)))
		})
		synctest.Wait()
		// Two pipes, the read and write buffers of both sides, and what bufio takes.
		if n := client.Written(); n > 2*pipeBytes+4*largeBuffer {
			t.Errorf("%d bytes were taken from the client", n)
		}
		conn.Abort()
		r.pool.CloseIf(func(net.Conn) bool { return true })
		client.Close()
	})
}

func TestNextHopThatClosesInsideOfAnAnswer(t *testing.T) {
	for name, c := range map[string]struct{ request, answer string }{
		"a length":                      {get(""), ok("Content-Length: 10\r\n", "hello")},
		"chunks":                        {get(""), ok("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n")},
		"trailers":                      {get(""), ok("Transfer-Encoding: chunked\r\n", "0\r\n")},
		"a length to HTTP/1.0":          {get10, ok("Content-Length: 10\r\n", "hello")},
		"chunks to HTTP/1.0":            {get10, ok("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n")},
		"a body that is still uploaded": {post("Content-Length: 99\r\n", "x"), ok("Content-Length: 10\r\n", "hello")},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, saysOnce(c.answer), func(t *testing.T, r *rig) {
				client, _ := r.connect()
				say(t, client, c.request)
				all, err := io.ReadAll(client)
				if !errors.Is(err, memnet.ErrReset) {
					t.Errorf("%q and then %v, want a reset", all, err)
				}
				synctest.Wait()
				if f := r.failure(); f.Side != message.UpstreamSide || f.Unsent || !errors.Is(f, message.ErrUnexpectedEnd) {
					t.Errorf("failure %+v", f)
				}
				client.Close()
			})
		})
	}
}

func TestClientThatVanishesInsideOfABody(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		vanish  func(*memnet.Conn)
	}{
		"a length and an end":  {post("Content-Length: 10\r\n", "hello"), func(c *memnet.Conn) { c.CloseWrite() }},
		"a length and a reset": {post("Content-Length: 10\r\n", "hello"), func(c *memnet.Conn) { _ = c.SetLinger(0); c.Close() }},
		"chunks and an end":    {chunks("5\r\nhello\r\n"), func(c *memnet.Conn) { c.CloseWrite() }},
		"chunks and a reset":   {chunks("5\r\nhello\r\n"), func(c *memnet.Conn) { _ = c.SetLinger(0); c.Close() }},
	} {
		t.Run(name, func(t *testing.T) {
			var body error
			app := func(_ *memnet.Conn, br *bufio.Reader) {
				if req, err := http.ReadRequest(br); err == nil {
					_, body = io.Copy(io.Discard, req.Body)
				}
			}
			inBubble(t, app, func(t *testing.T, r *rig) {
				client, _ := r.connect()
				say(t, client, c.request)
				synctest.Wait()
				c.vanish(client)
				synctest.Wait()
				if f := r.failure(); f.Side != message.ClientSide || !f.Unsent {
					t.Errorf("failure %+v", f)
				}
				if body == nil {
					t.Error("the application saw a complete request")
				}
				client.Close()
			})
		})
	}
}

func TestClientThatVanishesWhileAnswered(t *testing.T) {
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		_ = readHead(br)
		_, _ = io.WriteString(nc, ok("Content-Length: 100000000\r\n", ""))
		for {
			if _, err := nc.Write(make([]byte, 10_000)); err != nil {
				return // the connection was closed under it
			}
		}
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		say(t, client, get(""))
		_, _ = io.ReadFull(client, make([]byte, 1000))
		_ = client.SetLinger(0)
		client.Close()
		synctest.Wait()
		if f := r.failure(); f.Side != message.ClientSide || f.Unsent {
			t.Errorf("failure %+v", f)
		}
	})
}

func TestMalformedBodyOfAClient(t *testing.T) {
	app := func(_ *memnet.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) }
	for name, pieces := range map[string][]string{
		"with its head":   {chunks("5\r\nhelloXY")},
		"behind its head": {chunks(""), "5\r\nhelloX\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, app, func(t *testing.T, r *rig) {
				client, _ := r.connect()
				br := bufio.NewReader(client)
				for _, piece := range pieces {
					say(t, client, piece)
					synctest.Wait()
				}
				want(t, br, 400, "a chunk is not followed by CRLF")
				client.CloseWrite()
				wantEnd(t, br)
				if f := r.failure(); f.Side != message.ClientSide || !f.Unsent {
					t.Errorf("failure %+v", f)
				}
			})
		})
	}
}

// A pump that was stopped because of the answer is not the client's fault.
func TestMalformedAnswerDuringAnUploadIsTheUpstreams(t *testing.T) {
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		saysOnce("HTTP/9.9 banana\r\n\r\n")(nc, br)
		_, _ = io.Copy(io.Discard, br)
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		br := bufio.NewReader(client)
		say(t, client, post("Content-Length: 100\r\n", "x"))
		res, _, err := hear(br, http.MethodPost)
		if err != nil || res.StatusCode != 502 {
			t.Errorf("answer %+v, %v", res, err)
		}
		if f := r.failure(); f.Side != message.UpstreamSide {
			t.Errorf("failure %+v", f)
		}
		client.Close()
	})
}

func TestAPanicWhileSendingTheBodyReachesTheOwner(t *testing.T) {
	app := func(_ *memnet.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) }
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, conn := r.connect()
		say(t, client, post("Content-Length: 100\r\n", ""))
		synctest.Wait()
		// The pump waits for this conn to give it bytes.
		conn.net.(*memnet.Conn).LimitReads(func() int { panic("boom") })
		say(t, client, "x")
		if _, err := io.ReadAll(client); !errors.Is(err, memnet.ErrReset) {
			t.Errorf("the client got %v, want a reset", err)
		}
		synctest.Wait()
		if len(r.ends) != 1 || !strings.Contains(r.ends[0].Error(), "boom") {
			t.Errorf("Serve ended with %v", r.ends)
		}
		if busy, idle := r.pool.Stats(); busy+idle != 0 {
			t.Errorf("%d busy and %d idle connections after a panic", busy, idle)
		}
		client.Close()
	})
}

func TestAPanicWhileAnsweringLeavesNothing(t *testing.T) {
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		_ = readHead(br)
		<-time.After(time.Second)
		_, _ = io.WriteString(nc, "x")
		_, _ = io.Copy(io.Discard, br)
	}
	for name, request := range map[string]string{"a body under way": post("Content-Length: 100\r\n", ""), "no body": get("")} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, app, func(t *testing.T, r *rig) {
				client, _ := r.connect()
				say(t, client, request)
				synctest.Wait()
				r.toApp[0].LimitReads(func() int { panic("boom") })
				if _, err := io.ReadAll(client); !errors.Is(err, memnet.ErrReset) {
					t.Errorf("the client got %v, want a reset", err)
				}
				synctest.Wait()
				if busy, idle := r.pool.Stats(); busy+idle != 0 {
					t.Errorf("%d busy and %d idle connections after a panic", busy, idle)
				}
				client.Close()
			})
		})
	}
}

// The next hop has answered, all of the body was read from the client, and its
// rest does not get through: the client goes on, the connection does not.
func TestAnAnsweredBodyThatDoesNotGetThrough(t *testing.T) {
	first := true
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		if !first {
			echoApp(nc, br)
			return
		}
		first = false
		_ = readHead(bufio.NewReaderSize(nc, 16)) // reads no more than it must
		<-time.After(time.Second)
		_, _ = io.WriteString(nc, status("HTTP/1.1 200 OK"))
		<-time.After(time.Hour)
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		br := bufio.NewReader(client)
		say(t, client, chunks(""))
		synctest.Wait()
		for range 2 {
			say(t, client, "7530\r\n"+strings.Repeat("x", 30_000)+"\r\n")
			synctest.Wait()
		}
		say(t, client, "4e20\r\n"+strings.Repeat("x", 20_000)+"\r\n0\r\n\r\n")
		if res := want(t, br, 200, ""); res.Close {
			t.Error("the client sent all of its body and is closed all the same")
		}
		start := time.Now()
		say(t, client, get(""))
		want(t, br, 200, "GET / ")
		within(t, "giving the rest up", time.Since(start), limits.Default().LingerTimeout)
		if r.dialCount() != 2 || len(r.failures) > 0 {
			t.Errorf("%d connections and failures %v, want 2 and none", r.dialCount(), r.failures)
		}
		client.Close()
	})
}

func TestAnIdleConnectionHoldsASmallBuffer(t *testing.T) {
	inBubble(t, echoApp, func(t *testing.T, r *rig) {
		client, conn := r.connect()
		br := bufio.NewReader(client)
		say(t, client, post("Content-Length: 60000\r\n", strings.Repeat("x", 60_000)))
		want(t, br, 200, "POST / "+strings.Repeat("x", 60_000))
		synctest.Wait()
		if n := len(*conn.buf); n != smallBuffer {
			t.Errorf("an idle connection holds %d bytes, want %d", n, smallBuffer)
		}
		for _, up := range r.pool.idle {
			if up.buf != nil {
				t.Error("an idle upstream connection holds a buffer")
			}
		}
		client.Close()
	})
}

// A handler that forgets to answer must not have the body read as a request.
func TestAHandlerThatDoesNotAnswerEndsTheConnection(t *testing.T) {
	inBubble(t, echoApp, func(t *testing.T, r *rig) {
		calls := 0
		r.handle = func(*Exchange) { calls++ }
		client, _ := r.connect()
		say(t, client, post("Content-Length: 34\r\n", get("")))
		if _, err := io.ReadAll(client); !errors.Is(err, memnet.ErrReset) {
			t.Errorf("the client got %v, want a reset", err)
		}
		if calls != 1 {
			t.Errorf("%d requests, want 1", calls)
		}
		client.Close()
	})
}

func TestAnAnswerOfOurOwnKeepsTheConnectionIfTheBodyIsThere(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		keeps   bool
	}{
		"no body":                      {get(""), true},
		"a body that is there":         {post("Content-Length: 5\r\n", "hello"), true},
		"chunks that are there":        {chunks("5\r\nhello\r\n0\r\nA: b\r\n\r\n"), true},
		"a body that is not there":     {post("Content-Length: 5\r\n", ""), false},
		"half a body":                  {post("Content-Length: 5\r\n", "he"), false},
		"chunks without an end":        {chunks("5\r\nhello\r\n"), false},
		"chunks that are malformed":    {chunks("5\r\nhello0\r\n\r\n"), false},
		"a client that wants to close": {get("Connection: close\r\n"), false},
		"HTTP/1.0":                     {get10, false},
		"HTTP/1.0 with keep-alive":     {get10Keep, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, echoApp, func(t *testing.T, r *rig) {
				r.handle = func(x *Exchange) { _ = x.Respond(403, []byte("A: b\r\n"), []byte("no")) }
				client, _ := r.connect()
				br := bufio.NewReader(client)
				say(t, client, c.request)
				res := want(t, br, 403, "no")
				if res.Close == c.keeps || res.Header.Get("A") != "b" {
					t.Errorf("close %v, fields %v", res.Close, res.Header)
				}
				if c.keeps {
					say(t, client, get(""))
					want(t, br, 403, "no")
				}
				client.Close()
			})
		})
	}
}

func TestAnAnswerOfOurOwnToHeadHasNoBody(t *testing.T) {
	inBubble(t, echoApp, func(t *testing.T, r *rig) {
		r.handle = func(x *Exchange) { _ = x.Respond(403, nil, []byte("no")) }
		client, _ := r.connect()
		br := bufio.NewReader(client)
		say(t, client, headRequest+get(""))
		if res, _, err := hear(br, http.MethodHead); err != nil || res.ContentLength != 2 {
			t.Errorf("answer %+v, %v", res, err)
		}
		want(t, br, 403, "no")
		client.Close()
	})
}

// A stream is passed on as it comes, not when a buffer is full.
func TestAStreamIsNotHeldBack(t *testing.T) {
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		buf := make([]byte, 100)
		for {
			n, err := req.Body.Read(buf)
			if n > 0 {
				_, _ = io.WriteString(nc, "1\r\n"+string(buf[:1])+"\r\n")
			}
			if err != nil {
				_, _ = io.WriteString(nc, "0\r\n\r\n")
				return
			}
		}
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		br := bufio.NewReader(client)
		say(t, client, chunks(""))
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{"a", "b", "c"} {
			say(t, client, "1\r\n"+s+"\r\n")
			got := make([]byte, 1)
			if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != s {
				t.Fatalf("%q, %v; want %q", got, err, s)
			}
		}
		say(t, client, "0\r\n\r\n")
		if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
			t.Errorf("%q, %v", rest, err)
		}
		client.Close()
	})
}
