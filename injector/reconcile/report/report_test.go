package report

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"

	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/injector/distribute"
	"github.com/outrider-mesh/outrider/injector/reconcile/model"
	"github.com/outrider-mesh/outrider/proxy/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func workloads(n int) (all []distribute.Key) {
	for i := range n {
		all = append(all, distribute.Key{Namespace: "shop", Name: fmt.Sprint("p", i)})
	}
	return all
}

func TestWhatAStatusSays(t *testing.T) {
	wrong := []config.Problem{{Severity: config.Warning, Message: "odd"}, {Severity: config.Error, Field: "spec.action", Message: "is wrong", Remedy: "mend it"}}
	good := model.Standing{Resource: "r", Revision: "v1", Generation: 3, Concerns: workloads(3)}
	cases := []struct {
		name                 string
		f                    finding
		before               string // revision
		accepted, programmed string // reason and part of the message
		summary, revision    string
	}{
		{"all have it", finding{standing: good, count: distribute.Count{Have: 3}}, "", "Valid it is in force", "Complete 3/3", "3/3", "v1"},
		{"some have it", finding{standing: good, count: distribute.Count{Have: 2}}, "", "Valid", "Pending 2/3", "2/3", "v1"},
		{"one is counted twice", finding{standing: good, count: distribute.Count{Have: 4}}, "", "Valid", "Complete 3/3", "3/3", "v1"},
		{"one refuses it", finding{standing: good, count: distribute.Count{Have: 2, Refusals: 1, Refused: map[string]string{"shop/p1": "no"}}}, "", "Valid", `Rejected 2/3 sidecars have it, 1 refuse it: shop/p1 says "no"`, "2/3", "v1"},
		{"it concerns nobody", finding{standing: model.Standing{Revision: "v1"}}, "", "Valid", "NoSidecars", "0/0", "v1"},
		{"a replica is silent", finding{standing: good, count: distribute.Count{Have: 2}, silent: []string{"10.0.0.1:15011"}}, "", "Valid", "Pending 2/3 sidecars have it; not known of those connected to 10.0.0.1:15011", "2/3", "v1"},
		{"the text is wrong", finding{standing: model.Standing{Revision: "v1", Invalid: true, Problems: wrong, Concerns: workloads(1)}, count: distribute.Count{Have: 1}}, "v1", "Invalid the version before it stays in force: spec.action is wrong; mend it", "Complete 1/1", "1/1", "v1"},
		{"it never was right", finding{standing: model.Standing{Invalid: true, Problems: wrong}}, "", "Invalid it has no effect: spec.action", "Invalid there is no valid version", "0/0", ""},
		{"only sidecars know what was right", finding{standing: model.Standing{Invalid: true, Kept: true, Problems: wrong, Concerns: workloads(2)}}, "v0", "Invalid sidecars that have the version before it keep that", "Pending how many", "0/2", "v0"},
	}
	if len(cases) < 9 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := c.f.status(v1alpha1.PolicyStatus{Revision: c.before})
			for kind, want := range map[string]string{v1alpha1.Accepted: c.accepted, v1alpha1.Programmed: c.programmed} {
				got := meta.FindStatusCondition(s.Conditions, kind)
				if said := got.Reason + " " + got.Message; !strings.HasPrefix(said, want) || got.ObservedGeneration != c.f.standing.Generation {
					t.Errorf("%s: %s", kind, said)
				}
				if holds := slices.Contains([]string{"Valid", "Complete", "NoSidecars"}, got.Reason); (got.Status == metav1.ConditionTrue) != holds {
					t.Errorf("%s is %s because %s", kind, got.Status, got.Reason)
				}
			}
			if s.Sidecars.Summary != c.summary || s.Revision != c.revision || s.ObservedGeneration != c.f.standing.Generation {
				t.Errorf("%+v", s)
			}
			if again := c.f.status(s); fmt.Sprint(again) != fmt.Sprint(s) {
				t.Errorf("the same finding says something else:\n%v\n%v", s, again)
			}
			if n := len(s.Lint); n != len(c.f.standing.Problems) || n > 0 && s.Lint[0].Severity != v1alpha1.SeverityError {
				t.Errorf("%+v", s.Lint)
			}
		})
	}
}

func TestStatusesAreBounded(t *testing.T) {
	f := finding{count: distribute.Count{Refusals: 3, Refused: map[string]string{"a": strings.Repeat("x", 1<<20), "b": strings.Repeat("é", 1<<10)}}}
	f.standing = model.Standing{Revision: "v", Concerns: workloads(3)}
	for i := range 100 {
		f.standing.Problems = append(f.standing.Problems, config.Problem{Severity: config.Warning, Message: fmt.Sprint(i)}, config.Problem{Severity: config.Warning, Message: "the same"})
	}
	s := f.status(v1alpha1.PolicyStatus{})
	if n := len(meta.FindStatusCondition(s.Conditions, v1alpha1.Programmed).Message); n > 1500 || len(s.Lint) != v1alpha1.MaxLint {
		t.Errorf("a message of %d bytes, %d findings", n, len(s.Lint))
	}
}

// An office is a writer with all that it needs.
type office struct {
	t      *testing.T
	client *dynamicfake.FakeDynamicClient
	model  *model.Model
	writer *Writer
	have   atomic.Int64 // how many sidecars have each policy
}

func resource() schema.GroupVersionResource {
	return v1alpha1.GroupVersion().WithResource("accesspolicies")
}

func named(name string) model.ID {
	return model.ID{Kind: config.KindAccessPolicy, Namespace: "shop", Name: name}
}

