package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/outrider-mesh/outrider/injector/issue/ca"
	"github.com/outrider-mesh/outrider/injector/issue/keeper"
)

// The Secrets, and what is in them.
const (
	// StateSecret holds the state of the CA.
	StateSecret = "outrider-ca"
	// BroughtSecret holds the CA of the user, if there is one, under the keys
	// tls.crt, tls.key and ca.crt.
	BroughtSecret = "outrider-external-ca" //nolint:gosec // a name
	// RotateAnnotation of the StateSecret asks for a new root when it changes.
	RotateAnnotation = "outrider.dev/rotate-root"

	stateKey = "state.json"
	rootsKey = "ca.crt"
)

// errMissing says what to do: this program may not create what it writes into.
var errMissing = errors.New("it is not there; apply the manifests again, which bring it without content")

// A Store keeps the CA's state in a Secret. It implements [keeper.Store].
type Store struct {
	client    kubernetes.Interface
	namespace string
}

// NewStore returns a store in a namespace, which is the control plane's.
func NewStore(client kubernetes.Interface, namespace string) *Store {
	return &Store{client: client, namespace: namespace}
}

// Load implements [keeper.Store]. It reads from the API server and not from a
// cache: what is written next must be made of what is there.
func (s *Store) Load(ctx context.Context) (keeper.Stored, error) {
	var stored keeper.Stored
	own, err := s.get(ctx, StateSecret)
	if err != nil {
		return stored, err
	}
	if own != nil {
		stored.State, stored.Revision = own.Data[stateKey], own.ResourceVersion
		stored.Request = own.Annotations[RotateAnnotation]
		if len(stored.State) == 0 {
			// Made by hand, to ask for something: it is to be filled. A state
			// that somebody has emptied looks the same, and is lost anyway.
			stored.State = nil
		}
	}
	brought, err := s.get(ctx, BroughtSecret)
	if err != nil {
		return stored, err
	}
	if brought != nil {
		stored.Brought = &ca.BroughtPEM{
			Chain: brought.Data[core.TLSCertKey], Key: brought.Data[core.TLSPrivateKeyKey], Roots: brought.Data[rootsKey],
		}
	}
	return stored, nil
}

// get returns a Secret; nil if there is none.
func (s *Store) get(ctx context.Context, name string) (*core.Secret, error) {
	secret, err := s.client.CoreV1().Secrets(s.namespace).Get(ctx, name, meta.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // none is an answer
	case err != nil:
		return nil, fmt.Errorf("read the Secret %s/%s: %w", s.namespace, name, err)
	}
	return secret, nil
}

// Save implements [keeper.Store]. The API server compares the revision. The Secret
// itself comes with the manifests, without content: Kubernetes can't limit the
// right to create to one name, and who may create Secrets may make tokens of
// service accounts.
func (s *Store) Save(ctx context.Context, state []byte, revision string) error {
	err := s.replace(ctx, state, revision)
	switch {
	case apierrors.IsConflict(err):
		return fmt.Errorf("%w: %w", keeper.ErrConflict, err)
	case err != nil:
		return fmt.Errorf("write the Secret %s/%s: %w", s.namespace, StateSecret, err)
	}
	return nil
}

// replace keeps what others have written into the Secret, annotations above all.
func (s *Store) replace(ctx context.Context, state []byte, revision string) error {
	secret, err := s.get(ctx, StateSecret)
	switch {
	case err != nil:
		return err
	case secret == nil:
		return errMissing
	case secret.ResourceVersion != revision:
		return keeper.ErrConflict
	}
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	secret.Data[stateKey] = state
	_, err = s.client.CoreV1().Secrets(s.namespace).Update(ctx, secret, meta.UpdateOptions{})
	return err
}

// Watch sends to changed, which holds one, whenever one of the Secrets changes,
// until ctx ends. It looks at no other Secret.
func (s *Store) Watch(ctx context.Context, changed chan<- struct{}) error {
	tell := func() {
		select {
		case changed <- struct{}{}:
		default: // it has been told
		}
	}
	var all []cache.SharedIndexInformer
	for _, name := range []string{StateSecret, BroughtSecret} {
		informer := informers.NewSharedInformerFactoryWithOptions(s.client, 0,
			informers.WithNamespace(s.namespace), informers.WithTweakListOptions(named(name))).Core().V1().Secrets().Informer()
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { tell() },
			UpdateFunc: func(any, any) { tell() },
			DeleteFunc: func(any) { tell() },
		})
		// Keys don't stay in memory because of a watch.
		if err = errors.Join(err, informer.SetTransform(withoutData)); err != nil {
			return fmt.Errorf("watch the Secret %s/%s: %w", s.namespace, name, err)
		}
		all = append(all, informer)
	}
	watch(ctx, all...)
	return nil
}

// named selects the objects of one name.
func named(name string) func(*meta.ListOptions) {
	return func(o *meta.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(meta.ObjectNameField, name).String()
	}
}

// watch runs informers until ctx ends, and waits for them.
func watch(ctx context.Context, all ...cache.SharedIndexInformer) {
	var running sync.WaitGroup
	for _, informer := range all {
		running.Go(func() { informer.RunWithContext(ctx) })
	}
	running.Wait()
}

// withoutData keeps what tells Secrets apart, in another object: the one that has
// come may be somebody else's still.
func withoutData(obj any) (any, error) {
	secret, ok := obj.(*core.Secret)
	if !ok {
		return obj, nil
	}
	return &core.Secret{ObjectMeta: meta.ObjectMeta{
		Name: secret.Name, Namespace: secret.Namespace, UID: secret.UID, ResourceVersion: secret.ResourceVersion,
	}}, nil
}
