package kube_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/kube"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/kubetest"
)

// The library ends a connection whose other end has closed before a second later.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/moby/spdystream.(*Connection).shutdown"))
}

// cluster starts one with the files given, and returns a client of it.
func cluster(t *testing.T, files map[string]string) (*kubetest.Server, *kube.Client) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := kubetest.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	config := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(config, s.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := kube.New(kube.Options{Kubeconfig: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return s, c
}

func pods(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p%d, namespace: shop, labels: {app: a%d}}\n", i, i%2)
	}
	return b.String()
}

func TestListsAreReadInPages(t *testing.T) {
	const n = 601 // three pages
	_, c := cluster(t, map[string]string{"cluster.yaml": pods(n) + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: other}\n"})
	for _, want := range []struct {
		namespace, selector string
		n                   int
	}{{"shop", "", n}, {"", "", n + 1}, {"shop", "app=a1", 300}, {"nowhere", "", 0}} {
		got, err := c.Pods(t.Context(), want.namespace, want.selector)
		if err != nil || len(got) != want.n {
			t.Errorf("%d pods of %q by %q (%v), want %d", len(got), want.namespace, want.selector, err, want.n)
		}
	}
	if c.Namespace != "shop" {
		t.Errorf("the context's namespace is %q", c.Namespace)
	}
}

func TestRefusalsSayWhatAndWhy(t *testing.T) {
	s, c := cluster(t, map[string]string{"cluster.yaml": pods(1)})
	if _, err := c.Pod(t.Context(), "shop", "gone"); !kube.IsNotFound(err) {
		t.Errorf("a pod that is not there: %v", err)
	}
	s.Refuse("/api/v1/pods", http.StatusForbidden)
	_, err := c.Pods(t.Context(), "", "")
	if err == nil || kube.IsNotFound(err) || !strings.Contains(err.Error(), "the API server refuses /api/v1/pods: it is forbidden") {
		t.Errorf("a list that is forbidden: %v", err)
	}
}

func TestPoliciesAreReadAsFilesHaveThem(t *testing.T) {
	_, c := cluster(t, map[string]string{"cluster.yaml": `
apiVersion: outrider.dev/v1alpha1
kind: AccessPolicy
metadata: {name: a, namespace: shop, generation: 3, managedFields: [{manager: kubectl}]}
spec: {action: Allow, rules: [{}]}
status: {observedGeneration: 2}
---
apiVersion: outrider.dev/v1alpha1
kind: MeshConfig
metadata: {name: mesh}
`})
	all, err := c.Policies(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("%d policies, %v", len(all), err)
	}
	if all[0].Metadata.Generation != 3 || all[0].Status.ObservedGeneration != 2 {
		t.Errorf("%+v", all[0])
	}
	text, err := all[0].Text()
	if err != nil || strings.Contains(string(text), "managedFields") || strings.Contains(string(text), "status") || !strings.Contains(string(text), `"kind": "AccessPolicy"`) {
		t.Errorf("%s, %v", text, err)
	}
	if text, err := all[1].Text(); err != nil || !strings.Contains(string(text), `"spec": {}`) {
		t.Errorf("%s, %v", text, err)
	}
}

func get(ctx context.Context, c *kube.Client, namespace, pod string, port int, path string) (string, error) {
	conn, err := c.DialPod(ctx, namespace, pod, port)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", path, port); err != nil {
		return "", err
	}
	text, err := io.ReadAll(conn)
	return string(text), err
}

func TestAPodsPortIsReachedThroughTheAPIServer(t *testing.T) {
	for _, old := range []bool{false, true} {
		t.Run(fmt.Sprintf("old %v", old), func(t *testing.T) {
			server, c := cluster(t, map[string]string{"cluster.yaml": pods(1), "pods/shop/p0/15000/ready": strings.Repeat("ready\n", 100_000)})
			server.Old = old
			text, err := get(t.Context(), c, "shop", "p0", 15000, "/ready")
			if err != nil || strings.Count(text, "ready\n") != 100_000 {
				t.Errorf("%d bytes, %v", len(text), err)
			}
			// The kubelet's complaint is the error, and not an empty answer.
			if text, err := get(t.Context(), c, "shop", "p0", 15020, "/metrics"); err == nil || !strings.Contains(err.Error(), "connection refused") {
				t.Errorf("a port that nobody listens on: %q, %v", text, err)
			}
		})
	}
}

func TestADeadlineClosesTheConnectionToAPod(t *testing.T) {
	_, c := cluster(t, map[string]string{"cluster.yaml": pods(1), "pods/shop/p0/15000/ready": "ready\n"})
	conn, err := c.DialPod(t.Context(), "shop", "p0", 15000)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.RemoteAddr().String(); got != "shop/p0:15000" {
		t.Errorf("the address is %q", got)
	}
	if err := conn.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes that nobody sent", n)
	}
}

func TestReachingAPodEndsWithItsContext(t *testing.T) {
	_, c := cluster(t, map[string]string{"cluster.yaml": pods(1)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.DialPod(ctx, "shop", "p0", 15000); err == nil {
		t.Error("no error")
	}
}

func TestAKubeconfigThatIsNotThereIsAnError(t *testing.T) {
	if _, err := kube.New(kube.Options{Kubeconfig: filepath.Join(t.TempDir(), "none")}); err == nil || !strings.Contains(err.Error(), "read the kubeconfig") {
		t.Errorf("New = %v", err)
	}
}
