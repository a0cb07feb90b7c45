package http2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	wire "golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/internal/testkit/memnet"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// framesOf is what a case says behind the preface.
func framesOf(t testing.TB, say func(p *peer)) []byte {
	ours, theirs := memnet.Pipe(1)
	defer ours.Close()
	defer theirs.Close()
	var all bytes.Buffer
	p := newPeer(t, ours)
	p.w.Reset(&all)
	say(p)
	if p.w.Flush() != nil {
		t.Fatal("writing to memory")
	}
	return bytes.TrimPrefix(all.Bytes(), []byte(wire.ClientPreface))
}

// seed adds what the tables of requests say.
func seed(f *testing.F) {
	for _, table := range [][]frameCase{connectionCases, controlCases, headerFrameCases, bodyCases} {
		for _, c := range table {
			if b := framesOf(f, c.say); len(b) < 4096 {
				f.Add(b)
			}
		}
	}
	for _, table := range [][]headCase{refusedHeads, acceptedHeads, connects} {
		for _, c := range table {
			f.Add(framesOf(f, func(p *peer) { p.greet(); p.headers(1, true, c.lines...); p.get(3) }))
		}
	}
}

// FuzzRequestsMeanTheSame compares what we make of a client's frames with what
// net/http makes of them, whose HTTP/2 is that of golang.org/x/net. What we accept,
// it accepts, and as the same request.
func FuzzRequestsMeanTheSame(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, frames []byte) {
		if len(frames) > 1<<14 || hasType(frames, wire.FramePriorityUpdate) || hasType(frames, wire.FrameGoAway) {
			return // the oracle minds what we ignore: how streams are weighed, and goodbyes of clients
		}
		ours, malformed := ourRequests(t, frames)
		theirs := oracleRequests(t, frames)
		for _, r := range ours {
			i := slices.Index(theirs, r)
			if i < 0 && malformed {
				return // to the oracle such a stream was never opened, and frames on it end the connection
			}
			if i < 0 {
				t.Fatalf("accepted: %s\nnet/http has %q", r, theirs)
			}
			theirs = slices.Delete(theirs, i, i+1)
		}
	})
}

// FuzzHeadsMeanTheSame is the same with heads and trailers that are well compressed,
// which bytes rarely are. Fields are apart by a byte that no value may hold.
func FuzzHeadsMeanTheSame(f *testing.F) {
	for _, table := range [][]headCase{refusedHeads, acceptedHeads, limitedHeads, connects} {
		for _, c := range table {
			f.Add(strings.Join(c.lines, "\x1f"), "hello", "")
			f.Add(strings.Join(append(postLines(), "content-length: 5"), "\x1f"), "hello", strings.Join(c.lines, "\x1f"))
		}
	}
	f.Fuzz(func(t *testing.T, head, body, tail string) {
		if len(head)+len(body)+len(tail) > 1<<14 {
			return
		}
		frames := framesOf(t, func(p *peer) {
			p.greet()
			p.headers(1, body == "" && tail == "", fields(head)...)
			if body != "" {
				p.data(1, tail == "", body)
			}
			if tail != "" {
				p.headers(1, true, fields(tail)...)
			}
		})
		ours, _ := ourRequests(t, frames)
		theirs := oracleRequests(t, frames)
		if len(ours) > 0 && !slices.Equal(ours, theirs) {
			t.Errorf("accepted: %q\nnet/http has %q", ours, theirs)
		}
	})
}

func fields(lines string) (all []string) {
	for line := range strings.SplitSeq(lines, "\x1f") {
		if line != "" {
			all = append(all, line)
		}
	}
	return all
}

// hasType tells whether a frame of that type is among them.
func hasType(frames []byte, kind wire.FrameType) bool {
	for len(frames) >= frameHeader {
		length := int(frames[0])<<16 | int(frames[1])<<8 | int(frames[2])
		if wire.FrameType(frames[3]) == kind {
			return true
		}
		frames = frames[min(len(frames), frameHeader+length):]
	}
	return false
}

