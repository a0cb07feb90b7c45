package mutate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// What is injected is read back.
func TestAGuardIsReadFromThePod(t *testing.T) {
	cases := []struct {
		name        string
		annotations map[string]string
		want        *mutate.Guard
	}{
		{"capture", nil, &mutate.Guard{Captures: true, Ports: []uint16{15020, 15021}}},
		{"capture with exceptions", map[string]string{"outrider.dev/exclude-inbound-ports": "9100,22"}, &mutate.Guard{Captures: true, Ports: []uint16{22, 9100, 15020, 15021}}},
		{"by a plugin of the node", map[string]string{"outrider.dev/capture": "cni"}, &mutate.Guard{Captures: true, Ports: []uint16{15020, 15021}}},
		{"listeners", map[string]string{"outrider.dev/capture": "none", "outrider.dev/listen": "8443:8080,9443:9090"}, &mutate.Guard{Ports: []uint16{8443, 9443}}},
	}
	if len(cases) < 4 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: c.annotations}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web"}}}}
			pod.Labels = map[string]string{mutate.Label: mutate.Enabled}
			out, outcome := installation().Inject(pod, mutate.Namespace{Name: "shop"})
			if out == nil {
				t.Fatal(outcome)
			}
			if diff := cmp.Diff(c.want, mutate.GuardOf(out)); diff != "" {
				t.Error(diff)
			}
			if mutate.GuardOf(pod) != nil {
				t.Error("there is no sidecar in it")
			}
			delete(out.Annotations, mutate.StatusAnnotation)
			if mutate.GuardOf(out) == nil {
				t.Error("an annotation takes the pod out of the mesh")
			}
			out.Spec.InitContainers[len(out.Spec.InitContainers)-1].Env[0].Value = "\x00"
			if g := mutate.GuardOf(out); g == nil || !g.Captures {
				t.Errorf("what can't be read is in the mesh: %+v", g)
			}
		})
	}
}

func TestWhatAServicesPortCarries(t *testing.T) {
	app := func(s string) *string { return &s }
	cases := []struct {
		app  *string
		name string
		want config.Protocol
	}{
		{nil, "", ""},
		{nil, "web", ""},
		{nil, "http", config.HTTP},
		{nil, "grpc-admin", config.HTTP},
		{nil, "mysql", config.TCP},
		{nil, "httpd", ""},
		{app("http"), "mysql", config.HTTP},
		{app("HTTP"), "", config.HTTP},
		{app("kubernetes.io/h2c"), "", config.HTTP},
		{app("kubernetes.io/ws"), "", config.HTTP},
		{app("kubernetes.io/wss"), "http", config.TCP},
		{app("https"), "", config.TCP},
		{app("example.com/mine"), "http", ""},
	}
	if len(cases) < 13 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if got := mutate.Protocol(c.app, c.name); got != c.want {
			t.Errorf("%v %q: %q, want %q", c.app, c.name, got, c.want)
		}
	}
}
