package reconcile

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	coreinformers "k8s.io/client-go/informers/core/v1"
	discoveryinformers "k8s.io/client-go/informers/discovery/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/injector/distribute"
	"github.com/outrider-mesh/outrider/injector/reconcile/model"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// gather is how long changes are gathered from the first one on. Kubernetes makes a
// handful for a pod that becomes ready, within milliseconds.
const gather = 20 * time.Millisecond

// A Sink is told whom changes affect. It does not wait for them.
type Sink interface {
	DocumentsChanged(of ...distribute.Key)
	TargetsChanged(at ...netip.Addr)
	Gone(keys ...distribute.Key)
}

// Options configure a [Follower]. Every field is required.
type Options struct {
	// Client and Resources ask the API server.
	Client    kubernetes.Interface
	Resources dynamic.Interface
	// Model is what is kept.
	Model *model.Model
	// Sink is told of changes after the model has them.
	Sink Sink
	// Changed is told which documents have, or concern others than before.
	Changed func(map[model.ID]struct{})
	// Root is the namespace whose policies are about the whole mesh.
	Root string
	// Log gets a line once everything has been read.
	Log *slog.Logger
}

// A Follower keeps a model as the API server has it.
type Follower struct {
	opts      Options
	informers []cache.SharedIndexInformer
	documents map[model.Kind]cache.Store
	handlers  []cache.ResourceEventHandlerRegistration
	pending   pending
	synced    chan struct{}
}

// New returns a follower that has asked nothing yet.
func New(opts Options) (*Follower, error) {
	f := &Follower{opts: opts, documents: map[model.Kind]cache.Store{}, pending: newPending(), synced: make(chan struct{})}
	c := opts.Client
	all := []cache.SharedIndexInformer{
		coreinformers.NewPodInformer(c, metav1.NamespaceAll, 0, cache.Indexers{}),
		coreinformers.NewServiceInformer(c, metav1.NamespaceAll, 0, cache.Indexers{}),
		coreinformers.NewNodeInformer(c, 0, cache.Indexers{}),
		discoveryinformers.NewEndpointSliceInformer(c, metav1.NamespaceAll, 0, cache.Indexers{}),
	}
	for _, r := range v1alpha1.Resources() {
		// There is one MeshConfig that counts, and no right to see others.
		only := func(*metav1.ListOptions) {}
		if r.Kind == config.KindMeshConfig {
			only = func(o *metav1.ListOptions) {
				o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, v1alpha1.MeshConfigName).String()
			}
		}
		i := dynamicinformer.NewFilteredDynamicInformer(opts.Resources, r.GroupVersionResource(), metav1.NamespaceAll, 0, cache.Indexers{}, only).Informer()
		f.documents[model.Kind(r.Kind)] = i.GetStore()
		all = append(all, i)
	}
	for _, i := range all {
		if err := f.follow(i); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *Follower) follow(i cache.SharedIndexInformer) error {
	if err := i.SetTransform(trim(f.opts.Root)); err != nil {
		return err
	}
	h, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { f.note(o, false) },
		UpdateFunc: func(_, o any) { f.note(o, false) },
		DeleteFunc: func(o any) { f.note(o, true) },
	})
	f.informers, f.handlers = append(f.informers, i), append(f.handlers, h)
	return err
}

// note takes an object as an informer hands it over.
func (f *Follower) note(o any, deleted bool) {
	if d, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = d.Obj
	}
	t, ok := o.(*trimmed)
	if !ok {
		return
	}
	c := model.Change{ID: t.id, Object: t.is}
	if deleted {
		c.Object = nil
	}
	f.pending.add(c)
}

// Synced is closed once everything has been read.
func (f *Follower) Synced() <-chan struct{} { return f.synced }

// Status is that of a document, as far as is known here.
func (f *Follower) Status(id model.ID) (v1alpha1.PolicyStatus, bool) {
	store := f.documents[id.Kind]
	if store == nil {
		return v1alpha1.PolicyStatus{}, false
	}
	key := id.Name
	if id.Namespace != "" {
		key = id.Namespace + "/" + id.Name
	}
	o, ok, err := store.GetByKey(key)
	t, is := o.(*trimmed)
	if err != nil || !ok || !is || t.status == nil {
		return v1alpha1.PolicyStatus{}, false
	}
	return *t.status, true
}

// Run follows until ctx ends; then it returns nil. It is called once.
func (f *Follower) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	for _, i := range f.informers {
		running.Go(func() { i.RunWithContext(ctx) })
	}
	var read []cache.InformerSynced
	for _, h := range f.handlers {
		read = append(read, h.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), read...) {
		return nil
	}
	began := time.Now()
	f.apply()
	close(f.synced)
	f.opts.Log.Info("the cluster has been read", "sidecars", f.opts.Model.Sidecars(), "documents", len(f.opts.Model.List()), "took", time.Since(began).Round(time.Millisecond))
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.pending.wake:
		}
		if !pause(ctx, gather) {
			return nil
		}
		f.apply()
	}
}

// apply hands the model what has been gathered, and says whom that affects.
func (f *Follower) apply() {
	changes := f.pending.take()
	if len(changes) == 0 {
		return
	}
	a := f.opts.Model.Apply(changes...)
	if len(a.Gone) > 0 {
		f.opts.Sink.Gone(slices.Collect(maps.Keys(a.Gone))...)
	}
	if len(a.Workloads) > 0 {
		f.opts.Sink.DocumentsChanged(slices.Collect(maps.Keys(a.Workloads))...)
	}
	if len(a.Addrs) > 0 {
		f.opts.Sink.TargetsChanged(slices.Collect(maps.Keys(a.Addrs))...)
	}
	if len(a.Documents) > 0 {
		f.opts.Changed(a.Documents)
	}
}

// pause tells whether the context is still good after d.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// pending is what has changed since somebody looked: of each object the last word, so
// it is never larger than the cluster.
type pending struct {
	wake chan struct{} // has room for one: there is something

	mu  *sync.Mutex
	all map[model.ID]model.Change
}

func newPending() pending {
	return pending{wake: make(chan struct{}, 1), mu: new(sync.Mutex), all: map[model.ID]model.Change{}}
}

func (p *pending) add(c model.Change) {
	p.mu.Lock()
	p.all[c.ID] = c
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// take returns all of it.
func (p *pending) take() []model.Change {
	p.mu.Lock()
	taken := p.all
	p.all = map[model.ID]model.Change{}
	p.mu.Unlock()
	return slices.Collect(maps.Values(taken))
}