// open has a cluster with so many policies of one workload.
func open(t *testing.T, policies int) *office {
	o := &office{t: t, model: model.New(spiffeid.RequireTrustDomainFromString("example.org"))}
	kinds := map[schema.GroupVersionResource]string{}
	for _, r := range v1alpha1.Resources() {
		kinds[r.GroupVersionResource()] = r.Kind + "List"
	}
	o.client = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds)
	o.model.Apply(model.Change{ID: model.ID{Kind: model.KindPod, Namespace: "shop", Name: "p0"}, Object: &model.Pod{Sidecar: &model.Sidecar{Captures: true}}})
	for i := range policies {
		o.put(fmt.Sprint("policy-", i), "Allow", 1)
	}
	o.writer = New(Options{
		Client: o.client, Model: o.model, Log: slog.New(slog.DiscardHandler), Status: o.status,
		Counts: func(_ context.Context, asked []distribute.Revision) ([]distribute.Count, []string) {
			counts := make([]distribute.Count, len(asked))
			for i := range counts {
				counts[i].Have = int(o.have.Load())
			}
			return counts, nil
		},
	})
	return o
}

// put writes a policy, to the API server and into the model.
func (o *office) put(name, action string, generation int64) {
	o.t.Helper()
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "outrider.dev/v1alpha1", "kind": "AccessPolicy", "metadata": map[string]any{"namespace": "shop", "name": name, "generation": generation},
	}}
	ctx, c := o.t.Context(), o.client.Resource(resource()).Namespace("shop")
	if _, err := c.Create(ctx, u, metav1.CreateOptions{}); err != nil {
		if _, err := c.Update(ctx, u, metav1.UpdateOptions{}); err != nil {
			o.t.Fatal(err)
		}
	}
	a := o.model.Apply(model.Change{ID: named(name), Object: &model.Document{Scope: "shop", Generation: generation, Text: fmt.Appendf(nil,
		`{"apiVersion":"outrider.dev/v1alpha1","kind":"AccessPolicy","metadata":{"name":%q,"namespace":"shop"},"spec":{"action":%q,"rules":[{"to":[{"ports":[%d]}]}]}}`, name, action, generation)}})
	if o.writer != nil {
		o.writer.Changed(a.Documents)
	}
}

// status is what the informer would say.
func (o *office) status(id model.ID) (v1alpha1.PolicyStatus, bool) {
	var s v1alpha1.PolicyStatus
	u, err := o.client.Resource(resource()).Namespace(id.Namespace).Get(o.t.Context(), id.Name, metav1.GetOptions{})
	if err != nil {
		return s, false
	}
	raw, _, err := unstructured.NestedMap(u.Object, "status")
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &s)
	}
	return s, err == nil
}

// writes counts the writes of statuses so far.
func (o *office) writes() (n int) {
	for _, a := range o.client.Actions() {
		if a.GetVerb() == "patch" && a.GetSubresource() == "status" {
			n++
		}
	}
	return n
}

// lead runs the writer while the test acts, in a time of its own.
func (o *office) lead(act func(pass func(time.Duration))) {
	ctx, cancel := context.WithCancel(o.t.Context())
	done := make(chan error)
	go func() { done <- o.writer.Run(ctx) }()
	act(func(d time.Duration) {
		<-time.After(d)
		synctest.Wait()
	})
	cancel()
	if err := <-done; err != nil {
		o.t.Error(err)
	}
}

func TestAStatusIsWrittenWhenItSaysSomethingNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, 1)
		o.lead(func(pass func(time.Duration)) {
			pass(1500 * time.Millisecond)
			if s, _ := o.status(named("policy-0")); s.Sidecars.Summary != "0/1" || o.writes() != 1 {
				t.Errorf("%+v after %d writes", s, o.writes())
			}
			pass(time.Minute)
			if o.writes() != 1 {
				t.Errorf("%d writes of the same", o.writes())
			}
			o.have.Store(1)
			pass(5 * time.Second)
			if s, _ := o.status(named("policy-0")); s.Sidecars.Summary != "1/1" || o.writes() != 2 {
				t.Errorf("%+v after %d writes", s, o.writes())
			}
			pass(time.Hour)
			if o.writes() != 2 {
				t.Errorf("%d writes of the same", o.writes())
			}
			o.put("policy-0", "Nonsense", 2)
			pass(5 * time.Second)
			s, _ := o.status(named("policy-0"))
			if a := meta.FindStatusCondition(s.Conditions, v1alpha1.Accepted); a.Status != metav1.ConditionFalse || s.ObservedGeneration != 2 || s.Revision == "" {
				t.Errorf("%+v", s)
			}
			o.model.Apply(model.Change{ID: named("policy-0")})
			o.writer.Changed(map[model.ID]struct{}{named("policy-0"): {}})
			pass(5 * time.Second)
		})
		writes := o.writes()
		o.put("policy-0", "Allow", 3)
		<-time.After(time.Minute)
		if o.writes() != writes {
			t.Error("it writes without leading")
		}
	})
}

// A status about a text that has been replaced is not written.
func TestAnotherGenerationIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, 1)
		u, err := o.client.Resource(resource()).Namespace("shop").Get(t.Context(), "policy-0", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		u.SetGeneration(2)
		if _, err := o.client.Resource(resource()).Namespace("shop").Update(t.Context(), u, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		o.lead(func(pass func(time.Duration)) { pass(3 * time.Second) })
		if s, _ := o.status(named("policy-0")); len(s.Conditions) > 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestWritesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, 3*perRound)
		o.have.Store(1)
		o.lead(func(pass func(time.Duration)) {
			for i := range 3 {
				pass(round)
				if n := o.writes(); n != (i+1)*perRound {
					t.Errorf("%d writes after %d rounds", n, i+1)
				}
			}
			pass(30 * time.Second)
			if n := o.writes(); n != 3*perRound {
				t.Errorf("%d writes", n)
			}
		})
	})
}
