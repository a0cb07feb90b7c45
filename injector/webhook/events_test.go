package webhook_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/injector/webhook"
)

func controlled(kind, name string) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: name, UID: types.UID("uid-" + name), Controller: &yes}}
}

func object(name string, by []metav1.OwnerReference) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name), OwnerReferences: by}
}

func TestEventsAreOnWhatPeopleKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(
			&appsv1.ReplicaSet{ObjectMeta: object("web-1", controlled("Deployment", "web"))},
			&appsv1.ReplicaSet{ObjectMeta: object("alone", nil)},
			&batchv1.Job{ObjectMeta: object("report-1", controlled("CronJob", "report"))},
			&appsv1.StatefulSet{ObjectMeta: object("ledger", nil)},
			&appsv1.DaemonSet{ObjectMeta: object("agent", nil)},
		)
		e := webhook.NewEvents(client, webhook.NewMetrics(nil), slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- e.Run(ctx) }()
		notify := func(verdict mutate.Verdict, reason mutate.Reason, owners []metav1.OwnerReference) {
			n := webhook.Notice{Namespace: "shop", Outcome: mutate.Outcome{
				Decision: mutate.Decision{Verdict: verdict, Reason: reason, Detail: strings.Repeat("é", 700)}, Remarks: []string{"a remark"},
			}}
			if len(owners) > 0 {
				n.Owner = &owners[0]
			}
			e.Notify(n)
			synctest.Wait()
		}
		for range 3 { // pods of one Deployment
			notify(mutate.Inject, mutate.ReasonLabelled, controlled("ReplicaSet", "web-1"))
		}
		notify(mutate.Refuse, mutate.ReasonUserInUse, controlled("ReplicaSet", "web-1"))
		notify(mutate.Skip, mutate.ReasonHostNetwork, controlled("DaemonSet", "agent"))
		notify(mutate.Inject, mutate.ReasonLabelled, controlled("StatefulSet", "ledger"))
		notify(mutate.Inject, mutate.ReasonLabelled, controlled("Job", "report-1"))
		notify(mutate.Inject, mutate.ReasonLabelled, controlled("ReplicaSet", "alone"))
		notify(mutate.Inject, mutate.ReasonLabelled, nil)
		notify(mutate.Inject, mutate.ReasonLabelled, controlled("Rollout", "custom"))
		notify(mutate.Inject, mutate.ReasonLabelled, controlled("ReplicaSet", "made-up"))
		forged := controlled("ReplicaSet", "web-1")
		forged[0].UID = "another"
		notify(mutate.Refuse, mutate.ReasonPortInUse, forged)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}

		list, err := client.CoreV1().Events("shop").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, ev := range list.Items {
			got = append(got, strings.Join([]string{ev.InvolvedObject.Kind, ev.InvolvedObject.Name, string(ev.InvolvedObject.UID), ev.Type, ev.Reason}, " "))
			if len(ev.Message) > 1024 || ev.Message != strings.ToValidUTF8(ev.Message, "?") {
				t.Errorf("a message of %d bytes: %q", len(ev.Message), ev.Message)
			}
		}
		slices.Sort(got)
		want := []string{
			"CronJob report uid-report Normal Injected",
			"DaemonSet agent uid-agent Warning InjectionSkipped",
			"Deployment web uid-web Normal Injected",
			"Deployment web uid-web Warning InjectionRefused",
			"ReplicaSet alone uid-alone Normal Injected",
			"StatefulSet ledger uid-ledger Normal Injected",
		}
		if !slices.Equal(got, want) {
			t.Errorf("events\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// A handler never waits for the API server to take an Event.
func TestTooManyEventsAreDropped(t *testing.T) {
	metrics := prometheus.NewRegistry()
	e := webhook.NewEvents(fake.NewClientset(), webhook.NewMetrics(metrics), slog.New(slog.DiscardHandler))
	owner := controlled("ReplicaSet", "web-1")[0]
	for range 10_000 {
		e.Notify(webhook.Notice{Namespace: "shop", Owner: &owner}) // nobody writes
	}
	want := `
# HELP outrider_injector_events_dropped_total Events that were not written, because there were too many or the API server refused them.
# TYPE outrider_injector_events_dropped_total counter
outrider_injector_events_dropped_total 9744
`
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "outrider_injector_events_dropped_total"); err != nil {
		t.Error(err)
	}
}

func TestNamespacesAreLookedUp(t *testing.T) {
	client := fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "shop", Labels: map[string]string{mutate.Label: mutate.Enabled}, Annotations: map[string]string{"a": "b"},
	}})
	ns, err := webhook.Lookup{Client: client}.Namespace(t.Context(), "shop")
	if err != nil || ns.Name != "shop" || ns.Labels[mutate.Label] != mutate.Enabled || ns.Annotations["a"] != "b" {
		t.Errorf("%+v, %v", ns, err)
	}
	if _, err := (webhook.Lookup{Client: client}).Namespace(t.Context(), "lost"); err == nil {
		t.Error("a namespace that is not there was found")
	}
}
