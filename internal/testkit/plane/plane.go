// Package plane is a control plane for tests: the real server of documents and
// destinations, over a mesh that the test makes up.
package plane

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/injector/distribute"
	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// ID is that of a control plane.
const ID = "spiffe://example.org/ns/outrider-system/sa/outrider-injector"

// A Key names a workload.
type Key = distribute.Key

// A Plane is a control plane, and what it knows.
type Plane struct {
	t      testing.TB
	source identity.Source

	mu      sync.Mutex
	server  *distribute.Server // nil while it is away
	addr    string
	stop    func()
	ids     map[Key]string
	texts   map[Key]map[string]string // documents by name
	targets map[netip.AddrPort]push.Target
	asked   map[netip.AddrPort]int
}

// New returns a control plane that knows nothing and does not listen.
func New(t testing.TB, source identity.Source) *Plane {
	return &Plane{
		t: t, source: source, ids: map[Key]string{}, texts: map[Key]map[string]string{},
		targets: map[netip.AddrPort]push.Target{}, asked: map[netip.AddrPort]int{},
	}
}

// Start serves on a loopback port, the same as before if there was one, until Stop or
// the end of the test.
func (p *Plane) Start() {
	p.t.Helper()
	addr := p.Addr()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := new(net.ListenConfig).Listen(p.t.Context(), "tcp", addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.Serve(l)
}

// Serve is Start with a listener.
func (p *Plane) Serve(l net.Listener) {
	p.t.Helper()
	metrics, err := distribute.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		p.t.Fatal(err)
	}
	server := distribute.New(distribute.Options{Mesh: p, Source: p.source, Metrics: metrics, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.WithoutCancel(p.t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Run(ctx, l); err != nil {
			p.t.Errorf("control plane: %v", err)
		}
	})
	stop := sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	p.t.Cleanup(stop)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server, p.addr, p.stop = server, l.Addr().String(), stop
}

// Stop ends what Start began.
func (p *Plane) Stop() {
	p.mu.Lock()
	stop := p.stop
	p.server = nil
	p.mu.Unlock()
	stop()
}

// Addr is where it listens, or did.
func (p *Plane) Addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// Server is the one that serves; nil while it is away.
func (p *Plane) Server() *distribute.Server {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server
}

// Know makes a workload known, and tells it its labels.
func (p *Plane) Know(of Key, id string, labels map[string]string) {
	w := push.Workload{Namespace: of.Namespace, Name: of.Name, Labels: labels}
	p.mu.Lock()
	p.ids[of] = id
	p.mu.Unlock()
	p.Write(of, w.WorkloadName(), string(w.Encode()))
}

// Write changes a document of a workload; empty text removes it.
func (p *Plane) Write(of Key, name, text string) {
	p.mu.Lock()
	if p.texts[of] == nil {
		p.texts[of] = map[string]string{}
	}
	if p.texts[of][name] = text; text == "" {
		delete(p.texts[of], name)
	}
	server := p.server
	p.mu.Unlock()
	if server != nil {
		server.DocumentsChanged(of)
	}
}

// Move changes who answers at an address.
func (p *Plane) Move(at netip.AddrPort, t push.Target) {
	p.mu.Lock()
	p.targets[at] = t
	server := p.server
	p.mu.Unlock()
	if server != nil {
		server.TargetsChanged(at.Addr())
	}
}

// Asked is how often it was looked up who answers at an address.
func (p *Plane) Asked(at netip.AddrPort) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[at]
}

// Report is what a workload has; false: it is not connected.
func (p *Plane) Report(of Key) (distribute.Report, bool) {
	server := p.Server()
	if server == nil {
		return distribute.Report{}, false
	}
	for _, r := range server.Reports() {
		if r.Key == of {
			return r, true
		}
	}
	return distribute.Report{}, false
}

// Admit implements distribute.Mesh.
func (p *Plane) Admit(id spiffeid.ID, claim Key) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ids[claim] != id.String() {
		return errors.New("the API server knows no such pod of that account")
	}
	return nil
}

// Documents implements distribute.Mesh.
func (p *Plane) Documents(of Key) (distribute.Set, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var set distribute.Set
	for name, text := range p.texts[of] {
		set = append(set, distribute.NewDocument(name, []byte(text)))
	}
	slices.SortFunc(set, func(a, b *distribute.Resource) int { return strings.Compare(a.Name, b.Name) })
	return set, true
}

// unknownFor is how long it is true that nobody knows an address.
const unknownFor = 10 * time.Second

// Target implements distribute.Mesh.
func (p *Plane) Target(at netip.AddrPort) *distribute.Resource {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[at]++
	t := p.targets[at]
	if !t.Known() {
		return distribute.NewTarget(push.DestinationName(at), t, unknownFor)
	}
	return distribute.NewTarget(push.DestinationName(at), t, 0)
}
