package kube_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.uber.org/goleak"
	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/outrider-mesh/outrider/injector/issue"
	"github.com/outrider-mesh/outrider/injector/issue/keeper"
	"github.com/outrider-mesh/outrider/injector/issue/kube"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const home = "outrider-system"

var own = spiffeid.RequireFromString("spiffe://example.org/ns/outrider-system/sa/outrider-injector")

// newClient is one whose API server counts revisions of Secrets and compares them,
// as the real one does and the one of client-go doesn't.
func newClient(t *testing.T, objects ...runtime.Object) *fake.Clientset {
	t.Helper()
	client := fake.NewClientset(objects...)
	var revision atomic.Int64
	client.PrependReactor("create", "secrets", func(action ktesting.Action) (bool, runtime.Object, error) {
		secretOf(action).ResourceVersion = strconv.FormatInt(revision.Add(1), 10)
		return false, nil, nil
	})
	client.PrependReactor("update", "secrets", func(action ktesting.Action) (bool, runtime.Object, error) {
		secret := secretOf(action)
		there, err := client.Tracker().Get(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, secret.Namespace, secret.Name)
		if err != nil {
			return true, nil, err
		}
		if there.(*core.Secret).ResourceVersion != secret.ResourceVersion {
			return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, secret.Name, errors.New("it was changed"))
		}
		secret.ResourceVersion = strconv.FormatInt(revision.Add(1), 10)
		return false, nil, nil
	})
	return client
}

func secretOf(action ktesting.Action) *core.Secret {
	return action.(interface{ GetObject() runtime.Object }).GetObject().(*core.Secret)
}

func secret(name string, data map[string]string) *core.Secret {
	s := &core.Secret{ObjectMeta: meta.ObjectMeta{Name: name, Namespace: home}, Data: map[string][]byte{}}
	for k, v := range data {
		s.Data[k] = []byte(v)
	}
	return s
}

func TestAReviewIsWhatTheAPIServerSays(t *testing.T) {
	client := newClient(t)
	var asked authentication.TokenReviewSpec
	answer := authentication.TokenReviewStatus{
		Authenticated: true, Audiences: []string{"outrider"},
		User: authentication.UserInfo{Username: "system:serviceaccount:shop:checkout", Extra: map[string]authentication.ExtraValue{
			"authentication.kubernetes.io/pod-name": {"checkout-1"}, "authentication.kubernetes.io/pod-uid": {"uid-1"},
			"authentication.kubernetes.io/node-name": {"a", "b"},
		}},
	}
	var failure error
	client.PrependReactor("create", "tokenreviews", func(action ktesting.Action) (bool, runtime.Object, error) {
		review := action.(ktesting.CreateAction).GetObject().(*authentication.TokenReview)
		asked = review.Spec
		return true, &authentication.TokenReview{Status: answer}, failure
	})
	r := kube.NewReviewer(client, "outrider")
	got, err := r.Review(t.Context(), "token")
	if err != nil {
		t.Fatal(err)
	}
	if asked.Token != "token" || len(asked.Audiences) != 1 || asked.Audiences[0] != "outrider" {
		t.Errorf("it was asked about %+v", asked)
	}
	if !got.Authenticated || got.Audiences[0] != "outrider" || got.Username != "system:serviceaccount:shop:checkout" ||
		got.Pod != "checkout-1" || got.PodUID != "uid-1" || got.Node != "" {
		t.Errorf("the verdict is %+v", got)
	}
	answer = authentication.TokenReviewStatus{Error: "expired"}
	if got, err = r.Review(t.Context(), "token"); err != nil || got.Authenticated || got.Why != "expired" || got.PodUID != "" {
		t.Errorf("a bad token: %+v, %v", got, err)
	}
	failure = errors.New("away")
	if _, err = r.Review(t.Context(), "secret-token"); !errors.Is(err, failure) || strings.Contains(err.Error(), "secret-token") {
		t.Errorf("no answer: %v", err)
	}
}

func TestTheStateIsInASecretWithItsRevision(t *testing.T) {
	s := kube.NewStore(newClient(t, secret(kube.StateSecret, nil)), home)
	empty, err := s.Load(t.Context())
	if err != nil || empty.State != nil || empty.Revision != "" || empty.Brought != nil {
		t.Fatalf("nothing is in it yet: %+v, %v", empty, err)
	}
	save := func(state, revision string) error { return s.Save(t.Context(), []byte(state), revision) }
	if err := save("one", ""); err != nil {
		t.Fatal(err)
	}
	if err := save("two", ""); !errors.Is(err, keeper.ErrConflict) {
		t.Errorf("made twice: %v", err)
	}
	first, err := s.Load(t.Context())
	if err != nil || string(first.State) != "one" {
		t.Fatalf("%q, %v", first.State, err)
	}
	if err := save("two", first.Revision); err != nil {
		t.Fatal(err)
	}
	if err := save("three", first.Revision); !errors.Is(err, keeper.ErrConflict) {
		t.Errorf("an overtaken write: %v", err)
	}
	if now, _ := s.Load(t.Context()); string(now.State) != "two" {
		t.Errorf("the state is %q", now.State)
	}
}

