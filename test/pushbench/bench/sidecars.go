package bench

import (
	"context"
	"fmt"
	"net"
	"sync"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// wants are the services that a sidecar calls.
func wants(k int) []int {
	all := make([]int, 10)
	for m := range all {
		all[m] = (7*k + 101*m) % services
	}
	return all
}

// callers counts the sidecars, of so many, that call a service.
func callers(service, of int) (n int) {
	for k := range of {
		for _, s := range wants(k) {
			if s == service {
				n++
			}
		}
	}
	return n
}

// A fleet is sidecars that are connected. They take what they are sent and acknowledge
// it; what a sidecar does with documents is not done.
type fleet struct {
	address string
	ca      *devca.CA
	server  mtls.Expected

	reading sync.WaitGroup
	mu      sync.Mutex
	sources map[string]identity.Source // by identity
	conns   []*grpc.ClientConn
	failed  error // the first failure
}

func newFleet(address string, ca *devca.CA) (*fleet, error) {
	id, err := spiffeid.FromString(mutate.ControlPlaneID(domain, root))
	if err != nil {
		return nil, err
	}
	server, err := mtls.NewExpected(id)
	return &fleet{address: address, ca: ca, server: server, sources: map[string]identity.Source{}}, err
}

// grow connects the sidecars of pods from one number to another, some at a time.
func (f *fleet) grow(ctx context.Context, from, to int) error {
	const together = 32
	var wg sync.WaitGroup
	next := make(chan int)
	for range together {
		wg.Go(func() {
			for k := range next {
				if err := f.connect(ctx, k); err != nil {
					f.fail(fmt.Errorf("sidecar %d: %w", k, err))
				}
			}
		})
	}
	for k := from; k < to; k++ {
		next <- k
	}
	close(next)
	wg.Wait()
	return f.err()
}

func (f *fleet) connect(ctx context.Context, k int) error {
	src, err := f.source(identityOf(k))
	if err != nil {
		return err
	}
	const buffer = 4 << 10 // thousands of them share one machine
	// Each has an address, as a pod has: one may not hold all connections.
	own := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(k/250), byte(k%250+1))}}
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		return own.DialContext(ctx, "tcp", address)
	}
	cc, err := grpc.NewClient("passthrough:///"+f.address, grpc.WithContextDialer(dial), grpc.WithReadBufferSize(buffer), grpc.WithWriteBufferSize(buffer), grpc.WithDisableServiceConfig(),
		grpc.WithTransportCredentials(credentials.NewTLS(mtls.ClientConfig(src, mtls.ClientOptions{Expected: f.server, NextProtos: []string{"h2"}}))))
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.conns = append(f.conns, cc)
	f.mu.Unlock()
	wire, err := discovery.NewAggregatedDiscoveryServiceClient(cc).DeltaAggregatedResources(ctx, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	node := new(core.Node)
	if err := proto.Unmarshal(push.Node{Namespace: namespaceOf(k), Name: podName(k), Version: "bench"}.Append(nil), node); err != nil {
		return err
	}
	hello := &discovery.DeltaDiscoveryRequest{Node: node, TypeUrl: push.DocumentType, ResourceNamesSubscribe: []string{push.Wildcard}}
	want := &discovery.DeltaDiscoveryRequest{TypeUrl: push.DestinationType}
	for _, i := range wants(k) {
		want.ResourceNamesSubscribe = append(want.ResourceNamesSubscribe, clusterIP(i)+":80")
	}
	for _, r := range []*discovery.DeltaDiscoveryRequest{hello, want} {
		if err := wire.Send(r); err != nil {
			return err
		}
	}
	f.reading.Go(func() { f.read(ctx, wire) })
	return nil
}

func (f *fleet) read(ctx context.Context, wire discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient) {
	for {
		r, err := wire.Recv()
		if err == nil {
			err = wire.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()})
		}
		if err != nil {
			if ctx.Err() == nil {
				f.fail(err)
			}
			return
		}
	}
}

// source is the identity of a service account, which its pods share here.
func (f *fleet) source(id string) (identity.Source, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.sources[id]; s != nil {
		return s, nil
	}
	svid, err := f.ca.Issue(spiffeid.RequireFromString(id), devca.IssueOptions{})
	if err != nil {
		return nil, err
	}
	p := &identity.Publisher{}
	p.Publish(svid, f.ca.Bundles())
	f.sources[id] = p
	return p, nil
}

func (f *fleet) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = err
	}
}

func (f *fleet) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// close ends all connections, after their context has ended.
func (f *fleet) close() {
	for _, cc := range f.conns {
		_ = cc.Close()
	}
	f.reading.Wait()
}
