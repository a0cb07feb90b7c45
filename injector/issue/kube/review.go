package kube

import (
	"context"
	"fmt"

	authentication "k8s.io/api/authentication/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/outrider-mesh/outrider/injector/issue"
)

// Where the API server says what a token is bound to.
const (
	extraPod    = "authentication.kubernetes.io/pod-name"
	extraPodUID = "authentication.kubernetes.io/pod-uid"
	extraNode   = "authentication.kubernetes.io/node-name"
)

// A Reviewer has the API server say whose tokens are. It implements
// [issue.Reviewer]. The API server checks that the pod of a bound token exists
// still, with the same UID: the token of a pod that was deleted is no good.
type Reviewer struct {
	client   kubernetes.Interface
	audience string
}

// NewReviewer returns a reviewer of tokens for one audience.
func NewReviewer(client kubernetes.Interface, audience string) *Reviewer {
	return &Reviewer{client: client, audience: audience}
}

// Review implements [issue.Reviewer].
func (r *Reviewer) Review(ctx context.Context, token string) (issue.Verdict, error) {
	answer, err := r.client.AuthenticationV1().TokenReviews().Create(ctx, &authentication.TokenReview{
		Spec: authentication.TokenReviewSpec{Token: token, Audiences: []string{r.audience}},
	}, meta.CreateOptions{})
	if err != nil {
		return issue.Verdict{}, fmt.Errorf("have a token reviewed: %w", err)
	}
	status := answer.Status
	return issue.Verdict{
		Authenticated: status.Authenticated, Audiences: status.Audiences, Username: status.User.Username,
		Pod: one(status.User.Extra[extraPod]), PodUID: one(status.User.Extra[extraPodUID]), Node: one(status.User.Extra[extraNode]),
		Why: status.Error,
	}, nil
}

// one is the only value; of several none is to be believed.
func one(values authentication.ExtraValue) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}