// It comes with the manifests; who may create Secrets may do more than is good.
func TestTheSecretIsNotCreated(t *testing.T) {
	client := newClient(t)
	s := kube.NewStore(client, home)
	if stored, err := s.Load(t.Context()); err != nil || stored.State != nil {
		t.Fatalf("%+v, %v", stored, err)
	}
	err := s.Save(t.Context(), []byte("one"), "")
	if err == nil || errors.Is(err, keeper.ErrConflict) || !strings.Contains(err.Error(), "apply the manifests again") {
		t.Errorf("got %v", err)
	}
	for _, a := range client.Actions() {
		if a.GetVerb() != "get" {
			t.Errorf("it does %s", a.GetVerb())
		}
	}
}

func TestAWriteThatIsOvertakenInBetweenIsAConflict(t *testing.T) {
	client := newClient(t, secret(kube.StateSecret, nil))
	s := kube.NewStore(client, home)
	if err := s.Save(t.Context(), []byte("one"), ""); err != nil {
		t.Fatal(err)
	}
	client.PrependReactor("update", "secrets", func(ktesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, kube.StateSecret, errors.New("changed"))
	})
	stored, _ := s.Load(t.Context())
	if err := s.Save(t.Context(), []byte("two"), stored.Revision); !errors.Is(err, keeper.ErrConflict) {
		t.Errorf("got %v", err)
	}
}

func TestWhatTheUserWritesIsRead(t *testing.T) {
	state := secret(kube.StateSecret, nil)
	state.Annotations, state.ResourceVersion = map[string]string{kube.RotateAnnotation: "now"}, "7"
	client := newClient(t, state, secret(kube.BroughtSecret, map[string]string{"tls.crt": "c", "tls.key": "k", "ca.crt": "r"}))
	s := kube.NewStore(client, home)
	stored, err := s.Load(t.Context())
	if err != nil || stored.Request != "now" || stored.Brought == nil || stored.State != nil {
		t.Fatalf("%+v, %v", stored, err)
	}
	if b := stored.Brought; string(b.Chain)+string(b.Key)+string(b.Roots) != "ckr" {
		t.Errorf("brought is %+v", b)
	}
	if err := s.Save(t.Context(), []byte("one"), stored.Revision); err != nil {
		t.Fatal(err)
	}
	if again, _ := s.Load(t.Context()); again.Request != "now" || string(again.State) != "one" {
		t.Error("the annotation of the user is gone, or the state")
	}
}

func TestASecretThatCannotBeReadIsAnError(t *testing.T) {
	for _, name := range []string{kube.StateSecret, kube.BroughtSecret} {
		client := newClient(t)
		client.PrependReactor("get", "secrets", func(action ktesting.Action) (bool, runtime.Object, error) {
			if action.(ktesting.GetAction).GetName() != name {
				return false, nil, nil
			}
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, name, errors.New("RBAC"))
		})
		if _, err := kube.NewStore(client, home).Load(t.Context()); err == nil || !strings.Contains(err.Error(), home+"/"+name) {
			t.Errorf("got %v, want an error about %s", err, name)
		}
	}
}

