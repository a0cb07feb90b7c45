package webhook

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/outrider-mesh/outrider/injector/mutate"
)

// A Lookup asks the API server for namespaces.
type Lookup struct{ Client kubernetes.Interface }

// Namespace implements [Namespaces].
func (l Lookup) Namespace(ctx context.Context, name string) (mutate.Namespace, error) {
	ns, err := l.Client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return mutate.Namespace{}, err
	}
	return mutate.Namespace{Name: ns.Name, Labels: ns.Labels, Annotations: ns.Annotations}, nil
}
