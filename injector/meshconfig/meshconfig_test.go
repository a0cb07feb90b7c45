package meshconfig_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/injector/meshconfig"
	"github.com/outrider-mesh/outrider/proxy/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func resource() schema.GroupVersionResource {
	return v1alpha1.GroupVersion().WithResource("meshconfigs")
}

// document is a MeshConfig of a generation.
func document(generation int64, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion().String(), "kind": "MeshConfig",
		"metadata": map[string]any{"name": "mesh", "uid": "1", "generation": generation, "resourceVersion": strconv.FormatInt(generation, 10)},
		"spec":     spec,
	}}
}

// world is a cluster and one who follows it.
type world struct {
	t      *testing.T
	client *dynamicfake.FakeDynamicClient
	*meshconfig.Follower

	leads atomic.Bool
	log   bytes.Buffer // read once it has stopped
	stop  func()
}

func start(t *testing.T, leads bool, objects ...runtime.Object) *world {
	t.Helper()
	w := &world{t: t, client: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{resource(): "MeshConfigList"}, objects...)}
	w.leads.Store(leads)
	// The real API server compares versions, the fake one doesn't.
	w.client.PrependReactor("update", "meshconfigs", func(a k8stesting.Action) (bool, runtime.Object, error) {
		there, err := w.client.Tracker().Get(resource(), "", "mesh")
		if a.GetSubresource() != "status" || err != nil {
			return false, nil, err
		}
		ours := a.(k8stesting.UpdateAction).GetObject().(metav1.Object).GetResourceVersion()
		if ours != there.(metav1.Object).GetResourceVersion() {
			return true, nil, apierrors.NewConflict(resource().GroupResource(), "mesh", errors.New("it was changed"))
		}
		return false, nil, nil
	})
	var err error
	w.Follower, err = meshconfig.New(meshconfig.Options{
		Client: w.client, Leader: w.leads.Load, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Fixed: meshconfig.Fixed{TrustDomain: "example.org", Provider: config.ProviderMeshCA},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	w.stop = func() { cancel(); running.Wait() }
	t.Cleanup(w.stop)
	<-w.Synced()
	return w
}

func (w *world) write(object *unstructured.Unstructured) {
	w.t.Helper()
	if _, err := w.client.Resource(resource()).Update(w.t.Context(), object, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) status() v1alpha1.PolicyStatus {
	w.t.Helper()
	object, err := w.client.Tracker().Get(resource(), "", "mesh")
	if err != nil {
		w.t.Fatal(err)
	}
	var m v1alpha1.MeshConfig
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.(*unstructured.Unstructured).Object, &m); err != nil {
		w.t.Fatal(err)
	}
	return m.Status
}

func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	deadline := time.After(time.Minute)
	for !holds() {
		select {
		case <-deadline:
			w.t.Fatal("never came true: " + what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// accepted is what the status says of a generation.
func accepted(s v1alpha1.PolicyStatus, generation int64, status metav1.ConditionStatus) bool {
	return s.ObservedGeneration == generation && len(s.Conditions) == 1 && s.Conditions[0].Type == v1alpha1.Accepted &&
		s.Conditions[0].Status == status && s.Conditions[0].ObservedGeneration == generation
}

func TestWhatIsWrittenHoldsAndTheStatusSaysSo(t *testing.T) {
	w := start(t, true, document(1, map[string]any{"mtls": "Permissive", "trustDomain": "example.org"}))
	if got := w.Spec().MTLS; got != config.Permissive {
		t.Errorf("it is %q once it is known what is there", got)
	}
	w.eventually("it is accepted, with a warning", func() bool {
		s := w.status()
		return accepted(s, 1, metav1.ConditionTrue) && len(s.Lint) == 1 && s.Lint[0].Severity == v1alpha1.SeverityWarning && s.Lint[0].Field == "spec.mtls"
	})
	w.write(document(2, map[string]any{"mtls": "Strict"}))
	w.eventually("the next one holds", func() bool { return w.Spec().MTLS == config.Strict && accepted(w.status(), 2, metav1.ConditionTrue) })
	if err := w.client.Resource(resource()).Delete(t.Context(), "mesh", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("without any the defaults hold", func() bool { return w.Spec() == config.MeshSpec{} })
}

// What can't be used changes nothing, whatever is wrong with it.
func TestWhatIsNotValidChangesNothing(t *testing.T) {
	cases := map[string]map[string]any{
		"spec.trustDomain":       {"trustDomain": "example.net"},
		"spec.identity.provider": {"identity": map[string]any{"provider": "WorkloadAPI"}},
		"spec.identity.driver":   {"identity": map[string]any{"driver": "csi.example"}},
		"spec.mtls":              {"mtls": "Sometimes"},
		"spec.colour":            {"colour": "red"},
	}
	if len(cases) < 5 {
		t.Errorf("%d cases", len(cases))
	}
	for field, spec := range cases {
		t.Run(field, func(t *testing.T) {
			w := start(t, true, document(1, map[string]any{"mtls": "Permissive"}))
			w.write(document(2, spec))
			w.eventually("it is refused", func() bool { return accepted(w.status(), 2, metav1.ConditionFalse) })
			s := w.status()
			if len(s.Lint) == 0 || s.Lint[0].Severity != v1alpha1.SeverityError || !strings.HasPrefix(s.Lint[0].Field, field) || s.Lint[0].Code == "" ||
				!strings.Contains(s.Conditions[0].Message, field) {
				t.Errorf("the status is %+v", s)
			}
			if got := w.Spec().MTLS; got != config.Permissive {
				t.Errorf("what was in force is gone: %q", got)
			}
			w.write(document(3, map[string]any{"mtls": "Strict"}))
			w.eventually("the next valid one holds", func() bool { return w.Spec().MTLS == config.Strict && accepted(w.status(), 3, metav1.ConditionTrue) })
		})
	}
}

// A status that is right is not written again, and what others have written into it
// stays.
func TestTheStatusIsWrittenOnce(t *testing.T) {
	d := document(1, map[string]any{"mtls": "Strict"})
	d.Object["status"] = map[string]any{"revision": "abc", "sidecars": map[string]any{"total": int64(7)}, "conditions": []any{map[string]any{
		"type": v1alpha1.Programmed, "status": "True", "reason": "Complete", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
	}}}
	w := start(t, true, d)
	w.eventually("it is written", func() bool { return len(w.status().Conditions) == 2 })
	if s := w.status(); s.Revision != "abc" || s.Sidecars.Total != 7 {
		t.Errorf("what others wrote is gone: %+v", s)
	}
	w.write(document(2, map[string]any{"mtls": "Strict"}))
	w.eventually("it is written again where it is gone", func() bool { return accepted(w.status(), 2, metav1.ConditionTrue) })
	w.stop()
	var writes int
	for _, a := range w.client.Actions() {
		if a.Matches("update", "meshconfigs") && a.GetSubresource() == "status" {
			writes++
		}
	}
	if writes != 2 {
		t.Errorf("%d writes", writes)
	}
}

func TestOnlyTheLeaderWrites(t *testing.T) {
	w := start(t, false, document(1, map[string]any{"mtls": "Permissive"}))
	if w.Spec().MTLS != config.Permissive {
		t.Error("one who doesn't lead does not follow")
	}
	w.leads.Store(true)
	w.write(document(2, map[string]any{"mtls": "Strict"}))
	w.eventually("the new leader writes", func() bool { return accepted(w.status(), 2, metav1.ConditionTrue) })
	w.stop()
	if n := strings.Count(w.log.String(), "msg=MeshConfig"); n != 2 {
		t.Errorf("%d lines in the log for two generations:\n%s", n, w.log.String())
	}
}

// A status that can't be written is not the end of following.
func TestAFailedWriteIsLogged(t *testing.T) {
	w := start(t, true)
	w.client.PrependReactor("update", "meshconfigs", func(a k8stesting.Action) (bool, runtime.Object, error) {
		return a.GetSubresource() == "status", nil, errors.New("away")
	})
	if _, err := w.client.Resource(resource()).Create(t.Context(), document(1, map[string]any{"mtls": "Permissive"}), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("it holds all the same", func() bool { return w.Spec().MTLS == config.Permissive })
	w.write(document(2, map[string]any{"mtls": "Strict"}))
	w.eventually("so does the next", func() bool { return w.Spec().MTLS == config.Strict })
	w.stop()
	if !strings.Contains(w.log.String(), "the status of the MeshConfig is not written") {
		t.Errorf("the log says nothing:\n%s", w.log.String())
	}
}

func TestItNeedsAClient(t *testing.T) {
	if _, err := meshconfig.New(meshconfig.Options{}); err == nil {
		t.Error("it is made of nothing")
	}
}