// run runs until the test ends.
func run(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := f(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-deadline:
			t.Fatal("never came true: " + what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// newKeeper is a replica that is told of changes by a watch.
func newKeeper(t *testing.T, client *fake.Clientset, leads bool) *keeper.Keeper {
	t.Helper()
	store, changed := kube.NewStore(client, home), make(chan struct{}, 1)
	k, err := keeper.New(keeper.Options{
		Store: store, ID: own, Changed: changed, Poll: time.Hour, Leader: func() bool { return leads },
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, k.Run)
	run(t, func(ctx context.Context) error { return store.Watch(ctx, changed) })
	return k
}

func roots(s issue.Signer) int {
	snap := s.Current()
	if snap.Bundles == nil {
		return 0
	}
	b, _ := snap.Bundles.Get(s.TrustDomain())
	return len(b.X509Authorities())
}

func TestReplicasShareACAThroughTheSecret(t *testing.T) {
	client := newClient(t, secret(kube.StateSecret, nil))
	leader, other := newKeeper(t, client, true), newKeeper(t, client, false)
	eventually(t, "both have the CA", func() bool { return roots(leader) == 1 && roots(other) == 1 && other.Current().Ready() })
	there, err := client.CoreV1().Secrets(home).Get(t.Context(), kube.StateSecret, meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	there.Annotations = map[string]string{kube.RotateAnnotation: "now"}
	if _, err := client.CoreV1().Secrets(home).Update(t.Context(), there, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both have the next root", func() bool { return roots(leader) == 2 && roots(other) == 2 })
}

func namespace(name string, dying bool) *core.Namespace {
	n := &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: name}}
	if dying {
		n.DeletionTimestamp, n.Finalizers = &meta.Time{Time: time.Unix(1, 0)}, []string{"kubernetes"}
	}
	return n
}

// anchors is how many roots a namespace has been told of; -1: it was told nothing.
func anchors(t *testing.T, client *fake.Clientset, namespace string) int {
	t.Helper()
	cm, err := client.CoreV1().ConfigMaps(namespace).Get(t.Context(), kube.TrustConfigMap, meta.GetOptions{})
	if err != nil {
		return -1
	}
	return strings.Count(cm.Data[kube.TrustKey], "-----BEGIN CERTIFICATE-----")
}

func TestEveryNamespaceIsToldOfTheRoots(t *testing.T) {
	client := newClient(t, secret(kube.StateSecret, nil), namespace("shop", false), namespace("kube-system", false), namespace("dying", true))
	k := newKeeper(t, client, true)
	var leads atomic.Bool
	var refrained atomic.Int64
	leads.Store(true)
	leader := func() bool {
		if !leads.Load() {
			refrained.Add(1)
		}
		return leads.Load()
	}
	trust, err := kube.NewTrust(kube.TrustOptions{Client: client, Signer: k, Excluded: []string{"kube-system"}, Leader: leader})
	if err != nil {
		t.Fatal(err)
	}
	run(t, trust.Run)
	eventually(t, "the namespace is told", func() bool { return anchors(t, client, "shop") == 1 })

	if _, err := client.CoreV1().Namespaces().Create(t.Context(), namespace("late", false), meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one that came later is told", func() bool { return anchors(t, client, "late") == 1 })

	there, _ := client.CoreV1().Secrets(home).Get(t.Context(), kube.StateSecret, meta.GetOptions{})
	there.Annotations = map[string]string{kube.RotateAnnotation: "now"}
	if _, err := client.CoreV1().Secrets(home).Update(t.Context(), there, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are told of the next root", func() bool {
		return anchors(t, client, "shop") == 2 && anchors(t, client, "late") == 2
	})

	if err := client.CoreV1().ConfigMaps("shop").Delete(t.Context(), kube.TrustConfigMap, meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was deleted is written again", func() bool { return anchors(t, client, "shop") == 2 })
	_, err = client.CoreV1().ConfigMaps("late").Update(t.Context(), &core.ConfigMap{
		ObjectMeta: meta.ObjectMeta{Name: kube.TrustConfigMap, Namespace: "late"}, Data: map[string]string{kube.TrustKey: "mine"},
	}, meta.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was changed is written again", func() bool { return anchors(t, client, "late") == 2 })

	for _, name := range []string{"kube-system", "dying"} {
		if n := anchors(t, client, name); n != -1 {
			t.Errorf("%s was told of %d roots", name, n)
		}
	}
	count := func() (n int) {
		for _, a := range client.Actions() {
			if a.GetResource().Resource == "configmaps" && (a.GetVerb() == "create" || a.GetVerb() == "update") {
				n++
			}
		}
		return n
	}
	before := count()
	leads.Store(false)
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), namespace("later", false), meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := client.CoreV1().ConfigMaps("shop").Delete(t.Context(), kube.TrustConfigMap, meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another replica's work is left to it", func() bool { return refrained.Load() >= 2 })
	if n := count() - before; n != 0 {
		t.Errorf("%d writes of a replica that doesn't lead", n)
	}
	leads.Store(true)
	k.Publish(k.Current().SVID, k.Current().Bundles) // whoever leads looks again
	eventually(t, "the new leader has caught up", func() bool { return anchors(t, client, "later") == 2 && anchors(t, client, "shop") == 2 })
	if n := count() - before; n != 2 {
		t.Errorf("%d writes for two namespaces", n)
	}
}

func TestATrustNeedsAClientAndASigner(t *testing.T) {
	if _, err := kube.NewTrust(kube.TrustOptions{}); err == nil {
		t.Error("it is made of nothing")
	}
}
