package ads

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/internal/testkit/memnet"
	"github.com/outrider-mesh/outrider/proxy/config/push"
)

const (
	controlPlane = "spiffe://example.org/ns/outrider-system/sa/outrider-injector"
	payments     = "spiffe://example.org/ns/shop/sa/payments"
)

// A listener accepts connections in memory.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (*listener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "memory"} }

// A teacher is a control plane that says what the test tells it to.
type teacher struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer

	t       *testing.T
	ca      *identitytest.CA
	id, own *identitytest.StaticSource

	mu       sync.Mutex
	listener *listener
	dials    []time.Time
	down     bool
	mute     bool // it takes nobody for who they are, nor for anybody else
	streams  chan *lesson
	reading  sync.WaitGroup
}

// A lesson is one stream.
type lesson struct {
	wire     discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	requests chan *discovery.DeltaDiscoveryRequest
	end      chan error
}

func newTeacher(t *testing.T) *teacher {
	t.Helper()
	ca := identitytest.NewCA(t, "example.org")
	c := &teacher{t: t, ca: ca, id: ca.Source(t, controlPlane), own: ca.Source(t, payments), streams: make(chan *lesson, 8)}
	c.serve()
	return c
}

// serve begins to listen, until the test ends.
func (c *teacher) serve() {
	l := &listener{conns: make(chan net.Conn, 8), closed: make(chan struct{})}
	tls := credentials.NewTLS(mtls.ServerConfig(c.id, mtls.ServerOptions{NextProtos: []string{"h2"}}))
	server := grpc.NewServer(grpc.Creds(tls), grpc.WaitForHandlers(true))
	discovery.RegisterAggregatedDiscoveryServiceServer(server, c)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	c.mu.Lock()
	c.listener = l
	c.mu.Unlock()
	c.t.Cleanup(func() {
		server.Stop()
		serving.Wait()
		c.reading.Wait()
	})
}

func (c *teacher) dial(context.Context, string, string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dials = append(c.dials, time.Now())
	if c.down {
		return nil, errors.New("connection refused")
	}
	a, b := memnet.Pipe(1 << 20)
	c.listener.conns <- a
	return b, nil
}

// set changes the teacher's ways.
func (c *teacher) set(f func(*teacher)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c)
}

func (c *teacher) DeltaAggregatedResources(wire discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	l := &lesson{wire: wire, requests: make(chan *discovery.DeltaDiscoveryRequest, 1000), end: make(chan error, 1)}
	first, err := wire.Recv()
	if err != nil {
		return err
	}
	l.requests <- first
	c.mu.Lock()
	mute := c.mute
	c.mu.Unlock()
	if !mute {
		if err := wire.SendHeader(nil); err != nil {
			return err
		}
	}
	ended := make(chan struct{})
	c.reading.Go(func() { // until the handler has returned
		defer close(ended)
		for {
			r, err := wire.Recv()
			if err != nil {
				return
			}
			l.requests <- r
		}
	})
	c.streams <- l
	select {
	case err := <-l.end:
		return err
	case <-wire.Context().Done():
	case <-ended:
	}
	return nil
}

// stream is the next one.
func (c *teacher) stream() *lesson {
	c.t.Helper()
	synctest.Wait()
	select {
	case l := <-c.streams:
		return l
	default:
		c.t.Fatal("there is no new stream")
		return nil
	}
}

// said is what was said since, and no more is coming for now.
func (l *lesson) said() (all []*discovery.DeltaDiscoveryRequest) {
	time.Sleep(requestInterval * 2) //nolint:forbidigo // of a synctest bubble, where it takes no time
	synctest.Wait()
	for {
		select {
		case r := <-l.requests:
			all = append(all, r)
		default:
			return all
		}
	}
}

// tell sends a response.
func (l *lesson) tell(t *testing.T, r *discovery.DeltaDiscoveryResponse) {
	t.Helper()
	if err := l.wire.Send(r); err != nil {
		t.Error(err)
	}
	synctest.Wait()
}

// response is one with documents of these texts, by name.
func response(nonce string, removed []string, texts ...string) *discovery.DeltaDiscoveryResponse {
	r := &discovery.DeltaDiscoveryResponse{TypeUrl: push.DocumentType, Nonce: nonce, RemovedResources: removed}
	for i := 0; i < len(texts); i += 2 {
		r.Resources = append(r.Resources, resource(push.DocumentType, texts[i], texts[i+1]))
	}
	return r
}

func resource(kind, name, text string) *discovery.Resource {
	return &discovery.Resource{Name: name, Version: push.Version([]byte(text)), Resource: &anypb.Any{TypeUrl: kind, Value: []byte(text)}, Ttl: durationpb.New(time.Minute)}
}

// A pupil is the rest of a sidecar.
type pupil struct {
	mu      sync.Mutex
	texts   map[string]string
	sets    int // how often a set was put into force
	targets map[netip.AddrPort]string
	refuse  string // what a text holds that is refused
}

func (p *pupil) Documents(s Set) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	texts := map[string]string{}
	for name, one := range s {
		if string(one.Body) == p.refuse {
			return errors.New("it does not compile")
		}
		texts[name] = string(one.Body)
	}
	p.texts, p.sets = texts, p.sets+1
	return nil
}

func (p *pupil) Destination(at netip.AddrPort, r Resource, ttl time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if string(r.Body) == p.refuse || ttl != time.Minute {
		return errors.New("it can't be called")
	}
	p.targets[at] = string(r.Body)
	return nil
}

// in returns what is in force.
func (p *pupil) in() (map[string]string, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.texts, p.sets
}

// learn starts a client that runs until the test ends.
func (c *teacher) learn(bend ...func(*Options)) (*Client, *pupil) {
	c.t.Helper()
	p := &pupil{targets: map[netip.AddrPort]string{}}
	o := Options{
		Address: "outrider-injector.test:15011", Server: identitytest.ID(c.t, controlPlane), Source: c.own, Dial: c.dial,
		Node: push.Node{Namespace: "shop", Name: "payments-0"}, Handler: p, Log: slog.New(slog.NewTextHandler(c.t.Output(), nil)),
	}
	for _, b := range bend {
		b(&o)
	}
	client, err := New(o)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := client.Run(ctx); err != nil {
			c.t.Error(err)
		}
	})
	c.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	synctest.Wait()
	return client, p
}

func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // of a synctest bubble, where it takes no time
	synctest.Wait()
}
