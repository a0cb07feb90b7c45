package admin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Bounds of one port.
type bounds struct {
	connections int           // open at a time; the next one waits in the kernel
	requests    int           // answered at a time; the next one gets 503
	head        time.Duration // for a request head
	write       time.Duration // for an answer
	idle        time.Duration // between requests; 0 closes after each
}

var (
	// Probes come one at a time. Without keep-alive a prober that is gone
	// holds nothing.
	healthBounds = bounds{connections: 128, requests: 64, head: 2 * time.Second, write: 5 * time.Second}
	// Scrapers keep a connection for their interval, usually 15 s to 60 s.
	metricsBounds = bounds{connections: 16, requests: 8, head: 5 * time.Second, write: 15 * time.Second, idle: 90 * time.Second}
	// A CPU profile or a trace takes as long as it was asked for, up to maxProfileTime.
	adminBounds = bounds{connections: 16, requests: 8, head: 5 * time.Second, write: 90 * time.Second, idle: 30 * time.Second}
)

// maxHead, in bytes, is what a request head may have: no client of these ports
// sends more than a few hundred. net/http adds 4096 of slack.
const maxHead = 4 << 10

// maxBody, in bytes, is read of a request body, although none is expected.
const maxBody = 4 << 10

// An endpoint is one bound port.
type endpoint struct {
	listener net.Listener
	server   *http.Server
}

func bind(address string, b bounds, h http.Handler, log *slog.Logger) (*endpoint, error) {
	listener, err := net.Listen("tcp", address) //nolint:noctx // binding does not block
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler:           limited(b.requests, h),
		ReadHeaderTimeout: b.head,
		// Not shorter: when the read deadline passes, net/http cancels the
		// context of a request that is still being answered.
		ReadTimeout:    b.head + b.write,
		WriteTimeout:   b.write,
		IdleTimeout:    b.idle,
		MaxHeaderBytes: maxHead,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	server.SetKeepAlivesEnabled(b.idle > 0)
	return &endpoint{newLimitedListener(listener, b.connections), server}, nil
}

func (e *endpoint) addr() net.Addr {
	if e == nil {
		return nil
	}
	return e.listener.Addr()
}

func (e *endpoint) serve() error {
	if err := e.server.Serve(e.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (e *endpoint) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if e.server.Shutdown(ctx) != nil {
		_ = e.server.Close() // all that is left to do with what did not finish
	}
}

func (e *endpoint) close() error {
	if err := e.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// limited answers 503 while as many requests as allowed are being answered.
func limited(requests int, h http.Handler) http.Handler {
	slots := make(chan struct{}, requests)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			h.ServeHTTP(w, r)
		default:
			plainText(w, http.StatusServiceUnavailable, "too many requests at a time")
		}
	})
}

// A limitedListener accepts only while fewer connections than allowed are open.
type limitedListener struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newLimitedListener(l net.Listener, connections int) *limitedListener {
	return &limitedListener{Listener: l, slots: make(chan struct{}, connections), closed: make(chan struct{})}
}

// Accept implements [net.Listener].
func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: conn, release: func() { <-l.slots }}, nil
}

// Close implements [net.Listener].
func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// A limitedConn gives its place back when it is closed, once.
type limitedConn struct {
	net.Conn
	once    sync.Once
	release func()
}

// Close implements [net.Conn].
func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.release)
	return err
}
