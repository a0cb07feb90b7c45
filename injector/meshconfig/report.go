package meshconfig

import (
	"context"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// report writes the status if it says something else. Of the status only what is
// decided here is touched. The resource version goes along: who wrote in between has
// the next word, and is followed by a new look.
func (f *Follower) report(ctx context.Context, object *unstructured.Unstructured, problems []config.Problem) error {
	before, err := statusOf(object)
	if err != nil {
		return err
	}
	after := decided(before, object.GetGeneration(), problems)
	// The cache shows what was written only after a while, and until then it looks
	// as if it had to be written again.
	version := string(object.GetUID()) + "/" + object.GetResourceVersion()
	if reflect.DeepEqual(before, after) || version == f.written {
		return nil
	}
	fresh := object.DeepCopy()
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&after)
	if err != nil {
		return err
	}
	fresh.Object["status"] = raw
	if _, err := f.opts.Client.Resource(resource()).UpdateStatus(ctx, fresh, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("write the status of MeshConfig %s: %w", object.GetName(), err)
	}
	f.written = version
	return nil
}

func statusOf(object *unstructured.Unstructured) (v1alpha1.PolicyStatus, error) {
	var status v1alpha1.PolicyStatus
	raw, found, err := unstructured.NestedMap(object.Object, "status")
	if err != nil || !found {
		return status, err
	}
	return status, runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &status)
}

// decided is the status after what was found in the document.
func decided(status v1alpha1.PolicyStatus, generation int64, problems []config.Problem) v1alpha1.PolicyStatus {
	accepted := metav1.Condition{
		Type: v1alpha1.Accepted, Status: metav1.ConditionTrue, ObservedGeneration: generation,
		Reason: v1alpha1.ReasonValid, Message: "it is in force",
	}
	if failed(problems) {
		accepted.Status, accepted.Reason = metav1.ConditionFalse, v1alpha1.ReasonInvalid
		accepted.Message = "what was in force before stays: " + firstError(problems)
	}
	status.ObservedGeneration, status.Lint = generation, findings(problems)
	status.Conditions = append([]metav1.Condition(nil), status.Conditions...)
	meta.SetStatusCondition(&status.Conditions, accepted)
	return status
}

func firstError(problems []config.Problem) string {
	for _, p := range problems {
		if p.Severity == config.Error {
			return p.Field + " " + text(p)
		}
	}
	return ""
}
