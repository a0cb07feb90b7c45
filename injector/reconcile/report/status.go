package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/injector/distribute"
	"github.com/outrider-mesh/outrider/injector/reconcile/model"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// A finding is what a status is made of.
type finding struct {
	standing model.Standing
	// advice is what is questionable about the document together with others.
	advice []config.Problem
	count  distribute.Count
	// silent are the replicas that did not say what their sidecars have.
	silent []string
}

// status is what becomes of the one before. Times of conditions change only with what
// the conditions say.
func (f finding) status(before v1alpha1.PolicyStatus) v1alpha1.PolicyStatus {
	total := len(f.standing.Concerns)
	// A sidecar that changes replicas is counted by both for a moment.
	have := min(f.count.Have, total)
	s := v1alpha1.PolicyStatus{
		ObservedGeneration: f.standing.Generation,
		Conditions:         slices.Clone(before.Conditions),
		Sidecars: v1alpha1.SidecarCounts{
			Programmed: int32(have), Rejected: int32(min(f.count.Refusals, total-have)), Total: int32(total), //nolint:gosec // a mesh has fewer
			Summary: fmt.Sprintf("%d/%d", have, total),
		},
		Revision: f.revision(before),
		Lint:     findings(append(slices.Clone(f.standing.Problems), f.advice...)),
	}
	for _, c := range []metav1.Condition{f.accepted(s.Revision), f.programmed(s)} {
		c.ObservedGeneration = f.standing.Generation
		meta.SetStatusCondition(&s.Conditions, c)
	}
	return s
}

// revision is that of the last good version. While the present text is not valid, and
// the one before is not known here, it stays: it says that there is one.
func (f finding) revision(before v1alpha1.PolicyStatus) string {
	if f.standing.Kept {
		return before.Revision
	}
	return f.standing.Revision
}

func (f finding) accepted(revision string) metav1.Condition {
	if !f.standing.Invalid {
		return metav1.Condition{Type: v1alpha1.Accepted, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonValid, Message: "it is in force"}
	}
	stays := "the version before it stays in force"
	switch {
	case f.standing.Kept:
		stays = "sidecars that have the version before it keep that; new ones that it concerns wait until this is mended"
	case revision == "":
		stays = "it has no effect"
	}
	return metav1.Condition{
		Type: v1alpha1.Accepted, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonInvalid,
		Message: stays + ": " + firstError(f.standing.Problems),
	}
}

func firstError(problems []config.Problem) string {
	for _, p := range problems {
		if p.Severity == config.Error {
			return strings.TrimSpace(p.Field + " " + text(p))
		}
	}
	return "it is not valid"
}

func (f finding) programmed(s v1alpha1.PolicyStatus) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.Programmed, Status: metav1.ConditionFalse}
	n := s.Sidecars
	switch {
	case s.Revision == "":
		c.Reason, c.Message = v1alpha1.ReasonInvalid, "there is no valid version of it"
	case f.standing.Kept:
		c.Reason, c.Message = v1alpha1.ReasonPending, "how many sidecars have the version before it is not known since the control plane was started"
	case n.Rejected > 0:
		c.Reason, c.Message = v1alpha1.ReasonRejected, fmt.Sprintf("%s sidecars have it, %d refuse it: %s", n.Summary, n.Rejected, f.refusals())
	case n.Total == 0:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonNoSidecars, "it concerns no sidecar"
	case n.Programmed == n.Total:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonComplete, fmt.Sprintf("%s sidecars have it", n.Summary)
	default:
		c.Reason, c.Message = v1alpha1.ReasonPending, fmt.Sprintf("%s sidecars have it", n.Summary)
	}
	if len(f.silent) > 0 && c.Status == metav1.ConditionFalse {
		c.Message += "; not known of those connected to " + strings.Join(f.silent, ", ")
	}
	return c
}

// refusals is who refuses it, with what they say.
func (f finding) refusals() string {
	var all []string
	for _, who := range slices.Sorted(maps.Keys(f.count.Refused)) {
		all = append(all, fmt.Sprintf("%s says %q", who, clipped(f.count.Refused[who])))
	}
	return strings.Join(all, ", ")
}

// clipped is so much of what a sidecar says that three of them fit a condition, whose
// message Kubernetes bounds at 32 KiB and people long before.
func clipped(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// findings are problems as the API has them, errors first, each once.
func findings(problems []config.Problem) []v1alpha1.Finding {
	slices.SortStableFunc(problems, func(a, b config.Problem) int {
		return cmp.Or(cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Code, b.Code))
	})
	var all []v1alpha1.Finding
	for _, p := range problems {
		f := v1alpha1.Finding{Code: cmp.Or(p.Code, uncoded), Severity: v1alpha1.SeverityError, Field: p.Field, Message: text(p)}
		if p.Severity == config.Warning {
			f.Severity = v1alpha1.SeverityWarning
		}
		if len(all) < v1alpha1.MaxLint && !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all
}

// uncoded stands for problems that have no code of their own.
const uncoded = "OUT000"

func text(p config.Problem) string {
	if p.Remedy == "" {
		return p.Message
	}
	return p.Message + "; " + p.Remedy
}