// ourRequests returns the requests that were accepted as a whole, and whether there
// were others.
func ourRequests(t *testing.T, frames []byte) (all []string, malformed bool) {
	synctest.Test(t, func(_ *testing.T) {
		client, server := memnet.Pipe(1 << 20)
		var mu sync.Mutex
		c := NewServer(ServerOptions{Limits: testLimits(), Buffers: new(Buffers), AllowConnect: true}).NewConn(server)
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = c.Serve(func(x *Exchange) {
				r, ok := acceptedRequest(x)
				mu.Lock()
				defer mu.Unlock()
				if ok {
					all = append(all, r)
				}
				malformed = malformed || !ok
			})
		}()
		_, _ = client.Write(append([]byte(wire.ClientPreface), frames...))
		synctest.Wait()
		client.Close()
		<-served
	})
	return all, malformed
}

// acceptedRequest reads a request to its end and answers it.
func acceptedRequest(x *Exchange) (r string, ok bool) {
	if x.Err != nil || x.Request.Protocol != "" {
		_ = x.Respond(http.StatusBadRequest, nil, nil)
		return "", false
	}
	q := &x.Request
	h := http.Header{}
	q.Each(func(name, value string) bool {
		h.Add(name, value)
		return true
	})
	var body strings.Builder
	for {
		p, err := x.Body.Next()
		body.Write(p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			_ = x.Respond(http.StatusBadRequest, nil, nil)
			return "", false
		}
	}
	r = requestLine(q.Method, q.Target, q.Host, h, body.String())
	_ = x.Respond(http.StatusOK, nil, nil)
	return r, true
}

// requestLine puts what a request means into one line.
func requestLine(method, target, host string, h http.Header, body string) string {
	h = h.Clone()
	// net/http takes these for itself.
	for _, name := range []string{"Host", "Trailer", "Expect", "Te"} {
		h.Del(name)
	}
	return fmt.Sprintf("%q %q %q %v %q", method, target, strings.ToLower(host), h, body)
}

func oracleRequests(t *testing.T, frames []byte) (all []string) {
	synctest.Test(t, func(_ *testing.T) {
		client, server := memnet.Pipe(1 << 20)
		var mu sync.Mutex
		served := make(chan struct{})
		go func() {
			defer close(served)
			serveNetHTTP(func(_ http.ResponseWriter, q *http.Request) {
				body, err := io.ReadAll(q.Body)
				if err != nil {
					return
				}
				mu.Lock()
				all = append(all, requestLine(q.Method, q.RequestURI, q.Host, q.Header, string(body)))
				mu.Unlock()
			})(server)
		}()
		_, _ = client.Write(append([]byte(wire.ClientPreface), frames...))
		synctest.Wait()
		client.Close()
		server.Close()
		<-served
	})
	return all
}

// seedAnswers adds what the tables of answers say.
func seedAnswers(f *testing.F) {
	greeting := framesOf(f, func(p *peer) { p.check(p.fr.WriteSettings()) })
	add := func(answer func(p *peer, id uint32)) {
		defer func() { _ = recover() }() // some close their connection, and there is none
		f.Add(append(bytes.Clone(greeting), framesOf(f, func(p *peer) { answer(p, 1) })...), false)
	}
	for i := range relayedAnswers {
		add(relayedAnswers[i].answer)
	}
	for i := range badAnswers {
		if name := badAnswers[i].name; !strings.HasPrefix(name, "a connection that") && !strings.HasPrefix(name, "a body that turns out") {
			add(badAnswers[i].answer)
		}
	}
	f.Add(append(bytes.Clone(greeting), framesOf(f, func(p *peer) { p.headers(1, true, ok("content-length: 7")...) })...), true)
}

// FuzzAnswersMeanTheSame compares what a client gets through us with what net/http
// makes of the frames of the next hop.
func FuzzAnswersMeanTheSame(f *testing.F) {
	seedAnswers(f)
	f.Fuzz(func(t *testing.T, frames []byte, head bool) {
		if len(frames) > 1<<14 {
			return
		}
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		compareAnswers(t, method, frames)
	})
}

func compareAnswers(t *testing.T, method string, frames []byte) {
	passed, failure, err := ourAnswer(t, method, frames)
	if failure {
		return // refused, or cut off
	}
	if err != nil {
		t.Fatalf("net/http refuses what was passed on: %v", err)
	}
	came, err := oracleAnswer(t, method, frames)
	if err != nil {
		t.Fatalf("passed on: %s\nnet/http says %v", passed, err)
	}
	if passed != came {
		t.Errorf("passed on: %s\ncame as    %s", passed, came)
	}
}

