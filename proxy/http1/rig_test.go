package http1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit/memnet"
	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
	"github.com/outrider-mesh/outrider/proxy/socket"
)

// rig is a proxy in memory: clients that connect, the engine, and an application
// that is called for each connection to it.
type rig struct {
	t      testing.TB
	server *Server
	pool   *Pool
	// app serves one connection; it is closed afterwards.
	app func(nc *memnet.Conn, br *bufio.Reader)
	// dialed is set on what Dial returns.
	dialed Dialed
	// segments bounds what one read of ours moves; nil for no bound.
	segments func() (most func() int)
	// handle is called for every exchange; forward if nil.
	handle func(x *Exchange)

	wg sync.WaitGroup
	mu sync.Mutex
	// dials counts connections to the application.
	dials int
	// failures are those of Forward, in order.
	failures []*message.Failure
	// ends are what Serve returned.
	ends []error
	// toApp are our ends of the connections to the application.
	toApp []*memnet.Conn
	// clients are the clients' ends.
	clients []*memnet.Conn
}

const pipeBytes = 64 << 10

func newRig(t testing.TB, l limits.Limits, app func(*memnet.Conn, *bufio.Reader)) *rig {
	r := &rig{t: t, app: app}
	buffers := new(Buffers)
	r.server = NewServer(ServerOptions{Limits: l, Buffers: buffers, AllowConnect: true})
	r.pool = NewPool(PoolOptions{ClientOptions: ClientOptions{Limits: l, Buffers: buffers}, Dial: r.dial})
	return r
}

func (r *rig) dial(context.Context) (Dialed, error) {
	ours, theirs := memnet.Pipe(pipeBytes)
	if r.segments != nil {
		ours.LimitReads(r.segments())
	}
	r.mu.Lock()
	r.dials++
	r.toApp = append(r.toApp, ours)
	r.mu.Unlock()
	r.wg.Go(func() {
		defer theirs.Close()
		r.app(theirs, bufio.NewReader(theirs))
	})
	d := r.dialed
	d.Conn = ours
	return d, nil
}

// connect returns a client's end, and ours.
func (r *rig) connect() (*memnet.Conn, *ServerConn) {
	theirs, ours := memnet.Pipe(pipeBytes)
	if r.segments != nil {
		ours.LimitReads(r.segments())
	}
	c := r.server.NewConn(ours)
	r.mu.Lock()
	r.clients = append(r.clients, theirs)
	r.mu.Unlock()
	r.wg.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				r.ended(fmt.Errorf("panic: %v", v))
			}
		}()
		r.ended(c.Serve(func(x *Exchange) {
			if r.handle != nil {
				r.handle(x)
				return
			}
			r.forward(x)
		}))
	})
	return theirs, c
}

func (r *rig) ended(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends = append(r.ends, err)
}

// forward is what a stage of the proxy does with an exchange.
func (r *rig) forward(x *Exchange) {
	if x.Err != nil {
		if isTimeout(x.Err) {
			_ = x.Respond(http.StatusRequestTimeout, nil, nil)
		} else {
			_ = x.Respond(http.StatusBadRequest, nil, []byte(x.Err.Error()))
		}
		return
	}
	up, err := r.pool.Get(r.t.Context(), x.Started)
	if err != nil {
		_ = x.Respond(http.StatusServiceUnavailable, nil, []byte(err.Error()))
		return
	}
	upgraded, f := x.Forward(up, &message.Edits{})
	r.note(f)
	if f != nil && x.Retryable(f) {
		x.Rewind()
		if up, err = r.pool.Fresh(r.t.Context()); err == nil {
			upgraded, f = x.Forward(up, &message.Edits{})
			r.note(f)
		}
	}
	switch {
	case upgraded:
		r.splice(x, up)
	case f != nil && f.Unsent && f.Side == message.ClientSide && isTimeout(f.Err):
		_ = x.Respond(http.StatusRequestTimeout, nil, nil)
	case f != nil && f.Unsent && f.Side == message.ClientSide:
		_ = x.Respond(http.StatusBadRequest, nil, []byte(f.Err.Error()))
	case f != nil && f.Unsent && isTimeout(f.Err):
		_ = x.Respond(http.StatusGatewayTimeout, nil, nil)
	case f != nil && f.Unsent:
		_ = x.Respond(http.StatusBadGateway, nil, []byte(f.Err.Error()))
	}
}

func (r *rig) note(f *message.Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f != nil {
		r.failures = append(r.failures, f)
	}
}

// splice joins two ends after an upgrade.
func (r *rig) splice(x *Exchange, up *ClientConn) {
	down, fromClient := x.Hijack()
	upstream, fromUpstream := up.Hijack()
	defer up.Close()
	defer down.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = upstream.Write(fromClient)
		_, _ = io.Copy(upstream, down)
		_ = socket.CloseWrite(upstream)
	})
	_, _ = down.Write(fromUpstream)
	_, _ = io.Copy(down, upstream)
	_ = socket.CloseWrite(down)
	wg.Wait()
}

// failure is the only failure of Forward there was.
func (r *rig) failure() *message.Failure {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failures) != 1 {
		r.t.Fatalf("%d failures, want 1: %v", len(r.failures), r.failures)
	}
	return r.failures[0]
}

func (r *rig) dialCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dials
}

// close ends the pool and waits for everything that was started.
func (r *rig) close() {
	r.mu.Lock()
	clients := r.clients
	r.mu.Unlock()
	for _, c := range clients {
		c.Close()
	}
	r.pool.Close()
	r.wg.Wait()
	if busy, idle := r.pool.Stats(); busy != 0 || idle != 0 {
		r.t.Errorf("%d busy and %d idle connections are left", busy, idle)
	}
}

// say writes, and fails the test if it can't.
func say(t testing.TB, nc *memnet.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(nc, s); err != nil {
		t.Errorf("writing %.40q: %v", s, err)
	}
}

// hear reads one response, with its body, and an error if it is not complete.
func hear(br *bufio.Reader, method string) (*http.Response, string, error) {
	res, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return res, string(body), err
}

// want reads one response and compares its status and body.
func want(t testing.TB, br *bufio.Reader, status int, body string) *http.Response {
	t.Helper()
	res, got, err := hear(br, http.MethodGet)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	if res.StatusCode != status || got != body {
		t.Fatalf("answer %d %q, want %d %q", res.StatusCode, got, status, body)
	}
	return res
}

// wantEnd reads to the end, which must be in order and have nothing before it.
func wantEnd(t testing.TB, br *bufio.Reader) {
	t.Helper()
	if rest, err := io.ReadAll(br); err != nil || len(rest) > 0 {
		t.Errorf("%q and then %v, want an orderly end", rest, err)
	}
}

// echoApp answers each request with its method, target and body.
func echoApp(nc *memnet.Conn, br *bufio.Reader) {
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		answer := fmt.Sprintf("%s %s %s", req.Method, req.RequestURI, body)
		if _, err := fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer); err != nil {
			return
		}
	}
}

// saysOnce reads a head and answers with s.
func saysOnce(s string) func(*memnet.Conn, *bufio.Reader) {
	return func(nc *memnet.Conn, br *bufio.Reader) {
		if readHead(br) != nil {
			return
		}
		_, _ = io.WriteString(nc, s)
	}
}

var errNoEnd = errors.New("no end of the head")

// readHead reads up to and with an empty line.
func readHead(br *bufio.Reader) error {
	for {
		l, err := br.ReadString('\n')
		if err != nil {
			return errNoEnd
		}
		if strings.TrimRight(l, "\r\n") == "" {
			return nil
		}
	}
}
