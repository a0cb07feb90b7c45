package meshconfig

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/proxy/config"
)

const (
	// again is how often the status is looked at in any case: who leads may have
	// changed, or a write may have failed. Nothing is asked where it is right.
	again = 30 * time.Second
	// writeTimeout bounds one write of the status.
	writeTimeout = 10 * time.Second
)

// Options are what a [Follower] is made of.
type Options struct {
	// Client reads and writes custom resources; required.
	Client dynamic.Interface
	// Fixed is what no MeshConfig can change.
	Fixed Fixed
	// Leader tells whether this replica writes the status; nil: it does.
	Leader func() bool
	// Log is told of changes and problems; nil: nobody is.
	Log *slog.Logger
}

// A Follower knows the MeshConfig that is in force.
type Follower struct {
	opts     Options
	log      *slog.Logger
	informer cache.SharedIndexInformer
	synced   chan struct{} // closed once it is known what the cluster has
	wake     chan struct{} // holds one
	current  atomic.Pointer[config.MeshSpec]
	// seen is the object that was logged last, by UID and generation; written is the
	// one whose status was, by UID and the version before. Both are of the
	// goroutine of Run.
	seen, written string
}

// New returns a follower that has read nothing yet.
func New(opts Options) (*Follower, error) {
	if opts.Client == nil {
		return nil, errors.New("MeshConfig: no client")
	}
	f := &Follower{
		opts: opts, log: cmp.Or(opts.Log, slog.New(slog.DiscardHandler)),
		synced: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	if f.opts.Leader == nil {
		f.opts.Leader = func() bool { return true }
	}
	f.informer = dynamicinformer.NewFilteredDynamicInformer(opts.Client, resource(), "", 0, cache.Indexers{}, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", v1alpha1.MeshConfigName).String()
	}).Informer()
	tell := func() {
		select {
		case f.wake <- struct{}{}:
		default: // it is about to look
		}
	}
	if _, err := f.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { tell() }, UpdateFunc: func(any, any) { tell() }, DeleteFunc: func(any) { tell() },
	}); err != nil {
		return nil, fmt.Errorf("MeshConfig: %w", err)
	}
	return f, nil
}

func resource() schema.GroupVersionResource {
	return v1alpha1.GroupVersion().WithResource("meshconfigs")
}

// Synced is closed once it is known what the cluster has.
func (f *Follower) Synced() <-chan struct{} { return f.synced }

// Spec is what is in force, without defaults.
func (f *Follower) Spec() config.MeshSpec {
	if s := f.current.Load(); s != nil {
		return *s
	}
	return config.MeshSpec{}
}

// Run follows until ctx ends; then it returns nil. It is called once.
func (f *Follower) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { f.informer.RunWithContext(ctx) })
	defer running.Wait()
	if !cache.WaitForCacheSync(ctx.Done(), f.informer.HasSynced) {
		return nil
	}
	ticker := time.NewTicker(again)
	defer ticker.Stop()
	for first := true; ; first = false {
		f.look(ctx)
		if first {
			close(f.synced)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-f.wake:
		case <-ticker.C:
		}
	}
}

// look takes over what is there, and says so in its status.
func (f *Follower) look(ctx context.Context) {
	object := f.object()
	if object == nil {
		if f.current.Swap(nil) != nil {
			f.log.Info("there is no MeshConfig any more; the defaults hold")
		}
		f.seen = ""
		return
	}
	spec, problems := f.opts.Fixed.read(object)
	f.take(object, spec, problems)
	if !f.opts.Leader() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	// Who was overtaken looks again soon: what overtook it is on its way here.
	if err := f.report(ctx, object, problems); err != nil && ctx.Err() == nil && !apierrors.IsConflict(err) {
		f.log.Warn("the status of the MeshConfig is not written", "err", err)
	}
}

// object is the MeshConfig; nil if there is none.
func (f *Follower) object() *unstructured.Unstructured {
	for _, o := range f.informer.GetStore().List() {
		if u, ok := o.(*unstructured.Unstructured); ok && u.GetName() == v1alpha1.MeshConfigName {
			return u
		}
	}
	return nil
}

// take puts a valid document in force, and logs what is new.
func (f *Follower) take(object *unstructured.Unstructured, spec config.MeshSpec, problems []config.Problem) {
	bad := failed(problems)
	if !bad {
		f.current.Store(&spec)
	}
	version := fmt.Sprintf("%s/%d", object.GetUID(), object.GetGeneration())
	if version == f.seen {
		return
	}
	f.seen = version
	if bad {
		f.log.Error("the MeshConfig is not valid; what was in force stays", "problems", fmt.Sprint(problems))
		return
	}
	f.log.Info("MeshConfig", "generation", object.GetGeneration(), "spec", fmt.Sprintf("%+v", spec))
}
