package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/injector/distribute"
	"github.com/outrider-mesh/outrider/injector/reconcile"
	"github.com/outrider-mesh/outrider/injector/reconcile/model"
)

// planeCommand is the argument with which the program is the control plane.
const planeCommand = "control-plane"

// A birth is what the control plane is given at first.
type birth struct{ SVID, Key, Roots []byte }

// A plane is the control plane's process: the parts that hand out documents, over the
// client library's fake API server, which is in its memory too.
type plane struct {
	client    *fake.Clientset
	resources *dynamicfake.FakeDynamicClient
	follower  *reconcile.Follower
	server    *distribute.Server
	registry  *prometheus.Registry
	model     *model.Model
	version   int
	// modelBytes is what informers and model keep of the cluster.
	modelBytes uint64
}

// runPlane is the control plane: it reads orders and answers each, until there are no
// more.
func runPlane(ctx context.Context, streams Streams) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, out := bufio.NewReader(streams.In), json.NewEncoder(streams.Out)
	orders := json.NewDecoder(in)
	var b birth
	if err := orders.Decode(&b); err != nil {
		return err
	}
	src, err := b.source()
	if err != nil {
		return err
	}
	p, err := newPlane(src)
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	before := heap()
	running.Go(func() { _ = p.follower.Run(ctx) })
	<-p.follower.Synced()
	p.modelBytes = heap() - before
	running.Go(func() { _ = p.server.Run(ctx, l) })
	if err := out.Encode(l.Addr().String()); err != nil {
		return err
	}
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		said, err := p.obey(ctx, o)
		if err != nil {
			return fmt.Errorf("%+v: %w", o, err)
		}
		if err := out.Encode(said); err != nil {
			return err
		}
	}
}

func (b birth) source() (identity.Source, error) {
	svid, err := x509svid.Parse(b.SVID, b.Key)
	if err != nil {
		return nil, err
	}
	bundle, err := x509bundle.Parse(svid.ID.TrustDomain(), b.Roots)
	if err != nil {
		return nil, err
	}
	p := &identity.Publisher{}
	p.Publish(svid, x509bundle.NewSet(bundle))
	return p, nil
}

func newPlane(src identity.Source) (*plane, error) {
	kinds := map[schema.GroupVersionResource]string{}
	for _, r := range v1alpha1.Resources() {
		kinds[r.GroupVersionResource()] = r.Kind + "List"
	}
	all, err := objects()
	if err != nil {
		return nil, err
	}
	p := &plane{
		client:    fake.NewSimpleClientset(all...), // NewClientset computes who owns each field, for minutes
		resources: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(apiruntime.NewScheme(), kinds, policies()...),
		registry:  prometheus.NewRegistry(), model: model.New(spiffeid.RequireTrustDomainFromString(domain)),
	}
	metrics, err := distribute.NewMetrics(p.registry)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	p.server = distribute.New(distribute.Options{Mesh: p.model, Source: src, Metrics: metrics, Log: log})
	p.follower, err = reconcile.New(reconcile.Options{
		Client: p.client, Resources: p.resources, Model: p.model, Sink: p.server, Root: root, Log: log, Changed: func(map[model.ID]struct{}) {},
	})
	return p, err
}

// heap is what is in use, after a collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
