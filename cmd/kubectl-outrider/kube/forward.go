package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// DialPod connects to a port of a pod, on the pod's own loopback, as kubectl
// port-forward does: through API server and kubelet. No port is opened on this
// machine, so nobody else on it can come along.
func (c *Client) DialPod(ctx context.Context, namespace, name string, port int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	connection, err := c.upgrade(ctx, c.base.JoinPath(within(core, namespace, "pods"), name, "portforward"))
	if err != nil {
		return nil, fmt.Errorf("reach pod %s/%s: %w", namespace, name, err)
	}
	conn, err := open(connection, port)
	if err != nil {
		_ = connection.Close()
		return nil, fmt.Errorf("reach port %d of pod %s/%s: %w", port, namespace, name, err)
	}
	conn.address = podAddress(net.JoinHostPort(namespace+"/"+name, strconv.Itoa(port)))
	return conn, nil
}

// upgrade makes a connection with streams in it. The library's dialers know no
// context: one that is late is closed when it comes.
func (c *Client) upgrade(ctx context.Context, at *url.URL) (httpstream.Connection, error) {
	dialer, err := c.dialer(at)
	if err != nil {
		return nil, err
	}
	type result struct {
		connection httpstream.Connection
		err        error
	}
	results := make(chan result) // handed over or, if nobody takes it any more, closed
	go func() {
		connection, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		select {
		case results <- result{connection, err}:
		case <-ctx.Done():
			if connection != nil {
				_ = connection.Close()
			}
		}
	}()
	select {
	case r := <-results:
		return r.connection, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// dialer takes a WebSocket, which passes more proxies, and SPDY where the API server
// is older than 1.31 or something on the way knows no WebSockets.
func (c *Client) dialer(at *url.URL) (httpstream.Dialer, error) {
	transport, upgrader, err := spdy.RoundTripperFor(c.config)
	if err != nil {
		return nil, err
	}
	old := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, at)
	current, err := portforward.NewSPDYOverWebsocketDialerForStreaming(at, c.config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialerForStreaming(current, old, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// open opens the pair of streams that stands for one connection to a port.
func open(connection httpstream.Connection, port int) (*podConn, error) {
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	complaints, err := connection.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	_ = complaints.Close() // nothing is written to it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := connection.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	conn := &podConn{Stream: data, connection: connection, complained: make(chan struct{})}
	go conn.listen(complaints)
	return conn, nil
}

// A podConn is one connection to a port of a pod, in streams of another.
type podConn struct {
	httpstream.Stream

	connection httpstream.Connection
	address    podAddress
	// complaint is why the port could not be reached; read it after complained.
	complaint  string
	complained chan struct{}
	closing    sync.Once
	deadline   struct {
		sync.Mutex

		timer *time.Timer
	}
}

// listen ends with the connection.
func (c *podConn) listen(complaints io.Reader) {
	text, _ := io.ReadAll(io.LimitReader(complaints, maxComplaint)) // what was read by then counts
	c.complaint = strings.TrimSpace(string(text))
	close(c.complained)
}

// Read implements [net.Conn]. A port that can't be reached is an empty stream with a
// complaint beside it.
func (c *podConn) Read(p []byte) (int, error) {
	n, err := c.Stream.Read(p)
	if n > 0 || err == nil {
		return n, err
	}
	select {
	case <-c.complained:
		if c.complaint != "" {
			return 0, errors.New(c.complaint)
		}
	case <-time.After(complaintWait):
	}
	return 0, err
}

// Close implements [net.Conn]. The connection carries nothing else.
func (c *podConn) Close() error {
	var err error
	c.closing.Do(func() {
		c.stopTimer()
		_ = c.Reset() // what was not sent yet is of no use
		err = c.connection.Close()
	})
	return err
}

func (c *podConn) stopTimer() {
	c.deadline.Lock()
	defer c.deadline.Unlock()
	if c.deadline.timer != nil {
		c.deadline.timer.Stop()
	}
}

// SetDeadline implements [net.Conn]. Streams know none: when it passes, the
// connection closes.
func (c *podConn) SetDeadline(t time.Time) error {
	c.stopTimer()
	c.deadline.Lock()
	defer c.deadline.Unlock()
	if !t.IsZero() {
		c.deadline.timer = time.AfterFunc(time.Until(t), func() { _ = c.connection.Close() })
	}
	return nil
}

// SetReadDeadline implements [net.Conn].
func (c *podConn) SetReadDeadline(t time.Time) error { return c.SetDeadline(t) }

// SetWriteDeadline implements [net.Conn].
func (c *podConn) SetWriteDeadline(t time.Time) error { return c.SetDeadline(t) }

// LocalAddr implements [net.Conn].
func (c *podConn) LocalAddr() net.Addr { return podAddress("kubectl") }

// RemoteAddr implements [net.Conn].
func (c *podConn) RemoteAddr() net.Addr { return c.address }

// A podAddress is "namespace/pod:port".
type podAddress string

// Network implements [net.Addr].
func (podAddress) Network() string { return "pod" }

// String implements [net.Addr].
func (a podAddress) String() string { return string(a) }
