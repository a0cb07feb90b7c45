package forward

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
	"github.com/outrider-mesh/outrider/proxy/telemetry"
)

// backend is the next hop: addresses that refuse, and others behind which
// connections are served by script.
type backend struct {
	t *testing.T
	// fails is what a dial of an address fails with; nil serves it.
	fails func(netip.AddrPort) error
	// serve is one connection, the number counts all of them from 0.
	serve func(number int, nc net.Conn, br *bufio.Reader)
	// leaving, where it is true of an address, serves nobody there: its connections
	// end in good order, as those of a sidecar that has begun nothing.
	leaving func(netip.AddrPort) bool

	mu    sync.Mutex
	dials []netip.AddrPort
	wg    sync.WaitGroup
}

func (b *backend) Dial(_ context.Context, addr netip.AddrPort, _ flow.Protocol) (balance.Dialed, error) {
	b.mu.Lock()
	number := len(b.dials)
	b.dials = append(b.dials, addr)
	b.mu.Unlock()
	if b.fails != nil {
		if err := b.fails(addr); err != nil {
			return balance.Dialed{}, err
		}
	}
	ours, theirs := loopback(b.t)
	b.wg.Go(func() {
		defer theirs.Close()
		br := bufio.NewReader(theirs)
		if b.leaving != nil && b.leaving(addr) {
			if req, err := http.ReadRequest(br); err == nil {
				_, _ = io.Copy(io.Discard, req.Body)
			}
			return
		}
		b.serve(number, theirs, br)
	})
	return balance.Dialed{Conn: ours, CleanCloseMeansUnprocessed: b.leaving != nil}, nil
}

// dialed returns how often each address was.
func (b *backend) dialed() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := map[string]int{}
	for _, a := range b.dials {
		m[a.String()]++
	}
	return m
}

func addresses(n int, dial balance.Dialer) []balance.Address {
	all := make([]balance.Address, n)
	for i := range all {
		all[i] = balance.Address{AddrPort: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 80), Dial: dial}
	}
	return all
}

func (b *backend) forwarder(n int, change func(*limits.Limits)) *Forwarder {
	l := limits.Default()
	if change != nil {
		change(&l)
	}
	return &Forwarder{
		Destination: balance.New(balance.Options{
			Name: "payments", Endpoints: addresses(n, b),
			HTTP1: http1.ClientOptions{Limits: l, Buffers: new(http1.Buffers)},
		}),
		Direction: flow.Outbound, Metrics: telemetry.New(), TCPIdleTimeout: time.Minute, ConnectTimeout: time.Minute,
	}
}

// front serves one client through f. What is refused is answered with the reason.
type front struct {
	nc       net.Conn
	br       *bufio.Reader
	requests chan flow.Request
}

func newFront(t *testing.T, b *backend, forward func(context.Context, *http1.Exchange, *flow.Request, *message.Edits) flow.Refusal, release func()) *front {
	t.Helper()
	client, ours := loopback(t)
	fr := &front{nc: client, br: bufio.NewReader(client), requests: make(chan flow.Request, 100)}
	c := http1.NewServer(http1.ServerOptions{Limits: limits.Default(), Buffers: new(http1.Buffers)}).NewConn(ours)
	done := make(chan struct{})
	go func() {
		defer release()
		defer func() { done <- struct{}{} }()
		_ = c.Serve(func(x *http1.Exchange) {
			q := &flow.Request{Conn: new(flow.Connection)}
			q.Refusal = forward(t.Context(), x, q, &message.Edits{})
			if q.Refusal.Reason != flow.None && x.Status == 0 {
				_ = x.Respond(502, nil, []byte(q.Refusal.Reason.String()))
			}
			fr.requests <- *q
		})
		_ = ours.Close()
	}()
	t.Cleanup(func() {
		_ = client.Close()
		<-done
		b.wg.Wait()
	})
	return fr
}

func (b *backend) front(t *testing.T, f *Forwarder) *front {
	t.Helper()
	return newFront(t, b, f.HTTP1, f.Destination.Close)
}

