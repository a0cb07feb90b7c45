package proxy

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit/plane"
	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/config/push"
	"github.com/outrider-mesh/outrider/proxy/forward"
)

// asker starts a sidecar that asks a control plane, until the test ends.
func asker(t testing.TB, bend func(*Options)) (*Sidecar, *plane.Plane) {
	t.Helper()
	const who = "spiffe://example.org/ns/shop/sa/payments"
	ca := identitytest.NewCA(t, "example.org")
	p := plane.New(t, ca.Source(t, plane.ID))
	p.Know(plane.Key{Namespace: "shop", Name: "payments-0"}, who, map[string]string{zoneLabel: "a"})
	p.Start()
	c, _, err := config.ParseSidecar("s.yaml", fmt.Appendf(nil, `
apiVersion: outrider.dev/v1alpha1
kind: Sidecar
metadata: {name: payments, namespace: shop}
spec:
  identity: {workloadAPI: {socket: "unix:///unused"}}
  policies: {controlPlane: {address: %q, spiffeID: %q, cache: %q}}
  inbound: [{name: in, listen: "127.0.0.1:0", forward: "127.0.0.1:1"}]
  admin: {listen: "off"}
  metrics: {listen: "off"}
  health: {listen: "off"}
`, p.Addr(), plane.ID, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Config: c, PodName: "payments-0", Source: ca.Source(t, who), Stdout: io.Discard, Stderr: io.Discard,
		Log: slog.New(slog.DiscardHandler), SweepInterval: 10 * time.Millisecond,
	}
	bend(&o)
	s, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx, nil); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	<-s.Ready()
	return s, p
}

func vip(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 97, byte(i >> 8), byte(i)}), 80)
}

// service has n endpoints in two zones.
func service(n int) push.Target {
	t := push.Target{Name: "ledger.shop:80", Protocol: config.HTTP}
	for z := range 2 {
		g := push.Group{ID: "spiffe://example.org/ns/shop/sa/ledger", Zone: string(rune('a' + z))}
		for i := z; i < n; i += 2 {
			g.At = append(g.At, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 8080))
		}
		if len(g.At) > 0 {
			t.Endpoints = append(t.Endpoints, g)
		}
	}
	return t
}

func TestAThousandDestinationsAreForgotten(t *testing.T) {
	s, p := asker(t, func(o *Options) { o.DestinationIdle = 500 * time.Millisecond })
	const many = 1000
	for i := range many {
		p.Move(vip(i), service(2))
	}
	find := s.traffic.routes.Load().find
	var calls sync.WaitGroup
	for i := range many {
		calls.Go(func() {
			if way := find(vip(i)); way.Forward == nil || way.Service != "ledger.shop:80" || way.Forward.Destination.Len() != 2 {
				t.Errorf("%d: %+v", i, way)
			}
		})
	}
	calls.Wait()
	await(t, "nothing is known any more", func() bool { return s.control.book.Len() == 0 })
	// The control plane has been told: what changes is not sent any more.
	asked := p.Asked(vip(0))
	await(t, "nobody wants to know", func() bool {
		p.Move(vip(0), service(3))
		again := p.Asked(vip(0))
		quiet := again == asked
		asked = again
		return quiet
	})
	if way := find(vip(0)); way.Forward == nil || way.Forward.Destination.Len() != 3 {
		t.Errorf("%+v", way)
	}
}

// await returns when holds does.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-limit.C:
			t.Fatalf("never came true: %s", what)
		case <-tick.C:
		}
	}
}

func TestEndpointsThatStayAreTheSame(t *testing.T) {
	s, p := asker(t, func(*Options) {})
	p.Move(vip(0), service(4))
	find := s.traffic.routes.Load().find
	before := all(find(vip(0)).Forward)
	p.Move(vip(0), service(3))
	await(t, "one has gone", func() bool { return find(vip(0)).Forward.Destination.Len() == 3 })
	for addr, e := range all(find(vip(0)).Forward) {
		if before[addr] != e {
			t.Errorf("%s is another", addr)
		}
	}
	if zone := s.zone(); zone != "a" {
		t.Errorf("zone %q", zone)
	}
	if way := find(vip(1)); way.Forward != nil || way.Unresolved {
		t.Errorf("%+v", way)
	}
	dump := fmt.Sprint(s.control.dump())
	for _, has := range []string{"connected:true", "ledger.shop:80", "workload:shop/payments-0"} {
		if !strings.Contains(dump, has) {
			t.Errorf("no %q in %s", has, dump)
		}
	}
}

func all(f *forward.Forwarder) map[netip.AddrPort]*balance.Endpoint {
	m := map[netip.AddrPort]*balance.Endpoint{}
	f.Destination.Each(func(e *balance.Endpoint) { m[e.Addr] = e })
	return m
}

// The memory of one endpoint of a destination that was discovered, and the time to find
// it again.
func BenchmarkDiscovered(b *testing.B) {
	s, p := asker(b, func(*Options) {})
	const endpoints = 10_000
	p.Move(vip(0), service(endpoints))
	find := s.traffic.routes.Load().find
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	if way := find(vip(0)); way.Forward == nil || way.Forward.Destination.Len() != endpoints {
		b.Fatalf("%+v", way)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportAllocs()
	for b.Loop() {
		find(vip(0))
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/endpoints, "B/endpoint")
}
