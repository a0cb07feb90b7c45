package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kind and version of what is asked and answered.
const (
	reviewKind    = "AdmissionReview"
	reviewVersion = "admission.k8s.io/v1"
)

// A question is what the API server asks.
type question struct {
	*admissionv1.AdmissionRequest
	pod *corev1.Pod
}

func (q question) dry() bool { return q.DryRun != nil && *q.DryRun }

// unreadable is a question that can't be answered, with the status that says why.
type unreadable struct {
	status int
	err    error
}

func (u *unreadable) Error() string { return u.err.Error() }

// read reads a question. Fields that are not known here are passed over: API
// servers newer than this program have some.
func read(r *http.Request) (question, *unreadable) {
	if r.Method != http.MethodPost {
		return question{}, &unreadable{http.StatusMethodNotAllowed, fmt.Errorf("method %q is not POST", r.Method)}
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return question{}, &unreadable{http.StatusUnsupportedMediaType, fmt.Errorf("content type %q is not application/json", r.Header.Get("Content-Type"))}
	}
	body, err := io.ReadAll(r.Body)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return question{}, &unreadable{http.StatusRequestEntityTooLarge, fmt.Errorf("the review has more than %d bytes", tooLarge.Limit)}
	}
	if err != nil {
		return question{}, &unreadable{http.StatusBadRequest, fmt.Errorf("read the review: %w", err)}
	}
	q, err := parse(body)
	if err != nil {
		return question{}, &unreadable{http.StatusBadRequest, err}
	}
	return q, nil
}

// parse takes questions about the creation of pods, which are the only ones that the
// webhook's rules let through.
func parse(body []byte) (question, error) {
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil {
		return question{}, fmt.Errorf("read the review: %w", err)
	}
	r := review.Request
	switch {
	case review.Kind != reviewKind || review.APIVersion != reviewVersion:
		return question{}, fmt.Errorf("%q of %q is not %s of %s", review.Kind, review.APIVersion, reviewKind, reviewVersion)
	case r == nil || r.UID == "":
		return question{}, errors.New("the review has no request, or that no uid")
	case r.Resource != (metav1.GroupVersionResource{Version: "v1", Resource: "pods"}) || r.SubResource != "":
		return question{}, fmt.Errorf("the review is about %q, not about pods of v1; mend the webhook's rules", r.Resource.String())
	case r.Operation != admissionv1.Create:
		return question{}, fmt.Errorf("the review is about the operation %q, not CREATE; mend the webhook's rules", r.Operation)
	case r.Namespace == "":
		return question{}, errors.New("the review names no namespace")
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(r.Object.Raw, pod); err != nil {
		return question{}, fmt.Errorf("read the pod: %w", err)
	}
	return question{r, pod}, nil
}
