package survey

import (
	"context"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/version"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/kube"
)

// reader is what of the API server is read. [kube.Client] is one.
type reader interface {
	Version(ctx context.Context) (*version.Info, error)
	Namespaces(ctx context.Context) ([]corev1.Namespace, error)
	Pods(ctx context.Context, namespace, selector string) ([]corev1.Pod, error)
	Services(ctx context.Context, namespace string) ([]corev1.Service, error)
	Policies(ctx context.Context) ([]kube.Policy, error)
	Definition(ctx context.Context, name string) (*kube.Definition, error)
	Deployment(ctx context.Context, namespace, name string) (*appsv1.Deployment, error)
	Webhook(ctx context.Context, name string) (*admissionv1.MutatingWebhookConfiguration, error)
}

var _ API = (*kube.Client)(nil)
