package kube

import (
	"cmp"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/outrider-mesh/outrider/injector/issue"
)

const (
	// TrustConfigMap is the ConfigMap by which sidecars know their issuer.
	TrustConfigMap = "outrider-trust"
	// TrustKey is what in it holds the roots in PEM.
	TrustKey = "ca.pem"

	// lookAgain is how often every namespace is looked at in any case: who
	// leads may have changed. It costs no request where nothing is to be done.
	lookAgain = 30 * time.Second
)

// TrustOptions are what a [Trust] is made of.
type TrustOptions struct {
	// Client talks to the API server; required.
	Client kubernetes.Interface
	// Signer has the roots; required.
	Signer issue.Signer
	// Leader tells whether this replica may write; nil: it may.
	Leader func() bool
	// Excluded are namespaces that are left alone.
	Excluded []string
	// Log receives what goes wrong; nil: nothing is logged.
	Log *slog.Logger
}

// A Trust publishes the roots of our own trust domain in every namespace, so that
// a pod can be started in any of them.
type Trust struct {
	opts       TrustOptions
	log        *slog.Logger
	namespaces cache.SharedIndexInformer
	configMaps cache.SharedIndexInformer
	queue      workqueue.TypedRateLimitingInterface[string] // of namespaces; made by Run
}

// NewTrust returns one that has written nothing yet.
func NewTrust(opts TrustOptions) (*Trust, error) {
	if opts.Client == nil || opts.Signer == nil {
		return nil, errors.New("trust anchors: no client or no signer")
	}
	if opts.Leader == nil {
		opts.Leader = func() bool { return true }
	}
	t := &Trust{
		opts: opts, log: cmp.Or(opts.Log, slog.New(slog.DiscardHandler)),
		namespaces: informers.NewSharedInformerFactory(opts.Client, 0).Core().V1().Namespaces().Informer(),
		configMaps: informers.NewSharedInformerFactoryWithOptions(opts.Client, 0,
			informers.WithTweakListOptions(named(TrustConfigMap))).Core().V1().ConfigMaps().Informer(),
	}
	_, err := t.namespaces.AddEventHandler(t.onChange(func(o meta.Object) string { return o.GetName() }))
	_, again := t.configMaps.AddEventHandler(t.onChange(func(o meta.Object) string { return o.GetNamespace() }))
	if err = errors.Join(err, again); err != nil {
		return nil, fmt.Errorf("trust anchors: %w", err)
	}
	return t, nil
}

// onChange queues the namespace that an object is about.
func (t *Trust) onChange(namespace func(meta.Object) string) cache.ResourceEventHandlerFuncs {
	queue := func(obj any) {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		if o, ok := obj.(meta.Object); ok {
			t.queue.Add(namespace(o))
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: queue, UpdateFunc: func(_, obj any) { queue(obj) }, DeleteFunc: queue,
	}
}

// Run publishes until ctx ends; then it returns nil. It is called once.
func (t *Trust) Run(ctx context.Context) error {
	t.queue = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	var running sync.WaitGroup
	running.Go(func() { watch(ctx, t.namespaces, t.configMaps) })
	running.Go(func() { t.follow(ctx) })
	if cache.WaitForCacheSync(ctx.Done(), t.namespaces.HasSynced, t.configMaps.HasSynced) {
		for t.next(ctx) {
		}
	}
	running.Wait()
	return nil
}

// follow queues every namespace when the bundles have changed, and ends the queue
// with ctx.
func (t *Trust) follow(ctx context.Context) {
	defer t.queue.ShutDown()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		snap := t.opts.Signer.Current()
		for _, name := range t.namespaces.GetStore().ListKeys() {
			t.queue.Add(name)
		}
		select {
		case <-snap.Superseded():
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// next looks at one namespace; false: the queue has ended.
func (t *Trust) next(ctx context.Context) bool {
	namespace, ended := t.queue.Get()
	if ended {
		return false
	}
	defer t.queue.Done(namespace)
	if err := t.publish(ctx, namespace); err != nil && ctx.Err() == nil {
		t.log.Warn("the roots are not published", "namespace", namespace, "err", err)
		t.queue.AddRateLimited(namespace)
		return true
	}
	t.queue.Forget(namespace)
	return true
}

// publish makes the ConfigMap of a namespace what it should be.
func (t *Trust) publish(ctx context.Context, namespace string) error {
	text := t.anchors()
	if text == "" || !t.opts.Leader() || slices.Contains(t.opts.Excluded, namespace) || !t.alive(namespace) {
		return nil
	}
	there, err := listers.NewConfigMapLister(t.configMaps.GetIndexer()).ConfigMaps(namespace).Get(TrustConfigMap)
	switch {
	case apierrors.IsNotFound(err):
		err = t.create(ctx, namespace, text)
	case err == nil && there.Data[TrustKey] != text:
		fresh := there.DeepCopy()
		fresh.Data = map[string]string{TrustKey: text}
		_, err = t.opts.Client.CoreV1().ConfigMaps(namespace).Update(ctx, fresh, meta.UpdateOptions{})
	}
	if apierrors.HasStatusCause(err, core.NamespaceTerminatingCause) {
		return nil // it has gone since
	}
	return err
}

func (t *Trust) create(ctx context.Context, namespace, text string) error {
	_, err := t.opts.Client.CoreV1().ConfigMaps(namespace).Create(ctx, &core.ConfigMap{
		ObjectMeta: meta.ObjectMeta{
			Name: TrustConfigMap, Namespace: namespace,
			Labels: map[string]string{"app.kubernetes.io/part-of": "outrider"},
		},
		Data: map[string]string{TrustKey: text},
	}, meta.CreateOptions{})
	return err
}

func (t *Trust) alive(namespace string) bool {
	ns, err := listers.NewNamespaceLister(t.namespaces.GetIndexer()).Get(namespace)
	return err == nil && ns.DeletionTimestamp == nil
}

// anchors are the roots of our own trust domain in an order that does not change.
func (t *Trust) anchors() string {
	snap := t.opts.Signer.Current()
	if snap.Bundles == nil {
		return ""
	}
	own, ok := snap.Bundles.Get(t.opts.Signer.TrustDomain())
	if !ok {
		return ""
	}
	sorted := map[string]bool{}
	for _, root := range own.X509Authorities() {
		sorted[string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}))] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(sorted)), "")
}
