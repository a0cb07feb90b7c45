package distribute

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/internal/testkit/memnet"
	"github.com/outrider-mesh/outrider/proxy/config/push"
)

const (
	serverID   = "spiffe://example.org/ns/outrider-system/sa/outrider-injector"
	paymentsID = "spiffe://example.org/ns/shop/sa/payments"
	checkoutID = "spiffe://example.org/ns/shop/sa/checkout"
)

// A port takes connections in memory.
type port struct {
	conns  chan net.Conn
	closed chan struct{}
	stop   func()
}

func newPort() *port {
	p := &port{conns: make(chan net.Conn), closed: make(chan struct{})}
	var once bool
	p.stop = func() {
		if !once {
			once = true
			close(p.closed)
		}
	}
	return p
}

func (p *port) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *port) Close() error   { p.stop(); return nil }
func (p *port) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

func (p *port) dial(ctx context.Context, _ string) (net.Conn, error) {
	here, there := memnet.Pipe(1 << 16)
	select {
	case p.conns <- there:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A stage is a server that runs, and all that it needs.
type stage struct {
	t        *testing.T
	ca       *identitytest.CA
	world    *world
	server   *Server
	source   *identitytest.StaticSource
	registry *prometheus.Registry
	port     *port
}

// play runs a test with a server, in a time of its own.
func play(t *testing.T, act func(*stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := &stage{t: t, ca: identitytest.NewCA(t, "example.org"), world: newWorld(), registry: prometheus.NewRegistry(), port: newPort()}
		g.world.ids[payments], g.world.ids[checkout] = paymentsID, checkoutID
		g.source = g.ca.Source(t, serverID)
		metrics, err := NewMetrics(g.registry)
		if err != nil {
			t.Fatal(err)
		}
		g.server = New(Options{Mesh: g.world, Source: g.source, Metrics: metrics, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.server.Run(ctx, g.port) }()
		act(g)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := g.server.Sidecars(); n != 0 {
			t.Errorf("%d sidecars after the end", n)
		}
	})
}

// A guest is a sidecar that is connected.
type guest struct {
	*pupil

	t    *testing.T
	wire discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	bye  func()
}

// arrive connects as somebody and says nothing yet.
func (g *stage) arrive(src identity.Source) *guest {
	g.t.Helper()
	c, err := g.knock(src)
	if err != nil {
		g.t.Fatal(err)
	}
	return c
}

func (g *stage) knock(src identity.Source) (*guest, error) {
	g.t.Helper()
	server, err := mtls.NewExpected(identitytest.ID(g.t, serverID))
	if err != nil {
		g.t.Fatal(err)
	}
	cc, err := grpc.NewClient("passthrough:///memory", grpc.WithContextDialer(g.port.dial), grpc.WithDisableServiceConfig(),
		grpc.WithTransportCredentials(credentials.NewTLS(mtls.ClientConfig(src, mtls.ClientOptions{Expected: server, NextProtos: []string{"h2"}}))))
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(g.t.Context())
	bye := func() { cancel(); _ = cc.Close() }
	g.t.Cleanup(bye)
	wire, err := discovery.NewAggregatedDiscoveryServiceClient(cc).DeltaAggregatedResources(ctx)
	return &guest{pupil: newPupil(), t: g.t, wire: wire, bye: bye}, err
}

// enter connects as a pod with an identity and asks for its documents.
func (g *stage) enter(key Key, id string) *guest {
	g.t.Helper()
	return g.enterAs(key, g.ca.Source(g.t, id))
}

func (g *stage) enterAs(key Key, src identity.Source) *guest {
	g.t.Helper()
	c := g.arrive(src)
	c.say(c.hello(g.node(key)))
	return c
}

// node is who a sidecar says that it is.
func (g *stage) node(key Key) *core.Node {
	g.t.Helper()
	n := new(core.Node)
	if err := proto.Unmarshal(push.Node{Namespace: key.Namespace, Name: key.Name, Version: "1"}.Append(nil), n); err != nil {
		g.t.Fatal(err)
	}
	return n
}

func (c *guest) say(r *discovery.DeltaDiscoveryRequest) {
	c.t.Helper()
	if err := c.wire.Send(r); err != nil {
		c.t.Fatal(err)
	}
}

// hear takes one response and answers it.
func (c *guest) hear() *discovery.DeltaDiscoveryResponse {
	c.t.Helper()
	r, err := c.wire.Recv()
	if err != nil {
		c.t.Fatal(err)
	}
	c.say(c.take(r))
	return r
}

// end waits for the end of the stream, and returns its status.
func (c *guest) end() *status.Status {
	for {
		if _, err := c.wire.Recv(); err != nil {
			return status.Convert(err)
		}
	}
}

// counts gathers the values of counters and gauges, by name and labels.
func (g *stage) counts() map[string]float64 {
	g.t.Helper()
	families, err := g.registry.Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "outrider_injector_push_")
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			all[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

func TestASidecarIsServed(t *testing.T) {
	play(t, func(g *stage) {
		g.world.write(payments, "a", "1")
		g.world.write(checkout, "b", "1")
		c := g.enter(payments, paymentsID)
		c.hear()
		g.world.write(payments, "a", "2")
		g.server.DocumentsChanged(payments, checkout)
		c.hear()
		c.say(c.want(vip.String()))
		c.hear()
		g.world.move(vip, push.Target{Name: "payments.shop:80", Outside: true})
		g.server.TargetsChanged(vip.Addr())
		c.hear()
		synctest.Wait()
		if len(c.documents) != 1 || c.documents["a"] != "2" || c.targets[vip.String()] != `{"name":"payments.shop:80","outside":true}` {
			t.Errorf("%v %v", c.documents, c.targets)
		}
		if got := g.server.Counts([]Revision{{"a", push.Version([]byte("2"))}, {"a", ""}})[0]; got.Have != 1 || got.Refusals != 0 {
			t.Errorf("%+v", got)
		}
		reports := g.server.Reports()
		if len(reports) != 1 || reports[0].ID.String() != paymentsID || reports[0].Version != "1" || reports[0].Held["a"] != push.Version([]byte("2")) {
			t.Errorf("%+v", reports)
		}
		counts := g.counts()
		for name, want := range map[string]float64{
			"sidecars": 1, "refusals_total": 0, "responses_total document": 2, "responses_total destination": 2,
			"answers_total acked document": 2, "answers_total acked destination": 2, "seconds document": 2, "seconds destination": 2,
		} {
			if counts[name] != want {
				t.Errorf("%s is %v, want %v of %v", name, counts[name], want, counts)
			}
		}
		c.bye()
		synctest.Wait()
		if n := g.server.Sidecars(); n != 0 {
			t.Errorf("%d sidecars", n)
		}
	})
}

func TestARefusalIsReported(t *testing.T) {
	play(t, func(g *stage) {
		g.world.write(payments, "a", "bad")
		c := g.enter(payments, paymentsID)
		c.refuse = func(_, text string) bool { return text == "bad" }
		c.hear()
		synctest.Wait()
		got := g.server.Counts([]Revision{{"a", push.Version([]byte("bad"))}, {"b", "1"}})
		if got[0].Have != 0 || got[0].Refusals != 1 || got[0].Refused[payments.String()] != "it does not compile" || got[1].Refusals != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestWhoIsNotServed(t *testing.T) {
	cases := []struct {
		name string
		key  Key
		id   string
		code codes.Code
	}{
		{"another pod's documents", payments, checkoutID, codes.PermissionDenied},
		{"a pod that is not there", Key{"shop", "nobody"}, paymentsID, codes.PermissionDenied},
		{"no pod", Key{}, paymentsID, codes.InvalidArgument},
		{"a path for a pod", Key{"shop", "../x"}, paymentsID, codes.InvalidArgument},
	}
	if len(cases) < 4 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(g *stage) {
				if got := g.enter(c.key, c.id).end(); got.Code() != c.code {
					t.Error(got)
				}
				if n := g.counts()["refusals_total"]; n != 1 {
					t.Errorf("%v refusals", n)
				}
			})
		})
	}
}

// Nobody without an SVID of the mesh gets as far as a request.
func TestStrangersAreNotServed(t *testing.T) {
	play(t, func(g *stage) {
		strangers := identitytest.NewCA(t, "example.org").Source(t, paymentsID)
		mixed := &identity.Publisher{} // knows the server, and is not known to it
		mixed.Publish(strangers.Current().SVID, g.source.Current().Bundles)
		c, err := g.knock(mixed)
		if err == nil {
			c.say(c.hello(g.node(payments)))
			err = c.end().Err()
		}
		if counts := g.counts(); status.Code(err) != codes.Unavailable || counts["refusals_total"] != 0 || counts["responses_total document"] != 0 {
			t.Error(err, counts)
		}
	})
}

// How a stream ends on our side, and what the sidecar is told. Time is that of the
// bubble, which passes when everybody waits.
func TestHowStreamsEnd(t *testing.T) {
	cases := []struct {
		name   string
		act    func(*stage, *guest)
		code   codes.Code
		reason string // label of the metric
	}{
		{"nothing happens for an hour", func(*stage, *guest) {}, codes.Unavailable, "age"},
		{"the pod is deleted", func(g *stage, _ *guest) { g.server.Gone(payments) }, codes.PermissionDenied, "gone"},
		{"it comes again", func(g *stage, _ *guest) { g.enter(payments, paymentsID).hear() }, codes.Unavailable, "replaced"},
		{"its root is no more", func(g *stage, _ *guest) {
			other := identitytest.NewCA(t, "example.org").Source(t, serverID)
			g.source.Publish(g.source.Current().SVID, other.Current().Bundles)
		}, codes.Unavailable, "other"},
		{"it answers nothing", func(g *stage, _ *guest) {
			g.world.write(payments, "a", "2")
			g.server.DocumentsChanged(payments)
		}, codes.Unavailable, "slow"},
		{"it asks without end", func(_ *stage, c *guest) {
			for range requestsPerSecond + 1 {
				c.say(c.want("10.0.0.1:1"))
			}
		}, codes.ResourceExhausted, "hasty"},
		{"it asks for what is not served", func(_ *stage, c *guest) { c.say(c.want("everything")) }, codes.InvalidArgument, ""},
	}
	if len(cases) < 7 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(g *stage) {
				sidecar := g.enter(payments, paymentsID)
				sidecar.hear()
				synctest.Wait()
				c.act(g, sidecar)
				if got := sidecar.end(); got.Code() != c.code {
					t.Error(got)
				}
				synctest.Wait()
				if n := g.counts()["ended_total "+c.reason]; c.reason != "" && n != 1 {
					t.Errorf("ended for %s: %v", c.reason, g.counts())
				}
			})
		})
	}
}

// A connection does not outlive the certificate that opened it.
func TestAStreamEndsWithItsCertificate(t *testing.T) {
	play(t, func(g *stage) {
		src := g.ca.Source(t, paymentsID)
		end := time.Now().Add(5 * time.Minute)
		src.Rotate(t, devca.IssueOptions{NotAfter: end})
		c := g.enterAs(payments, src)
		c.hear()
		c.end()
		if now := time.Now(); now.Before(end) || now.After(end.Add(2*sweepInterval)) {
			t.Errorf("it ended at %v, its certificate at %v", now, end)
		}
	})
}

// Whoever connects and says nothing is cut off.
func TestSilenceEnds(t *testing.T) {
	play(t, func(g *stage) {
		began := time.Now()
		c := g.arrive(g.ca.Source(t, paymentsID))
		if got := c.end(); got.Code() == codes.OK {
			t.Error(got)
		}
		if took := time.Since(began); took < claimTimeout || took > claimTimeout+handshakeTimeout {
			t.Errorf("after %v", took)
		}
	})
}