// do sends a request and returns "status body".
func (fr *front) do(t *testing.T, method, body string) (string, flow.Request) {
	t.Helper()
	send(t, fr.nc, fmt.Sprintf("%s / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s", method, len(body), body))
	res, err := http.ReadResponse(fr.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", res.StatusCode, text), <-fr.requests
}

// echo answers every request with its method and body.
func echo(_ int, nc net.Conn, br *bufio.Reader) {
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		text := req.Method + " " + string(body)
		if _, err := fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", len(text), text); err != nil {
			return
		}
	}
}

var errRefused = &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}

func TestAConnectionIsUsedAgain(t *testing.T) {
	b := &backend{t: t, serve: echo}
	fr := b.front(t, b.forwarder(1, nil))
	for i := range 3 {
		got, q := fr.do(t, "POST", "hello")
		if got != "200 POST hello" || q.Upstream != addresses(1, b)[0].AddrPort || q.Retried {
			t.Errorf("request %d: %s, %+v", i, got, q)
		}
	}
	if n := len(b.dials); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestAnotherEndpointIsTried(t *testing.T) {
	bad := addresses(2, never{})[0].AddrPort
	b := &backend{t: t, serve: echo, fails: func(a netip.AddrPort) error {
		if a == bad {
			return errRefused
		}
		return nil
	}}
	f := b.forwarder(2, nil)
	for i := range 20 { // whichever is picked first
		fr := b.front(t, &Forwarder{Destination: f.Destination, Metrics: f.Metrics, Direction: f.Direction})
		if got, q := fr.do(t, "POST", "x"); got != "200 POST x" || q.Upstream == bad {
			t.Errorf("request %d: %s from %v", i, got, q.Upstream)
		}
	}
	if n := b.dialed()[bad.String()]; n > 1 {
		t.Errorf("the endpoint that fails was tried %d times within its pause", n)
	}
}

func TestNoMoreThanThreeEndpointsAreTried(t *testing.T) {
	b := &backend{t: t, fails: func(netip.AddrPort) error { return errRefused }}
	fr := b.front(t, b.forwarder(10, nil))
	if got, _ := fr.do(t, "GET", ""); got != "502 connect" {
		t.Errorf("answer %s", got)
	}
	if len(b.dials) != 3 || len(b.dialed()) != 3 {
		t.Errorf("tried %v", b.dialed())
	}
}

func TestWithoutEndpointsThereIsNoDestination(t *testing.T) {
	b := &backend{t: t}
	fr := b.front(t, b.forwarder(0, nil))
	if got, _ := fr.do(t, "GET", ""); got != "502 no_destination" {
		t.Errorf("answer %s", got)
	}
}

// Our own missing identity is not the endpoint's fault: it is used as soon as we
// have one.
func TestOurOwnFaultEjectsNobody(t *testing.T) {
	var ready atomic.Bool
	b := &backend{t: t, serve: echo, fails: func(netip.AddrPort) error {
		if ready.Load() {
			return nil
		}
		return handshakeFailed(mtls.ErrNoSVID)
	}}
	f := b.forwarder(2, nil)
	fr := b.front(t, f)
	if got, _ := fr.do(t, "GET", ""); got != "502 no_identity" {
		t.Errorf("answer %s", got)
	}
	if len(b.dialed()) != 2 {
		t.Errorf("tried %v", b.dialed())
	}
	ready.Store(true)
	for range 40 { // with a fair choice, both are picked
		if e := f.Destination.Pick(time.Now(), nil); e == nil {
			t.Fatal("nobody to pick")
		}
	}
	if got, _ := fr.do(t, "GET", ""); got != "200 GET " {
		t.Errorf("answer %s", got)
	}
}

func TestADestinationAtItsLimitIsOverloaded(t *testing.T) {
	release := make(chan struct{})
	b := &backend{t: t, serve: func(_ int, nc net.Conn, br *bufio.Reader) {
		_, _ = http.ReadRequest(br)
		<-release
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
	}}
	f := b.forwarder(1, func(l *limits.Limits) { l.UpstreamConnections = 1 })
	one, two := b.front(t, f), b.front(t, f)
	done := make(chan string)
	go func() {
		got, _ := one.do(t, "GET", "")
		done <- got
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for busy := 0; busy == 0; <-tick.C {
		f.Destination.Each(func(e *balance.Endpoint) { busy, _ = e.HTTP1.Stats() })
	}
	if got, _ := two.do(t, "GET", ""); got != "502 overloaded" {
		t.Errorf("answer %s", got)
	}
	close(release)
	if got := <-done; got != "200 " {
		t.Errorf("the first was answered %s", got)
	}
}

// stale answers one request on a connection and closes on the next.
func stale(_ int, nc net.Conn, br *bufio.Reader) {
	if req, err := http.ReadRequest(br); err == nil {
		_, _ = io.Copy(io.Discard, req.Body)
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
		_, _ = http.ReadRequest(br)
	}
}

func TestARequestThatMetAStaleConnectionIsSentOnceMore(t *testing.T) {
	for _, c := range []struct{ method, want string }{
		{"GET", "200 ok"},
		{"PUT", "200 ok"},
		{"DELETE", "200 ok"},
		{"POST", "502 upstream_closed"}, // it may have been done
	} {
		t.Run(c.method, func(t *testing.T) {
			b := &backend{t: t, serve: stale}
			fr := b.front(t, b.forwarder(1, nil))
			fr.do(t, "GET", "")
			got, q := fr.do(t, c.method, "body")
			if got != c.want || q.Retried != strings.HasPrefix(c.want, "200") {
				t.Errorf("%s, retried %t; want %s", got, q.Retried, c.want)
			}
		})
	}
}

// A pod that restarts leaves stale connections and then refuses new ones.
func TestARetryGoesToAnotherEndpointIfTheFirstIsGone(t *testing.T) {
	var gone atomic.Pointer[netip.AddrPort]
	b := &backend{t: t, serve: stale, fails: func(a netip.AddrPort) error {
		if g := gone.Load(); g != nil && *g == a {
			return errRefused
		}
		return nil
	}}
	fr := b.front(t, b.forwarder(2, nil))
	_, first := fr.do(t, "GET", "")
	gone.Store(&first.Upstream)
	for range 5 { // until the stale connection is picked
		got, q := fr.do(t, "GET", "")
		if got != "200 ok" || q.Upstream == first.Upstream {
			t.Fatalf("%s from %v, retried %t", got, q.Upstream, q.Retried)
		}
		if q.Retried {
			break
		}
	}
}

// What a replica that goes away has not begun is begun by another, even what may not
// be done twice; and is not offered around for ever.
func TestWhatOneHasNotBegunAnotherDoes(t *testing.T) {
	first := netip.MustParseAddrPort("10.0.0.1:80")
	tried := 0
	for range 20 { // either may be the first to be tried
		b := &backend{t: t, serve: echo, leaving: func(a netip.AddrPort) bool { return a == first }}
		if got, _ := b.front(t, b.forwarder(2, nil)).do(t, "POST", "body"); got != "200 POST body" {
			t.Error(got)
		}
		tried += b.dialed()[first.String()]
	}
	if tried == 0 {
		t.Error("the one that goes away was never tried")
	}

	alone := &backend{t: t, serve: echo, leaving: func(netip.AddrPort) bool { return true }}
	if got, _ := alone.front(t, alone.forwarder(1, nil)).do(t, "POST", "body"); got != "502 upstream_closed" {
		t.Error(got)
	}
	if n := alone.dialed()[first.String()]; n != maxTries {
		t.Errorf("offered %d times, want %d", n, maxTries)
	}
}

func TestARetryThatCannotConnectSaysSo(t *testing.T) {
	var down atomic.Bool
	b := &backend{t: t, serve: stale, fails: func(netip.AddrPort) error {
		if down.Load() {
			return errRefused
		}
		return nil
	}}
	fr := b.front(t, b.forwarder(1, nil))
	fr.do(t, "GET", "")
	down.Store(true)
	if got, _ := fr.do(t, "GET", ""); got != "502 connect" {
		t.Errorf("answer %s", got)
	}
}

func TestAnUpgradeBecomesATunnel(t *testing.T) {
	b := &backend{t: t, serve: func(_ int, nc net.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err != nil {
			return
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nwelcome")
		_, _ = io.Copy(nc, br)
	}}
	fr := b.front(t, b.forwarder(1, nil))
	send(t, fr.nc, "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
	res, err := http.ReadResponse(fr.br, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("%v, %v", res, err)
	}
	send(t, fr.nc, "hello")
	closeWriteOf(t, fr.nc)
	if got, err := io.ReadAll(fr.br); string(got) != "welcomehello" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if q := <-fr.requests; !q.Upgraded || q.Received != 5 || q.Sent != 12 || q.Refusal.Reason != flow.None {
		t.Errorf("request %+v", q)
	}
}

func TestARouteFollowsAReload(t *testing.T) {
	b := &backend{t: t, serve: echo}
	old, next := b.forwarder(1, nil), b.forwarder(1, nil)
	var latest atomic.Pointer[Forwarder]
	latest.Store(old)
	r := &Route{Latest: latest.Load}
	fr := newFront(t, b, r.HTTP1, next.Destination.Close)
	if got, _ := fr.do(t, "POST", "one"); got != "200 POST one" {
		t.Errorf("before: %s", got)
	}
	latest.Store(next)
	if got, _ := fr.do(t, "POST", "two"); got != "200 POST two" || r.Forwarder() != old {
		t.Errorf("while the old way is open: %s, by the new one: %t", got, r.Forwarder() == next)
	}
	old.Destination.Close()
	if got, _ := fr.do(t, "POST", "three"); got != "200 POST three" || r.Forwarder() != next {
		t.Errorf("after it was closed: %s, by the new one: %t", got, r.Forwarder() == next)
	}
	next.Destination.Close()
	if got, _ := fr.do(t, "GET", ""); got != "502 draining" {
		t.Errorf("when there is no newer one: %s", got)
	}
	latest.Store(nil)
	if got, _ := fr.do(t, "GET", ""); got != "502 no_destination" {
		t.Errorf("when it was taken out: %s", got)
	}
}

func TestDialForOpaqueBytes(t *testing.T) {
	bad := addresses(2, never{})[0].AddrPort
	b := &backend{t: t, serve: func(int, net.Conn, *bufio.Reader) {}, fails: func(a netip.AddrPort) error {
		if a == bad {
			return errRefused
		}
		return nil
	}}
	f := b.forwarder(2, nil)
	for range 10 {
		var c flow.Connection
		nc, e, refusal := f.Dial(t.Context(), &c)
		if nc == nil || refusal.Reason != flow.None || c.Destination == bad || e.Addr != c.Destination {
			t.Fatalf("dialed %v: %+v", c.Destination, refusal)
		}
		_ = nc.Close()
	}
	b.wg.Wait()

	none := &backend{t: t, fails: func(netip.AddrPort) error { return errRefused }}
	var c flow.Connection
	if nc, _, refusal := none.forwarder(1, nil).Dial(t.Context(), &c); nc != nil || refusal.Reason != flow.ConnectFailed {
		t.Errorf("%v, %+v", nc, refusal)
	}
	if nc, _, refusal := none.forwarder(0, nil).Dial(t.Context(), &c); nc != nil || refusal.Reason != flow.NoDestination {
		t.Errorf("%v, %+v", nc, refusal)
	}
}

func TestDialIsBoundedInTime(t *testing.T) {
	f := (&backend{t: t}).forwarder(1, nil)
	f.ConnectTimeout = time.Millisecond
	f.Destination = balance.New(balance.Options{Endpoints: addresses(1, never{})})
	var c flow.Connection
	if nc, _, refusal := f.Dial(t.Context(), &c); nc != nil || refusal.Reason != flow.ConnectTimeout {
		t.Errorf("%v, %+v", nc, refusal)
	}
}

// never connects.
type never struct{}

func (never) Dial(ctx context.Context, _ netip.AddrPort, _ flow.Protocol) (balance.Dialed, error) {
	<-ctx.Done()
	return balance.Dialed{}, ctx.Err()
}
