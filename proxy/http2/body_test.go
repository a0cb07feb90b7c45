package http2

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// handled runs one exchange of what say sends, and returns what the client got.
func handled(t *testing.T, say func(p *peer), handle func(x *Exchange)) (client string) {
	inBubble(t, testLimits(), rawApp(t, onRequest(answersAll)), func(_ *testing.T, r *rig) {
		r.handle = handle
		p, _ := r.raw()
		say(p)
		p.flush()
		var got []string
		read := make(chan struct{})
		r.wg.Go(func() {
			defer close(read)
			got = p.transcript()
		})
		p.pause()
		p.pause()
		_ = p.nc.(interface{ CloseWrite() error }).CloseWrite()
		<-read
		client = strings.Join(got, " ")
	})
	return client
}

func hello(p *peer) {
	p.post(1)
	p.data(1, false, "hel")
	p.data(1, true, "lo")
}

func TestPeekGivesNothingAway(t *testing.T) {
	handled(t, hello, func(x *Exchange) {
		for _, c := range []struct {
			n        int64
			want     string
			complete bool
		}{{0, "", false}, {3, "hel", false}, {4, "hell", false}, {5, "hello", true}, {6, "hello", true}, {1 << 20, "hello", true}} {
			p, complete, err := x.Body.Peek(c.n)
			if string(p) != c.want || complete != c.complete || err != nil {
				t.Errorf("Peek(%d): %q, %v, %v", c.n, p, complete, err)
			}
		}
		if x.Body.Ended() || x.Body.Received() != 5 {
			t.Errorf("ended %v, received %d", x.Body.Ended(), x.Body.Received())
		}
		if p, err := x.Body.Next(); string(p) != "hello" || err != nil {
			t.Errorf("%q, %v", p, err)
		}
		if !x.Body.Ended() {
			t.Error("not ended behind its last piece")
		}
		if _, err := x.Body.Next(); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		x.Abort()
	})
}

// Peek waits for what it was asked for, and no longer.
func TestPeekWaits(t *testing.T) {
	handled(t, func(p *peer) {
		p.post(1)
		p.data(1, false, "hel")
		p.pause()
		p.data(1, false, "lo, wo")
		p.pause()
		p.data(1, true, "rld")
	}, func(x *Exchange) {
		p, complete, err := x.Body.Peek(5)
		if string(p) != "hello" || complete || err != nil {
			t.Errorf("%q, %v, %v", p, complete, err)
		}
		p, complete, err = x.Body.Peek(100)
		if string(p) != "hello, world" || !complete || err != nil {
			t.Errorf("%q, %v, %v", p, complete, err)
		}
		x.Abort()
	})
}

// What was looked at is forwarded all the same, and can be sent again: a small body,
// or one that was looked at to its end.
func TestWhatWasPeekedAtIsForwarded(t *testing.T) {
	long := strings.Repeat("0123456789", 5000)
	count := 0
	for _, c := range []struct {
		peek  int64
		body  string
		again bool
	}{
		{0, "", true},
		{5, "", true},
		{0, "hello", true},
		{1, "hello", true},
		{5, "hello", true},
		{6, "hello", true},
		{1 << 20, "hello", true},
		{0, long, false},
		{5, long, false},
		{1 << 20, long, true},
	} {
		count++
		app, got := refuseFirst(func(p *peer, id uint32) { p.frame(3, 0, id, u32(uint32(refusedStream))) })
		inBubble(t, limits.Default(), rawApp(t, app), func(t *testing.T, r *rig) {
			r.handle = func(x *Exchange) {
				if _, _, err := x.Body.Peek(c.peek); err != nil {
					t.Error(err)
				}
				r.forward(x)
			}
			p, _ := r.raw()
			p.post(1)
			rest := c.body
			for ; len(rest) > mostFrame; rest = rest[mostFrame:] {
				p.data(1, false, rest[:mostFrame])
			}
			p.data(1, true, rest)
			want := "1 :status=200 END"
			if !c.again {
				want = "1 RST:REFUSED_STREAM"
			}
			if line := p.next(); line != want {
				t.Errorf("peek %d of %d bytes: %s, want %s", c.peek, len(c.body), line, want)
			}
		})
		// It may come in two frames, and others between them.
		sent := strings.ReplaceAll(strings.Join(strings.Fields(*got), " "), `" "`, "")
		if n := strings.Count(sent, `"`+c.body+`"`); c.again && c.body != "" && n != 2 {
			t.Errorf("peek %d of %d bytes: sent %d times: %.200s", c.peek, len(c.body), n, sent)
		}
	}
	if count < 10 {
		t.Errorf("%d cases, want at least 10", count)
	}
}

