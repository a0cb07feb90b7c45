package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/test/kube/node"
)

// probes are of all kinds, so that each has to pass under strict mutual TLS.
const probes = `
        startupProbe: {httpGet: {path: /started, port: http}, periodSeconds: 1, failureThreshold: 60}
        readinessProbe: {grpc: {port: 9090}, periodSeconds: 1}
        livenessProbe: {tcpSocket: {port: 9000}, periodSeconds: 2}
        lifecycle: {preStop: {sleep: {seconds: 2}}}
      - name: checked
        image: app:e2e
        args: [wait]
        readinessProbe: {exec: {command: [/app, check]}, periodSeconds: 1}
        livenessProbe: {exec: {command: [/app, check]}, periodSeconds: 2}`

// application is a Deployment, its account and its Service, as people write them.
func application(namespace, name string, replicas int, probes string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[2]s, namespace: %[1]s}
---
apiVersion: v1
kind: Service
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  selector: {app: %[2]s}
  ports: [{name: http, port: 8080}, {name: grpc, port: 9090}, {name: tcp, port: 9000}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  replicas: %[3]d
  selector: {matchLabels: {app: %[2]s}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec:
      serviceAccountName: %[2]s
      terminationGracePeriodSeconds: 30
      containers:
      - name: app
        image: app:e2e
        args: [serve]
        env: [{name: VERSION, value: "1"}, {name: MARKER, value: %[4]s}]
        ports: [{name: http, containerPort: 8080}, {name: grpc, containerPort: 9090}, {name: tcp, containerPort: 9000}]%[5]s
`, namespace, name, replicas, marker, probes)
}

// marker is what clients send along, to be looked for on the wire.
const marker = "marker-7f3a9c21e5"

func (w *world) node(t *testing.T) {
	w.eventually(t, time.Minute, "the node is ready", func() (bool, string) {
		out, err := w.try(t.Context(), "", "wait", "--for=condition=Ready", "node", "--all", "--timeout=5s")
		return err == nil && strings.Contains(out, "condition met"), out
	})
	w.apply(t, node.DNS)
	w.rolledOut(t, "kube-system", "coredns")
}

// install is what the README says.
func (w *world) install(t *testing.T) {
	w.kubectl(t, "apply", "-k", "manifests/base")
	if !w.rolledOut(t, "outrider-system", "outrider-injector") {
		return
	}
	pods, err := w.client.CoreV1().Pods("outrider-system").List(t.Context(), metav1.ListOptions{LabelSelector: "app=outrider-injector"})
	w.check(t, err == nil && len(pods.Items) == 2, "%d replicas, %v", len(pods.Items), err)
}

// deploy labels a namespace and puts applications into it, and the same into one that
// has no label.
func (w *world) deploy(t *testing.T) {
	for _, name := range []string{"shop", "outside"} {
		w.kubectl(t, "create", "namespace", name)
	}
	w.kubectl(t, "label", "namespace", "shop", mutate.Label+"="+mutate.Enabled)
	w.apply(t, application("shop", "payments", 2, probes))
	for _, name := range []string{"checkout", "intruder"} {
		w.apply(t, application("shop", name, 1, ""))
	}
	w.apply(t, application("outside", "payments", 1, ""))
	w.apply(t, application("outside", "checkout", 1, ""))
	for _, at := range [][2]string{{"shop", "payments"}, {"shop", "checkout"}, {"shop", "intruder"}, {"outside", "payments"}, {"outside", "checkout"}} {
		if !w.rolledOut(t, at[0], at[1]) {
			return
		}
		pods, err := w.client.CoreV1().Pods(at[0]).List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + at[1]})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pods.Items {
			_, there := p.Annotations[mutate.StatusAnnotation]
			w.check(t, there == (at[0] == "shop"), "%s/%s is injected: %v", p.Namespace, p.Name, there)
			for _, s := range p.Status.ContainerStatuses {
				w.check(t, s.RestartCount == 0 && s.Ready, "%s of %s: %d restarts, ready: %v", s.Name, p.Name, s.RestartCount, s.Ready)
			}
		}
	}
}
