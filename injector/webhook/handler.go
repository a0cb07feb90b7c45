package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrider-mesh/outrider/injector/mutate"
)

// Path is where the webhook answers.
const Path = "/inject"

// Namespaces knows the labels and annotations of namespaces as they are now. What
// was true a second ago is not enough: a pod that comes right after its namespace
// was labelled would run without a sidecar.
type Namespaces interface {
	Namespace(ctx context.Context, name string) (mutate.Namespace, error)
}

// A Notice is what people are told about a pod.
type Notice struct {
	Namespace string
	// Owner is the pod's controller; nil: it has none.
	Owner   *metav1.OwnerReference
	Outcome mutate.Outcome
}

// Options are what a [Handler] is made of.
type Options struct {
	// Mesh is asked for each pod, since its configuration may change; required.
	Mesh func() mutate.Mesh
	// Namespaces is required.
	Namespaces Namespaces
	// Notify is told of every pod that is really created; it must not wait. Nil:
	// nobody is.
	Notify func(Notice)
	// Metrics counts; nil: nobody sees.
	Metrics *Metrics
	// Log receives a line for each pod; nil: nothing is logged.
	Log *slog.Logger
}

// A Handler answers the API server. It implements [http.Handler].
type Handler struct {
	opts    Options
	log     *slog.Logger
	metrics *Metrics
}

// NewHandler returns one.
func NewHandler(opts Options) (*Handler, error) {
	if opts.Mesh == nil || opts.Namespaces == nil {
		return nil, errors.New("webhook: no mesh or no namespaces")
	}
	h := &Handler{opts: opts, log: opts.Log, metrics: opts.Metrics}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.metrics == nil {
		h.metrics = NewMetrics(nil)
	}
	return h, nil
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	if r.URL.Path != Path {
		http.NotFound(w, r)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxReview)
	q, problem := read(r)
	if problem != nil {
		h.fail(w, problem.status, problem.err)
		return
	}
	response, out, err := h.decide(r.Context(), q)
	if err != nil {
		h.fail(w, http.StatusInternalServerError, err)
		return
	}
	review := admissionv1.AdmissionReview{TypeMeta: metav1.TypeMeta{Kind: reviewKind, APIVersion: reviewVersion}, Response: response}
	body, err := json.Marshal(review)
	if err != nil {
		h.fail(w, http.StatusInternalServerError, fmt.Errorf("write the answer: %w", err))
		return
	}
	h.tell(q, out)
	h.metrics.answered(out.Decision, time.Since(began))
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(body); err != nil {
		h.log.Warn("the API server did not take an answer", "err", err)
	}
}

// fail makes the call fail, upon which the API server refuses the pod.
func (h *Handler) fail(w http.ResponseWriter, status int, err error) {
	h.metrics.failed()
	h.log.Error("a review was not answered", "status", status, "err", err)
	http.Error(w, err.Error(), status)
}

// decide is the answer to a question.
func (h *Handler) decide(ctx context.Context, q question) (*admissionv1.AdmissionResponse, mutate.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	ns, err := h.opts.Namespaces.Namespace(ctx, q.Namespace)
	if err != nil {
		return nil, mutate.Outcome{}, fmt.Errorf("look up the namespace %q: %w", q.Namespace, err)
	}
	pod, out := h.opts.Mesh().Inject(q.pod, ns)
	response := &admissionv1.AdmissionResponse{
		UID: q.UID, Allowed: out.Verdict != mutate.Refuse, Warnings: warnings(out),
		AuditAnnotations: map[string]string{"verdict": string(out.Verdict), "reason": string(out.Reason)},
	}
	switch out.Verdict {
	case mutate.Refuse:
		response.Result = &metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden,
			Message: fmt.Sprintf("outrider: %s: %s", out.Reason, out.Detail),
		}
	case mutate.Inject:
		ops, err := mutate.Patch(q.pod, pod)
		if err != nil {
			return nil, out, err
		}
		if len(ops) == 0 {
			break
		}
		if response.Patch, err = json.Marshal(ops); err != nil {
			return nil, out, fmt.Errorf("write the patch: %w", err)
		}
		kind := admissionv1.PatchTypeJSONPatch
		response.PatchType = &kind
	case mutate.Skip:
	}
	return response, out, nil
}

// warnings are for whoever has made the pod by hand. That a pod is left alone is
// worth one only where something asked for the contrary.
func warnings(out mutate.Outcome) []string {
	var all []string
	if out.Verdict == mutate.Skip && noteworthy(out.Reason) {
		all = append(all, clipped(fmt.Sprintf("outrider: no sidecar: %s: %s", out.Reason, out.Detail), maxWarning))
	}
	for _, r := range out.Remarks {
		all = append(all, clipped("outrider: "+r, maxWarning))
	}
	return all
}

// noteworthy tells whether people are told why there is no sidecar.
func noteworthy(r mutate.Reason) bool {
	switch r {
	case mutate.ReasonNotLabelled, mutate.ReasonOptedOut, mutate.ReasonSystemNamespace:
		return false
	default:
		return true
	}
}

// clipped cuts where a rune ends.
func clipped(s string, most int) string {
	if len(s) <= most {
		return s
	}
	const mark = "..."
	cut := most - len(mark)
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + mark
}

func (h *Handler) tell(q question, out mutate.Outcome) {
	owner := metav1.GetControllerOf(q.pod)
	name := q.pod.Name
	if name == "" {
		name = q.pod.GenerateName
	}
	h.log.Info("pod", "namespace", q.Namespace, "pod", name, "verdict", out.Verdict, "reason", out.Reason, "detail", out.Detail, "dry_run", q.dry(), "user", q.UserInfo.Username)
	if q.dry() || h.opts.Notify == nil {
		return // an Event would be a side effect
	}
	if out.Verdict != mutate.Skip || noteworthy(out.Reason) {
		h.opts.Notify(Notice{Namespace: q.Namespace, Owner: owner, Outcome: out})
	}
}