func TestNextGivesPieces(t *testing.T) {
	handled(t, func(p *peer) {
		p.post(1)
		p.data(1, false, "a")
		p.pause()
		p.data(1, false, "b")
		p.pause()
		p.data(1, true, "")
	}, func(x *Exchange) {
		for _, want := range []string{"a", "b"} {
			if p, err := x.Body.Next(); string(p) != want || err != nil {
				t.Errorf("%q, %v, want %q", p, err, want)
			}
		}
		if _, err := x.Body.Next(); !errors.Is(err, io.EOF) || x.Body.Received() != 2 {
			t.Errorf("%v behind %d bytes", err, x.Body.Received())
		}
		x.Abort()
	})
}

func TestABodyOverItsLimit(t *testing.T) {
	got := handled(t, func(p *peer) {
		p.post(1)
		for range 65 {
			p.data(1, false, strings.Repeat("x", mostFrame))
			p.pause()
		}
	}, func(x *Exchange) {
		for {
			if _, err := x.Body.Next(); err != nil {
				if !errors.Is(err, errBodyTooLarge) {
					t.Error(err)
				}
				_ = x.Respond(413, nil, nil)
				return
			}
		}
	})
	if got != ":status=413 END RST:NO_ERROR" {
		t.Error(got)
	}
}