// FuzzAnswerHeadsMeanTheSame is the same with well-compressed heads.
func FuzzAnswerHeadsMeanTheSame(f *testing.F) {
	for _, lines := range [][]string{
		ok("a: b", "content-length: 5"), ok("content-length: 4"), ok("A: b"), ok("a: b\r\n"), ok("connection: close"),
		{":status: 204"},
		{":status: 304", "content-length: 5"},
		{":status: 101"},
		{":status: 20"},
		{"a: b"},
		ok("x-outrider-peer: a"),
	} {
		f.Add(strings.Join(lines, "\x1f"), "hello", "", false)
		f.Add(strings.Join(lines, "\x1f"), "", "a: b\x1fgrpc-status: 0", true)
		f.Add(strings.Join(ok(), "\x1f"), "x", strings.Join(lines, "\x1f"), false)
	}
	f.Fuzz(func(t *testing.T, head, body, tail string, interim bool) {
		if len(head)+len(body)+len(tail) > 1<<14 {
			return
		}
		compareAnswers(t, http.MethodGet, framesOf(t, func(p *peer) {
			p.check(p.fr.WriteSettings())
			if interim {
				p.headers(1, false, ":status: 103", "link: a")
			}
			p.headers(1, body == "" && tail == "", fields(head)...)
			if body != "" {
				p.data(1, tail == "", body)
			}
			if tail != "" {
				p.headers(1, true, fields(tail)...)
			}
		}))
	})
}

// ourAnswer is what net/http's client gets from a next hop with us between them.
// failure tells that we did not like the answer.
func ourAnswer(t *testing.T, method string, frames []byte) (answer string, failure bool, err error) {
	inBubble(t, testLimits(), answersWith(frames), func(t *testing.T, r *rig) {
		r.handle = func(x *Exchange) {
			up, err := r.pool.Get(t.Context(), x.Started)
			if err != nil {
				t.Error(err)
				return
			}
			if f := x.Forward(up, new(message.Edits)); f != nil {
				failure = true
				x.Abort()
			}
		}
		client := r.client()
		defer client.CloseIdleConnections()
		answer, err = ask(t.Context(), client, method)
	})
	return answer, failure, err
}

func oracleAnswer(t *testing.T, method string, frames []byte) (answer string, err error) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := memnet.Pipe(1 << 20)
		served := make(chan struct{})
		go func() {
			defer close(served)
			answersWith(frames)(theirs)
		}()
		client := &http.Client{Transport: &http.Transport{
			Protocols:   onlyHTTP2(),
			DialContext: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
		}}
		answer, err = ask(t.Context(), client, method)
		client.CloseIdleConnections()
		ours.Close()
		<-served
	})
	return answer, err
}

// answersWith is a next hop that says these frames when it has read a request, and
// then its part is over.
func answersWith(frames []byte) func(net.Conn) {
	return func(nc net.Conn) {
		if _, err := io.CopyN(io.Discard, nc, int64(len(wire.ClientPreface))); err != nil {
			return
		}
		fr := wire.NewFramer(nil, nc)
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				return
			}
			if f.Header().Type == wire.FrameHeaders {
				break
			}
		}
		_, _ = nc.Write(frames)
		if w, ok := nc.(*memnet.Conn); ok {
			_ = w.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, nc)
	}
}

// ask makes one request, and puts what the answer means into one line.
func ask(ctx context.Context, client *http.Client, method string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://a/", http.NoBody)
	if err != nil {
		return "", err
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	// Left to itself, net/http asks for compression, and undoes it.
	req.Header.Set("Accept-Encoding", "identity")
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var body []byte
	if res.StatusCode != http.StatusNotModified { // net/http misses a body of the declared length there
		if body, err = io.ReadAll(res.Body); err != nil {
			return "", err
		}
	}
	h := res.Header.Clone()
	for name := range h {
		lower := strings.ToLower(name)
		if kind := message.KindOf(lower); kind == message.HopByHop || kind == message.Reserved || kind == message.Decision || kind == message.TE {
			h.Del(name)
		}
	}
	if res.StatusCode == http.StatusNoContent {
		h.Del("Content-Length") // forbidden there
	}
	h.Del("Trailer")
	for name := range res.Trailer {
		if lower := strings.ToLower(name); message.KindOf(lower) != message.Plain || message.ForbiddenTrailer(lower) {
			res.Trailer.Del(name)
		}
	}
	return fmt.Sprintf("%d %v %q %v", res.StatusCode, h, body, res.Trailer), nil
}