func TestAnswersOfOurOwn(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for name, c := range map[string]struct {
		say    func(p *peer)
		status int
		fields string
		body   string
		want   string
	}{
		"nothing but a status": {nil, 204, "", "", ":status=204 END"},
		"a body":               {nil, 403, "a: b\r\nC: d\r\n", "no", `:status=403 a=b c=d content-length=2 "no" END`},
		"trailers only": {
			func(p *peer) { p.headers(1, true, grpcLines()...) }, 200,
			"content-type: application/grpc\r\ngrpc-status: 7\r\ngrpc-message: no\r\n", "",
			":status=200 content-type=application/grpc grpc-status=7 grpc-message=no END",
		},
		"fields that HTTP/2 has no place for": {nil, 503, "connection: close\r\nretry-after: 1\r\ncontent-length: 7\r\n", "", ":status=503 retry-after=1 END"},
		"fields that are not well-formed":     {nil, 403, "a: b\r\nc: d\n", "no", `:status=403 content-length=2 "no" END`},
		"fields that split":                   {nil, 403, "a: b\r\n\r\nc: d\r\n", "", `:status=403 END`},
		"HEAD":                                {func(p *peer) { p.headers(1, true, method("HEAD")...) }, 403, "", "no", ":status=403 content-length=2 END"},
		"before the end of the request":       {func(p *peer) { p.post(1) }, 403, "", "no", `:status=403 content-length=2 "no" END RST:NO_ERROR`},
		"a decision":                          {nil, 403, "x-outrider-decision: d\r\n", "", ":status=403 x-outrider-decision=d END"},
		"over the first window":               {nil, 200, "", long, ""},
	} {
		t.Run(name, func(t *testing.T) {
			say := c.say
			if say == nil {
				say = func(p *peer) { p.get(1) }
			}
			if c.body == long {
				say = func(p *peer) {
					p.get(1)
					p.pause()
					p.frame(8, 0, 1, u32(50_000))
					p.frame(8, 0, 0, u32(50_000))
				}
			}
			var sent int64
			got := handled(t, say, func(x *Exchange) {
				if err := x.Respond(c.status, []byte(c.fields), []byte(c.body)); err != nil {
					t.Error(err)
				}
				if x.Status != c.status {
					t.Errorf("status %d", x.Status)
				}
				sent = x.Sent
			})
			switch {
			case c.body == long:
				if n := strings.Count(got, "x"); n != len(long) || sent != int64(n) || !strings.HasSuffix(got, "END") {
					t.Errorf("%d of %d bytes, ... %s", n, len(long), got[len(got)-20:])
				}
			case got != c.want:
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}

func TestOneAnswerIsEnough(t *testing.T) {
	got := handled(t, func(p *peer) { p.get(1) }, func(x *Exchange) {
		_ = x.Respond(200, nil, nil)
		if err := x.Respond(200, nil, nil); err == nil {
			t.Error("a second answer")
		}
	})
	if got != ":status=200 END" {
		t.Error(got)
	}
}

func TestHandlersThatDoNotAnswer(t *testing.T) {
	for name, handle := range map[string]func(x *Exchange){
		"abort":   func(x *Exchange) { x.Abort() },
		"nothing": func(*Exchange) {},
	} {
		if got := handled(t, func(p *peer) { p.get(1) }, handle); got != "RST:INTERNAL_ERROR" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAnsweringAClientThatIsGone(t *testing.T) {
	handled(t, func(p *peer) {
		p.get(1)
		p.pause()
		p.nc.Close()
	}, func(x *Exchange) {
		synctest.Wait()
		x.await(x.Started.Add(limits.Default().WriteTimeout)) // until it is gone
		var f *message.Failure
		if err := x.Respond(200, nil, []byte("x")); !errors.As(err, &f) || f.Side != message.ClientSide {
			t.Error(err)
		}
	})
}

// We answer 100 when we want the body, and once.
func TestExpecting(t *testing.T) {
	for name, c := range map[string]struct {
		say  func(p *peer)
		want string
	}{
		"a client that waits": {func(p *peer) {
			p.post(1, "expect: 100-continue")
			p.pause()
			p.data(1, true, "x")
		}, ":status=100 :status=200 END"},
		"a body that is there": {func(p *peer) { p.post(1, "expect: 100-continue"); p.data(1, true, "x") }, ":status=200 END"},
		"no expectation":       {func(p *peer) { p.post(1); p.data(1, true, "x") }, ":status=200 END"},
		"no body":              {func(p *peer) { p.get(1, "expect: 100-continue") }, ":status=200 END"},
	} {
		got := handled(t, c.say, func(x *Exchange) {
			for range 2 {
				if err := x.Expecting(); err != nil {
					t.Error(err)
				}
			}
			if _, complete, err := x.Body.Peek(10); !complete || err != nil {
				t.Error(err)
			}
			_ = x.Respond(200, nil, nil)
		})
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// The facts that stages ask for.
func TestWhatARequestTells(t *testing.T) {
	handled(t, func(p *peer) {
		p.headers(1, false, ":method: POST", ":scheme: https", ":authority: Shop:80", ":path: /a/b?c=d?e",
			"traceparent: t", "content-type: application/grpc+proto", "x: 1", "x: 2", "content-length: 5")
		p.data(1, true, "hello")
	}, func(x *Exchange) {
		q := &x.Request
		if q.Method != "POST" || q.Target != "/a/b?c=d?e" || q.Path != "/a/b" || q.Query != "c=d?e" || !q.HasQuery ||
			q.Host != "Shop:80" || q.Traceparent() != "t" || !q.IsGRPC() || !q.HasBody() || q.ContentLength() != 5 ||
			q.Protocol != "" || q.IsTunnel() || x.Started.IsZero() {
			t.Errorf("%+v", q)
		}
		for name, want := range map[string]string{"x": "1", "host": "Shop:80", "traceparent": "t"} {
			if v, ok := q.Get(name); v != want || !ok {
				t.Errorf("%s: %q, %v", name, v, ok)
			}
		}
		if v, ok := q.Get("y"); ok {
			t.Errorf("y: %q", v)
		}
		var all []string
		q.Each(func(name, value string) bool {
			all = append(all, name+"="+value)
			return len(all) < 4
		})
		if got := strings.Join(all, " "); got != "host=Shop:80 traceparent=t content-type=application/grpc+proto x=1" {
			t.Error(got)
		}
		x.Abort()
	})
}

func TestMediaTypesOfGRPC(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "application/grpc;x=y": true, "Application/GRPC": true,
		"application/grpc-web": false, "application/grpc-web+proto": false, "application/grpcx": false,
		"application/json": false, "": false, "application/grp": false,
	} {
		if isGRPC(contentType) != want {
			t.Errorf("%q: %v", contentType, !want)
		}
	}
}
